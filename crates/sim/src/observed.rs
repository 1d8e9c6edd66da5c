//! Every observation of one quantity, kept so that any release's histogram and any quantile can be
//! told from it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::truth::Quantity;

/// Steps of the quantile scale per doubling: 128 make a step 0.54 % wide.
const STEPS_PER_DOUBLING: f64 = 128.0;

/// All observations of one quantity: exact count, exact sum in order of arrival, exact counts at
/// every edge that a spoken release uses, and a fine logarithmic scale for quantiles.
///
/// Memory is bounded by the scale (a few thousand steps at most), not by the number of observations.
#[derive(Clone, Debug, PartialEq)]
pub struct Observed {
    edges: Cow<'static, [f64]>,
    /// Observations in `(edges[i - 1], edges[i]]`; the last one is above all edges.
    counts: Vec<u64>,
    count: u64,
    sum: f64,
    /// Observations by logarithmic step: `ceil(log2(value) * 128)`; values of zero or less sit in
    /// `i32::MIN`.
    scale: BTreeMap<i32, u64>,
}

impl Observed {
    pub(crate) fn new(quantity: Quantity) -> Self {
        Self::at(quantity.edges())
    }

    /// No observations yet, to be counted at `edges`, which must rise.
    pub(crate) fn at(edges: impl Into<Cow<'static, [f64]>>) -> Self {
        let edges = edges.into();
        debug_assert!(edges.windows(2).all(|pair| pair[0] < pair[1]));
        Self {
            counts: vec![0; edges.len() + 1],
            edges,
            count: 0,
            sum: 0.0,
            scale: BTreeMap::new(),
        }
    }

    pub(crate) fn record(&mut self, value: f64) {
        let bucket = self.edges.partition_point(|&edge| edge < value);
        self.counts[bucket] += 1;
        self.count += 1;
        self.sum += value;
        *self.scale.entry(step(value)).or_insert(0) += 1;
    }

    /// Number of observations.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Sum of the observations, in the unit of the quantity.
    pub fn sum(&self) -> f64 {
        self.sum
    }

    /// The edges at which observations are counted exactly, in order.
    pub fn edges(&self) -> &[f64] {
        &self.edges
    }

    /// Adds the observations of `other`, counted at the same edges.
    pub(crate) fn add(&mut self, other: &Self) {
        debug_assert_eq!(self.edges, other.edges);
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        self.count += other.count;
        self.sum += other.sum;
        for (&step, &n) in &other.scale {
            *self.scale.entry(step).or_insert(0) += n;
        }
    }

    /// Each edge with the observations at or below it, exactly, without the infinite one.
    pub(crate) fn buckets(&self) -> impl Iterator<Item = (f64, u64)> {
        let mut seen = 0;
        self.edges.iter().zip(&self.counts).map(move |(&edge, &n)| {
            seen += n;
            (edge, seen)
        })
    }

    /// Observations at or below `edge`, exactly; `None` where `edge` is none of the edges kept.
    /// Positive infinity is an edge.
    pub fn cumulative(&self, edge: f64) -> Option<u64> {
        if edge == f64::INFINITY {
            return Some(self.count);
        }
        let index = self.edges.binary_search_by(|e| e.total_cmp(&edge)).ok()?;
        Some(self.counts[..=index].iter().sum())
    }

    /// The value that a share `q` of the observations does not exceed, to within 0.55 %; `None`
    /// where there is no observation or `q` is outside 0 to 1.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        if self.count == 0 || !(0.0..=1.0).contains(&q) {
            return None;
        }
        #[expect(
            clippy::cast_precision_loss,
            reason = "a rank, exact far beyond any run"
        )]
        let rank = (q * self.count as f64).ceil().max(1.0);
        let mut seen = 0_u64;
        for (&step, &n) in &self.scale {
            seen += n;
            #[expect(clippy::cast_precision_loss, reason = "as above")]
            if seen as f64 >= rank {
                return Some(if step == i32::MIN {
                    0.0
                } else {
                    (f64::from(step) / STEPS_PER_DOUBLING).exp2()
                });
            }
        }
        None
    }

    /// What was observed after `earlier`, a copy of this taken before. This is what a `rate()` over
    /// the time in between sees.
    ///
    /// # Panics
    /// If `earlier` has an observation that this has not: it is no earlier state of this.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let minus = |now: u64, then: u64| {
            now.checked_sub(then)
                .expect("`earlier` is an earlier state of the same observations")
        };
        Self {
            edges: self.edges.clone(),
            counts: self
                .counts
                .iter()
                .zip(&earlier.counts)
                .map(|(&now, &then)| minus(now, then))
                .collect(),
            count: minus(self.count, earlier.count),
            sum: self.sum - earlier.sum,
            scale: self
                .scale
                .iter()
                .map(|(&step, &now)| (step, minus(now, *earlier.scale.get(&step).unwrap_or(&0))))
                .filter(|&(_, n)| n > 0)
                .collect(),
        }
    }
}

fn step(value: f64) -> i32 {
    if value <= 0.0 {
        return i32::MIN;
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "log2 of a double is within ±1100"
    )]
    let step = (value.log2() * STEPS_PER_DOUBLING).ceil() as i32;
    step
}

#[cfg(test)]
mod tests {
    use super::*;

    fn observed(values: &[f64]) -> Observed {
        let mut observed = Observed::new(Quantity::TimeToFirstToken);
        for &value in values {
            observed.record(value);
        }
        observed
    }

    #[test]
    fn an_edge_belongs_to_its_bucket() {
        let observed = observed(&[0.001, 0.001_000_1, 0.005, 3e4]);
        assert_eq!(observed.cumulative(0.001), Some(1));
        assert_eq!(observed.cumulative(0.005), Some(3));
        assert_eq!(observed.cumulative(7680.0), Some(3));
        assert_eq!(observed.cumulative(f64::INFINITY), Some(4));
        assert_eq!(observed.cumulative(0.123), None);
    }

    #[test]
    fn quantiles_are_close() {
        let values: Vec<f64> = (1..=1000).map(|i| f64::from(i) / 100.0).collect();
        let observed = observed(&values);
        for (q, want) in [(0.0, 0.01), (0.5, 5.0), (0.95, 9.5), (1.0, 10.0)] {
            let got = observed.quantile(q).unwrap();
            assert!((got / want - 1.0).abs() < 0.0055, "{q}: {got} for {want}");
        }
        assert_eq!(observed.quantile(1.5), None);
        assert_eq!(Observed::new(Quantity::Queue).quantile(0.5), None);
        let mut zeros = Observed::new(Quantity::Preemptions);
        zeros.record(0.0);
        assert_eq!(zeros.quantile(0.5), Some(0.0));
    }

    #[test]
    fn a_difference_is_what_came_between() {
        let earlier = observed(&[0.1, 0.2]);
        let later = observed(&[0.1, 0.2, 0.4, 0.4]);
        let between = later.since(&earlier);
        assert_eq!(between.count(), 2);
        assert_eq!(between.cumulative(0.3), Some(0));
        assert_eq!(between.cumulative(0.4), Some(2));
        assert!((between.sum() - 0.8).abs() < 1e-12);
        assert!((between.quantile(0.5).unwrap() / 0.4 - 1.0).abs() < 0.0055);
    }
}
