//! One exporter with a healthy target and many sick ones: each is down with its reason, the page
//! comes in time, memory stays bounded.

use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::cargo;
use crate::e2e::page::{self, Sample};
use crate::e2e::targets::{self, Manner, Target};
use crate::guard::Program;
use crate::http;
use crate::report::{Report, Result, Verdict, ensure, passed};
use crate::tests::Binaries;

/// What the scraper says it will wait.
const SCRAPE_TIMEOUT: Duration = Duration::from_secs(3);

/// Many sick targets at once, each allowed its page limit, and the process itself.
const MEMORY_LIMIT_KIB: u64 = 160 * 1024;

struct Sick {
    what: &'static str,
    /// Any of these is right: a cut connection may show as either.
    reasons: &'static [&'static str],
    address: SocketAddr,
    _target: Option<Target>,
}

pub(crate) fn run(binaries: &Binaries, report: &mut Report) {
    report.heading("end to end: sick targets");
    let mut ready = None;
    report.check(
        "an exporter of one healthy and many sick targets starts",
        || {
            let exporter = Exporter::start(binaries)?;
            let count = exporter.sick.len();
            ready = Some(exporter);
            passed(format!("{count} sick targets"))
        },
    );
    let Some(mut exporter) = ready else { return };
    let mut samples = Vec::new();
    report.check("its page comes before the scraper gives up", || {
        for _ in 0..2 {
            let start = Instant::now();
            samples = exporter.scrape()?;
            let elapsed = start.elapsed();
            ensure!(
                elapsed < SCRAPE_TIMEOUT,
                "it took {elapsed:?} of {SCRAPE_TIMEOUT:?}"
            );
        }
        passed("twice")
    });
    report.check("the healthy target is up, with its values", || {
        let target = exporter.healthy.address.to_string();
        let value = |name: &str| value(&samples, name, &target, None);
        ensure!(
            value("tokenpath_source_up") == Some(1.0),
            "up is {:?}",
            value("tokenpath_source_up")
        );
        ensure!(
            value("llm_requests_running").is_some(),
            "its values are not on the page"
        );
        passed("")
    });
    for sick in &exporter.sick {
        report.check(
            &format!("a target that {} is down for the right reason", sick.what),
            || sick.is_down(&samples),
        );
    }
    report.check("memory stays bounded", || {
        let Some(peak) = exporter.program.memory_kib("VmHWM") else {
            return Ok(Verdict::Skipped("this system has no /proc".to_owned()));
        };
        ensure!(
            peak <= MEMORY_LIMIT_KIB,
            "{peak} KiB at its peak, {MEMORY_LIMIT_KIB} allowed"
        );
        passed(format!("{} MiB at its peak", peak / 1024))
    });
    report.check("one fault does not fill the log", || {
        for _ in 0..3 {
            exporter.scrape()?;
        }
        let lines = exporter.program.stderr().lines().count();
        let limit = 3 * exporter.sick.len() + 10;
        ensure!(
            lines <= limit,
            "{lines} lines after five scrapes:\n{}",
            exporter.program.stderr()
        );
        passed(format!("{lines} lines after five scrapes"))
    });
    report.check("SIGTERM ends it while targets stall", || {
        let address = exporter.address;
        let scraper = std::thread::spawn(move || drop(http::get(address, "/metrics", &[])));
        std::thread::sleep(Duration::from_millis(100));
        let start = Instant::now();
        let status = exporter.program.terminate(Duration::from_secs(6))?;
        let elapsed = start.elapsed();
        // Its connection has ended, whatever came.
        let _ = scraper.join();
        ensure!(status.success(), "{status}:\n{}", exporter.program.said());
        ensure!(
            elapsed <= Duration::from_millis(5500),
            "it took {elapsed:?}"
        );
        passed(format!("{} ms", elapsed.as_millis()))
    });
}

struct Exporter {
    program: Program,
    address: SocketAddr,
    healthy: Target,
    sick: Vec<Sick>,
}

impl Exporter {
    fn start(binaries: &Binaries) -> Result<Self> {
        let good = healthy_page()?;
        let healthy = Target::answers("200 OK", "text/plain; version=0.0.4", &good)?;
        let address = http::free_address()?;
        let sick = all_sick(&good, address)?;
        let mut command = Command::new(&binaries.tokenpath);
        command.args(["serve", "--web.listen-address", &address.to_string()]);
        command.args(["--vllm.endpoint", &format!("http://{}", healthy.address)]);
        for sick in &sick {
            command.args(["--vllm.endpoint", &format!("http://{}", sick.address)]);
        }
        let mut program = Program::start(&mut command)?;
        program.wait_for("answer from /healthz", Duration::from_secs(5), || {
            http::get(address, "/healthz", &[])
                .ok()
                .filter(|answer| answer.status == 200)
        })?;
        Ok(Self {
            program,
            address,
            healthy,
            sick,
        })
    }

    fn scrape(&mut self) -> Result<Vec<Sample>> {
        let timeout = SCRAPE_TIMEOUT.as_secs().to_string();
        let answer = http::get(
            self.address,
            "/metrics",
            &[("X-Prometheus-Scrape-Timeout-Seconds", &timeout)],
        )?;
        ensure!(answer.status == 200, "{}: {}", answer.status, answer.body);
        self.program.is_alive()?;
        page::samples(&answer.body)
    }
}

impl Sick {
    fn is_down(&self, samples: &[Sample]) -> Result<Verdict> {
        let target = self.address.to_string();
        let up = value(samples, "tokenpath_source_up", &target, None);
        ensure!(up == Some(0.0), "tokenpath_source_up is {up:?}");
        let counted: Vec<(&str, f64)> = samples
            .iter()
            .filter(|sample| sample.name == "tokenpath_source_scrape_errors_total")
            .filter(|sample| sample.label("target") == Some(&target) && sample.value > 0.0)
            .filter_map(|sample| Some((sample.label("reason")?, sample.value)))
            .collect();
        ensure!(
            !counted.is_empty()
                && counted
                    .iter()
                    .all(|(reason, _)| self.reasons.contains(reason)),
            "expected {:?}, counted {counted:?}",
            self.reasons
        );
        let stale = samples.iter().find(|sample| {
            sample.name.starts_with("llm_") && sample.label("target") == Some(&target)
        });
        ensure!(stale.is_none(), "it has a value all the same: {stale:?}");
        passed(
            counted
                .iter()
                .map(|(reason, _)| *reason)
                .collect::<Vec<_>>()
                .join(", "),
        )
    }
}

fn all_sick(good: &str, exporter: SocketAddr) -> Result<Vec<Sick>> {
    let mut sick = vec![
        Sick {
            what: "refuses the connection",
            reasons: &["connect"],
            address: http::free_address()?,
            _target: None,
        },
        Sick {
            what: "is this exporter itself",
            reasons: &["wrong_backend"],
            address: exporter,
            _target: None,
        },
    ];
    let text = "Content-Type: text/plain\r\n";
    let page = |body: &str| targets::answer("200 OK", text, body.as_bytes());
    let status = |line: &str| targets::answer(line, text, good.as_bytes());
    let kinds: [(&'static str, &'static [&'static str], Manner); 15] = [
        ("stalls", &["timeout"], Manner::Stalls),
        ("trickles", &["timeout"], Manner::Trickles),
        ("never ends", &["body_limit"], Manner::Endless),
        ("sends a gzip bomb", &["body_limit"], targets::gzip_bomb()),
        (
            "breaks off",
            &["http", "connect"],
            targets::broken_off(good),
        ),
        (
            "answers in HTML",
            &["parse"],
            targets::answer(
                "200 OK",
                "Content-Type: text/html\r\n",
                b"<!doctype html>\n<html><body>Welcome</body></html>\n",
            ),
        ),
        (
            "answers in JSON",
            &["parse"],
            targets::answer(
                "200 OK",
                "Content-Type: application/json\r\n",
                b"{\"status\": \"ok\"}\n",
            ),
        ),
        ("answers with an empty page", &["empty"], page("")),
        (
            "answers in Latin-1",
            &["parse"],
            targets::answer("200 OK", text, b"vllm:a{b=\"\xe9\"} 1\n"),
        ),
        (
            "is another backend",
            &["wrong_backend"],
            page("# TYPE tgi_queue_size gauge\ntgi_queue_size 1\n"),
        ),
        (
            "answers 500",
            &["server_error"],
            status("500 Internal Server Error"),
        ),
        ("answers 401", &["unauthorized"], status("401 Unauthorized")),
        ("answers 403", &["forbidden"], status("403 Forbidden")),
        ("answers 404", &["http"], status("404 Not Found")),
        (
            "redirects",
            &["http"],
            targets::answer("302 Found", "Location: http://127.0.0.1:1/metrics\r\n", b""),
        ),
    ];
    for (what, reasons, manner) in kinds {
        let target = Target::start(manner)?;
        sick.push(Sick {
            what,
            reasons,
            address: target.address,
            _target: Some(target),
        });
    }
    Ok(sick)
}

/// A page that a real server said.
pub(crate) fn healthy_page() -> Result<String> {
    let path = cargo::root().join("testdata/vllm/vllm-0.32.0-t1-load.txt");
    Ok(std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?)
}

/// The value of the first series of a name and target.
pub(crate) fn value(
    samples: &[Sample],
    name: &str,
    target: &str,
    label: Option<(&str, &str)>,
) -> Option<f64> {
    samples
        .iter()
        .find(|sample| {
            sample.name == name
                && sample.label("target") == Some(target)
                && label.is_none_or(|(label, value)| sample.label(label) == Some(value))
        })
        .map(|sample| sample.value)
}
