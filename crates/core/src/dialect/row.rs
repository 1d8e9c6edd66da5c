//! One row of a dialect.

use std::borrow::Cow;
use std::fmt;

use crate::MetricType;

/// Text that is constant in built-in tables and owned where configuration says it.
type Text = Cow<'static, str>;

/// What a row speaks about: a family, or one number made of two families.
///
/// Two families are joined on equal labels. The result is absent where either side is, and a ratio
/// also where the divisor is zero.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Quantity {
    /// A family as it is.
    Family(Text),
    /// The first divided by the second.
    Ratio(Text, Text),
    /// The first less the second.
    Diff(Text, Text),
    /// Both together.
    Sum(Text, Text),
    /// Of a family's series that differ in one label only: the number that this label has in the one
    /// with the largest value. The code of the newest event, where the family is the time of each.
    LabelOfLargest(Text, Text),
}

impl Quantity {
    /// The family whose series give the labels: the only one, or the first of two.
    #[must_use]
    pub fn first(&self) -> &str {
        match self {
            Self::Family(family)
            | Self::Ratio(family, _)
            | Self::Diff(family, _)
            | Self::Sum(family, _)
            | Self::LabelOfLargest(family, _) => family,
        }
    }

    /// The second of two families.
    #[must_use]
    pub fn second(&self) -> Option<&str> {
        match self {
            Self::Family(_) | Self::LabelOfLargest(..) => None,
            Self::Ratio(_, second) | Self::Diff(_, second) | Self::Sum(_, second) => Some(second),
        }
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Family(family) => f.write_str(family),
            Self::Ratio(first, second) => write!(f, "ratio({first}, {second})"),
            Self::Diff(first, second) => write!(f, "diff({first}, {second})"),
            Self::Sum(first, second) => write!(f, "sum({first}, {second})"),
            Self::LabelOfLargest(family, label) => {
                write!(f, "label_of_largest({family}, {label})")
            }
        }
    }
}

/// A condition on one label. A label that is not there has the empty value, as in PromQL.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Matcher {
    label: Text,
    value: Text,
    equal: bool,
}

impl Matcher {
    /// The label has this value.
    #[must_use]
    pub fn is(label: impl Into<Text>, value: impl Into<Text>) -> Self {
        Self {
            label: label.into(),
            value: value.into(),
            equal: true,
        }
    }

    /// The label has another value, or is not there.
    #[must_use]
    pub fn is_not(label: impl Into<Text>, value: impl Into<Text>) -> Self {
        Self {
            label: label.into(),
            value: value.into(),
            equal: false,
        }
    }

    /// The name of the label.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Whether it holds for a set of labels, given as a look-up by name.
    pub(crate) fn holds<'v>(&self, value_of: impl Fn(&str) -> Option<&'v str>) -> bool {
        (value_of(&self.label).unwrap_or_default() == self.value) == self.equal
    }
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.equal { "=" } else { "!=" };
        write!(f, "{}{sign}{:?}", self.label, self.value)
    }
}

/// What happens to one label. A label without a rule stays as it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LabelRule {
    /// It goes out under another name. A label that had that name before becomes `exported_…`.
    Rename {
        /// The name in the model.
        from: Text,
        /// The name on the page.
        to: Text,
    },
    /// It is left out.
    Drop(Text),
    /// A label of this name is added where the series has none: the value of another one, which
    /// stays, behind a prefix.
    Copy {
        /// The name in the model.
        from: Text,
        /// The name on the page.
        to: Text,
        /// What stands in front of the value.
        prefix: Text,
    },
    /// A label is added from another family of the same source, usually an info: from its series
    /// that agrees in one label. Where there is none, the label is not there.
    Join {
        /// The other family.
        family: Text,
        /// The label in which both agree.
        on: Text,
        /// The label that is taken.
        label: Text,
        /// The name on the page.
        to: Text,
    },
}

impl LabelRule {
    /// Whether this decides what becomes of the label itself.
    pub(crate) fn concerns(&self, label: &str) -> bool {
        match self {
            Self::Rename { from, .. } => from == label,
            Self::Drop(name) => name == label,
            Self::Copy { .. } | Self::Join { .. } => false,
        }
    }

    /// The label it writes, and what that label then means: two rules with equal meanings write the
    /// same value.
    pub(crate) fn writes(&self) -> Option<(&str, String)> {
        match self {
            Self::Rename { from, to } => Some((to, from.to_string())),
            Self::Copy { from, to, prefix } => Some((to, format!("{prefix}{from}"))),
            Self::Join {
                family,
                on,
                label,
                to,
            } => Some((to, format!("{family}[{on}].{label}"))),
            Self::Drop(_) => None,
        }
    }
}

/// One row of a dialect: a quantity, and how it goes out.
///
/// ```
/// use tokenpath_core::MetricType;
/// use tokenpath_core::dialect::{Matcher, Row};
///
/// // Misses are not counted upstream: lookups less hits.
/// let misses = Row::diff(
///     "llm_prefix_cache_queries_total",
///     "llm_prefix_cache_hits_total",
///     "llm_d_prefix_cache_miss_total",
///     MetricType::Counter,
/// )
/// .when(Matcher::is("cache", "local"))
/// .drop_label("cache")
/// .rename_label("model_name", "model");
/// assert_eq!(misses.quantity().to_string(), "diff(llm_prefix_cache_queries_total, llm_prefix_cache_hits_total)");
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub(crate) quantity: Quantity,
    pub(crate) otherwise: Vec<Quantity>,
    pub(crate) name: Text,
    pub(crate) kind: MetricType,
    pub(crate) factor: f64,
    pub(crate) matchers: Vec<Matcher>,
    pub(crate) labels: Vec<LabelRule>,
    pub(crate) constants: Vec<(Text, Text)>,
    pub(crate) help: Option<Text>,
}

impl Row {
    fn of(quantity: Quantity, name: Text, kind: MetricType) -> Self {
        Self {
            quantity,
            otherwise: Vec::new(),
            name,
            kind,
            factor: 1.0,
            matchers: Vec::new(),
            labels: Vec::new(),
            constants: Vec::new(),
            help: None,
        }
    }

    /// A family under another name.
    #[must_use]
    pub fn family(family: impl Into<Text>, name: impl Into<Text>, kind: MetricType) -> Self {
        Self::of(Quantity::Family(family.into()), name.into(), kind)
    }

    /// `first` divided by `second`.
    #[must_use]
    pub fn ratio(
        first: impl Into<Text>,
        second: impl Into<Text>,
        name: impl Into<Text>,
        kind: MetricType,
    ) -> Self {
        let quantity = Quantity::Ratio(first.into(), second.into());
        Self::of(quantity, name.into(), kind)
    }

    /// `first` less `second`.
    #[must_use]
    pub fn diff(
        first: impl Into<Text>,
        second: impl Into<Text>,
        name: impl Into<Text>,
        kind: MetricType,
    ) -> Self {
        let quantity = Quantity::Diff(first.into(), second.into());
        Self::of(quantity, name.into(), kind)
    }

    /// `first` and `second` together.
    #[must_use]
    pub fn sum(
        first: impl Into<Text>,
        second: impl Into<Text>,
        name: impl Into<Text>,
        kind: MetricType,
    ) -> Self {
        let quantity = Quantity::Sum(first.into(), second.into());
        Self::of(quantity, name.into(), kind)
    }

    /// The number that `label` has in the series of `family` with the largest value, among those that
    /// differ in it only.
    #[must_use]
    pub fn label_of_largest(
        family: impl Into<Text>,
        label: impl Into<Text>,
        name: impl Into<Text>,
        kind: MetricType,
    ) -> Self {
        let quantity = Quantity::LabelOfLargest(family.into(), label.into());
        Self::of(quantity, name.into(), kind)
    }

    /// What goes out instead where the quantity so far is absent: for engines that measure the same
    /// thing in one of several ways. Series by series, the first quantity that has a value counts.
    #[must_use]
    pub fn or(mut self, quantity: Quantity) -> Self {
        self.otherwise.push(quantity);
        self
    }

    /// Multiplies the values: of a histogram the edges and the sum, of a summary the quantiles'
    /// values and the sum. Counts stay. A product that is a whole number but for its last bit is
    /// that whole number: 0.29 times 100 is 29.
    #[must_use]
    pub fn factor(mut self, factor: f64) -> Self {
        self.factor = factor;
        self
    }

    /// Takes only series of which this holds (all conditions, where there are several). The labels
    /// looked at are those of the model, the constant ones of the source included.
    #[must_use]
    pub fn when(mut self, matcher: Matcher) -> Self {
        self.matchers.push(matcher);
        self
    }

    /// A label goes out under another name.
    #[must_use]
    pub fn rename_label(mut self, from: impl Into<Text>, to: impl Into<Text>) -> Self {
        self.labels.push(LabelRule::Rename {
            from: from.into(),
            to: to.into(),
        });
        self
    }

    /// A label is left out.
    #[must_use]
    pub fn drop_label(mut self, name: impl Into<Text>) -> Self {
        self.labels.push(LabelRule::Drop(name.into()));
        self
    }

    /// A label of the name `to` is added where the series has none, with the value of `from`, which
    /// stays.
    #[must_use]
    pub fn copy_label(self, from: impl Into<Text>, to: impl Into<Text>) -> Self {
        self.prefix_label(from, to, "")
    }

    /// As [`copy_label`](Self::copy_label), with `prefix` in front of the value.
    #[must_use]
    pub fn prefix_label(
        mut self,
        from: impl Into<Text>,
        to: impl Into<Text>,
        prefix: impl Into<Text>,
    ) -> Self {
        self.labels.push(LabelRule::Copy {
            from: from.into(),
            to: to.into(),
            prefix: prefix.into(),
        });
        self
    }

    /// A label of the name `to` is added: the value of `label` in that series of `family`, from the
    /// same source, that has the same value of the label `on`.
    #[must_use]
    pub fn join_label(
        mut self,
        family: impl Into<Text>,
        on: impl Into<Text>,
        label: impl Into<Text>,
        to: impl Into<Text>,
    ) -> Self {
        self.labels.push(LabelRule::Join {
            family: family.into(),
            on: on.into(),
            label: label.into(),
            to: to.into(),
        });
        self
    }

    /// A label with a constant value is added; it replaces one of that name.
    #[must_use]
    pub fn constant(mut self, name: impl Into<Text>, value: impl Into<Text>) -> Self {
        self.constants.push((name.into(), value.into()));
        self
    }

    /// The same row under another name.
    #[must_use]
    pub fn called(mut self, name: impl Into<Text>) -> Self {
        self.name = name.into();
        self
    }

    /// Another help text than the family's.
    #[must_use]
    pub fn help(mut self, help: impl Into<Text>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// What the row speaks about, in the first place.
    #[must_use]
    pub const fn quantity(&self) -> &Quantity {
        &self.quantity
    }

    /// All that the row may speak about, in the order in which it is preferred.
    pub fn quantities(&self) -> impl Iterator<Item = &Quantity> {
        std::iter::once(&self.quantity).chain(&self.otherwise)
    }

    /// Its conditions on labels.
    #[must_use]
    pub fn matchers(&self) -> &[Matcher] {
        &self.matchers
    }

    /// What happens to labels.
    #[must_use]
    pub fn label_rules(&self) -> &[LabelRule] {
        &self.labels
    }

    /// The labels that are added, with their values.
    pub fn constants(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.constants
            .iter()
            .map(|(name, value)| (&**name, &**value))
    }

    /// What values are multiplied by.
    #[must_use]
    pub const fn scale(&self) -> f64 {
        self.factor
    }

    /// The name on the page.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The type on the page.
    #[must_use]
    pub const fn kind(&self) -> MetricType {
        self.kind
    }

    /// Whether a family of type `source` can go out as this row's type: histograms and summaries
    /// only as themselves, single values as any type that has them.
    ///
    /// Of two families made one number, this asks about each.
    #[must_use]
    pub fn takes(&self, quantity: &Quantity, source: MetricType) -> bool {
        const fn slots(kind: MetricType) -> u8 {
            match kind {
                MetricType::Histogram | MetricType::GaugeHistogram => 1,
                MetricType::Summary => 2,
                _ => 0,
            }
        }
        let single = matches!(quantity, Quantity::Family(_)) || slots(source) == 0;
        single && slots(source) == slots(self.kind)
    }
}
