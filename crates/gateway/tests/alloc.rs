//! Reading the same gateway again and again costs no allocation once warm, with all fairness ids
//! kept and with most of them folded.

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
use tokenpath_gateway::{GatewayOptions, GatewayTranslator};

#[test]
fn no_page_of_a_warm_gateway_allocates() {
    for name in [
        "gen1-gie-0.5.txt",
        "gen2-gie-1.5.txt",
        "gen3-llm-d-router-0.10.txt",
    ] {
        let text = page::recorded("epp", name);
        let pages = [text.clone(), page::shuffled(&text, 3)];
        for limit in [0, 1, 100] {
            let mut translator = GatewayTranslator::new(GatewayOptions {
                fairness_limit: limit,
                ..GatewayOptions::default()
            });
            let what = format!("{name}, {limit} ids");
            warm::pages_allocate_nothing(&what, Format::Text004, &pages, |upstream, out| {
                translator
                    .translate(upstream, Format::Text004, out)
                    .unwrap();
            });
        }
    }
}
