//! Reading the page of the same limiter again and again costs no allocation once warm, in whatever
//! order it writes it, with all tenants kept and with most of them folded, plain and hashed.

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
use tokenpath_limitador::{Admin, LimitadorOptions, LimitadorTranslator, TenantHash};

#[test]
fn no_page_of_a_warm_limiter_allocates() {
    let text = page::recorded("limitador", "limitador-2.4.0-dev-labels-t2-all.txt");
    let pages: Vec<String> = (0..7).map(|seed| page::shuffled(&text, seed)).collect();
    for limit in [0, 2, 1000] {
        for hashed in [false, true] {
            let mut options = LimitadorOptions::default();
            options.tenants.names = vec!["user".into(), "api_key".into()];
            options.tenants.limit = limit;
            options.tenants.hash = hashed.then(|| TenantHash::new(&[7; 32]).unwrap());
            let mut translator = LimitadorTranslator::new(options);
            let mut snapshot = Snapshot::new();
            let labels = LabelSet::new([("backend", "limitador"), ("target", "10.0.0.7:8080")]);
            let (mut encoder, mut ours) = (Encoder::new(Format::Text004), Vec::new());
            let admin = Admin::default();
            let mut go = |upstream: &str| {
                translator
                    .read_page(upstream.as_bytes(), Format::Text004)
                    .unwrap();
                translator.finish(&admin, &mut snapshot);
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
            assert_eq!(counted, 0, "{limit} {hashed}");
        }
    }
}
