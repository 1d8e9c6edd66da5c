use super::{Check, Context, Found, Rule};
use crate::finding::Severity;
use crate::meaning::Kind as Number;
use crate::promql::tree::Kind;

pub(super) const RULE: Rule = Rule {
    id: "missing-rate",
    severity: Severity::Warning,
    title: "a quantile or quotient of counters as they are",
    why: "Without `rate` it is over everything since the engine started: it hardly moves, and never goes back.",
    wrong: "histogram_quantile(0.95, sum by (le, model_name) (vllm:time_to_first_token_seconds_bucket))",
    right: "histogram_quantile(0.95, sum by (le, model_name) (rate(vllm:time_to_first_token_seconds_bucket[5m])))",
    check: Check::Query(check),
};

fn check(context: &Context<'_>, found: &mut Vec<Found>) {
    context.each(|node| match &node.kind {
        Kind::Call { name, arguments } if context.of(name) == "histogram_quantile" => {
            let Some(of) = arguments.get(1) else {
                return;
            };
            let meaning = context.meaning(of);
            if meaning.is_buckets() && meaning.kind == Number::Counter {
                found.push(Found::new(
                    &of.span,
                    "a quantile of all observations since the engine started: it hardly moves, and never goes back",
                    "take the rate of the buckets, for instance rate(…_bucket[5m])",
                ));
            }
        }
        Kind::Binary(both) if both.sign == "/" => {
            let (left, right) = (context.meaning(&both.left), context.meaning(&both.right));
            if left.kind == Number::Counter && right.kind == Number::Counter {
                found.push(Found::new(
                    &node.span,
                    "counters divided as they are: the result is over everything since they began, and hardly moves",
                    "take the rate() or increase() of both first",
                ));
            }
        }
        _ => {}
    });
}
