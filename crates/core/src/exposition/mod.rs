//! The exposition formats: bytes to entries, snapshots to bytes.
//!
//! [`Parser`] reads Prometheus text 0.0.4, text 1.0.0 and OpenMetrics 1.0 without allocating;
//! [`check`](fn@check) says what is wrong with a page that parses.

mod check;
mod entry;
mod error;
mod format;
mod number;
mod parser;
mod plain;
mod text;

pub use check::{Finding, FindingKind, check};
pub use entry::{Entry, Exemplar, Labels, Sample};
pub use error::{Excerpt, ParseError, ParseErrorKind};
pub use format::{Format, Limits, Mode, Options, UnknownFormat};
pub use parser::Parser;
pub use text::Text;
