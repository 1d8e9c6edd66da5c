//! What was wrong with a page, and where.

use std::fmt;

/// Why a page was refused, and at which byte.
///
/// `line` and `column` are 1-based; the column counts bytes. They are computed once, when the error
/// is made. Nothing of the input is copied: [`excerpt`](Self::excerpt) shows it from the page.
///
/// ```
/// use tokenpath_core::exposition::{Options, ParseErrorKind, Parser};
///
/// let page = b"up 1\ndown oops\n";
/// let error = Parser::new(page, Options::default()).find_map(Result::err).expect("line 2 is bad");
/// assert_eq!((error.line(), error.column(), error.offset()), (2, 6, 10));
/// assert_eq!(error.kind(), ParseErrorKind::InvalidValue);
/// assert!(error.to_string().starts_with("line 2, column 6: expected a decimal number"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {kind}")]
pub struct ParseError {
    kind: ParseErrorKind,
    line: u64,
    column: u64,
    offset: usize,
}

impl ParseError {
    /// An error at `at`, whose line and column are counted in `page`. `before` is what was read
    /// ahead of `page`: bytes, lines, and bytes of the line that `page` begins in.
    #[cold]
    pub(crate) fn locate(kind: ParseErrorKind, at: usize, page: &[u8], before: Origin) -> Self {
        let upto = page.get(..at).unwrap_or(page);
        let newlines = memchr::memchr_iter(b'\n', upto).count();
        let (lines, column) = match memchr::memrchr(b'\n', upto) {
            Some(newline) => (newlines, upto.len() - newline - 1),
            None => (0, upto.len() + before.column),
        };
        Self {
            kind,
            line: before.line + lines as u64 + 1,
            column: column as u64 + 1,
            offset: before.offset + at,
        }
    }

    /// What was expected.
    #[must_use]
    pub const fn kind(&self) -> ParseErrorKind {
        self.kind
    }

    /// The line, from 1.
    #[must_use]
    pub const fn line(&self) -> u64 {
        self.line
    }

    /// The byte within the line, from 1.
    #[must_use]
    pub const fn column(&self) -> u64 {
        self.column
    }

    /// The byte within the page, from 0.
    #[must_use]
    pub const fn offset(&self) -> usize {
        self.offset
    }

    /// The line in `input` (the page that was parsed) with a caret under the byte.
    ///
    /// Control characters and bytes outside ASCII are shown escaped; at most 60 bytes are shown on
    /// either side. Empty where `input` is shorter than the error's offset.
    ///
    /// ```
    /// use tokenpath_core::exposition::{Options, Parser};
    ///
    /// let page = b"up{a=\"b\"} oops\n";
    /// let error = Parser::new(page, Options::default()).find_map(Result::err).expect("bad value");
    /// assert_eq!(error.excerpt(page).to_string(), "up{a=\"b\"} oops\n          ^");
    /// ```
    #[must_use]
    pub fn excerpt<'a>(&self, input: &'a [u8]) -> Excerpt<'a> {
        const SIDE: usize = 60;
        let before = input.get(..self.offset).unwrap_or_default();
        let after = input.get(self.offset..).unwrap_or_default();
        let line_start = memchr::memrchr(b'\n', before).map_or(0, |n| n + 1);
        let before = before
            .get(line_start.max(before.len().saturating_sub(SIDE))..)
            .unwrap_or_default();
        let end = memchr::memchr(b'\n', after)
            .unwrap_or(after.len())
            .min(SIDE);
        Excerpt {
            before,
            after: after.get(..end).unwrap_or_default(),
        }
    }
}

/// Where in a stream the bytes at hand begin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Origin {
    /// Bytes before.
    pub(crate) offset: usize,
    /// Newlines before.
    pub(crate) line: u64,
    /// Bytes since the last newline.
    pub(crate) column: usize,
}

/// The line an error is in; displays as two lines, the second with a caret.
#[derive(Clone, Copy, Debug)]
pub struct Excerpt<'a> {
    before: &'a [u8],
    after: &'a [u8],
}

impl fmt::Display for Excerpt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |b: u8| match b {
            b' '..=b'~' => (b as char).to_string(),
            _ => b.escape_ascii().to_string(),
        };
        let before: String = self.before.iter().copied().map(show).collect();
        let after: String = self.after.iter().copied().map(show).collect();
        write!(f, "{before}{after}\n{:width$}^", "", width = before.len())
    }
}

/// What was expected where a page was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseErrorKind {
    /// A line begins with something that begins no line of the format.
    #[error("expected a metric name, a comment or `{{` at the start of the line")]
    ExpectedLineStart,
    /// OpenMetrics: an empty line, or one that begins with a blank.
    #[error("expected no empty line and no blank before a line in OpenMetrics")]
    UnexpectedBlank,
    /// OpenMetrics: `#` is followed by none of the four keywords.
    #[error("expected `HELP `, `TYPE `, `UNIT ` or `EOF` after `# `")]
    ExpectedKeyword,
    /// No metric name follows `HELP`, `TYPE` or `UNIT`.
    #[error("expected a metric name after the keyword")]
    ExpectedMetadataName,
    /// The name of a metadata line is not followed by a blank.
    #[error("expected a blank after the metric name")]
    ExpectedBlank,
    /// `# TYPE` with a word that is no type of the format.
    #[error("expected a metric type of the format")]
    UnknownType,
    /// OpenMetrics: the unit is not the end of the name.
    #[error("expected a unit that is the suffix of the metric name")]
    UnitNotSuffix,
    /// Something else where a label name or the closing brace should be.
    #[error("expected a label name or `}}`")]
    ExpectedLabelName,
    /// A label name is not followed by `=`.
    #[error("expected `=` after the label name")]
    ExpectedEquals,
    /// `=` is not followed by a quote.
    #[error("expected a label value in double quotes")]
    ExpectedLabelValue,
    /// OpenMetrics: a label is followed by neither a comma nor the closing brace.
    #[error("expected `,` or `}}` after the label")]
    ExpectedCommaOrBrace,
    /// A quoted string has no end, or holds a byte that may not stand in it.
    #[error("expected a closing quote")]
    ExpectedClosingQuote,
    /// Braces without a name before or in them.
    #[error("expected a metric name before or inside the braces")]
    ExpectedMetricName,
    /// A quoted metric name where there is one already.
    #[error("expected no second metric name")]
    SecondMetricName,
    /// Two labels of one sample have the same name.
    #[error("expected a label name that the sample does not have yet")]
    DuplicateLabel,
    /// Bytes that are not UTF-8.
    #[error("expected UTF-8")]
    InvalidUtf8,
    /// A sample without a value.
    #[error("expected a value after the series")]
    ExpectedValue,
    /// A value that is no number. Hexadecimal, underscores and signed NaN are none here.
    #[error("expected a decimal number, NaN, +Inf or -Inf")]
    InvalidValue,
    /// A number too large for a 64-bit float.
    #[error("expected a number within the range of a 64-bit float")]
    ValueOutOfRange,
    /// What follows the value is no timestamp.
    #[error("expected a timestamp or the end of the line")]
    ExpectedTimestamp,
    /// A timestamp that does not fit 64 bits, or is not finite.
    #[error("expected a timestamp that fits 64 bits")]
    TimestampOutOfRange,
    /// More on a line than the format allows.
    #[error("expected the end of the line")]
    TrailingBytes,
    /// OpenMetrics: the page ends within a line.
    #[error("expected a newline at the end of the line")]
    ExpectedNewline,
    /// OpenMetrics: the page does not end in `# EOF`.
    #[error("expected `# EOF` at the end of the page")]
    ExpectedEof,
    /// OpenMetrics: something follows `# EOF`.
    #[error("expected nothing after `# EOF`")]
    DataAfterEof,
    /// [`Limits::page_bytes`](super::Limits::page_bytes) was exceeded.
    #[error("expected a page of at most {limit} bytes (limit `page_bytes`)")]
    PageTooLong {
        /// The limit.
        limit: usize,
    },
    /// [`Limits::line_bytes`](super::Limits::line_bytes) was exceeded.
    #[error("expected a line of at most {limit} bytes (limit `line_bytes`)")]
    LineTooLong {
        /// The limit.
        limit: usize,
    },
    /// [`Limits::labels`](super::Limits::labels) was exceeded.
    #[error("expected at most {limit} labels (limit `labels`)")]
    TooManyLabels {
        /// The limit.
        limit: usize,
    },
    /// [`Limits::label_value_bytes`](super::Limits::label_value_bytes) was exceeded.
    #[error("expected a label value of at most {limit} bytes (limit `label_value_bytes`)")]
    LabelValueTooLong {
        /// The limit.
        limit: usize,
    },
    /// [`Limits::samples`](super::Limits::samples) was exceeded.
    #[error("expected at most {limit} samples (limit `samples`)")]
    TooManySamples {
        /// The limit.
        limit: usize,
    },
}

impl ParseErrorKind {
    /// Whether the error is about the page as a whole, so that [`Mode::Lenient`](super::Mode) ends too.
    pub(crate) const fn ends_page(self) -> bool {
        matches!(self, Self::PageTooLong { .. } | Self::TooManySamples { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_lines_and_bytes_from_one() {
        let page = b"ab\n\ncd";
        for (at, line, column) in [(0, 1, 1), (2, 1, 3), (3, 2, 1), (4, 3, 1), (6, 3, 3)] {
            let e = ParseError::locate(ParseErrorKind::ExpectedValue, at, page, Origin::default());
            assert_eq!((e.line(), e.column(), e.offset()), (line, column, at));
        }
        let before = Origin {
            offset: 100,
            line: 7,
            column: 10,
        };
        let e = ParseError::locate(ParseErrorKind::ExpectedValue, 1, page, before);
        assert_eq!((e.line(), e.column(), e.offset()), (8, 12, 101));
        let e = ParseError::locate(ParseErrorKind::ExpectedValue, 4, page, before);
        assert_eq!((e.line(), e.column(), e.offset()), (10, 1, 104));
    }

    #[test]
    fn an_excerpt_escapes_what_a_terminal_would_obey() {
        let page = b"x\n\x1b[31m\xffab\nz";
        let e = ParseError::locate(ParseErrorKind::InvalidUtf8, 7, page, Origin::default());
        assert_eq!(e.excerpt(page).to_string(), "\\x1b[31m\\xffab\n        ^");
        assert_eq!(e.excerpt(b"").to_string(), "\n^");
    }
}
