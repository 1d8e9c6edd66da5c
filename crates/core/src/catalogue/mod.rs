//! Catalogues: what an engine's page means, as data.
//!
//! A [`Catalogue`] is a table. A [`Row`] says what becomes of one upstream family by a closed list of
//! operations: rename, scale, rename / drop / map / default a label, add a constant one, take the sum
//! or count of a histogram, read a number or a list out of a label, keep only the newest series,
//! reduce over processes, share out a
//! number, drop. What these cannot say is named code in the backend's crate.
//!
//! A page carries no release: rows match by the names that are present. The releases on a row are
//! documentation, for `--explain` and the metrics reference.
//!
//! ```
//! use tokenpath_core::MetricType;
//! use tokenpath_core::catalogue::{Catalogue, Row};
//!
//! let catalogue = Catalogue::new("vllm")
//!     .prefixes(["vllm:", "vllm_"])
//!     .rows([
//!         Row::new("num_requests_running", MetricType::Gauge).to("llm_requests_running"),
//!         Row::new("request_success_total", MetricType::Counter)
//!             .to("llm_requests_finished_total")
//!             .rename_label("finished_reason", "finish_reason"),
//!     ])
//!     .left_out("http_*", "the web framework's own, not the token path");
//! assert_eq!(catalogue.strip("vllm:num_requests_running"), Some("num_requests_running"));
//! ```

mod compile;

use std::borrow::Cow;

pub use compile::{CatalogueError, Compiled, Families};

use crate::MetricType;

type Text = Cow<'static, str>;

/// What becomes of one engine's families: rows, and what is left out on purpose.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Catalogue {
    /// The kind of backend, as in the label `backend`.
    pub backend: Text,
    /// What names may begin with; it is taken off before rows are looked up. Longest first.
    pub prefixes: Vec<Text>,
    /// The rows, in no particular order. Several rows may share an upstream name.
    pub rows: Vec<Row>,
    /// Families that are left out on purpose.
    pub left_out: Vec<LeftOut>,
}

impl Catalogue {
    /// A catalogue without rows.
    #[must_use]
    pub fn new(backend: impl Into<Text>) -> Self {
        Self {
            backend: backend.into(),
            prefixes: Vec::new(),
            rows: Vec::new(),
            left_out: Vec::new(),
        }
    }

    /// Sets the prefixes that the engine's names are known under.
    #[must_use]
    pub fn prefixes<T: Into<Text>>(mut self, prefixes: impl IntoIterator<Item = T>) -> Self {
        self.prefixes.extend(prefixes.into_iter().map(Into::into));
        self.prefixes
            .sort_by_key(|prefix| std::cmp::Reverse(prefix.len()));
        self
    }

    /// Adds rows.
    #[must_use]
    pub fn rows(mut self, rows: impl IntoIterator<Item = Row>) -> Self {
        self.rows.extend(rows);
        self
    }

    /// Names a family, or with a `*` at the end all that begin so, that is left out, and says why.
    #[must_use]
    pub fn left_out(mut self, pattern: impl Into<Text>, why: impl Into<Text>) -> Self {
        self.left_out.push(LeftOut {
            pattern: pattern.into(),
            why: why.into(),
        });
        self
    }

    /// The name without the engine's prefix; `None` where it has none of them.
    #[must_use]
    pub fn strip<'n>(&self, name: &'n str) -> Option<&'n str> {
        self.prefixes
            .iter()
            .find_map(|prefix| name.strip_prefix(&**prefix))
    }
}

/// A family, or a group of them, that is left out on purpose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// The full name as on the page, or its beginning followed by `*`.
    pub pattern: Text,
    /// Why.
    pub why: Text,
}

impl LeftOut {
    /// Whether the name is meant.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        match self.pattern.strip_suffix('*') {
            Some(beginning) => name.starts_with(beginning),
            None => name == self.pattern,
        }
    }
}

/// What becomes of one upstream family.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Row {
    /// The name on the page without the engine's prefix: for a counter with its `_total`, for a
    /// histogram without `_bucket`.
    pub upstream: Text,
    /// The type that the page gives it.
    pub kind: MetricType,
    /// What it becomes.
    pub output: Output,
    /// What becomes of its labels, in this order.
    pub labels: Vec<LabelRule>,
    /// What its values are multiplied with.
    pub scale: Scale,
    /// Upstream names (without prefix) that say the same better: where one of them is on the page,
    /// this row is not used.
    pub superseded_by: Vec<Text>,
    /// How series that differ only in the label `pid` become one.
    pub processes: Reduce,
    /// A value that upstream uses to say "no value".
    pub sentinel: Option<f64>,
    /// Whether only the series with the largest value counts (label sets that upstream never
    /// removes, with the time of their last update as value).
    pub newest: bool,
    /// Where it is found. Documentation.
    pub releases: Vec<Releases>,
    /// The bucket edges of a histogram on its page as the newest release has them by default, those of
    /// older releases among them; empty where they depend on the operator or are not established.
    /// Documentation: what is read is what the page says.
    pub edges: Cow<'static, [f64]>,
    /// What a reader should know about this row. Documentation; may be empty.
    pub note: Text,
}

/// What an upstream family becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Output {
    /// The family of this name, series by series.
    Family(Text),
    /// A counter: the sum of the histogram or summary.
    Sum(Text),
    /// A counter: the count of the histogram or summary.
    Count(Text),
    /// A gauge: the text of a label, read as a number. Text that is none gives no sample.
    LabelNumber {
        /// The upstream label.
        label: Text,
        /// Our family.
        family: Text,
        /// The upstream label that tells the sharers of the number apart, where it is their sum and
        /// stands on the series of each: each then gets its part. How many share is how many values
        /// of this label the series with the same number have. Where one of several such series
        /// lacks the label, or the part is not whole, there is no sample.
        shared_by: Option<Text>,
    },
    /// A gauge: how many items the comma-separated list in a label has.
    LabelCount {
        /// The upstream label.
        label: Text,
        /// Our family.
        family: Text,
    },
    /// A series of value 1 for each item of the comma-separated list in a label.
    LabelItems {
        /// The upstream label.
        label: Text,
        /// Our family.
        family: Text,
        /// The label of ours that names the item.
        item: Text,
    },
    /// A series of value 1 whose labels are the facts.
    Facts(Text),
    /// Nothing, for this reason.
    Drop(Text),
}

impl Output {
    /// The name of our family; `None` for a dropped one.
    #[must_use]
    pub fn family(&self) -> Option<&str> {
        match self {
            Self::Family(family)
            | Self::Sum(family)
            | Self::Count(family)
            | Self::Facts(family) => Some(family),
            Self::LabelNumber { family, .. }
            | Self::LabelCount { family, .. }
            | Self::LabelItems { family, .. } => Some(family),
            Self::Drop(_) => None,
        }
    }
}

/// What becomes of a label.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LabelRule {
    /// Another name for it.
    Rename {
        /// The name upstream.
        from: Text,
        /// Our name.
        to: Text,
    },
    /// It is left out.
    Drop(Text),
    /// All labels but these are left out.
    Keep(Vec<Text>),
    /// One value for another; values that are not listed stay.
    MapValue {
        /// The label, by its name at this point.
        label: Text,
        /// Upstream's value.
        from: Text,
        /// Ours.
        to: Text,
    },
    /// A label that upstream does not have.
    Constant {
        /// Its name.
        label: Text,
        /// Its value.
        value: Text,
    },
    /// A label that upstream may lack (or leave empty), with the value it then has.
    Default {
        /// Its name.
        label: Text,
        /// Its value.
        value: Text,
    },
}

/// A factor as a fraction, so that milliseconds become seconds without the noise of `0.001`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    multiply: f64,
    divide: f64,
}

impl Scale {
    /// Leaves values as they are.
    pub const ONE: Self = Self {
        multiply: 1.0,
        divide: 1.0,
    };

    /// Multiplies by `factor`.
    #[must_use]
    pub const fn times(factor: f64) -> Self {
        Self {
            multiply: factor,
            divide: 1.0,
        }
    }

    /// Divides by `divisor`.
    #[must_use]
    pub const fn per(divisor: f64) -> Self {
        Self {
            multiply: 1.0,
            divide: divisor,
        }
    }

    /// The scaled value.
    #[must_use]
    #[inline]
    pub fn apply(self, value: f64) -> f64 {
        value * self.multiply / self.divide
    }

    /// Whether values stay as they are.
    #[must_use]
    pub fn is_one(self) -> bool {
        self == Self::ONE
    }
}

/// How series of several processes become one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reduce {
    /// They add up.
    Sum,
    /// The largest counts: right for the state of one engine that several processes report, where a
    /// process that heard nothing lately says less.
    #[default]
    Max,
}

/// In which releases of an engine something is found. Documentation; matching goes by names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Releases {
    /// The line of the engine: `V0`, `V1`, `Rust frontend` …; empty where there is only one.
    pub line: Text,
    /// The first release.
    pub since: Text,
    /// The last release; `None` where it is still there.
    pub until: Option<Text>,
    /// Whether it is only there when hidden metrics are asked for.
    pub hidden: bool,
}

impl std::fmt::Display for Releases {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if !self.line.is_empty() {
            write!(f, "{} ", self.line)?;
        }
        match &self.until {
            Some(until) if *until == self.since => f.write_str(until)?,
            Some(until) => write!(f, "{}–{until}", self.since)?,
            None => write!(f, "{}–", self.since)?,
        }
        if self.hidden {
            f.write_str(" (hidden)")
        } else {
            Ok(())
        }
    }
}

impl Row {
    /// A row for an upstream family, which is dropped unless told otherwise.
    #[must_use]
    pub fn new(upstream: impl Into<Text>, kind: MetricType) -> Self {
        Self {
            upstream: upstream.into(),
            kind,
            output: Output::Drop("".into()),
            labels: Vec::new(),
            scale: Scale::ONE,
            superseded_by: Vec::new(),
            processes: Reduce::default(),
            sentinel: None,
            newest: false,
            releases: Vec::new(),
            edges: Cow::Borrowed(&[]),
            note: "".into(),
        }
    }

    /// It becomes this family.
    #[must_use]
    pub fn to(self, family: impl Into<Text>) -> Self {
        self.output(Output::Family(family.into()))
    }

    /// Sets what it becomes.
    #[must_use]
    pub fn output(mut self, output: Output) -> Self {
        self.output = output;
        self
    }

    /// It is dropped, for this reason.
    #[must_use]
    pub fn drop(self, why: impl Into<Text>) -> Self {
        self.output(Output::Drop(why.into()))
    }

    /// Adds a label rule.
    #[must_use]
    pub fn label(mut self, rule: LabelRule) -> Self {
        self.labels.push(rule);
        self
    }

    /// Renames a label.
    #[must_use]
    pub fn rename_label(self, from: impl Into<Text>, to: impl Into<Text>) -> Self {
        self.label(LabelRule::Rename {
            from: from.into(),
            to: to.into(),
        })
    }

    /// Leaves out a label.
    #[must_use]
    pub fn drop_label(self, label: impl Into<Text>) -> Self {
        self.label(LabelRule::Drop(label.into()))
    }

    /// Leaves out all labels but these.
    #[must_use]
    pub fn keep_labels<T: Into<Text>>(self, labels: impl IntoIterator<Item = T>) -> Self {
        self.label(LabelRule::Keep(
            labels.into_iter().map(Into::into).collect(),
        ))
    }

    /// Adds a constant label.
    #[must_use]
    pub fn constant(self, label: impl Into<Text>, value: impl Into<Text>) -> Self {
        self.label(LabelRule::Constant {
            label: label.into(),
            value: value.into(),
        })
    }

    /// Gives a label that may be missing or empty a value.
    #[must_use]
    pub fn default_label(self, label: impl Into<Text>, value: impl Into<Text>) -> Self {
        self.label(LabelRule::Default {
            label: label.into(),
            value: value.into(),
        })
    }

    /// Replaces one value of a label.
    #[must_use]
    pub fn map_value(
        self,
        label: impl Into<Text>,
        from: impl Into<Text>,
        to: impl Into<Text>,
    ) -> Self {
        self.label(LabelRule::MapValue {
            label: label.into(),
            from: from.into(),
            to: to.into(),
        })
    }

    /// Scales values; in a histogram the edges and the sum, not the counts.
    #[must_use]
    pub fn scale(mut self, scale: Scale) -> Self {
        self.scale = scale;
        self
    }

    /// Names an upstream family that says the same better.
    #[must_use]
    pub fn superseded_by(mut self, upstream: impl Into<Text>) -> Self {
        self.superseded_by.push(upstream.into());
        self
    }

    /// Sets how series of several processes become one.
    #[must_use]
    pub fn processes(mut self, reduce: Reduce) -> Self {
        self.processes = reduce;
        self
    }

    /// Names a value that means "no value".
    #[must_use]
    pub fn sentinel(mut self, value: f64) -> Self {
        self.sentinel = Some(value);
        self
    }

    /// Only the series with the largest value counts.
    #[must_use]
    pub fn newest(mut self) -> Self {
        self.newest = true;
        self
    }

    /// It is found in the releases from `since` to `until`.
    #[must_use]
    pub fn during(
        self,
        line: impl Into<Text>,
        since: impl Into<Text>,
        until: impl Into<Text>,
    ) -> Self {
        self.releases(Releases {
            line: line.into(),
            since: since.into(),
            until: Some(until.into()),
            hidden: false,
        })
    }

    /// It is found in the releases from `since` on.
    #[must_use]
    pub fn since(self, line: impl Into<Text>, since: impl Into<Text>) -> Self {
        self.releases(Releases {
            line: line.into(),
            since: since.into(),
            until: None,
            hidden: false,
        })
    }

    /// It is found in the releases from `since` to `until` where hidden metrics are asked for.
    #[must_use]
    pub fn hidden(
        self,
        line: impl Into<Text>,
        since: impl Into<Text>,
        until: impl Into<Text>,
    ) -> Self {
        self.releases(Releases {
            line: line.into(),
            since: since.into(),
            until: Some(until.into()),
            hidden: true,
        })
    }

    /// Adds releases.
    #[must_use]
    pub fn releases(mut self, releases: Releases) -> Self {
        self.releases.push(releases);
        self
    }

    /// Says the bucket edges that its page has by default.
    #[must_use]
    pub fn edges(mut self, edges: impl Into<Cow<'static, [f64]>>) -> Self {
        self.edges = edges.into();
        self
    }

    /// Says what a reader should know.
    #[must_use]
    pub fn note(mut self, note: impl Into<Text>) -> Self {
        self.note = note.into();
        self
    }
}
