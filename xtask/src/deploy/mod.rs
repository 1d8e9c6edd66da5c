//! `cargo xtask deploy`: what `deploy/` ships, as far as it can be held against something without a
//! cluster or a container engine. `--write` writes what is generated.

mod alertmanager;
mod compose;
mod generated;
mod image;
mod manifests;
mod pages;
mod programs;
mod systemd;

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use self::programs::Programs;
use crate::json::list;
use crate::report::{Report, Result, Verdict, ensure, passed};
use crate::tests;
use crate::tools;

pub(crate) fn run(arguments: &[String], report: &mut Report) -> Result<()> {
    let write = match arguments {
        [] => false,
        [only] if only == "--write" => true,
        [other, ..] => return Err(format!("`deploy` has no option {other:?}").into()),
    };
    generated::run(write, report);
    let Some(binaries) = tests::release_binaries(report) else {
        return Ok(());
    };
    let programs = Programs::asked(&binaries)?;
    let checkers = tools::deploy_checkers();
    let checkers = checkers.as_deref().map_err(Clone::clone);
    manifests::run(&programs, checkers.clone(), report);
    compose::run(&programs, checkers.clone(), report);
    image::run(&programs, checkers, report);
    systemd::run(&programs, report);
    pages::run(&programs, report);
    Ok(())
}

/// The folder of the checkers, or why they are not there.
type Checkers<'a> = std::result::Result<&'a Path, String>;

/// Standard output of a command that must succeed.
fn said(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .map_err(|error| format!("{name}: {error}"))?;
    ensure!(
        output.status.success(),
        "{name}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?)
}

/// Passes where there is no fault.
fn none(faults: Vec<String>, seen: impl Into<String>) -> Result<Verdict> {
    ensure!(faults.is_empty(), "{}", faults.join("\n  "));
    passed(seen)
}

/// The texts of the list at a pointer.
fn texts<'a>(value: &'a Value, pointer: &str) -> Vec<&'a str> {
    list(value, pointer)
        .iter()
        .filter_map(Value::as_str)
        .collect()
}
