//! A driver that hangs. One test alone in its program, because it counts the threads of the process.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    reason = "tests compare exact numbers"
)]

mod common;

use std::time::{Duration, Instant};

use common::{Rig, lines, of};
use tokenpath_core::Reason;

/// Threads that may talk to the driver.
fn sampling_threads() -> usize {
    std::fs::read_dir("/proc/self/task")
        .unwrap()
        .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok())
        .filter(|name| name.trim() == "tokenpath-gpu")
        .count()
}

fn threads_become(count: usize) {
    let start = Instant::now();
    while sampling_threads() != count {
        assert!(
            start.elapsed() < Duration::from_secs(30),
            "{} threads",
            sampling_threads()
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_hanging_driver_costs_one_thread_and_shows_its_age() {
    while_sampling();
    while_opening();
    threads_become(0);
    when_dropped();
}

fn while_sampling() {
    let rig = Rig::new("count 2\n");
    rig.settled();
    rig.fake.control("count 2\nhang nvmlDeviceGetPowerUsage\n");
    let page = rig.stale_page();
    let names: Vec<_> = lines(&page)
        .iter()
        .map(|line| line.split(' ').next().unwrap().to_owned())
        .collect();
    assert_eq!(
        names,
        [
            "gpu_driver_up{}",
            "gpu_sample_age_seconds{}",
            r#"gpu_up{gpu="0",uuid="GPU-00000000"}"#,
            r#"gpu_up{gpu="1",uuid="GPU-00000001"}"#,
        ],
        "which GPUs there were, and no value of them"
    );
    assert_eq!(of(&page, 1, "gpu_up", &[]), Some(0.0));
    let age = |page: &tokenpath_core::Snapshot| page.value("gpu_sample_age_seconds", &[]).unwrap();
    let young = age(&page);
    assert!(young > 0.2, "{young}");

    // A thousand pages: none waits for the driver, none starts a thread.
    let start = Instant::now();
    for _ in 0..1000 {
        rig.read().unwrap();
    }
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(sampling_threads(), 1);
    assert!(age(&rig.read().unwrap()) > young);

    rig.fake.control("count 2\n");
    let page = rig.page("the driver answers", |_| true);
    assert_eq!(of(&page, 1, "gpu_power_watts", &[]), Some(628.4));
    assert_eq!(sampling_threads(), 1);
}

fn while_opening() {
    threads_become(0);
    let rig = Rig::new("hang nvmlInit_v2\n");
    let reasons = |reason: Reason| {
        rig.until("the reason is told", |read| {
            let error = read.as_ref().err()?;
            (error.reason() == reason).then(|| error.to_string())
        })
    };
    let error = reasons(Reason::Driver);
    assert!(error.contains("has not answered for"), "{error}");
    assert_eq!(sampling_threads(), 1);
    rig.fake.control("");
    rig.page("it opens", |_| true);
}

fn when_dropped() {
    let rig = Rig::new("");
    rig.settled();
    rig.fake.control("hang *\n");
    rig.stale_page();
    let Rig {
        source,
        fake,
        folder,
    } = rig;
    let start = Instant::now();
    drop(source);
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(sampling_threads(), 1, "it is left behind");
    // Should the driver ever answer, the thread goes by itself.
    fake.control("");
    threads_become(0);
    drop(folder);
}
