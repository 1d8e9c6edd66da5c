use tokenpath_core::Unit;

use super::{Check, Context, Found, Rule};
use crate::finding::Severity;
use crate::promql::tree::{Fault, Kind};

pub(super) const RULE: Rule = Rule {
    id: "misplaced-by",
    severity: Severity::Error,
    title: "`by (…)` or `without (…)` behind something that is no aggregation",
    why: "`by` belongs to an aggregation such as `sum`; behind a rate or a metric Prometheus refuses it. \
          What was meant is a sum, or of shares the largest.",
    wrong: "rate(vllm:generation_tokens_total[5m]) by (model_name)",
    right: "sum by (model_name) (rate(vllm:generation_tokens_total[5m]))",
    check: Check::Query(check),
};

fn check(context: &Context<'_>, found: &mut Vec<Found>) {
    let mut operands = Vec::new();
    context.each(|node| {
        if let Kind::Aggregate(aggregate) = &node.kind
            && aggregate.name.is_empty()
        {
            operands.push(&*aggregate.inner);
        }
    });
    for fault in context.faults {
        let Fault::Misplaced { operand, grouping } = fault else {
            continue;
        };
        let is_share = operands
            .iter()
            .find(|node| node.span == *operand)
            .and_then(|node| context.meaning(node).measure)
            .is_some_and(|measure| measure.unit == Unit::Ratio);
        let aggregation = if is_share { "max" } else { "sum" };
        let by = context.written(grouping);
        let inner = context.written(operand);
        // Blanks between the operand and `by` go with it.
        let tail = operand.end..grouping.end;
        found.push(
            Found::new(
                grouping,
                format!(
                    "`{by}` belongs to an aggregation, and this is none: Prometheus refuses it"
                ),
                format!("write `{aggregation} {by} ({inner})`"),
            )
            .fix([
                (
                    operand.start..operand.start,
                    format!("{aggregation} {by} ("),
                ),
                (tail, ")".to_owned()),
            ]),
        );
    }
}
