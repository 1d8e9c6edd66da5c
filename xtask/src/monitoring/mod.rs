//! `cargo xtask monitoring`: rules, their tests, dashboards, objectives and runbooks hold together, name what exists,
//! and do what they are meant to in a real Prometheus.

mod dashboards;
mod files;
mod live;
mod pack;
mod promql;
mod slo;
mod yaml;

use std::path::{Path, PathBuf};

use self::pack::{Look, Rule};
use crate::cargo;
use crate::report::{Report, Result};

/// Where the published pages of the runbooks are.
const RUNBOOKS: &str = "https://github.com/tokenpath/tokenpath/blob/main/docs/runbooks/";

/// What there is in `monitoring/`, read.
struct Pack {
    root: PathBuf,
    rule_files: Vec<PathBuf>,
    test_files: Vec<PathBuf>,
    rules: Vec<Rule>,
    looks: Vec<Look>,
    /// As their descriptions have them.
    dashboards: Vec<dashboards::Made>,
    objectives: Vec<slo::Made>,
}

/// Runs the checks; with `--write`, writes what is made from descriptions and checks the files alone.
pub(crate) fn run(arguments: &[String], report: &mut Report) -> Result<()> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (write, files_too, live_too) = match arguments.as_slice() {
        [] => (false, true, true),
        ["--write"] => (true, true, false),
        ["--only", "files"] => (false, true, false),
        ["--only", "live"] => (false, false, true),
        other => return Err(format!("`monitoring` has no options {other:?}").into()),
    };
    let pack = Pack::read(cargo::root(), write)?;
    if files_too {
        files::run(&pack, report)?;
    }
    if live_too {
        live::run(&pack, report)?;
    }
    Ok(())
}

impl Pack {
    fn read(root: PathBuf, write: bool) -> Result<Self> {
        let monitoring = root.join("monitoring");
        let dashboards = dashboards::make(&monitoring)?;
        let objectives = slo::make(&root)?;
        if write {
            for (file, text) in made(&dashboards, &objectives) {
                std::fs::write(file, text)?;
            }
        }
        let rule_files = pack::files(&monitoring.join("rules"), "yml")?;
        let test_files = pack::files(&monitoring.join("tests"), "yml")?;
        let mut rules = Vec::new();
        for file in &rule_files {
            let text = std::fs::read_to_string(file)?;
            rules.extend(pack::rules(&pack::name_of(file), &text));
        }
        let mut looks = Vec::new();
        for file in &test_files {
            looks.extend(pack::looks(&std::fs::read_to_string(file)?));
        }
        Ok(Self {
            root,
            rule_files,
            test_files,
            rules,
            looks,
            dashboards,
            objectives,
        })
    }
}

/// Files that are made from descriptions, with what they should say.
fn made<'a>(
    dashboards: &'a [dashboards::Made],
    objectives: &'a [slo::Made],
) -> impl Iterator<Item = (&'a Path, &'a str)> {
    let dashboards = dashboards.iter().map(|made| (&made.file, &made.text));
    let objectives = objectives.iter().map(|made| (&made.file, &made.text));
    dashboards
        .chain(objectives)
        .map(|(file, text)| (file.as_path(), text.as_str()))
}
