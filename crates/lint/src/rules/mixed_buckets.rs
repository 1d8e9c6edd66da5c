use super::{Check, Context, Found, Rule};
use crate::finding::Severity;
use crate::promql::tree::Kind;

pub(super) const RULE: Rule = Rule {
    id: "mixed-buckets",
    severity: Severity::Error,
    title: "buckets of engines with different edges added up",
    why: "vLLM has other edges than TGI, and a release of vLLM other ones than the next. Where a bucket is \
          added up over engines of which some lack its edge, counts fall from edge to edge, and the quantile \
          is a number of nothing. The canonical names are of all engines, so they keep `backend` and \
          `model_name`, or a label of one server, or select one engine.",
    wrong: "histogram_quantile(0.95, sum by (le) (rate(llm_request_duration_seconds_bucket[5m])))",
    right: "histogram_quantile(0.95, sum by (le, backend, model_name) (rate(llm_request_duration_seconds_bucket[5m])))",
    check: Check::Query(check),
};

/// Labels of one server each.
const ONE: [&str; 6] = [
    "target",
    "worker_id",
    "instance",
    "pod",
    "model_server",
    "engine_id",
];

fn check(context: &Context<'_>, found: &mut Vec<Found>) {
    context.each(|node| {
        let Kind::Aggregate(aggregate) = &node.kind else {
            return;
        };
        let inner = context.meaning(&aggregate.inner);
        let outer = context.meaning(node);
        let Some(family) = inner.family.as_ref().filter(|_| inner.is_buckets()) else {
            return;
        };
        let kept = outer.labels.unwrap_or_default();
        if !family.is_canonical || !kept.contains("le") {
            return;
        }
        let told = |label: &str| kept.contains(label) || inner.matched.contains(label);
        let variable = aggregate.grouping.as_ref().is_some_and(|grouping| {
            grouping.labels.iter().any(|label| context.is_variable(label))
        });
        if variable || ONE.iter().any(|label| told(label)) {
            return;
        }
        // A gateway's families are of one program.
        let one_program = family.backends.iter().all(|backend| backend == "gateway");
        let has = |label: &str| family.labels.as_ref().is_none_or(|labels| labels.contains(label));
        let missing: Vec<&str> = ["backend", "model_name"]
            .into_iter()
            .filter(|label| has(label) && !told(label) && !one_program)
            .collect();
        if missing.is_empty() {
            return;
        }
        let span = match &aggregate.grouping {
            Some(grouping) => grouping.span.clone(),
            None => aggregate.name.clone(),
        };
        found.push(Found::new(
            &span,
            format!(
                "`{}` is of several engines with different edges, and here their buckets are added up",
                family.name
            ),
            format!("keep them apart: by (le, {}, …)", missing.join(", ")),
        ));
    });
}
