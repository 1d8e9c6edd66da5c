//! Whether the manifests bring all of `monitoring/` along.

use crate::cargo;
use crate::json::{list, text};
use crate::report::{Result, Verdict};

use super::super::generated::{files, name_of};
use super::super::none;
use super::objects::{Build, title};

/// The build that has all of it against the files of `monitoring/`.
pub(super) fn complete(builds: &[Build]) -> Result<Verdict> {
    let all = builds
        .iter()
        .find(|build| build.name == "overlays/kube-prometheus-stack")
        .ok_or("no build with all of it")?;
    let mut faults = Vec::new();
    let dashboards = files(&cargo::root().join("monitoring/dashboards"), "json")?;
    for file in &dashboards {
        let wanted = std::fs::read_to_string(file)?;
        let name = name_of(file);
        let is_there = all
            .of_kind("ConfigMap")
            .any(|map| map["data"][&name].as_str() == Some(&wanted));
        if !is_there {
            faults.push(format!("{name} is in no ConfigMap as it is"));
        }
    }
    let rules = files(&cargo::root().join("monitoring/rules"), "yml")?;
    for file in &rules {
        let wanted = count(&std::fs::read_to_string(file)?);
        let stem = name_of(file).replace(".yml", "");
        let there: usize = all
            .of_kind("PrometheusRule")
            .filter(|rule| text(rule, "/metadata/name") == format!("tokenpath-{stem}"))
            .flat_map(|rule| list(rule, "/spec/groups"))
            .map(|group| list(group, "/rules").len())
            .sum();
        if wanted != there {
            faults.push(format!("{stem}: {there} rules of {wanted}"));
        }
    }
    // What is applied beside kube-prometheus-stack: its Prometheus looks past what lacks its label.
    let beside = builds.iter().filter(|build| build.name == "sidecar");
    for build in beside.chain([all]) {
        for kind in ["ServiceMonitor", "PodMonitor", "PrometheusRule"] {
            for object in build.of_kind(kind) {
                if text(object, "/metadata/labels/release") != "kube-prometheus-stack" {
                    faults.push(format!(
                        "{}: {} has no label `release`",
                        build.name,
                        title(object)
                    ));
                }
            }
        }
    }
    none(
        faults,
        format!(
            "{} dashboards, {} rule files",
            dashboards.len(),
            rules.len()
        ),
    )
}

/// How many rules a file has, by its lines.
fn count(rules: &str) -> usize {
    rules
        .lines()
        .map(|line| line.trim_start().trim_start_matches("- "))
        .filter(|line| line.starts_with("alert: ") || line.starts_with("record: "))
        .count()
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn rules_are_counted_by_their_lines() {
        assert_eq!(
            count("groups:\n  - rules:\n    - alert: A\n    - record: b\n      expr: c\n"),
            2
        );
    }
}
