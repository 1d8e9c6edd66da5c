use super::{Check, Context, Found, Rule};
use crate::finding::Severity;
use crate::promql::tree::{Aggregate, Kind, Node};

pub(super) const RULE: Rule = Rule {
    id: "missing-le",
    severity: Severity::Error,
    title: "buckets added up without `by (le)`",
    why: "Buckets are cumulative: each holds those below it. Added up without `le` they count most \
          observations many times, and no quantile can be found in what is left.",
    wrong: "histogram_quantile(0.95, sum by (model_name) (rate(vllm:e2e_request_latency_seconds_bucket[5m])))",
    right: "histogram_quantile(0.95, sum by (le, model_name) (rate(vllm:e2e_request_latency_seconds_bucket[5m])))",
    check: Check::Query(check),
};

fn check(context: &Context<'_>, found: &mut Vec<Found>) {
    context.each(|node| {
        let Kind::Aggregate(aggregate) = &node.kind else {
            return;
        };
        let name = context.of(&aggregate.name);
        if !matches!(name, "sum" | "avg" | "") || keeps_le(context, aggregate) {
            return;
        }
        if !sums_buckets(context, &aggregate.inner) {
            return;
        }
        let edits = match &aggregate.grouping {
            None if name.is_empty() => None,
            None => {
                let end = aggregate.name.end;
                let glued = context.text.get(end..).unwrap_or_default().starts_with('(');
                let by = if glued { " by (le) " } else { " by (le)" };
                Some((end..end, by.to_owned()))
            }
            Some(grouping) if grouping.without => None,
            Some(grouping) => match grouping.labels.first() {
                Some(first) => Some((first.start..first.start, "le, ".to_owned())),
                None => Some((grouping.span.clone(), "by (le)".to_owned())),
            },
        };
        let span = match &aggregate.grouping {
            Some(grouping) => grouping.span.clone(),
            None => aggregate.name.clone(),
        };
        // What comes of it: `sum(x)by(le)` needs no blank, `sum by (le)(x)` neither.
        found.push(
            Found::new(
                &span,
                "buckets added up without their edge: each holds those below it, so most observations count many times",
                "keep the edge: by (le, …)",
            )
            .fix(edits),
        );
    });
}

fn keeps_le(context: &Context<'_>, aggregate: &Aggregate) -> bool {
    aggregate.grouping.as_ref().is_some_and(|grouping| {
        let listed = grouping
            .labels
            .iter()
            .any(|label| context.of(label) == "le" || context.is_variable(label));
        listed != grouping.without
    })
}

/// Whether it is the buckets of one histogram, with no matcher on `le`.
fn sums_buckets(context: &Context<'_>, node: &Node) -> bool {
    match &node.bare().kind {
        Kind::Selector(selector) => {
            let edge = |matcher: &crate::promql::tree::Matcher| context.of(&matcher.label) == "le";
            context.of(&selector.name).ends_with("_bucket") && !selector.matchers.iter().any(edge)
        }
        Kind::Call { name, arguments } => {
            matches!(context.of(name), "rate" | "irate" | "increase")
                && arguments
                    .iter()
                    .any(|argument| sums_buckets(context, argument))
        }
        Kind::Subquery { inner } => sums_buckets(context, inner),
        Kind::Aggregate(aggregate) => {
            keeps_le(context, aggregate) && sums_buckets(context, &aggregate.inner)
        }
        _ => false,
    }
}
