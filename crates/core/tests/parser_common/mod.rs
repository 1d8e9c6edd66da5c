//! Shared by the tests of the parser.

use std::fmt::Write;

use tokenpath_core::exposition::{Entry, Labels, Options, Parser, Variant};

/// An entry as one line: everything it says, nothing of how the page spelled it.
pub(crate) fn render(entry: &Entry<'_>) -> String {
    let mut line = String::new();
    match entry {
        Entry::Help { name, help } => write!(line, "help {name:?} {help:?}"),
        Entry::Type { name, kind } => write!(line, "type {name:?} {kind}"),
        Entry::Unit { name, unit } => write!(line, "unit {name:?} {unit:?}"),
        Entry::Comment(text) => write!(line, "comment {:?}", String::from_utf8_lossy(text)),
        Entry::Eof => write!(line, "eof"),
        Entry::Sample(sample) => {
            assert_eq!(sample.labels().count(), sample.labels().len());
            write!(
                line,
                "sample {:?}{} {:?}",
                sample.name(),
                labels(sample.labels()),
                sample.value()
            )
            .unwrap();
            if let Some(ms) = sample.timestamp_ms() {
                write!(line, " at {ms}").unwrap();
            }
            if let Some(exemplar) = sample.exemplar() {
                write!(
                    line,
                    " exemplar {} {:?}",
                    labels(exemplar.labels()),
                    exemplar.value()
                )
                .unwrap();
                if let Some(ms) = exemplar.timestamp_ms() {
                    write!(line, " at {ms}").unwrap();
                }
            }
            Ok(())
        }
    }
    .unwrap();
    line
}

fn labels(labels: Labels<'_>) -> String {
    let pairs: Vec<_> = labels
        .map(|(name, value)| format!("{name:?}={value:?}"))
        .collect();
    format!("{{{}}}", pairs.join(","))
}

/// Everything a parser says about a page, one line an entry, then how it ended.
#[allow(dead_code, reason = "not every test compares parsers")]
pub(crate) fn trace(page: &[u8], options: Options, variant: Variant) -> Vec<String> {
    let mut parser = Parser::new(page, options).with_variant(variant);
    let mut lines = Vec::new();
    while let Some(entry) = parser.next() {
        match entry {
            Ok(entry) => {
                let mut line = format!("{} {}", parser.entry_offset(), render(&entry));
                if let Entry::Sample(sample) = entry {
                    let (at, len) = (sample.value_offset(), sample.value_len());
                    let series = String::from_utf8_lossy(sample.series());
                    write!(
                        line,
                        " {at}+{len} {series:?} {:#x}",
                        sample.value().to_bits()
                    )
                    .unwrap();
                }
                lines.push(line);
            }
            Err(error) => lines.push(format!("{error} at {}", error.offset())),
        }
    }
    lines.push(format!(
        "{} skipped, {:?}",
        parser.skipped_lines(),
        parser.first_skipped()
    ));
    lines
}

/// A small generator of random numbers, the same for every run with one seed.
#[allow(dead_code, reason = "not every test draws")]
pub(crate) struct Random(u64);

#[allow(dead_code, reason = "not every test draws")]
impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 1).unwrap_or_default() % bound
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}
