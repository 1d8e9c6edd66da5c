//! A real GPU, read by us and by `nvidia-smi -q -x`.
//!
//! `cargo test -p tokenpath-gpu --test device -- --ignored --nocapture`. With `TOKENPATH_CAPTURE`
//! naming a folder, both readings are kept there.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use common::lines;
use tokenpath_core::{Label, Snapshot};
use tokenpath_gpu::{GpuSource, Options, host_name};

/// The text of an element by its path, in XML as `nvidia-smi` writes it: no attributes on the way, no
/// entities in numbers.
fn element<'x>(xml: &'x str, path: &str) -> Option<&'x str> {
    path.split('/').try_fold(xml, |xml, name| {
        let (_, rest) = xml.split_once(&format!("<{name}>"))?;
        let (inside, _) = rest.split_once(&format!("</{name}>"))?;
        Some(inside)
    })
}

/// A number with its unit, in our unit. `None` for `N/A` and other words.
fn number(xml: &str, path: &str, factor: f64) -> Option<f64> {
    let text = element(xml, path)?.trim();
    let digits = text.trim_start_matches(['P', 'p']);
    let digits = digits.split([' ', 'x']).next()?;
    digits.parse::<f64>().ok().map(|number| number * factor)
}

/// The text of each GPU of the document.
fn gpus(xml: &str) -> Vec<&str> {
    xml.split("<gpu id=")
        .skip(1)
        .filter_map(|gpu| gpu.split_once("</gpu>"))
        .map(|(gpu, _)| gpu)
        .collect()
}

/// How far two readings a moment apart may be from each other.
#[derive(Clone, Copy)]
enum Agree {
    /// To the last digit that `nvidia-smi` shows.
    Within(f64),
    /// It moves: so much more or less, or so large a part of it.
    Loosely(f64, f64),
}

/// Their element, with the way to our unit; our family with further labels; how well they agree.
type Pair = (
    &'static str,
    f64,
    &'static str,
    &'static [Label<'static>],
    Agree,
);

const MIB: f64 = 1_048_576.0;

const PAIRS: [Pair; 37] = [
    (
        "fb_memory_usage/total",
        MIB,
        "gpu_vram_total_bytes",
        &[],
        Agree::Within(MIB),
    ),
    (
        "fb_memory_usage/reserved",
        MIB,
        "gpu_vram_reserved_bytes",
        &[],
        Agree::Within(MIB),
    ),
    (
        "fb_memory_usage/used",
        MIB,
        "gpu_vram_used_bytes",
        &[],
        Agree::Loosely(64.0 * MIB, 0.05),
    ),
    (
        "fb_memory_usage/free",
        MIB,
        "gpu_vram_free_bytes",
        &[],
        Agree::Loosely(64.0 * MIB, 0.05),
    ),
    (
        "bar1_memory_usage/total",
        MIB,
        "gpu_bar1_total_bytes",
        &[],
        Agree::Within(MIB),
    ),
    (
        "utilization/gpu_util",
        0.01,
        "gpu_compute_utilization_ratio",
        &[],
        Agree::Loosely(0.3, 0.0),
    ),
    (
        "utilization/memory_util",
        0.01,
        "gpu_memory_busy_ratio",
        &[],
        Agree::Loosely(0.3, 0.0),
    ),
    (
        "utilization/encoder_util",
        0.01,
        "gpu_encoder_utilization_ratio",
        &[],
        Agree::Loosely(0.1, 0.0),
    ),
    (
        "utilization/decoder_util",
        0.01,
        "gpu_decoder_utilization_ratio",
        &[],
        Agree::Loosely(0.1, 0.0),
    ),
    (
        "temperature/gpu_temp",
        1.0,
        "gpu_temperature_celsius",
        &[("sensor", "gpu")],
        Agree::Loosely(5.0, 0.0),
    ),
    (
        "temperature/memory_temp",
        1.0,
        "gpu_temperature_celsius",
        &[("sensor", "memory")],
        Agree::Loosely(5.0, 0.0),
    ),
    (
        "temperature/gpu_temp_tlimit",
        1.0,
        "gpu_temperature_margin_celsius",
        &[],
        Agree::Loosely(5.0, 0.0),
    ),
    (
        "temperature/gpu_temp_max_tlimit_threshold",
        1.0,
        "gpu_temperature_margin_threshold_celsius",
        &[("threshold", "shutdown")],
        Agree::Within(0.5),
    ),
    (
        "temperature/gpu_temp_slow_tlimit_threshold",
        1.0,
        "gpu_temperature_margin_threshold_celsius",
        &[("threshold", "slowdown")],
        Agree::Within(0.5),
    ),
    (
        "temperature/gpu_temp_max_threshold",
        1.0,
        "gpu_temperature_threshold_celsius",
        &[("threshold", "shutdown")],
        Agree::Within(0.5),
    ),
    (
        "temperature/gpu_temp_slow_threshold",
        1.0,
        "gpu_temperature_threshold_celsius",
        &[("threshold", "slowdown")],
        Agree::Within(0.5),
    ),
    (
        "gpu_power_readings/average_power_draw",
        1.0,
        "gpu_power_average_watts",
        &[("scope", "gpu")],
        Agree::Loosely(30.0, 0.4),
    ),
    (
        "gpu_power_readings/instant_power_draw",
        1.0,
        "gpu_power_instant_watts",
        &[("scope", "gpu")],
        Agree::Loosely(30.0, 0.6),
    ),
    (
        "gpu_power_readings/current_power_limit",
        1.0,
        "gpu_power_limit_watts",
        &[],
        Agree::Within(0.01),
    ),
    (
        "gpu_power_readings/requested_power_limit",
        1.0,
        "gpu_power_limit_requested_watts",
        &[],
        Agree::Within(0.01),
    ),
    (
        "gpu_power_readings/default_power_limit",
        1.0,
        "gpu_power_limit_default_watts",
        &[],
        Agree::Within(0.01),
    ),
    (
        "gpu_power_readings/min_power_limit",
        1.0,
        "gpu_power_limit_min_watts",
        &[],
        Agree::Within(0.01),
    ),
    (
        "gpu_power_readings/max_power_limit",
        1.0,
        "gpu_power_limit_max_watts",
        &[],
        Agree::Within(0.01),
    ),
    (
        "clocks/mem_clock",
        1e6,
        "gpu_clock_hertz",
        &[("clock", "memory")],
        Agree::Loosely(0.0, 1.0),
    ),
    (
        "clocks/sm_clock",
        1e6,
        "gpu_clock_hertz",
        &[("clock", "sm")],
        Agree::Loosely(2e9, 0.0),
    ),
    (
        "max_clocks/sm_clock",
        1e6,
        "gpu_clock_max_hertz",
        &[("clock", "sm")],
        Agree::Within(0.5),
    ),
    (
        "max_clocks/mem_clock",
        1e6,
        "gpu_clock_max_hertz",
        &[("clock", "memory")],
        Agree::Within(0.5),
    ),
    (
        "max_clocks/video_clock",
        1e6,
        "gpu_clock_max_hertz",
        &[("clock", "video")],
        Agree::Within(0.5),
    ),
    (
        "pci/pci_gpu_link_info/pcie_gen/max_link_gen",
        1.0,
        "gpu_pcie_link_generation_max",
        &[],
        Agree::Within(0.5),
    ),
    (
        "pci/pci_gpu_link_info/link_widths/max_link_width",
        1.0,
        "gpu_pcie_link_lanes_max",
        &[],
        Agree::Within(0.5),
    ),
    (
        "pci/replay_counter",
        1.0,
        "gpu_pcie_replays_total",
        &[],
        Agree::Loosely(2.0, 0.0),
    ),
    (
        "ecc_errors/volatile/dram_uncorrectable",
        1.0,
        "gpu_ecc_memory_errors_total",
        &[("kind", "uncorrected"), ("memory", "dram")],
        Agree::Within(0.5),
    ),
    (
        "remapped_rows/remapped_row_corr",
        1.0,
        "gpu_remapped_rows_total",
        &[("kind", "corrected")],
        Agree::Within(0.5),
    ),
    (
        "remapped_rows/remapped_row_unc",
        1.0,
        "gpu_remapped_rows_total",
        &[("kind", "uncorrected")],
        Agree::Within(0.5),
    ),
    (
        "remapped_rows/row_remapper_histogram/row_remapper_histogram_max",
        1.0,
        "gpu_row_remap_banks",
        &[("availability", "max")],
        Agree::Within(0.5),
    ),
    (
        "clocks_event_reasons_counters/clocks_event_reasons_counters_sw_power_cap",
        1e-6,
        "gpu_throttle_seconds_total",
        &[("reason", "sw_power_cap")],
        Agree::Loosely(10.0, 0.0),
    ),
    (
        "clocks_event_reasons_counters/clocks_event_reasons_counters_sw_therm_slowdown",
        1e-6,
        "gpu_throttle_seconds_total",
        &[("reason", "sw_thermal")],
        Agree::Loosely(10.0, 0.0),
    ),
];

/// What differs on one GPU, and how many numbers were on both sides.
fn compare(xml: &str, index: usize, page: &Snapshot) -> (Vec<String>, usize) {
    let uuid = element(xml, "uuid").unwrap();
    let index = index.to_string();
    let own = [("gpu", index.as_str()), ("uuid", uuid)];
    let mut differences = Vec::new();
    let mut compared = 0;
    for (path, factor, family, labels, agree) in PAIRS {
        let theirs = number(xml, path, factor);
        let ours = page.value(family, &[&own, labels].concat());
        let agrees = match (theirs, ours) {
            (Some(theirs), Some(ours)) => {
                compared += 1;
                let (absolute, relative) = match agree {
                    Agree::Within(absolute) => (absolute, 0.0),
                    Agree::Loosely(absolute, relative) => (absolute, relative),
                };
                (theirs - ours).abs() <= absolute.max(relative * theirs.abs())
            }
            (None, None) => true,
            // A newer nvidia-smi hides some numbers that the library still gives.
            (None, Some(_)) => {
                println!("only ours: {family} {labels:?} {ours:?}");
                true
            }
            (Some(_), None) => false,
        };
        if !agrees {
            differences.push(format!(
                "{path} is {theirs:?}, {family} {labels:?} is {ours:?}"
            ));
        }
    }
    (differences, compared)
}

#[test]
#[ignore = "needs an NVIDIA GPU"]
fn every_number_agrees_with_nvidia_smi() {
    let source = GpuSource::spawn(&host_name(), Options::default()).unwrap();
    assert!(
        source.wait_first(Duration::from_secs(60)),
        "the driver does not answer"
    );
    // A few samples, so that what needs two of them is there.
    std::thread::sleep(Duration::from_millis(3500));
    let read = || {
        let mut page = Snapshot::new();
        source.copy_newest(&mut page).unwrap();
        page
    };
    let smi = Command::new("nvidia-smi")
        .args(["-q", "-x"])
        .output()
        .unwrap();
    let xml = String::from_utf8(smi.stdout).unwrap();
    let start = Instant::now();
    let mut page = read();
    while page.value("gpu_sample_age_seconds", &[]).unwrap() > 0.5 && start.elapsed().as_secs() < 10
    {
        std::thread::sleep(Duration::from_millis(50));
        page = read();
    }
    let shown = lines(&page).join("\n");
    println!("{shown}");
    if let Some(folder) = std::env::var_os("TOKENPATH_CAPTURE") {
        let folder = Path::new(&folder);
        std::fs::write(folder.join("nvidia-smi.xml"), &xml).unwrap();
        std::fs::write(folder.join("gpu-exporter.txt"), format!("{shown}\n")).unwrap();
    }
    let gpus = gpus(&xml);
    assert!(!gpus.is_empty(), "nvidia-smi shows no GPU");
    for (index, gpu) in gpus.into_iter().enumerate() {
        let (differences, compared) = compare(gpu, index, &page);
        assert!(
            differences.is_empty(),
            "GPU {index}:\n{}",
            differences.join("\n")
        );
        assert!(compared >= 20, "only {compared} numbers were on both sides");
    }
    let took = page.value("gpu_sample_duration_seconds", &[]).unwrap();
    println!("the sample took {took} s");
}

/// In which type the driver tells the fields whose width decides what becomes of them, or is not
/// documented: `U32` wraps, `U64` does not.
#[test]
#[ignore = "needs an NVIDIA GPU"]
fn types_of_fields_are_shown() {
    use nvml_wrapper::structs::device::FieldId;
    use nvml_wrapper::sys_exports::field_id as field;

    let nvml = nvml_wrapper::Nvml::init().unwrap();
    let ids = [
        field::NVML_FI_DEV_PCIE_COUNT_TX_BYTES,
        field::NVML_FI_DEV_PCIE_COUNT_RX_BYTES,
        field::NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX,
        field::NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_RX,
        field::NVML_FI_DEV_POWER_AVERAGE,
        field::NVML_FI_DEV_MEMORY_TEMP,
    ];
    for index in 0..nvml.device_count().unwrap() {
        let device = nvml.device_by_index(index).unwrap();
        for value in device.field_values_for(&ids.map(FieldId)).unwrap() {
            match value {
                Ok(it) => println!("GPU {index}: field {}: {:?}", it.field.0, it.value),
                Err(error) => println!("GPU {index}: {error}"),
            }
        }
    }
}

/// GPM's rates against the card's counters: a unit misread by 1,048,576 shows, noise does not. Needs
/// traffic over PCIe, such as a model that is being loaded.
#[test]
#[ignore = "needs an NVIDIA GPU with GPM and PCIe counters of 64 bits, with traffic over PCIe"]
fn rates_of_gpm_agree_with_the_counters_of_the_card() {
    const SAMPLES: u32 = 20;
    let source = GpuSource::spawn(&host_name(), Options::default()).unwrap();
    assert!(source.wait_first(Duration::from_secs(60)));
    std::thread::sleep(Duration::from_millis(3500));
    let read = || {
        let mut page = Snapshot::new();
        source.copy_newest(&mut page).unwrap();
        let value = |name: &str| -> Option<f64> {
            let family = page.shape().family(name)?;
            let values = family.series().filter_map(|it| page.get(it.slot()));
            Some(values.sum())
        };
        value("gpu_pcie_receive_bytes_total").zip(value("gpu_pcie_receive_bytes_per_second"))
    };
    let (first, _) = read().expect("a card with counters and GPM");
    let start = Instant::now();
    let (mut last, mut rates) = (first, 0.0);
    for _ in 0..SAMPLES {
        std::thread::sleep(Duration::from_secs(1));
        let (total, rate) = read().unwrap();
        last = total;
        rates += rate;
    }
    let counted = (last - first) / start.elapsed().as_secs_f64();
    let measured = rates / f64::from(SAMPLES);
    println!("counters: {counted} bytes/s, GPM: {measured} bytes/s");
    assert!(counted > 1e6, "there is no traffic to compare");
    let ratio = measured / counted;
    assert!((0.02..50.0).contains(&ratio), "{ratio}");
}

/// The way `nvidia-smi` is read, without a GPU.
#[test]
fn numbers_are_found_in_the_output_of_nvidia_smi() {
    let xml = "<nvidia_smi_log><gpu id=\"0\"><uuid>GPU-1</uuid><temperature><gpu_temp>52 C</gpu_temp>\
        <memory_temp>N/A</memory_temp></temperature><pci><w>16x</w></pci><performance_state>P8\
        </performance_state></gpu><gpu id=\"1\"><uuid>GPU-2</uuid></gpu></nvidia_smi_log>";
    let gpus = gpus(xml);
    assert_eq!(gpus.len(), 2);
    assert_eq!(element(gpus[1], "uuid"), Some("GPU-2"));
    assert_eq!(number(gpus[0], "temperature/gpu_temp", 1.0), Some(52.0));
    assert_eq!(number(gpus[0], "temperature/memory_temp", 1.0), None);
    assert_eq!(number(gpus[0], "pci/w", 1.0), Some(16.0));
    assert_eq!(number(gpus[0], "performance_state", 1.0), Some(8.0));
    assert_eq!(number(gpus[0], "no/such", 1.0), None);
    // A page that has none of it differs in what nvidia-smi does show.
    let (differences, compared) = compare(gpus[0], 0, &Snapshot::new());
    assert_eq!((differences.len(), compared), (1, 0), "{differences:?}");
}
