//! The workspace's own tests, the feature matrix, and the release binaries that later checks drive.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::cargo;
use crate::metadata::{self, Package};
use crate::report::{Report, Result, ensure, passed};

/// Names the larger corpus for the tests that look for it.
const CORPUS_VARIABLE: &str = "TOKENPATH_CORPUS";

/// Unit, property, golden, conformance and doc tests: `cargo test --workspace`.
pub(crate) fn workspace(corpus: Option<&Path>, report: &mut Report) {
    report.heading("cargo test --workspace");
    let mut command = cargo::cargo();
    command.args(["test", "--workspace", "--no-fail-fast", "--locked"]);
    match corpus {
        Some(folder) => command.env(CORPUS_VARIABLE, folder),
        None => command.env_remove(CORPUS_VARIABLE),
    };
    harness("cargo test --workspace", command, report);
}

/// Each library crate alone with no, default and all features: built always, tested where the
/// features make other code than the run over the workspace.
pub(crate) fn features(report: &mut Report) -> Result<()> {
    report.heading("features");
    let graph = metadata::load()?;
    for id in &graph.members {
        let Some(package) = graph.packages.get(id) else {
            continue;
        };
        if !package.has_library || !package.publishable {
            continue;
        }
        for set in feature_sets(package) {
            let name = [&[package.name.as_str()], set].concat().join(" ");
            if package.features.is_empty() {
                // Alone, so that a feature which another member turns on in a dependency shows.
                report.check(&format!("cargo check -p {name}"), || {
                    let status = cargo::cargo()
                        .args(["check", "--quiet", "--locked", "-p", &package.name])
                        .args(set)
                        .status()?;
                    ensure!(status.success(), "see above");
                    passed("")
                });
            } else {
                let mut command = cargo::cargo();
                command
                    .args(["test", "--no-fail-fast", "--locked", "-p", &package.name])
                    .args(set);
                harness(&format!("cargo test -p {name}"), command, report);
            }
        }
    }
    Ok(())
}

/// The sets of a crate's features that differ from each other.
fn feature_sets(package: &Package) -> Vec<&'static [&'static str]> {
    let mut on: BTreeSet<&str> = BTreeSet::new();
    let mut queue = vec!["default"];
    while let Some(feature) = queue.pop() {
        for next in package.features.get(feature).into_iter().flatten() {
            if package.features.contains_key(next) && on.insert(next) {
                queue.push(next);
            }
        }
    }
    let all = package
        .features
        .keys()
        .filter(|name| *name != "default")
        .count();
    let mut sets: Vec<&'static [&'static str]> = vec![&[]];
    if !on.is_empty() {
        sets.push(&["--no-default-features"]);
    }
    if on.len() != all {
        sets.push(&["--all-features"]);
    }
    sets
}

/// The programs that are shipped, as users build them; `None` where they do not build.
pub(crate) fn release_binaries(report: &mut Report) -> Option<Binaries> {
    report.heading("release binaries");
    let folder = cargo::target_folder().join("release");
    let binaries = Binaries {
        tokenpath: folder.join("tokenpath"),
        vllm_exporter: folder.join("vllm-exporter"),
        gpu_exporter: folder.join("gpu-exporter"),
    };
    let mut built = None;
    report.check("cargo build --release -p tokenpath --bins", || {
        let status = cargo::cargo()
            .args([
                "build",
                "--release",
                "--locked",
                "-p",
                "tokenpath",
                "--bins",
            ])
            .status()?;
        ensure!(status.success(), "see above");
        let all = [
            &binaries.tokenpath,
            &binaries.vllm_exporter,
            &binaries.gpu_exporter,
        ];
        for program in all {
            ensure!(program.is_file(), "{} was not built", program.display());
        }
        built = Some(binaries);
        passed("")
    });
    built
}

/// `tokenpath` alone, as users build it; `None` where it does not build.
pub(crate) fn release_tokenpath(report: &mut Report) -> Option<PathBuf> {
    let program = cargo::target_folder().join("release/tokenpath");
    let mut built = None;
    report.check("cargo build --release --bin tokenpath", || {
        let status = cargo::cargo()
            .args(["build", "--release", "--locked", "-p", "tokenpath"])
            .args(["--bin", "tokenpath"])
            .status()?;
        ensure!(status.success(), "see above");
        ensure!(program.is_file(), "{} was not built", program.display());
        built = Some(program);
        passed("")
    });
    built
}

/// Where the release binaries are.
pub(crate) struct Binaries {
    pub(crate) tokenpath: PathBuf,
    pub(crate) vllm_exporter: PathBuf,
    pub(crate) gpu_exporter: PathBuf,
}

/// Runs a cargo test command with its output passed on, and adds up its `test result:` lines.
fn harness(name: &str, mut command: Command, report: &mut Report) {
    let mut sums = Sums::default();
    let mut run = || -> Result<bool> {
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let output = child.stdout.take().ok_or("no output")?;
        for line in BufReader::new(output).lines() {
            let line = line?;
            println!("{line}");
            sums.add(&line);
        }
        Ok(child.wait()?.success())
    };
    let outcome = run();
    report.add(name, sums.passed, sums.failed, sums.ignored);
    match outcome {
        // The failures are in the sums already.
        Ok(false) if sums.failed > 0 => {
            println!("FAILED  {name}: {} tests failed", sums.failed);
        }
        outcome => report.check(name, || {
            ensure!(outcome?, "it could not build or run its tests, see above");
            ensure!(sums.passed > 0, "not one test ran");
            passed(format!("{} tests", sums.passed))
        }),
    }
}

#[derive(Default)]
struct Sums {
    passed: u64,
    failed: u64,
    ignored: u64,
}

impl Sums {
    /// Reads `test result: ok. 3 passed; 0 failed; 1 ignored; …`; other lines add nothing.
    fn add(&mut self, line: &str) {
        let Some(result) = line.strip_prefix("test result: ") else {
            return;
        };
        let Some((_, counts)) = result.split_once(". ") else {
            return;
        };
        for part in counts.split("; ") {
            let Some((count, what)) = part.split_once(' ') else {
                continue;
            };
            let Ok(count) = count.parse::<u64>() else {
                continue;
            };
            match what {
                "passed" => self.passed += count,
                "failed" => self.failed += count,
                "ignored" => self.ignored += count,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn sums_what_the_harness_says() {
        let mut sums = Sums::default();
        for line in [
            "running 3 tests",
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s",
            "test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 4 filtered out; finished in 1.00s",
        ] {
            sums.add(line);
        }
        assert_eq!((sums.passed, sums.failed, sums.ignored), (4, 2, 1));
    }
}
