//! What holds for any bytes read as a page of a format.

use std::fmt::Write;

use tokenpath_core::exposition::{self, Entry, Format, Options, Parser, Sample, parse_value};

/// Reads `page` in both modes, and each sample once more from a line written of it.
pub(crate) fn check(page: &[u8], format: Format) {
    let strict: Result<Vec<_>, _> = Parser::new(page, format.into()).collect();
    let mut lenient = Parser::new(page, Options::new(format).lenient());
    let entries: Vec<_> = (&mut lenient).filter_map(Result::ok).collect();
    match strict {
        Ok(strict) => {
            assert_eq!(strict, entries);
            assert_eq!(lenient.skipped_lines(), 0);
        }
        Err(error) => {
            assert!(error.offset() <= page.len(), "{error}");
            let before = &page[..error.offset()];
            let line = before.iter().filter(|b| **b == b'\n').count() + 1;
            let column = before.iter().rev().take_while(|b| **b != b'\n').count() + 1;
            assert_eq!((error.line(), error.column()), (line as u64, column as u64));
            assert!(!error.excerpt(page).to_string().is_empty());
            assert!(lenient.first_skipped().is_none_or(|first| first == error));
        }
    }
    for entry in &entries {
        if let Entry::Sample(sample) = entry {
            value_is_where_it_says(page, sample);
            comes_back(sample);
        }
    }
    // That it ends, and does not panic; what it finds is the business of its own tests.
    let findings = exposition::check(page, format);
    assert!(findings.iter().all(|finding| finding.line >= 1));
}

fn value_is_where_it_says(page: &[u8], sample: &Sample<'_>) {
    let text = &page[sample.value_offset()..sample.value_offset() + sample.value_len()];
    let value = sample.value();
    assert_eq!(parse_value(text).map(f64::to_bits), Some(value.to_bits()));
    if !value.is_nan() {
        let std: f64 = std::str::from_utf8(text)
            .expect("a number is ASCII")
            .parse()
            .expect("a number");
        assert_eq!(std.to_bits(), value.to_bits());
    }
}

/// Writes the sample in the quoted form, which takes every name but one with a zero byte, and reads it
/// again. (Behind a backslash such a byte can stand in a name; written back, its backslash is two.)
fn comes_back(sample: &Sample<'_>) {
    let mut names = sample.labels().map(|(name, _)| name);
    if sample.name().raw().contains('\0') || names.any(|name| name.raw().contains('\0')) {
        return;
    }
    let quoted = |text: &str| {
        text.replace('\\', r"\\")
            .replace('"', "\\\"")
            .replace('\n', r"\n")
    };
    let mut page = format!("{{\"{}\"", quoted(&sample.name().to_str()));
    for (name, value) in sample.labels() {
        write!(
            page,
            ",\"{}\"=\"{}\"",
            quoted(&name.to_str()),
            quoted(&value.to_str())
        )
        .expect("a string takes it");
    }
    writeln!(page, "}} {:?}", sample.value()).expect("a string takes it");
    let mut again = Parser::new(page.as_bytes(), Options::new(Format::Text100));
    match again.next() {
        Some(Ok(Entry::Sample(again))) => {
            assert_eq!(again.name(), sample.name(), "{page}");
            assert!(again.labels().eq(sample.labels()), "{page}");
            assert_eq!(again.value().to_bits(), sample.value().to_bits(), "{page}");
        }
        // Escapes make a line longer, which can take it over a limit.
        Some(Err(_)) => assert!(page.len() > 4096, "{page}"),
        other => panic!("{other:?}: {page}"),
    }
}
