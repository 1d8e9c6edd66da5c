//! Pages of a warm server, translated and encoded again and again, cost no allocation.
//!
//! Included by the allocation tests of the backends' crates.

#[path = "counting.rs"]
mod counting;

use counting::allocations;
use tokenpath_core::exposition::{Encoder, Format, Part};
use tokenpath_core::{LabelSet, Snapshot};

/// Reads `pages` in turn by `read`, and writes our page of each. Gives the last one.
pub(crate) fn pages_allocate_nothing(
    what: &str,
    format: Format,
    pages: &[String],
    mut read: impl FnMut(&[u8], &mut Snapshot),
) -> String {
    let mut snapshot = Snapshot::new();
    let labels = LabelSet::new([("backend", "some"), ("target", "10.0.0.7:8000")]);
    let (mut encoder, mut ours) = (Encoder::new(format), Vec::new());
    let mut go = |upstream: &String| {
        read(upstream.as_bytes(), &mut snapshot);
        let parts = [Part {
            snapshot: &snapshot,
            labels: &labels,
        }];
        encoder.encode(&parts, &mut ours);
        assert!(!ours.is_empty());
    };
    // Buffers for lines in another order grow to their size over some pages.
    for _ in 0..20 {
        pages.iter().for_each(&mut go);
    }
    let counted = allocations(|| {
        for _ in 0..20 {
            pages.iter().for_each(&mut go);
        }
    });
    assert_eq!(counted, 0, "{what}");
    String::from_utf8(ours).unwrap()
}
