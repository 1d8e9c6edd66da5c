use super::{Check, Context, Found, Rule};
use crate::finding::Severity;
use crate::meaning::Kind as Number;
use crate::promql::tree::Kind;

pub(super) const RULE: Rule = Rule {
    id: "sum-of-ratios",
    severity: Severity::Error,
    title: "shares added up",
    why: "Three caches, each half full, are not 150 % full.",
    wrong: "sum by (model_name) (vllm:kv_cache_usage_perc)",
    right: "max by (model_name) (vllm:kv_cache_usage_perc)",
    check: Check::Query(check),
};

fn check(context: &Context<'_>, found: &mut Vec<Found>) {
    context.each(|node| {
        let Kind::Aggregate(aggregate) = &node.kind else {
            return;
        };
        if context.of(&aggregate.name) != "sum" {
            return;
        }
        let inner = context.meaning(&aggregate.inner);
        let is_mean = inner.kind == Number::Quotient;
        if !(inner.is_share() || is_mean) || inner.kind == Number::Quantile {
            return;
        }
        let shown = context.written(&aggregate.inner.span);
        let (what, advice) = if is_mean {
            (
                "is a quotient",
                "add up above and below the line first: sum(…) / sum(…)",
            )
        } else {
            (
                "is a share",
                "take max() for the fullest or avg() for the mean",
            )
        };
        found.push(Found::new(
            &aggregate.name,
            format!("`{shown}` {what}: a sum of several is a number of nothing"),
            advice,
        ));
    });
}
