//! A sample of all GPUs at one moment, and what is remembered from one to the next.
//!
//! Everything is kept by UUID: indices move when the driver is loaded again, a GPU is lost or a
//! container gets other devices, and no value may move with them.

use std::collections::{BTreeMap, HashMap};
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::Options;
use crate::bound::{BoundState, vram_full_compute_low};
use crate::device::{
    CallError, Identity, MigDevice, Numbers, PCIE_THROUGHPUT_TIME, Process, Quantity, Reading,
    Session, Standing, Versions, Wanted,
};
use crate::process::Directory;
use crate::throttle;

/// All GPUs at one moment. Label values are rendered, so that copying it to a page allocates nothing.
#[derive(Debug)]
pub(crate) struct Sample {
    pub(crate) taken: Instant,
    pub(crate) duration: Duration,
    pub(crate) gpus: Vec<Gpu>,
    /// Numbers that were dropped because they mean "no value".
    pub(crate) sentinels: u64,
    /// Numbers that cannot be told honestly.
    pub(crate) left_out: u64,
}

/// One GPU in a sample.
#[derive(Debug)]
pub(crate) struct Gpu {
    pub(crate) labels: Arc<GpuLabels>,
    /// `None` where it could not be read.
    pub(crate) values: Option<Values>,
    pub(crate) xids: Option<Xids>,
    pub(crate) errors: BTreeMap<&'static str, u64>,
}

/// What was read of a GPU.
#[derive(Debug)]
pub(crate) struct Values {
    pub(crate) numbers: Numbers,
    pub(crate) nvlinks: Vec<Option<bool>>,
    pub(crate) fans_percent: Vec<Option<u32>>,
    pub(crate) throttle_bits: Option<u64>,
    pub(crate) throttle_sampled: [Duration; throttle::COUNT],
    pub(crate) bound: BoundState,
    pub(crate) vram_full_compute_low: Option<bool>,
    pub(crate) processes: Option<Processes>,
    pub(crate) mig: Vec<Mig>,
}

/// The labels of a GPU: shared by all samples until one of them changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct GpuLabels {
    pub(crate) index: String,
    pub(crate) uuid: String,
    /// The labels of `gpu_info` that are known.
    pub(crate) info: Vec<(&'static str, String)>,
}

/// XID errors since this process started.
#[derive(Clone, Debug, Default)]
pub(crate) struct Xids {
    pub(crate) total: u64,
    pub(crate) codes: BTreeMap<u64, Xid>,
}

#[derive(Clone, Debug)]
pub(crate) struct Xid {
    pub(crate) code: String,
    pub(crate) count: u64,
    /// Since the epoch.
    pub(crate) last: Duration,
}

/// Codes are a few hundred at most; a broken driver may say any number.
const XID_CODES_MAX: usize = 64;
const OTHER_XID: u64 = u64::MAX;

#[derive(Debug)]
pub(crate) struct Processes {
    pub(crate) count: usize,
    pub(crate) omitted: usize,
    pub(crate) shown: Vec<ShownProcess>,
}

#[derive(Debug)]
pub(crate) struct ShownProcess {
    pub(crate) pid: String,
    pub(crate) kind: &'static str,
    pub(crate) name: Option<String>,
    pub(crate) container_id: Option<String>,
    pub(crate) mig: Option<String>,
    pub(crate) vram_bytes: u64,
}

#[derive(Debug)]
pub(crate) struct Mig {
    pub(crate) instance: String,
    pub(crate) compute_instance: Option<String>,
    pub(crate) uuid: String,
    pub(crate) profile: Option<String>,
    /// Whether this is the first device of its GPU instance: the one that carries its numbers.
    pub(crate) first: bool,
    pub(crate) numbers: Numbers,
    pub(crate) bound: BoundState,
}

/// However short the period, samples of hardware counters this far apart still make a pair: a thread
/// that was a little late is no outage.
const APART_MIN: Duration = Duration::from_secs(1);

/// What a GPU or a driver does not say of itself is asked for so many more times, each with what hardly
/// changes: some never say it.
const RETRIES_MAX: u32 = 30;

/// More GPUs than any machine has: a driver that says more is not believed.
const GPUS_MAX: u32 = 128;

/// What a GPU does that can be asked for its PCIe throughput only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Asked,
    Waits,
}

/// Why a driver session cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The driver does not answer any more.
    Gone(CallError),
}

/// What is remembered of a GPU between samples.
#[derive(Debug, Default)]
struct Tracked {
    labels: Arc<GpuLabels>,
    index: u32,
    identity: Identity,
    /// In which session its identity was read.
    identified: u64,
    /// How many more times missing parts of its identity are asked for.
    identity_retries: u32,
    standing: Standing,
    /// The last PCIe throughput, in turns.
    throughput: [Option<f64>; 2],
    throttle_sampled: [Duration; throttle::COUNT],
    read: Option<Instant>,
    xids: Option<Xids>,
    errors: BTreeMap<&'static str, u64>,
    up: bool,
}

/// Takes samples, and remembers what lies between two of them.
#[derive(Debug)]
pub(crate) struct Tracker {
    options: Options,
    gpus: BTreeMap<String, Tracked>,
    /// Errors of indices whose GPU was never seen.
    nameless: BTreeMap<u32, BTreeMap<&'static str, u64>>,
    directory: Directory,
    session: u64,
    versions: Versions,
    /// How many more times missing versions are asked for.
    version_retries: u32,
    standing_read: Option<Instant>,
    /// Whose turn it is to be asked for its PCIe throughput.
    turn: usize,
}

impl Tracker {
    pub(crate) fn new(options: Options) -> Self {
        Self {
            directory: Directory::new(options.proc_root.clone()),
            options,
            gpus: BTreeMap::new(),
            nameless: BTreeMap::new(),
            session: 0,
            versions: Versions::default(),
            version_retries: 0,
            standing_read: None,
            turn: 0,
        }
    }

    /// To be called when the driver was opened.
    pub(crate) fn begin_session(&mut self, session: &mut dyn Session) {
        self.session += 1;
        self.versions = session.versions();
        self.version_retries = RETRIES_MAX;
        self.standing_read = None;
        for gpu in self.gpus.values_mut() {
            gpu.read = None;
        }
    }

    /// The next sample reads what hardly changes, too.
    pub(crate) fn expire_standing(&mut self) {
        self.standing_read = None;
    }

    /// Whether a GPU cannot be read that might be found by opening the driver anew. One that is not
    /// ours to read will not.
    pub(crate) fn any_down(&self) -> bool {
        let forbidden =
            [CallError::NoPermission, CallError::OperatingSystem].map(CallError::as_str);
        let nameless = self.nameless.values();
        self.gpus.values().any(|gpu| !gpu.up)
            || nameless
                .flat_map(BTreeMap::keys)
                .any(|error| !forbidden.contains(error))
    }

    /// Reads all GPUs once.
    pub(crate) fn sample(&mut self, session: &mut dyn Session) -> Result<Sample, End> {
        let started = Instant::now();
        self.directory.tick();
        let standing = self
            .standing_read
            .is_none_or(|read| read.elapsed() >= self.options.standing_period);
        if standing && self.version_retries > 0 && !self.versions.is_complete() {
            self.version_retries -= 1;
            self.versions.complete(session.versions());
        }
        let count = session.count().map_err(End::Gone)?.min(GPUS_MAX);

        let mut there: Vec<(u32, String)> = Vec::new();
        let mut failed: Vec<(u32, CallError)> = Vec::new();
        for index in 0..count {
            match session.uuid(index) {
                // A second device of the same name would make every series of it twice.
                Ok(uuid) if there.iter().any(|(_, known)| *known == uuid) => {}
                Ok(uuid) => there.push((index, uuid)),
                Err(error) if error.ends_session() => return Err(End::Gone(error)),
                Err(error) => failed.push((index, error)),
            }
        }

        let turns = self.throughput_turns(&there, session);
        let mut sample = Sample {
            taken: started,
            duration: Duration::ZERO,
            gpus: Vec::with_capacity(there.len() + failed.len()),
            sentinels: 0,
            left_out: 0,
        };
        let mut by_index: Vec<(u32, Gpu)> = Vec::new();
        for (index, uuid) in &there {
            let wanted = Wanted {
                standing,
                processes: self.options.processes,
                mig: self.options.mig,
                pcie_throughput: turns.get(uuid) == Some(&Turn::Asked),
                apart_max: (self.options.period * 2).max(APART_MIN),
            };
            if turns.get(uuid) != Some(&Turn::Waits)
                && let Some(tracked) = self.gpus.get_mut(uuid)
            {
                // What is not told this time is not known, or comes from elsewhere now.
                tracked.throughput = [None; 2];
            }
            let gpu = self.read(*index, uuid, wanted, session, &mut sample)?;
            by_index.push((*index, gpu));
        }
        by_index.extend(self.missing(&there, &failed, session));
        by_index.sort_by_key(|(index, _)| *index);
        sample.gpus.extend(by_index.into_iter().map(|(_, gpu)| gpu));
        if standing {
            self.standing_read = Some(started);
        }
        sample.taken = Instant::now();
        sample.duration = sample.taken - started;
        Ok(sample)
    }

    /// Which GPUs are asked for their PCIe throughput this time. Each answer takes 40 ms, so that no
    /// more than a quarter of the period goes there; the others wait and keep their last one. A GPU
    /// that tells it in another way has no turn.
    fn throughput_turns(
        &mut self,
        there: &[(u32, String)],
        session: &mut dyn Session,
    ) -> HashMap<String, Turn> {
        if !self.options.pcie_throughput {
            return HashMap::new();
        }
        let blocking: Vec<&String> = there
            .iter()
            .map(|(_, uuid)| uuid)
            .filter(|uuid| session.pcie_throughput_blocks(uuid))
            .collect();
        let budget = self.options.period.as_millis() / 4 / PCIE_THROUGHPUT_TIME.as_millis();
        let turns = usize::try_from(budget)
            .unwrap_or(usize::MAX)
            .clamp(1, blocking.len().max(1));
        let first = self.turn;
        self.turn = self.turn.wrapping_add(turns);
        let mut all: HashMap<String, Turn> = blocking
            .iter()
            .map(|uuid| ((*uuid).clone(), Turn::Waits))
            .collect();
        for offset in 0..turns.min(blocking.len()) {
            let uuid = blocking[first.wrapping_add(offset) % blocking.len()];
            all.insert(uuid.clone(), Turn::Asked);
        }
        all
    }

    fn read(
        &mut self,
        index: u32,
        uuid: &str,
        wanted: Wanted,
        session: &mut dyn Session,
        sample: &mut Sample,
    ) -> Result<Gpu, End> {
        let tracked = self.gpus.entry(uuid.to_owned()).or_default();
        if tracked.identified != self.session || tracked.index != index {
            tracked.identity = session.identity(index);
            tracked.identified = self.session;
            tracked.identity_retries = RETRIES_MAX;
            tracked.index = index;
            tracked.name(uuid, &self.versions);
        } else if wanted.standing {
            if tracked.identity_retries > 0 && !tracked.identity.is_complete() {
                tracked.identity_retries -= 1;
                tracked.identity.complete(session.identity(index));
            }
            tracked.name(uuid, &self.versions);
        }
        // After an outage nothing old is shown as if it were new.
        let wanted = Wanted {
            standing: wanted.standing || !tracked.up,
            ..wanted
        };
        let mut reading = Reading::default();
        let result = session.read(index, uuid, wanted, &mut reading);
        for error in &reading.errors {
            *tracked.errors.entry(error.as_str()).or_default() += 1;
        }
        tracked.see_xids(reading.xids.take());
        if let Err(error) = result {
            if error.ends_session() {
                return Err(End::Gone(error));
            }
            if !reading.errors.contains(&error) {
                *tracked.errors.entry(error.as_str()).or_default() += 1;
            }
            tracked.go_down(uuid, error);
            return Ok(tracked.gpu(None));
        }
        if !tracked.up {
            tracing::info!(gpu = index, uuid, "the GPU can be read");
            tracked.up = true;
        }
        let in_parts = reading.dropped_in_parts();
        sample.left_out += u64::from(reading.left_out);
        let values = tracked.values(reading, &self.options, &mut self.directory, session);
        // What hardly changes is among them, also where it was read before.
        sample.sentinels += u64::from(values.numbers.sentinels()) + in_parts;
        Ok(tracked.gpu(Some(values)))
    }

    /// GPUs that were seen before and are not there now, and indices that never told who they are.
    fn missing(
        &mut self,
        there: &[(u32, String)],
        failed: &[(u32, CallError)],
        session: &mut dyn Session,
    ) -> Vec<(u32, Gpu)> {
        let mut unexplained = failed.to_vec();
        let mut down = Vec::new();
        let gone = self
            .gpus
            .iter_mut()
            .filter(|(uuid, _)| !there.iter().any(|(_, known)| known == *uuid));
        for (uuid, tracked) in gone {
            // The index that fails now is most likely the one it had.
            let cause = unexplained
                .iter()
                .position(|(index, _)| *index == tracked.index)
                .or_else(|| (!unexplained.is_empty()).then_some(0))
                .map(|at| unexplained.remove(at).1);
            let error = cause.unwrap_or(CallError::GpuLost);
            *tracked.errors.entry(error.as_str()).or_default() += 1;
            if tracked.xids.is_some() {
                tracked.see_xids(Some(session.last_xids(uuid)));
            }
            tracked.go_down(uuid, error);
            down.push((tracked.index, tracked.gpu(None)));
        }
        if self.gpus.len() > GPUS_MAX as usize {
            // A driver that makes up identities must not fill the memory.
            self.gpus.retain(|_, tracked| tracked.up);
        }
        self.nameless
            .retain(|index, _| unexplained.iter().any(|(failing, _)| failing == index));
        for (index, error) in unexplained {
            let errors = self.nameless.entry(index).or_default();
            *errors.entry(error.as_str()).or_default() += 1;
            let labels = GpuLabels {
                index: index.to_string(),
                ..GpuLabels::default()
            };
            down.push((
                index,
                Gpu {
                    labels: Arc::new(labels),
                    values: None,
                    xids: None,
                    errors: errors.clone(),
                },
            ));
        }
        down
    }
}

impl Tracked {
    /// Makes its labels anew, where they are others than before.
    fn name(&mut self, uuid: &str, versions: &Versions) {
        let labels = labels(self.index, uuid, &self.identity, versions);
        if *self.labels != labels {
            self.labels = Arc::new(labels);
        }
    }

    fn gpu(&self, values: Option<Values>) -> Gpu {
        Gpu {
            labels: Arc::clone(&self.labels),
            values,
            xids: self.xids.clone(),
            errors: self.errors.clone(),
        }
    }

    fn go_down(&mut self, uuid: &str, error: CallError) {
        if mem::replace(&mut self.up, false) {
            tracing::warn!(gpu = self.index, uuid, %error, "the GPU cannot be read");
        }
        self.read = None;
        self.standing = Standing::default();
        self.throughput = [None; 2];
    }

    fn see_xids(&mut self, codes: Option<Vec<u64>>) {
        let Some(codes) = codes else { return };
        let xids = self.xids.get_or_insert_default();
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        for code in codes {
            tracing::warn!(
                gpu = self.index,
                uuid = self.labels.uuid,
                xid = code,
                "XID error"
            );
            xids.total += 1;
            let full = xids.codes.len() >= XID_CODES_MAX && !xids.codes.contains_key(&code);
            let key = if full { OTHER_XID } else { code };
            let xid = xids.codes.entry(key).or_insert_with(|| Xid {
                code: if full {
                    "other".into()
                } else {
                    code.to_string()
                },
                count: 0,
                last: now,
            });
            xid.count += 1;
            xid.last = now;
        }
    }

    fn values(
        &mut self,
        reading: Reading,
        options: &Options,
        directory: &mut Directory,
        session: &mut dyn Session,
    ) -> Values {
        if let Some(standing) = reading.standing {
            self.standing = standing;
        }
        let mut numbers = reading.numbers;
        numbers.merge(&self.standing.numbers);
        self.keep_throughput(&mut numbers);
        self.integrate(reading.throttle_bits, options.period);
        Values {
            bound: BoundState::of(&numbers, &options.bound),
            vram_full_compute_low: vram_full_compute_low(&numbers, &options.bound),
            numbers,
            nvlinks: self.standing.nvlinks.clone(),
            fans_percent: reading.fans_percent,
            throttle_bits: reading.throttle_bits,
            throttle_sampled: self.throttle_sampled,
            processes: reading
                .processes
                .map(|found| processes(found, options.processes_max, directory, session)),
            mig: mig(reading.mig, options),
        }
    }

    /// Where it was not this GPU's turn, the last throughput stands. A rate that GPM tells is the only
    /// one: both are the same series.
    fn keep_throughput(&mut self, numbers: &mut Numbers) {
        let sources = [
            (Quantity::PcieThroughputTransmit, Quantity::GpmPcieTransmit),
            (Quantity::PcieThroughputReceive, Quantity::GpmPcieReceive),
        ];
        for (kept, (quantity, gpm)) in self.throughput.iter_mut().zip(sources) {
            if numbers.get(gpm).is_some() {
                *kept = None;
                numbers.remove(&[quantity]);
                continue;
            }
            match (numbers.get(quantity), *kept) {
                (Some(fresh), _) => *kept = Some(fresh),
                (None, Some(last)) => numbers.put(quantity, last),
                (None, None) => {}
            }
        }
    }

    /// Adds the time since the last sample to each reason that holds now. A gap (a driver that hung)
    /// counts as two periods at most: what went on in it is not known.
    fn integrate(&mut self, bits: Option<u64>, period: Duration) {
        let now = Instant::now();
        let since = self
            .read
            .replace(now)
            .map_or(Duration::ZERO, |read| now - read);
        let since = since.min(period * 2);
        let held = throttle::held(bits.unwrap_or(0));
        for (total, (_, held)) in self.throttle_sampled.iter_mut().zip(held) {
            if held {
                *total += since;
            }
        }
    }
}

fn labels(index: u32, uuid: &str, identity: &Identity, versions: &Versions) -> GpuLabels {
    let info = [
        ("gpu_name", &identity.name),
        ("pci_bus_id", &identity.pci_bus_id),
        ("architecture", &identity.architecture),
        ("vbios_version", &identity.vbios_version),
        ("driver_version", &versions.driver),
        ("nvml_version", &versions.nvml),
        ("cuda_version", &versions.cuda),
    ];
    GpuLabels {
        index: index.to_string(),
        uuid: uuid.to_owned(),
        info: info
            .into_iter()
            .filter_map(|(name, value)| Some((name, value.clone()?)))
            .collect(),
    }
}

/// The processes with the most memory, up to the limit, in order of their ids.
fn processes(
    mut found: Vec<Process>,
    limit: usize,
    directory: &mut Directory,
    session: &mut dyn Session,
) -> Processes {
    // A process may be listed once for each compute instance it uses.
    let identity = |process: &Process| (process.pid, process.kind, process.gpu_instance);
    found.sort_by_key(|process| (identity(process), std::cmp::Reverse(process.vram_bytes)));
    found.dedup_by_key(|process| identity(process));
    let mut pids: Vec<u32> = found.iter().map(|process| process.pid).collect();
    pids.dedup();
    let mut shown: Vec<(u64, Process)> = found
        .into_iter()
        .filter_map(|process| Some((process.vram_bytes?, process)))
        .collect();
    let omitted = shown.len().saturating_sub(limit);
    shown.sort_by_key(|(bytes, process)| (std::cmp::Reverse(*bytes), process.pid));
    shown.truncate(limit);
    shown.sort_by_key(|(_, process)| identity(process));
    Processes {
        count: pids.len(),
        omitted,
        shown: shown
            .into_iter()
            .map(|(vram_bytes, process)| {
                let who = directory.who(process.pid, session);
                ShownProcess {
                    pid: process.pid.to_string(),
                    kind: process.kind.as_str(),
                    name: who.name.clone(),
                    container_id: who.container_id.clone(),
                    mig: process.gpu_instance.map(|id| id.to_string()),
                    vram_bytes,
                }
            })
            .collect(),
    }
}

fn mig(mut devices: Vec<MigDevice>, options: &Options) -> Vec<Mig> {
    devices.sort_by_key(|device| (device.gpu_instance, device.compute_instance));
    for instance in devices.chunk_by_mut(|a, b| a.gpu_instance == b.gpu_instance) {
        share_multiprocessors(instance);
    }
    let mut last = None;
    devices
        .into_iter()
        .map(|device| Mig {
            instance: device.gpu_instance.to_string(),
            compute_instance: device.compute_instance.map(|id| id.to_string()),
            uuid: device.uuid,
            profile: device.profile,
            first: last.replace(device.gpu_instance) != Some(device.gpu_instance),
            bound: BoundState::of(&device.numbers, &options.bound),
            numbers: device.numbers,
        })
        .collect()
}

/// Multiprocessors belong to one compute instance each: those of a GPU instance are the sum, and not
/// known where one of them is not.
fn share_multiprocessors(devices: &mut [MigDevice]) {
    let own = devices
        .iter()
        .map(|device| device.numbers.get(Quantity::Multiprocessors));
    let sum: Option<f64> = own.sum();
    for device in devices {
        device.numbers.remove(&[Quantity::Multiprocessors]);
        if let Some(sum) = sum {
            device.numbers.put(Quantity::Multiprocessors, sum);
        }
    }
}

#[cfg(test)]
mod tests;
