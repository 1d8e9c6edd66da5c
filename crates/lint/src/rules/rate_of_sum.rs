use super::{Check, Context, Found, Rule};
use crate::finding::Severity;
use crate::meaning::Kind as Number;
use crate::promql::tree::Kind;

pub(super) const RULE: Rule = Rule {
    id: "rate-of-sum",
    severity: Severity::Error,
    title: "the rate of counters that were added up before",
    why: "`rate` knows a restart of a counter by its fall. In a sum, one engine that restarts is a fall of the \
          whole: the rate then shows everything that the others ever counted at once. Rate first, then sum.",
    wrong: "rate(sum by (model_name) (vllm:generation_tokens_total)[5m:])",
    right: "sum by (model_name) (rate(vllm:generation_tokens_total[5m]))",
    check: Check::Query(check),
};

fn check(context: &Context<'_>, found: &mut Vec<Found>) {
    context.calls(&["rate", "irate", "increase"], |name, arguments| {
        let function = context.of(name);
        let Some(Kind::Subquery { inner }) = arguments.first().map(|node| &node.kind) else {
            return;
        };
        if let Kind::Aggregate(aggregate) = &inner.bare().kind
            && matches!(context.of(&aggregate.name), "sum" | "avg")
            && context.meaning(inner).kind == Number::Counter
        {
            found.push(Found::new(
                name,
                format!("{function}() of counters that were added up: a restart of one looks like one of all"),
                format!("{function}() first, then {}", context.of(&aggregate.name)),
            ));
        }
    });
}
