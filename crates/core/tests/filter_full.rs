//! A filter gives what a full parse gives, less the other families.

#[path = "fuzzed/filter.rs"]
#[expect(dead_code, reason = "the entry point of the fuzz target")]
mod fuzzed;

use fuzzed::agree;
use proptest::prelude::*;
use tokenpath_core::exposition::{Entry, Filter, Format, Options};

const NAMES: &[&str] = &[
    "up",
    "a",
    "a:b",
    "vllm:num_requests_running",
    "vllm:num_requests_waiting",
    "vllm:num_requests",
    "vllm:time_to_first_token_seconds",
    "a_very_long_name_indeed_much_longer_than_keys_are",
    "ü x",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn a_filter_gives_what_a_parse_gives(
        lines in proptest::collection::vec((0..12usize, 0..NAMES.len(), 0..SUFFIXES.len(), "[ -~\n]{0,20}"), 0..30),
        picks in proptest::collection::vec(0..NAMES.len(), 0..5),
        openmetrics: bool,
    ) {
        let families: Vec<&str> = picks.iter().map(|pick| NAMES[*pick]).collect();
        let mut page = String::new();
        for (kind, name, suffix, text) in &lines {
            let name = format!("{}{}", NAMES[*name], SUFFIXES[*suffix]);
            let value: String = text.replace('\\', "\\\\").replace('"', "\\\"");
            let help = text.replace('\n', " ");
            page.push_str(&match kind {
                0 => format!("# HELP {name} {}\n", help.replace('\\', "")),
                1 => format!("# TYPE {name} gauge\n"),
                2 => format!("# UNIT {name} seconds\n"),
                3 => format!("# {help}\n"),
                4 => format!("{{\"{name}\",x=\"{value}\"}} 1\n"),
                5 => format!("{name} 1\n"),
                6 => format!("{name}{{x=\"{value}\"}} 1.5\n"),
                7 => format!("{name}{{x=\"{}\"}} 2\n", text.replace(['"', '\\'], "")),
                8 => format!("  {name}{{x=\"1\" , y=\"\"}} 3 17\n"),
                9 => format!("{name}{{x=\"some ordinary value of ordinary length\",y=\"0\"}} 12.0\n"),
                10 => "\n".to_owned(),
                _ => format!("# HELP \"{name}\" {}\n", help.replace('\\', "")),
            });
        }
        if openmetrics {
            page.push_str("# EOF\n");
        }
        let format = if openmetrics { Format::OpenMetrics100 } else { Format::Text004 };
        agree(page.as_bytes(), &families, format);
    }

    #[test]
    fn no_page_makes_it_fall_over(page: Vec<u8>, text in "[a-c# \"{}\\\\\n=,1]{0,200}") {
        for format in Format::ALL {
            agree(&page, &["a", "b"], format);
            agree(text.as_bytes(), &["a", "ab"], format);
        }
    }
}

const SUFFIXES: &[&str] = &[
    "",
    "",
    "",
    "_total",
    "_bucket",
    "_created",
    "_x",
    "_bucket_x",
];

#[test]
fn recorded_pages() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/vllm");
    let mut pages = 0;
    for file in std::fs::read_dir(folder).expect("testdata is there") {
        let path = file.expect("a readable folder").path();
        if path.extension().is_some_and(|extension| extension == "txt") {
            let page = std::fs::read(&path).expect("a readable page");
            let format = Format::sniff(&page, None);
            for families in [
                &[
                    "vllm:num_requests_running",
                    "vllm:time_to_first_token_seconds",
                    "vllm:cache_config_info",
                ][..],
                &["vllm:request_success", "process_cpu_seconds", "up"],
                &["vllm:"],
                &[],
            ] {
                agree(&page, families, format);
            }
            pages += 1;
        }
    }
    assert!(pages > 5);
}

#[test]
fn what_is_wrong_elsewhere_is_not_noticed_and_what_is_wrong_here_is() {
    let filter = Filter::new(["a"]);
    let page = format!("b{{x=\"1\" 5\n{}\na 1\na{{ 2\na 3\n", "#".repeat(80));
    let entries: Vec<_> = filter
        .entries(page.as_bytes(), Options::default())
        .collect();
    assert!(
        matches!(entries[..], [Ok(Entry::Sample(_)), Err(_)]),
        "{entries:?}"
    );
    let lenient = Options::default().lenient();
    let mut entries = filter.entries(page.as_bytes(), lenient);
    assert_eq!(entries.by_ref().count(), 2);
    assert_eq!(entries.skipped_lines(), 1);
}
