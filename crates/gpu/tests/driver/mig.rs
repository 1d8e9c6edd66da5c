//! GPU instances.

use crate::common::{Rig, of};
use tokenpath_core::DropReason;

#[test]
fn mig_instances_have_their_own_memory() {
    let rig = Rig::new("count 2\nmig 1 9 4 9\n");
    let page = rig.page("counters of instances are there", |page| {
        page.shape().family("gpu_mig_sm_active_ratio").is_some()
    });
    let mib = 1_048_576.0_f64;
    let total = (143_771.0 * mib / 7.0).floor();
    assert_eq!(of(&page, 1, "gpu_mig_enabled", &[]), Some(1.0));
    assert_eq!(
        of(&page, 1, "gpu_mig_vram_total_bytes", &[("mig", "9")]),
        Some(total + 9.0)
    );
    assert_eq!(
        of(&page, 1, "gpu_mig_vram_total_bytes", &[("mig", "4")]),
        Some(total + 4.0)
    );
    for (mig, multiprocessors) in [("4", 16.0), ("9", 16.0 + 32.0)] {
        assert_eq!(
            of(&page, 1, "gpu_mig_multiprocessors", &[("mig", mig)]),
            Some(multiprocessors),
            "those of all compute instances of {mig}"
        );
    }
    assert_eq!(
        of(&page, 1, "gpu_mig_sm_active_ratio", &[("mig", "9")]),
        Some(0.92)
    );
    assert_eq!(
        of(
            &page,
            1,
            "gpu_mig_bound_state",
            &[("mig", "9"), ("state", "memory")]
        ),
        Some(1.0)
    );
    for (mig, compute_instance, uuid) in [
        ("4", "0", "MIG-00000001-1"),
        ("9", "0", "MIG-00000001-0"),
        ("9", "1", "MIG-00000001-2"),
    ] {
        let labels = [
            ("mig", mig),
            ("compute_instance", compute_instance),
            ("mig_uuid", uuid),
            ("profile", "1g.18gb"),
        ];
        assert_eq!(
            of(&page, 1, "gpu_mig_info", &labels),
            Some(1.0),
            "{labels:?}"
        );
    }
    // The parent: its memory is there, its utilisation is not, and nobody makes one up.
    assert!(of(&page, 1, "gpu_vram_used_bytes", &[]).is_some());
    assert_eq!(of(&page, 1, "gpu_compute_utilization_ratio", &[]), None);
    assert_eq!(of(&page, 1, "gpu_sm_active_ratio", &[]), None);
    assert_eq!(
        of(&page, 1, "gpu_bound_state", &[("state", "unknown")]),
        Some(1.0)
    );
    assert_eq!(of(&page, 0, "gpu_mig_enabled", &[]), Some(0.0));
    assert_eq!(page.tally().dropped(DropReason::Duplicate), 0);

    // Partitioned anew.
    rig.fake.control("count 2\nmig 1 5\n");
    let page = rig.page("the instances changed", |page| {
        of(page, 1, "gpu_mig_sm_active_ratio", &[("mig", "5")]).is_some()
    });
    assert_eq!(
        of(&page, 1, "gpu_mig_vram_total_bytes", &[("mig", "9")]),
        None
    );
}
