//! `gpu-exporter` on the fake driver library, steered as docs/gpu-exporter.md shows it: what goes wrong
//! with a driver or a GPU, and what the page says then.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::cargo;
use crate::e2e::page::{self, Sample};
use crate::guard::Program;
use crate::http;
use crate::report::{Report, Result, Verdict, ensure, passed};
use crate::tests::Binaries;
use crate::tools;

/// GPUs of the fake driver.
const GPUS: usize = 8;
/// All of them, of which the first says its name in no UTF-8. Names are read when the driver is opened.
const MACHINE: &str = "count 8\ntext nvmlDeviceGetName 0 4eff41\n";
/// For what the sampling thread is to notice; machines that test are busy.
const NOTICE_LIMIT: Duration = Duration::from_secs(20);
/// A scrape makes no driver call, so that it takes no longer than this however long one hangs.
const SCRAPE_LIMIT: Duration = Duration::from_secs(1);

pub(crate) fn run(binaries: &Binaries, report: &mut Report) {
    report.heading("end to end: GPUs on the fake driver");
    let mut library = None;
    report.check("cargo build -p tokenpath-fake-nvml", || {
        library = Some(fake_library()?);
        passed("")
    });
    let Some(library) = library else { return };
    let mut started = None;
    report.check("gpu-exporter --nvml.library shows every GPU", || {
        let mut exporter = Exporter::start(binaries, &library, "steered")?;
        exporter.control("")?;
        let samples = exporter.until("page of all GPUs", all_up)?;
        let named = |gpu: &str, name: &str| {
            let labels = [("gpu", gpu), ("gpu_name", name)];
            value(&samples, "gpu_info", &labels).is_some()
        };
        ensure!(
            named("0", "N\u{fffd}A") && named("1", "NVIDIA H200"),
            "names are missing"
        );
        started = Some(exporter);
        passed(format!("{} samples", samples.len()))
    });
    let Some(mut exporter) = started else { return };
    report.check("promtool is silent, each family is there once", || {
        exporter.is_valid()
    });
    for case in cases() {
        report.check(case.name, || {
            exporter.control(case.control)?;
            let samples = exporter.until(case.name, case.holds)?;
            exporter.control("")?;
            exporter.until("return of all GPUs", all_up)?;
            passed(format!("{} samples, then all were back", samples.len()))
        });
    }
    report.check("a hanging driver costs no scrape any time", || {
        exporter.hangs()
    });
    report.check("a driver that goes away is a source that is down", || {
        exporter.goes_away()
    });
    report.check("SIGTERM ends it while the driver hangs", || {
        exporter.control("hang *")?;
        exporter.until("hanging driver", |samples| {
            value(samples, "gpu_driver_up", &[]) == Some(0.0)
        })?;
        let status = exporter.program.terminate(Duration::from_secs(5))?;
        ensure!(status.success(), "{status}:\n{}", exporter.program.said());
        passed("")
    });
    for (what, file, says) in unusable(&library) {
        report.check(
            &format!("{what}: it starts, and says what is missing"),
            || {
                let file = file?;
                let mut exporter = Exporter::with(binaries, &file)?;
                exporter.is_down(says)?;
                passed(says)
            },
        );
    }
}

/// Something that goes wrong, and when the page shows it.
struct Case {
    name: &'static str,
    control: &'static str,
    holds: fn(&[Sample]) -> bool,
}

fn cases() -> [Case; 5] {
    [
        Case {
            name: "a lost GPU is down, its XID error tells why, the others stay",
            control: "code * 3 15\nxid 3 79 1",
            holds: |samples| {
                let gpus = by_gpu(samples, "gpu_up");
                let lost = |name: &str| value(samples, name, &[("gpu", "3")]).is_none();
                gpus.get("3") == Some(&0.0)
                    && gpus.values().filter(|up| **up > 0.0).count() == GPUS - 1
                    && lost("gpu_vram_used_bytes")
                    && lost("gpu_power_watts")
                    && by_gpu(samples, "gpu_vram_used_bytes").len() == 7
                    && value(
                        samples,
                        "gpu_xid_errors_total",
                        &[("gpu", "3"), ("xid", "79")],
                    ) == Some(1.0)
                    && value(
                        samples,
                        "gpu_xid_last_timestamp_seconds",
                        &[("gpu", "3"), ("xid", "79")],
                    )
                    .is_some_and(|at| at > 1.6e9)
            },
        },
        Case {
            name: "what a card does not support is absent, and no error",
            control: "value nvmlDeviceGetPowerUsage * none",
            holds: |samples| {
                value(samples, "gpu_power_watts", &[]).is_none()
                    && by_gpu(samples, "gpu_energy_joules_total").len() == GPUS
                    && value(samples, "gpu_read_errors_total", &[("error", "unknown")]).is_none()
            },
        },
        Case {
            name: "renumbered GPUs keep their series by UUID",
            control: "order 7,6,5,4,3,2,1,0",
            holds: |samples| {
                // The fake's GPU n is 50 + n degrees warm, whatever its index.
                (0..GPUS).all(|gpu| {
                    let uuid = format!("GPU-0000000{gpu}");
                    let index = (GPUS - 1 - gpu).to_string();
                    let labels = [("uuid", uuid.as_str()), ("gpu", &index), ("sensor", "gpu")];
                    value(samples, "gpu_temperature_celsius", &labels)
                        == Some(50.0 + u8::try_from(gpu).map_or(f64::NAN, f64::from))
                })
            },
        },
        Case {
            name: "a number that stands for none is absent, and counted",
            control: "value nvmlDeviceGetTotalEnergyConsumption * 9223372036854775794\n\
                      value nvmlDeviceGetMemoryInfo:used 0 18446744073709551615",
            holds: |samples| {
                value(samples, "gpu_energy_joules_total", &[]).is_none()
                    && value(samples, "gpu_vram_used_bytes", &[("gpu", "0")]).is_none()
                    && by_gpu(samples, "gpu_vram_used_bytes").len() == GPUS - 1
                    && value(
                        samples,
                        "tokenpath_source_dropped_samples_total",
                        &[("reason", "sentinel")],
                    )
                    .is_some_and(|dropped| dropped > 0.0)
            },
        },
        Case {
            name: "an unknown return code costs one series and is counted",
            control: "code nvmlDeviceGetPowerUsage 0 777",
            holds: |samples| {
                by_gpu(samples, "gpu_power_watts").len() == GPUS - 1
                    && by_gpu(samples, "gpu_up").values().all(|up| *up > 0.0)
                    && value(samples, "gpu_read_errors_total", &[("gpu", "0")])
                        .is_some_and(|errors| errors > 0.0)
            },
        },
    ]
}

/// Files that are no driver, by what the log says of them.
fn unusable(library: &Path) -> [(&'static str, Result<PathBuf>, &'static str); 3] {
    let folder = folder("unusable");
    let written = |name: &str, bytes: Result<Vec<u8>>| -> Result<PathBuf> {
        std::fs::create_dir_all(&folder)?;
        let path = folder.join(name);
        std::fs::write(&path, bytes?)?;
        Ok(path)
    };
    let without_init = || -> Result<Vec<u8>> {
        let name = b"\0nvmlInit_v2\0";
        let mut bytes = std::fs::read(library)?;
        let places: Vec<usize> = (0..bytes.len().saturating_sub(name.len()))
            .filter(|at| bytes.get(*at..at + name.len()) == Some(name))
            .collect();
        ensure!(!places.is_empty(), "the fake has no nvmlInit_v2");
        for at in places {
            if let Some(first) = bytes.get_mut(at + 1) {
                *first = b'X';
            }
        }
        Ok(bytes)
    };
    [
        (
            "a missing library",
            Ok(folder.join("no-such-libnvidia-ml.so.1")),
            "install the NVIDIA driver",
        ),
        (
            "a file that is not ELF",
            written("text.so", Ok(b"this is no library\n".to_vec())),
            "the file is not a library: check --nvml.library",
        ),
        (
            "a library without its functions",
            written("strange.so", without_init()),
            "nvmlInit_v2",
        ),
    ]
}

fn all_up(samples: &[Sample]) -> bool {
    let up = by_gpu(samples, "gpu_up");
    value(samples, "gpu_driver_up", &[]) == Some(1.0)
        && value(samples, "tokenpath_source_up", &[("backend", "gpu")]) == Some(1.0)
        && up.len() == GPUS
        && up.values().all(|up| *up > 0.0)
        && by_gpu(samples, "gpu_vram_used_bytes").len() == GPUS
        && by_gpu(samples, "gpu_sm_active_ratio").len() == GPUS
        && value(
            samples,
            "gpu_temperature_celsius",
            &[("gpu", "0"), ("sensor", "gpu")],
        ) == Some(50.0)
}

/// The values of a family by the index of the GPU.
fn by_gpu<'s>(samples: &'s [Sample], name: &str) -> BTreeMap<&'s str, f64> {
    samples
        .iter()
        .filter(|sample| sample.name == name)
        .filter_map(|sample| Some((sample.label("gpu")?, sample.value)))
        .collect()
}

/// The first value of a name with such labels.
fn value(samples: &[Sample], name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    samples
        .iter()
        .find(|sample| {
            sample.name == name
                && labels
                    .iter()
                    .all(|(name, value)| sample.label(name) == Some(value))
        })
        .map(|sample| sample.value)
}

/// The library, built as the documentation says.
fn fake_library() -> Result<PathBuf> {
    let status = cargo::cargo()
        .args(["build", "--quiet", "--locked", "-p", "tokenpath-fake-nvml"])
        .status()?;
    ensure!(status.success(), "see above");
    let library = cargo::target_folder().join("debug/libtokenpath_fake_nvml.so");
    ensure!(library.is_file(), "{} was not built", library.display());
    Ok(library)
}

fn folder(name: &str) -> PathBuf {
    cargo::target_folder().join(format!("e2e-gpu-{}-{name}", std::process::id()))
}

/// The program on a library.
struct Exporter {
    program: Program,
    address: SocketAddr,
    control: PathBuf,
    /// Removed at the end.
    folder: Option<PathBuf>,
}

impl Exporter {
    /// On a copy of the fake, so that others may use the fake itself meanwhile.
    fn start(binaries: &Binaries, fake: &Path, name: &str) -> Result<Self> {
        let folder = folder(name);
        std::fs::create_dir_all(&folder)?;
        let library = folder.join("libnvidia-ml.so.1");
        std::fs::copy(fake, &library)?;
        let control = folder.join("libnvidia-ml.so.1.control");
        std::fs::write(&control, MACHINE)?;
        let mut exporter = Self::with(binaries, &library)?;
        exporter.control = control;
        exporter.folder = Some(folder);
        Ok(exporter)
    }

    fn with(binaries: &Binaries, library: &Path) -> Result<Self> {
        let address = http::free_address()?;
        let mut program = Program::start(
            Command::new(&binaries.gpu_exporter)
                .arg("--nvml.library")
                .arg(library)
                .args(["--gpu.period", "0.2"])
                .args(["--web.listen-address", &address.to_string()]),
        )?;
        program.wait_for("answer from /healthz", Duration::from_secs(5), || {
            http::get(address, "/healthz", &[])
                .ok()
                .filter(|answer| answer.status == 200)
        })?;
        Ok(Self {
            program,
            address,
            control: PathBuf::new(),
            folder: None,
        })
    }

    /// Replaces the control file in one step; every GPU is there in any case.
    fn control(&self, lines: &str) -> Result<()> {
        let new = self.control.with_extension("new");
        std::fs::write(&new, format!("{MACHINE}{lines}\n"))?;
        Ok(std::fs::rename(&new, &self.control)?)
    }

    fn page(&self) -> Result<String> {
        let start = Instant::now();
        let answer = http::get(self.address, "/metrics", &[])?;
        ensure!(answer.status == 200, "{}: {}", answer.status, answer.body);
        let took = start.elapsed();
        ensure!(took < SCRAPE_LIMIT, "a scrape took {took:?}");
        Ok(answer.body)
    }

    /// Scrapes until the page shows it.
    fn until(&mut self, what: &str, holds: impl Fn(&[Sample]) -> bool) -> Result<Vec<Sample>> {
        let start = Instant::now();
        loop {
            let page = self.page()?;
            let samples = page::samples(&page)?;
            if holds(&samples) {
                return Ok(samples);
            }
            self.program.is_alive()?;
            if start.elapsed() > NOTICE_LIMIT {
                let ours = page.lines().filter(|line| !line.starts_with('#'));
                let shown: Vec<&str> = ours.filter(|line| !line.contains("process_")).collect();
                return Err(format!("waited in vain for {what}:\n{}", shown.join("\n")).into());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn is_valid(&self) -> Result<Verdict> {
        let page = self.page()?;
        let families = page::declared_once(&page)?;
        if let Err(why) = tools::prometheus() {
            return Ok(Verdict::Skipped(why));
        }
        let said = tools::promtool_check(&page)?;
        ensure!(said.is_empty(), "{said}");
        passed(format!("{families} families"))
    }

    /// The median time of a few scrapes.
    fn pace(&self) -> Result<Duration> {
        let mut times = Vec::new();
        for _ in 0..31 {
            let start = Instant::now();
            self.page()?;
            times.push(start.elapsed());
        }
        times.sort();
        times.get(15).copied().ok_or_else(|| "no scrape".into())
    }

    fn hangs(&mut self) -> Result<Verdict> {
        let usual = self.pace()?;
        self.control("hang *")?;
        let age = |samples: &[Sample]| value(samples, "gpu_sample_age_seconds", &[]);
        let samples = self.until("GPUs that are down", |samples| {
            let up = by_gpu(samples, "gpu_up");
            value(samples, "gpu_driver_up", &[]) == Some(0.0)
                && up.len() == GPUS
                && up.values().all(|up| *up <= 0.0)
                && by_gpu(samples, "gpu_vram_used_bytes").is_empty()
                && age(samples).is_some_and(|age| age > 0.4)
        })?;
        let before = age(&samples).unwrap_or_default();
        let hanging = self.pace()?;
        // Fewer series, so quicker if anything; far beyond what a busy machine adds, it waited.
        ensure!(
            hanging < usual * 3 + Duration::from_millis(50),
            "{hanging:?} a scrape, {usual:?} before"
        );
        let later = self.until("growing age", |samples| {
            age(samples).is_some_and(|age| age > before + 0.5)
        })?;
        self.control("")?;
        self.until("return of all GPUs", all_up)?;
        passed(format!(
            "{:.1} ms a scrape before, {:.1} ms while it hung for {:.1} s, then all were back",
            usual.as_secs_f64() * 1e3,
            hanging.as_secs_f64() * 1e3,
            age(&later).unwrap_or_default()
        ))
    }

    fn goes_away(&mut self) -> Result<Verdict> {
        self.control("init 9\ncode * * 9")?;
        self.is_down("nvidia-smi must work first")?;
        self.control("")?;
        self.until("return of all GPUs", all_up)?;
        passed("down with the reason driver, then all were back")
    }

    /// The source is down for its reason, and log and landing page say what to do.
    fn is_down(&mut self, says: &str) -> Result<()> {
        self.until("source that is down", |samples| {
            let gpu = |name, labels: &[(&str, &str)]| value(samples, name, labels);
            let driver = [("backend", "gpu"), ("reason", "driver")];
            gpu("tokenpath_source_up", &[("backend", "gpu")]) == Some(0.0)
                && gpu("tokenpath_source_scrape_errors_total", &driver)
                    .is_some_and(|errors| errors > 0.0)
                && samples.iter().all(|it| !it.name.starts_with("gpu_"))
        })?;
        let landing = http::get(self.address, "/", &[])?;
        for (where_, said) in [
            ("the log", self.program.stderr()),
            ("the landing page", landing.body),
        ] {
            ensure!(said.contains(says), "{where_} has no {says:?}:\n{said}");
        }
        Ok(())
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        if let Some(folder) = &self.folder {
            // What is left behind lies under target/ and harms nobody.
            let _ = std::fs::remove_dir_all(folder);
        }
    }
}
