//! `cargo xtask package`: each crate builds from exactly what would be published.

use crate::cargo;
use crate::metadata;
use crate::report::{Report, Result, ensure, passed};

/// Extra options go to cargo, for instance `--allow-dirty` before a commit.
pub(crate) fn run(options: &[String], report: &mut Report) -> Result<()> {
    report.heading("package");
    let graph = metadata::load()?;
    report.check("cargo package --workspace", || {
        let status = cargo::cargo()
            .args(["package", "--workspace", "--locked"])
            .args(options)
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
            let file = cargo::target_folder()
                .join("package")
                .join(format!("{}-{}.crate", package.name, package.version));
            ensure!(file.is_file(), "{} is missing", file.display());
            packed += 1;
        }
        ensure!(packed > 0, "no crate is to be published");
        passed(format!("{packed} crates"))
    });
    Ok(())
}
