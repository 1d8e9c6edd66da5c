//! `cargo xtask licences`: every crate that anything here is built from has an accepted licence.
//!
//! `deny.toml` holds the same rules for cargo-deny, which is asked too where it is installed; a
//! check here keeps both lists equal.

use crate::cargo;
use crate::metadata::{self, Metadata};
use crate::report::{Report, Result, Verdict, ensure, passed};
use crate::spdx;
use crate::tools;

/// Permissive licences that ask for no more than notices.
const ACCEPTED: [&str; 10] = [
    "Apache-2.0",
    "BSD-1-Clause",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CDLA-Permissive-2.0", // the root certificates of Mozilla, as data
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Zlib",
];

const OURS: &str = "MIT OR Apache-2.0";
/// What the source of a package from a registry begins with, in `cargo metadata`.
const REGISTRY: &str = "registry+";

pub(crate) fn run(report: &mut Report) -> Result<()> {
    report.heading("licences");
    let graph = metadata::load()?;
    report.check("every dependency has an accepted licence", || {
        dependencies(&graph)
    });
    report.check("every dependency comes from the registry", || {
        sources(&graph)
    });
    report.check("every crate of ours says its licence", || own(&graph));
    report.check("deny.toml accepts the same licences", || {
        same_list(&std::fs::read_to_string(cargo::root().join("deny.toml"))?)
    });
    // A second opinion where it is there, never a reason to install for twenty minutes.
    if tools::is_installed("cargo-deny") {
        report.check("cargo-deny agrees", deny);
    } else {
        println!("        cargo-deny is not installed: the checks above stand alone");
    }
    Ok(())
}

fn dependencies(graph: &Metadata) -> Result<Verdict> {
    let mut refused = Vec::new();
    let mut seen = 0;
    for (id, package) in &graph.packages {
        seen += 1;
        let why = match &package.licence {
            None => "it names none".to_owned(),
            Some(expression) => match spdx::accepts(expression, &ACCEPTED) {
                Ok(true) => continue,
                Ok(false) => expression.clone(),
                Err(error) => error,
            },
        };
        refused.push(format!(
            "{} {}: {why}\n    it came in by {}",
            package.name,
            package.version,
            graph.way_to(id)
        ));
    }
    ensure!(
        refused.is_empty(),
        "not accepted:\n  {}",
        refused.join("\n  ")
    );
    passed(format!("{seen} crates"))
}

fn sources(graph: &Metadata) -> Result<Verdict> {
    // There is one registry: whatever does not come from where the first package does is strange.
    let registry = graph
        .packages
        .values()
        .filter_map(|package| package.source.as_deref())
        .find(|source| source.starts_with(REGISTRY));
    let strange: Vec<String> = graph
        .packages
        .iter()
        .filter(|(id, package)| match &package.source {
            Some(source) => Some(source.as_str()) != registry,
            None => !graph.members.contains(*id),
        })
        .map(|(id, package)| {
            let source = package
                .source
                .as_deref()
                .unwrap_or("a folder outside the workspace");
            format!("{} from {source}, by {}", package.name, graph.way_to(id))
        })
        .collect();
    ensure!(strange.is_empty(), "{}", strange.join("\n  "));
    passed("")
}

fn own(graph: &Metadata) -> Result<Verdict> {
    for id in &graph.members {
        let package = graph
            .packages
            .get(id)
            .ok_or("a member that is no package")?;
        ensure!(
            package.licence.as_deref() == Some(OURS),
            "{} says {:?} instead of {OURS:?}",
            package.name,
            package.licence
        );
    }
    for file in ["LICENSE-MIT", "LICENSE-APACHE"] {
        ensure!(cargo::root().join(file).is_file(), "{file} is missing");
    }
    passed(format!("{} crates", graph.members.len()))
}

/// The `allow = [ … ]` list of deny.toml, read without a TOML parser: one licence a line.
fn same_list(deny: &str) -> Result<Verdict> {
    let mut listed: Vec<&str> = deny
        .lines()
        .skip_while(|line| line.trim() != "allow = [")
        .skip(1)
        .take_while(|line| line.trim() != "]")
        .filter_map(|line| line.split('"').nth(1))
        .collect();
    listed.sort_unstable();
    ensure!(
        listed == ACCEPTED,
        "deny.toml has {listed:?}, this check has {ACCEPTED:?}"
    );
    passed("")
}

fn deny() -> Result<Verdict> {
    let status = cargo::cargo()
        .args([
            "deny",
            "--offline",
            "--all-features",
            "check",
            "bans",
            "licenses",
            "sources",
        ])
        .status()?;
    ensure!(status.success(), "see above");
    passed("")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_differs_is_seen() {
        let mut deny = String::from("[licenses]\nallow = [\n");
        for licence in ACCEPTED {
            deny.push_str(&format!("    \"{licence}\",\n"));
        }
        assert!(same_list(&format!("{deny}]\n")).is_ok());
        assert!(same_list(&format!("{deny}    \"GPL-3.0-only\",\n]\n")).is_err());
        assert!(same_list("").is_err());
    }
}
