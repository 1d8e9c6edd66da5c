use super::{Check, Context, Found, Rule};
use crate::finding::Severity;
use crate::promql::tree::Fault;

pub(super) const RULE: Rule = Rule {
    id: "parse-error",
    severity: Severity::Error,
    title: "the expression is no PromQL",
    why: "Prometheus refuses it: the panel shows an error, and a rule file with it is not loaded at all.",
    wrong: "rate(vllm:generation_tokens_total) > 5",
    right: "rate(vllm:generation_tokens_total[5m]) > 5",
    check: Check::Query(check),
};

fn check(context: &Context<'_>, found: &mut Vec<Found>) {
    for fault in context.faults {
        if let Fault::Unexpected { at, what } = fault {
            found.push(Found::new(
                at,
                format!("this is no PromQL: {what}"),
                advice(what),
            ));
        }
    }
}

fn advice(what: &str) -> &'static str {
    if what.contains("expected type matrix") || what.contains("expected type range") {
        "give it a range, for instance [5m]"
    } else if what.contains("BOOL") {
        "write `bool` behind the comparison"
    } else {
        "write it as PromQL has it"
    }
}
