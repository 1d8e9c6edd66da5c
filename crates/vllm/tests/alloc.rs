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
fn reader() -> impl FnMut(&[u8], &mut Snapshot) {
    let mut translator = Translator::new(tokenpath_vllm::compiled(), TranslateOptions::default());
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
            warm::pages_allocate_nothing(&format!("{name} as {format}"), format, &pages, reader());
        }
    }
}

/// Two readings of one server: the numbers differ, in value and in length, the series do not.
#[test]
fn other_numbers_of_the_same_series_allocate_nothing() {
    let pages =
        ["vllm-0.8.5-t1-load.txt", "vllm-0.8.5-t3-after.txt"].map(|name| recorded("vllm", name));
    assert_ne!(pages[0], pages[1]);
    warm::pages_allocate_nothing("two moments", Format::Text004, &pages, reader());
}
