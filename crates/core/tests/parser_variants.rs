//! Every implementation of the line scanner gives the same entries, errors and positions.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod parser_common;

use std::fs;
use std::path::{Path, PathBuf};

use parser_common::{Random, trace};
use proptest::prelude::*;
use tokenpath_core::exposition::{Format, Limits, Options, Variant};

/// Holds all variants to the plain one.
fn agree(page: &[u8], options: Options) {
    let want = trace(page, options, Variant::Plain);
    for variant in Variant::available() {
        let got = trace(page, options, variant);
        assert_eq!(
            got,
            want,
            "{variant:?} {options:?}\n{}",
            page.escape_ascii()
        );
    }
}

fn agree_in_all_ways(page: &[u8]) {
    let narrow = Limits {
        line_bytes: 90,
        labels: 3,
        label_value_bytes: 70,
        samples: 30,
        page_bytes: 4000,
    };
    for format in [Format::Text004, Format::OpenMetrics100] {
        for options in [Options::new(format), Options::new(format).lenient()] {
            agree(page, options);
            agree(page, options.limits(narrow));
        }
    }
}

/// Every file below a folder.
fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path);
        }
    }
}

/// The pages of the repository, and of the larger corpus where there is one.
fn pages() -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    files(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata"),
        &mut found,
    );
    if let Some(folder) = std::env::var_os("TOKENPATH_CORPUS") {
        files(&Path::new(&folder).join("fixtures"), &mut found);
    }
    found.sort();
    let pages: Vec<_> = found
        .into_iter()
        .map(|path| fs::read(path).unwrap())
        .collect();
    assert!(pages.len() > 50);
    pages
}

#[test]
fn on_every_page_at_hand() {
    for page in pages() {
        for format in [Format::Text004, Format::OpenMetrics100] {
            agree(&page, Options::new(format).lenient());
            agree(&page, Options::new(format));
        }
    }
}

/// Lines of the ordinary form and just beside it, at every place of a block and beyond.
#[test]
fn on_lines_at_every_distance_from_a_block() {
    for pad in 0..140 {
        let x = "x".repeat(pad);
        for line in [
            format!("{x}a 1"),
            format!("a{{b=\"{x}\"}} 1"),
            format!("a{{b=\"{x}\",c=\"d\"}} 1.5"),
            format!("a{{b{x}=\"c\",d=\"e\"}} 12.0 1700000000000"),
            format!("{x}a{{b=\"c\"}} 1e5"),
            format!("a{{b=\"{x}\\\"\",c=\"\\\\\"}} 0"),
            format!("a{{b=\"{x}\\\\\\\"\",b=\"\"}} 0"),
            format!("a{{b=\"{x}ü\"}} 1"),
            format!("a{{b=\"{x}\n\"}} 1"),
            format!("a{{b=\"{x}\",}} 1"),
            format!("a{{b=\"{x}\"c=\"d\"}} 1"),
            format!("a{{b=\"{x}\"}}  1"),
            format!("a{{b=\"{x}\"}}1"),
            format!("a{{b=\"{x}\";c=\"d\"}} 1"),
            format!("a{{b:\"{x}\"}} 1"),
            format!("a{{1{x}=\"\"}} 1"),
            format!("a{{b=\"{x}\",1c=\"d\"}} 1"),
            format!("a{{b=\"{x}\",c:d=\"e\"}} 1"),
            format!("a:{x}:b{{c=\"\"}} 1"),
            format!("a{{b{{=\"{x}\"}} 1"),
            format!("a{{b=\"{x}\"}}}} 1"),
            format!("a{x}\"b\"{{}} 1"),
            format!("a{{{x}=\"\",{x}=\"\"}} 1"),
            format!("{{\"a\",b=\"{x}\"}} 1"),
            format!("a {x}"),
            format!("a {}", "1".repeat(pad)),
            format!("a 0.{}", "1".repeat(pad)),
            format!("a 1 {}", "1".repeat(pad)),
            format!("a{x} 1 # {{b=\"c\"}} 1"),
            format!("# HELP a{x} b"),
            format!("# HELP a b{x}"),
            format!("# HELP a b{x}\\\\\\n\\\""),
            format!("# HELP a b{x}ü"),
            format!("# HELP a:{x}"),
            format!("# TYPE a{x} counter"),
            format!("# TYPE 1{x} counter"),
            format!("# {x} a"),
        ] {
            agree_in_all_ways(format!("{line}\nnext{{a=\"b\"}} 2\n# EOF\n").as_bytes());
            agree_in_all_ways(format!("{line}\n").as_bytes());
            agree_in_all_ways(line.as_bytes());
        }
    }
}

/// Two lines that differ in one place, which is what the second one's reading makes use of.
#[test]
fn on_a_line_and_its_like() {
    let mut random = Random::new(3);
    for pad in [
        0, 1, 7, 30, 31, 32, 40, 46, 47, 48, 55, 60, 61, 62, 63, 64, 70, 90, 100,
    ] {
        let x = "x".repeat(pad);
        let first = format!("{x}a_bucket{{engine=\"0\",le=\"0.25\",model_name=\"m\"}} 12.0\n");
        for value in [
            "0.5",
            "10.125",
            "",
            "+Inf",
            "\\\"",
            "a\nb",
            "ü",
            "0.25\",le=\"1",
            "0.25\",",
            "}",
            " ",
            "{",
        ] {
            for label in ["\"0\"", "\"0.25\"", "\"m\""] {
                let second = first.replace(label, &format!("\"{value}\""));
                let third = second.replace("12.0", "13 1700000000000");
                agree_in_all_ways(format!("{first}{second}{third}{first}").as_bytes());
            }
        }
        // The like of a line with one byte changed anywhere.
        for at in 0..first.len() {
            let mut second = first.clone().into_bytes();
            second[at] = *random.pick(b"\"\\{}=, \n#:0a_\xff");
            let page = [first.as_bytes(), &second, first.as_bytes()].concat();
            let filled = [page.as_slice(), b"end 1\n".repeat(30).as_slice()].concat();
            agree(&page, Options::default().lenient());
            agree(&filled, Options::default().lenient());
            agree(&filled, Options::default());
        }
    }
}

/// OpenMetrics lines with more than a value, and with each byte of them changed or dropped.
#[test]
fn on_exemplars_and_timestamps() {
    let mut random = Random::new(5);
    for line in [
        r#"a_bucket{le="1"} 5 # {trace_id="4bf92f3577b34da6",span_id="00f0"} 0.5 1790000000.25"#,
        r#"a_bucket{le="1"} 5 # {trace_id="4bf92f3577b34da6"} 0.5"#,
        r#"a_bucket{le="1"} 5.5e3 1790000000.5 # {t=""} +Inf 1e300"#,
        r#"a{b="c"} 12.0 1790000000.5"#,
        r#"a{b="c"} NaN -17"#,
        "a 1 # {a=\"1\",b=\"2\",c=\"3\"} 1",
        "a 1 # {a=\"1\",b=\"2\",c=\"3\",d=\"4\"} 1",
        "a 1 # {a=\"1\",a=\"2\"} 1",
        "a 1 # {} 1",
        "a 1 # {a=\"1\",} 1",
        "a 1 # {\"a\"=\"1\"} 1",
        "a 1 # {a=\"\\\"\\n\"} 1",
        "a 1 # {a=\"\u{fc}\0\"} 1",
        "a 1  # {a=\"1\"} 1",
        "a 1 # {a=\"1\"} 1 2 3",
        "a 1 # {a=\"1\"} 1 NaN",
        "a 1 # {a=\"1\"}1",
        "a 1 2 3 # {a=\"1\"} 1",
        "a 1 # comment",
    ] {
        agree_in_all_ways(format!("{line}\n{line}\n# EOF\n").as_bytes());
        for at in 0..line.len() {
            for drop in [true, false] {
                let mut bytes = line.as_bytes().to_vec();
                if drop {
                    bytes.remove(at);
                } else {
                    bytes[at] = *random.pick(b"\"\\{}=, \n#:0a_.-\xff\0\t");
                }
                bytes.extend_from_slice(b"\nend 1\n# EOF\n");
                agree_in_all_ways(&bytes);
            }
        }
    }
    for len in [69, 70, 71, 500, 16 << 10, (16 << 10) + 1] {
        let line = format!("a 1 # {{b=\"{}\"}} 1\n# EOF\n", "x".repeat(len));
        agree_in_all_ways(line.as_bytes());
    }
}

/// Lines of two forms in turn, as the parts of a histogram are, with names of every length.
#[test]
fn on_series_of_two_forms_in_turn() {
    let mut random = Random::new(7);
    for pad in (0..70).chain([100, 127, 128, 200]) {
        let x = "x".repeat(pad);
        let mut page = String::new();
        for (n, le) in ["0.5", "10.0", "+Inf", "", "\\n", "\u{fc}"]
            .iter()
            .enumerate()
        {
            for name in ["a", "bc", "a:b", "_"] {
                let y = "y".repeat(random.below(80));
                page += &format!(
                    "{name}{x}_bucket{{engine=\"{n}\",le=\"{le}\",model=\"{y}\"}} {n}.0\n"
                );
                page += &format!(
                    "{name}{x}_bucket{{engine=\"{n}\",le=\"{n}{le}\",model=\"{y}\"}} {n}\n"
                );
                page += &format!("{name}{x}_count{{engine=\"{n}\",model=\"{y}\"}} 1.5e+0{n}\n");
                page += &format!(
                    "{name}{x}_sum{{engine=\"{n}\",model=\"{y}\"}} 1.79531113163069{n}3e+09\n"
                );
            }
        }
        for format in [Format::Text004, Format::OpenMetrics100] {
            agree(page.as_bytes(), Options::new(format).lenient());
        }
        let mut page = page.into_bytes();
        for _ in 0..40 {
            let at = random.below(page.len());
            page[at] = *random.pick(b"\"\\{}=, \n#:0a_.\xff\0");
        }
        agree(&page, Options::default().lenient());
    }
}

/// Real pages with bytes changed, dropped and doubled.
#[test]
fn on_pages_with_faults_planted() {
    let mut random = Random::new(1);
    let pages = pages();
    for page in pages.iter().filter(|page| !page.is_empty()) {
        for _ in 0..4 {
            let start = random.below(page.len());
            let mut cut = page[start..page.len().min(start + 2000)].to_vec();
            for _ in 0..=random.below(6) {
                let at = random.below(cut.len());
                match random.below(4) {
                    0 => cut[at] = *random.pick(b"\"\\{}=, \n#\t:0a_\xff\0"),
                    1 => drop(cut.remove(at)),
                    2 => cut.insert(at, *random.pick(b"\"\\{}=, \n#\t:0a_\xff\0")),
                    _ => cut[at] = u8::try_from(random.below(256)).unwrap(),
                }
                if cut.is_empty() {
                    cut.push(b'a');
                }
            }
            agree_in_all_ways(&cut);
        }
    }
}

#[test]
fn on_series_that_are_very_long_or_have_very_many_labels() {
    for count in [1, 8, 9, 63, 64, 65, 200] {
        for width in [1, 7, 8, 9, 40] {
            let label = |n: usize| format!("l{n:0width$}=\"v{n}\"");
            let labels: Vec<_> = (0..count).map(label).collect();
            let page = format!("a{{{}}} 1\n", labels.join(","));
            agree(page.as_bytes(), Options::default());
            agree(page.as_bytes(), Options::default().limits(Limits::NONE));
            let page = format!("a{{{},{}}} 1\n", labels.join(","), label(count / 2));
            agree(page.as_bytes(), Options::default().limits(Limits::NONE));
        }
    }
    for len in [4000, 4095, 4096, 4097, 16 << 10, (16 << 10) + 1, 70_000] {
        let x = "x".repeat(len);
        agree(format!("a{{b=\"{x}\"}} 1\n").as_bytes(), Options::default());
        agree(format!("{x} 1\n").as_bytes(), Options::default());
        agree(format!("# HELP a {x}\n").as_bytes(), Options::default());
    }
}

/// Pieces that make lines of the ordinary form likely, and lines beside it too.
fn page_like() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        6 => prop::sample::select(vec![
            "a{b=\"c\"} 1\n", "le=\"0.5\"", "model_name=\"m\",", "x_total 12.0\n", "{", "}", "} 7", "\"", "=", ",", " ", "\n",
            "\\", "\\\"", "1", "# HELP a ", "# TYPE b gauge\n", "# EOF\n", "\t", "\0", "ü", ":", "_", "NaN", "a",
        ])
        .prop_map(|s| s.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..4),
        1 => (0usize..70).prop_map(|n| vec![b'z'; n]),
    ];
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn on_made_up_pages(page in page_like()) {
        agree_in_all_ways(&page);
    }
}
