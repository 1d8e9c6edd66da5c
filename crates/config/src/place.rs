//! What is wrong with a configuration file, and where.

use std::fmt;
use std::sync::Arc;

pub use tokenpath_text::{Flaw, Place};

/// One error of a configuration file: which file, where, what, and what may have been meant.
///
/// It never shows the value of a secret.
///
/// ```
/// use tokenpath_config::{Vocabulary, parse};
///
/// let text = "sources:\n  - kind: vllm\n    endpont: localhost:8000\n";
/// let errors = parse("tokenpath.yaml", text, &Vocabulary::default()).unwrap_err();
/// assert_eq!(
///     errors[0].to_string(),
///     "tokenpath.yaml:3:5: `endpont` is no key of a source; did you mean `endpoint`?",
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    file: Arc<str>,
    flaw: Option<Flaw>,
    whole: String,
}

impl ConfigError {
    pub(crate) fn at(file: &Arc<str>, flaw: Flaw) -> Self {
        Self {
            file: Arc::clone(file),
            flaw: Some(flaw),
            whole: String::new(),
        }
    }

    /// The file as a whole cannot be used.
    pub(crate) fn whole(file: &Arc<str>, what: impl fmt::Display) -> Self {
        Self {
            file: Arc::clone(file),
            flaw: None,
            whole: what.to_string(),
        }
    }

    /// The file, as it was named.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Where; `None` where the file as a whole cannot be used.
    #[must_use]
    pub fn place(&self) -> Option<Place> {
        self.flaw.as_ref().map(|flaw| flaw.place)
    }

    /// What is wrong.
    #[must_use]
    pub fn message(&self) -> &str {
        self.flaw.as_ref().map_or(&self.whole, |flaw| &flaw.message)
    }

    /// What may have been meant.
    #[must_use]
    pub fn nearest(&self) -> Option<&str> {
        self.flaw.as_ref()?.nearest.as_deref()
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.flaw {
            Some(flaw) => write!(f, "{}:{flaw}", self.file),
            None => write!(f, "{}: {}", self.file, self.whole),
        }
    }
}

impl std::error::Error for ConfigError {}
