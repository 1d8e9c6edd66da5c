//! XID errors, by events.

use crate::common::{Rig, of};

#[test]
fn xid_errors_are_counted_by_code_with_their_time() {
    let rig = Rig::new("count 2\nxid 0 31 5\n");
    let page = rig.settled();
    assert_eq!(
        of(&page, 0, "gpu_xid_events_total", &[]),
        Some(0.0),
        "the past is not ours"
    );
    let before = unix_now();
    rig.fake
        .control("count 2\nxid 0 31 7\nxid 0 94 1\nxid 1 79 1\n");
    let page = rig.page("all are counted", |page| {
        of(page, 0, "gpu_xid_events_total", &[]) == Some(3.0)
            && of(page, 1, "gpu_xid_events_total", &[]) == Some(1.0)
    });
    assert_eq!(
        of(&page, 0, "gpu_xid_errors_total", &[("xid", "31")]),
        Some(2.0)
    );
    assert_eq!(
        of(&page, 0, "gpu_xid_errors_total", &[("xid", "94")]),
        Some(1.0)
    );
    assert_eq!(
        of(&page, 1, "gpu_xid_errors_total", &[("xid", "79")]),
        Some(1.0)
    );
    let last = of(&page, 0, "gpu_xid_last_timestamp_seconds", &[("xid", "31")]).unwrap();
    assert!((before - 1.0..=unix_now() + 1.0).contains(&last), "{last}");
    // The counts outlive a driver that is opened anew.
    rig.fake.control("init 9\ncode * * 9\n");
    rig.error("the driver is gone");
    rig.fake
        .control("count 2\nxid 0 31 7\nxid 0 94 1\nxid 1 79 1\n");
    let page = rig.page("it is back", |_| true);
    assert_eq!(
        of(&page, 0, "gpu_xid_errors_total", &[("xid", "31")]),
        Some(2.0)
    );
}

fn unix_now() -> f64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs_f64()
}

#[test]
fn no_xid_errors_are_promised_where_none_can_be_received() {
    // Whatever is missing or forbidden for good: the families are absent, and stay so.
    for (functions, control) in [
        (&["nvmlEventSetWait_v2"][..], ""),
        (&["nvmlEventSetCreate"][..], ""),
        (&[][..], "code nvmlEventSetWait_v2 * 4\n"),
        (&[][..], "code nvmlEventSetWait_v2 * 2\n"),
        (&[][..], "code nvmlDeviceRegisterEvents * 4\n"),
        (&[][..], "value nvmlDeviceGetSupportedEventTypes * 1\n"),
    ] {
        let rig = Rig::without(functions, control);
        let page = rig.settled();
        assert!(
            page.shape().family("gpu_xid_events_total").is_none(),
            "{functions:?} {control}"
        );
        let refused = of(
            &page,
            0,
            "gpu_read_errors_total",
            &[("error", "no_permission")],
        );
        assert_eq!(refused, control.contains(" 4").then_some(1.0), "{control}");
    }
    // An error that may pass: counted, and nothing is promised until it has passed.
    let rig = Rig::new("code nvmlEventSetWait_v2 * 999\n");
    let page = rig.settled();
    assert!(page.shape().family("gpu_xid_events_total").is_none());
    assert!(of(&page, 0, "gpu_read_errors_total", &[("error", "unknown")]) >= Some(1.0));
    rig.fake.control("xid 0 31 2\n");
    rig.page("what waited is counted", |page| {
        of(page, 0, "gpu_xid_events_total", &[]) == Some(2.0)
    });
}
