//! Simulated GPUs: plain numbers that follow the engines running on them.
//!
//! Computing prompts keeps the tensor cores busy, decoding the memory: an engine that only decodes
//! shows high memory bandwidth and idle tensor cores. Power follows the load within seconds,
//! temperature within a minute; above the slowdown temperature the clocks fall, and with them the
//! engine's speed. So they do under a power limit that the load would exceed: a GPU draws just that
//! for as long as it has work. There is no driver here: a program that speaks for one reads these numbers.

use crate::random::Random;
use crate::truth::{EngineTruth, Truth};

/// Seconds in which power comes within a third of its load.
const POWER_SECONDS: f64 = 1.5;
/// The same of temperature.
const HEAT_SECONDS: f64 = 25.0;
/// Degrees above the inlet for each watt.
const CELSIUS_PER_WATT: f64 = 0.062;
/// Most degrees above the slowdown temperature.
const OVERSHOOT_CELSIUS_MAX: f64 = 9.0;
/// Lowest share of the top clock that a hot GPU falls to.
const CLOCK_SHARE_MIN: f64 = 0.45;

/// Share of the processors that decoding keeps busy.
const DECODE_SM_ACTIVE: f64 = 0.58;
/// Watts over rest that computing prompts takes at the top clock, as a share of those that the card may draw:
/// its tensor cores want more than they get.
const PROMPT_POWER: f64 = 1.16;
/// The same of decoding.
const DECODE_POWER: f64 = 0.66;

/// What the GPUs of a fleet are.
#[derive(Clone, Debug, PartialEq)]
pub struct GpuConfig {
    /// The product name.
    pub name: String,
    /// GPUs under each engine.
    pub per_engine: u32,
    /// Bytes of device memory.
    pub vram_bytes: u64,
    /// Bytes of the engine's weights on each GPU.
    pub weights_bytes: u64,
    /// The power limit in watts.
    pub power_limit_watts: f64,
    /// Watts at rest.
    pub idle_watts: f64,
    /// Degrees Celsius of the air that comes in.
    pub inlet_celsius: f64,
    /// Degrees Celsius at which the clocks begin to fall.
    pub slowdown_celsius: f64,
    /// Hertz of the processors at their highest.
    pub sm_clock_hertz_max: f64,
    /// Hertz of the memory.
    pub memory_clock_hertz: f64,
    /// Bytes per second of the memory at full use.
    pub dram_bytes_per_second: f64,
}

impl Default for GpuConfig {
    fn default() -> Self {
        Self {
            name: "NVIDIA H100 80GB HBM3".to_owned(),
            per_engine: 1,
            vram_bytes: 85_520_809_984,
            weights_bytes: 16_100_000_000,
            power_limit_watts: 700.0,
            idle_watts: 72.0,
            inlet_celsius: 27.0,
            slowdown_celsius: 87.0,
            sm_clock_hertz_max: 1.98e9,
            memory_clock_hertz: 2.619e9,
            dram_bytes_per_second: 3.35e12,
        }
    }
}

/// What an engine asks of its GPUs over some time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct GpuLoad {
    /// Share of the time spent on prompts.
    pub prompt: f64,
    /// Share of the time spent on all else in a step.
    pub decode: f64,
    /// Share of the cache blocks in use.
    pub kv_usage: f64,
    /// Bytes of keys and values sent to other engines.
    pub sent_bytes: f64,
    /// Bytes of keys and values received from them.
    pub received_bytes: f64,
}

impl GpuLoad {
    /// The load of an engine between two of its states, `seconds` apart.
    #[must_use]
    pub fn between(before: &EngineTruth, after: &EngineTruth, seconds: f64) -> Self {
        if seconds <= 0.0 {
            return Self::default();
        }
        let busy = (after.busy_seconds - before.busy_seconds).clamp(0.0, seconds) / seconds;
        let prompt = (after.prompt_seconds - before.prompt_seconds).max(0.0) / seconds;
        let prompt = prompt.min(busy);
        Self {
            prompt,
            decode: busy - prompt,
            kv_usage: after.kv_usage(),
            ..Self::default()
        }
    }
}

/// The state of one GPU.
#[derive(Clone, Debug, PartialEq)]
pub struct Gpu {
    /// `GPU-…`.
    pub uuid: String,
    /// The product name.
    pub name: String,
    /// Its place on the bus.
    pub pci_bus_id: String,
    /// Whether it fell off the bus: nothing of it can be read.
    pub lost: bool,
    /// Bytes of device memory.
    pub vram_total_bytes: u64,
    /// Of these, bytes allocated: an engine takes its cache at start.
    pub vram_used_bytes: u64,
    /// Bytes that driver and firmware keep.
    pub vram_reserved_bytes: u64,
    /// Share of the cache in that memory that holds keys and values in use.
    pub kv_usage: f64,
    /// Share of the time in which any kernel ran.
    pub utilization: f64,
    /// Share of the time in which the memory was read or written.
    pub memory_utilization: f64,
    /// Share of the processors that were active.
    pub sm_active: f64,
    /// Share of their places for warps that were taken.
    pub sm_occupancy: f64,
    /// Share of the tensor cores that were active.
    pub tensor_active: f64,
    /// Share of the memory bandwidth that was used.
    pub dram_active: f64,
    /// Bytes read from and written to device memory.
    pub dram_bytes: f64,
    /// Watts drawn.
    pub power_watts: f64,
    /// Watts it may draw.
    pub power_limit_watts: f64,
    /// Joules since the start.
    pub energy_joules: f64,
    /// Degrees Celsius of the processor.
    pub temperature_celsius: f64,
    /// Degrees Celsius of the memory.
    pub memory_temperature_celsius: f64,
    /// Degrees Celsius at which the clocks begin to fall.
    pub slowdown_celsius: f64,
    /// Hertz of the processors.
    pub sm_clock_hertz: f64,
    /// Hertz of the processors at their highest.
    pub sm_clock_hertz_max: f64,
    /// Hertz of the memory.
    pub memory_clock_hertz: f64,
    /// Bytes sent to the host since the start.
    pub pcie_sent_bytes: f64,
    /// Bytes received from the host since the start.
    pub pcie_received_bytes: f64,
    /// Bytes sent to other GPUs since the start.
    pub nvlink_sent_bytes: f64,
    /// Bytes received from other GPUs since the start.
    pub nvlink_received_bytes: f64,
    /// Whether heat holds the clocks down.
    pub thermal_throttle: bool,
    /// Whether the power limit does.
    pub power_throttle: bool,
    /// Seconds held down by heat.
    pub thermal_throttle_seconds: f64,
    /// Seconds held down by the power limit.
    pub power_throttle_seconds: f64,
    /// XID errors, in order of time.
    pub xids: Vec<Xid>,
    /// Processes on it.
    pub processes: Vec<GpuProcess>,
    cooling: f64,
    /// Share of the top clock that heat leaves.
    cool_share: f64,
    /// Bytes that a second process takes a second, and has taken.
    leak: (f64, f64),
}

/// An error that the driver reports.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Xid {
    /// Its code.
    pub code: u64,
    /// Virtual time.
    pub at: f64,
}

/// A process on a GPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GpuProcess {
    /// Its id.
    pub pid: u32,
    /// Its name.
    pub name: String,
    /// Bytes of device memory.
    pub vram_bytes: u64,
}

/// GPUs, `per_engine` for each engine, in order of the engines.
///
/// ```
/// use tokenpath_sim::{Config, GpuConfig, GpuFleet, Twin};
///
/// let mut twin = Twin::new(Config::default())?;
/// let mut fleet = GpuFleet::new(GpuConfig::default(), 1, 7);
/// for _ in 0..60 {
///     twin.advance(1.0);
///     fleet.follow(twin.truth());
/// }
/// let gpu = &fleet.gpus()[0];
/// assert!(gpu.power_watts > 100.0 && gpu.temperature_celsius > 40.0);
/// assert!(gpu.dram_active > gpu.tensor_active, "it mostly decodes");
/// # Ok::<(), tokenpath_sim::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct GpuFleet {
    config: GpuConfig,
    gpus: Vec<Gpu>,
    random: Random,
    now: f64,
    /// The engines as they were when the fleet last followed them.
    seen: Vec<EngineTruth>,
}

impl GpuFleet {
    /// The GPUs of `engines` engines, at rest at virtual time 0. `seed` draws their UUIDs and noise.
    #[must_use]
    pub fn new(config: GpuConfig, engines: usize, seed: u64) -> Self {
        let mut random = Random::new(seed, 4);
        let per_engine = config.per_engine.max(1) as usize;
        let gpus = (0..engines * per_engine)
            .map(|index| Gpu::new(&config, index, index / per_engine, &mut random))
            .collect();
        Self {
            config,
            gpus,
            random,
            now: 0.0,
            seen: Vec::new(),
        }
    }

    /// What the GPUs are.
    #[must_use]
    pub fn config(&self) -> &GpuConfig {
        &self.config
    }

    /// The GPUs, by index.
    #[must_use]
    pub fn gpus(&self) -> &[Gpu] {
        &self.gpus
    }

    /// Virtual time in seconds.
    #[must_use]
    pub fn now(&self) -> f64 {
        self.now
    }

    /// Lets time pass up to that of `truth`, under the load that its engines had since the last call.
    /// Engines without GPUs are passed over; GPUs without an engine rest.
    pub fn follow(&mut self, truth: &Truth) {
        let seconds = truth.now - self.now;
        if seconds <= 0.0 {
            return;
        }
        let fresh: Vec<EngineTruth>;
        let seen = if self.seen.len() == truth.engines.len() {
            &self.seen
        } else {
            fresh = truth
                .engines
                .iter()
                .map(|_| EngineTruth::new(&truth.config))
                .collect();
            &fresh
        };
        let loads: Vec<GpuLoad> = seen
            .iter()
            .zip(&truth.engines)
            .map(|(before, after)| GpuLoad::between(before, after, seconds))
            .collect();
        self.seen.clone_from(&truth.engines);
        self.advance(seconds, &loads);
    }

    /// Lets `seconds` pass under the loads of the engines, by index; an engine that is missing rests.
    pub fn advance(&mut self, seconds: f64, loads: &[GpuLoad]) {
        if !(seconds.is_finite() && seconds > 0.0) {
            return;
        }
        let per_engine = self.config.per_engine.max(1) as usize;
        for (index, gpu) in self.gpus.iter_mut().enumerate() {
            let load = loads.get(index / per_engine).copied().unwrap_or_default();
            gpu.advance(&self.config, seconds, &load, &mut self.random);
        }
        self.now += seconds;
    }

    /// Makes the cooling of a GPU `factor` as good: 1 is normal, 0.5 lets it warm twice as far. No
    /// such GPU, or a factor that is not finite and above 0, changes nothing.
    pub fn set_cooling(&mut self, gpu: usize, factor: f64) {
        if let Some(gpu) = self.gpus.get_mut(gpu)
            && factor.is_finite()
            && factor > 0.0
        {
            gpu.cooling = factor;
        }
    }

    /// Lets a second process on a GPU take so many bytes a second until none is free; 0 ends it and gives
    /// back what it took. No such GPU, or a rate that is not finite and not negative, changes nothing.
    pub fn set_leak(&mut self, gpu: usize, bytes_per_second: f64) {
        if let Some(gpu) = self.gpus.get_mut(gpu)
            && bytes_per_second.is_finite()
            && bytes_per_second >= 0.0
        {
            gpu.leak.0 = bytes_per_second;
            if bytes_per_second == 0.0 {
                gpu.leak(0.0);
            }
        }
    }

    /// Lets a GPU draw so many watts and no more; `None` is what the fleet is configured with. No such
    /// GPU, or a limit below what it draws at rest, changes nothing.
    pub fn set_power_limit(&mut self, gpu: usize, watts: Option<f64>) {
        let watts = watts.unwrap_or(self.config.power_limit_watts);
        if let Some(gpu) = self.gpus.get_mut(gpu)
            && watts.is_finite()
            && watts >= self.config.idle_watts
        {
            gpu.power_limit_watts = watts;
        }
    }

    /// Reports an XID error of a GPU now. No such GPU changes nothing.
    pub fn report_xid(&mut self, gpu: usize, code: u64) {
        let at = self.now;
        if let Some(gpu) = self.gpus.get_mut(gpu) {
            gpu.xids.push(Xid { code, at });
        }
    }

    /// Takes a GPU off the bus, or puts it back. No such GPU changes nothing.
    pub fn set_lost(&mut self, gpu: usize, lost: bool) {
        if let Some(gpu) = self.gpus.get_mut(gpu) {
            gpu.lost = lost;
        }
    }

    /// How much slower than normal an engine's GPUs compute prompts: 1 at full clocks.
    #[must_use]
    pub fn slowdown(&self, engine: usize) -> f64 {
        1.0 / self.clock_share(engine)
    }

    /// How much slower than normal they decode. That waits for memory, which keeps its clocks: only where the
    /// processors fall so far that they are what it waits for it takes longer.
    #[must_use]
    pub fn slowdown_of_decoding(&self, engine: usize) -> f64 {
        (DECODE_SM_ACTIVE / self.clock_share(engine)).max(1.0)
    }

    /// The share of their top clock at which an engine's GPUs run.
    fn clock_share(&self, engine: usize) -> f64 {
        let per_engine = self.config.per_engine.max(1) as usize;
        let gpus = self.gpus.iter().skip(engine * per_engine).take(per_engine);
        // The slowest of them keeps the others waiting.
        gpus.map(|gpu| gpu.sm_clock_hertz / gpu.sm_clock_hertz_max)
            .fold(1.0, f64::min)
    }
}

impl Gpu {
    fn new(config: &GpuConfig, index: usize, engine: usize, random: &mut Random) -> Self {
        let used = {
            // An engine takes nine tenths of the memory, weights included, at start.
            let share = config.vram_bytes / 10 * 9;
            share.max(config.weights_bytes).min(config.vram_bytes)
        };
        let hex = |random: &mut Random, digits: usize| -> String {
            (0..digits)
                .map(|_| char::from_digit(random.below(16), 16).unwrap_or('0'))
                .collect()
        };
        let parts = [8, 4, 4, 4, 12].map(|digits| hex(random, digits));
        Self {
            uuid: format!("GPU-{}", parts.join("-")),
            name: config.name.clone(),
            pci_bus_id: format!("00000000:{:02X}:00.0", 0x19 + 0x11 * (index % 8)),
            lost: false,
            vram_total_bytes: config.vram_bytes,
            vram_used_bytes: used,
            vram_reserved_bytes: config.vram_bytes / 128,
            kv_usage: 0.0,
            utilization: 0.0,
            memory_utilization: 0.0,
            sm_active: 0.0,
            sm_occupancy: 0.0,
            tensor_active: 0.0,
            dram_active: 0.0,
            dram_bytes: 0.0,
            power_watts: config.idle_watts,
            power_limit_watts: config.power_limit_watts,
            energy_joules: 0.0,
            temperature_celsius: config.inlet_celsius + config.idle_watts * CELSIUS_PER_WATT,
            memory_temperature_celsius: config.inlet_celsius + 9.0,
            slowdown_celsius: config.slowdown_celsius,
            sm_clock_hertz: config.sm_clock_hertz_max,
            sm_clock_hertz_max: config.sm_clock_hertz_max,
            memory_clock_hertz: config.memory_clock_hertz,
            pcie_sent_bytes: 0.0,
            pcie_received_bytes: 0.0,
            nvlink_sent_bytes: 0.0,
            nvlink_received_bytes: 0.0,
            thermal_throttle: false,
            power_throttle: false,
            thermal_throttle_seconds: 0.0,
            power_throttle_seconds: 0.0,
            xids: Vec::new(),
            processes: vec![GpuProcess {
                pid: 4_000 + u32::try_from(engine).unwrap_or(0),
                name: format!("VLLM::EngineCore_{engine}"),
                vram_bytes: used,
            }],
            cooling: 1.0,
            cool_share: 1.0,
            leak: (0.0, 0.0),
        }
    }

    fn advance(&mut self, config: &GpuConfig, seconds: f64, load: &GpuLoad, random: &mut Random) {
        let (prompt, decode) = (load.prompt, load.decode);
        let noise = random.log_normal(1.0, 0.015);
        self.utilization = (prompt + decode).min(1.0);
        self.sm_active = ((0.94 * prompt + DECODE_SM_ACTIVE * decode) * noise).min(1.0);
        self.sm_occupancy = 0.38 * prompt + 0.21 * decode;
        self.tensor_active = ((0.61 * prompt + 0.07 * decode) * noise).min(1.0);
        self.dram_active = ((0.34 * prompt + 0.82 * decode) * noise).min(1.0);
        self.memory_utilization = (0.30 * prompt + 0.72 * decode).min(1.0);
        self.kv_usage = load.kv_usage;
        self.dram_bytes += self.dram_active * config.dram_bytes_per_second * seconds;

        // Watts over rest: at the highest clocks, at those that heat leaves, and at most. Voltage falls with the
        // clocks, so power falls with their square.
        let span = config.power_limit_watts - config.idle_watts;
        let work = span * (PROMPT_POWER * prompt + DECODE_POWER * decode) * noise;
        let wanted = work * self.cool_share.powi(2);
        let most = self.power_limit_watts - config.idle_watts;
        self.power_throttle = wanted > most;
        let before = self.power_watts;
        self.power_watts = approach(
            before,
            config.idle_watts + wanted.min(most),
            seconds,
            POWER_SECONDS,
        );
        self.energy_joules += (before + self.power_watts) / 2.0 * seconds;

        let heat = self.power_watts * CELSIUS_PER_WATT / self.cooling;
        let settled = config.inlet_celsius + heat;
        // Beyond this the hardware brakes as hard as it must.
        let hottest = config.slowdown_celsius + OVERSHOOT_CELSIUS_MAX;
        self.temperature_celsius =
            approach(self.temperature_celsius, settled, seconds, HEAT_SECONDS).min(hottest);
        let memory = config.inlet_celsius + 9.0 + heat * (0.85 + 0.2 * self.dram_active);
        self.memory_temperature_celsius = approach(
            self.memory_temperature_celsius,
            memory,
            seconds,
            HEAT_SECONDS,
        );

        let excess = self.temperature_celsius - config.slowdown_celsius;
        self.thermal_throttle = excess > 0.0;
        self.cool_share = (1.0 - 0.06 * excess.max(0.0)).max(CLOCK_SHARE_MIN);
        // As fast as the limit allows, which the work then draws for as long as there is any.
        let capped_share = if self.power_throttle {
            (most / work).sqrt()
        } else {
            1.0
        };
        self.sm_clock_hertz = self.sm_clock_hertz_max * self.cool_share.min(capped_share);
        if self.thermal_throttle {
            self.thermal_throttle_seconds += seconds;
        }
        if self.power_throttle {
            self.power_throttle_seconds += seconds;
        }

        if self.leak.0 > 0.0 {
            self.leak(self.leak.1 + self.leak.0 * seconds);
        }

        // Token ids and samples go over the bus; keys and values over the links.
        self.pcie_received_bytes += 2.1e7 * self.utilization * seconds;
        self.pcie_sent_bytes += 1.4e7 * self.utilization * seconds;
        self.nvlink_sent_bytes += load.sent_bytes;
        self.nvlink_received_bytes += load.received_bytes;
    }
}

impl Gpu {
    /// Gives the second process so many bytes, as far as there are; none ends it.
    fn leak(&mut self, bytes: f64) {
        let engine = self.processes[0].vram_bytes;
        let free = self.vram_total_bytes - self.vram_reserved_bytes - engine;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "not negative, and cut to what a GPU has"
        )]
        let taken = (bytes as u64).min(free);
        self.leak.1 = bytes;
        self.vram_used_bytes = engine + taken;
        self.processes.truncate(1);
        if taken > 0 {
            self.processes.push(GpuProcess {
                pid: 9_000,
                name: "python3".to_owned(),
                vram_bytes: taken,
            });
        }
    }
}

/// The value after `seconds` on its way from `from` to `to`, two thirds of it every `time` seconds.
fn approach(from: f64, to: f64, seconds: f64, time: f64) -> f64 {
    to + (from - to) * (-seconds / time).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(load: GpuLoad, cooling: f64) -> Gpu {
        let mut fleet = GpuFleet::new(GpuConfig::default(), 1, 1);
        fleet.set_cooling(0, cooling);
        for _ in 0..1200 {
            fleet.advance(0.25, &[load]);
        }
        fleet.gpus()[0].clone()
    }

    #[test]
    fn decoding_uses_the_memory_and_prompts_the_tensor_cores() {
        let decoding = run(
            GpuLoad {
                decode: 1.0,
                ..GpuLoad::default()
            },
            1.0,
        );
        let computing = run(
            GpuLoad {
                prompt: 1.0,
                ..GpuLoad::default()
            },
            1.0,
        );
        let resting = run(GpuLoad::default(), 1.0);
        assert!(decoding.dram_active > 0.7 && decoding.tensor_active < 0.15);
        assert!(computing.dram_active < 0.5 && computing.tensor_active > 0.5);
        assert!(resting.power_watts < decoding.power_watts);
        assert!(decoding.power_watts < computing.power_watts);
        assert!(computing.power_watts <= computing.power_limit_watts);
        assert!(resting.temperature_celsius < decoding.temperature_celsius);
        assert!(
            !computing.thermal_throttle,
            "{}",
            computing.temperature_celsius
        );
        // 300 s between rest and the limit.
        assert!((21_000.0..=210_000.0).contains(&decoding.energy_joules));
    }

    #[test]
    fn a_gpu_that_is_not_cooled_slows_down() {
        let hot = run(
            GpuLoad {
                decode: 1.0,
                ..GpuLoad::default()
            },
            0.4,
        );
        assert!(hot.thermal_throttle && hot.temperature_celsius > hot.slowdown_celsius);
        assert!(hot.sm_clock_hertz < hot.sm_clock_hertz_max);
        assert!(hot.thermal_throttle_seconds > 100.0);
        assert!(
            hot.temperature_celsius < 110.0,
            "{}",
            hot.temperature_celsius
        );
    }

    #[test]
    fn a_leak_takes_what_is_free_and_gives_it_back() {
        let mut fleet = GpuFleet::new(GpuConfig::default(), 1, 1);
        let before = fleet.gpus()[0].clone();
        let free = before.vram_total_bytes - before.vram_reserved_bytes - before.vram_used_bytes;
        fleet.set_leak(0, 1e6);
        fleet.advance(10.0, &[]);
        assert_eq!(
            fleet.gpus()[0].vram_used_bytes,
            before.vram_used_bytes + 10_000_000
        );
        assert_eq!(fleet.gpus()[0].processes.len(), 2);
        fleet.set_leak(0, 1e9);
        for _ in 0..60 {
            fleet.advance(1.0, &[]);
        }
        assert_eq!(
            fleet.gpus()[0].vram_used_bytes,
            before.vram_used_bytes + free
        );
        fleet.set_leak(0, f64::NAN);
        fleet.set_leak(0, 0.0);
        assert_eq!(fleet.gpus()[0].vram_used_bytes, before.vram_used_bytes);
        assert_eq!(fleet.gpus()[0].processes, before.processes);
    }

    #[test]
    fn a_capped_gpu_runs_at_its_limit_while_it_has_work() {
        let mut fleet = GpuFleet::new(GpuConfig::default(), 1, 1);
        let load = GpuLoad {
            decode: 1.0,
            ..GpuLoad::default()
        };
        fleet.advance(60.0, &[load]);
        let free = fleet.gpus()[0].clone();
        assert!(!free.power_throttle && free.power_watts > 450.0);
        fleet.set_power_limit(0, Some(200.0));
        fleet.set_power_limit(0, Some(1.0));
        for _ in 0..240 {
            fleet.advance(0.25, &[load]);
        }
        for _ in 0..240 {
            fleet.advance(0.25, &[load]);
            let gpu = &fleet.gpus()[0];
            assert!(gpu.power_throttle && (199.0..=200.1).contains(&gpu.power_watts));
            // With a third of the power for its work it is more than half as fast.
            let share = gpu.sm_clock_hertz / gpu.sm_clock_hertz_max;
            assert!((0.5..0.6).contains(&share), "{share}");
        }
        assert!((1.6..2.0).contains(&fleet.slowdown(0)));
        assert!((1.0..1.2).contains(&fleet.slowdown_of_decoding(0)));
        fleet.advance(60.0, &[]);
        let resting = &fleet.gpus()[0];
        assert!(!resting.power_throttle && resting.power_watts < 80.0);
        fleet.set_power_limit(0, None);
        fleet.advance(60.0, &[load]);
        assert!(fleet.gpus()[0].power_watts > 450.0);
    }

    #[test]
    fn warmth_lags_behind_the_load() {
        let mut fleet = GpuFleet::new(GpuConfig::default(), 1, 1);
        let rest = fleet.gpus()[0].temperature_celsius;
        let load = GpuLoad {
            decode: 1.0,
            ..GpuLoad::default()
        };
        fleet.advance(5.0, &[load]);
        let (power, warm) = (
            fleet.gpus()[0].power_watts,
            fleet.gpus()[0].temperature_celsius,
        );
        assert!(power > 400.0);
        assert!(warm - rest < 12.0);
        fleet.advance(120.0, &[load]);
        assert!(fleet.gpus()[0].temperature_celsius - rest > 18.0);
    }
}
