//! A filter gives what a full parse gives, less the other families.
//!
//! Input: a byte for the format, a line of names with blanks between, then the page.

use tokenpath_core::exposition::{Entry, Filter, Format, Options, ParseError, Parser, Variant};

/// Filters the page with every variant.
pub(crate) fn check(input: &[u8]) {
    let Some((format, rest)) = input.split_first() else {
        return;
    };
    let mut parts = rest.splitn(2, |byte| *byte == b'\n');
    let (Some(names), Some(page)) = (parts.next(), parts.next()) else {
        return;
    };
    let names = String::from_utf8_lossy(names);
    let families: Vec<&str> = names.split(' ').collect();
    agree(page, &families, Format::ALL[usize::from(format % 3)]);
}

/// An entry as text, if it is of a family.
fn describe(entry: &Entry<'_>) -> Option<(String, String)> {
    let name = match entry {
        Entry::Help { name, .. } | Entry::Type { name, .. } | Entry::Unit { name, .. } => *name,
        Entry::Sample(sample) => sample.name(),
        _ => return None,
    };
    Some((name.to_str().into_owned(), format!("{entry:?}")))
}

fn collect<'a>(
    entries: impl Iterator<Item = Result<Entry<'a>, ParseError>>,
) -> Result<Vec<(String, String)>, ParseError> {
    let mut all = Vec::new();
    for entry in entries {
        all.extend(describe(&entry?));
    }
    Ok(all)
}

/// Holds the filter of these families against a parse.
pub(crate) fn agree(page: &[u8], families: &[&str], format: Format) {
    let filter = Filter::new(families);
    let options = Options::new(format);
    let full = collect(Parser::new(page, options));
    for variant in Variant::available() {
        let some = collect(filter.entries(page, options).with_variant(variant));
        if let Ok(full) = &full {
            let want: Vec<_> = full
                .iter()
                .filter(|(name, _)| filter.takes(name))
                .cloned()
                .collect();
            assert_eq!(
                some.as_ref(),
                Ok(&want),
                "{variant:?} {families:?}\n{}",
                page.escape_ascii()
            );
        }
        if let Ok(some) = some {
            assert!(some.iter().all(|(name, _)| filter.takes(name)));
        }
    }
}
