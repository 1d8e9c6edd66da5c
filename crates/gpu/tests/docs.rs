//! The table of families in the documentation is the one in the code.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::fmt::Write;
use std::path::Path;

use tokenpath_gpu::families::{Family, MIG_ROWS, ROWS, Scale, families};

const BEGIN: &str =
    "<!-- families: written by `UPDATE=1 cargo test -p tokenpath-gpu --test docs` -->\n";
const END: &str = "<!-- end of families -->";

fn factor(scale: Scale) -> String {
    match scale {
        Scale::Same => String::new(),
        Scale::Times(factor) => format!(" × {factor}"),
        Scale::Over(divisor) => format!(" / {divisor}"),
    }
}

/// Where families that are no plain number come from.
fn made_from(name: &str) -> &'static str {
    let of = |family: Family| family.desc().name() == name;
    for (family, source) in [
        (Family::DriverUp, "the sampling thread"),
        (Family::SampleAge, "the sampling thread"),
        (Family::SampleDuration, "the sampling thread"),
        (Family::Up, "whether the calls for the GPU go through"),
        (
            Family::Info,
            "nvmlDeviceGetName, …PciInfo, …Architecture, …VbiosVersion, nvmlSystemGet…Version",
        ),
        (Family::ReadErrors, "return codes"),
        (Family::BoundState, "GPM 2, 4, 5, 10 to 13"),
        (Family::VramFullComputeLow, "memory and utilisation"),
        (Family::Fan, "nvmlDeviceGetFanSpeed_v2 / 100"),
        (Family::NvlinkUp, "nvmlDeviceGetNvLinkState"),
        (
            Family::ThrottleActive,
            "nvmlDeviceGetCurrentClocksEventReasons",
        ),
        (Family::ThrottleSampled, "gpu_throttle_active over time"),
        (Family::XidErrors, "event XidCriticalError"),
        (Family::XidLast, "event XidCriticalError"),
        (Family::XidEvents, "event XidCriticalError"),
        (
            Family::Processes,
            "nvmlDeviceGet{Compute,Graphics}RunningProcesses",
        ),
        (
            Family::ProcessVram,
            "nvmlDeviceGet{Compute,Graphics}RunningProcesses, /proc",
        ),
        (
            Family::ProcessesOmitted,
            "nvmlDeviceGet{Compute,Graphics}RunningProcesses",
        ),
        (
            Family::MigInfo,
            "nvmlDeviceGetMigDeviceHandleByIndex, …GpuInstanceId, …ComputeInstanceId",
        ),
        (
            Family::MigBoundState,
            "GPM 2, 4, 5, 10 to 13 of the instance",
        ),
    ] {
        if of(family) {
            return source;
        }
    }
    panic!("{name} is made of nothing");
}

fn table() -> String {
    let mut table = String::from("| family | type | meaning | from |\n| --- | --- | --- | --- |\n");
    for desc in families() {
        let rows: Vec<String> = ROWS
            .iter()
            .chain(MIG_ROWS)
            .filter(|row| row.family.desc().name() == desc.name())
            .map(|row| {
                let labels: Vec<_> = row
                    .labels
                    .iter()
                    .map(|(name, value)| format!("{name}=\"{value}\""))
                    .collect();
                let labels = match labels.is_empty() {
                    true => String::new(),
                    false => format!("`{}`: ", labels.join(",")),
                };
                format!("{labels}{}{}", row.nvml, factor(row.scale))
            })
            .collect();
        let from = match rows.is_empty() {
            true => made_from(desc.name()).to_owned(),
            false => rows.join("<br>"),
        };
        let further: Vec<_> = desc
            .label_names()
            .iter()
            .filter(|label| !["gpu", "uuid"].contains(label))
            .copied()
            .collect();
        let mut name = format!("`{}`", desc.name());
        if desc.label_names().is_empty() {
            name += " (no labels)";
        } else if !further.is_empty() {
            name = format!("`{}{{{}}}`", desc.name(), further.join(","));
        }
        writeln!(
            table,
            "| {name} | {} | {} | {from} |",
            desc.kind().text_name(),
            desc.help()
        )
        .unwrap();
    }
    table
}

#[test]
fn the_table_of_families_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/gpu-exporter.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (found, after) = rest.split_once(END).unwrap();
    let expected = table();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, format!("{before}{BEGIN}{expected}{END}{after}")).unwrap();
    } else {
        assert!(
            found == expected,
            "run it with UPDATE=1 and look at the difference"
        );
    }
}
