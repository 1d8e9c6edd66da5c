//! Roll-ups on a page: beside what the sources say, or in its place.
//!
//! A roll-up remembers what its counters had counted, so it must see each source's readings in their
//! order. Two scrapes that overlap may come here in another one: a page then takes the newest reading
//! of each source, and where it still has an older one than was rolled up before, it shows the sums of
//! that other page, which are newer.
//!
//! A source that cannot be read stays in its place with its shape and without values. So nothing has
//! to be worked out anew because a source is down, or up again.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use tokenpath_core::exposition::Part;
use tokenpath_core::fold::Fold;
use tokenpath_core::rollup::RollUp;
use tokenpath_core::{LabelSet, Selection, Shape, Snapshot};

use super::cell::{Outcome, Reading};
use super::{Cells, Member, SourceKey};

/// A roll-up that pages have: which labels go, of which families.
///
/// ```
/// use tokenpath_scrape::runner::{Exporter, RollUpOptions, Selection};
///
/// let exporter = Exporter::new();
/// exporter.roll_up([
///     // The engines of a server as one, in the place of the single ones.
///     RollUpOptions::over(["engine"]),
///     // And the sum of all replicas, beside them.
///     RollUpOptions::over(["engine", "target", "pod"])
///         .families(Selection::new(["llm_*"], [""; 0]))
///         .keep_parts(true),
/// ]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RollUpOptions {
    /// Labels that go: series that differ in them alone become one.
    pub over: Vec<String>,
    /// Which families; all that have a rule by default.
    pub families: Selection,
    /// Whether what is combined is on the page too; off by default.
    pub keep_parts: bool,
}

impl RollUpOptions {
    /// A roll-up over these labels, of all families that have a rule, in the place of what it
    /// combines.
    #[must_use]
    pub fn over<L: Into<String>>(labels: impl IntoIterator<Item = L>) -> Self {
        Self {
            over: labels.into_iter().map(Into::into).collect(),
            families: Selection::default(),
            keep_parts: false,
        }
    }

    /// Sets which families are combined.
    #[must_use]
    pub fn families(mut self, families: Selection) -> Self {
        self.families = families;
        self
    }

    /// Sets whether what is combined is on the page too. A series that goes into several roll-ups
    /// stays where all of them keep it.
    #[must_use]
    pub fn keep_parts(mut self, keep: bool) -> Self {
        self.keep_parts = keep;
        self
    }
}

/// All roll-ups of an exporter, with what they remember.
#[derive(Debug, Default)]
pub(super) struct RollUps {
    all: Vec<One>,
    /// The sources that `seen` is about. Weak: a source that was taken out ends with the exporter's
    /// own list.
    cells: Option<Weak<[Member]>>,
    seen: Vec<Seen>,
}

#[derive(Debug)]
struct One {
    options: RollUpOptions,
    roll_up: RollUp,
    sums: Snapshot,
}

/// What is known of a source.
#[derive(Debug)]
struct Seen {
    key: SourceKey,
    /// The newest reading that was rolled up.
    number: u64,
    shape: Arc<Shape>,
    labels: LabelSet,
    /// Has the shape, and no value.
    silent: Snapshot,
    /// Whether some of its series are in a roll-up that does not keep them.
    hides: bool,
    fold: Fold,
    /// Those that are in none.
    rest: Snapshot,
}

impl Seen {
    fn new(key: SourceKey) -> Self {
        Self {
            key,
            number: 0,
            shape: Arc::default(),
            labels: LabelSet::default(),
            silent: Snapshot::new(),
            hides: false,
            fold: Fold::new(),
            rest: Snapshot::new(),
        }
    }

    fn is_of(&self, reading: &Reading) -> bool {
        self.shape.id() == reading.snapshot.shape().id()
            && (self.labels.same(&reading.labels) || self.labels == reading.labels)
    }

    /// Takes note of a reading's series, where they are others than before.
    fn note(&mut self, reading: &Reading, all: &[One]) {
        if self.number > 0 && self.is_of(reading) {
            return;
        }
        self.shape = Arc::clone(reading.snapshot.shape());
        self.labels = reading.labels.clone();
        self.fold.forget();
        let mut series = self
            .shape
            .families()
            .flat_map(|family| family.series().map(move |series| (family.desc(), series)));
        self.hides = series.any(|(desc, series)| {
            let mut hiding = all.iter().filter(|one| !one.options.keep_parts);
            hiding.any(|one| one.roll_up.combines(&self.labels, desc, series.labels()))
        });
    }

    /// What stands for the source while it cannot be read.
    fn nothing(&self) -> Part<'_> {
        Part {
            snapshot: &self.silent,
            labels: &self.labels,
        }
    }

    /// Leaves out what goes into a roll-up that does not keep it.
    fn hide(&mut self, reading: &Reading, all: &[One]) {
        let Self {
            labels, fold, rest, ..
        } = self;
        fold.run(&[&reading.snapshot], rest, |series| {
            let mut hiding = all.iter().filter(|one| !one.options.keep_parts);
            !hiding.any(|one| {
                let own = series
                    .labels
                    .iter()
                    .map(|(name, value)| (&**name, &**value));
                one.roll_up.combines(labels, &series.desc, own)
            })
        });
    }
}

impl RollUps {
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Sets the roll-ups. One that was there before goes on with what it remembers.
    pub(super) fn set(&mut self, wanted: impl IntoIterator<Item = RollUpOptions>) {
        let mut before = std::mem::take(&mut self.all);
        for options in wanted {
            if self.all.iter().any(|one| one.options == options) {
                continue;
            }
            let known = before.iter().position(|one| one.options == options);
            self.all.push(match known {
                Some(index) => before.swap_remove(index),
                None => One {
                    roll_up: RollUp::over(options.over.iter().map(String::as_str))
                        .families(options.families.clone())
                        .only_combined(),
                    sums: Snapshot::new(),
                    options,
                },
            });
        }
        // What is hidden may be something else now. That readings were seen is still true.
        for seen in &mut self.seen {
            seen.shape = Arc::default();
            seen.fold.forget();
        }
    }

    /// Puts newer readings in the place of those that another page has overtaken.
    pub(super) fn renew(&mut self, cells: &Cells, outcomes: &mut [Outcome]) {
        self.align(cells);
        for ((_, cell), outcome) in cells.iter().zip(outcomes) {
            cell.renew(outcome);
        }
    }

    /// Rolls up what the sources said and hands on what goes on the page: of each source what no
    /// roll-up took, the roll-ups, and what is `ours`.
    pub(super) fn run(
        &mut self,
        outcomes: &[Outcome],
        ours: Part<'_>,
        write: impl FnOnce(&[Part<'_>]),
    ) {
        let Self { all, seen, .. } = self;
        let is_older = |(seen, outcome): (&Seen, &Outcome)| {
            let reading = outcome.success();
            reading.is_some_and(|reading| reading.number < seen.number)
        };
        let overtaken = seen.iter().zip(outcomes).any(is_older);
        for (seen, outcome) in seen.iter_mut().zip(outcomes) {
            let Some(reading) = outcome.success() else {
                seen.silent.reset_to(&seen.shape);
                continue;
            };
            seen.note(reading, all);
            seen.number = seen.number.max(reading.number);
            if seen.hides {
                seen.hide(reading, all);
            }
        }
        // One vector for both lists: a roll-up costs a page no allocation.
        let mut parts = Vec::with_capacity(seen.len() + all.len() + 1);
        if !overtaken {
            let whole = seen.iter().zip(outcomes);
            parts.extend(
                whole.map(|(seen, outcome)| outcome.success().map_or_else(|| seen.nothing(), part)),
            );
            for one in &mut *all {
                one.roll_up.run(&parts, &mut one.sums);
            }
            parts.clear();
        }
        let left = seen.iter().zip(outcomes);
        parts.extend(left.filter_map(|(seen, outcome)| {
            let whole = part(outcome.success()?);
            let snapshot = if seen.hides {
                &seen.rest
            } else {
                whole.snapshot
            };
            Some(Part { snapshot, ..whole })
        }));
        parts.extend(all.iter().map(|one| Part {
            snapshot: &one.sums,
            labels: ours.labels,
        }));
        parts.push(ours);
        write(&parts);
    }

    /// Follows the list of sources.
    fn align(&mut self, cells: &Cells) {
        let known = self.cells.as_ref().map(Weak::as_ptr);
        // While there is a weak pointer, no other list can have its address.
        if known.is_some_and(|known| std::ptr::addr_eq(known, Arc::as_ptr(cells))) {
            return;
        }
        self.cells = Some(Arc::downgrade(cells));
        let before = self.seen.drain(..).map(|seen| (seen.key, seen));
        let mut before: HashMap<SourceKey, Seen> = before.collect();
        self.seen = cells
            .iter()
            .map(|(key, _)| before.remove(key).unwrap_or_else(|| Seen::new(*key)))
            .collect();
    }
}

/// A reading as a part of a page.
pub(super) fn part(reading: &Reading) -> Part<'_> {
    Part {
        snapshot: &reading.snapshot,
        labels: &reading.labels,
    }
}
