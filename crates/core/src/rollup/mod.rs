//! Roll-ups: fewer series that say the same in sum.
//!
//! A [`RollUp`] takes what sources said and drops some of their labels: the index of a data-parallel
//! engine, the target of a replica, the name of a model. Series that only differed in these become
//! one, by the [`Rollup`] rule of their family. Nothing is combined that cannot be: a family without
//! a rule is left out, and so is a mean whose weight is missing.
//!
//! # Counters
//!
//! A sum of counters is a counter only if it never falls, and only honest if it rises by what was
//! counted. So a counter's sum is kept, not made anew from each reading:
//!
//! - What a part had counted stays in the sum when the part is gone, and is not added again when it
//!   comes back.
//! - A part that begins again at zero goes on where it was; histograms begin again as a whole.
//! - A part that joins a sum that is already spoken counts from its first reading on. What it had
//!   counted before was not counted just now.
//!
//! A `rate()` over the sum is then the sum of the `rate()`s of the parts, as Prometheus would have it.
//!
//! # Histograms
//!
//! Buckets are cumulative, so those on an edge that all parts have can be added without a loss.
//! The others are left out; a part that is gone still has its say in which.
//!
//! # Exemplars
//!
//! There are none: one observation of one part is no example of the sum.

mod plan;
mod total;

use std::fmt;

use crate::exposition::{Part, SeriesLabels};
use crate::{Desc, Label, LabelSet, Selection, Snapshot};

use plan::Plan;

/// The rule of a family for combining several of its series into one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Rollup {
    /// Never combined: the family is left out of a roll-up.
    #[default]
    None,
    /// Values add up. Histogram buckets add up on the edges that all series have; of summaries only
    /// sum and count do.
    Sum,
    /// The largest value.
    Max,
    /// The mean, weighted by the series of the named family from the same source that agrees in all
    /// labels it has (the one with most labels, where several do). A missing weight makes the result
    /// absent.
    MeanWeightedBy(&'static str),
}

/// Drops labels from what sources said, and combines the series that have become the same.
///
/// Works out once for each set of shapes where every value goes; after that a run adds numbers and
/// allocates nothing. Series that have none of the labels go out as they are.
///
/// ```
/// use std::sync::Arc;
/// use tokenpath_core::exposition::Part;
/// use tokenpath_core::rollup::{RollUp, Rollup};
/// use tokenpath_core::{Desc, LabelSet, MetricType, Snapshot, Unit};
///
/// let running = Desc::new("llm_requests_running", MetricType::Gauge, Unit::None, "In the batch.");
/// let running = Arc::new(running.rollup(Rollup::Sum));
/// let mut page = Snapshot::new();
/// page.family(&running)
///     .sample(&[("engine", "0"), ("model_name", "qwen")], 4.0)
///     .sample(&[("engine", "1"), ("model_name", "qwen")], 3.0);
/// let labels = LabelSet::new([("target", "10.0.0.7:8000")]);
///
/// let mut out = Snapshot::new();
/// let mut engines = RollUp::over(["engine"]);
/// engines.run(&[Part { snapshot: &page, labels: &labels }], &mut out);
/// let labels = [("model_name", "qwen"), ("target", "10.0.0.7:8000")];
/// assert_eq!(out.value("llm_requests_running", &labels), Some(7.0));
/// ```
#[derive(Debug)]
pub struct RollUp {
    scope: Scope,
    plan: Plan,
}

/// What a roll-up is about.
#[derive(Debug)]
struct Scope {
    over: Vec<Box<str>>,
    families: Selection,
    only_combined: bool,
}

impl RollUp {
    /// A roll-up over these labels: `engine` for data-parallel engines, `target` (and what the
    /// operator says of a single target, such as `pod`) for replicas, `model_name` for models.
    #[must_use]
    pub fn over<L: Into<Box<str>>>(labels: impl IntoIterator<Item = L>) -> Self {
        Self {
            scope: Scope {
                over: labels.into_iter().map(Into::into).collect(),
                families: Selection::default(),
                only_combined: false,
            },
            plan: Plan::default(),
        }
    }

    /// Only these families are combined; the others go out as they are.
    #[must_use]
    pub fn families(mut self, families: Selection) -> Self {
        self.scope.families = families;
        self.plan = Plan::default();
        self
    }

    /// Only what is combined goes out: for a page on which the parts themselves stand too. What a
    /// source says itself under the labels of a sum is not said again.
    #[must_use]
    pub fn only_combined(mut self) -> Self {
        self.scope.only_combined = true;
        self.plan = Plan::default();
        self
    }

    /// Whether a series of a source with these labels goes into a combined one: it has one of the
    /// labels, and its family has a rule and is meant.
    ///
    /// It looks at labels: ask once for a shape.
    #[must_use]
    pub fn combines<'l>(
        &self,
        source: &'l LabelSet,
        desc: &Desc,
        series: impl Iterator<Item = Label<'l>> + Clone,
    ) -> bool {
        self.scope.has_rule(desc) && {
            let labels = SeriesLabels::merge(source, series);
            labels.iter().any(|label| self.scope.drops(label))
        }
    }

    /// The labels it drops.
    pub fn labels(&self) -> impl ExactSizeIterator<Item = &str> {
        self.scope.over.iter().map(|label| &**label)
    }

    /// Rolls `parts` up into `out`, whatever was in it. Series get the labels of their source, by the
    /// rules of a page (those of the source win, the others become `exported_…`), so that `out` goes
    /// on a page without any.
    ///
    /// Hand in the same parts in the same order each time, without those that could not be read, and
    /// never an older reading of a part after a newer one: a counter that falls began again.
    pub fn run(&mut self, parts: &[Part<'_>], out: &mut Snapshot) {
        if !self.plan.fits(parts) {
            self.plan.make(&self.scope, parts);
        }
        self.plan.run(parts, out);
    }

    /// The families of the last run that were left out, wholly or in part, in order of their names:
    /// they have one of the labels, and no rule.
    pub fn left_out(&self) -> impl ExactSizeIterator<Item = &str> {
        self.plan.left_out()
    }
}

impl Scope {
    /// Whether series with this label lose it. An empty value means the same as no label.
    fn drops(&self, (name, value): Label<'_>) -> bool {
        !value.is_empty() && self.over.iter().any(|label| **label == *name)
    }

    fn has_rule(&self, desc: &Desc) -> bool {
        desc.rollup_rule() != Rollup::None && self.families.keeps(desc.name())
    }
}

impl fmt::Display for RollUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "over {}", self.scope.over.join(", "))
    }
}
