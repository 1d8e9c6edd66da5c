//! How series of one family may be combined: the rule stands on the [`Desc`](crate::Desc).

/// The rule of a family for combining several of its series into one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Rollup {
    /// Never combined: the family is left out of a roll-up.
    #[default]
    None,
    /// Values add up. Histogram buckets add up on the edges that all series have.
    Sum,
    /// The largest value.
    Max,
    /// The mean, weighted by the series of the named family with equal labels; a missing weight
    /// makes the result absent.
    MeanWeightedBy(&'static str),
}
