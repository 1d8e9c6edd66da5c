//! Reading the same gateway again and again costs no allocation once warm, with all fairness ids
//! kept and with most of them folded.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]
#![expect(
    unsafe_code,
    reason = "an allocator that counts is the only witness, and its trait is unsafe to implement"
)]

#[path = "../../../testdata/counting.rs"]
mod counting;
#[path = "../../../testdata/page.rs"]
mod page;

use counting::allocations;
use tokenpath_core::exposition::{Encoder, Format, Part};
use tokenpath_core::{LabelSet, Snapshot};
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
            let mut snapshot = Snapshot::new();
            let labels = LabelSet::new([("backend", "gateway"), ("target", "10.0.0.7:9090")]);
            let (mut encoder, mut ours) = (Encoder::new(Format::Text004), Vec::new());
            let mut go = |upstream: &str| {
                translator
                    .translate(upstream.as_bytes(), Format::Text004, &mut snapshot)
                    .unwrap();
                let parts = [Part {
                    snapshot: &snapshot,
                    labels: &labels,
                }];
                encoder.encode(&parts, &mut ours);
            };
            // Buffers for lines in another order grow to their size over some pages.
            for _ in 0..20 {
                pages.iter().for_each(|page| go(page));
            }
            let counted = allocations(|| {
                for _ in 0..20 {
                    pages.iter().for_each(|page| go(page));
                }
            });
            assert_eq!(counted, 0, "{name}, {limit}");
        }
    }
}
