//! Where something stands in a file, and what is wrong with it there.

use std::fmt;
use std::sync::Arc;

/// A line and a column, both counted from 1; the column in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// The line.
    pub line: u32,
    /// The column.
    pub column: u32,
}

impl Place {
    /// The beginning of a file.
    pub const START: Self = Self { line: 1, column: 1 };

    /// What a flag or a variable says stands in no line; the column is its number.
    pub(crate) const fn beside_the_file(number: u32) -> Self {
        Self {
            line: 0,
            column: number,
        }
    }

    pub(crate) const fn is_beside_the_file(self) -> bool {
        self.line == 0
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// One thing that is wrong in a file, without the file's name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Flaw {
    /// Where.
    pub place: Place,
    /// What is wrong.
    pub message: String,
    /// What may have been meant: a key, a word, a name.
    pub nearest: Option<String>,
}

impl Flaw {
    pub(crate) fn new(place: Place, message: impl Into<String>) -> Self {
        Self {
            place,
            message: message.into(),
            nearest: None,
        }
    }

    pub(crate) fn or(mut self, nearest: Option<&str>) -> Self {
        self.nearest = nearest.map(str::to_owned);
        self
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)?;
        match &self.nearest {
            Some(nearest) => write!(f, "; did you mean `{nearest}`?"),
            None => Ok(()),
        }
    }
}

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
