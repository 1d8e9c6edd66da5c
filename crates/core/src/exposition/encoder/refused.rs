//! What did not go out, and why.

/// What the last page left out because it could not stand there. All zero on a healthy page.
///
/// Absent values are not counted: they were never there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refused {
    /// Families of one part whose name stands for something else on the page: another type, another
    /// quantity of a dialect, or a sample name of another family (`x_count` beside the histogram `x`).
    pub families: u64,
    /// Series that the page had already: equal names and labels after merging.
    pub duplicates: u64,
    /// Values that their type cannot have: a negative or not-a-number counter, a state other than
    /// 0 and 1, a histogram with neither a `+Inf` bucket nor a count.
    pub values: u64,
}

impl Refused {
    /// Whether nothing was left out.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}
