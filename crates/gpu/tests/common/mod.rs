//! A source on a fake driver library, and a way to look at its pages.

#![allow(dead_code, reason = "each test program uses a part")]
#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokenpath_core::{CollectError, Label, Snapshot};
use tokenpath_fake_nvml::Fake;
use tokenpath_gpu::{GpuSource, Options};

pub(crate) struct Rig {
    pub(crate) source: GpuSource,
    pub(crate) fake: Fake,
    /// A `/proc` of our own.
    pub(crate) folder: TempDir,
}

pub(crate) fn options() -> Options {
    let mut options = Options::default();
    options.period = Duration::from_millis(100);
    options.standing_period = Duration::from_millis(200);
    options.retry_min = Duration::from_millis(20);
    options.retry_max = Duration::from_millis(200);
    options
}

impl Rig {
    pub(crate) fn new(control: &str) -> Self {
        Self::without(&[], control)
    }

    pub(crate) fn without(functions: &[&str], control: &str) -> Self {
        Self::with(functions, control, options())
    }

    pub(crate) fn with(functions: &[&str], control: &str, mut options: Options) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let fake = Fake::install_without(folder.path(), functions).unwrap();
        fake.control(control);
        options.library = Some(fake.library().to_owned());
        options.proc_root = folder.path().join("proc");
        Self {
            source: GpuSource::spawn("host", options).unwrap(),
            fake,
            folder,
        }
    }

    pub(crate) fn read(&self) -> Result<Snapshot, CollectError> {
        let mut page = Snapshot::new();
        self.source.copy_newest(&mut page)?;
        Ok(page)
    }

    /// The first page for which `good` gives something.
    pub(crate) fn until<T>(
        &self,
        what: &str,
        good: impl Fn(&Result<Snapshot, CollectError>) -> Option<T>,
    ) -> T {
        let start = Instant::now();
        let mut last = self.read();
        while start.elapsed() < Duration::from_secs(30) {
            if let Some(found) = good(&last) {
                return found;
            }
            std::thread::sleep(Duration::from_millis(10));
            last = self.read();
        }
        panic!("waited in vain until {what}: {}", show(&last))
    }

    /// The first page that is there, up to date, and good.
    pub(crate) fn page(&self, what: &str, good: impl Fn(&Snapshot) -> bool) -> Snapshot {
        self.until(what, |read| {
            let page = read.as_ref().ok()?;
            let fresh = page.value("gpu_driver_up", &[]) == Some(1.0);
            (fresh && good(page)).then(|| page.clone())
        })
    }

    /// The first page that is left when the newest sample is too old.
    pub(crate) fn stale_page(&self) -> Snapshot {
        self.until("the sample is too old", |read| {
            let page = read.as_ref().ok()?;
            (page.value("gpu_driver_up", &[]) == Some(0.0)).then(|| page.clone())
        })
    }

    /// A page with two samples behind it, far enough apart for every GPU that is read, so that the
    /// counters of the hardware are there.
    pub(crate) fn settled(&self) -> Snapshot {
        let there = |page: &Snapshot, family: &str| {
            let family = page.shape().family(family);
            let series = family.iter().flat_map(|family| family.series());
            series.filter(|series| page.has(*series)).count()
        };
        self.page("GPM counters are there", |page| {
            let gpus = there(page, "gpu_vram_total_bytes");
            gpus > 0 && there(page, "gpu_sm_active_ratio") == gpus
        })
    }

    /// As [`settled`](Self::settled), where some GPUs have no such counters.
    pub(crate) fn partly_settled(&self) -> Snapshot {
        self.page("GPM counters are there", |page| {
            page.shape().family("gpu_sm_active_ratio").is_some()
        })
    }

    /// The error of a source that cannot be read.
    pub(crate) fn error(&self, what: &str) -> CollectError {
        self.until(what, |read| {
            let error = read.as_ref().err()?;
            Some(CollectError::new(error.reason(), error.to_string()))
        })
    }
}

/// The value of a series of a GPU by further labels.
pub(crate) fn of(page: &Snapshot, gpu: u32, family: &str, labels: &[Label<'_>]) -> Option<f64> {
    let index = gpu.to_string();
    let uuid = format!("GPU-0000000{gpu}");
    let mut all = vec![("gpu", index.as_str()), ("uuid", uuid.as_str())];
    all.extend_from_slice(labels);
    page.value(family, &all)
}

/// All series of a page as text, sorted.
pub(crate) fn lines(page: &Snapshot) -> Vec<String> {
    let mut lines = Vec::new();
    for family in page.shape().families() {
        for series in family.series() {
            if let Some(value) = page.get(series.slot()) {
                let labels: Vec<String> = series
                    .labels()
                    .map(|(name, value)| format!("{name}={value:?}"))
                    .collect();
                lines.push(format!(
                    "{}{{{}}} {value}",
                    family.desc().name(),
                    labels.join(",")
                ));
            }
        }
    }
    lines
}

fn show(read: &Result<Snapshot, CollectError>) -> String {
    match read {
        Ok(page) => lines(page).join("\n"),
        Err(error) => error.to_string(),
    }
}
