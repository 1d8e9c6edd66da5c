//! Dialects: the names, units and labels under which families leave the house.
//!
//! A [`Dialect`] is a table. Each [`Row`] says: *this quantity, of these series, goes out under this
//! name, as this type, times this factor, with these labels*. The canonical dialect ([`Dialect::llm`])
//! has no rows: every family goes out as it is.
//!
//! Several dialects can be spoken at once ([`Spoken`]). A name that two rows give to the *same* family
//! with the *same* factor is written once, with the labels of both; any other two rows that share a
//! name are refused when the dialects are put together, not when a page is asked for.
//!
//! What a dialect names and the snapshot lacks is absent: nothing is made up.

mod reference;
mod row;
mod spoken;
mod tables;

use std::borrow::Cow;

pub use row::{LabelRule, Matcher, Quantity, Row};
pub use spoken::{DialectError, Giver, Spoken};
pub(crate) use spoken::{Target, Voice, sample_suffixes};

/// A named table of rows: what a family is called by those who expect this dialect.
///
/// ```
/// use tokenpath_core::MetricType;
/// use tokenpath_core::dialect::{Dialect, Row};
///
/// let worker = Dialect::new(
///     "worker",
///     vec![
///         Row::family("llm_requests_waiting", "llm_queue_depth", MetricType::Gauge),
///         Row::family("llm_kv_cache_usage_ratio", "llm_kv_cache_utilization_percent", MetricType::Gauge)
///             .factor(100.0),
///     ],
/// );
/// assert_eq!(worker.name(), "worker");
/// assert_eq!(worker.rows().len(), 2);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Dialect {
    name: Cow<'static, str>,
    rows: Vec<Row>,
    missing: Vec<Missing>,
    canonical: bool,
}

/// A name that those who expect a dialect may ask for, and that it does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    name: Cow<'static, str>,
    why: Cow<'static, str>,
}

impl Missing {
    /// The name, or the beginning of several names and `*`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Why it cannot be derived, as a clause.
    #[must_use]
    pub fn why(&self) -> &str {
        &self.why
    }

    /// Whether this is about such a name.
    #[must_use]
    pub fn covers(&self, name: &str) -> bool {
        match self.name.strip_suffix('*') {
            Some(beginning) => name.starts_with(beginning),
            None => self.name == name,
        }
    }
}

impl Dialect {
    /// The canonical dialect: every family under its own name, those of later releases and of the
    /// configuration too.
    #[must_use]
    pub const fn llm() -> Self {
        Self {
            name: Cow::Borrowed("llm"),
            rows: Vec::new(),
            missing: Vec::new(),
            canonical: true,
        }
    }

    /// The dialect of this name that comes with the crate.
    ///
    /// ```
    /// use tokenpath_core::dialect::Dialect;
    ///
    /// let worker = Dialect::builtin("worker").unwrap();
    /// assert!(worker.rows().iter().any(|row| row.name() == "llm_queue_depth"));
    /// assert_eq!(Dialect::builtin("esperanto"), None);
    /// ```
    #[must_use]
    pub fn builtin(name: &str) -> Option<Self> {
        let known = tables::ALL.iter().find(|(known, _)| *known == name);
        known.map(|(_, dialect)| dialect())
    }

    /// All dialects that come with the crate, the canonical one first.
    ///
    /// ```
    /// use tokenpath_core::dialect::Dialect;
    ///
    /// let names: Vec<String> = Dialect::builtins().map(|dialect| dialect.name().to_owned()).collect();
    /// assert_eq!(
    ///     names,
    ///     ["llm", "vllm", "vllm-v0", "worker", "token-path", "documents", "dcgm", "otel"]
    /// );
    /// ```
    pub fn builtins() -> impl ExactSizeIterator<Item = Self> {
        tables::ALL.iter().map(|(_, dialect)| dialect())
    }

    /// A dialect of rows.
    #[must_use]
    pub fn new(name: impl Into<Cow<'static, str>>, rows: Vec<Row>) -> Self {
        Self {
            name: name.into(),
            rows,
            missing: Vec::new(),
            canonical: false,
        }
    }

    /// What it is asked for by, for instance `vllm-v0`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its rows; none in the canonical dialect.
    #[must_use]
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The names that it does not have, and why.
    #[must_use]
    pub fn missing(&self) -> &[Missing] {
        &self.missing
    }

    /// Says of a name that it cannot be derived, and why. A name that ends in `*` stands for all
    /// that begin so.
    #[must_use]
    pub fn without(
        mut self,
        name: impl Into<Cow<'static, str>>,
        why: impl Into<Cow<'static, str>>,
    ) -> Self {
        self.missing.push(Missing {
            name: name.into(),
            why: why.into(),
        });
        self
    }

    /// Whether every family goes out under its own name.
    #[must_use]
    pub const fn is_canonical(&self) -> bool {
        self.canonical
    }

    /// Adds rows, for instance those of a configuration file.
    pub fn extend(&mut self, rows: impl IntoIterator<Item = Row>) {
        self.rows.extend(rows);
    }
}
