//! A layout memory says what a full parse says, page after page: values, lines, errors.

#[path = "fuzzed/layout.rs"]
#[expect(dead_code, reason = "the entry point of the fuzz target")]
mod fuzzed;

use fuzzed::{Reader, readers};
use proptest::prelude::*;
use tokenpath_core::exposition::{Format, Limits, Options};

/// The lines that pages are made of: ordinary ones, odd ones, some with long prefixes, one that is
/// not valid.
const LINES: &[&str] = &[
    "# HELP vllm:a A help text that is as long as help texts are, with \"quotes\" and so on.\n",
    "# TYPE vllm:a gauge\n",
    "# a comment\n",
    "\n",
    "vllm:a{engine=\"0\"} @\n",
    "vllm:a{engine=\"1\"} @\n",
    "vllm:a_bucket{engine=\"0\",le=\"0.5\",model_name=\"meta-llama/Llama-3.1-8B-Instruct\"} @\n",
    "vllm:a_bucket{engine=\"0\",le=\"1.0\",model_name=\"meta-llama/Llama-3.1-8B-Instruct\"} @\n",
    "vllm:a_bucket{engine=\"0\",le=\"+Inf\",model_name=\"meta-llama/Llama-3.1-8B-Instruct\"} @\n",
    "b @\n",
    "b@\n",
    "c{}@\n",
    "c{} @\n",
    "  d   @  \n",
    "e @ 1700000000000\n",
    "f{x=\"a\\\"b\"} @\n",
    "g{x=\"two\nlines\"} @\n",
    "h{x=\"ünï\"} @\n",
    "i @",
    "bad{ @\n",
];

const VALUES: &[&str] = &[
    "0",
    "1",
    "7.0",
    "12345.0",
    "123456.0",
    "12345678",
    "123456789.0",
    "0.5",
    "1.7953111316306963e+09",
    "-.5",
    "NaN",
    "+Inf",
    "-3",
    "1e400",
    "x",
    "",
    "1 2",
    "00000000000000000000000000000000000001.5",
];

fn page(lines: &[(usize, usize)]) -> String {
    let line = |(line, value): &(usize, usize)| LINES[*line].replace('@', VALUES[*value]);
    lines.iter().map(line).collect()
}

/// A page and what becomes of it: lines that go, come, change places, and values that change.
fn pages() -> impl Strategy<Value = Vec<String>> {
    // The usual lines and values are usual here too.
    let line = prop_oneof![20 => 0..LINES.len() - 2, 1 => 0..LINES.len()];
    let value = prop_oneof![60 => 0usize..12, 1 => 0..VALUES.len()];
    let lines = proptest::collection::vec((line.clone(), value.clone()), 0..24);
    let change = (0..5u8, 0usize..24, line, value);
    let changes = proptest::collection::vec(proptest::collection::vec(change, 0..4), 1..8);
    (lines, changes).prop_map(|(mut lines, rounds)| {
        let mut pages = vec![page(&lines)];
        for round in rounds {
            for (kind, at, line, value) in round {
                let at = at % lines.len().max(1);
                match kind {
                    0 if at < lines.len() => _ = lines.remove(at),
                    1 => lines.insert(at.min(lines.len()), (line, value)),
                    2 if at < lines.len() => {
                        let moved = lines.remove(at);
                        lines.insert(line.min(lines.len()), moved);
                    }
                    _ if at < lines.len() => lines[at].1 = value,
                    _ => {}
                }
            }
            pages.push(page(&lines));
        }
        pages
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn a_layout_says_what_a_parse_says(pages in pages(), lenient: bool) {
        let mut options = Options::new(Format::Text004);
        if lenient {
            options = options.lenient();
        }
        for mut reader in readers() {
            for page in &pages {
                let _ = reader.read(page.as_bytes(), options);
            }
        }
    }

    #[test]
    fn limits_hold_on_known_pages_too(pages in pages(), line_bytes in 60usize..120, samples in 3usize..9) {
        let limits = Limits { line_bytes, samples, page_bytes: 700, ..Limits::DEFAULT };
        let options = Options::new(Format::Text004).limits(limits);
        for mut reader in readers() {
            for page in &pages {
                let _ = reader.read(page.as_bytes(), options);
            }
        }
    }
}

/// The recorded pages of one family of servers, one after another, and cut off.
#[test]
fn recorded_pages_one_after_another() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/vllm");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("testdata is there")
        .map(|entry| entry.expect("a readable folder").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    files.sort();
    let pages: Vec<_> = files
        .iter()
        .map(|path| std::fs::read(path).expect("a readable page"))
        .collect();
    assert!(pages.len() > 5);
    for mut reader in readers() {
        for page in &pages {
            let format = Format::sniff(page, None);
            for _ in 0..2 {
                let _ = reader.read(page, Options::new(format));
            }
            let cut = &page[..page.len() * 2 / 3];
            let _ = reader.read(cut, Options::new(format));
            let first = reader.read(page, Options::new(format));
            let second = reader.read(page, Options::new(format));
            assert_eq!(first.is_ok(), second.is_ok());
            if let Ok(second) = second {
                assert!(second.unchanged);
            }
        }
    }
}

#[test]
fn openmetrics_pages_with_exemplars_are_known_too() {
    let page = |value: &str, exemplar: &str| {
        format!(
            "# TYPE a histogram\na_bucket{{le=\"1.0\"}} {value} # {{trace_id=\"{exemplar}\"}} 0.5\n\
             a_bucket{{le=\"+Inf\"}} 9\na_count 9\na_sum 3.5\n# EOF\n"
        )
    };
    for mut reader in readers() {
        let options = Options::new(Format::OpenMetrics100);
        let _ = reader.read(page("1", "same").as_bytes(), options);
        let text = page("2", "same").replace("# EOF\n", "");
        assert!(reader.read(text.as_bytes(), Options::default()).is_err());
        for value in ["1", "2.5", "NaN", "x", "1 ", " 1", "1 2", "3", ""] {
            let _ = reader.read(page(value, "same").as_bytes(), options);
        }
        assert!(
            !reader
                .read(page("3", "x").as_bytes(), options)
                .is_ok_and(|read| read.unchanged)
        );
        assert!(
            reader
                .read(page("4", "yy").as_bytes(), options)
                .is_ok_and(|read| read.unchanged)
        );
        assert!(reader.read(page("4", "y\"y").as_bytes(), options).is_err());
        assert!(
            reader
                .read(page("5", "").replace("# EOF\n", "").as_bytes(), options)
                .is_err()
        );
        assert!(reader.read(page("5", "").as_bytes(), options).is_ok());
    }
}

#[test]
fn exemplars_are_those_of_the_newest_page() {
    let pages = [
        // Learnt, the same again, other ones, one gone, one come, a line with one gone.
        ["# {t=\"1\"} 0.5 1.5", ""],
        ["# {t=\"1\"} 0.5 1.5", ""],
        ["# {t=\"22\"} 0.25", "# {} 7"],
        ["", "# {} 7"],
        ["5 # {a=\"# {\",b=\"\\\\\"} 1e3 -2", ""],
        ["", ""],
        ["6 # {t=\"3\"} +Inf", "7"],
        ["6 # {t=\"3\"} +Inf", "7 # {t=\"4\"} NaN"],
    ];
    let mut seen = 0;
    for mut reader in readers() {
        for [one, two] in pages {
            for extra in ["", "c 1 # {t=\"x\"} 1\n"] {
                let line = |name: &str, end: &str| match end {
                    "" => format!("{name} 1"),
                    end => format!("{name} 1 {end}"),
                };
                let page = format!(
                    "# TYPE a counter\n{}\n{extra}{}\n# EOF\n",
                    line("a_total{x=\"1\"}", one),
                    line("b_total{x=\"1\"}", two)
                );
                // What is there is held against a parse.
                let read = reader.read(page.as_bytes(), Options::new(Format::OpenMetrics100));
                assert!(read.is_ok(), "{page}");
                seen += reader.layout.exemplars().count();
            }
        }
    }
    // Nine without the third line, and one more on each page with it.
    assert_eq!(seen, readers().len() * (2 * 9 + pages.len()));
}

#[test]
fn clones_share_until_they_differ() {
    let mut first = readers().pop().expect("a reader");
    let options = Options::default();
    let page = |n: u32| {
        (0..n)
            .map(|i| format!("a{{i=\"{i}\"}} {i}.0\n"))
            .collect::<String>()
    };
    assert!(first.read(page(100).as_bytes(), options).is_ok());
    let mut second = Reader {
        layout: first.layout.clone(),
        heard: first.heard.clone(),
    };
    assert!(
        second
            .read(page(100).as_bytes(), options)
            .is_ok_and(|read| read.unchanged)
    );
    assert!(
        second
            .read(page(120).as_bytes(), options)
            .is_ok_and(|read| !read.unchanged)
    );
    assert!(
        first
            .read(page(100).as_bytes(), options)
            .is_ok_and(|read| read.unchanged)
    );
    assert!(first.read(page(90).as_bytes(), options).is_ok());
    assert!(
        second
            .read(page(120).as_bytes(), options)
            .is_ok_and(|read| read.unchanged)
    );
    assert!(first.layout.memory() > 0);
}

/// Lines that change on each page keep neither ids nor text for ever.
#[test]
fn memory_is_bounded() {
    let mut reader = readers().pop().expect("a reader");
    let options = Options::default();
    let mut most = 0;
    for round in 0..3000 {
        let mut page: String = (0..200)
            .map(|i| format!("steady{{i=\"{i}\"}} {i}.0\n"))
            .collect();
        page.push_str(&format!("user{{id=\"{round}\"}} 1\n"));
        assert!(reader.read(page.as_bytes(), options).is_ok());
        if round == 1000 {
            most = reader.layout.memory();
        }
    }
    assert!(
        reader.layout.memory() <= most * 2,
        "{} {most}",
        reader.layout.memory()
    );
}
