//! What the admin API said, as families.
//!
//! A limiter lists its windows in another order each time, and they come and go. Each is looked up by
//! what tells it apart, once, and its values go where they went before.

use std::collections::hash_map::{Entry, RandomState};
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, Hash};

use tokenpath_core::fold::BoundedValues;
use tokenpath_core::{Desc, Label, SeriesKind, Slot, Snapshot};

use super::{Admin, Window};
use crate::TenantOptions;
use crate::families::{config, quotas, shared};

/// A family, and its value for a window.
type Quota<'d> = (&'d Desc, fn(&Window) -> Option<f64>);

/// What a window says, family by family.
#[expect(clippy::cast_precision_loss, reason = "quotas are exact up to 2^53")]
const QUOTAS: [Quota<'_>; 5] = [
    (&quotas::LIMIT, |window| Some(window.limit.max as f64)),
    (&quotas::USED, Window::used),
    (&quotas::REMAINING, |window| {
        window.remaining.map(|remaining| remaining as f64)
    }),
    (&quotas::RESET, |window| {
        window.reset_seconds.map(|seconds| seconds as f64)
    }),
    (&quotas::UTILIZATION, Window::utilization),
];

/// Writes reading after reading into one snapshot.
#[derive(Default)]
pub(crate) struct AdminWriter {
    out: Snapshot,
    rows: Vec<Row>,
    /// Rows by the hash of what tells them apart; where another row has that place, by the next one.
    by_hash: HashMap<u64, usize>,
    hasher: RandomState,
}

/// The series of windows that look alike to us.
struct Row {
    /// The first of them.
    window: Window,
    /// Its place in the map.
    hash: u64,
    slots: [Option<Slot>; QUOTAS.len()],
    /// Which window of this reading is shown.
    shown: Option<usize>,
}

impl AdminWriter {
    /// What was written last.
    pub(crate) fn snapshot(&self) -> &Snapshot {
        &self.out
    }

    /// Writes everything as families, tenants by the options. Windows of tenants that do not have
    /// series of their own are left out.
    pub(crate) fn write(
        &mut self,
        admin: &Admin,
        options: &TenantOptions,
        tenants: &BoundedValues,
    ) {
        let shape = self.out.shape().id();
        self.out.clear();
        if self.out.shape().id() != shape {
            // Series that stayed away were given up, and the others have moved.
            self.rows.clear();
            self.by_hash.clear();
        }
        self.write_state(admin);
        let known = self.rows.len();
        self.choose(&admin.windows, options, tenants);
        self.sort_from(known);
        for row in &mut self.rows {
            if let Some(shown) = row.shown.take() {
                row.write(&admin.windows[shown], options, &mut self.out);
            }
        }
    }

    /// How the API answered, the limiter's own state, and its limits.
    #[expect(clippy::cast_precision_loss, reason = "quotas are exact up to 2^53")]
    fn write_state(&mut self, admin: &Admin) {
        let out = &mut self.out;
        for asked in &admin.asked {
            let labels = [
                ("resource", asked.resource.as_str()),
                ("namespace", &asked.namespace),
            ];
            let answered = f64::from(u8::from(asked.answered));
            put(out, &config::ADMIN_UP, &labels, Some(answered));
        }
        if let Some(status) = &admin.status {
            let whole = |count: Option<u64>| count.map(|count| count as f64);
            put(out, &config::STARTED, &[], status.started);
            put(out, &config::APPLIED, &[], status.config_applied);
            put(out, &config::RELOADS, &[], whole(status.config_reloads));
            put(out, &config::FAILED, &[], whole(status.config_failed));
        }
        let mut limits: BTreeMap<(&str, &str, u64), u64> = BTreeMap::new();
        for limit in &admin.limits {
            let key = (&*limit.namespace, &*limit.name, limit.window_seconds);
            let smallest = limits.entry(key).or_insert(limit.max);
            *smallest = limit.max.min(*smallest);
        }
        for ((namespace, name, seconds), max) in limits {
            let seconds = seconds.to_string();
            let labels = [
                ("namespace", namespace),
                ("limit", name),
                ("window_seconds", &seconds),
            ];
            put(out, &quotas::CONFIGURED, &labels, Some(max as f64));
        }
    }

    /// Finds the row of each window. Where several look alike to us, because they differ in a variable
    /// that is not kept, the one that is nearest to its limit is shown.
    fn choose(&mut self, windows: &[Window], options: &TenantOptions, tenants: &BoundedValues) {
        for (index, window) in windows.iter().enumerate() {
            if !window.tenant.is_empty() && !options.apart(&window.tenant, tenants) {
                continue;
            }
            let row = self.row(window);
            let tightest = row.shown.is_none_or(|known| {
                let known = &windows[known];
                window.is_tighter(known)
            });
            if tightest {
                row.shown = Some(index);
            }
        }
    }

    /// Sorts the rows of newcomers: they stand on the page in one order, however the limiter lists them.
    fn sort_from(&mut self, known: usize) {
        let newcomers = &mut self.rows[known..];
        newcomers.sort_by(|a, b| told_apart_by(&a.window).cmp(&told_apart_by(&b.window)));
        for (row, Row { hash, .. }) in (known..).zip(newcomers) {
            self.by_hash.insert(*hash, row);
        }
    }

    fn row(&mut self, window: &Window) -> &mut Row {
        let mut hash = self.hasher.hash_one(told_apart_by(window));
        let row = loop {
            match self.by_hash.entry(hash) {
                Entry::Occupied(known)
                    if told_apart_by(&self.rows[*known.get()].window) == told_apart_by(window) =>
                {
                    break *known.get();
                }
                Entry::Occupied(_) => hash = hash.wrapping_add(1),
                Entry::Vacant(free) => {
                    self.rows.push(Row {
                        window: window.clone(),
                        hash,
                        slots: [None; QUOTAS.len()],
                        shown: None,
                    });
                    break *free.insert(self.rows.len() - 1);
                }
            }
        };
        &mut self.rows[row]
    }
}

impl Row {
    /// Writes what the window says.
    fn write(&mut self, window: &Window, options: &TenantOptions, out: &mut Snapshot) {
        let values = QUOTAS.map(|(_, value)| value(window));
        for (slot, value) in self.slots.iter().zip(values) {
            if let (Some(slot), Some(value)) = (slot, value) {
                out.set(*slot, value);
            }
        }
        let missing =
            |(slot, value): (&Option<Slot>, Option<f64>)| slot.is_none() && value.is_some();
        if self.slots.iter().zip(values).any(missing) {
            self.declare(values, options, out);
        }
    }

    /// Makes series of the values that have none, and writes those.
    #[cold]
    fn declare(
        &mut self,
        values: [Option<f64>; QUOTAS.len()],
        options: &TenantOptions,
        out: &mut Snapshot,
    ) {
        let Window {
            limit,
            tenant,
            labels,
            ..
        } = &self.window;
        let seconds = limit.window_seconds.to_string();
        let shown = options.shown(tenant);
        let ours = [
            ("namespace", &*limit.namespace),
            // Of no tenant is a window that no variable names one for.
            ("tenant", if tenant.is_empty() { "" } else { &shown }),
            ("limit", &*limit.name),
            ("window_seconds", &seconds),
        ];
        let further = labels.iter().map(|(name, value)| (&**name, &**value));
        let labels: Vec<Label<'_>> = said(ours.into_iter().chain(further));
        for (((desc, _), value), slot) in QUOTAS.iter().zip(values).zip(&mut self.slots) {
            if let (None, Some(value)) = (&slot, value) {
                *slot = out.family(shared(desc)).declare(&labels, SeriesKind::Value);
                if let Some(slot) = *slot {
                    out.set(slot, value);
                }
            }
        }
    }
}

/// What makes a window another one, on our page.
fn told_apart_by(window: &Window) -> impl Hash + Ord {
    let limit = &window.limit;
    (
        &*limit.namespace,
        &*window.tenant,
        &*limit.name,
        limit.window_seconds,
        &*window.labels,
    )
}

/// A sample with its empty labels left out; nothing where there is no value.
fn put(out: &mut Snapshot, desc: &Desc, labels: &[Label<'_>], value: Option<f64>) {
    if let Some(value) = value {
        let labels = said(labels.iter().copied());
        out.family(shared(desc)).sample(&labels, value);
    }
}

/// The labels that are not empty.
fn said<'l>(labels: impl Iterator<Item = Label<'l>>) -> Vec<Label<'l>> {
    labels.filter(|(_, value)| !value.is_empty()).collect()
}
