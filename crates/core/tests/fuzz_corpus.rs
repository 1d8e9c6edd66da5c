//! The inputs that fuzzing kept, through the checks of the fuzz targets.

use std::path::Path;

#[path = "fuzzed/chunked.rs"]
mod chunked;
#[path = "fuzzed/encoder.rs"]
mod encoder;
#[path = "fuzzed/filter.rs"]
mod filter;
#[path = "fuzzed/layout.rs"]
mod layout;
#[path = "fuzzed/openmetrics.rs"]
mod openmetrics;
#[path = "fuzzed/options.rs"]
mod options;
#[path = "fuzzed/page.rs"]
mod page;
#[path = "fuzzed/text.rs"]
mod text;
#[path = "fuzzed/variants.rs"]
mod variants;

fn replay(target: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz/corpus")
        .join(target);
    if !folder.is_dir() {
        eprintln!(
            "skipped: {} is not there; the package is not in its repository",
            folder.display()
        );
        return;
    }
    let mut inputs = 0;
    for file in std::fs::read_dir(folder).expect("a readable folder") {
        let path = file.expect("a readable folder").path();
        check(&std::fs::read(&path).expect("a readable input"));
        inputs += 1;
    }
    assert!(inputs > 0, "the corpus of {target} is empty");
}

#[test]
fn any_bytes_as_text() {
    replay("text", text::check);
}

#[test]
fn any_bytes_as_openmetrics() {
    replay("openmetrics", openmetrics::check);
}

#[test]
fn pieces_against_whole() {
    replay("chunked", chunked::check);
}

#[test]
fn variants_against_plain() {
    replay("variants", variants::check);
}

#[test]
fn layout_against_full_parse() {
    replay("layout", layout::check);
}

#[test]
fn filter_against_full_parse() {
    replay("filter", filter::check);
}

#[test]
fn encoder_round_trip() {
    replay("encoder", encoder::check);
}
