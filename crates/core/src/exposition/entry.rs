//! What a page consists of, borrowed from it.

use std::fmt;
use std::iter::FusedIterator;

use super::number;
use super::text::{Escapes, Text};
use crate::MetricType;

/// One line of a page. Everything is borrowed from the page.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Entry<'a> {
    /// `# HELP name text`
    Help {
        /// The family.
        name: Text<'a>,
        /// The text; its escapes depend on the format.
        help: Text<'a>,
    },
    /// `# TYPE name type`
    Type {
        /// The family.
        name: Text<'a>,
        /// Its type.
        kind: MetricType,
    },
    /// `# UNIT name unit`, in OpenMetrics only (a comment elsewhere).
    Unit {
        /// The family.
        name: Text<'a>,
        /// The unit, possibly empty.
        unit: Text<'a>,
    },
    /// A series and its value.
    Sample(Sample<'a>),
    /// Any other line that begins with `#`: what follows the `#`, which need not be UTF-8.
    Comment(&'a [u8]),
    /// `# EOF`, in OpenMetrics only: the last line.
    Eof,
}

/// A series with its value, and what else the line holds.
///
/// The whole line was validated before this was made; labels are found again, cheaply, as they are
/// iterated.
#[derive(Clone, Copy)]
pub struct Sample<'a> {
    /// Name and label set as on the page.
    pub(crate) series: &'a str,
    pub(crate) name: Text<'a>,
    pub(crate) labels: Labels<'a>,
    pub(crate) value: f64,
    pub(crate) value_offset: usize,
    pub(crate) value_len: usize,
    pub(crate) timestamp: Option<i64>,
    /// From the opening brace to the end of the line; empty where there is none.
    pub(crate) exemplar: &'a str,
}

impl<'a> Sample<'a> {
    /// The name, suffixes such as `_total` and `_bucket` included.
    #[must_use]
    pub const fn name(&self) -> Text<'a> {
        self.name
    }

    /// The labels in the order of the page, each name once.
    #[must_use]
    pub const fn labels(&self) -> Labels<'a> {
        self.labels
    }

    /// The value; NaN is always the same NaN.
    #[must_use]
    pub const fn value(&self) -> f64 {
        self.value
    }

    /// The timestamp in milliseconds since 1970. OpenMetrics writes seconds: they are cut to
    /// milliseconds, and `i64::MIN` stands for what does not fit.
    #[must_use]
    pub const fn timestamp_ms(&self) -> Option<i64> {
        self.timestamp
    }

    /// The exemplar (OpenMetrics only).
    #[must_use]
    pub fn exemplar(&self) -> Option<Exemplar<'a>> {
        Exemplar::parse(self.exemplar)
    }

    /// The bytes of the series as on the page: name and label set, blanks and quotes included.
    #[must_use]
    pub const fn series(&self) -> &'a [u8] {
        self.series.as_bytes()
    }

    /// Where in the page the text of the value begins.
    #[must_use]
    pub const fn value_offset(&self) -> usize {
        self.value_offset
    }

    /// How many bytes the text of the value has.
    #[must_use]
    pub const fn value_len(&self) -> usize {
        self.value_len
    }
}

/// The same line: name, labels in order, value by its bits, timestamp and exemplar.
impl PartialEq for Sample<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.series == other.series
            && self.name == other.name
            && self.labels.eq(other.labels)
            && self.value.to_bits() == other.value.to_bits()
            && self.timestamp == other.timestamp
            && self.exemplar == other.exemplar
    }
}

impl fmt::Debug for Sample<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sample")
            .field("name", &self.name)
            .field("labels", &self.labels)
            .field("value", &self.value)
            .field("timestamp_ms", &self.timestamp)
            .field("exemplar", &self.exemplar())
            .finish_non_exhaustive()
    }
}

/// An exemplar: one observation that went into the sample it stands on.
#[derive(Clone, Copy, Debug)]
pub struct Exemplar<'a> {
    labels: Labels<'a>,
    value: f64,
    timestamp: Option<i64>,
}

impl<'a> Exemplar<'a> {
    /// The labels, `trace_id` for instance.
    #[must_use]
    pub const fn labels(&self) -> Labels<'a> {
        self.labels
    }

    /// The observed value.
    #[must_use]
    pub const fn value(&self) -> f64 {
        self.value
    }

    /// When it was observed, in milliseconds since 1970; `i64::MIN` for what does not fit.
    #[must_use]
    pub const fn timestamp_ms(&self) -> Option<i64> {
        self.timestamp
    }

    /// From the validated text `{labels} value [timestamp]`; `None` where it is empty.
    fn parse(text: &'a str) -> Option<Self> {
        let mut labels = Labels {
            text: text.strip_prefix('{')?,
            at: 0,
            left: 0,
        };
        let mut skim = labels;
        skim.left = usize::MAX;
        while skim.next().is_some() {
            labels.left += 1;
        }
        // The last label is read: only a comma may stand between here and the brace.
        let rest = skim.text.get(skim.at..)?;
        let rest = rest.get(rest.find('}')? + 1..)?;
        let mut words = rest.split(' ').filter(|w| !w.is_empty());
        let value = number::value(words.next()?.as_bytes()).ok()?;
        let timestamp = words
            .next()
            .and_then(|w| number::timestamp_seconds(w.as_bytes()).ok());
        Some(Self {
            labels,
            value,
            timestamp,
        })
    }
}

/// The labels of a sample or an exemplar, in the order of the page. Cheap to clone.
///
/// A quoted metric name among them (text 1.0.0) is not one of them.
///
/// ```
/// use tokenpath_core::exposition::{Entry, Options, Parser};
///
/// let page = br#"tokens_total{model_name="a",engine="0"} 5"#;
/// let Some(Ok(Entry::Sample(sample))) = Parser::new(page, Options::default()).next() else {
///     panic!("one sample");
/// };
/// let names: Vec<_> = sample.labels().map(|(name, _)| name.raw()).collect();
/// assert_eq!(names, ["model_name", "engine"]);
/// assert_eq!(sample.labels().len(), 2);
/// ```
#[derive(Clone, Copy)]
pub struct Labels<'a> {
    /// Validated, from behind the opening brace, at least to the last label's end.
    pub(crate) text: &'a str,
    pub(crate) at: usize,
    pub(crate) left: usize,
}

impl<'a> Labels<'a> {
    /// No labels.
    pub(crate) const NONE: Self = Self {
        text: "",
        at: 0,
        left: 0,
    };

    /// The value of the label called `name`, which is compared unescaped.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Text<'a>> {
        self.clone()
            .find(|(n, _)| *n == *name)
            .map(|(_, value)| value)
    }

    /// How many labels are left.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.left
    }

    /// Whether no label is left.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.left == 0
    }

    fn skip(&mut self, separators: &[u8]) -> Option<u8> {
        loop {
            let b = *self.text.as_bytes().get(self.at)?;
            if !separators.contains(&b) {
                return Some(b);
            }
            self.at += 1;
        }
    }

    /// The string whose opening quote is at `self.at`; leaves `self.at` behind the closing one.
    fn quoted(&mut self) -> Option<Text<'a>> {
        let start = self.at + 1;
        let bytes = self.text.as_bytes();
        let mut at = start;
        let mut escapes = Escapes::None;
        loop {
            at += memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
            if bytes.get(at) == Some(&b'"') {
                break;
            }
            escapes = Escapes::Quoted;
            at += 2;
        }
        self.at = at + 1;
        Some(Text::new(self.text.get(start..at)?, escapes))
    }

    fn word(&mut self) -> Option<Text<'a>> {
        let start = self.at;
        let rest = self.text.as_bytes().get(start..)?;
        let len = rest
            .iter()
            .position(|b| !(b.is_ascii_alphanumeric() || *b == b'_'))
            .unwrap_or(rest.len());
        if len == 0 {
            return None;
        }
        self.at = start + len;
        Some(Text::new(self.text.get(start..self.at)?, Escapes::None))
    }

    /// The next label of validated text, whatever `left` says.
    fn scan(&mut self) -> Option<(Text<'a>, Text<'a>)> {
        loop {
            let name = match self.skip(b" \t,")? {
                b'"' => self.quoted()?,
                _ => self.word()?,
            };
            if self.skip(b" \t")? == b'=' {
                self.at += 1;
                self.skip(b" \t")?;
                let value = self.quoted()?;
                return Some((name, value));
            }
            // A quoted string without `=` is the metric name.
        }
    }
}

impl<'a> Iterator for Labels<'a> {
    type Item = (Text<'a>, Text<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        let label = self.scan();
        self.left = if label.is_some() { self.left - 1 } else { 0 };
        label
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Labels<'_> {}
impl FusedIterator for Labels<'_> {}

impl fmt::Debug for Labels<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(*self).finish()
    }
}
