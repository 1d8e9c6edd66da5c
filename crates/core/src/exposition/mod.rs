//! The exposition formats: bytes to entries, snapshots to bytes.
//!
//! [`Parser`] reads Prometheus text 0.0.4, text 1.0.0 and OpenMetrics 1.0 without allocating;
//! [`Encoder`] writes snapshots as pages;
//! [`check`](fn@check) says what is wrong with a page that parses.

mod check;
mod chunked;
mod encoder;
mod entry;
mod error;
mod filter;
mod float_text;
mod format;
mod layout;
mod number;
mod parser;
mod plain;
mod scan;
mod text;

pub use check::{Finding, FindingKind, check};
pub use chunked::ChunkedParser;
#[cfg(feature = "prometheus-client")]
pub(crate) use encoder::escape_help;
pub use encoder::{Encoder, Part, Refused};
pub(crate) use encoder::{SeriesLabels, legal_metric_name};
pub use entry::{Entry, Exemplar, Labels, Sample};
pub use error::{Excerpt, ParseError, ParseErrorKind};
pub use filter::{Filter, Filtered};
pub use format::{Format, Limits, Mode, Options, PageFormat, UnknownFormat};
pub use layout::{Fresh, Layout, Reread};
pub use parser::Parser;
#[doc(hidden)]
pub use scan::Variant;
pub use text::Text;

/// Reads a number as the exposition formats write it: the grammar that Prometheus takes, rounded as
/// the standard library rounds. `None` where it is none.
///
/// ```
/// use tokenpath_core::exposition::parse_value;
///
/// assert_eq!(parse_value(b"1e3"), Some(1000.0));
/// assert_eq!(parse_value(b"+Inf"), Some(f64::INFINITY));
/// assert_eq!(parse_value(b"1_000"), None);
/// ```
#[must_use]
pub fn parse_value(text: &[u8]) -> Option<f64> {
    number::value(text).ok()
}
