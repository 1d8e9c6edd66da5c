//! A page in pieces of any size gives what the whole page gives.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod parser_common;

use std::fs;
use std::path::Path;

use parser_common::{Random, render, trace};
use proptest::prelude::*;
use tokenpath_core::exposition::{
    ChunkedParser, Entry, Format, Limits, Options, ParseErrorKind, Variant,
};

/// What a page fed in pieces says, in the words of `trace`, less the offsets of entries, which only a
/// whole page has.
fn trace_pieces<'a>(pieces: impl Iterator<Item = &'a [u8]>, options: Options) -> Vec<String> {
    let mut parser = ChunkedParser::new(options);
    let mut lines = Vec::new();
    let mut sink = |entry: Entry<'_>| {
        let mut line = render(&entry);
        if let Entry::Sample(sample) = entry {
            let series = String::from_utf8_lossy(sample.series());
            let (at, len, bits) = (
                sample.value_offset(),
                sample.value_len(),
                sample.value().to_bits(),
            );
            line += &format!(" {at}+{len} {series:?} {bits:#x}");
        }
        lines.push(line);
    };
    let mut result = Ok(());
    for piece in pieces {
        result = parser.feed(piece, &mut sink);
        if result.is_err() {
            break;
        }
    }
    let result = result.and_then(|()| parser.finish(&mut sink));
    if let Err(error) = result {
        lines.push(format!("{error} at {}", error.offset()));
        assert_eq!(
            parser.feed(b"a 1\n", |_| panic!("an entry after an error")),
            Err(error)
        );
    }
    lines.push(format!(
        "{} skipped, {:?}",
        parser.skipped_lines(),
        parser.first_skipped()
    ));
    lines
}

fn trace_whole(page: &[u8], options: Options) -> Vec<String> {
    let mut lines = trace(page, options, Variant::Plain);
    let entries = lines.len() - 1;
    for line in lines.iter_mut().take(entries) {
        // The offset of the entry stands in front; errors begin with `line`.
        if !line.starts_with("line ") {
            *line = line.split_once(' ').unwrap().1.to_owned();
        }
    }
    lines
}

fn all_options() -> Vec<Options> {
    let narrow = Limits {
        line_bytes: 40,
        labels: 3,
        label_value_bytes: 20,
        samples: 5,
        page_bytes: 300,
    };
    let mut all = Vec::new();
    for format in [Format::Text004, Format::OpenMetrics100] {
        for options in [Options::new(format), Options::new(format).lenient()] {
            all.push(options);
            all.push(options.limits(narrow));
        }
    }
    all
}

fn same_in_pieces(page: &[u8], sizes: &[usize]) {
    for options in all_options() {
        let want = trace_whole(page, options);
        for &size in sizes {
            let got = trace_pieces(page.chunks(size.max(1)), options);
            assert_eq!(
                got,
                want,
                "pieces of {size}, {options:?}\n{}",
                page.escape_ascii()
            );
        }
    }
}

fn pages() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/conformance");
    let mut pages = Vec::new();
    for kind in ["valid", "invalid"] {
        for entry in fs::read_dir(folder.join(kind)).unwrap() {
            pages.push(fs::read(entry.unwrap().path()).unwrap());
        }
    }
    assert!(pages.len() > 50);
    pages
}

#[test]
fn conformance_pages_in_pieces_of_every_size() {
    for page in pages() {
        let sizes: Vec<_> = (1..=page.len().min(24))
            .chain([page.len() / 2, page.len()])
            .collect();
        same_in_pieces(&page, &sizes);
    }
}

#[test]
fn pages_cut_in_two_at_every_byte() {
    for page in pages().iter().filter(|page| page.len() < 300) {
        for options in all_options() {
            let want = trace_whole(page, options);
            for at in 0..=page.len() {
                let (a, b) = page.split_at(at);
                let got = trace_pieces([a, b].into_iter(), options);
                assert_eq!(
                    got,
                    want,
                    "cut at {at}, {options:?}\n{}",
                    page.escape_ascii()
                );
            }
        }
    }
}

#[test]
fn long_pages_in_random_pieces() {
    let mut random = Random::new(7);
    let pages = pages();
    for _ in 0..60 {
        let mut page = Vec::new();
        for _ in 0..20 {
            page.extend_from_slice(random.pick::<Vec<u8>>(&pages));
        }
        let options = Options::default().lenient();
        let want = trace_whole(&page, options);
        let mut pieces = Vec::new();
        let mut rest = page.as_slice();
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at((1 + random.below(200)).min(rest.len()));
            pieces.push(piece);
            rest = behind;
        }
        assert_eq!(trace_pieces(pieces.into_iter(), options), want);
    }
}

#[test]
fn the_buffer_is_bounded() {
    let limits = Limits {
        line_bytes: 1000,
        ..Limits::DEFAULT
    };
    for line in ["a{b=\"", "# ", "x", "a{b=\"\n"] {
        let mut parser = ChunkedParser::new(Options::default().limits(limits));
        let mut error = None;
        let mut most = 0;
        for _ in 0..10_000 {
            error = parser.feed(line.as_bytes(), |_| {}).err();
            most = most.max(parser.buffered());
            if error.is_some() {
                break;
            }
        }
        assert!(most <= 1000 + line.len(), "{line:?}: {most}");
        if line.starts_with('#') || line == "x" {
            assert_eq!(
                error.unwrap().kind(),
                ParseErrorKind::LineTooLong { limit: 1000 }
            );
        }
    }
    // Lenient: the line is dropped as it comes.
    let mut parser = ChunkedParser::new(Options::default().lenient().limits(limits));
    for _ in 0..10_000 {
        parser
            .feed(b"xxxxxxxxxx", |_| panic!("no entry yet"))
            .unwrap();
        assert!(parser.buffered() <= 1010);
    }
    let mut entries = 0;
    parser.feed(b"\na 1\n", |_| entries += 1).unwrap();
    assert_eq!((entries, parser.skipped_lines()), (1, 1));
}

#[test]
fn the_page_limit_holds_over_pieces() {
    let limits = Limits {
        page_bytes: 10,
        ..Limits::DEFAULT
    };
    for size in 1..20 {
        let mut parser = ChunkedParser::new(Options::default().limits(limits));
        let mut entries = 0;
        let page = b"a 1\nb 2\nc 3\nd 4\n";
        let error = page
            .chunks(size)
            .find_map(|piece| parser.feed(piece, |_| entries += 1).err())
            .unwrap();
        assert_eq!(error.kind(), ParseErrorKind::PageTooLong { limit: 10 });
        assert_eq!(
            (entries, error.line(), error.column(), error.offset()),
            (2, 3, 3, 10)
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn made_up_pages_in_pieces(
        pieces in prop::collection::vec(
            prop::sample::select(vec![
                "a{b=\"c\"} 1\n", "x_total 12.0\n", "{", "}", "\"", "=", ",", " ", "\n", "\\", "1", "# HELP a ",
                "# TYPE b gauge\n", "# EOF\n", "# EOF", "\t", "ü", " # {", "a", "\n\n",
            ]),
            0..40,
        ),
        size in 1usize..30,
    ) {
        same_in_pieces(pieces.concat().as_bytes(), &[size]);
    }
}
