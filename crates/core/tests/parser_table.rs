//! Small pages, each read in every mode and cut off at every byte.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod parser_common;

use parser_common::render;
use tokenpath_core::exposition::{
    Entry, Format, Limits, Mode, Options, ParseError, ParseErrorKind as Kind, Parser,
};

const TEXT: Format = Format::Text004;
const OM: Format = Format::OpenMetrics100;

/// What must come of a page: the entries before the first error, and the error.
type Row = (
    Format,
    &'static [u8],
    &'static [&'static str],
    Option<(Kind, u64, u64)>,
);

#[rustfmt::skip]
const ROWS: &[Row] = &[
    (TEXT, b"", &[], None),
    (TEXT, b"\n\n \t\n", &[], None),
    (TEXT, b"a 1", &[r#"sample "a"{} 1.0"#], None),
    (TEXT, b"a 1 5", &[r#"sample "a"{} 1.0 at 5"#], None),
    (TEXT, b"a{b=\"c\",d=\"e\"} 1\n", &[r#"sample "a"{"b"="c","d"="e"} 1.0"#], None),
    (TEXT, b"a{b=\"c\\\"\\\\\"} 1\n", &[r#"sample "a"{"b"="c\"\\"} 1.0"#], None),
    (TEXT, b"a{b=\"c\n\"} 1\nd e\n", &[r#"sample "a"{"b"="c\n"} 1.0"#], Some((Kind::InvalidValue, 3, 3))),
    (TEXT, b"{\"a b\",c=\"d\"} 1\n", &[r#"sample "a b"{"c"="d"} 1.0"#], None),
    (TEXT, b"{c=\"d\",\"a b\"} 1\n", &[r#"sample "a b"{"c"="d"} 1.0"#], None),
    (TEXT, b"# HELP a b c\n# TYPE a summary\n#x\n", &[r#"help "a" "b c""#, r#"type "a" summary"#, r#"comment "x""#], None),
    (TEXT, b"# HELP \"a\nb\" c\n", &[r#"help "a\nb" "c""#], None),
    (TEXT, "ok{a=\"日本\"} 1\n".as_bytes(), &[r#"sample "ok"{"a"="日本"} 1.0"#], None),
    (TEXT, b"a 1\nb\n", &[r#"sample "a"{} 1.0"#], Some((Kind::ExpectedValue, 2, 2))),
    (TEXT, b"a{b=\"c", &[], Some((Kind::ExpectedClosingQuote, 1, 7))),
    (TEXT, b"a{b=\"c\\", &[], Some((Kind::ExpectedClosingQuote, 1, 8))),
    (TEXT, b"a{b=\"\xff\"} 1\n", &[], Some((Kind::InvalidUtf8, 1, 6))),
    (TEXT, b"a{b=\"\xe6\x97\"} 1\n", &[], Some((Kind::InvalidUtf8, 1, 6))),
    (TEXT, b"a{\"\xff\"=\"1\"} 1\n", &[], Some((Kind::InvalidUtf8, 1, 4))),
    (TEXT, b"\x00", &[], Some((Kind::ExpectedLineStart, 1, 1))),
    (TEXT, b"\xef\xbb\xbfa 1\n", &[], Some((Kind::ExpectedLineStart, 1, 1))),
    (TEXT, b"a 18446744073709551616\n", &[r#"sample "a"{} 1.8446744073709552e19"#], None),
    (OM, b"# EOF\n", &["eof"], None),
    (OM, b"a 1\n# EOF", &[r#"sample "a"{} 1.0"#, "eof"], None),
    (OM, b"", &[], Some((Kind::ExpectedEof, 1, 1))),
    (OM, b"a 1\n", &[r#"sample "a"{} 1.0"#], Some((Kind::ExpectedEof, 2, 1))),
    (OM, b"a 1\n# EOF\n# EOF\n", &[r#"sample "a"{} 1.0"#], Some((Kind::DataAfterEof, 3, 1))),
    (OM, b"a_total 1 # {b=\"c\"} 2 3\n# EOF\n", &[r#"sample "a_total"{} 1.0 exemplar {"b"="c"} 2.0 at 3000"#, "eof"], None),
    (OM, b"# UNIT a_s s\n# EOF\n", &[r#"unit "a_s" "s""#, "eof"], None),
    (OM, b"{\"a\nb\",\"c\nd\"=\"e\"} 1\n# EOF\n", &[r#"sample "a\nb"{"c\nd"="e"} 1.0"#, "eof"], None),
    (OM, b"# HELP a\n# EOF\n", &[], Some((Kind::ExpectedBlank, 1, 9))),
    (OM, b"# HEL", &[], Some((Kind::ExpectedKeyword, 1, 3))),
    (OM, b"a 1 2 3\n# EOF\n", &[], Some((Kind::TrailingBytes, 1, 6))),
];

fn read(page: &[u8], options: Options) -> (Vec<String>, Option<ParseError>) {
    let mut entries = Vec::new();
    for entry in Parser::new(page, options) {
        match entry {
            Ok(entry) => entries.push(render(&entry)),
            Err(error) => return (entries, Some(error)),
        }
    }
    (entries, None)
}

#[test]
fn rows_read_strict() {
    for (format, page, want, error) in ROWS {
        let (got, e) = read(page, Options::new(*format));
        let shown = page.escape_ascii();
        assert_eq!(got, *want, "{shown}");
        assert_eq!(
            e.map(|e| (e.kind(), e.line(), e.column())),
            *error,
            "{shown}"
        );
    }
}

#[test]
fn rows_read_lenient() {
    for (format, page, want, error) in ROWS {
        let mut parser = Parser::new(page, Options::new(*format).lenient());
        let got: Vec<_> = (&mut parser)
            .map(|e| render(&e.expect("lenient skips")))
            .collect();
        let shown = page.escape_ascii();
        assert!(
            got.len() >= want.len() && got.iter().zip(*want).all(|(g, w)| g == w),
            "{shown}: {got:?}"
        );
        assert_eq!(parser.skipped_lines() > 0, error.is_some(), "{shown}");
        let first = parser
            .first_skipped()
            .map(|e| (e.kind(), e.line(), e.column()));
        assert_eq!(first, *error, "{shown}");
        assert!(parser.next().is_none(), "{shown}: it ends for good");
    }
}

#[test]
fn rows_cut_off_at_every_byte() {
    for (format, page, want, _) in ROWS {
        for end in 0..page.len() {
            for mode in [Mode::Strict, Mode::Lenient] {
                let cut = &page[..end];
                let options = Options {
                    mode,
                    ..Options::new(*format)
                };
                let (got, error) = read(cut, options);
                let shown = cut.escape_ascii();
                // Only the last line can differ from what the whole page says, a strict page of
                // OpenMetrics lacks its end.
                let same = got.iter().zip(*want).take_while(|(g, w)| g == w).count();
                assert!(
                    same + 1 >= got.len() || mode == Mode::Lenient,
                    "{shown}: {got:?}"
                );
                if let Some(error) = error {
                    assert!(error.offset() <= end, "{shown}: {error}");
                    assert!(!error.excerpt(cut).to_string().is_empty());
                }
            }
        }
    }
}

#[test]
fn lenient_reading_skips_one_line_and_goes_on() {
    let page = b"a 1\nb{c=\"\nd 2\ne{f=\"g\"} 3 x\nh 4\n";
    let mut parser = Parser::new(page, Options::default().lenient());
    let got: Vec<_> = (&mut parser).map(|e| render(&e.unwrap())).collect();
    assert_eq!(
        got,
        [
            r#"sample "a"{} 1.0"#,
            r#"sample "d"{} 2.0"#,
            r#"sample "h"{} 4.0"#
        ]
    );
    assert_eq!(parser.skipped_lines(), 2);
    let first = parser.first_skipped().unwrap();
    // The quote opened on line 2 is closed on line 4, so `g` is a label name without `=`.
    assert_eq!(
        (first.kind(), first.line(), first.column()),
        (Kind::ExpectedEquals, 4, 7)
    );
}

#[test]
fn a_sample_knows_its_bytes() {
    let page = b"# c\n  a { b = \"c\" }  12.5 7\n";
    let sample = Parser::new(page, Options::default())
        .find_map(|e| match e.unwrap() {
            Entry::Sample(sample) => Some(sample),
            _ => None,
        })
        .unwrap();
    assert_eq!(sample.series(), b"a { b = \"c\" }");
    let value = sample.value_offset()..sample.value_offset() + sample.value_len();
    assert_eq!(&page[value], b"12.5");
    assert_eq!(sample.labels().get("b").unwrap(), "c");
    assert!(sample.labels().get("c").is_none());
    assert!(sample.exemplar().is_none());
}

#[test]
fn the_entry_offset_is_where_its_line_begins() {
    let page = b"\n a 1\n\nb 2\n";
    let mut parser = Parser::new(page, Options::default());
    let mut offsets = Vec::new();
    while parser.next().is_some() {
        offsets.push(parser.entry_offset());
    }
    assert_eq!(offsets, [1, 7]);
}

/// The first error under limits that are as loose as can be, but for what `tighten` does.
fn refused(page: &[u8], format: Format, tighten: impl Fn(&mut Limits)) -> Option<(Kind, u64, u64)> {
    let mut limits = Limits::NONE;
    tighten(&mut limits);
    let (_, error) = read(page, Options::new(format).limits(limits));
    error.map(|e| (e.kind(), e.line(), e.column()))
}

#[test]
fn each_limit_takes_what_reaches_it_and_refuses_what_exceeds_it() {
    let page = b"a 1\nb{c=\"def\",g=\"h\"} 2\nlast 3\n";
    for format in [TEXT, OM] {
        let mut page = page.to_vec();
        let body = page.len();
        if format == OM {
            page.extend(b"# EOF\n");
        }
        let refused = |tighten: &dyn Fn(&mut Limits)| refused(&page, format, tighten);
        assert_eq!(refused(&|l| l.page_bytes = page.len()), None);
        let limit = body - 1;
        assert_eq!(
            refused(&|l| l.page_bytes = limit),
            Some((Kind::PageTooLong { limit }, 3, 7))
        );
        assert_eq!(refused(&|l| l.line_bytes = 18), None);
        assert_eq!(
            refused(&|l| l.line_bytes = 17),
            Some((Kind::LineTooLong { limit: 17 }, 2, 18))
        );
        assert_eq!(refused(&|l| l.labels = 2), None);
        assert_eq!(
            refused(&|l| l.labels = 1),
            Some((Kind::TooManyLabels { limit: 1 }, 2, 11))
        );
        assert_eq!(refused(&|l| l.label_value_bytes = 3), None);
        let too_long = Kind::LabelValueTooLong { limit: 2 };
        assert_eq!(
            refused(&|l| l.label_value_bytes = 2),
            Some((too_long, 2, 8))
        );
        assert_eq!(refused(&|l| l.samples = 3), None);
        assert_eq!(
            refused(&|l| l.samples = 2),
            Some((Kind::TooManySamples { limit: 2 }, 3, 1))
        );
    }
}

#[test]
fn the_line_limit_holds_for_every_kind_of_line() {
    for (format, page) in [
        (TEXT, "# HELP a 0123456789\n"),
        (TEXT, "# 01234567890123456\n"),
        (TEXT, "                   \n"),
        (TEXT, "a01234567890123456 1\n"),
        (TEXT, "a 01234567890123456\n"),
        (TEXT, "a{b=\"01234567890\n\n"),
        (TEXT, "a{b=\"0123456\n890\"} 1"),
        (OM, "# HELP a 0123456789\n"),
        (OM, "a 1 # {b=\"345678901\n"),
    ] {
        let limit = 16;
        let got = refused(page.as_bytes(), format, |l| l.line_bytes = limit);
        let (kind, ..) = got.unwrap_or_else(|| panic!("{page:?} was taken"));
        assert_eq!(kind, Kind::LineTooLong { limit }, "{page:?}");
    }
    // Lines are counted one by one: many short ones are fine.
    assert_eq!(
        refused(b"a 1\n\n\n   \n# x\nb 2\n", TEXT, |l| l.line_bytes = 3),
        None
    );
}

#[test]
fn limits_on_the_page_end_lenient_reading_too() {
    let limits = Limits {
        samples: 1,
        ..Limits::NONE
    };
    let options = Options::default().lenient().limits(limits);
    let mut parser = Parser::new(b"a 1\nb 2\nc 3\n", options);
    assert!(parser.next().is_some_and(|e| e.is_ok()));
    assert_eq!(
        parser.next().unwrap().unwrap_err().kind(),
        Kind::TooManySamples { limit: 1 }
    );
    assert!(parser.next().is_none());
}

#[test]
fn many_labels_are_still_told_apart() {
    // More than the parser remembers at once.
    let labels: Vec<_> = (0..200).map(|n| format!("l{n}=\"v\"")).collect();
    let page = format!("a{{{}}} 1\n", labels.join(","));
    let options = Options::default().limits(Limits::NONE);
    assert_eq!(read(page.as_bytes(), options).1, None);
    for again in [0, 63, 64, 150] {
        let page = format!("a{{{},l{again}=\"w\"}} 1\n", labels.join(","));
        let error = read(page.as_bytes(), options).1.unwrap();
        assert_eq!(error.kind(), Kind::DuplicateLabel);
        assert_eq!(
            error.column(),
            page.rfind(&format!("l{again}=")).unwrap() as u64 + 1
        );
    }
}
