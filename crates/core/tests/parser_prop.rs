//! Properties of the parser: it never panics, its numbers are those of the standard library, what a
//! naive writer puts on a page comes back.

use proptest::prelude::*;
use tokenpath_core::exposition::{Entry, Format, Options, Parser, check};

fn formats() -> impl Strategy<Value = Format> {
    prop::sample::select(Format::ALL.to_vec())
}

/// Bytes that mean something in one of the formats, more often than others.
fn page_like() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        8 => prop::sample::select(vec![
            "a", "b_total", "{", "}", "\"", "=", ",", " ", "\n", "\\", "1", "0.5", "NaN", "# ", "#", "HELP ", "TYPE ",
            "UNIT ", "counter", "EOF", "\t", "\r", "\0", "ü", "le=\"", "\"} ", " # {", "1e400", "_", ":",
        ])
        .prop_map(|s| s.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..4),
    ];
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

fn value_of(text: &str) -> Option<f64> {
    let page = format!("a {text}\n");
    match Parser::new(page.as_bytes(), Options::default()).next() {
        Some(Ok(Entry::Sample(sample))) => Some(sample.value()),
        _ => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn nothing_makes_it_panic(page in page_like(), format in formats()) {
        for options in [Options::new(format), Options::new(format).lenient()] {
            let mut parser = Parser::new(&page, options);
            for entry in &mut parser {
                if let Err(error) = entry {
                    prop_assert!(error.offset() <= page.len());
                    let upto = &page[..error.offset()];
                    let line = upto.iter().filter(|b| **b == b'\n').count() as u64 + 1;
                    prop_assert_eq!(error.line(), line);
                }
            }
        }
        let _ = check(&page, format);
    }

    #[test]
    fn a_strict_page_and_a_lenient_one_agree_where_nothing_is_wrong(page in page_like(), format in formats()) {
        let strict: Result<Vec<_>, _> = Parser::new(&page, Options::new(format)).collect();
        let mut lenient = Parser::new(&page, Options::new(format).lenient());
        let taken: Vec<_> = (&mut lenient).map(|e| e.unwrap()).collect();
        match strict {
            Ok(entries) => {
                prop_assert_eq!(lenient.skipped_lines(), 0);
                prop_assert_eq!(entries, taken);
            }
            Err(error) => prop_assert_eq!(lenient.first_skipped(), Some(error)),
        }
    }

    #[test]
    fn numbers_are_those_of_the_standard_library(
        text in r"[+-]?([0-9]{1,20}|[0-9]{0,18}\.[0-9]{1,18}|[0-9]{1,5}\.)([eE][+-]?[0-9]{1,3})?"
    ) {
        let want: f64 = text.parse().unwrap();
        let got = value_of(&text);
        if want.is_finite() {
            prop_assert_eq!(got.map(f64::to_bits), Some(want.to_bits()), "{}", text);
        } else {
            prop_assert_eq!(got, None, "{}", text);
        }
    }

    #[test]
    fn every_float_comes_back(bits in any::<u64>()) {
        let value = f64::from_bits(bits);
        prop_assume!(value.is_finite());
        prop_assert_eq!(value_of(&format!("{value}")).map(f64::to_bits), Some(bits));
        prop_assert_eq!(value_of(&format!("{value:e}")).map(f64::to_bits), Some(bits));
    }

    #[test]
    fn what_a_naive_writer_wrote_comes_back(
        name in "[a-zA-Z_:][a-zA-Z0-9_:]{0,12}",
        labels in prop::collection::btree_map("[a-zA-Z_][a-zA-Z0-9_]{0,8}", any::<String>(), 0..6),
        value in any::<f64>(),
        openmetrics in any::<bool>(),
    ) {
        prop_assume!(!value.is_nan());
        let escaped: Vec<_> = labels
            .iter()
            .map(|(n, v)| {
                let v = v.replace('\\', r"\\").replace('\n', r"\n").replace('"', "\\\"");
                format!("{n}=\"{v}\"")
            })
            .collect();
        let mut page = format!("{name}{{{}}} {value}\n", escaped.join(","));
        let format = if openmetrics { Format::OpenMetrics100 } else { Format::Text004 };
        if openmetrics {
            page.push_str("# EOF\n");
        }
        let Some(Ok(Entry::Sample(sample))) = Parser::new(page.as_bytes(), format.into()).next() else {
            return Err(TestCaseError::fail(page));
        };
        prop_assert_eq!(sample.name(), name.as_str());
        prop_assert_eq!(sample.value().to_bits(), value.to_bits());
        let got: Vec<_> = sample.labels().map(|(n, v)| (n.to_string(), v.to_string())).collect();
        prop_assert_eq!(got, labels.into_iter().collect::<Vec<_>>());
    }
}

/// Ten million of the generator's numbers agree with `str::parse`; the property above runs fewer.
#[test]
fn ten_million_fuzzed_numbers_are_exact() {
    // A small generator with a fixed seed: the run is the same everywhere.
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let count = if cfg!(debug_assertions) {
        200_000
    } else {
        10_000_000
    };
    let mut page = String::new();
    let mut want = Vec::new();
    for n in 0..count {
        use std::fmt::Write;
        page.push_str("a ");
        let start = page.len();
        let r = next();
        match r % 6 {
            0 => write!(page, "{}", r >> 20),
            1 => write!(page, "{}.0", r >> (8 + r % 50)),
            2 => write!(
                page,
                "{}",
                f64::from_bits(next() & !(0x7ff << 52) | (next() % 2046) << 52)
            ),
            3 => write!(
                page,
                "{:e}",
                f64::from_bits(next() & !(0x7ff << 52) | (next() % 2046) << 52)
            ),
            4 => write!(
                page,
                "{}.{}",
                next() >> (next() % 64),
                next() >> (next() % 64)
            ),
            _ => write!(
                page,
                "-{}e{}",
                next() >> (next() % 64),
                (next() % 200) as i64 - 100
            ),
        }
        .unwrap();
        want.push(page.get(start..).unwrap().parse::<f64>().unwrap().to_bits());
        page.push('\n');
        if n % 10_000 == 9_999 {
            let options = Options::default();
            let got: Vec<_> = Parser::new(page.as_bytes(), options)
                .map(|e| match e.unwrap() {
                    Entry::Sample(sample) => sample.value().to_bits(),
                    other => panic!("{other:?}"),
                })
                .collect();
            assert_eq!(got, want);
            page.clear();
            want.clear();
        }
    }
}
