//! PCIe and NVLink: counters, rates, errors.

use crate::common::{Rig, of};
use tokenpath_core::{DropReason, Snapshot};

#[test]
fn pcie_counters_that_wrap_are_no_counters_and_the_rates_stay() {
    let narrow = "count 2\nnarrow 197\nnarrow 198\n\
        value nvmlDeviceGetPcieThroughput:0 * 5\nvalue nvmlDeviceGetPcieThroughput:1 * 6\n";
    // With GPM: its rates. Without: those of the blocking call.
    for (functions, sent) in [
        (&[][..], 100.0 * 1_048_576.0),
        (&["nvmlGpmQueryDeviceSupport"][..], 5000.0),
    ] {
        let rig = Rig::without(functions, narrow);
        let page = rig.page("PCIe rates are there", |page| {
            [0, 1]
                .iter()
                .all(|gpu| of(page, *gpu, "gpu_pcie_transmit_bytes_per_second", &[]) == Some(sent))
        });
        for family in [
            "gpu_pcie_transmit_bytes_total",
            "gpu_pcie_receive_bytes_total",
        ] {
            assert!(page.shape().family(family).is_none(), "{family}");
        }
        assert_eq!(page.tally().dropped(DropReason::LeftOut), 4);
        assert_eq!(page.tally().dropped(DropReason::Duplicate), 0);
    }
}

#[test]
fn a_card_that_counts_pcie_bytes_is_not_asked_for_its_throughput() {
    let rig = Rig::without(
        &["nvmlGpmQueryDeviceSupport"],
        "value nvmlDeviceGetPcieThroughput:0 * 5\nhang nvmlDeviceGetPcieThroughput\n",
    );
    let page = rig.page("several samples were taken", |page| {
        let held = [("reason", "sw_power_cap")];
        of(page, 0, "gpu_throttle_sampled_seconds_total", &held) > Some(0.4)
    });
    assert_eq!(
        of(&page, 0, "gpu_pcie_transmit_bytes_total", &[]),
        Some(1e12)
    );
    assert_eq!(
        of(&page, 0, "gpu_pcie_transmit_bytes_per_second", &[]),
        None
    );
}

#[test]
fn pcie_rates_come_from_the_blocking_call_where_gpm_has_none() {
    let control = "narrow 197\nnarrow 198\nvalue nvmlDeviceGetPcieThroughput:0 * 5\n";
    let rate = |page: &Snapshot| of(page, 0, "gpu_pcie_transmit_bytes_per_second", &[]);
    let rig = Rig::new(&format!(
        "{control}value gpm:20 * none\nvalue gpm:21 * none\n"
    ));
    rig.page("the call tells it", |page| rate(page) == Some(5000.0));
    // GPM tells it now: the last answer of the call is gone at once.
    rig.fake.control(control);
    rig.page("GPM tells it", |page| rate(page) == Some(104_857_600.0));
    // The call fails: nothing old is shown.
    rig.fake.control(&format!(
        "{control}code nvmlGpmSampleGet * 999\ncode nvmlDeviceGetPcieThroughput * 999\n"
    ));
    let page = rig.page("nothing tells it", |page| rate(page).is_none());
    assert_eq!(of(&page, 0, "gpu_up", &[]), Some(1.0));
}

#[test]
fn one_nvlink_that_cannot_be_read_is_unknown_and_makes_no_sum_fall() {
    let rig = Rig::new("");
    let errors = |page: &Snapshot| of(page, 0, "gpu_nvlink_errors_total", &[("kind", "replay")]);
    let up = |page: &Snapshot, link| of(page, 0, "gpu_nvlink_up", &[("link", link)]);
    let page = rig.settled();
    assert_eq!((errors(&page), up(&page, "5")), (Some(18.0), Some(1.0)));
    for code in [999, 10, 4, 21, 27] {
        rig.fake
            .control(&format!("code nvmlDeviceGetNvLinkState:5 * {code}\n"));
        let page = rig.page("one link is unknown", |page| up(page, "5").is_none());
        assert_eq!(errors(&page), None, "{code}");
        assert_eq!((up(&page, "4"), up(&page, "17")), (Some(1.0), Some(1.0)));
        rig.fake.control("");
        let page = rig.page("it is known again", |page| up(page, "5").is_some());
        assert_eq!(errors(&page), Some(18.0));
    }
    // A link that is not there ends them.
    rig.fake.control("code nvmlDeviceGetNvLinkState:4 * 2\n");
    let page = rig.page("there are four", |page| up(page, "4").is_none());
    assert_eq!((errors(&page), up(&page, "3")), (Some(4.0), Some(1.0)));
}

#[test]
fn links_of_blackwell_tell_their_errors_under_later_names() {
    let mut control = String::new();
    for field in 161..=163 {
        control += &format!("value field:{field} * none\n");
    }
    for field in 206..=215 {
        control += &format!("value field:{field} * {}\n", field - 205);
    }
    let rig = Rig::new(&control);
    let page = rig.settled();
    for (kind, count) in [
        ("receive_malformed", Some(18.0)),
        ("receive_overrun", Some(36.0)),
        ("receive", Some(54.0)),
        ("receive_remote", Some(72.0)),
        ("receive_header", Some(90.0)),
        ("link_integrity", Some(108.0)),
        ("transmit_discard", Some(126.0)),
        ("recovery_failed", Some(162.0)),
        ("recovery", Some(180.0)),
        ("replay", None),
        ("crc", None),
    ] {
        let found = of(&page, 0, "gpu_nvlink_errors_total", &[("kind", kind)]);
        assert_eq!(found, count, "{kind}");
    }
}
