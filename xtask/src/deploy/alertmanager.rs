//! Alertmanager's configuration: read by amtool, and asked of a real Alertmanager who is told of what.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::generated::files;
use super::{none, said};
use crate::cargo;
use crate::guard::Program;
use crate::http;
use crate::json::{list, text};
use crate::report::{Report, Result, Verdict, ensure};
use crate::tools;

/// Alerts that fire together, as `name label=value …`, and whether one of the others speaks for it.
/// Pods are told apart by `instance` alone: beside each engine the exporter's target is `localhost:8000`.
const TOGETHER: [(&str, bool); 40] = [
    ("CriticalTTFT backend=vllm model_name=a", false),
    ("HighTTFT backend=vllm model_name=a", true),
    ("HighTTFTP95 backend=vllm model_name=a", true),
    ("HighTTFT backend=vllm model_name=b", false),
    ("HighTTFT backend=vllm model_name=a role=decode", false),
    ("HighTTFT backend=vllm model_name=a cluster=c", false),
    ("InferenceQueueLengthHigh backend=vllm model_name=a", false),
    ("InferenceQueueBuildingUp backend=vllm model_name=a", true),
    ("InferenceQueueBuildingUp backend=vllm model_name=b", false),
    (
        "InferenceQueueCritical backend=vllm model_name=b cluster=c",
        false,
    ),
    (
        "InferenceQueueLengthHigh backend=vllm model_name=b cluster=c",
        true,
    ),
    (
        "QueueDepthCritical backend=vllm model_name=a target=t instance=pod-1",
        false,
    ),
    (
        "QueueDepthWarning backend=vllm model_name=a target=t instance=pod-1",
        true,
    ),
    (
        "QueueDepthWarning backend=vllm model_name=a target=t instance=pod-2",
        false,
    ),
    (
        "QueueDepthWarning backend=vllm model_name=b target=t instance=pod-1",
        false,
    ),
    // As the rules have them that add up what Prometheus reads of a target.
    (
        "QueueDepthCritical backend=vllm model_name=c target=t",
        false,
    ),
    ("QueueDepthWarning backend=vllm model_name=c target=t", true),
    (
        "HighGPUCacheUsage backend=vllm model_name=a target=t instance=pod-1",
        false,
    ),
    (
        "KVCacheUsageCritical backend=vllm model_name=a target=t instance=pod-1",
        true,
    ),
    (
        "KVCacheUsageWarning backend=vllm model_name=a target=t instance=pod-1",
        true,
    ),
    (
        "KVCacheUsageCritical backend=vllm model_name=a target=t instance=pod-2",
        false,
    ),
    (
        "KVCacheUsageWarning backend=vllm model_name=a target=t instance=pod-2",
        true,
    ),
    (
        "KVCacheUsageWarning backend=vllm model_name=a target=t instance=pod-3",
        false,
    ),
    (
        "KVCacheUsageWarning backend=vllm model_name=b target=t instance=pod-1",
        false,
    ),
    ("SourceDown backend=gateway target=t instance=pod-1", false),
    (
        "SchedulerUnhealthy backend=gateway target=t instance=pod-1",
        true,
    ),
    (
        "SchedulerUnhealthy backend=gateway target=t instance=pod-2",
        false,
    ),
    (
        "SchedulerUnhealthy backend=gateway target=u instance=pod-1",
        false,
    ),
    (
        "ErrorBudgetBurnsFast backend=vllm model_name=a slo=ttft",
        false,
    ),
    (
        "ErrorBudgetBurnsSlowly backend=vllm model_name=a slo=ttft",
        true,
    ),
    (
        "ErrorBudgetBurnsSlowly backend=vllm model_name=a slo=latency",
        false,
    ),
    (
        "ErrorBudgetBurnsFast backend=gateway model_name=a slo=tenant-ttft tenant=x",
        false,
    ),
    (
        "ErrorBudgetBurnsSlowly backend=gateway model_name=a slo=tenant-ttft tenant=x",
        true,
    ),
    (
        "ErrorBudgetBurnsSlowly backend=gateway model_name=a slo=tenant-ttft tenant=y",
        false,
    ),
    ("GPUMemoryExhaustion uuid=1", false),
    ("GPUMemoryCritical uuid=1", true),
    ("GPUMemoryHigh uuid=1", true),
    ("GPUMemoryCritical uuid=2", false),
    ("GPUMemoryWarning uuid=2", true),
    ("GPUMemoryHigh uuid=3", false),
];

pub(super) fn run(stack: &Path, report: &mut Report) {
    let file = stack.join("alertmanager/alertmanager.yml");
    let installed = tools::alertmanager();
    report.check(
        "amtool takes Alertmanager's configuration, its alerts exist",
        || match &installed {
            Ok(()) => names(&file),
            Err(why) => Ok(Verdict::Skipped(why.clone())),
        },
    );
    report.check(
        "Alertmanager says the worse of two alerts, and keeps quiet about no third",
        || {
            // Debian's name, and that of its makers.
            let known = ["prometheus-alertmanager", "alertmanager"];
            match (
                &installed,
                known.iter().find(|name| tools::is_installed(name)),
            ) {
                (Err(why), _) => Ok(Verdict::Skipped(why.clone())),
                (_, None) => Ok(Verdict::Skipped("please install alertmanager".to_owned())),
                (_, Some(program)) => inhibitions(program, &file),
            }
        },
    );
}

/// amtool reads it, and what it names are alerts of ours.
fn names(file: &Path) -> Result<Verdict> {
    said(Command::new("amtool").arg("check-config").arg(file))?;
    let mut alerts = BTreeSet::new();
    for rules in files(&cargo::root().join("monitoring/rules"), "yml")? {
        for line in std::fs::read_to_string(rules)?.lines() {
            if let Some(name) = line.trim().strip_prefix("- alert: ") {
                alerts.insert(name.to_owned());
            }
        }
    }
    let config = std::fs::read_to_string(file)?;
    let named: BTreeSet<&str> = config
        .lines()
        .filter_map(|line| line.split_once("[alertname ")?.1.strip_suffix(']'))
        .flat_map(|matcher| {
            matcher
                .trim_start_matches(['=', '~', ' '])
                .split(['|', '"'])
        })
        .filter(|name| !name.is_empty())
        .collect();
    ensure!(!named.is_empty(), "no alert is named");
    let faults = named
        .iter()
        .filter(|name| !alerts.contains(**name))
        .map(|name| format!("there is no alert {name}"))
        .collect();
    none(
        faults,
        format!("{} of {} alerts are named", named.len(), alerts.len()),
    )
}

/// Fires all of `TOGETHER` at an Alertmanager, and asks it of which it keeps quiet.
fn inhibitions(program: &str, file: &Path) -> Result<Verdict> {
    let storage = cargo::target_folder().join("deploy/alertmanager");
    if storage.exists() {
        std::fs::remove_dir_all(&storage)?;
    }
    let address = http::free_address()?;
    let mut alertmanager = Program::start(
        Command::new(program)
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.path={}", storage.display()))
            .arg(format!("--web.listen-address={address}"))
            .arg("--cluster.listen-address="),
    )?;
    alertmanager.wait_for("readiness", Duration::from_secs(20), || {
        http::get(address, "/-/ready", &[])
            .is_ok_and(|answer| answer.status == 200)
            .then_some(())
    })?;
    for (alert, _) in TOGETHER {
        said(
            Command::new("amtool")
                .arg(format!("--alertmanager.url=http://{address}"))
                .args(["alert", "add"])
                .args(alert.split(' ')),
        )?;
    }
    let mut faults = Vec::new();
    // It takes a moment until all have come to where they are compared.
    let settled = alertmanager.wait_for("inhibitions", Duration::from_secs(10), || {
        let answer = http::get(address, "/api/v2/alerts", &[]).ok()?;
        let alerts: Value = serde_json::from_str(&answer.body).ok()?;
        faults = TOGETHER
            .iter()
            .filter_map(|(alert, quiet)| fault(list(&alerts, ""), alert, *quiet))
            .collect();
        faults.is_empty().then_some(())
    });
    if settled.is_err() {
        alertmanager.is_alive()?;
        ensure!(!faults.is_empty(), "it does not answer");
    }
    none(faults, format!("{} alerts", TOGETHER.len()))
}

/// What is wrong with how an alert stands among others.
fn fault(alerts: &[Value], alert: &str, quiet: bool) -> Option<String> {
    let mut words = alert.split(' ');
    let name = words.next().unwrap_or_default();
    let mut wanted: Vec<(&str, &str)> = words.filter_map(|word| word.split_once('=')).collect();
    wanted.push(("alertname", name));
    let is_it = |found: &&Value| {
        let labels = found["labels"].as_object();
        labels.is_some_and(|labels| {
            labels.len() == wanted.len()
                && wanted
                    .iter()
                    .all(|(key, value)| labels.get(*key).is_some_and(|is| is == value))
        })
    };
    let Some(found) = alerts.iter().find(is_it) else {
        return Some(format!("{alert} has not arrived"));
    };
    match (text(found, "/status/state"), quiet) {
        ("suppressed", true) | ("active", false) => None,
        (state, _) => Some(format!("{alert} is {state}")),
    }
}
