use std::collections::BTreeSet;

use tokenpath_text::nearest::nearest;

use super::{Check, Context, Found, Rule};
use crate::finding::Severity;
use crate::names::{Found as Name, Standing};
use crate::promql::tree::{Kind, Span};

pub(super) const RULE: Rule = Rule {
    id: "unknown-label",
    severity: Severity::Error,
    title: "a label that the metric does not have",
    why: "A matcher on it finds nothing, and grouping by it puts everything into one group. Labels that \
          Prometheus, Kubernetes or an operator usually add (`instance`, `namespace`, `pod`, `cluster` …) are \
          taken as they are; name your own with `--label`.",
    wrong: "sum by (model) (vllm:num_requests_waiting)",
    right: "sum by (model_name) (vllm:num_requests_waiting)",
    check: Check::Query(check),
};

/// Labels that a scrape configuration or a relabelling usually adds.
const ADDED: &[&str] = &[
    "job",
    "instance",
    "__name__",
    "__address__",
    "namespace",
    "pod",
    "container",
    "service",
    "service_name",
    "endpoint",
    "node",
    "nodename",
    "node_name",
    "host",
    "hostname",
    "Hostname",
    "cluster",
    "engine_namespace",
    "cluster_name",
    "region",
    "zone",
    "availability_zone",
    "datacenter",
    "dc",
    "rack",
    "environment",
    "env",
    "stage",
    "tier",
    "team",
    "app",
    "application",
    "component",
    "deployment",
    "statefulset",
    "daemonset",
    "replica",
    "prometheus",
    "prometheus_replica",
    "shard",
    "ip",
    "exporter",
    "image",
    "release",
    "worker_id",
    "role",
    "target",
    "backend",
];

/// What such labels begin with.
const ADDED_BEGIN: &[&str] = &[
    "exported_",
    "kubernetes_",
    "k8s_",
    "label_",
    "app_kubernetes_",
    "topology_",
    "eks_",
    "aws_",
    "gcp_",
    "azure_",
    "cloud_",
    "pod_",
    "node_label_",
];

fn is_added(label: &str) -> bool {
    ADDED.contains(&label) || ADDED_BEGIN.iter().any(|begin| label.starts_with(begin))
}

fn check(context: &Context<'_>, found: &mut Vec<Found>) {
    context.each(|node| match &node.kind {
        Kind::Selector(selector) => {
            let name = context.of(&selector.name);
            let Name::Known(family, _) = context.world.names.find(name) else {
                return;
            };
            if !matches!(family.standing, Standing::Current | Standing::Gone { .. })
                || context.world.records.contains_key(name)
            {
                return;
            }
            let Some(labels) = context.meaning(node).labels else {
                return;
            };
            for matcher in &selector.matchers {
                if !matcher.text.is_empty() {
                    judge(context, &matcher.label, &labels, name, found);
                }
            }
        }
        Kind::Aggregate(aggregate) => {
            let Some(grouping) = aggregate.grouping.as_ref().filter(|by| !by.without) else {
                return;
            };
            let inner = context.meaning(&aggregate.inner);
            // Of one family only: what a calculation has is the rules' of matching.
            let (Some(labels), Some(family)) = (&inner.labels, &inner.family) else {
                return;
            };
            if matches!(family.standing, Standing::Spoken { .. }) {
                return;
            }
            for label in &grouping.labels {
                judge(context, label, labels, &family.name, found);
            }
        }
        _ => {}
    });
}

fn judge(
    context: &Context<'_>,
    span: &Span,
    labels: &BTreeSet<String>,
    name: &str,
    found: &mut Vec<Found>,
) {
    let label = context.of(span);
    if labels.contains(label)
        || is_added(label)
        || context.is_variable(span)
        || context.world.labels.contains(label)
    {
        return;
    }
    let known: Vec<&str> = labels
        .iter()
        .map(|label| &**label)
        .filter(|label| !is_added(label) && *label != "pid")
        .collect();
    let meant = alias(label)
        .filter(|meant| labels.contains(*meant))
        .or_else(|| nearest(label, known.iter().copied()));
    let advice = match meant {
        Some(meant) => format!("did you mean `{meant}`?"),
        None if known.is_empty() => "there is no label to group or select by here".to_owned(),
        None => format!(
            "there are {}; if your scrape adds `{label}`, say --label {label}",
            known.join(", ")
        ),
    };
    let message = format!("`{name}` has no label `{label}` here");
    found.push(Found::new(span, message, advice));
}

/// What other programs call the same.
fn alias(label: &str) -> Option<&'static str> {
    const ALIASES: &[(&str, &str)] = &[
        ("model", "model_name"),
        ("model_id", "model_name"),
        ("served_model_name", "model_name"),
        ("finished_reason", "finish_reason"),
        ("finish_reason", "finished_reason"),
        ("gpu_id", "gpu"),
        ("api_key", "tenant"),
        ("user", "tenant"),
        ("engine_index", "engine"),
    ];
    let known = ALIASES.iter().find(|(theirs, _)| *theirs == label);
    known.map(|(_, ours)| *ours)
}
