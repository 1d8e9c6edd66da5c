//! A driver that says anything at all: the source never panics, and every page is well formed.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::fmt::Write;
use std::time::Duration;

use common::{Rig, of};
use tokenpath_core::{DropReason, Reason, Snapshot};

/// A small generator of numbers: the same ones in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % bound
    }

    fn of<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len())]
    }
}

const FUNCTIONS: [&str; 21] = [
    "*",
    "nvmlDeviceGetCount_v2",
    "nvmlDeviceGetHandleByIndex_v2",
    "nvmlDeviceGetUUID",
    "nvmlDeviceGetName",
    "nvmlDeviceGetMemoryInfo_v2",
    "nvmlDeviceGetMemoryInfo",
    "nvmlDeviceGetFieldValues",
    "nvmlDeviceGetMigMode",
    "nvmlDeviceGetMigDeviceHandleByIndex",
    "nvmlDeviceGetComputeRunningProcesses_v3",
    "nvmlDeviceGetNvLinkState",
    "nvmlDeviceGetTemperatureV",
    "nvmlDeviceRegisterEvents",
    "nvmlEventSetWait_v2",
    "nvmlGpmMigSampleGet",
    "nvmlGpmQueryDeviceSupport",
    "nvmlGpmSampleAlloc",
    "nvmlGpmSampleGet",
    "nvmlGpmMetricsGet",
    "nvmlSystemGetDriverVersion",
];
const CODES: [u32; 14] = [1, 2, 3, 4, 6, 7, 9, 10, 13, 15, 16, 18, 777, 999];
const VALUES: [&str; 8] = [
    "0",
    "1",
    "4294967295",
    "9223372036854775794",
    "18446744073709551615",
    "-1",
    "1e300",
    "none",
];

fn any_control(numbers: &mut Numbers) -> String {
    let mut control = String::new();
    let counts = ["0", "1", "3", "8", "200", "4294967295"];
    writeln!(control, "count {}", numbers.of(&counts)).unwrap();
    for _ in 0..numbers.below(6) {
        let gpu = numbers.of(&["*", "0", "1", "2"]);
        match numbers.below(7) {
            0 | 1 => {
                let (function, code) = (*numbers.of(&FUNCTIONS), *numbers.of(&CODES));
                writeln!(control, "code {function} {gpu} {code}").unwrap();
            }
            2 => {
                let gpu = numbers.below(3);
                let text = numbers.of(&["", "ff", "2200275c0a7d", "4750552d30303030303030302d31"]);
                let function = numbers.of(&["nvmlDeviceGetUUID", "nvmlDeviceGetName"]);
                if !text.is_empty() {
                    writeln!(control, "text {function} {gpu} {text}").unwrap();
                }
            }
            3 => {
                let (gpu, ids) = (
                    numbers.below(3),
                    numbers.of(&["", "1", "1 1 2", "4294967295"]),
                );
                writeln!(control, "mig {gpu} {ids}").unwrap();
            }
            4 => {
                let bytes = numbers.of(&["0", "4096", "18446744073709551615"]);
                let pid = numbers.below(5);
                let kind = numbers.of(&["compute", "graphics"]);
                writeln!(control, "process 0 {pid} {bytes} {kind}").unwrap();
            }
            5 => {
                let line = numbers.of(&["narrow 197", "narrow 138", "unprivileged"]);
                writeln!(control, "{line}").unwrap();
            }
            _ => {
                let key = any_key(numbers);
                writeln!(control, "value {key} {gpu} {}", numbers.of(&VALUES)).unwrap();
            }
        }
    }
    control
}

/// A number of the fake driver.
fn any_key(numbers: &mut Numbers) -> String {
    let gpm = numbers.below(62);
    let field = numbers.below(280);
    let keys = [
        "nvmlDeviceGetPowerUsage".to_owned(),
        "nvmlDeviceGetTotalEnergyConsumption".to_owned(),
        "nvmlDeviceGetMemoryInfo:used".to_owned(),
        "nvmlDeviceGetMemoryInfo:total".to_owned(),
        "nvmlDeviceGetNumFans".to_owned(),
        "nvmlDeviceGetPerformanceState".to_owned(),
        "nvmlDeviceGetArchitecture".to_owned(),
        "nvmlDeviceGetCurrentClocksEventReasons".to_owned(),
        format!("gpm:{gpm}"),
        format!("field:{field}"),
    ];
    numbers.of(&keys).clone()
}

fn is_well_formed(page: &Snapshot, control: &str) {
    for reason in [
        DropReason::Duplicate,
        DropReason::TypeClash,
        DropReason::NotANumber,
    ] {
        assert_eq!(page.tally().dropped(reason), 0, "{reason:?}:\n{control}");
    }
    for family in page.shape().families() {
        for series in family.series() {
            let Some(value) = page.get(series.slot()) else {
                continue;
            };
            assert!(value.is_finite(), "{}:\n{control}", family.desc().name());
            let documented = family.desc().label_names();
            for (label, _) in series.labels() {
                assert!(
                    documented.contains(&label),
                    "{} {label}",
                    family.desc().name()
                );
            }
        }
    }
}

#[test]
fn whatever_a_driver_says_the_page_is_well_formed() {
    let rig = Rig::new("");
    let mut numbers = Numbers(20_261_122);
    let mut pages = 0;
    for _ in 0..40 {
        let control = any_control(&mut numbers);
        rig.fake.control(&control);
        // Long enough for a sample or two; whether they are there yet does not matter.
        std::thread::sleep(Duration::from_millis(120));
        match rig.read() {
            Ok(page) => {
                is_well_formed(&page, &control);
                pages += 1;
            }
            Err(error) => assert_ne!(error.reason(), Reason::Internal, "{error}:\n{control}"),
        }
    }
    assert!(pages > 0);
    rig.fake.control("count 2\n");
    let page = rig.page("all is well again", |page| {
        of(page, 1, "gpu_up", &[]) == Some(1.0)
    });
    assert_eq!(of(&page, 1, "gpu_power_watts", &[]), Some(628.4));
}
