//! Our numbers as pages: canonical, and in the names that DCGM's dashboards expect.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::collections::HashSet;

use common::Rig;
use tokenpath_core::dialect::{Dialect, Spoken};
use tokenpath_core::exposition::{Encoder, Format, Part};
use tokenpath_core::{LabelSet, Snapshot};
use tokenpath_gpu::families::families;

/// A machine with all that any card has.
const EVERYTHING: &str = "count 2\nprocess 0 7 4096 compute\n\
    value nvmlDeviceGetNumFans * 1\nvalue nvmlDeviceGetFanSpeed_v2:0 * 35\n\
    value field:29:0 * 3\nvalue field:30:0 * 4\nvalue field:31:0 * 1\n\
    value field:38:0 * 5\nvalue field:45:0 * 6\nvalue field:52:0 * 7\nvalue field:59:0 * 8\n";

fn everything() -> Snapshot {
    let rig = Rig::new(EVERYTHING);
    rig.settled();
    // Errors count from the first sample on.
    rig.fake
        .control(&format!("{EVERYTHING}xid 0 79 1\nxid 1 79 1\n"));
    rig.page("XID errors on both", |page| {
        ["0", "1"].iter().all(|gpu| {
            let uuid = format!("GPU-0000000{gpu}");
            let labels = [("gpu", *gpu), ("uuid", uuid.as_str())];
            page.value("gpu_xid_events_total", &labels) == Some(1.0)
        })
    })
}

fn write(snapshot: &Snapshot, format: Format, spoken: Spoken) -> String {
    let labels = LabelSet::new([("backend", "gpu"), ("target", "host")]);
    let mut encoder = Encoder::with_dialects(format, spoken);
    let mut page = Vec::new();
    encoder.encode(
        &[Part {
            snapshot,
            labels: &labels,
        }],
        &mut page,
    );
    assert!(encoder.refused().is_none(), "{:?}", encoder.refused());
    String::from_utf8(page).unwrap()
}

fn names(page: &str) -> HashSet<&str> {
    page.lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .collect()
}

#[test]
fn each_family_is_on_the_page_once_with_its_type() {
    let page = write(&everything(), Format::Text004, Spoken::canonical());
    if let Some(folder) = std::env::var_os("TOKENPATH_CAPTURE") {
        std::fs::write(std::path::Path::new(&folder).join("fake.prom"), &page).unwrap();
    }
    let types = page
        .lines()
        .filter(|line| line.starts_with("# TYPE "))
        .count();
    assert_eq!(types, names(&page).len());
    assert!(page.contains("# TYPE gpu_energy_joules_total counter\n"));
    let labels = r#"{backend="gpu",gpu="0",target="host",uuid="GPU-00000000"}"#;
    let power = format!("gpu_power_watts{labels} 627.4\n");
    assert!(page.contains(&power), "{page}");
}

/// Every name that a dialect makes of a family of ours is there when the card has it all.
#[test]
fn every_device_row_of_the_dialects_finds_its_family() {
    let snapshot = everything();
    let ours: HashSet<_> = families()
        .iter()
        .map(|desc| desc.name().to_owned())
        .collect();
    let mut checked = 0;
    for dialect in Dialect::builtins() {
        let spoken = Spoken::new(std::slice::from_ref(&dialect), families()).unwrap();
        let page = write(&snapshot, Format::Text004, spoken);
        let there = names(&page);
        for row in dialect.rows() {
            let of_ours: Vec<_> = row
                .quantities()
                .filter(|quantity| quantity.first().starts_with("gpu_"))
                .collect();
            for quantity in &of_ours {
                assert!(
                    ours.contains(quantity.first()),
                    "{}: {quantity}",
                    dialect.name()
                );
                let second = quantity.second();
                assert!(
                    second.is_none_or(|it| ours.contains(it)),
                    "{}: {quantity}",
                    dialect.name()
                );
            }
            if !of_ours.is_empty() {
                assert!(
                    there.contains(row.name()),
                    "{}: {} is not there",
                    dialect.name(),
                    row.name()
                );
                checked += 1;
            }
        }
    }
    assert!(checked > 40, "only {checked} rows are of devices");
}

#[test]
fn dcgm_names_have_the_units_of_dcgm() {
    let dcgm = Dialect::builtin("dcgm").unwrap();
    let spoken = Spoken::new(&[dcgm], families()).unwrap();
    let page = write(&everything(), Format::Text004, spoken);
    let value = |name: &str| -> f64 {
        let series = format!("{name}{{");
        let line = page
            .lines()
            .find(|line| line.starts_with(&series) && line.contains("UUID=\"GPU-00000000\""))
            .unwrap_or_else(|| panic!("{name} is not there:\n{page}"));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    };
    for (name, expected) in [
        ("DCGM_FI_DEV_SM_CLOCK", 1980.0),
        ("DCGM_FI_DEV_MEM_CLOCK", 3201.0),
        ("DCGM_FI_DEV_GPU_TEMP", 50.0),
        ("DCGM_FI_DEV_MEMORY_TEMP", 40.0),
        ("DCGM_FI_DEV_POWER_USAGE", 627.4),
        ("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", 5_000_000_500.0),
        ("DCGM_FI_DEV_GPU_UTIL", 90.0),
        ("DCGM_FI_DEV_MEM_COPY_UTIL", 40.0),
        ("DCGM_FI_DEV_FB_USED", 130_000.0),
        ("DCGM_FI_DEV_FB_FREE", 13_157.0),
        ("DCGM_FI_DEV_FB_RESERVED", 614.0),
        ("DCGM_FI_DEV_CORRECTABLE_REMAPPED_ROWS", 2.0),
        ("DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS", 1.0),
        ("DCGM_FI_DEV_POWER_VIOLATION", 1.5e9),
        ("DCGM_FI_DEV_THERMAL_VIOLATION", 2.5e9),
        ("DCGM_FI_PROF_DRAM_ACTIVE", 0.78),
        ("DCGM_FI_PROF_PIPE_TENSOR_ACTIVE", 0.14),
        ("DCGM_FI_PROF_SM_ACTIVE", 0.92),
        ("DCGM_FI_PROF_PCIE_TX_BYTES", 104_857_600.0),
    ] {
        let found = value(name);
        assert!(
            (found - expected).abs() <= expected * 1e-12,
            "{name} is {found}, not {expected}"
        );
    }
}
