//! The metrics page and the admin API, as one snapshot with bounded tenants.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use tokenpath_core::exposition::{Format, ParseError};
use tokenpath_core::fold::{BoundedValues, Fold, FoldSeries};
use tokenpath_core::translate::{Report, TranslateOptions, Translator};
use tokenpath_core::{Desc, ShapeId, Slot, Snapshot};

use crate::admin::AdminWriter;
use crate::families::{shared, tenants};
use crate::{Admin, TenantOptions, compiled};

/// Limitador's own labels.
const NAMESPACE: &str = "limitador_namespace";
const LIMIT: &str = "limit_name";

/// Of which namespaces hits are tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenNamespaces {
    /// Of none that is known: hits are `llm_tenant_hits_total`.
    #[default]
    None,
    /// Of all: hits are `llm_tenant_tokens_total`.
    All,
    /// Of these only.
    Only(BTreeSet<String>),
}

impl TokenNamespaces {
    /// Whether hits of the namespace are tokens.
    #[must_use]
    pub fn contains(&self, namespace: &str) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::Only(namespaces) => namespaces.contains(namespace),
        }
    }
}

/// How a limiter is read.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct LimitadorOptions {
    /// How the page is parsed.
    pub translate: TranslateOptions,
    /// Who the tenants are.
    pub tenants: TenantOptions,
    /// Whether hits are tokens, which neither page nor API says: they are where a
    /// TokenRateLimitPolicy reports them, and calls where a RateLimitPolicy does.
    pub tokens: TokenNamespaces,
}

/// Translates what one limiter says, reading by reading.
///
/// Once warm, a page with the series of the page before costs no allocation, in whatever order they
/// stand; neither do the windows of the admin API.
pub struct LimitadorTranslator {
    options: LimitadorOptions,
    page: Translator,
    translated: Snapshot,
    /// The shape whose namespaces are known, and where the page would have values of each.
    namespaces: (Option<ShapeId>, BTreeMap<String, Vec<Slot>>),
    admin: AdminWriter,
    tenants: BoundedValues,
    fold: Fold,
}

impl LimitadorTranslator {
    /// A translator for one limiter.
    #[must_use]
    pub fn new(options: LimitadorOptions) -> Self {
        Self {
            page: Translator::new(compiled(), options.translate),
            translated: Snapshot::new(),
            namespaces: (None, BTreeMap::new()),
            admin: AdminWriter::default(),
            tenants: BoundedValues::new(options.tenants.limit)
                .always(options.tenants.always.iter().map(String::as_str)),
            fold: Fold::new(),
            options,
        }
    }

    /// All families that it may give.
    #[must_use]
    pub fn describe() -> &'static [Arc<Desc>] {
        crate::families::families()
    }

    /// Reads the metrics page; [`finish`](Self::finish) then gives the snapshot.
    ///
    /// # Errors
    ///
    /// Where the page is not valid; nothing is known of it then.
    pub fn read_page(&mut self, page: &[u8], format: Format) -> Result<(), ParseError> {
        self.page.translate(page, format, &mut self.translated)?;
        // Their labels might name a tenant that is to be hidden.
        self.translated.clear_exemplars();
        self.find_namespaces();
        Ok(())
    }

    /// The namespaces on the newest page, each once, in the order of the alphabet.
    #[must_use]
    pub fn namespaces(&self) -> BTreeSet<&str> {
        let there = |slot: &Slot| self.translated.get(*slot).is_some();
        let known = self.namespaces.1.iter();
        let there = known.filter(|(_, slots)| slots.iter().any(there));
        there.map(|(namespace, _)| &**namespace).collect()
    }

    /// Works out where values of a namespace are: once for each shape.
    fn find_namespaces(&mut self) {
        let shape = self.translated.shape();
        let (known, namespaces) = &mut self.namespaces;
        if *known == Some(shape.id()) {
            return;
        }
        *known = Some(shape.id());
        namespaces.clear();
        for series in shape.families().flat_map(|family| family.series()) {
            if let Some(namespace) = series.label(NAMESPACE) {
                let slots = (0..series.slots()).map(|index| series.edge_slot(index));
                let known = namespaces.entry(namespace.to_owned()).or_default();
                known.extend(slots);
            }
        }
    }

    /// Joins the newest page with what the admin API said, into `out`, whatever was in it. How many
    /// tenants this reading was the first to fold is in the tally of `out`.
    pub fn finish(&mut self, admin: &Admin, out: &mut Snapshot) {
        let folded = self.admit(admin);
        self.admin
            .write(admin, &self.options.tenants, &self.tenants);
        let (options, tenants) = (&self.options, &self.tenants);
        let parts = [&self.translated, self.admin.snapshot()];
        self.fold
            .run(&parts, out, |series| relabel(series, options, tenants));
        out.tally_mut().fold_values("tenant", folded);
    }

    /// What became of each family of the newest page that had something new.
    #[must_use]
    pub fn report(&self) -> &Report {
        self.page.report()
    }

    /// Decides which tenants have series of their own. Gives how many are folded that were not.
    fn admit(&mut self, admin: &Admin) -> u64 {
        let of_windows = || {
            let windows = admin.windows.iter();
            let weighed = windows.map(|window| (&*window.tenant, window.used().unwrap_or(0.0)));
            weighed.filter(|(tenant, _)| !tenant.is_empty())
        };
        // The admin part changes its shape as windows come and go; only the page's counts here.
        let page_known = self.fold.knows_part(0, &self.translated);
        if page_known && of_windows().all(|(tenant, _)| self.tenants.knows(tenant)) {
            return 0;
        }
        let names = &self.options.tenants;
        let translated = &self.translated;
        let series = translated.shape().families().flat_map(|family| {
            let ours = family.desc().name() == tenants::REQUESTS.name();
            family.series().map(move |series| (ours, series))
        });
        let on_page = series.filter_map(|(requests, series)| {
            let tenant = names.of_labels(|label| series.label(label))?;
            let count = translated.get(series.slot()).filter(|_| requests);
            Some((tenant, count.unwrap_or(0.0)))
        });
        let present = on_page.chain(of_windows());
        let folded = self.tenants.admit(present);
        self.fold.forget();
        folded
    }
}

/// Makes our labels of Limitador's and the operator's.
fn relabel(
    series: &mut FoldSeries<'_>,
    options: &LimitadorOptions,
    tenants: &BoundedValues,
) -> bool {
    let name = series.desc.name();
    if name != tenants::REQUESTS.name() && name != tenants::HITS.name() {
        return true;
    }
    let hits = name == tenants::HITS.name();
    let upstream = std::mem::take(&mut series.labels);
    let label = |name: &str| {
        let found = upstream.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| &**value)
    };
    let mut ours = |name: &str, value: Cow<'_, str>| {
        let label = (Cow::Owned(name.to_owned()), Cow::Owned(value.into_owned()));
        series.labels.push(label);
    };
    let namespace = label(NAMESPACE).unwrap_or_default();
    ours("namespace", namespace.into());
    if let Some(tenant) = options.tenants.of_labels(label) {
        let shown = if options.tenants.apart(tenant, tenants) {
            options.tenants.shown(tenant)
        } else {
            options.tenants.other.as_str().into()
        };
        ours("tenant", shown);
    }
    if !hits {
        ours("decision", label("decision").unwrap_or_default().into());
        ours("limit", label(LIMIT).unwrap_or_default().into());
    }
    for (name, kept) in &options.tenants.keep {
        let value = label(name).filter(|value| !value.is_empty());
        if let Some(value) = value.filter(|_| TenantOptions::may_keep(kept)) {
            let there = series.labels.iter().any(|(known, _)| known == kept);
            if !there {
                let label = (Cow::Owned(kept.clone()), Cow::Owned(value.to_owned()));
                series.labels.push(label);
            }
        }
    }
    if hits && options.tokens.contains(namespace) {
        series.desc = Arc::clone(shared(&tenants::TOKENS));
    }
    true
}

/// Without the tenants.
impl fmt::Debug for LimitadorTranslator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LimitadorTranslator")
            .field("tenants_kept", &self.tenants.kept())
            .field("tenants_folded", &self.tenants.folded())
            .finish_non_exhaustive()
    }
}
