//! What became of each family of a page: nothing is lost silently.

use crate::MetricType;

/// What became of one upstream family.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// It is in the model, as these families.
    Mapped(Vec<String>),
    /// It is left out on purpose, for this reason.
    LeftOut(String),
    /// This upstream family on the same page says the same, better.
    Superseded(String),
    /// It has another type than the catalogue knows under this name: the expected ones.
    TypeClash(Vec<MetricType>),
    /// No row of the catalogue knows it.
    Unmapped,
    /// No row of the catalogue knows it, and it is passed through under its own name.
    Passed,
    /// No row of the catalogue knows it, and it cannot be passed through: its name is one of ours, or
    /// that of another family of the page once it is written so that it can stand on ours.
    NameClash,
}

impl Verdict {
    /// Whether no row of the catalogue knows the family.
    pub(crate) const fn is_unknown(&self) -> bool {
        matches!(self, Self::Unmapped | Self::Passed | Self::NameClash)
    }
}

/// One upstream family of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FamilyReport {
    /// Its name as on the page.
    pub name: String,
    /// Its type as on the page; `Unknown` where the page does not say.
    pub kind: MetricType,
    /// How many samples it has.
    pub samples: usize,
    /// What became of it.
    pub verdict: Verdict,
    /// In which releases the catalogue says it is found; empty where it does not say.
    pub releases: String,
    /// What the catalogue says a reader should know; may be empty.
    pub note: String,
}

/// The families of a page in the order of their first samples.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Every upstream family, mapped or not.
    pub families: Vec<FamilyReport>,
}

impl Report {
    /// The families that no row knows, passed through or not.
    pub fn unmapped(&self) -> impl Iterator<Item = &FamilyReport> {
        self.families
            .iter()
            .filter(|family| family.verdict.is_unknown())
    }

    /// Whether anything of the page is in the model.
    #[must_use]
    pub fn any_mapped(&self) -> bool {
        self.families
            .iter()
            .any(|family| matches!(family.verdict, Verdict::Mapped(_)))
    }
}
