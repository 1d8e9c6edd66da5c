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

mod row;
mod spoken;

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
    canonical: bool,
}

impl Dialect {
    /// The canonical dialect: every family under its own name, those of later releases and of the
    /// configuration too.
    #[must_use]
    pub const fn llm() -> Self {
        Self {
            name: Cow::Borrowed("llm"),
            rows: Vec::new(),
            canonical: true,
        }
    }

    /// A dialect of rows.
    #[must_use]
    pub fn new(name: impl Into<Cow<'static, str>>, rows: Vec<Row>) -> Self {
        Self {
            name: name.into(),
            rows,
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
