//! The configuration, checked and with all defaults filled in.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokenpath_core::LabelSet;
use tokenpath_core::catalogue::Compiled;
use tokenpath_core::dialect::{Dialect, Spoken};
use tokenpath_scrape::Endpoint;
use tokenpath_scrape::server::{AllowList, ListenAddress};

use crate::discovery::{Discovery, Shard};
use crate::reading::Reading;

/// A whole configuration.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// Where and how the page is served.
    pub web: Web,
    /// What is logged.
    pub log: Log,
    /// How targets are read that say nothing else.
    pub defaults: Arc<Reading>,
    /// Targets that are known.
    pub sources: Vec<Source>,
    /// Where targets are found.
    pub discovery: Vec<Discovery>,
    /// Which share of the targets is read; all where there is none.
    pub shard: Option<Shard>,
    /// The dialects that are spoken, in the order of the file.
    pub dialects: Vec<Dialect>,
    /// The same, put together against all families that were known.
    pub spoken: Spoken,
    /// Engines of the file.
    pub catalogues: Vec<Engine>,
    /// The GPUs of this machine; not read where there is none.
    pub gpu: Option<Gpu>,
    /// Roll-ups that are asked for.
    pub rollups: Vec<RollUp>,
    /// How many tenants there may be.
    pub tenants: Tenants,
    /// Limits of the whole exporter.
    pub limits: Limits,
    /// Probing; off where there is none.
    pub probe: Option<Probe>,
}

/// Where and how the page is served. What is not set is the program's default.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Web {
    /// Addresses to listen on.
    pub listen: Vec<ListenAddress>,
    /// Path of the page.
    pub telemetry_path: Option<String>,
    /// Scrapes that are answered at once.
    pub max_requests: Option<usize>,
}

/// What is logged. What is not set is the program's default.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Log {
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub level: Option<String>,
    /// `logfmt` or `json`.
    pub format: Option<String>,
}

/// A target that is known.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Source {
    /// The kind of backend; told from the page where there is none.
    pub kind: Option<Arc<str>>,
    /// Its page.
    pub endpoint: Endpoint,
    /// The endpoint as it was written, with its query.
    pub(crate) text: Arc<str>,
    /// How it is read.
    pub reading: Arc<Reading>,
}

/// An engine as a program or a file knows it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Engine {
    /// Its catalogue, checked. Its backend is the engine's kind.
    pub catalogue: Arc<Compiled>,
    /// Whether a page without samples is fine.
    pub empty_is_fine: bool,
}

impl Engine {
    /// Its kind: the backend of its catalogue.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.catalogue.catalogue().backend
    }

    /// Whether a page is read by both alike.
    pub(crate) fn says_as(&self, other: &Self) -> bool {
        let same = Arc::ptr_eq(&self.catalogue, &other.catalogue)
            || self.catalogue.catalogue() == other.catalogue.catalogue();
        same && self.empty_is_fine == other.empty_is_fine
    }
}

impl From<Arc<Compiled>> for Engine {
    /// One that has something to say from the start.
    fn from(catalogue: Arc<Compiled>) -> Self {
        Self {
            catalogue,
            empty_is_fine: false,
        }
    }
}

/// How the GPUs of this machine are read. What is not said is as the reader has it by default.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Gpu {
    /// Path of the driver's library, where the system does not find it.
    pub library: Option<PathBuf>,
    /// Time between two samples.
    pub period: Duration,
    /// Whether processes are listed.
    pub processes: bool,
    /// Most processes of a GPU with series of their own.
    pub processes_max: Option<usize>,
    /// Where processes are looked up.
    pub procfs: Option<PathBuf>,
    /// Whether MIG instances are read.
    pub mig: bool,
    /// Whether cards without PCIe counters are asked for their PCIe rates, which blocks the driver.
    pub pcie_throughput: bool,
    /// Where the judgement of what limits a GPU draws its lines.
    pub bound: GpuBound,
    /// The operator's labels, beside those of [`Config::defaults`].
    pub labels: LabelSet,
}

/// Where `gpu_bound_state` and `gpu_vram_full_compute_low` draw their lines: ratios from 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct GpuBound {
    /// Idle below this SM activity and DRAM bandwidth.
    pub idle_below: Option<f64>,
    /// Bound by memory from this DRAM bandwidth on.
    pub memory_from: Option<f64>,
    /// Bound by compute from this activity of the busiest pipe on.
    pub compute_from: Option<f64>,
    /// VRAM above which `gpu_vram_full_compute_low` may hold.
    pub vram_above: Option<f64>,
    /// Compute utilization below which it may hold.
    pub utilization_below: Option<f64>,
}

/// A roll-up that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RollUp {
    /// Labels that go.
    pub over: Vec<String>,
    /// Names of families, or their beginning and `*`; all that have a rule where there is none.
    pub families: Vec<String>,
    /// Whether the single series stay.
    pub keep_parts: bool,
}

/// How many tenants there may be.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Tenants {
    /// Most tenants with series of their own.
    pub limit: usize,
    /// Tenants that are never folded.
    pub keep: Vec<String>,
    /// The name of the rest.
    pub other: String,
}

impl Default for Tenants {
    fn default() -> Self {
        Self {
            limit: 1000,
            keep: Vec::new(),
            other: "other".to_owned(),
        }
    }
}

/// Limits of the whole exporter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Most targets.
    pub targets: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { targets: 20_000 }
    }
}

/// What may be probed, and how.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Probe {
    /// Which targets.
    pub allow: AllowList,
    /// Ways to read a target; the first is meant where a request names none.
    pub modules: Vec<ProbeModule>,
}

/// A way to read a target that is probed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ProbeModule {
    /// What requests call it.
    pub name: String,
    /// The kind of backend.
    pub kind: Arc<str>,
    /// How the target is read.
    pub reading: Arc<Reading>,
}

impl Config {
    /// The engine of the file with this kind.
    #[must_use]
    pub fn engine(&self, kind: &str) -> Option<&Engine> {
        self.catalogues.iter().find(|engine| engine.kind() == kind)
    }

    /// The labels that all series have, whatever the target.
    #[must_use]
    pub fn labels(&self) -> &LabelSet {
        &self.defaults.labels
    }
}
