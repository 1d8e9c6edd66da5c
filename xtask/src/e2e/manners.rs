//! What Prometheus exporters are expected to do as processes: flags, exit codes, size, speed.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::e2e::faults::{healthy_page, value};
use crate::e2e::page;
use crate::e2e::targets::Target;
use crate::guard::Program;
use crate::http;
use crate::report::{Report, Result, Verdict, ensure, passed};
use crate::tests::Binaries;

/// 15 MB, in the unit of /proc.
const RSS_LIMIT_KIB: u64 = 15_000_000 / 1024;
/// The goal is 100 ms; machines that test are busy, so only far beyond it fails.
const FIRST_PAGE_LIMIT: Duration = Duration::from_secs(2);
const TERM_LIMIT: Duration = Duration::from_secs(5);
const CANARY: &str = "canary-kJ3vXq";

pub(crate) fn run(binaries: &Binaries, report: &mut Report) {
    report.heading("end to end: manners");
    report.check(
        "vllm-exporter with one target: small, fast, stops on SIGTERM",
        || small_and_fast(binaries),
    );
    report.check("the endpoint may come from VLLM_ENDPOINT", || {
        by_environment(binaries)
    });
    report.check("it answers as a /metrics service should", || {
        answers(binaries)
    });
    report.check("JSON log lines are JSON, logfmt lines are not", || {
        log_formats(binaries)
    });
    report.check("secrets are shown nowhere", || secrets(binaries));
    for program in [&binaries.tokenpath, &binaries.vllm_exporter] {
        let name = program
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        report.check(&format!("{name} --version"), || {
            let output = Command::new(program).arg("--version").output()?;
            let said = String::from_utf8(output.stdout)?;
            ensure!(
                output.status.success()
                    && said.contains(&name)
                    && said.contains(env!("CARGO_PKG_VERSION")),
                "{}: {said}",
                output.status
            );
            passed(said.trim())
        });
        report.check(&format!("{name} --help teaches"), || {
            let output = Command::new(program).arg("--help").output()?;
            let said = String::from_utf8(output.stdout)?;
            ensure!(output.status.success(), "{}", output.status);
            ensure!(has_example(&said, &name), "no example in:\n{said}");
            passed("")
        });
        report.check(
            &format!("{name} refuses a wrong flag with exit 2 and an example"),
            || wrong_flag(program),
        );
    }
    report.check("a port in use: exit 1, and which address", || {
        port_in_use(binaries)
    });
}

/// Whether there is a command that could be typed as it stands: on a line of its own, or after a colon.
fn has_example(said: &str, program: &str) -> bool {
    said.lines().any(|line| {
        let command = line.rsplit_once(": ").map_or(line, |(_, command)| command);
        !line.starts_with("Usage") && command.trim_start().starts_with(program)
    })
}

fn exporter(binaries: &Binaries, options: &[&str]) -> Result<(Program, std::net::SocketAddr)> {
    let address = http::free_address()?;
    let program = Program::start(
        Command::new(&binaries.vllm_exporter)
            .env_remove("VLLM_ENDPOINT")
            .args(["--web.listen-address", &address.to_string()])
            .args(options),
    )?;
    Ok((program, address))
}

fn small_and_fast(binaries: &Binaries) -> Result<Verdict> {
    let target = Target::answers("200 OK", "text/plain; version=0.0.4", &healthy_page()?)?;
    let (mut program, address) = exporter(
        binaries,
        &["--vllm.endpoint", &format!("http://{}", target.address)],
    )?;
    let source = target.address.to_string();
    let is_up = |body: &str| {
        page::samples(body)
            .ok()
            .and_then(|samples| value(&samples, "tokenpath_source_up", &source, None))
            .is_some_and(|up| up >= 1.0)
    };
    program.wait_for("page with the target up", FIRST_PAGE_LIMIT, || {
        http::get(address, "/metrics", &[])
            .ok()
            .filter(|answer| is_up(&answer.body))
    })?;
    let first = program.started().elapsed();
    for _ in 0..50 {
        let answer = http::get(address, "/metrics", &[])?;
        ensure!(
            is_up(&answer.body),
            "the target went down:\n{}",
            program.said()
        );
    }
    let size = match program.memory_kib("VmRSS") {
        Some(rss) => {
            ensure!(
                rss <= RSS_LIMIT_KIB,
                "RSS {rss} KiB, at most {RSS_LIMIT_KIB}"
            );
            format!("RSS {:.1} MB (at most 15)", kib_as_mb(rss))
        }
        None => "RSS unknown here".to_owned(),
    };
    let start = Instant::now();
    let status = program.terminate(TERM_LIMIT)?;
    ensure!(status.success(), "{status}:\n{}", program.said());
    passed(format!(
        "first page {} ms after start (goal 100), {size}, stopped in {} ms",
        first.as_millis(),
        start.elapsed().as_millis()
    ))
}

fn kib_as_mb(kib: u64) -> f64 {
    f64::from(u32::try_from(kib).unwrap_or(u32::MAX)) * 1024.0 / 1e6
}

fn by_environment(binaries: &Binaries) -> Result<Verdict> {
    let target = Target::answers("200 OK", "text/plain; version=0.0.4", &healthy_page()?)?;
    let address = http::free_address()?;
    let mut program = Program::start(
        Command::new(&binaries.vllm_exporter)
            .env("VLLM_ENDPOINT", format!("http://{}", target.address))
            .args(["--web.listen-address", &address.to_string()]),
    )?;
    let source = format!("target=\"{}\"", target.address);
    program.wait_for("series of that target", Duration::from_secs(5), || {
        http::get(address, "/metrics", &[])
            .ok()
            .filter(|answer| answer.body.contains(&source))
    })?;
    passed("")
}

fn answers(binaries: &Binaries) -> Result<Verdict> {
    let target = Target::answers("200 OK", "text/plain; version=0.0.4", &healthy_page()?)?;
    let endpoint = format!("http://{}", target.address);
    let (mut program, address) = exporter(
        binaries,
        &[
            "--vllm.endpoint",
            &endpoint,
            "--web.telemetry-path",
            "/other",
        ],
    )?;
    let page = program.wait_for("page", Duration::from_secs(5), || {
        http::get(address, "/other", &[]).ok()
    })?;
    ensure!(page.status == 200, "telemetry path: {}", page.status);
    let kind = page.header("content-type").unwrap_or_default().to_owned();
    ensure!(
        kind.starts_with("text/plain; version=0.0.4"),
        "content-type {kind:?}"
    );
    let openmetrics = http::get(
        address,
        "/other",
        &[("Accept", "application/openmetrics-text;version=1.0.0")],
    )?;
    let kind = openmetrics.header("content-type").unwrap_or_default();
    ensure!(
        kind.starts_with("application/openmetrics-text"),
        "content-type {kind:?}"
    );
    ensure!(openmetrics.body.ends_with("# EOF\n"), "no # EOF");
    for (path, status) in [
        ("/", 200),
        ("/healthz", 200),
        ("/readyz", 200),
        ("/metrics", 404),
        ("/x", 404),
    ] {
        let answer = http::get(address, path, &[])?;
        ensure!(
            answer.status == status,
            "{path}: {} instead of {status}",
            answer.status
        );
    }
    let landing = http::get(address, "/", &[])?;
    ensure!(
        landing.body.contains("/other"),
        "the landing page does not lead to /other"
    );
    passed("")
}

fn log_formats(binaries: &Binaries) -> Result<Verdict> {
    let dead = format!("http://{}", http::free_address()?);
    let mut lines = 0;
    for format in ["json", "logfmt"] {
        let option = format!("--log.format={format}");
        let (mut program, address) = exporter(binaries, &["--vllm.endpoint", &dead, &option])?;
        program.wait_for("page", Duration::from_secs(5), || {
            http::get(address, "/metrics", &[]).ok()
        })?;
        program.terminate(TERM_LIMIT)?;
        let log = program.stderr();
        ensure!(
            !log.trim().is_empty(),
            "nothing was logged about a dead target"
        );
        for line in log.lines() {
            lines += 1;
            let is_json = serde_json::from_str::<Value>(line).is_ok_and(|value| value.is_object());
            ensure!(
                is_json == (format == "json"),
                "--log.format={format}: {line}"
            );
            ensure!(
                is_json || line.contains("level="),
                "--log.format={format}: {line}"
            );
        }
    }
    passed(format!("{lines} lines"))
}

fn secrets(binaries: &Binaries) -> Result<Verdict> {
    let target = Target::answers("401 Unauthorized", "text/plain", "no")?;
    let at = target.address;
    let leak = |shown: &str| {
        let leak = shown.lines().find(|line| line.contains(CANARY));
        leak.map(str::to_owned)
    };
    // Credentials do not belong in a URL: refusing it is right, showing it is not.
    let endpoint = format!("http://someone:{CANARY}@{at}/metrics");
    let (mut program, _) = exporter(binaries, &["--vllm.endpoint", &endpoint])?;
    let status = program.wait(Duration::from_secs(5))?;
    ensure!(status.code() == Some(2), "{status}: {}", program.said());
    ensure!(
        program.said().contains("auth"),
        "not what to do instead: {}",
        program.said()
    );
    ensure!(
        leak(&program.said()).is_none(),
        "{:?}",
        leak(&program.said())
    );

    let endpoint = format!("http://{at}/metrics?token={CANARY}");
    let (mut program, address) = exporter(
        binaries,
        &["--vllm.endpoint", &endpoint, "--log.level=trace"],
    )?;
    let page = program.wait_for("page", Duration::from_secs(5), || {
        http::get(address, "/metrics", &[]).ok()
    })?;
    let landing = http::get(address, "/", &[])?.body;
    let shown = format!("{}{landing}{}", page.body, program.said());
    ensure!(
        landing.contains("401"),
        "the landing page does not say why:\n{landing}"
    );
    ensure!(leak(&shown).is_none(), "{:?}", leak(&shown));
    passed("")
}

fn wrong_flag(program: &Path) -> Result<Verdict> {
    for arguments in [
        &["--no-such-flag"][..],
        &["--log.format=xml"],
        &["--web.listen-address", "nonsense:port"],
        &["--vllm.endpoint", "ftp://localhost"],
    ] {
        let mut command = Command::new(program);
        if program.ends_with("tokenpath") {
            command.arg("serve");
        }
        let mut running = Program::start(command.args(arguments))?;
        let status = running.wait(Duration::from_secs(5))?;
        let said = running.stderr();
        let name = program.file_name().unwrap_or_default().to_string_lossy();
        ensure!(status.code() == Some(2), "{arguments:?}: {status}, {said}");
        ensure!(
            has_example(&said, &name) || said.to_lowercase().contains("for instance"),
            "{arguments:?}: no example in:\n{said}"
        );
    }
    passed("")
}

fn port_in_use(binaries: &Binaries) -> Result<Verdict> {
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let address = taken.local_addr()?.to_string();
    for (program, before) in [
        (
            &binaries.tokenpath,
            &["serve", "--vllm.endpoint", "localhost:8000"][..],
        ),
        (&binaries.tokenpath, &["demo"]),
        (&binaries.vllm_exporter, &[]),
    ] {
        let mut command = Command::new(program);
        let mut running = Program::start(
            command
                .args(before)
                .args(["--web.listen-address", &address]),
        )?;
        let status = running.wait(Duration::from_secs(5))?;
        let said = running.stderr();
        ensure!(status.code() == Some(1), "{before:?}: {status}, {said}");
        ensure!(
            said.contains(&address),
            "{before:?}: no {address} in:\n{said}"
        );
    }
    passed("")
}
