//! Reading the same server again and again costs no allocation once warm, in whatever order it
//! writes its page.

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
        let mut snapshot = Snapshot::new();
        let labels = LabelSet::new([("backend", "tgi"), ("target", "10.0.0.7:3000")]);
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
        assert_eq!(counted, 0, "histogram: {histogram}");
    }
}
