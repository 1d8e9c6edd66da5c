//! `tokenpath translate` on recorded and rendered pages of every backend: those of this repository, and
//! those of a larger corpus where there is one.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cargo;
use crate::e2e::{page, python};
use crate::report::{Report, Result, Verdict, ensure, passed};
use crate::tests::Binaries;
use crate::tools;

/// Folders of pages, in `testdata/` and in the corpus, and whose pages they are.
const FOLDERS: [(&str, &str); 4] = [
    ("vllm", "vllm"),
    ("tgi", "tgi"),
    ("limitador", "limitador"),
    ("epp", "gateway"),
];

/// Text files of the corpus that are no page.
const NO_PAGES: [&str; 1] = ["families_v0.26.0.txt"];

/// Pages of servers that have nothing to tell: no request has come yet, or nothing is of the token path.
const IDLE: [&str; 2] = ["idle.txt", "sidecar-moriio-0.10.txt"];

/// Names that no server says: slips in pages that were written by hand.
const SLIPS: [&str; 1] = ["iinference_model_request_tpot_seconds_bucket"];

pub(crate) fn run(corpus: Option<&Path>, binaries: &Binaries, report: &mut Report) {
    report.heading("end to end: translate");
    let promtool = tools::prometheus();
    let python = tools::python_client();
    for (folder, backend) in FOLDERS {
        let found = pages(&cargo::root().join("testdata").join(folder));
        let pages = match found {
            Ok(pages) => pages,
            Err(error) => {
                report.check(&format!("testdata/{folder} has pages"), || Err(error));
                continue;
            }
        };
        if backend == "vllm" {
            report.check("testdata/vllm has a page of every kind", || {
                every_kind(&pages)
            });
        }
        for file in &pages {
            let page = Translated {
                binaries,
                backend,
                file,
            };
            let name = format!("{folder}/{}", name(file));
            report.check(
                &format!("{name}: promtool is silent, --explain accounts for every family"),
                || page.is_good(&promtool),
            );
            if !page.is_idle() {
                report.check(
                    &format!("{name}: OpenMetrics is accepted by the Python client"),
                    || page.is_read_by_python(&python),
                );
            }
        }
        if let Some(corpus) = corpus {
            report.check(
                &format!("every page of the corpus in fixtures/{folder} is as good"),
                || {
                    let pages = self::pages(&corpus.join("fixtures").join(folder))?;
                    for file in &pages {
                        let page = Translated {
                            binaries,
                            backend,
                            file,
                        };
                        page.is_good(&promtool)
                            .map_err(|error| format!("{}: {error}", file.display()))?;
                    }
                    match &promtool {
                        Ok(()) => passed(format!("{} pages", pages.len())),
                        Err(why) => Ok(Verdict::Skipped(why.clone())),
                    }
                },
            );
        }
    }
}

fn name(file: &Path) -> String {
    let name = file.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// A page in the hands of the program.
struct Translated<'a> {
    binaries: &'a Binaries,
    backend: &'a str,
    file: &'a Path,
}

impl Translated<'_> {
    fn is_idle(&self) -> bool {
        IDLE.contains(&name(self.file).as_str())
    }

    fn write(&self, options: &[&str]) -> Result<Written> {
        let output = tools::pipe(
            Command::new(&self.binaries.tokenpath)
                .args(["translate", "--backend", self.backend])
                .args(options),
            &std::fs::read(self.file)?,
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
            self.is_idle() || !written.stdout.is_empty(),
            "nothing came out: {}",
            written.stderr
        );
        Ok(written)
    }

    /// Ours is one valid page, and nothing of theirs is lost silently.
    fn is_good(&self, promtool: &std::result::Result<(), String>) -> Result<Verdict> {
        let ours = self.write(&[])?.stdout;
        if !ours.is_empty() {
            page::declared_once(&ours)?;
        }
        let families = self.is_explained()?;
        if let Err(why) = promtool {
            return Ok(Verdict::Skipped(why.clone()));
        }
        let said = tools::promtool_check(&ours)?;
        ensure!(said.is_empty(), "{said}");
        let samples = page::samples(&ours)?.len();
        passed(format!("{families} families, {samples} samples of ours"))
    }

    fn is_read_by_python(&self, python: &std::result::Result<PathBuf, String>) -> Result<Verdict> {
        let ours = self.write(&["--output", "openmetrics-1.0"])?;
        match python {
            Ok(python) => passed(format!(
                "{} samples",
                python::openmetrics_samples(python, &ours.stdout)?
            )),
            Err(why) => Ok(Verdict::Skipped(why.clone())),
        }
    }

    /// Every family is named by `--explain`, and none as unknown or of a type that is not known.
    fn is_explained(&self) -> Result<usize> {
        let written = self.write(&["--explain"])?;
        let words: BTreeSet<&str> = written
            .stdout
            .split_whitespace()
            .chain(written.stderr.split_whitespace())
            .map(|word| word.trim_matches([',', ';', '`', '"', '(', ')']))
            .collect();
        let theirs = String::from_utf8(std::fs::read(self.file)?)?;
        let samples = page::samples(&theirs)?;
        let mut missing: Vec<&str> = samples
            .iter()
            .map(|sample| sample.name.as_str())
            .filter(|name| !families_of(name).any(|family| words.contains(family)))
            .collect();
        // Of a family without samples there is nothing to tell.
        let sampled: BTreeSet<&str> = samples
            .iter()
            .flat_map(|sample| families_of(&sample.name))
            .collect();
        // In OpenMetrics the Python client declares `vllm:x` and writes samples of `vllm_x`.
        missing.extend(page::declared(&theirs).filter(|name| {
            let written = name.replace(':', "_");
            let spellings = [
                (*name).to_owned(),
                format!("{name}_total"),
                format!("{written}_total"),
                written,
            ];
            let known = |known: &BTreeSet<&str>| spellings.iter().any(|it| known.contains(&**it));
            known(&sampled) && !known(&words)
        }));
        missing.dedup();
        ensure!(missing.is_empty(), "not mentioned: {missing:?}");
        let unknown: Vec<&str> = unaccounted(&written.stdout)
            .filter(|name| !SLIPS.contains(name))
            .collect();
        ensure!(unknown.is_empty(), "not accounted for: {unknown:?}");
        Ok(page::declared(&theirs).count())
    }
}

/// The families of the sections that say what is not understood.
fn unaccounted(explained: &str) -> impl Iterator<Item = &str> {
    let mut inside = false;
    explained.lines().filter_map(move |line| {
        if !line.starts_with(' ') {
            inside = line.starts_with("unknown (") || line.starts_with("another type than known (");
            return None;
        }
        line.split_whitespace().next().filter(|_| inside)
    })
}

/// What a run wrote.
struct Written {
    stdout: String,
    stderr: String,
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
                && !NO_PAGES.contains(&name(&path).as_str())
            {
                found.push(path);
            }
        }
    }
    found.sort();
    ensure!(!found.is_empty(), "{} has no page", folder.display());
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_that_are_not_understood_are_found() {
        let explained = "mapped (1)\n  a  gauge  1  ours\n\nunknown (2)\n  b  gauge  1  no row\n  c  \
                         gauge  1  no row\n\nanother type than known (1)\n  d  gauge\n\n3 families\n";
        assert_eq!(unaccounted(explained).collect::<Vec<_>>(), ["b", "c", "d"]);
        assert_eq!(unaccounted("mapped (1)\n  a\n").count(), 0);
    }
}
