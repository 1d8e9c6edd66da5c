//! What the documentation says against what is there: links, flags, reasons.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cargo;
use crate::report::{Report, Result, Verdict, ensure, passed};
use crate::tests::Binaries;

/// Links of all pages; needs nothing built.
pub(crate) fn links(report: &mut Report) {
    report.heading("documentation");
    report.check("links between pages lead somewhere", || {
        let mut seen = 0;
        let mut broken = Vec::new();
        for page in pages()? {
            let text = std::fs::read_to_string(&page)?;
            for target in relative_links(&text) {
                seen += 1;
                if !page.with_file_name(target).exists() {
                    broken.push(format!("{}: {target}", page.display()));
                }
            }
        }
        ensure!(broken.is_empty(), "{}", broken.join("\n  "));
        ensure!(seen > 0, "there is not one link");
        passed(format!("{seen} links"))
    });
    report.check(
        "docs/coverage.md names tests and files that are there",
        || {
            let page = std::fs::read_to_string(cargo::root().join("docs/coverage.md"))?;
            let features = page
                .split_once("## Features")
                .and_then(|(_, rest)| rest.split_once("## Queries"))
                .map(|(features, _)| features)
                .ok_or("no section of features")?;
            let named: BTreeSet<&str> = paths(features).collect();
            ensure!(!named.is_empty(), "no file is named");
            let missing: Vec<_> = named
                .iter()
                .filter(|path| !cargo::root().join(path).exists())
                .collect();
            ensure!(missing.is_empty(), "there is no {missing:?}");
            // Feature, where, tested by: only what is not there has no test.
            let bare: Vec<_> = features
                .lines()
                .filter(|line| line.ends_with("| |") && !line.starts_with("| **not**"))
                .collect();
            ensure!(bare.is_empty(), "not tested: {}", bare.join("\n  "));
            passed(format!("{} files", named.len()))
        },
    );
}

/// Paths of the repository in a page's code spans, where they are files and no patterns.
fn paths(text: &str) -> impl Iterator<Item = &str> {
    const ROOMS: [&str; 6] = [
        "crates/",
        "deploy/",
        "docs/",
        "monitoring/",
        "testdata/",
        "xtask/",
    ];
    text.split('`')
        .skip(1)
        .step_by(2)
        .filter(|code| ROOMS.iter().any(|room| code.starts_with(room)))
        .filter(|code| !code.contains(['*', '<', ' ']))
}

/// What the programs say of themselves, against the pages about them.
pub(crate) fn programs(binaries: &Binaries, report: &mut Report) {
    report.heading("documentation of the programs");
    report.check("docs/vllm-exporter.md has each flag, and no other", || {
        flags(binaries)
    });
    report.check(
        "docs/gpu-exporter.md has each flag of GPUs, and no other",
        || gpu_flags(binaries),
    );
    report.check(
        "docs/troubleshooting.md has each reason, and no other",
        reasons,
    );
}

/// All flags of a program.
fn real_flags(program: &Path) -> Result<BTreeSet<String>> {
    let output = Command::new(program).arg("--help").output()?;
    let help = String::from_utf8(output.stdout)?;
    // A flag's own line begins with it, after `-h, ` where it has a short form; a mention does not.
    let lines = help.lines().map(str::trim_start);
    let flags = lines
        .filter(|line| line.starts_with('-'))
        .filter_map(|line| words_with_dashes(line).next());
    Ok(flags.map(str::to_owned).collect())
}

/// The flags that the tables of a page have.
fn documented_flags(page: &str) -> Result<BTreeSet<String>> {
    let page = std::fs::read_to_string(cargo::root().join(page))?;
    let flags = page
        .lines()
        .filter(|line| line.starts_with("| `--"))
        .flat_map(|line| words_with_dashes(line.split('|').nth(1).unwrap_or_default()));
    Ok(flags.map(str::to_owned).collect())
}

fn flags(binaries: &Binaries) -> Result<Verdict> {
    same(
        &real_flags(&binaries.vllm_exporter)?,
        &documented_flags("docs/vllm-exporter.md")?,
    )
}

/// Those that the exporter of GPUs has beside those of all.
fn gpu_flags(binaries: &Binaries) -> Result<Verdict> {
    let of_all = real_flags(&binaries.vllm_exporter)?;
    let own = real_flags(&binaries.gpu_exporter)?;
    same(
        &own.difference(&of_all).cloned().collect(),
        &documented_flags("docs/gpu-exporter.md")?,
    )
}

/// `--like.this`, wherever it stands in the text.
fn words_with_dashes(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '.'))
        .filter(|word| word.starts_with("--") && word.len() > 2)
}

fn reasons() -> Result<Verdict> {
    // The set as the core spells it: `Self::Name => "name",` in one function.
    let source = std::fs::read_to_string(cargo::root().join("crates/core/src/error.rs"))?;
    let real: BTreeSet<&str> = source
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Self::")?.split_once(" => \""))
        .filter_map(|(_, rest)| rest.split('"').next())
        .collect();
    ensure!(!real.is_empty(), "no reason found in the source");
    let page = std::fs::read_to_string(cargo::root().join("docs/troubleshooting.md"))?;
    let documented: BTreeSet<&str> = page
        .lines()
        .filter(|line| line.starts_with("| `"))
        .flat_map(|line| {
            line.split('|')
                .nth(1)
                .unwrap_or_default()
                .split('`')
                .skip(1)
                .step_by(2)
        })
        .collect();
    same(&real, &documented)
}

fn same<T: Ord + Debug>(real: &BTreeSet<T>, documented: &BTreeSet<T>) -> Result<Verdict> {
    let missing: Vec<_> = real.difference(documented).collect();
    let invented: Vec<_> = documented.difference(real).collect();
    ensure!(
        missing.is_empty() && invented.is_empty(),
        "not documented: {missing:?}; documented, but not there: {invented:?}"
    );
    passed(format!("{}", real.len()))
}

/// The Markdown files of the repository.
fn pages() -> Result<Vec<PathBuf>> {
    let root = cargo::root();
    let mut found = Vec::new();
    for folder in ["", "docs", "testdata", "deploy"].map(|name| root.join(name)) {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.extension() == Some("md".as_ref()) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Targets of Markdown links that are files of the repository, without their anchors.
fn relative_links(text: &str) -> impl Iterator<Item = &str> {
    text.split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
        .filter(|target| !target.contains("://") && !target.starts_with('#'))
        .filter_map(|target| target.split('#').next())
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn finds_links_and_flags() {
        let text = "[a](b.md) [c](https://d) [e](f/g.md#h) [i](#j)";
        let links: Vec<_> = relative_links(text).collect();
        assert_eq!(links, ["b.md", "f/g.md"]);
        let named: Vec<_> = paths("`crates/a.rs`, crates/b, `docs/*.md` and `c`").collect();
        assert_eq!(named, ["crates/a.rs"]);
        let flags: Vec<_> = words_with_dashes("`--a.b-c X`, -- and --d.").collect();
        assert_eq!(flags, ["--a.b-c", "--d."]);
    }
}
