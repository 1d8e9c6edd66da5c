//! What was found: where, what, and what to do.

use tokenpath_text::Place;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// It cannot be right: it fails, or says nothing, or a number that means something else.
    Error,
    /// It is hardly what was meant.
    Warning,
}

impl Severity {
    /// In one word, as SARIF has it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// One fault of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The file, as it was named.
    pub file: String,
    /// Where it begins.
    pub start: Place,
    /// Where it ends: the place behind its last character.
    pub end: Place,
    /// The id of the rule.
    pub rule: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub advice: String,
    /// Whose expression it is, for instance `alert HighTTFT`; empty where it is the file's.
    pub of: String,
    /// Whether `--fix` rewrites it.
    pub fixable: bool,
}
