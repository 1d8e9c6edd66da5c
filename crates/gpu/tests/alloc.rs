//! Once the set of series stands, a page costs no allocation.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use common::Rig;
use tokenpath_core::Snapshot;

/// Counts what this thread allocates: the sampling thread is free to.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

fn count() {
    // Not while the thread ends and its locals are gone.
    let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
}

#[expect(unsafe_code, reason = "an allocator is unsafe by its trait")]
// SAFETY: every call goes on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's contract.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's contract.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn a_warm_page_allocates_nothing() {
    let rig = Rig::new(
        "count 8\nmig 7 1 2\nprocess 0 7 4096 compute\nvalue nvmlDeviceGetNumFans * 1\n\
         value nvmlDeviceGetFanSpeed_v2:0 * 35\n",
    );
    rig.page("all counters are there", |page| {
        page.shape().family("gpu_sm_active_ratio").is_some()
            && page.shape().family("gpu_mig_sm_active_ratio").is_some()
            && page.shape().family("gpu_processes").is_some()
    });
    let mut page = Snapshot::new();
    let mut read = || {
        page.clear();
        rig.source.copy_newest(&mut page).unwrap();
        page.value("gpu_driver_up", &[]) == Some(1.0)
    };
    // Warm after two whole pages; a driver thread that was held up makes a page stale, which counts
    // for neither.
    let mut whole = 0;
    let mut allocations = Vec::new();
    let start = std::time::Instant::now();
    while whole < 50 {
        assert!(start.elapsed().as_secs() < 60, "no run of fresh pages");
        let before = ALLOCATIONS.get();
        if read() {
            whole += 1;
            if whole > 2 {
                allocations.push(ALLOCATIONS.get() - before);
            }
        } else {
            whole = 0;
            allocations.clear();
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert!(
        allocations.iter().all(|count| *count == 0),
        "{allocations:?}"
    );
    assert!(
        page.shape().series_count() > 1000,
        "{}",
        page.shape().series_count()
    );
}
