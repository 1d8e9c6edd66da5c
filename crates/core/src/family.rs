//! What a family of series is: its name, type, unit, help text and the labels it may carry.

use std::borrow::Cow;
use std::fmt;

use crate::rollup::Rollup;

/// The type of a family, as `# TYPE` says it.
///
/// The set is closed by the exposition formats: text 0.0.4 knows the first five
/// (`untyped` is spelled [`Unknown`](Self::Unknown) here), OpenMetrics 1.0 adds the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MetricType {
    /// Goes up, and back to zero when the process restarts.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Cumulative buckets with a sum and a count.
    Histogram,
    /// Quantiles (possibly none) with a sum and a count.
    Summary,
    /// No type was said: `untyped` in text 0.0.4, `unknown` in OpenMetrics.
    Unknown,
    /// Constant facts as labels of a series with value 1.
    Info,
    /// One series a state, 1 for those that hold.
    StateSet,
    /// A histogram of things that also leave (OpenMetrics only).
    GaugeHistogram,
}

impl MetricType {
    /// The word of text format 0.0.4, where the OpenMetrics types fall back to what 0.0.4 has.
    #[must_use]
    pub const fn text_name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge | Self::Info | Self::StateSet => "gauge",
            Self::Histogram | Self::GaugeHistogram => "histogram",
            Self::Summary => "summary",
            Self::Unknown => "untyped",
        }
    }

    /// The word of OpenMetrics 1.0.
    #[must_use]
    pub const fn openmetrics_name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Summary => "summary",
            Self::Unknown => "unknown",
            Self::Info => "info",
            Self::StateSet => "stateset",
            Self::GaugeHistogram => "gaugehistogram",
        }
    }
}

impl fmt::Display for MetricType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.openmetrics_name())
    }
}

/// The base unit a family's values are in; it is also the suffix of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Unit {
    /// A plain number: requests, tokens, blocks.
    None,
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
    /// A fraction from 0 to 1.
    Ratio,
    /// Joules.
    Joules,
    /// Watts.
    Watts,
    /// Degrees Celsius.
    Celsius,
    /// Hertz.
    Hertz,
}

impl Unit {
    /// The suffix that a name of this unit ends in (before `_total`); empty for [`Unit::None`].
    #[must_use]
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Seconds => "seconds",
            Self::Bytes => "bytes",
            Self::Ratio => "ratio",
            Self::Joules => "joules",
            Self::Watts => "watts",
            Self::Celsius => "celsius",
            Self::Hertz => "hertz",
        }
    }
}

/// A family of series: the one source of its name, type, unit, help and documented labels.
///
/// Built-in families are constants made by [`Desc::new`]; configuration may add more at run time,
/// which is why the text is `Cow` and a `Desc` is handed around behind an `Arc`. The *name* is the
/// identity: two descriptions of one name with different types are a clash (the second is refused).
///
/// ```
/// use tokenpath_core::{Desc, MetricType, Unit};
///
/// const TTFT: Desc = Desc::new(
///     "llm_time_to_first_token_seconds",
///     MetricType::Histogram,
///     Unit::Seconds,
///     "Time from the arrival of a request to its first token.",
/// )
/// .labels(&["model_name", "engine"]);
/// assert_eq!(TTFT.name(), "llm_time_to_first_token_seconds");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Desc {
    name: Cow<'static, str>,
    help: Cow<'static, str>,
    kind: MetricType,
    unit: Unit,
    labels: &'static [&'static str],
    rollup: Rollup,
    foreign: bool,
}

impl Desc {
    /// A family from constant text. `name` is complete, with its unit and `_total` suffixes.
    #[must_use]
    pub const fn new(name: &'static str, kind: MetricType, unit: Unit, help: &'static str) -> Self {
        let rollup = match kind {
            MetricType::Counter | MetricType::Histogram | MetricType::GaugeHistogram => Rollup::Sum,
            _ => Rollup::None,
        };
        Self {
            name: Cow::Borrowed(name),
            help: Cow::Borrowed(help),
            kind,
            unit,
            labels: &[],
            rollup,
            foreign: false,
        }
    }

    /// A family whose text is known at run time only.
    #[must_use]
    pub fn owned(name: String, kind: MetricType, unit: Unit, help: String) -> Self {
        let mut desc = Self::new("", kind, unit, "");
        desc.name = Cow::Owned(name);
        desc.help = Cow::Owned(help);
        desc
    }

    /// A family that came with its name from upstream, which no catalogue knows. It goes out under that
    /// name whatever dialects are spoken, stands back where the name is one of ours, and has no
    /// roll-up rule, because nobody knows what it counts.
    #[must_use]
    pub fn foreign(name: String, kind: MetricType, help: String) -> Self {
        let mut desc = Self::owned(name, kind, Unit::None, help).rollup(Rollup::None);
        desc.foreign = true;
        desc
    }

    /// Whether its name came from [upstream](Self::foreign).
    #[must_use]
    pub const fn is_foreign(&self) -> bool {
        self.foreign
    }

    /// The labels this family may carry besides those every series has (`backend`, `target`, …).
    #[must_use]
    pub const fn labels(mut self, labels: &'static [&'static str]) -> Self {
        self.labels = labels;
        self
    }

    /// How series of this family are combined where a roll-up is asked for.
    #[must_use]
    pub const fn rollup(mut self, rollup: Rollup) -> Self {
        self.rollup = rollup;
        self
    }

    /// The canonical name, for instance `llm_prompt_tokens_total`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// One line that says what is measured, and when.
    #[must_use]
    pub fn help(&self) -> &str {
        &self.help
    }

    /// The type.
    #[must_use]
    pub const fn kind(&self) -> MetricType {
        self.kind
    }

    /// The unit of the values.
    #[must_use]
    pub const fn unit(&self) -> Unit {
        self.unit
    }

    /// Documented label names, sorted as written.
    #[must_use]
    pub fn label_names(&self) -> &[&'static str] {
        self.labels
    }

    /// The roll-up rule.
    #[must_use]
    pub const fn rollup_rule(&self) -> Rollup {
        self.rollup
    }
}
