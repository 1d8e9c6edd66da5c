//! Reading the same server again and again costs no allocation once warm.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]
#![expect(
    unsafe_code,
    reason = "an allocator that counts is the only witness, and its trait is unsafe to implement"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::path::Path;

use tokenpath_core::exposition::{Encoder, Format, Part};
use tokenpath_core::translate::{TranslateOptions, Translator};
use tokenpath_core::{LabelSet, Snapshot};

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

fn count() {
    // The thread may be on its way out, with its locals gone.
    let _ = ALLOCATIONS.try_with(|allocations| allocations.set(allocations.get() + 1));
}

// SAFETY: every method hands its arguments on to the system's allocator, whose contract is the same.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as for the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as for the caller.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as for the caller.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Allocations of this thread while `work` runs.
fn allocations(work: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.get();
    work();
    ALLOCATIONS.get() - before
}

fn recorded(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/vllm");
    std::fs::read(folder.join(name)).unwrap()
}

#[test]
fn the_counter_counts() {
    let counted = allocations(|| drop(std::hint::black_box(vec![1u8; 100])));
    assert_eq!(counted, 1);
}

/// Parse, translate, encode, as an exporter does at each scrape.
struct Way {
    translator: Translator,
    snapshot: Snapshot,
    labels: LabelSet,
    encoder: Encoder,
    page: Vec<u8>,
}

impl Way {
    fn new(format: Format) -> Self {
        Self::reading(format, TranslateOptions::default())
    }

    fn reading(format: Format, options: TranslateOptions) -> Self {
        Self {
            translator: Translator::new(tokenpath_vllm::compiled(), options),
            snapshot: Snapshot::new(),
            labels: LabelSet::new([("backend", "vllm"), ("target", "10.0.0.7:8000")]),
            encoder: Encoder::new(format),
            page: Vec::new(),
        }
    }

    fn go(&mut self, upstream: &[u8]) {
        self.translator
            .translate(upstream, Format::Text004, &mut self.snapshot)
            .unwrap();
        let parts = [Part {
            snapshot: &self.snapshot,
            labels: &self.labels,
        }];
        self.encoder.encode(&parts, &mut self.page);
    }
}

#[test]
fn the_same_page_again_and_again_allocates_nothing() {
    for name in ["vllm-0.32.0-t1-load.txt", "vllm-0.32.0-dp2-t1-load.txt"] {
        for format in Format::ALL {
            let upstream = recorded(name);
            let mut way = Way::new(format);
            way.go(&upstream);
            way.go(&upstream);
            let counted = allocations(|| (0..100).for_each(|_| way.go(&upstream)));
            assert_eq!(counted, 0, "{name} as {format}");
            assert!(way.page.len() > 10_000);
        }
    }
}

/// Two readings of one server: the numbers differ, in value and in length, the series do not.
#[test]
fn other_numbers_of_the_same_series_allocate_nothing() {
    let pages = ["vllm-0.8.5-t1-load.txt", "vllm-0.8.5-t3-after.txt"].map(recorded);
    assert_ne!(pages[0], pages[1]);
    let mut way = Way::new(Format::Text004);
    for _ in 0..2 {
        pages.iter().for_each(|page| way.go(page));
    }
    let counted = allocations(|| {
        for _ in 0..50 {
            pages.iter().for_each(|page| way.go(page));
        }
    });
    assert_eq!(counted, 0);
}

#[test]
fn families_that_are_passed_through_allocate_nothing_either() {
    let mut upstream = recorded("vllm-0.32.0-t1-load.txt");
    upstream.extend_from_slice(
        b"# HELP vllm:new_total What is \\\\ new.\n# TYPE vllm:new_total counter\n\
        vllm:new_total{model_name=\"m\"} 7\n# TYPE other_seconds histogram\n\
        other_seconds_bucket{le=\"1.0\"} 1\nother_seconds_bucket{le=\"+Inf\"} 2\n\
        other_seconds_sum 1.5\nother_seconds_count 2\n",
    );
    let mut options = TranslateOptions::default();
    options.pass_unknown = true;
    for format in Format::ALL {
        let mut way = Way::reading(format, options);
        way.go(&upstream);
        way.go(&upstream);
        let counted = allocations(|| (0..100).for_each(|_| way.go(&upstream)));
        assert_eq!(counted, 0, "{format}");
        let page = String::from_utf8_lossy(&way.page);
        assert!(page.contains("other_seconds_sum{") && page.contains("vllm:new_total{"));
    }
}
