//! Histograms and summaries as values: what a source hands to a snapshot.

/// A cumulative bucket: how many observations were at most `le`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bucket {
    /// The upper edge, inclusive; the last one is `+Inf`.
    pub le: f64,
    /// Observations up to the edge, those of the lower buckets included.
    pub count: f64,
}

/// A histogram with the engine's own edges: never re-bucketed.
///
/// `sum` and `count` are absent where the engine does not say them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {
    /// Cumulative buckets in order of their edges.
    pub buckets: Vec<Bucket>,
    /// The sum of all observations.
    pub sum: Option<f64>,
    /// The number of all observations.
    pub count: Option<f64>,
}

/// A value at a quantile.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct QuantileValue {
    /// From 0 to 1.
    pub quantile: f64,
    /// The value at that quantile.
    pub value: f64,
}

/// A summary: quantiles that were computed by the engine, possibly none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// In order of the quantiles.
    pub quantiles: Vec<QuantileValue>,
    /// The sum of all observations.
    pub sum: Option<f64>,
    /// The number of all observations.
    pub count: Option<f64>,
}
