use super::{Check, Context, Found, Rule};
use crate::finding::Severity;
use crate::meaning::Kind as Number;

pub(super) const RULE: Rule = Rule {
    id: "rate-of-gauge",
    severity: Severity::Error,
    title: "`rate`, `irate` or `increase` of what is no counter",
    why: "They take every fall for a restart of a counter and add what was there before: growth is shown where \
          there is none.",
    wrong: "rate(vllm:num_requests_waiting[5m])",
    right: "deriv(vllm:num_requests_waiting[5m])",
    check: Check::Query(check),
};

fn check(context: &Context<'_>, found: &mut Vec<Found>) {
    context.calls(&["rate", "irate", "increase"], |name, arguments| {
        let function = context.of(name);
        let [argument] = arguments else {
            return;
        };
        let of = context.meaning(argument);
        let what = match of.kind {
            Number::Gauge | Number::Count => "a gauge",
            Number::Rate => "a rate already",
            Number::Quotient => "a quotient",
            Number::Quantile | Number::SummaryQuantile => "a quantile",
            _ => return,
        };
        let shown = context.written(&argument.span);
        found.push(Found::new(
            name,
            format!("{function}() of `{shown}`, which is {what}: only counters have a rate"),
            "deriv() says how fast a gauge moves, delta() by how much, avg_over_time() where it stood",
        ));
    });
}
