//! Shared by the tests of the parser.

use std::fmt::Write;

use tokenpath_core::exposition::{Entry, Labels};

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
