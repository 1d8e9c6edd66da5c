//! What a page consists of, borrowed from it.

use std::fmt;
use std::iter::FusedIterator;

use super::number;
use super::scan::marked::{Line, Marked};
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
    pub(crate) line: Line<'a>,
    /// Where in the page the line begins.
    pub(crate) offset: usize,
    pub(crate) timestamp: Option<i64>,
}

impl<'a> Sample<'a> {
    /// The name, suffixes such as `_total` and `_bucket` included.
    #[inline]
    #[must_use]
    pub fn name(&self) -> Text<'a> {
        self.line.name()
    }

    /// The labels in the order of the page, each name once.
    #[inline]
    #[must_use]
    pub fn labels(&self) -> Labels<'a> {
        self.line.labels()
    }

    /// The value; NaN is always the same NaN.
    ///
    /// That it is one was validated with the line; the number is made of its text here, each time this
    /// is called. Whoever does not ask does not pay for it.
    #[inline]
    #[must_use]
    pub fn value(&self) -> f64 {
        self.line.value()
    }

    /// The timestamp in milliseconds since 1970. OpenMetrics writes seconds: they are cut to
    /// milliseconds, and `i64::MIN` stands for what does not fit.
    #[inline]
    #[must_use]
    pub const fn timestamp_ms(&self) -> Option<i64> {
        self.timestamp
    }

    /// The exemplar (OpenMetrics only).
    #[must_use]
    pub fn exemplar(&self) -> Option<Exemplar<'a>> {
        Exemplar::parse(self.line.exemplar())
    }

    /// The bytes of the series as on the page: name and label set, blanks and quotes included.
    #[inline]
    #[must_use]
    pub const fn series(&self) -> &'a [u8] {
        self.line.series().as_bytes()
    }

    /// Where in the page the text of the value begins.
    #[inline]
    #[must_use]
    pub const fn value_offset(&self) -> usize {
        self.offset + self.line.value_place().0
    }

    /// How many bytes the text of the value has.
    #[inline]
    #[must_use]
    pub const fn value_len(&self) -> usize {
        let (from, to) = self.line.value_place();
        to - from
    }
}

/// The same line: name, labels in order, value by its bits, timestamp and exemplar.
impl PartialEq for Sample<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.series() == other.series()
            && self.name() == other.name()
            && self.labels().eq(other.labels())
            && self.value().to_bits() == other.value().to_bits()
            && self.timestamp == other.timestamp
            && self.line.exemplar() == other.line.exemplar()
    }
}

impl fmt::Debug for Sample<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sample")
            .field("name", &self.name())
            .field("labels", &self.labels())
            .field("value", &self.value())
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
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let inside = text.strip_prefix('{')?;
        let mut skim = Scan {
            text: inside,
            at: 0,
        };
        let mut count = 0;
        while skim.label().is_some() {
            count += 1;
        }
        let labels = Labels::scanned(inside, 0, count);
        // The last label is read: only a comma may stand between here and the brace.
        let rest = inside.get(skim.at..)?;
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
pub struct Labels<'a>(Kind<'a>);

#[derive(Clone, Copy)]
enum Kind<'a> {
    /// Found byte by byte from `at`.
    Scan {
        text: &'a str,
        at: usize,
        left: usize,
    },
    /// Found by masks before.
    Marked(Marked<'a>),
}

impl<'a> Labels<'a> {
    /// No labels.
    pub(crate) const NONE: Self = Self::scanned("", 0, 0);

    /// `count` labels in checked text, from `at`, behind the opening brace.
    pub(crate) const fn scanned(text: &'a str, at: usize, count: usize) -> Self {
        Self(Kind::Scan {
            text,
            at,
            left: count,
        })
    }

    /// Labels whose quotes were found already.
    pub(crate) const fn marked(marked: Marked<'a>) -> Self {
        Self(Kind::Marked(marked))
    }

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
        match &self.0 {
            Kind::Scan { left, .. } => *left,
            Kind::Marked(marked) => marked.len(),
        }
    }

    /// Whether no label is left.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<'a> Iterator for Labels<'a> {
    type Item = (Text<'a>, Text<'a>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            Kind::Marked(marked) => marked.next(),
            Kind::Scan { left: 0, .. } => None,
            Kind::Scan { text, at, left } => {
                // By value, so that a struct of this type can stay in registers.
                let Some((name, value, next)) = scan(text, *at) else {
                    *left = 0;
                    return None;
                };
                *at = next;
                *left -= 1;
                Some((name, value))
            }
        }
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.len(), Some(self.len()))
    }
}

impl ExactSizeIterator for Labels<'_> {}
impl FusedIterator for Labels<'_> {}

impl fmt::Debug for Labels<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(*self).finish()
    }
}

/// The label at `at` of checked text, and where it ends.
#[inline(never)]
fn scan(text: &str, at: usize) -> Option<(Text<'_>, Text<'_>, usize)> {
    let mut scan = Scan { text, at };
    let (name, value) = scan.label()?;
    Some((name, value, scan.at))
}

/// Checked text between braces, read byte by byte.
#[derive(Clone, Copy)]
struct Scan<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scan<'a> {
    /// The next label.
    fn label(&mut self) -> Option<(Text<'a>, Text<'a>)> {
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
}
