//! `cargo xtask package`: each crate builds from exactly what would be published.

use std::path::PathBuf;

use crate::cargo;
use crate::metadata::{self, Package};
use crate::report::{Report, Result, ensure, passed};

/// Extra options go to cargo, for instance `--allow-dirty` before a commit.
pub(crate) fn run(options: &[String], report: &mut Report) -> Result<()> {
    report.heading("package");
    let graph = metadata::load()?;
    report.check("cargo package --workspace", || {
        // Of an earlier run: the check below must see what this one packed.
        for package in graph.packages.values() {
            let old = packed_file(package);
            if old.is_file() {
                std::fs::remove_file(old)?;
            }
        }
        let status = cargo::cargo()
            .args(["package", "--workspace", "--locked"])
            .args(options)
            // Each unpacked crate is a workspace of its own to cargo; without this each would build
            // all dependencies again, in a folder of its own.
            .env("CARGO_TARGET_DIR", cargo::target_folder())
            .status()?;
        ensure!(status.success(), "see above");
        passed("")
    });
    report.check("every published crate was packed", || {
        let mut packed = 0;
        for id in &graph.members {
            let Some(package) = graph.packages.get(id).filter(|package| package.publishable) else {
                continue;
            };
            let file = packed_file(package);
            ensure!(file.is_file(), "{} is missing", file.display());
            packed += 1;
        }
        ensure!(packed > 0, "no crate is to be published");
        passed(format!("{packed} crates"))
    });
    Ok(())
}

fn packed_file(package: &Package) -> PathBuf {
    cargo::target_folder()
        .join("package")
        .join(format!("{}-{}.crate", package.name, package.version))
}
