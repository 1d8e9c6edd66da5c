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

use crate::Snapshot;
use crate::exposition::Part;

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
    over: Vec<Box<str>>,
    plan: Plan,
}

impl RollUp {
    /// A roll-up over these labels: `engine` for data-parallel engines, `target` (and what the
    /// operator says of a single target, such as `pod`) for replicas, `model_name` for models.
    #[must_use]
    pub fn over<L: Into<Box<str>>>(labels: impl IntoIterator<Item = L>) -> Self {
        Self {
            over: labels.into_iter().map(Into::into).collect(),
            plan: Plan::default(),
        }
    }

    /// The labels it drops.
    pub fn labels(&self) -> impl ExactSizeIterator<Item = &str> {
        self.over.iter().map(|label| &**label)
    }

    /// Rolls `parts` up into `out`, whatever was in it. Series get the labels of their source, by the
    /// rules of a page (those of the source win, the others become `exported_…`), so that `out` goes
    /// on a page without any.
    ///
    /// Hand in the same parts in the same order each time, without those that could not be read, and
    /// never an older reading of a part after a newer one: a counter that falls began again.
    pub fn run(&mut self, parts: &[Part<'_>], out: &mut Snapshot) {
        if !self.plan.fits(parts) {
            self.plan.make(&self.over, parts);
        }
        self.plan.run(parts, out);
    }

    /// The families of the last run that were left out, wholly or in part, in order of their names:
    /// they have one of the labels, and no rule.
    pub fn left_out(&self) -> impl ExactSizeIterator<Item = &str> {
        self.plan.left_out()
    }
}

impl fmt::Display for RollUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "over {}", self.over.join(", "))
    }
}
