//! Which grammar a page is read by, how errors are treated, and how much is read at most.

use std::fmt;
use std::str::FromStr;

/// The grammar of a page.
///
/// The two text formats are read by one grammar, as Prometheus does: quoted UTF-8 names are taken
/// in both, because servers send them under either version. They differ for whoever *writes* a page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Format {
    /// Prometheus text 0.0.4.
    #[default]
    Text004,
    /// Prometheus text 1.0.0, whose quoted names may be any UTF-8.
    Text100,
    /// OpenMetrics 1.0: single blanks, no empty lines, `# EOF` at the end.
    OpenMetrics100,
}

impl Format {
    /// Every format, in the order of their age.
    pub const ALL: [Self; 3] = [Self::Text004, Self::Text100, Self::OpenMetrics100];

    /// The name that [`FromStr`] takes and [`Display`](fmt::Display) prints.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text004 => "text-0.0.4",
            Self::Text100 => "text-1.0.0-utf8",
            Self::OpenMetrics100 => "openmetrics-1.0",
        }
    }

    /// The format of a body that came over HTTP.
    ///
    /// The header decides where it names OpenMetrics or text 1.0.0. A body whose last line is
    /// `# EOF` is OpenMetrics whatever the header says: some servers send one without being asked,
    /// and its types (`unknown`, `info`, `stateset`) and exemplars are not text 0.0.4.
    ///
    /// ```
    /// use tokenpath_core::exposition::Format;
    ///
    /// assert_eq!(Format::sniff(b"up 1\n", Some("text/plain; version=0.0.4")), Format::Text004);
    /// assert_eq!(Format::sniff(b"up 1\n# EOF\n", Some("text/plain")), Format::OpenMetrics100);
    /// ```
    #[must_use]
    pub fn sniff(body: &[u8], content_type: Option<&str>) -> Self {
        let mut parts = content_type.unwrap_or_default().split(';').map(str::trim);
        if parts
            .next()
            .is_some_and(|t| t.eq_ignore_ascii_case("application/openmetrics-text"))
        {
            return Self::OpenMetrics100;
        }
        let body = body.strip_suffix(b"\n").unwrap_or(body);
        if body
            .strip_suffix(b"# EOF")
            .is_some_and(|rest| rest.is_empty() || rest.ends_with(b"\n"))
        {
            return Self::OpenMetrics100;
        }
        let v100 = parts.any(|p| {
            p.split_once('=').is_some_and(|(key, value)| {
                key.trim().eq_ignore_ascii_case("version")
                    && value.trim().trim_matches('"') == "1.0.0"
            })
        });
        if v100 { Self::Text100 } else { Self::Text004 }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A format name that is not one of [`Format::ALL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected one of text-0.0.4, text-1.0.0-utf8, openmetrics-1.0")]
pub struct UnknownFormat;

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|f| f.name() == text)
            .ok_or(UnknownFormat)
    }
}

/// What a page is written as.
///
/// Every text [`Format`] that is read can be written, and protobuf beside them, which is written only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PageFormat {
    /// Prometheus text 0.0.4, whose pages are valid text 1.0.0 too.
    #[default]
    Text004,
    /// OpenMetrics 1.0.
    OpenMetrics100,
    /// `io.prometheus.client.MetricFamily` messages, each behind its length.
    Protobuf,
}

impl PageFormat {
    /// Every format, in the order of their age.
    pub const ALL: [Self; 3] = [Self::Text004, Self::OpenMetrics100, Self::Protobuf];

    /// The value of `Content-Type`.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text004 => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics100 => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Protobuf => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
            }
        }
    }
}

impl From<Format> for PageFormat {
    fn from(format: Format) -> Self {
        match format {
            Format::Text004 | Format::Text100 => Self::Text004,
            Format::OpenMetrics100 => Self::OpenMetrics100,
        }
    }
}

/// What happens at a line that is not of the format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// The first error ends the page: a page is taken whole or not at all, as Prometheus does.
    #[default]
    Strict,
    /// The line is skipped and counted; reading goes on after the next newline. The limits on the
    /// whole page ([`Limits::page_bytes`], [`Limits::samples`]) still end it.
    Lenient,
}

/// How much one page may hold. Each limit is named, with its number, in the error it causes.
///
/// The defaults are far above what engines send and far below what hurts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the whole page. Default 16 MiB.
    pub page_bytes: usize,
    /// Bytes of one line, without its newline. Default 64 KiB.
    pub line_bytes: usize,
    /// Labels of one sample, `le` and `quantile` included. Default 64.
    pub labels: usize,
    /// Bytes of one label value as written on the page. Default 16 KiB.
    pub label_value_bytes: usize,
    /// Samples of the whole page. Default 200,000.
    pub samples: usize,
}

impl Limits {
    /// The documented defaults.
    pub const DEFAULT: Self = Self {
        page_bytes: 16 << 20,
        line_bytes: 64 << 10,
        labels: 64,
        label_value_bytes: 16 << 10,
        samples: 200_000,
    };

    /// No limits, for pages from one's own disk. A hostile page can then cost time that grows with
    /// the square of its longest line.
    pub const NONE: Self = Self {
        page_bytes: usize::MAX,
        line_bytes: usize::MAX,
        labels: usize::MAX,
        label_value_bytes: usize::MAX,
        samples: usize::MAX,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// How a page is read. The default is text 0.0.4, strict, with the default limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The grammar.
    pub format: Format,
    /// What happens at an error.
    pub mode: Mode,
    /// How much is read at most.
    pub limits: Limits,
}

impl Options {
    /// Strict, with the default limits.
    #[must_use]
    pub const fn new(format: Format) -> Self {
        Self {
            format,
            mode: Mode::Strict,
            limits: Limits::DEFAULT,
        }
    }

    /// The same, skipping lines that are not of the format.
    #[must_use]
    pub const fn lenient(mut self) -> Self {
        self.mode = Mode::Lenient;
        self
    }

    /// The same with other limits.
    #[must_use]
    pub const fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }
}

impl From<Format> for Options {
    fn from(format: Format) -> Self {
        Self::new(format)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for format in Format::ALL {
            assert_eq!(format.to_string().parse(), Ok(format));
        }
        assert_eq!("prometheus".parse::<Format>(), Err(UnknownFormat));
    }

    #[test]
    fn the_header_and_the_last_line_decide() {
        let om = Format::OpenMetrics100;
        for (body, header, want) in [
            ("a 1\n", None, Format::Text004),
            ("", None, Format::Text004),
            ("a 1\n", Some("text/plain; charset=utf-8"), Format::Text004),
            (
                "a 1\n",
                Some("text/plain; version=1.0.0; escaping=allow-utf-8"),
                Format::Text100,
            ),
            (
                "a 1\n",
                Some("text/plain; Version=\"1.0.0\""),
                Format::Text100,
            ),
            (
                "a 1\n",
                Some("application/openmetrics-text; version=1.0.0"),
                om,
            ),
            ("a 1\n# EOF\n", Some("text/plain; version=1.0.0"), om),
            ("a 1\n# EOF", None, om),
            ("# EOF", None, om),
            ("a 1 # EOF\n", None, Format::Text004),
            ("a 1\n# EOF\n\n", None, Format::Text004),
        ] {
            assert_eq!(
                Format::sniff(body.as_bytes(), header),
                want,
                "{body:?} {header:?}"
            );
        }
    }
}
