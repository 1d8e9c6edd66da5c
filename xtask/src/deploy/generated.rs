//! Files of `deploy/` that are made from others: rules as PrometheusRule, dashboards as ConfigMaps.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::cargo;
use crate::report::{Report, Result, Verdict, ensure, passed};

const MADE: &str = "made by `cargo xtask deploy --write`";

pub(super) fn run(write: bool, report: &mut Report) {
    report.heading("deploy: what is made from monitoring/");
    report.check("PrometheusRules and dashboards are up to date", || {
        up_to_date(write)
    });
}

fn up_to_date(write: bool) -> Result<Verdict> {
    let root = cargo::root();
    let mut wanted = rules(&root.join("monitoring/rules"))?;
    wanted.insert(
        "monitoring/dashboards/kustomization.yaml".to_owned(),
        dashboards(&root.join("monitoring/dashboards"))?,
    );
    if write {
        for (file, text) in &wanted {
            std::fs::write(root.join(file), text)?;
        }
    }
    let mut faults: Vec<_> = wanted
        .iter()
        .filter(|(file, text)| {
            std::fs::read_to_string(root.join(file)).ok().as_ref() != Some(*text)
        })
        .map(|(file, _)| format!("{file} is not what would be made"))
        .collect();
    for file in files(&root.join("deploy/kubernetes/rules"), "yaml")? {
        let name = format!("deploy/kubernetes/rules/{}", name_of(&file));
        if !wanted.contains_key(&name) {
            faults.push(format!("{name} is made of nothing that is there"));
        }
    }
    ensure!(
        faults.is_empty(),
        "{}\n  cargo xtask deploy --write writes them",
        faults.join("\n  ")
    );
    passed(format!("{} files", wanted.len()))
}

/// The rule files as manifests, each with its comments, and their kustomization.
fn rules(folder: &Path) -> Result<BTreeMap<String, String>> {
    let mut made = BTreeMap::new();
    let mut resources = String::new();
    for file in files(folder, "yml")? {
        let stem = file
            .file_stem()
            .and_then(|stem| stem.to_str())
            .ok_or("a rule file without a name")?;
        let text = std::fs::read_to_string(&file)?;
        made.insert(
            format!("deploy/kubernetes/rules/{stem}.yaml"),
            manifest(stem, &text)?,
        );
        resources.push_str(&format!("  - {stem}.yaml\n"));
    }
    ensure!(!made.is_empty(), "there is not one rule file");
    made.insert(
        "deploy/kubernetes/rules/kustomization.yaml".to_owned(),
        format!(
            "# The rules of monitoring/rules for the Prometheus operator; {MADE}.\n\
             apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n\n\
             namespace: monitoring\n\nresources:\n{resources}"
        ),
    );
    Ok(made)
}

/// The text of a rule file, a level deeper. It is not parsed: comments stay, and so does every
/// expression to the letter.
fn manifest(stem: &str, text: &str) -> Result<String> {
    let mut made = format!(
        "# From monitoring/rules/{stem}.yml; {MADE}.\n\
         apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nmetadata:\n\
         \x20 name: tokenpath-{stem}\n  labels:\n    app.kubernetes.io/name: tokenpath\nspec:\n"
    );
    ensure!(
        text.lines().any(|line| line == "groups:"),
        "{stem}.yml has no `groups:` at the beginning of a line"
    );
    for line in text.lines() {
        if !line.is_empty() {
            made.push_str("  ");
            made.push_str(line);
        }
        made.push('\n');
    }
    Ok(made)
}

/// A generator of one ConfigMap a dashboard: together they would be larger than one may be.
fn dashboards(folder: &Path) -> Result<String> {
    let mut made = format!(
        "# The dashboards as ConfigMaps; {MADE}. It stands here because kustomize reads\n\
         # no files from above its own folder.\n\
         apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n\n\
         generatorOptions:\n  disableNameSuffixHash: true\n  labels:\n\
         \x20   app.kubernetes.io/name: tokenpath\n    grafana_dashboard: \"1\"\n\n\
         configMapGenerator:\n"
    );
    let all = files(folder, "json")?;
    ensure!(!all.is_empty(), "there is not one dashboard");
    for file in all {
        let name = name_of(&file);
        let stem = name.trim_end_matches(".json");
        made.push_str(&format!(
            "  - name: dashboard-{stem}\n    files: [{name}]\n"
        ));
    }
    Ok(made)
}

/// The files of a folder with this extension, in order; none where there is no folder.
pub(super) fn files(folder: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|known| known == extension) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

pub(super) fn name_of(file: &Path) -> String {
    file.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn a_rule_file_goes_a_level_deeper() -> Result<()> {
        let made = manifest("a", "# why\ngroups:\n\n  - name: b\n    rules: []\n")?;
        let (_, spec) = made.split_once("\nspec:\n").ok_or("no spec")?;
        assert_eq!(
            spec,
            "  # why\n  groups:\n\n    - name: b\n      rules: []\n"
        );
        assert!(manifest("a", "rules: []\n").is_err());
        Ok(())
    }
}
