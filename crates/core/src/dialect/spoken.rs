//! Dialects put together: which name goes out for which quantity, with every clash refused.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use super::Dialect;
use super::row::{LabelRule, Matcher, Quantity, Row};
use crate::{Desc, MetricType, is_label_name, is_metric_name};

/// One name on the page and everyone who speaks it.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) name: Cow<'static, str>,
    pub(crate) kind: MetricType,
    /// At least one; the others stand in for it where it is absent.
    pub(crate) quantities: Vec<Quantity>,
    pub(crate) factor: f64,
    pub(crate) help: Option<Cow<'static, str>>,
    pub(crate) voices: Vec<Voice>,
    giver: Giver,
}

/// What one row does with the labels. A voice without rules is the canonical one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Voice {
    pub(crate) matchers: Vec<Matcher>,
    pub(crate) labels: Vec<LabelRule>,
    pub(crate) constants: Vec<(Cow<'static, str>, Cow<'static, str>)>,
}

/// A row of a dialect, as an error names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Giver {
    dialect: Box<str>,
    row: Box<str>,
}

impl Giver {
    fn of(dialect: &Dialect, row: &Row) -> Self {
        Self {
            dialect: dialect.name().into(),
            row: row.to_string().into(),
        }
    }

    fn canonical(dialect: &str, desc: &Desc) -> Self {
        Self {
            dialect: dialect.into(),
            row: format!("{} {}", desc.kind(), desc.name()).into(),
        }
    }

    /// The name of the dialect.
    #[must_use]
    pub fn dialect(&self) -> &str {
        &self.dialect
    }
}

impl fmt::Display for Giver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "dialect {} ({})", self.dialect, self.row)
    }
}

/// Why dialects cannot be spoken, or not together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DialectError {
    /// Two rows give one name, or one sample name such as `x_count`, to different things.
    #[error("two rows give the name {name}: {first} and {second}")]
    Name {
        /// The name on the page.
        name: Box<str>,
        /// The row that came first.
        first: Giver,
        /// The row that clashes with it.
        second: Giver,
    },
    /// Two rows speak the same family under the same name, and give one label different meanings.
    #[error("two rows give the label {label} of {name}: {first} and {second}")]
    Label {
        /// The name on the page.
        name: Box<str>,
        /// The label both write.
        label: Box<str>,
        /// The row that came first.
        first: Giver,
        /// The row that clashes with it.
        second: Giver,
    },
    /// A name that cannot stand on a page.
    #[error("{name:?} is not a name that a page can carry: {giver}")]
    InvalidName {
        /// The name of the series or of a label.
        name: Box<str>,
        /// The row.
        giver: Giver,
    },
    /// A factor that is zero, negative or not finite.
    #[error("the factor must be a finite number above zero: {giver}")]
    InvalidFactor {
        /// The row.
        giver: Giver,
    },
    /// The family cannot go out as the type that the row says.
    #[error("{family} is a {source_kind} and cannot go out as this type: {giver}")]
    Type {
        /// The family.
        family: Box<str>,
        /// Its type in the model.
        source_kind: MetricType,
        /// The row.
        giver: Giver,
    },
}

/// One or several dialects that were found to go together.
///
/// ```
/// use std::sync::Arc;
/// use tokenpath_core::dialect::{Dialect, Row, Spoken};
/// use tokenpath_core::{Desc, MetricType, Unit};
///
/// let families = [Arc::new(Desc::new("llm_requests_waiting", MetricType::Gauge, Unit::None, "Waiting."))];
/// let worker = Dialect::new(
///     "worker",
///     vec![Row::family("llm_requests_waiting", "llm_queue_depth", MetricType::Gauge)],
/// );
/// let spoken = Spoken::new(&[Dialect::llm(), worker.clone()], &families)?;
/// assert!(spoken.is_canonical());
///
/// let other = Dialect::new(
///     "other",
///     vec![Row::family("llm_requests_running", "llm_queue_depth", MetricType::Gauge)],
/// );
/// let error = Spoken::new(&[worker, other], &families).unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "two rows give the name llm_queue_depth: \
///      dialect worker (llm_requests_waiting as gauge llm_queue_depth) and \
///      dialect other (llm_requests_running as gauge llm_queue_depth)"
/// );
/// # Ok::<(), tokenpath_core::dialect::DialectError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Spoken {
    canonical: bool,
    targets: Vec<Target>,
    /// Which quantity of which target a family is the first one of.
    by_family: HashMap<Box<str>, Vec<(usize, usize)>>,
}

impl Default for Spoken {
    fn default() -> Self {
        Self::canonical()
    }
}

impl Spoken {
    /// The canonical dialect alone.
    #[must_use]
    pub fn canonical() -> Self {
        Self {
            canonical: true,
            targets: Vec::new(),
            by_family: HashMap::new(),
        }
    }

    /// Puts dialects together. `families` are those that the sources describe: with them, types are
    /// checked, and so are clashes with canonical names. A family that is not among them (one that
    /// came up at run time) is checked when it goes out, where the later of two is refused and
    /// counted.
    ///
    /// # Errors
    ///
    /// Where two rows cannot both be spoken, or one cannot be spoken at all.
    pub fn new<'d>(
        dialects: impl IntoIterator<Item = &'d Dialect>,
        families: &[Arc<Desc>],
    ) -> Result<Self, DialectError> {
        let mut spoken = Self {
            canonical: false,
            targets: Vec::new(),
            by_family: HashMap::new(),
        };
        let dialects: Vec<_> = dialects.into_iter().collect();
        let kinds: HashMap<_, _> = families.iter().map(|d| (d.name(), d.kind())).collect();
        let mut names = Names::default();
        if let Some(canonical) = dialects.iter().find(|dialect| dialect.is_canonical()) {
            spoken.canonical = true;
            for desc in families {
                // Two canonical families that clash are the model's fault, and counted at run time.
                let giver = Giver::canonical(canonical.name(), desc);
                let _ = names.claim(desc.name(), desc.kind(), &giver);
            }
        }
        for dialect in dialects {
            for row in dialect.rows() {
                spoken.add(dialect, row, &kinds, &mut names)?;
            }
        }
        for (index, target) in spoken.targets.iter().enumerate() {
            for (rank, quantity) in target.quantities.iter().enumerate() {
                let family = quantity.first().into();
                let entry = spoken.by_family.entry(family).or_default();
                entry.push((index, rank));
            }
        }
        Ok(spoken)
    }

    /// Whether every family also goes out under its own name.
    #[must_use]
    pub const fn is_canonical(&self) -> bool {
        self.canonical
    }

    /// What the rows speak about: each name on the page with its quantities, in the order of the
    /// rows. The names of the canonical dialect are not among them.
    pub fn names(&self) -> impl ExactSizeIterator<Item = (&str, &[Quantity])> {
        self.targets.iter().map(|t| (&*t.name, &*t.quantities))
    }

    /// The targets of which this is the first family, with the rank of that quantity in them.
    pub(crate) fn targets_of(&self, family: &str) -> impl Iterator<Item = (&Target, usize)> {
        let places = self.by_family.get(family).map_or(&[][..], Vec::as_slice);
        places
            .iter()
            .map(|(index, rank)| (&self.targets[*index], *rank))
    }

    fn add(
        &mut self,
        dialect: &Dialect,
        row: &Row,
        kinds: &HashMap<&str, MetricType>,
        names: &mut Names,
    ) -> Result<(), DialectError> {
        let giver = Giver::of(dialect, row);
        check_row(row, kinds, &giver)?;
        let is_own_name = row.quantity == Quantity::Family(row.name.clone())
            && row.otherwise.is_empty()
            && is_one(row.factor);
        if let Some(target) = self.targets.iter_mut().find(|t| t.name == row.name) {
            let same = target.quantities.iter().eq(row.quantities())
                && target.factor.to_bits() == row.factor.to_bits()
                && target.kind == row.kind;
            if !same {
                return Err(DialectError::Name {
                    name: row.name.as_ref().into(),
                    first: target.giver.clone(),
                    second: giver,
                });
            }
            for voice in &target.voices {
                if let Some(label) = label_clash(voice, row) {
                    return Err(DialectError::Label {
                        name: row.name.as_ref().into(),
                        label: label.into(),
                        first: target.giver.clone(),
                        second: giver,
                    });
                }
            }
            target.voices.push(Voice::of(row));
            return Ok(());
        }
        let joins_canonical = self.canonical
            && is_own_name
            && kinds.get(&*row.name).is_none_or(|kind| *kind == row.kind);
        if !joins_canonical {
            names
                .claim(&row.name, row.kind, &giver)
                .map_err(|(name, first)| DialectError::Name {
                    name,
                    first,
                    second: giver.clone(),
                })?;
        }
        let mut voices = Vec::new();
        if joins_canonical {
            voices.push(Voice::default());
        }
        voices.push(Voice::of(row));
        self.targets.push(Target {
            name: row.name.clone(),
            kind: row.kind,
            quantities: row.quantities().cloned().collect(),
            factor: row.factor,
            help: row.help.clone(),
            voices,
            giver,
        });
        Ok(())
    }
}

impl Target {
    /// Whether this is a family under its own name, unchanged but for labels.
    pub(crate) fn is_own_name(&self) -> bool {
        is_one(self.factor)
            && matches!(&*self.quantities, [Quantity::Family(family)] if *family == self.name)
    }
}

impl Voice {
    fn of(row: &Row) -> Self {
        Self {
            matchers: row.matchers.clone(),
            labels: row.labels.clone(),
            constants: row.constants.clone(),
        }
    }
}

const fn is_one(factor: f64) -> bool {
    factor.to_bits() == 1.0_f64.to_bits()
}

fn check_row(
    row: &Row,
    kinds: &HashMap<&str, MetricType>,
    giver: &Giver,
) -> Result<(), DialectError> {
    let invalid = |name: &str| DialectError::InvalidName {
        name: name.into(),
        giver: giver.clone(),
    };
    if !is_metric_name(&row.name) {
        return Err(invalid(&row.name));
    }
    for (name, _) in &row.constants {
        if !is_label_name(name) {
            return Err(invalid(name));
        }
    }
    for (to, _) in row.labels.iter().filter_map(LabelRule::writes) {
        if !is_label_name(to) {
            return Err(invalid(to));
        }
    }
    if !(row.factor.is_finite() && row.factor > 0.0) {
        return Err(DialectError::InvalidFactor {
            giver: giver.clone(),
        });
    }
    let families = row.quantities().flat_map(|quantity| {
        let both = [Some(quantity.first()), quantity.second()];
        both.into_iter()
            .flatten()
            .map(move |family| (quantity, family))
    });
    for (quantity, family) in families {
        if let Some(kind) = kinds.get(family)
            && !row.takes(quantity, *kind)
        {
            return Err(DialectError::Type {
                family: family.into(),
                source_kind: *kind,
                giver: giver.clone(),
            });
        }
    }
    Ok(())
}

/// A label that both write, with different meanings.
fn label_clash<'r>(voice: &Voice, row: &'r Row) -> Option<&'r str> {
    let written_from = |rules: &[LabelRule], label: &str| {
        rules
            .iter()
            .filter_map(LabelRule::writes)
            .find_map(|(to, meaning)| (to == label).then_some(meaning))
    };
    let constant = |constants: &[(Cow<'static, str>, Cow<'static, str>)], label: &str| {
        constants
            .iter()
            .find(|(name, _)| name == label)
            .map(|(_, value)| value.clone())
    };
    let clashes = |label: &str| {
        let theirs = (
            written_from(&voice.labels, label),
            constant(&voice.constants, label),
        );
        let ours = (
            written_from(&row.labels, label),
            constant(&row.constants, label),
        );
        theirs != (None, None) && ours != (None, None) && theirs != ours
    };
    let renamed = row
        .labels
        .iter()
        .filter_map(LabelRule::writes)
        .map(|(to, _)| to);
    let constants = row.constants.iter().map(|(name, _)| &**name);
    renamed.chain(constants).find(|label| clashes(label))
}

/// The names of families and samples that are taken, and by whom.
#[derive(Debug, Default)]
struct Names(HashMap<Box<str>, Giver>);

impl Names {
    fn claim(
        &mut self,
        name: &str,
        kind: MetricType,
        giver: &Giver,
    ) -> Result<(), (Box<str>, Giver)> {
        for suffix in std::iter::once("").chain(sample_suffixes(kind).iter().copied()) {
            let name: Box<str> = format!("{name}{suffix}").into();
            if let Some(taken) = self.0.insert(name.clone(), giver.clone()) {
                return Err((name, taken));
            }
        }
        Ok(())
    }
}

/// What text 0.0.4 appends to the name of a family of this type.
pub(crate) const fn sample_suffixes(kind: MetricType) -> &'static [&'static str] {
    match kind {
        MetricType::Histogram | MetricType::GaugeHistogram => &["_bucket", "_sum", "_count"],
        MetricType::Summary => &["_sum", "_count"],
        _ => &[],
    }
}
