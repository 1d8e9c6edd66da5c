//! Reading the same server again and again costs no allocation once warm, in whatever order it
//! writes its page.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]
#![expect(
    unsafe_code,
    reason = "an allocator that counts is the only witness, and its trait is unsafe to implement"
)]

#[path = "../../../testdata/page.rs"]
mod page;
#[path = "../../../testdata/warm.rs"]
mod warm;

use tokenpath_core::exposition::Format;
use tokenpath_tgi::{CatalogueOptions, TgiOptions, TgiTranslator};

#[test]
fn no_page_of_a_warm_server_allocates() {
    let text = page::recorded("tgi", "tgi-3.3.7-t4-after.txt");
    let pages: Vec<String> = (0..7).map(|seed| page::shuffled(&text, seed)).collect();
    for histogram in [false, true] {
        let mut catalogue = CatalogueOptions::default();
        catalogue.batch_size_histogram = histogram;
        let mut translator = TgiTranslator::new(TgiOptions {
            catalogue,
            model_name: Some("tiny".into()),
            ..TgiOptions::default()
        });
        let what = format!("histogram: {histogram}");
        warm::pages_allocate_nothing(&what, Format::Text004, &pages, |upstream, out| {
            translator
                .translate(upstream, Format::Text004, out)
                .unwrap();
        });
    }
}
