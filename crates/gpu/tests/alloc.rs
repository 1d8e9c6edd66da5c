//! Once the set of series stands, a page costs no allocation.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "tests")]
#![expect(
    unsafe_code,
    reason = "an allocator that counts is the only witness, and its trait is unsafe to implement"
)]

mod common;

#[path = "../../../testdata/counting.rs"]
mod counting;

use common::Rig;
use counting::allocations;
use tokenpath_core::Snapshot;

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
    let mut counted = Vec::new();
    let start = std::time::Instant::now();
    while whole < 50 {
        assert!(start.elapsed().as_secs() < 60, "no run of fresh pages");
        let mut fresh = false;
        let count = allocations(|| fresh = read());
        if fresh {
            whole += 1;
            if whole > 2 {
                counted.push(count);
            }
        } else {
            whole = 0;
            counted.clear();
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert!(counted.iter().all(|count| *count == 0), "{counted:?}");
    assert!(
        page.shape().series_count() > 1000,
        "{}",
        page.shape().series_count()
    );
}
