//! A page in pieces against the whole page. The first byte says the options, the second how the
//! pieces are cut.

use tokenpath_core::exposition::{ChunkedParser, Entry, Parser, Variant};

use super::options;

pub(crate) fn check(input: &[u8]) {
    let Some((options, rest)) = options::take(input) else {
        return;
    };
    let Some((&cut, page)) = rest.split_first() else {
        return;
    };
    let mut whole = Parser::new(page, options).with_variant(Variant::Plain);
    let mut pieces = ChunkedParser::new(options);
    let mut ended = None;
    let mut sink = |entry: Entry<'_>| {
        match whole.next() {
            Some(Ok(want)) => {
                assert_eq!(entry, want);
                if let (Entry::Sample(got), Entry::Sample(want)) = (entry, want) {
                    assert_eq!(got.value_offset(), want.value_offset());
                    assert_eq!(got.value_len(), want.value_len());
                }
            }
            other => panic!("{entry:?}, not {other:?}"),
        };
    };
    // Pieces of changing sizes, at least a byte.
    let mut size = usize::from(cut);
    let mut left = page;
    while !left.is_empty() && ended.is_none() {
        size = (size * 5 + 3) % 97;
        let (piece, behind) = left.split_at((size + 1).min(left.len()));
        ended = pieces.feed(piece, &mut sink).err();
        left = behind;
    }
    if ended.is_none() {
        ended = pieces.finish(&mut sink).err();
    }
    match (ended, whole.next()) {
        (None, None) => {}
        (Some(got), Some(Err(want))) => assert_eq!(got, want),
        (got, want) => panic!("{got:?}, not {want:?}"),
    }
    assert_eq!(pieces.skipped_lines(), whole.skipped_lines());
    assert_eq!(pieces.first_skipped(), whole.first_skipped());
}
