//! `cargo xtask fuzz`: each target of `fuzz/` for a while, with AddressSanitizer.
//!
//! libFuzzer is linked in by the targets themselves, so that a stable toolchain and nothing else is
//! enough: its instrumentation needs `RUSTC_BOOTSTRAP=1`, which is why these builds have their own
//! target folder and nothing that is shipped is built this way.

use std::fs;

use serde_json::Value;

use crate::cargo;
use crate::report::{Report, Result, ensure, passed};

const FLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Zsanitizer=address -Ccodegen-units=1";

pub(crate) fn run(arguments: &[String], report: &mut Report) -> Result<()> {
    let mut seconds: u32 = 60;
    let mut only: Vec<&str> = Vec::new();
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let value = arguments
            .next()
            .ok_or_else(|| format!("{argument} needs a value"))?;
        match argument.as_str() {
            "--seconds" => {
                seconds = value
                    .parse()
                    .map_err(|error| format!("--seconds {value}: {error}"))?
            }
            "--target" => only.push(value),
            other => return Err(format!("`fuzz` has no option {other:?}").into()),
        }
    }
    report.heading("fuzz");
    let triple = host()?;
    let names = targets()?;
    if let Some(unknown) = only
        .iter()
        .find(|name| !names.iter().any(|known| known == *name))
    {
        return Err(format!("there is no fuzz target {unknown:?} of {names:?}").into());
    }
    let status = cargo::cargo()
        .args([
            "build",
            "--release",
            "--manifest-path",
            "fuzz/Cargo.toml",
            "--bins",
        ])
        .args(["--target", &triple])
        .env("RUSTC_BOOTSTRAP", "1")
        .env("RUSTFLAGS", FLAGS)
        .env("CARGO_TARGET_DIR", "fuzz/target")
        .status()?;
    ensure!(
        status.success(),
        "the fuzz targets do not build for {triple}"
    );
    for name in names
        .iter()
        .filter(|name| only.is_empty() || only.contains(&name.as_str()))
    {
        report.check(&format!("fuzz {name} for {seconds} s"), || {
            let root = cargo::root().join("fuzz");
            let found = root.join("target/corpus").join(name);
            let artifacts = root.join("artifacts").join(name);
            let seeds = root.join("corpus").join(name);
            fs::create_dir_all(&found)?;
            fs::create_dir_all(&artifacts)?;
            let mut command =
                cargo::command(root.join("target").join(&triple).join("release").join(name));
            command
                .arg(format!("-max_total_time={seconds}"))
                .arg(format!("-artifact_prefix={}/", artifacts.display()))
                .args([
                    "-timeout=10",
                    "-rss_limit_mb=2048",
                    "-print_final_stats=1",
                    "-verbosity=0",
                ])
                // New inputs go to the first folder; the committed ones are only read.
                .arg(&found);
            if seeds.is_dir() {
                command.arg(&seeds);
            }
            let status = command.status()?;
            ensure!(
                status.success(),
                "{status}; the input is in {}",
                artifacts.display()
            );
            passed("")
        });
    }
    Ok(())
}

/// The binaries of the fuzz package.
fn targets() -> Result<Vec<String>> {
    let output = cargo::cargo()
        .args([
            "metadata",
            "--no-deps",
            "--format-version",
            "1",
            "--manifest-path",
            "fuzz/Cargo.toml",
        ])
        .output()?;
    ensure!(
        output.status.success(),
        "fuzz/Cargo.toml: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let value: Value = serde_json::from_slice(&output.stdout)?;
    let names: Vec<String> = value["packages"][0]["targets"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|target| target["kind"][0] == "bin")
        .filter_map(|target| target["name"].as_str().map(str::to_owned))
        .collect();
    ensure!(!names.is_empty(), "fuzz/ has no target");
    Ok(names)
}

fn host() -> Result<String> {
    let output = cargo::command(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
        .arg("-vV")
        .output()?;
    String::from_utf8(output.stdout)?
        .lines()
        .find_map(|line| line.strip_prefix("host: ").map(str::to_owned))
        .ok_or_else(|| "rustc does not say its host".into())
}
