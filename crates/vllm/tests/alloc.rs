//! Reading the same server again and again costs no allocation once warm.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]
#![expect(
    unsafe_code,
    reason = "an allocator that counts is the only witness, and its trait is unsafe to implement"
)]

#[path = "../../../testdata/page.rs"]
mod page;
#[path = "../../../testdata/warm.rs"]
mod warm;

use page::recorded;
use tokenpath_core::Snapshot;
use tokenpath_core::exposition::Format;
use tokenpath_core::translate::{TranslateOptions, Translator};

/// Reads pages as an exporter does.
fn reader(options: TranslateOptions) -> impl FnMut(&[u8], &mut Snapshot) {
    let mut translator = Translator::new(tokenpath_vllm::compiled(), options);
    move |upstream, out| {
        translator
            .translate(upstream, Format::Text004, out)
            .unwrap();
    }
}

#[test]
fn the_same_page_again_and_again_allocates_nothing() {
    for name in ["vllm-0.32.0-t1-load.txt", "vllm-0.32.0-dp2-t1-load.txt"] {
        for format in Format::ALL {
            let pages = [recorded("vllm", name)];
            let what = format!("{name} as {format}");
            let read = reader(TranslateOptions::default());
            let page = warm::pages_allocate_nothing(&what, format, &pages, read);
            assert!(page.len() > 10_000);
        }
    }
}

/// Two readings of one server: the numbers differ, in value and in length, the series do not.
#[test]
fn other_numbers_of_the_same_series_allocate_nothing() {
    let pages =
        ["vllm-0.8.5-t1-load.txt", "vllm-0.8.5-t3-after.txt"].map(|name| recorded("vllm", name));
    assert_ne!(pages[0], pages[1]);
    let read = reader(TranslateOptions::default());
    warm::pages_allocate_nothing("two moments", Format::Text004, &pages, read);
}

#[test]
fn families_that_are_passed_through_allocate_nothing_either() {
    let mut upstream = recorded("vllm", "vllm-0.32.0-t1-load.txt");
    upstream.push_str(
        "# HELP vllm:new_total What is \\\\ new.\n# TYPE vllm:new_total counter\n\
        vllm:new_total{model_name=\"m\"} 7\n# TYPE other_seconds histogram\n\
        other_seconds_bucket{le=\"1.0\"} 1\nother_seconds_bucket{le=\"+Inf\"} 2\n\
        other_seconds_sum 1.5\nother_seconds_count 2\n",
    );
    let mut options = TranslateOptions::default();
    options.pass_unknown = true;
    for format in Format::ALL {
        let what = format!("passed through as {format}");
        let pages = [upstream.clone()];
        let page = warm::pages_allocate_nothing(&what, format, &pages, reader(options));
        assert!(page.contains("other_seconds_sum{") && page.contains("vllm:new_total{"));
    }
}
