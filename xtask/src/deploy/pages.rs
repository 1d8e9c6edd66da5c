//! What the pages of the documentation tell people to type and to paste: commands that start something
//! start it, and scrapes keep the labels of the page.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::generated::files;
use super::none;
use super::programs::Programs;
use crate::cargo;
use crate::guard::Program;
use crate::http;
use crate::report::{Report, Result, Verdict, ensure};

pub(super) fn run(programs: &Programs, report: &mut Report) {
    report.heading("deploy: what the pages say");
    report.check("each configuration that is served there starts", || {
        serves(programs)
    });
    report.check("each scrape there takes the page's own labels", scrapes);
}

fn pages() -> Result<Vec<(PathBuf, String)>> {
    let root = cargo::root();
    let mut pages = files(&root.join("docs"), "md")?;
    pages.extend([root.join("README.md"), root.join("deploy/README.md")]);
    pages
        .into_iter()
        .map(|page| Ok((page.clone(), std::fs::read_to_string(page)?)))
        .collect()
}

/// Blocks of a page that are in this language.
fn blocks<'a>(page: &'a str, language: &str) -> Vec<&'a str> {
    page.split("\n```")
        .filter_map(|block| block.strip_prefix(language)?.strip_prefix('\n'))
        .collect()
}

/// Files of the repository that a page says to serve, as they are.
fn served(page: &str) -> Vec<&str> {
    blocks(page, "sh")
        .into_iter()
        .flat_map(str::lines)
        .filter_map(|line| line.strip_prefix("tokenpath serve --config "))
        .filter_map(|rest| rest.split_whitespace().next())
        .collect()
}

/// Starts each of them as somebody who has only cloned the repository, on a port of its own.
fn serves(programs: &Programs) -> Result<Verdict> {
    let mut faults = Vec::new();
    let mut seen = 0;
    for (page, text) in pages()? {
        for config in served(&text) {
            seen += 1;
            if let Err(error) = serve(&programs.folder.join("tokenpath"), config) {
                faults.push(format!("{}: {config}: {error}", page.display()));
            }
        }
    }
    ensure!(seen > 0, "none is served");
    none(faults, format!("{seen} commands"))
}

fn serve(program: &Path, config: &str) -> Result<()> {
    let address = http::free_address()?;
    let mut server = Program::start(
        Command::new(program)
            .current_dir(cargo::root())
            .env_clear()
            .args(["serve", "--config", config, "--web.listen-address"])
            .arg(address.to_string()),
    )?;
    server.wait_for("page", Duration::from_secs(20), || {
        http::get(address, "/healthz", &[])
            .is_ok_and(|answer| answer.status == 200)
            .then_some(())
    })?;
    let status = server.terminate(Duration::from_secs(10))?;
    ensure!(status.success(), "SIGTERM: {status}");
    Ok(())
}

/// How many jobs a block of YAML has, and how many of them honor labels.
fn jobs(yaml: &str) -> (usize, usize) {
    let count = |start: &str| {
        yaml.lines()
            .filter(|line| line.trim_start().starts_with(start))
            .count()
    };
    (count("- job_name: "), count("honor_labels: true"))
}

fn scrapes() -> Result<Verdict> {
    let mut faults = Vec::new();
    let mut seen = 0;
    for (page, text) in pages()? {
        for block in blocks(&text, "yaml") {
            let (all, honored) = jobs(block);
            seen += all;
            if all != honored {
                faults.push(format!("{}: no honor_labels:\n{block}", page.display()));
            }
        }
    }
    ensure!(seen > 0, "there is not one scrape");
    none(faults, format!("{seen} jobs"))
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn commands_and_jobs_are_found() {
        let page = "a `tokenpath serve --config x`\n```sh\ntokenpath serve --config a.yaml  # why\nls\n```\n\n\
                    ```yaml\nscrape_configs:\n  - job_name: a\n    honor_labels: true\n  - job_name: b\n```\n";
        assert_eq!(served(page), ["a.yaml"]);
        let found: Vec<_> = blocks(page, "yaml").into_iter().map(jobs).collect();
        assert_eq!(found, [(2, 1)]);
    }
}
