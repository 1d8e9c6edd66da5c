//! The grammars, byte at a time: what every faster variant must agree with.
//!
//! A function here reads one entry from the front of what is left of a page. It never looks past
//! the end of that entry (plus, for `# EOF`, whether anything follows), so a page that arrives in
//! pieces is read by the same functions: where the bytes at hand end within an entry they say
//! [`Stop::Incomplete`], and are asked again from the start of the entry with more.
//!
//! To change a grammar: the two files beside this one follow the lexers of Prometheus's
//! `model/textparse` state by state. What they take, Prometheus takes; what they refuse beyond that
//! is said where it is refused.

mod openmetrics;
mod text;

use super::entry::{Entry, Labels, Sample};
use super::error::ParseErrorKind as Kind;
use super::number::{self, NumberFault};
use super::scan::marked::{Line, Places};
use super::text::{Escapes, Text};
use super::{Format, Limits};

/// A refused byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) kind: Kind,
    /// Where, in the page.
    pub(crate) at: usize,
}

/// Why an entry could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The page is not of the format.
    Fault(Fault),
    /// The bytes at hand end within the entry, and more are to come.
    Incomplete,
}

/// An entry and where the next one begins; `None` at the end of the page.
pub(crate) type Step<'a> = Result<Option<(Entry<'a>, usize)>, Stop>;

/// Reads the entry at `start` of `page`. Blank lines before it are passed over, so the entry's own
/// start is handed back through `start`. `whole` says that `page` ends where the real page ends.
pub(crate) fn entry<'a>(
    page: &'a [u8],
    start: &mut usize,
    whole: bool,
    format: Format,
    limits: &Limits,
) -> Step<'a> {
    let mut cursor = Cursor::new(page, *start, whole, limits);
    match format {
        Format::Text004 | Format::Text100 => {
            let step = text::entry(&mut cursor);
            *start = cursor.start;
            step
        }
        Format::OpenMetrics100 => openmetrics::entry(&mut cursor),
    }
}

/// The place reached within an entry.
struct Cursor<'a, 'l> {
    /// The page up to the byte behind the longest line that is allowed to start at `start`.
    bytes: &'a [u8],
    page: &'a [u8],
    start: usize,
    at: usize,
    whole: bool,
    limits: &'l Limits,
}

/// A series, read up to its last byte.
#[derive(Clone, Copy)]
pub(super) struct Series {
    start: usize,
    end: usize,
    /// Between its quotes, where it has any.
    name: (usize, usize),
    labels: usize,
}

/// Where the parts of a label set are.
struct Braces {
    /// Behind the opening brace.
    open: usize,
    /// A quoted metric name, between its quotes.
    name: Option<(usize, usize)>,
    labels: usize,
}

/// Behind the series: what a line says about it.
struct Reading {
    /// The text of the value.
    token: (usize, usize),
    timestamp: Option<i64>,
    /// Where the brace of the exemplar is.
    exemplar: Option<usize>,
}

impl<'a, 'l> Cursor<'a, 'l> {
    fn new(page: &'a [u8], start: usize, whole: bool, limits: &'l Limits) -> Self {
        let mut cursor = Self {
            bytes: page,
            page,
            start,
            at: start,
            whole,
            limits,
        };
        cursor.begin(start);
        cursor
    }

    /// Begins an entry: the line limit counts from here.
    fn begin(&mut self, start: usize) {
        let end = start
            .saturating_add(self.limits.line_bytes)
            .saturating_add(1)
            .min(self.page.len());
        self.start = start;
        self.at = start;
        self.bytes = self.page.get(..end).unwrap_or(self.page);
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn slice(&self, from: usize, to: usize) -> &'a [u8] {
        self.bytes.get(from..to).unwrap_or_default()
    }

    fn fault<T>(&self, kind: Kind, at: usize) -> Result<T, Stop> {
        Err(Stop::Fault(Fault { kind, at }))
    }

    /// Refuses the byte at the cursor; where there is none, says which end that is.
    fn refuse<T>(&self, kind: Kind) -> Result<T, Stop> {
        if self.at < self.bytes.len() {
            self.fault(kind, self.at)
        } else {
            self.end()?;
            self.fault(kind, self.at)
        }
    }

    /// The bytes at hand are used up: fine where the page ends here, an error where only the line
    /// limit does, and otherwise more bytes are needed.
    fn end(&self) -> Result<(), Stop> {
        let limit = self.limits.line_bytes;
        if self.bytes.len() - self.start > limit {
            self.fault(Kind::LineTooLong { limit }, self.start + limit)
        } else if self.whole {
            Ok(())
        } else {
            Err(Stop::Incomplete)
        }
    }

    /// Where the line ends that the cursor is on: its newline, or the end of the page.
    fn end_of_line(&self) -> Result<usize, Stop> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        match memchr::memchr(b'\n', rest) {
            Some(n) => Ok(self.at + n),
            None => self.end().map(|()| self.bytes.len()),
        }
    }

    fn skip_blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t')) {
            self.at += 1;
        }
    }

    /// Passes over a name without quotes, if one begins here.
    fn word(&mut self, colon: bool) -> bool {
        let letter = |b: u8| b.is_ascii_alphabetic() || b == b'_' || (colon && b == b':');
        if !self.peek().is_some_and(letter) {
            return false;
        }
        while self.peek().is_some_and(|b| letter(b) || b.is_ascii_digit()) {
            self.at += 1;
        }
        true
    }

    /// Passes over a quoted string; gives what is between the quotes. `newline` and `nul` say
    /// whether those may stand in it.
    fn quoted(&mut self, newline: bool, nul: bool) -> Result<(usize, usize), Stop> {
        self.at += 1;
        let from = self.at;
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok((from, self.at - 1));
                }
                Some(b'\\') => {
                    self.at += 1;
                    if matches!(self.peek(), None | Some(b'\n')) {
                        return self.refuse(Kind::ExpectedClosingQuote);
                    }
                    self.at += 1;
                }
                Some(b'\n') if !newline => return self.refuse(Kind::ExpectedClosingQuote),
                Some(0) if !nul => return self.refuse(Kind::ExpectedClosingQuote),
                Some(_) => self.at += 1,
                None => return self.refuse(Kind::ExpectedClosingQuote),
            }
        }
    }

    /// A label value, whose opening quote is at the cursor.
    fn label_value(&mut self, newline: bool, nul: bool) -> Result<(), Stop> {
        let (from, to) = self.quoted(newline, nul)?;
        let limit = self.limits.label_value_bytes;
        if to - from > limit {
            return self.fault(Kind::LabelValueTooLong { limit }, from + limit);
        }
        Ok(())
    }

    /// Counts one label more, whose name begins at `at`.
    fn count_label(&self, labels: &mut usize, at: usize) -> Result<(), Stop> {
        let limit = self.limits.labels;
        if *labels >= limit {
            return self.fault(Kind::TooManyLabels { limit }, at);
        }
        *labels += 1;
        Ok(())
    }

    /// The text of a value or a timestamp: up to a byte that `ends` says. Empty where there is none.
    fn token(&mut self, ends: impl Fn(u8) -> bool) -> Result<(usize, usize), Stop> {
        let from = self.at;
        while self.peek().is_some_and(|b| !ends(b)) {
            self.at += 1;
        }
        if self.at == self.bytes.len() {
            self.end()?;
        }
        Ok((from, self.at))
    }

    fn utf8(&self, from: usize, to: usize) -> Result<&'a str, Stop> {
        match std::str::from_utf8(self.slice(from, to)) {
            Ok(text) => Ok(text),
            Err(e) => self.fault(Kind::InvalidUtf8, from + e.valid_up_to()),
        }
    }

    /// Refuses what is no value.
    fn value(&self, (from, to): (usize, usize)) -> Result<(), Stop> {
        match number::value(self.slice(from, to)) {
            Ok(_) => Ok(()),
            Err(NumberFault::Invalid) => self.fault(Kind::InvalidValue, from),
            Err(NumberFault::OutOfRange) => self.fault(Kind::ValueOutOfRange, from),
        }
    }

    /// The text of the metadata line whose name was just read: what stands behind one blank.
    fn metadata_text(&mut self, blank: impl Fn(u8) -> bool) -> Result<(usize, usize), Stop> {
        let end = self.end_of_line()?;
        let from = match self.peek() {
            Some(b) if blank(b) => self.at + 1,
            Some(b'\n') | None => end,
            Some(_) => return self.fault(Kind::ExpectedBlank, self.at),
        };
        self.at = end;
        Ok((from, end))
    }

    /// The name of a metadata line.
    fn metadata_name(&mut self) -> Result<Text<'a>, Stop> {
        if self.peek() == Some(b'"') {
            let (from, to) = self.quoted(true, false)?;
            return Ok(Text::with(self.utf8(from, to)?, Escapes::Quoted));
        }
        let from = self.at;
        if !self.word(true) {
            return self.refuse(Kind::ExpectedMetadataName);
        }
        Ok(Text::new(self.utf8(from, self.at)?, Escapes::None))
    }

    /// Puts a series together whose grammar is checked, from `start` to the cursor; refuses what is
    /// not UTF-8, and label names that occur twice.
    fn series(
        &self,
        start: usize,
        word_end: usize,
        braces: Option<&Braces>,
    ) -> Result<Series, Stop> {
        let text = self.utf8(start, self.at)?;
        let Some(braces) = braces else {
            return Ok(Series {
                start,
                end: self.at,
                name: (start, word_end),
                labels: 0,
            });
        };
        let inside = text.get(braces.open - start..).unwrap_or_default();
        self.unique(Labels::scanned(inside, 0, braces.labels))?;
        let name = braces.name.unwrap_or((start, word_end));
        Ok(Series {
            start,
            end: self.at,
            name,
            labels: braces.labels,
        })
    }

    /// The sample that a series and its reading make; the cursor is behind the reading.
    fn sample(&self, series: Series, reading: Reading) -> Result<Entry<'a>, Stop> {
        let Series {
            start,
            end,
            name,
            labels,
        } = series;
        let text = self.utf8(start, self.at)?;
        let places = Places {
            series: end - start,
            name: (name.0 - start, name.1 - start),
            value: (reading.token.0 - start, reading.token.1 - start),
            exemplar: reading.exemplar.map(|at| at - start),
            labels,
        };
        // Only a line beyond the reach of 32 bits has no such places.
        let Some(line) = Line::checked(text, places) else {
            return self.fault(
                Kind::LineTooLong {
                    limit: u32::MAX as usize,
                },
                start,
            );
        };
        Ok(Entry::Sample(Sample {
            line,
            offset: start,
            timestamp: reading.timestamp,
        }))
    }

    /// Refuses a label name that occurs twice.
    fn unique(&self, labels: Labels<'a>) -> Result<(), Stop> {
        /// Names remembered; beyond, earlier ones are read again (which the default limit rules out).
        const SEEN: usize = Limits::DEFAULT.labels;
        let mut seen = [Text::new("", Escapes::None); SEEN];
        for (n, (name, _)) in labels.enumerate() {
            let again = seen.iter().take(n).any(|earlier| *earlier == name)
                || (n > SEEN && labels.take(n).any(|(earlier, _)| earlier == name));
            if again {
                let at = name.raw().as_ptr().addr() - self.page.as_ptr().addr();
                return self.fault(Kind::DuplicateLabel, at);
            }
            if let Some(slot) = seen.get_mut(n) {
                *slot = name;
            }
        }
        Ok(())
    }
}
