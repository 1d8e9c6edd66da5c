use super::{Check, Context, Found, Rule};
use crate::finding::Severity;
use crate::meaning::Kind as Number;

pub(super) const RULE: Rule = Rule {
    id: "average-of-ratios",
    severity: Severity::Error,
    title: "quotients of events averaged",
    why: "An average of quotients gives an idle server the weight of a busy one, and a quiet night that of a busy \
          day. Events are added up first, and then divided. Averages of gauges (how full is a cache) are fine.",
    wrong: "avg(rate(vllm:e2e_request_latency_seconds_sum[5m]) / rate(vllm:e2e_request_latency_seconds_count[5m]))",
    right: "sum(rate(vllm:e2e_request_latency_seconds_sum[5m])) / sum(rate(vllm:e2e_request_latency_seconds_count[5m]))",
    check: Check::Query(check),
};

fn check(context: &Context<'_>, found: &mut Vec<Found>) {
    context.folds(&["avg", "avg_over_time"], |name, inner| {
        if context.meaning(inner).kind != Number::Quotient {
            return;
        }
        let shown = context.written(&inner.span);
        found.push(Found::new(
            name,
            format!("`{shown}` is a quotient of events: an average gives few events the weight of many"),
            "add up the events above and below the line first, over series and over time, and divide then",
        ));
    });
}
