//! `cargo xtask package`: each crate builds from exactly what would be published.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cargo;
use crate::metadata::{self, Metadata, Package};
use crate::report::{Report, Result, ensure, passed};

/// Extra options go to cargo, for instance `--allow-dirty` before a commit.
pub(crate) fn run(options: &[String], report: &mut Report) -> Result<()> {
    report.heading("package");
    let graph = metadata::load()?;
    // Each unpacked crate is a workspace of its own to cargo: without one folder for all, each would
    // build all dependencies again.
    let folder = cargo::target_folder().join("packaging");
    report.check("cargo package --workspace", || {
        forget_earlier_runs(&folder, &graph)?;
        let status = cargo::cargo()
            .args(["package", "--workspace", "--locked"])
            .args(options)
            .env("CARGO_TARGET_DIR", &folder)
            .status()?;
        ensure!(status.success(), "see above");
        passed("")
    });
    report.check("every published crate was packed", || {
        let mut packed = 0;
        for package in published(&graph) {
            let file = packed_file(&folder, package);
            ensure!(file.is_file(), "{} is missing", file.display());
            packed += 1;
        }
        ensure!(packed > 0, "no crate is to be published");
        passed(format!("{packed} crates"))
    });
    report.check("every crate brings its licences along", || {
        for package in published(&graph) {
            brings_licences(&folder, package)?;
        }
        passed(LICENCES.join(", "))
    });
    Ok(())
}

/// In the root, and by symbolic links in each crate: cargo packs what they point to.
const LICENCES: [&str; 2] = ["LICENSE-MIT", "LICENSE-APACHE"];

fn brings_licences(folder: &Path, package: &Package) -> Result<()> {
    let file = packed_file(folder, package);
    for licence in LICENCES {
        let inside = format!("{}-{}/{licence}", package.name, package.version);
        let output = Command::new("tar")
            .arg("-xOzf")
            .arg(&file)
            .arg(&inside)
            .output()?;
        let whole = fs::read(cargo::root().join(licence))?;
        ensure!(
            output.status.success() && output.stdout == whole,
            "{} has no {licence}: ln -s ../../{licence} in its folder",
            package.name
        );
    }
    Ok(())
}

fn published(graph: &Metadata) -> impl Iterator<Item = &Package> {
    graph
        .members
        .iter()
        .filter_map(|id| graph.packages.get(id))
        .filter(|package| package.publishable)
}

fn packed_file(folder: &Path, package: &Package) -> PathBuf {
    folder
        .join("package")
        .join(format!("{}-{}.crate", package.name, package.version))
}

/// To verify a crate, cargo takes the others from a registry made for the run. It holds that what
/// comes from a registry never changes under one version, and so builds a change of ours against
/// the sources and artefacts of the run before. Here they do change: what it kept of them goes.
fn forget_earlier_runs(folder: &Path, graph: &Metadata) -> Result<()> {
    for package in published(graph) {
        let file = packed_file(folder, package);
        if file.is_file() {
            fs::remove_file(file)?;
        }
        let name = format!("{}-{}", package.name, package.version);
        // The name of a registry without a host, as that one is, begins with a dash.
        for registry in entries(&cargo_home().join("registry/src"))? {
            let kept = registry.join(&name);
            if file_name(&registry).starts_with('-') && kept.is_dir() {
                fs::remove_dir_all(kept)?;
            }
        }
        for fingerprint in entries(&folder.join("debug/.fingerprint"))? {
            if file_name(&fingerprint).starts_with(&format!("{}-", package.name)) {
                fs::remove_dir_all(fingerprint)?;
            }
        }
    }
    Ok(())
}

fn cargo_home() -> PathBuf {
    std::env::var_os("CARGO_HOME").map_or_else(
        || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cargo"),
        PathBuf::from,
    )
}

/// What is in a folder; nothing where there is none.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    Ok(fs::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<std::io::Result<_>>()?)
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}
