use super::{Check, Context, Found, Rule};
use crate::finding::Severity;
use crate::meaning::Kind as Number;

pub(super) const RULE: Rule = Rule {
    id: "average-of-quantiles",
    severity: Severity::Error,
    title: "quantiles averaged or added up",
    why: "The average of the P95 of two servers is the P95 of nothing. Buckets are added up, and the quantile is \
          taken of the sum. The largest of several quantiles, `max`, is honest.",
    wrong: "avg(histogram_quantile(0.95, sum by (le, model_name) (rate(vllm:time_to_first_token_seconds_bucket[5m]))))",
    right: "histogram_quantile(0.95, sum by (le) (rate(vllm:time_to_first_token_seconds_bucket[5m])))",
    check: Check::Query(check),
};

fn check(context: &Context<'_>, found: &mut Vec<Found>) {
    const FOLDS: [&str; 4] = ["avg", "sum", "avg_over_time", "sum_over_time"];
    context.folds(&FOLDS, |name, inner| {
        let kind = context.meaning(inner).kind;
        if !matches!(kind, Number::Quantile | Number::SummaryQuantile) {
            return;
        }
        found.push(Found::new(
            name,
            format!("{}() of quantiles is the quantile of nothing", context.of(name)),
            "add up the buckets by (le, …) and take the quantile of that; or max() of the quantiles",
        ));
    });
}
