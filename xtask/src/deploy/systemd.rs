//! The systemd units: verified, rated and enabled, in a root of their own.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::generated::{files, name_of};
use super::programs::{NAMES, Programs};
use super::{none, said};
use crate::cargo;
use crate::report::{Report, Result, Verdict, ensure, passed};
use crate::tools;

/// systemd rates from 0 (nothing exposed) to 10. The GPU unit has 1.4, because of its devices.
const EXPOSURE_MAX: &str = "15"; // in tenths, as --threshold wants it

pub(super) fn run(programs: &Programs, report: &mut Report) {
    report.heading("deploy: systemd");
    let folder = cargo::root().join("deploy/systemd");
    report.check(
        "each unit starts a program that is there, with flags that it has",
        || commands(&folder, programs),
    );
    let available = if tools::is_installed("systemd-analyze") {
        Ok(())
    } else {
        Err("please install systemd".to_owned())
    };
    let mut laid_out = None;
    report.check("systemd-analyze verify has nothing to say", || {
        if let Err(why) = &available {
            return Ok(Verdict::Skipped(why.clone()));
        }
        let (root, units) = root(&folder)?;
        let mut faults = Vec::new();
        for unit in &units {
            let output = Command::new("systemd-analyze")
                .arg("verify")
                .arg(format!("--root={}", root.display()))
                .arg(unit)
                .output()?;
            let said =
                String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
            if !output.status.success() || !said.trim().is_empty() {
                faults.push(format!("{unit}: {}", said.trim()));
            }
        }
        let seen = format!("{} units", units.len());
        laid_out = Some((root, units));
        none(faults, seen)
    });
    let Some((root, units)) = laid_out else {
        return;
    };
    report.check(
        "systemd-analyze security rates each as hardly exposed",
        || {
            let mut ratings = Vec::new();
            for unit in &units {
                let told = said(
                    Command::new("systemd-analyze")
                        .args(["security", "--offline=true", "--no-pager"])
                        .arg(format!("--threshold={EXPOSURE_MAX}"))
                        .arg(format!("--root={}", root.display()))
                        .arg(unit),
                )?;
                let rating = told
                    .split_once("Overall exposure level for ")
                    .and_then(|(_, rest)| rest.split_whitespace().nth(1))
                    .ok_or_else(|| format!("{unit} is not rated:\n{told}"))?;
                ratings.push(rating.to_owned());
            }
            passed(ratings.join(", "))
        },
    );
    report.check("systemctl enables each, so that it starts at boot", || {
        if !tools::is_installed("systemctl") {
            return Ok(Verdict::Skipped("please install systemd".to_owned()));
        }
        let mut faults = Vec::new();
        for unit in &units {
            faults.extend(enable_fault(&root, unit)?);
        }
        none(faults, format!("{} units", units.len()))
    });
    report.check(
        "the commands of README.md install and enable a unit",
        || {
            if !tools::is_installed("systemctl") {
                return Ok(Verdict::Skipped("please install systemd".to_owned()));
            }
            as_told(programs)
        },
    );
}

/// Runs the commands of README.md in a root of their own, and looks whether all is there that its unit needs.
fn as_told(programs: &Programs) -> Result<Verdict> {
    let page = std::fs::read_to_string(cargo::root().join("deploy/README.md"))?;
    let commands = page
        .split_once("\n## systemd\n")
        .and_then(|(_, rest)| rest.split_once("```sh\n")?.1.split_once("```"))
        .map(|(commands, _)| commands)
        .ok_or("README.md has no commands for systemd")?;
    let root = cargo::target_folder().join("deploy/systemd-as-told");
    if root.exists() {
        std::fs::remove_dir_all(&root)?;
    }
    for there in ["usr/local/bin", "etc/systemd/system"] {
        std::fs::create_dir_all(root.join(there))?;
    }
    let inside = |path: &str| root.join(path.trim_start_matches('/'));
    let mut enabled = None;
    for line in commands.lines() {
        if let Some(arguments) = line.strip_prefix("install ") {
            let words = arguments.split(' ').map(|word| match word {
                built if built.starts_with("target/release/") => programs
                    .folder
                    .join(built.trim_start_matches("target/release/")),
                path if path.starts_with('/') => inside(path),
                other => PathBuf::from(other),
            });
            said(
                Command::new("install")
                    .current_dir(cargo::root())
                    .args(words),
            )?;
        } else if let Some(unit) = line.strip_prefix("systemctl enable --now ") {
            enabled = Some(format!("{unit}.service"));
        } else {
            ensure!(
                line == "systemctl daemon-reload",
                "nothing is known about {line:?}"
            );
        }
    }
    let unit = enabled.ok_or("no unit is enabled")?;
    let mut faults: Vec<String> = enable_fault(&root, &unit)?.into_iter().collect();
    let text = std::fs::read_to_string(root.join("etc/systemd/system").join(&unit))?;
    let needed = text.lines().filter_map(|line| {
        let value = line
            .strip_prefix("EnvironmentFile=-")
            .or_else(|| line.strip_prefix("ExecStart="))?;
        value.split(' ').next()
    });
    for path in needed.chain(["/etc/systemd/system/tokenpath-.service.d/hardening.conf"]) {
        if !inside(path).is_file() {
            faults.push(format!("{unit} needs {path}, which is not installed"));
        }
    }
    none(faults, unit)
}

/// Enables an installed unit as README.md says. systemctl does so without a word, and with success,
/// where a unit has no `[Install]`; a drop-in's does not count.
fn enable_fault(root: &Path, unit: &str) -> Result<Option<String>> {
    let systemctl = |verb: &str| {
        Command::new("systemctl")
            .arg(format!("--root={}", root.display()))
            .args([verb, unit])
            .output()
    };
    let enabled = systemctl("enable")?;
    ensure!(
        enabled.status.success(),
        "{unit}: {}",
        String::from_utf8_lossy(&enabled.stderr).trim()
    );
    let state = String::from_utf8(systemctl("is-enabled")?.stdout)?;
    let state = state.trim();
    Ok((state != "enabled").then(|| format!("{unit} is {state} after `systemctl enable`")))
}

fn commands(folder: &Path, programs: &Programs) -> Result<Verdict> {
    let units = files(folder, "service")?;
    ensure!(!units.is_empty(), "there is not one unit");
    let mut faults = Vec::new();
    let mut started = BTreeSet::new();
    for unit in &units {
        let name = name_of(unit);
        let text = std::fs::read_to_string(unit)?;
        let setting = |key: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
                .ok_or_else(|| format!("{name} has no {key}"))
        };
        let file = setting("EnvironmentFile")?
            .strip_prefix("-/etc/tokenpath/")
            .ok_or_else(|| format!("{name}: its environment is not in /etc/tokenpath"))?;
        let environment = std::fs::read_to_string(folder.join("env").join(file))?;
        let settings: Vec<(&str, &str)> = environment
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.split_once('='))
            .collect();
        let arguments = settings.iter().find(|(name, _)| *name == "ARGUMENTS");
        let command =
            setting("ExecStart")?.replace("$ARGUMENTS", arguments.map_or("", |found| found.1));
        let words: Vec<&str> = command.split_whitespace().collect();
        for (variable, _) in settings {
            if variable != "ARGUMENTS" && !programs.has_variable(&words, variable) {
                faults.push(format!("{file}: {name} does not read {variable}"));
            }
        }
        let found = programs.faults(&words);
        faults.extend(found.into_iter().map(|fault| format!("{name}: {fault}")));
        if let Some(program) = words.first() {
            started.extend(program.rsplit('/').next().map(str::to_owned));
        }
        let page = setting("Documentation")?
            .rsplit('/')
            .next()
            .unwrap_or_default();
        if !cargo::root().join("docs").join(page).is_file() {
            faults.push(format!("{name}: there is no docs/{page}"));
        }
    }
    for program in NAMES {
        if !started.contains(program) {
            faults.push(format!("no unit starts {program}"));
        }
    }
    none(faults, format!("{} units", units.len()))
}

/// A root in which the units are installed, and stand-ins for what they start.
fn root(folder: &Path) -> Result<(PathBuf, Vec<String>)> {
    let root = cargo::target_folder().join("deploy/systemd");
    if root.exists() {
        std::fs::remove_dir_all(&root)?;
    }
    let installed = root.join("etc/systemd/system");
    for folder in [
        installed.join("tokenpath-.service.d"),
        root.join("usr/local/bin"),
        root.join("bin"),
        root.join("usr/lib/systemd/system"),
    ] {
        std::fs::create_dir_all(folder)?;
    }
    let mut units = Vec::new();
    for unit in files(folder, "service")? {
        std::fs::copy(&unit, installed.join(name_of(&unit)))?;
        units.push(name_of(&unit));
    }
    let common = "tokenpath-.service.d/hardening.conf";
    std::fs::copy(folder.join(common), installed.join(common))?;
    // What every unit stands on; its own are systemd's.
    for target in [
        "sysinit",
        "basic",
        "shutdown",
        "multi-user",
        "network-online",
        "sockets",
    ] {
        let name = format!("usr/lib/systemd/system/{target}.target");
        std::fs::write(root.join(name), format!("[Unit]\nDescription={target}\n"))?;
    }
    let programs = NAMES.map(|name| root.join("usr/local/bin").join(name));
    for program in programs.iter().chain([&root.join("bin/kill")]) {
        std::fs::write(program, "")?;
        said(Command::new("chmod").arg("755").arg(program))?;
    }
    Ok((root, units))
}
