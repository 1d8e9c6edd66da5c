//! The image: its Dockerfile is linted, and the root file system that it ends in is made and used here.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::programs::{self, NAMES, Programs};
use super::{Checkers, none, said};
use crate::cargo;
use crate::guard::Program;
use crate::http;
use crate::report::{Report, Result, Verdict, ensure, passed};
use crate::tools;

/// The user of the image.
const USER: &str = "65532:65532";

pub(super) fn run(programs: &Programs, checkers: Checkers<'_>, report: &mut Report) {
    report.heading("deploy: image");
    let dockerfile = cargo::root().join("deploy/docker/Dockerfile");
    report.check("hadolint has nothing to say", || match checkers {
        Ok(folder) => {
            said(Command::new(folder.join("hadolint")).arg(&dockerfile))?;
            passed("")
        }
        Err(why) => Ok(Verdict::Skipped(why)),
    });
    report.check("the Dockerfile builds what the workspace is", || {
        let text = std::fs::read_to_string(&dockerfile)?;
        let manifest = std::fs::read_to_string(cargo::root().join("Cargo.toml"))?;
        let rust = manifest
            .lines()
            .find_map(|line| line.strip_prefix("rust-version = \"")?.strip_suffix('"'))
            .ok_or("no rust-version")?;
        none(faults(&text, rust), "")
    });
    report.check(
        "its root file system works, for its user and no other",
        || {
            if !is_root() {
                return Ok(Verdict::Skipped("chroot needs root".to_owned()));
            }
            match tools::static_busybox() {
                Ok(busybox) => root_works(programs, &busybox),
                Err(why) => Ok(Verdict::Skipped(why)),
            }
        },
    );
}

/// What a linter of Dockerfiles cannot know.
fn faults(dockerfile: &str, rust: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let lines: Vec<&str> = dockerfile.lines().map(str::trim).collect();
    let last_from = lines.iter().rposition(|line| line.starts_with("FROM "));
    let last = lines.split_at(last_from.unwrap_or_default()).1;
    if !lines
        .iter()
        .any(|line| line.starts_with(&format!("FROM rust:{rust}.")))
    {
        faults.push(format!("Rust is not {rust}, the version of the workspace"));
    }
    if last.first() != Some(&"FROM scratch") {
        faults.push("the last stage does not begin from nothing".to_owned());
    }
    let user = last.iter().find_map(|line| line.strip_prefix("USER "));
    if user != Some(USER) {
        faults.push(format!("the user is {user:?}, not {USER}"));
    }
    if !last.contains(&"ENTRYPOINT [\"/usr/local/bin/tokenpath\"]") {
        faults.push("the entry point is not tokenpath".to_owned());
    }
    let copied: BTreeSet<&str> = lines
        .iter()
        .filter_map(|line| line.strip_prefix("target/release/"))
        .map(|rest| rest.trim_end_matches([' ', '\\']))
        .collect();
    if let Err(error) = programs::all(&copied) {
        faults.push(error.to_string());
    }
    faults
}

/// Makes the root by the script that the Dockerfile runs, starts each program in it as its user, and
/// asks one for its health by its own wget. There is no /dev in it, which a container has.
fn root_works(programs: &Programs, busybox: &Path) -> Result<Verdict> {
    let root = cargo::target_folder().join("deploy/rootfs");
    if root.exists() {
        std::fs::remove_dir_all(&root)?;
    }
    said(
        Command::new("sh")
            .arg(cargo::root().join("deploy/docker/rootfs.sh"))
            .arg(&root)
            .args(NAMES.map(|name| programs.folder.join(name)))
            .env("BUSYBOX", busybox),
    )?;
    let inside = |program: &str| {
        let mut command = Command::new("chroot");
        command
            .arg(format!("--userspec={USER}"))
            .arg(&root)
            .arg(program)
            .env_clear()
            .env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin");
        command
    };
    for name in NAMES {
        let version = said(inside(&format!("/usr/local/bin/{name}")).arg("--version"))?;
        ensure!(version.starts_with(name), "{name} says {version:?}");
    }
    ensure!(
        inside("/bin/sh").output()?.status.code() == Some(127),
        "there is a shell"
    );

    let address = http::free_address()?;
    let mut demo = Program::start(inside("/usr/local/bin/tokenpath").args([
        "demo",
        "--web.listen-address",
        &address.to_string(),
    ]))?;
    let url = format!("http://{address}/readyz");
    demo.wait_for("healthy answer", Duration::from_secs(20), || {
        let asked = inside("/usr/bin/wget")
            .args(["-q", "-O", "-", &url])
            .output();
        asked
            .is_ok_and(|asked| asked.status.success())
            .then_some(())
    })?;
    let missing = inside("/usr/bin/wget")
        .args([
            "-q",
            "-O",
            "/dev/null",
            &format!("http://{address}/nothing"),
        ])
        .output()?;
    ensure!(!missing.status.success(), "wget is content with a 404");
    let status = demo.terminate(Duration::from_secs(10))?;
    ensure!(status.success(), "SIGTERM: {status}");

    let size = said(
        Command::new("du")
            .args(["-sm", "--apparent-size"])
            .arg(&root),
    )?;
    let megabytes = size
        .split_whitespace()
        .next()
        .unwrap_or_default()
        .to_owned();
    std::fs::remove_dir_all(&root)?;
    passed(format!("{} programs, {megabytes} MB", NAMES.len()))
}

fn is_root() -> bool {
    said(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0")
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn a_dockerfile_that_is_behind_is_found() -> Result<()> {
        let real = std::fs::read_to_string(cargo::root().join("deploy/docker/Dockerfile"))?;
        assert_eq!(faults(&real, "1.95"), [""; 0]);
        for (from, to) in [
            ("FROM rust:1.95", "FROM rust:1.94"),
            ("FROM scratch", "FROM alpine:3.20"),
            ("USER 65532:65532", "USER root"),
            ("bin/tokenpath\"]", "bin/tokenpaht\"]"),
            ("target/release/gpu-exporter", "target/release/gpu"),
        ] {
            assert_eq!(faults(&real.replace(from, to), "1.95").len(), 1, "{to}");
        }
        Ok(())
    }
}
