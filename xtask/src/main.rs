//! `cargo xtask <task>`: what people and CI run.
//!
//! Every task is made of checks. A check passes, fails, or is skipped with a reason; each task ends
//! with one line that sums them, `N passed, N failed, N skipped`, and exits 1 where one failed.

mod cargo;
mod conformance;
mod deploy;
mod docs;
mod e2e;
mod fuzz;
mod guard;
mod http;
mod json;
mod licences;
mod metadata;
mod monitoring;
mod package;
mod report;
mod spdx;
mod tests;
mod tools;

use std::path::PathBuf;
use std::process::ExitCode;

use crate::report::{Report, Result};

const HELP: &str = "\
What people and CI run.

Usage: cargo xtask <task> [options]

Tasks:
  test [--corpus DIR] [--only PART]...
              Everything that must hold: the workspace's tests and doc tests, each library crate with
              no, default and all features, the documentation against what is there, and the binaries
              end to end with promtool, a real Prometheus and the Python client.
              Parts: cargo, features, docs, conformance, e2e.
              --corpus DIR adds the larger corpus: parser conformance (DIR/conformance/run.py) and,
              through TOKENPATH_CORPUS, pages of other projects.
  monitoring [--write | --only files|live]
              The files of monitoring/: every rule is tested both ways by promtool, every name exists,
              every alert has its page, dashboards and objectives are what they are made from.
              Then live: a real Prometheus reads the demo, every panel has data, and each incident
              makes exactly the alerts fire that are meant.
              --write writes dashboards and the rules of objectives from their descriptions.
  licences    Every dependency has an accepted licence and comes from the registry; cargo-deny too
              where it is installed.
  package [cargo options]
              `cargo package --workspace`: each crate builds from what would be published.
  deploy [--write]
              What deploy/ ships, without a cluster or a container engine: kustomize and schemas,
              docker-compose, hadolint, the image's root file system, systemd-analyze, and all of it
              against the programs. --write writes the manifests made of monitoring/.
  fuzz [--seconds N] [--target NAME]...
              Each fuzz target for N seconds (default 60) with AddressSanitizer.

Example:
  cargo xtask test --only e2e
";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let task = arguments.next().unwrap_or_default();
    let rest: Vec<String> = arguments.collect();
    let mut report = Report::new();
    let outcome = match task.as_str() {
        "test" => test(&rest, &mut report),
        "licences" | "licenses" => no_options(&rest).and_then(|()| licences::run(&mut report)),
        "monitoring" => monitoring::run(&rest, &mut report),
        "package" => package::run(&rest, &mut report),
        "deploy" => deploy::run(&rest, &mut report),
        "fuzz" => fuzz::run(&rest, &mut report),
        "" | "help" | "--help" | "-h" => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        other => Err(format!("there is no task {other:?}").into()),
    };
    match outcome {
        Ok(()) => {}
        Err(error) if report.is_empty() => {
            eprintln!("cargo xtask: {error}\n\nTry `cargo xtask help`.");
            return ExitCode::from(2);
        }
        Err(error) => report.check(&task, || Err(error)),
    }
    report.close()
}

/// The parts of `cargo xtask test`, in the order they run.
const PARTS: [&str; 5] = ["cargo", "features", "docs", "conformance", "e2e"];

fn test(arguments: &[String], report: &mut Report) -> Result<()> {
    let mut corpus = None;
    let mut only: Vec<&str> = Vec::new();
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let mut value = || {
            arguments
                .next()
                .ok_or_else(|| format!("{argument} needs a value"))
        };
        match argument.as_str() {
            "--corpus" => {
                let given = value()?;
                let folder = PathBuf::from(given)
                    .canonicalize()
                    .map_err(|error| format!("--corpus {given}: {error}"))?;
                corpus = Some(folder);
            }
            "--only" => {
                let part = value()?;
                if !PARTS.contains(&part.as_str()) {
                    return Err(format!("there is no part {part:?} of {PARTS:?}").into());
                }
                only.push(part);
            }
            other => return Err(format!("`test` has no option {other:?}").into()),
        }
    }
    let wanted = |part: &str| only.is_empty() || only.contains(&part);
    if wanted("cargo") {
        tests::workspace(corpus.as_deref(), report);
    }
    if wanted("features") {
        tests::features(report)?;
    }
    if wanted("docs") {
        docs::links(report);
    }
    if ["docs", "conformance", "e2e"].into_iter().any(wanted)
        && let Some(binaries) = tests::release_binaries(report)
    {
        if wanted("docs") {
            docs::programs(&binaries, report);
        }
        if wanted("conformance") {
            conformance::run(corpus.as_deref(), &binaries, report);
        }
        if wanted("e2e") {
            e2e::run(corpus.as_deref(), &binaries, report);
        }
    }
    Ok(())
}

fn no_options(arguments: &[String]) -> Result<()> {
    match arguments.first() {
        None => Ok(()),
        Some(other) => Err(format!("unexpected {other:?}").into()),
    }
}
