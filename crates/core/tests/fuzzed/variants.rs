//! Every implementation of the line scanner against the plain one. The first byte says the options.

use tokenpath_core::exposition::{Entry, Parser, Variant};

use super::options;

pub(crate) fn check(input: &[u8]) {
    let Some((options, page)) = options::take(input) else {
        return;
    };
    for variant in Variant::available() {
        let mut plain = Parser::new(page, options).with_variant(Variant::Plain);
        let mut fast = Parser::new(page, options).with_variant(variant);
        loop {
            let (want, got) = (plain.next(), fast.next());
            assert_eq!(got, want, "{variant:?}");
            assert_eq!(fast.entry_offset(), plain.entry_offset(), "{variant:?}");
            match (want, got) {
                (Some(Ok(Entry::Sample(want))), Some(Ok(Entry::Sample(got)))) => {
                    assert_eq!(got.value_offset(), want.value_offset(), "{variant:?}");
                    assert_eq!(got.value_len(), want.value_len(), "{variant:?}");
                    assert_eq!(got.labels().len(), want.labels().len(), "{variant:?}");
                    for ((a, b), (c, d)) in got.labels().zip(want.labels()) {
                        assert_eq!((a.raw(), b.raw()), (c.raw(), d.raw()), "{variant:?}");
                    }
                }
                (None, None) => break,
                _ => {}
            }
        }
        assert_eq!(fast.skipped_lines(), plain.skipped_lines(), "{variant:?}");
        assert_eq!(fast.first_skipped(), plain.first_skipped(), "{variant:?}");
    }
}
