//! `tokenpath translate` on recorded and rendered pages of every kind.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cargo;
use crate::e2e::{page, python};
use crate::report::{Report, Result, Verdict, ensure, passed};
use crate::tests::Binaries;
use crate::tools;

pub(crate) fn run(binaries: &Binaries, report: &mut Report) {
    report.heading("end to end: translate");
    let pages = match pages(&cargo::root().join("testdata/vllm")) {
        Ok(pages) => pages,
        Err(error) => {
            report.check("testdata/vllm has pages", || Err(error));
            return;
        }
    };
    report.check("testdata/vllm has a page of every kind", || {
        every_kind(&pages)
    });
    let promtool = tools::prometheus();
    let python = tools::python_client();
    for file in &pages {
        let name = file
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        report.check(&format!("{name}: promtool is silent"), || {
            let ours = translate(binaries, file, &[])?;
            if let Err(why) = &promtool {
                return Ok(Verdict::Skipped(why.clone()));
            }
            let said = tools::promtool_check(&ours.stdout)?;
            ensure!(said.is_empty(), "{said}");
            passed(format!("{} samples", page::samples(&ours.stdout)?.len()))
        });
        report.check(
            &format!("{name}: OpenMetrics is accepted by the Python client"),
            || {
                let ours = translate(binaries, file, &["--output", "openmetrics-1.0"])?;
                match &python {
                    Ok(python) => passed(format!(
                        "{} samples",
                        python::openmetrics_samples(python, &ours.stdout)?
                    )),
                    Err(why) => Ok(Verdict::Skipped(why.clone())),
                }
            },
        );
        report.check(
            &format!("{name}: --explain accounts for every family"),
            || explained(binaries, file),
        );
    }
}

/// What a run wrote.
struct Written {
    stdout: String,
    stderr: String,
}

fn translate(binaries: &Binaries, file: &Path, options: &[&str]) -> Result<Written> {
    let output = tools::pipe(
        Command::new(&binaries.tokenpath)
            .args(["translate", "--backend", "vllm"])
            .args(options),
        &std::fs::read(file)?,
    )?;
    let written = Written {
        stdout: String::from_utf8(output.stdout)?,
        stderr: String::from_utf8(output.stderr)?,
    };
    ensure!(
        output.status.success(),
        "{}: {}",
        output.status,
        written.stderr
    );
    ensure!(
        !written.stdout.is_empty(),
        "nothing came out: {}",
        written.stderr
    );
    Ok(written)
}

fn explained(binaries: &Binaries, file: &Path) -> Result<Verdict> {
    let written = translate(binaries, file, &["--explain"])?;
    let words: std::collections::BTreeSet<&str> = written
        .stdout
        .split_whitespace()
        .chain(written.stderr.split_whitespace())
        .map(|word| word.trim_matches([',', ';', '`', '"', '(', ')']))
        .collect();
    let theirs = String::from_utf8(std::fs::read(file)?)?;
    let samples = page::samples(&theirs)?;
    let mut missing: Vec<&str> = samples
        .iter()
        .map(|sample| sample.name.as_str())
        .filter(|name| !families_of(name).any(|family| words.contains(family)))
        .collect();
    // In OpenMetrics the Python client declares `vllm:x` and writes samples of `vllm_x`.
    missing.extend(page::declared(&theirs).filter(|name| {
        let written = name.replace(':', "_");
        let spellings = [format!("{name}_total"), format!("{written}_total"), written];
        !words.contains(name) && !spellings.iter().any(|name| words.contains(name.as_str()))
    }));
    missing.dedup();
    ensure!(missing.is_empty(), "not mentioned: {missing:?}");
    passed(format!(
        "{} families, {} samples",
        page::declared(&theirs).count(),
        samples.len()
    ))
}

/// The names that the family of a sample may have.
fn families_of(sample: &str) -> impl Iterator<Item = &str> {
    let suffixes = ["_bucket", "_sum", "_count", "_total", "_created", "_info"];
    std::iter::once(sample).chain(
        suffixes
            .into_iter()
            .filter_map(|suffix| sample.strip_suffix(suffix)),
    )
}

/// The kinds that behave differently are there: both engines, two data-parallel engines, several
/// processes, OpenMetrics.
fn every_kind(pages: &[PathBuf]) -> Result<Verdict> {
    let mut kinds = [
        ("V0", false),
        ("V1", false),
        ("two engines", false),
        ("several processes", false),
        ("OpenMetrics", false),
    ];
    for file in pages {
        let text = std::fs::read_to_string(file)?;
        let found = [
            text.contains("vllm:gpu_cache_usage_perc")
                && text.contains("vllm:num_requests_swapped"),
            text.contains("vllm:kv_cache_usage_perc"),
            text.contains("engine=\"1\""),
            sum_before_buckets(&text),
            text.trim_end().ends_with("# EOF"),
        ];
        for ((_, seen), found) in kinds.iter_mut().zip(found) {
            *seen |= found;
        }
    }
    let missing: Vec<&str> = kinds
        .iter()
        .filter(|(_, seen)| !seen)
        .map(|(kind, _)| *kind)
        .collect();
    ensure!(
        missing.is_empty(),
        "no page of {missing:?} among {}",
        pages.len()
    );
    passed(format!("{} pages", pages.len()))
}

/// The Python client's multi-process mode writes the sum of a histogram before its buckets.
fn sum_before_buckets(page: &str) -> bool {
    let place = |suffix: &str| page.find(&format!("vllm:e2e_request_latency_seconds_{suffix}{{"));
    matches!((place("sum"), place("bucket")), (Some(sum), Some(bucket)) if sum < bucket)
}

/// All `.txt` and `.prom` files below a folder, in order.
fn pages(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in
            std::fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?
        {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path
                .extension()
                .is_some_and(|kind| kind == "txt" || kind == "prom")
            {
                found.push(path);
            }
        }
    }
    found.sort();
    ensure!(!found.is_empty(), "{} has no page", folder.display());
    Ok(found)
}
