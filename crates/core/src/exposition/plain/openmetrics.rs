//! OpenMetrics 1.0, by the states of Prometheus's `openmetricslex.l`.
//!
//! Stricter than the text formats: one blank between words and none elsewhere, no empty lines, no
//! comments, every line ends in a newline, and `# EOF` ends the page. Beyond Prometheus, a label
//! name twice is refused. What the specification says about *families* (order, suffixes, values) is
//! not grammar: [`check`](fn@crate::exposition::check) is for that.

use super::{Braces, Cursor, Kind, Reading, Series, Step, Stop};
use crate::MetricType;
use crate::exposition::entry::{Entry, Labels};
use crate::exposition::number::{self, NumberFault};
use crate::exposition::text::{Escapes, Text};

#[derive(Clone, Copy)]
enum Keyword {
    Help,
    Type,
    Unit,
}

pub(super) fn entry<'a>(c: &mut Cursor<'a, '_>) -> Step<'a> {
    let entry = match c.peek() {
        None => {
            c.end()?;
            return c.fault(Kind::ExpectedEof, c.at);
        }
        Some(b'#') => match metadata(c)? {
            Some(entry) => entry,
            None => return end_of_page(c),
        },
        Some(b' ' | b'\t' | b'\n') => return c.refuse(Kind::UnexpectedBlank),
        Some(_) => {
            let series = series(c)?;
            let reading = reading(c)?;
            c.sample(series, reading)?
        }
    };
    if c.peek() != Some(b'\n') {
        return c.refuse(Kind::ExpectedNewline);
    }
    Ok(Some((entry, c.at + 1)))
}

/// A line that begins with `#`; `None` for `# EOF`, with the cursor behind it.
fn metadata<'a>(c: &mut Cursor<'a, '_>) -> Result<Option<Entry<'a>>, Stop> {
    c.at += 1;
    if c.peek() != Some(b' ') {
        return c.refuse(Kind::ExpectedKeyword);
    }
    c.at += 1;
    let word = c.slice(c.at, c.bytes.len());
    let keyword = match word {
        [b'H', b'E', b'L', b'P', b' ', ..] => Keyword::Help,
        [b'T', b'Y', b'P', b'E', b' ', ..] => Keyword::Type,
        [b'U', b'N', b'I', b'T', b' ', ..] => Keyword::Unit,
        [b'E', b'O', b'F', ..] => {
            c.at += 3;
            return Ok(None);
        }
        _ => {
            // Too few bytes to tell are not yet a wrong keyword.
            if word.len() < 5 && memchr::memchr(b'\n', word).is_none() {
                c.end()?;
            }
            return c.fault(Kind::ExpectedKeyword, c.at);
        }
    };
    c.at += 5;
    let name = c.metadata_name()?;
    if c.peek() != Some(b' ') {
        return c.refuse(Kind::ExpectedBlank);
    }
    let (from, to) = c.metadata_text(|b| b == b' ')?;
    if to == c.bytes.len() {
        return c.refuse(Kind::ExpectedNewline);
    }
    let entry = match keyword {
        Keyword::Help => Entry::Help {
            name,
            help: Text::with(c.utf8(from, to)?, Escapes::Quoted),
        },
        Keyword::Type => Entry::Type {
            name,
            kind: metric_type(c, from, to)?,
        },
        Keyword::Unit => {
            let unit = c.utf8(from, to)?;
            let stem = name.raw().strip_suffix(unit);
            if !unit.is_empty() && !stem.is_some_and(|stem| stem.ends_with('_')) {
                return c.fault(Kind::UnitNotSuffix, from);
            }
            Entry::Unit {
                name,
                unit: Text::new(unit, Escapes::None),
            }
        }
    };
    Ok(Some(entry))
}

fn metric_type(c: &Cursor<'_, '_>, from: usize, to: usize) -> Result<MetricType, Stop> {
    Ok(match c.slice(from, to) {
        b"counter" => MetricType::Counter,
        b"gauge" => MetricType::Gauge,
        b"histogram" => MetricType::Histogram,
        b"gaugehistogram" => MetricType::GaugeHistogram,
        b"summary" => MetricType::Summary,
        b"info" => MetricType::Info,
        b"stateset" => MetricType::StateSet,
        b"unknown" => MetricType::Unknown,
        _ => return c.fault(Kind::UnknownType, from),
    })
}

/// Behind `# EOF`: one newline may follow, nothing else.
fn end_of_page<'a>(c: &mut Cursor<'a, '_>) -> Step<'a> {
    if c.page.get(c.at) == Some(&b'\n') {
        c.at += 1;
    }
    if c.at < c.page.len() {
        return c.fault(Kind::DataAfterEof, c.at);
    }
    if !c.whole {
        return Err(Stop::Incomplete);
    }
    Ok(Some((Entry::Eof, c.at)))
}

fn series(c: &mut Cursor<'_, '_>) -> Result<Series, Stop> {
    let start = c.at;
    let word = c.word(true);
    let word_end = c.at;
    if c.peek() == Some(b'{') {
        c.at += 1;
        let braces = braces(
            c,
            if word {
                Inside::Named
            } else {
                Inside::Nameless
            },
        )?;
        if !word && braces.name.is_none() {
            return c.fault(Kind::ExpectedMetricName, start);
        }
        return c.series(start, word_end, Some(&braces));
    }
    if !word {
        return c.refuse(Kind::ExpectedLineStart);
    }
    c.series(start, word_end, None)
}

/// Whose braces are read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Inside {
    /// A series whose name stands before them.
    Named,
    /// A series whose name must stand in them.
    Nameless,
    Exemplar,
}

/// From behind the opening brace to behind the closing one.
fn braces(c: &mut Cursor<'_, '_>, inside: Inside) -> Result<Braces, Stop> {
    let exemplar = inside == Inside::Exemplar;
    let mut braces = Braces {
        open: c.at,
        name: None,
        labels: 0,
    };
    loop {
        let name_at = c.at;
        let quoted = match c.peek() {
            Some(b'}') => {
                c.at += 1;
                return Ok(braces);
            }
            Some(b'"') => Some(c.quoted(!exemplar, false)?),
            _ if c.word(false) => None,
            _ => return c.refuse(Kind::ExpectedLabelName),
        };
        match (quoted, c.peek()) {
            (Some(_), Some(b',' | b'}')) if exemplar => return c.refuse(Kind::ExpectedEquals),
            (Some(name), Some(b',' | b'}')) => {
                if inside == Inside::Named || braces.name.is_some() {
                    return c.fault(Kind::SecondMetricName, name_at);
                }
                braces.name = Some(name);
            }
            (_, Some(b'=')) => {
                c.count_label(&mut braces.labels, name_at)?;
                c.at += 1;
                if c.peek() != Some(b'"') {
                    return c.refuse(Kind::ExpectedLabelValue);
                }
                c.label_value(false, !exemplar)?;
            }
            _ => return c.refuse(Kind::ExpectedEquals),
        }
        match c.peek() {
            Some(b',') => c.at += 1,
            Some(b'}') => {}
            _ => return c.refuse(Kind::ExpectedCommaOrBrace),
        }
    }
}

const fn ends_token(b: u8) -> bool {
    matches!(b, b' ' | b'\n')
}

/// From behind the series to the newline.
fn reading(c: &mut Cursor<'_, '_>) -> Result<Reading, Stop> {
    let token = value(c)?;
    let mut timestamp = None;
    let mut exemplar = None;
    if c.peek() == Some(b' ') && !at_exemplar(c)? {
        timestamp = Some(seconds(c)?);
    }
    if c.peek() == Some(b' ') {
        if !at_exemplar(c)? {
            return c.refuse(Kind::TrailingBytes);
        }
        exemplar = Some(self::exemplar(c)?);
    }
    Ok(Reading {
        token,
        timestamp,
        exemplar,
    })
}

/// A blank and a number; gives where the number is.
fn value(c: &mut Cursor<'_, '_>) -> Result<(usize, usize), Stop> {
    if c.peek() != Some(b' ') {
        return c.refuse(Kind::ExpectedValue);
    }
    c.at += 1;
    let token = c.token(ends_token)?;
    if token.0 == token.1 {
        return c.refuse(Kind::ExpectedValue);
    }
    c.value(token)?;
    Ok(token)
}

/// A blank and a timestamp.
fn seconds(c: &mut Cursor<'_, '_>) -> Result<i64, Stop> {
    c.at += 1;
    let (from, to) = c.token(ends_token)?;
    if from == to {
        return c.refuse(Kind::ExpectedTimestamp);
    }
    number::timestamp_seconds(c.slice(from, to)).or_else(|fault| match fault {
        NumberFault::Invalid => c.fault(Kind::ExpectedTimestamp, from),
        NumberFault::OutOfRange => c.fault(Kind::TimestampOutOfRange, from),
    })
}

/// Whether ` # {` is at the cursor.
fn at_exemplar(c: &Cursor<'_, '_>) -> Result<bool, Stop> {
    let ahead = c.slice(c.at, c.bytes.len());
    if ahead.len() < 4 && b" # {".starts_with(ahead) {
        c.end()?;
    }
    Ok(ahead.starts_with(b" # {"))
}

/// ` # {labels} value [timestamp]`; gives where its brace is.
fn exemplar(c: &mut Cursor<'_, '_>) -> Result<usize, Stop> {
    let start = c.at + 3;
    c.at = start + 1;
    let braces = braces(c, Inside::Exemplar)?;
    let labels_end = c.at;
    c.utf8(start, labels_end)?;
    value(c)?;
    if c.peek() == Some(b' ') {
        seconds(c)?;
    }
    if c.peek() == Some(b' ') {
        return c.refuse(Kind::TrailingBytes);
    }
    let text = c.utf8(start, c.at)?;
    let inside = text.get(1..).unwrap_or_default();
    c.unique(Labels::scanned(inside, 0, braces.labels))?;
    Ok(start)
}
