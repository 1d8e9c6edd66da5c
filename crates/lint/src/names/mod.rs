//! The names that exist: ours, those of each engine in each release, those of the dialects; or, where
//! a page is given, those of the page.

mod build;
mod page;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use tokenpath_core::catalogue::Catalogue;
use tokenpath_core::exposition::ParseError;
use tokenpath_core::{Desc, MetricType, Unit};
use tokenpath_text::nearest::nearest;

/// An engine whose names are known.
#[derive(Clone, Debug)]
pub struct Upstream {
    /// What becomes of its page, and in which releases it has what.
    pub catalogue: Catalogue,
    /// Labels of our families that its own page does not have.
    pub lacks: &'static [&'static str],
    /// Whether its page has labels that the operator chooses.
    pub open_labels: bool,
    /// Whether its page spells a whole edge as `5`, where Prometheus 3 stores `5.0`.
    pub short_edges: bool,
}

impl Upstream {
    /// An engine whose page has the labels that its catalogue says.
    #[must_use]
    pub const fn new(catalogue: Catalogue) -> Self {
        Self {
            catalogue,
            lacks: &[],
            open_labels: false,
            short_edges: false,
        }
    }
}

/// What [`Names`] are made of.
#[derive(Clone, Debug, Default)]
pub struct Known<'k> {
    /// Our families, by name.
    pub families: Vec<Arc<Desc>>,
    /// The engines.
    pub upstream: Vec<Upstream>,
    /// The dialects that are spoken, beside our own names: `worker`, `vllm-v0` …
    pub dialects: Vec<&'k str>,
}

/// All names that are known, with what is known about them.
#[derive(Clone, Debug, Default)]
pub struct Names {
    families: HashMap<String, Arc<Family>>,
    /// What names of an engine may begin with, longest first.
    prefixes: Vec<String>,
    left_out: Vec<String>,
    missing: Vec<(String, String)>,
    /// Whether a name that is not there is wrong, whoever it may belong to.
    closed: bool,
}

/// A family and what is known of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Family {
    pub(crate) name: String,
    pub(crate) kind: MetricType,
    pub(crate) measure: Option<Measure>,
    /// `None` where any may be there.
    pub(crate) labels: Option<BTreeSet<String>>,
    /// The kinds of engines that give it.
    pub(crate) backends: BTreeSet<String>,
    pub(crate) edges: Vec<f64>,
    pub(crate) short_edges: bool,
    pub(crate) is_canonical: bool,
    pub(crate) standing: Standing,
}

/// A unit, and how many of what is measured make one of it: 100 for percent, 1000 for milliseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Measure {
    pub(crate) unit: Unit,
    pub(crate) factor: f64,
}

impl Measure {
    pub(crate) fn is(self, unit: Unit, factor: f64) -> bool {
        self.unit == unit && (self.factor - factor).abs() < 1e-9 * factor
    }

    /// In words, for messages.
    pub(crate) fn words(self) -> String {
        match self.unit {
            Unit::Ratio if self.is(Unit::Ratio, 100.0) => "in percent, from 0 to 100".into(),
            Unit::Ratio if self.is(Unit::Ratio, 1.0) => "a fraction from 0 to 1".into(),
            Unit::Seconds if self.is(Unit::Seconds, 1000.0) => "in milliseconds".into(),
            unit if self.is(unit, 1.0) => format!("in {}", unit.suffix()),
            unit => format!("in {} times {}", unit.suffix(), self.factor),
        }
    }
}

/// Whether a name is on pages today.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Standing {
    Current,
    /// No release of today has it.
    Gone {
        /// The last releases that had it.
        until: String,
        heir: Option<Heir>,
        /// Our name for the same.
        canonical: Option<String>,
    },
    /// Only a dialect that is not spoken has it.
    Spoken {
        dialects: Vec<String>,
        canonical: String,
        heir: Option<Heir>,
    },
}

/// The name that took over.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Heir {
    pub(crate) name: String,
    pub(crate) since: String,
    /// Whether it means the same, sample for sample.
    pub(crate) same: bool,
}

/// Which part of a family a sample name means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// The value of a counter or gauge, or the name of a histogram or summary itself.
    Value,
    Bucket,
    Sum,
    Count,
}

impl Part {
    pub(crate) const fn suffix(self) -> &'static str {
        match self {
            Self::Value => "",
            Self::Bucket => "_bucket",
            Self::Sum => "_sum",
            Self::Count => "_count",
        }
    }
}

/// What a name is.
#[derive(Clone, Debug)]
pub(crate) enum Found<'n> {
    Known(&'n Arc<Family>, Part),
    /// Not of a kind that is known here.
    Foreign,
    /// It should be known and is not.
    Unknown {
        /// Why it cannot be there.
        why: Option<&'n str>,
        nearest: Option<String>,
    },
}

/// What names of ours and of those that we know begin with, beside the prefixes of the catalogues.
const SPACES: [&str; 10] = [
    "llm_",
    "tokenpath_",
    "limitador_",
    "llm_d_",
    "inference_model_",
    "inference_objective_",
    "inference_pool_",
    "inference_extension_",
    "gen_ai_server_",
    "dcgm_fi_",
];

/// What names of ours begin with, and those of others too: only what is close to a name of ours, or
/// known not to be there, is taken for one that is wrong.
const SHARED: [&str; 4] = ["gpu_", "DCGM_", "vllm_", "ray_vllm_"];

/// What Prometheus makes itself.
const PROMETHEUS: [&str; 3] = ["up", "ALERTS", "ALERTS_FOR_STATE"];

impl Names {
    /// The names of what is known.
    #[must_use]
    pub fn new(known: &Known<'_>) -> Self {
        build::names(known)
    }

    /// The names of a page: what is not on it does not exist. `known` is what is said about those that
    /// are not.
    ///
    /// # Errors
    ///
    /// Where the page cannot be read: line and column.
    pub fn of_page(page: &[u8], known: &Self) -> Result<Self, ParseError> {
        page::names(page, known)
    }

    /// How many families are known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.families.len()
    }

    /// Whether none is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.families.is_empty()
    }

    /// Looks a name up.
    pub(crate) fn find(&self, name: &str) -> Found<'_> {
        if let Some((family, part)) = self.exact(name) {
            return Found::Known(family, part);
        }
        if PROMETHEUS.contains(&name) || name.starts_with("scrape_") {
            return Found::Foreign;
        }
        // What rules record is named level:metric:operation, also beside an engine's `vllm:…`.
        let stripped = |prefix: &String| name.strip_prefix(&**prefix);
        let inside = self.prefixes.iter().find_map(stripped).unwrap_or(name);
        if inside.contains(':') {
            return Found::Foreign;
        }
        let base = name.strip_suffix("_created").unwrap_or(name);
        let created = base != name
            && (self.exact(base).is_some() || self.exact(&format!("{base}_total")).is_some());
        if created || self.is_left_out(name) {
            return Found::Foreign;
        }
        if let Some(why) = self.no_such_part(name) {
            let nearest = None;
            let why = Some(why);
            return Found::Unknown { why, nearest };
        }
        let why = || {
            let covers = |name: &str| {
                self.missing
                    .iter()
                    .find(|(pattern, _)| match pattern.strip_suffix('*') {
                        Some(beginning) => name.starts_with(beginning),
                        None => name == pattern,
                    })
            };
            let (base, _) = split(name);
            covers(name).or_else(|| covers(base)).map(|(_, why)| &**why)
        };
        let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| name.starts_with(prefix));
        let shared = starts(&SHARED);
        let prefixed = self
            .prefixes
            .iter()
            .any(|prefix| name.starts_with(&**prefix));
        let ours = self.closed || (!shared && (starts(&SPACES) || prefixed));
        if !ours && !shared {
            return match self.counter_like(name) {
                Some(near) => Found::Unknown {
                    why: None,
                    nearest: Some(near.to_owned()),
                },
                None => Found::Foreign,
            };
        }
        let (why, nearest) = (why(), self.nearest(name));
        if ours || why.is_some() || nearest.is_some() {
            Found::Unknown { why, nearest }
        } else {
            Found::Foreign
        }
    }

    /// The counter that a name is, but for its `_total`: names without a prefix (Limitador's) are told
    /// from those of others by that alone.
    fn counter_like(&self, name: &str) -> Option<&str> {
        let without = name.strip_suffix("_total")?;
        let family = self.families.get(without)?;
        (family.kind == MetricType::Counter).then_some(&*family.name)
    }

    /// Why a family that is there has no such samples.
    fn no_such_part(&self, name: &str) -> Option<&'static str> {
        let (base, part) = split(name);
        match (self.families.get(base)?.kind, part) {
            (_, Part::Value) => None,
            (MetricType::Summary, _) => Some("it is a summary, with quantiles and no buckets"),
            (MetricType::Counter, _) => Some("it is a counter, and the name alone is its sample"),
            (MetricType::Gauge, _) => Some("it is a gauge, and the name alone is its sample"),
            _ => None,
        }
    }

    /// Whether a name that is not there is wrong, whoever it may belong to.
    pub(crate) const fn is_closed(&self) -> bool {
        self.closed
    }

    fn exact(&self, name: &str) -> Option<(&Arc<Family>, Part)> {
        if let Some(family) = self.families.get(name) {
            return Some((family, Part::Value));
        }
        let (base, part) = split(name);
        let family = self.families.get(base)?;
        let has = match family.kind {
            MetricType::Histogram | MetricType::GaugeHistogram => part != Part::Value,
            MetricType::Summary => matches!(part, Part::Sum | Part::Count),
            _ => false,
        };
        has.then_some((family, part))
    }

    fn is_left_out(&self, name: &str) -> bool {
        let stripped = |prefix: &String| name.strip_prefix(&**prefix);
        let inside = self.prefixes.iter().find_map(stripped);
        self.left_out.iter().any(|pattern| {
            let covers = |name: &str| match pattern.strip_suffix('*') {
                Some(beginning) => name.starts_with(beginning),
                None => name == pattern,
            };
            covers(name) || inside.is_some_and(covers)
        })
    }

    /// The name that was meant: with the same suffix, where the suffix is one of a histogram.
    fn nearest(&self, name: &str) -> Option<String> {
        let (base, part) = split(name);
        if part != Part::Value
            && let Some(near) = self.suggest(base)
            && let Some(family) = self.families.get(near)
            && matches!(family.kind, MetricType::Histogram | MetricType::Summary)
        {
            return Some(format!("{near}{}", part.suffix()));
        }
        self.suggest(name).map(str::to_owned)
    }

    fn suggest(&self, name: &str) -> Option<&str> {
        let current = |family: &&Arc<Family>| family.standing == Standing::Current;
        // A counter without its `_total`, or with one too many.
        let total = format!("{name}_total");
        let without = name.strip_suffix("_total").unwrap_or(name);
        let variants = [total.as_str(), without];
        let variant = variants.iter().find_map(|name| self.families.get(*name));
        if let Some(family) = variant.filter(current) {
            return Some(&family.name);
        }
        let mut candidates: Vec<&str> = self
            .families
            .values()
            .filter(current)
            .map(|family| &*family.name)
            .filter(|candidate| candidate.len().abs_diff(name.len()) <= name.len() / 4 + 1)
            // Nobody mistypes the beginning, and there are many names.
            .filter(|candidate| candidate.get(..4) == name.get(..4))
            .collect();
        candidates.sort_unstable();
        let near = nearest(name, candidates)?;
        // One letter in three is far for names that share their beginning and their unit.
        let closer = tokenpath_text::nearest::edits(name, near) * 5 <= name.len();
        closer.then_some(near)
    }
}

/// A name without the suffix of a histogram's sample.
pub(crate) fn split(name: &str) -> (&str, Part) {
    [Part::Bucket, Part::Sum, Part::Count]
        .into_iter()
        .find_map(|part| Some((name.strip_suffix(part.suffix())?, part)))
        .unwrap_or((name, Part::Value))
}
