//! From a sample to a snapshot: nothing is computed or rendered here, only copied.
//!
//! The order is that of the tables, families outside and GPUs inside, whatever a GPU lacks: a page
//! keeps its shape from one sample to the next.

use std::time::Duration;

use tokenpath_core::{DropReason, Label, Snapshot};

use crate::bound::BoundState;
use crate::device::Numbers;
use crate::families::{Family, MIG_ROWS, ROWS, Row};
use crate::sample::{Gpu, Mig, Sample, Values};
use crate::throttle;

/// The most labels a series of ours has, `gpu_info` with its nine included.
const LABELS_MAX: usize = 10;

/// Labels on the stack.
struct Labels<'a> {
    labels: [Label<'a>; LABELS_MAX],
    len: usize,
}

impl<'a> Labels<'a> {
    /// `gpu` and `uuid`, those that are known.
    fn of(gpu: &'a Gpu) -> Self {
        Self {
            labels: [("", ""); LABELS_MAX],
            len: 0,
        }
        .with("gpu", &gpu.labels.index)
        .with("uuid", &gpu.labels.uuid)
    }

    fn with(mut self, name: &'static str, value: &'a str) -> Self {
        // To Prometheus an empty label is none.
        if !value.is_empty() && self.len < LABELS_MAX {
            self.labels[self.len] = (name, value);
            self.len += 1;
        }
        self
    }

    fn with_all(self, labels: &[Label<'static>]) -> Self {
        labels
            .iter()
            .fold(self, |labels, (name, value)| labels.with(name, value))
    }

    fn as_slice(&self) -> &[Label<'a>] {
        &self.labels[..self.len]
    }
}

/// Writes a whole sample.
pub(crate) fn write(sample: &Sample, age: Duration, out: &mut Snapshot) {
    driver(true, age, Some(sample.duration), out);
    presence(sample, true, out);
    rows(sample, out);
    judged(sample, out);
    parts(sample, out);
    throttling(sample, out);
    xids(sample, out);
    processes(sample, out);
    mig(sample, out);
    let tally = out.tally_mut();
    tally.drop_samples(DropReason::Sentinel, sample.sentinels);
    tally.drop_samples(DropReason::LeftOut, sample.left_out);
}

/// Writes what is left of a sample that is too old: which GPUs there were, and its age.
pub(crate) fn write_stale(sample: &Sample, age: Duration, out: &mut Snapshot) {
    driver(false, age, None, out);
    presence(sample, false, out);
}

fn driver(up: bool, age: Duration, duration: Option<Duration>, out: &mut Snapshot) {
    single(Family::DriverUp, f64::from(u8::from(up)), out);
    single(Family::SampleAge, age.as_secs_f64(), out);
    if let Some(duration) = duration {
        single(Family::SampleDuration, duration.as_secs_f64(), out);
    }
}

fn single(family: Family, value: f64, out: &mut Snapshot) {
    out.family(family.desc()).sample(&[], value);
}

/// One series of a family for a GPU.
fn put(family: Family, labels: &Labels<'_>, value: f64, out: &mut Snapshot) {
    out.family(family.desc()).sample(labels.as_slice(), value);
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of events and processes stay far below 2^53"
)]
fn number(count: u64) -> f64 {
    count as f64
}

fn flag(holds: bool) -> f64 {
    f64::from(u8::from(holds))
}

fn presence(sample: &Sample, fresh: bool, out: &mut Snapshot) {
    for gpu in &sample.gpus {
        let up = fresh && gpu.values.is_some();
        put(Family::Up, &Labels::of(gpu), flag(up), out);
    }
    if !fresh {
        return;
    }
    for gpu in sample.gpus.iter().filter(|gpu| gpu.values.is_some()) {
        let info = &gpu.labels.info;
        let labels = info.iter().fold(Labels::of(gpu), |labels, (name, value)| {
            labels.with(name, value)
        });
        put(Family::Info, &labels, 1.0, out);
    }
    for gpu in &sample.gpus {
        for (error, count) in &gpu.errors {
            let labels = Labels::of(gpu).with("error", error);
            put(Family::ReadErrors, &labels, number(*count), out);
        }
    }
}

/// The GPUs that could be read.
fn readable(sample: &Sample) -> impl Iterator<Item = (&Gpu, &Values)> {
    sample
        .gpus
        .iter()
        .filter_map(|gpu| Some((gpu, gpu.values.as_ref()?)))
}

fn row(row: &Row, labels: Labels<'_>, numbers: &Numbers, out: &mut Snapshot) {
    if let Some(value) = numbers.get(row.quantity) {
        let labels = labels.with_all(row.labels);
        put(row.family, &labels, row.scale.apply(value), out);
    }
}

fn rows(sample: &Sample, out: &mut Snapshot) {
    for it in ROWS {
        for (gpu, values) in readable(sample) {
            row(it, Labels::of(gpu), &values.numbers, out);
        }
    }
}

fn judged(sample: &Sample, out: &mut Snapshot) {
    for (gpu, values) in readable(sample) {
        for state in BoundState::ALL {
            let labels = Labels::of(gpu).with("state", state.as_str());
            put(
                Family::BoundState,
                &labels,
                flag(state == values.bound),
                out,
            );
        }
    }
    for (gpu, values) in readable(sample) {
        if let Some(holds) = values.vram_full_compute_low {
            put(
                Family::VramFullComputeLow,
                &Labels::of(gpu),
                flag(holds),
                out,
            );
        }
    }
}

/// Numbers as label values, without rendering: fans and links are few.
const NUMERALS: [&str; 32] = [
    "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15", "16",
    "17", "18", "19", "20", "21", "22", "23", "24", "25", "26", "27", "28", "29", "30", "31",
];

fn parts(sample: &Sample, out: &mut Snapshot) {
    for (gpu, values) in readable(sample) {
        for (percent, fan) in values.fans_percent.iter().zip(NUMERALS) {
            if let Some(percent) = percent {
                let labels = Labels::of(gpu).with("fan", fan);
                put(Family::Fan, &labels, f64::from(*percent) / 100.0, out);
            }
        }
    }
    for (gpu, values) in readable(sample) {
        for (active, link) in values.nvlinks.iter().zip(NUMERALS) {
            if let Some(active) = active {
                let labels = Labels::of(gpu).with("link", link);
                put(Family::NvlinkUp, &labels, flag(*active), out);
            }
        }
    }
}

fn throttling(sample: &Sample, out: &mut Snapshot) {
    for (gpu, values) in readable(sample) {
        let Some(bits) = values.throttle_bits else {
            continue;
        };
        for (reason, held) in throttle::held(bits) {
            let labels = Labels::of(gpu).with("reason", reason);
            put(Family::ThrottleActive, &labels, flag(held), out);
        }
    }
    for (gpu, values) in readable(sample) {
        if values.throttle_bits.is_none() {
            continue;
        }
        for ((reason, _), time) in throttle::held(0).zip(values.throttle_sampled) {
            let labels = Labels::of(gpu).with("reason", reason);
            put(Family::ThrottleSampled, &labels, time.as_secs_f64(), out);
        }
    }
}

/// Also of GPUs that cannot be read any more: the last XID error tells why.
fn xids(sample: &Sample, out: &mut Snapshot) {
    let known = || {
        sample
            .gpus
            .iter()
            .filter_map(|gpu| Some((gpu, gpu.xids.as_ref()?)))
    };
    for (gpu, xids) in known() {
        for xid in xids.codes.values() {
            let labels = Labels::of(gpu).with("xid", &xid.code);
            put(Family::XidErrors, &labels, number(xid.count), out);
        }
    }
    for (gpu, xids) in known() {
        for xid in xids.codes.values() {
            let labels = Labels::of(gpu).with("xid", &xid.code);
            put(Family::XidLast, &labels, xid.last.as_secs_f64(), out);
        }
    }
    for (gpu, xids) in known() {
        put(Family::XidEvents, &Labels::of(gpu), number(xids.total), out);
    }
}

fn processes(sample: &Sample, out: &mut Snapshot) {
    let listed =
        || readable(sample).filter_map(|(gpu, values)| Some((gpu, values.processes.as_ref()?)));
    for (gpu, processes) in listed() {
        let count = number(processes.count as u64);
        put(Family::Processes, &Labels::of(gpu), count, out);
    }
    for (gpu, processes) in listed() {
        for process in &processes.shown {
            let labels = Labels::of(gpu)
                .with("mig", process.mig.as_deref().unwrap_or_default())
                .with("pid", &process.pid)
                .with("process_name", process.name.as_deref().unwrap_or_default())
                .with(
                    "container_id",
                    process.container_id.as_deref().unwrap_or_default(),
                )
                .with("kind", process.kind);
            put(
                Family::ProcessVram,
                &labels,
                number(process.vram_bytes),
                out,
            );
        }
    }
    for (gpu, processes) in listed() {
        let omitted = number(processes.omitted as u64);
        put(Family::ProcessesOmitted, &Labels::of(gpu), omitted, out);
    }
}

fn mig(sample: &Sample, out: &mut Snapshot) {
    let devices =
        || readable(sample).flat_map(|(gpu, values)| values.mig.iter().map(move |mig| (gpu, mig)));
    for (gpu, mig) in devices() {
        let labels = instance(gpu, mig)
            .with(
                "compute_instance",
                mig.compute_instance.as_deref().unwrap_or_default(),
            )
            .with("mig_uuid", &mig.uuid)
            .with("profile", mig.profile.as_deref().unwrap_or_default());
        put(Family::MigInfo, &labels, 1.0, out);
    }
    // Compute instances of one GPU instance share its memory: it is told once.
    for it in MIG_ROWS {
        for (gpu, mig) in devices().filter(|(_, mig)| mig.first) {
            row(it, instance(gpu, mig), &mig.numbers, out);
        }
    }
    for (gpu, mig) in devices().filter(|(_, mig)| mig.first) {
        for state in BoundState::ALL {
            let labels = instance(gpu, mig).with("state", state.as_str());
            put(
                Family::MigBoundState,
                &labels,
                flag(state == mig.bound),
                out,
            );
        }
    }
}

fn instance<'a>(gpu: &'a Gpu, mig: &'a Mig) -> Labels<'a> {
    Labels::of(gpu).with("mig", &mig.instance)
}
