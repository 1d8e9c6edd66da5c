//! Text 0.0.4 and 1.0.0, by the states of Prometheus's `promlex.l`.
//!
//! Beyond Prometheus, refused here: a label name twice; a zero byte where an entry or a label value
//! should begin (Prometheus takes the first for the end of the page, so the rest of it vanishes);
//! `# HELP` whose name is followed by something else than a blank. Blanks before a name are
//! dropped, where Prometheus makes them part of the name.

use super::{Braces, Cursor, Kind, Reading, Series, Step, Stop};
use crate::MetricType;
use crate::exposition::entry::Entry;
use crate::exposition::number;
use crate::exposition::text::{Escapes, Text};

const fn blank(b: u8) -> bool {
    matches!(b, b' ' | b'\t')
}

pub(super) fn entry<'a>(c: &mut Cursor<'a, '_>) -> Step<'a> {
    loop {
        c.skip_blanks();
        let entry = match c.peek() {
            None => {
                c.end()?;
                return Ok(None);
            }
            Some(b'\n') => {
                c.begin(c.at + 1);
                continue;
            }
            Some(b'#') => comment(c)?,
            Some(_) => {
                let series = series(c)?;
                let reading = reading(c)?;
                c.sample(series, reading)?
            }
        };
        // At the newline, or at the end of the page.
        return Ok(Some((entry, (c.at + 1).min(c.page.len()))));
    }
}

/// A comment, which may be metadata.
fn comment<'a>(c: &mut Cursor<'a, '_>) -> Result<Entry<'a>, Stop> {
    let end = c.end_of_line()?;
    let hash = c.at;
    c.at += 1;
    c.skip_blanks();
    let keyword = match c.slice(c.at, end) {
        _ if c.at == hash + 1 => None,
        [b'H', b'E', b'L', b'P', b, ..] if blank(*b) => Some(true),
        [b'T', b'Y', b'P', b'E', b, ..] if blank(*b) => Some(false),
        _ => None,
    };
    let Some(help) = keyword else {
        c.at = end;
        return Ok(Entry::Comment(c.slice(hash + 1, end)));
    };
    c.at += 4;
    c.skip_blanks();
    let name = c.metadata_name()?;
    let (from, to) = c.metadata_text(blank)?;
    if help {
        return Ok(Entry::Help {
            name,
            help: Text::with(c.utf8(from, to)?, Escapes::Help),
        });
    }
    let kind = match c.slice(from, to) {
        b"counter" => MetricType::Counter,
        b"gauge" => MetricType::Gauge,
        b"histogram" => MetricType::Histogram,
        b"summary" => MetricType::Summary,
        b"untyped" => MetricType::Unknown,
        _ => return c.fault(Kind::UnknownType, from),
    };
    Ok(Entry::Type { name, kind })
}

fn series(c: &mut Cursor<'_, '_>) -> Result<Series, Stop> {
    let start = c.at;
    let word = c.word(true);
    let word_end = c.at;
    c.skip_blanks();
    if c.peek() == Some(b'{') {
        c.at += 1;
        let braces = braces(c, word)?;
        if !word && braces.name.is_none() {
            return c.fault(Kind::ExpectedMetricName, start);
        }
        return c.series(start, word_end, Some(&braces));
    }
    if !word {
        return c.refuse(Kind::ExpectedLineStart);
    }
    c.at = word_end;
    c.series(start, word_end, None)
}

/// From behind the opening brace to behind the closing one.
fn braces(c: &mut Cursor<'_, '_>, word: bool) -> Result<Braces, Stop> {
    let mut braces = Braces {
        open: c.at,
        name: None,
        labels: 0,
    };
    loop {
        c.skip_blanks();
        let name_at = c.at;
        let quoted = match c.peek() {
            Some(b'}') => {
                c.at += 1;
                return Ok(braces);
            }
            Some(b'"') => Some(c.quoted(true, false)?),
            _ if c.word(false) => None,
            _ => return c.refuse(Kind::ExpectedLabelName),
        };
        c.skip_blanks();
        match (quoted, c.peek()) {
            (Some(name), Some(b',' | b'}')) => {
                if word || braces.name.is_some() {
                    return c.fault(Kind::SecondMetricName, name_at);
                }
                braces.name = Some(name);
            }
            (_, Some(b'=')) => {
                c.count_label(&mut braces.labels, name_at)?;
                c.at += 1;
                c.skip_blanks();
                if c.peek() != Some(b'"') {
                    return c.refuse(Kind::ExpectedLabelValue);
                }
                c.label_value(true, true)?;
                c.skip_blanks();
            }
            _ => return c.refuse(Kind::ExpectedEquals),
        }
        // One comma, or none: Prometheus does not insist on it between labels.
        if c.peek() == Some(b',') {
            c.at += 1;
        }
    }
}

/// From behind the series to the newline.
fn reading(c: &mut Cursor<'_, '_>) -> Result<Reading, Stop> {
    c.skip_blanks();
    let token = c.token(|b| matches!(b, b'{' | b' ' | b'\t' | b'\n'))?;
    if token.0 == token.1 {
        return c.refuse(Kind::ExpectedValue);
    }
    c.value(token)?;
    c.skip_blanks();
    let mut timestamp = None;
    if c.peek().is_some_and(|b| b.is_ascii_digit()) {
        let (from, to) = c.token(|b| !b.is_ascii_digit())?;
        timestamp = number::timestamp_ms(c.slice(from, to));
        if timestamp.is_none() {
            return c.fault(Kind::TimestampOutOfRange, from);
        }
        c.skip_blanks();
    }
    match c.peek() {
        Some(b'\n') => {}
        None => c.end()?,
        Some(_) if timestamp.is_some() => return c.refuse(Kind::TrailingBytes),
        Some(_) => return c.refuse(Kind::ExpectedTimestamp),
    }
    Ok(Reading {
        token,
        timestamp,
        exemplar: None,
    })
}
