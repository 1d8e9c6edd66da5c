use super::{Check, Context, Found, Rule};
use crate::finding::Severity;
use crate::meaning::Kind as Number;
use crate::promql::tree::{Kind, Node};

pub(super) const RULE: Rule = Rule {
    id: "histogram-name",
    severity: Severity::Error,
    title: "the name of a histogram where one of its samples should be",
    why: "A histogram has samples `…_bucket`, `…_sum` and `…_count`; the name alone has none, so the query \
          returns nothing.",
    wrong: "histogram_quantile(0.9, sum by (le) (rate(vllm:time_to_first_token_seconds[5m])))",
    right: "histogram_quantile(0.9, sum by (le) (rate(vllm:time_to_first_token_seconds_bucket[5m])))",
    check: Check::Query(check),
};

fn check(context: &Context<'_>, found: &mut Vec<Found>) {
    if let Some(tree) = context.tree {
        look(context, tree, false, found);
    }
}

fn look(context: &Context<'_>, node: &Node, in_quantile: bool, found: &mut Vec<Found>) {
    if let Kind::Selector(selector) = &node.kind
        && context.meaning(node).kind == Number::HistogramName
    {
        let name = context.of(&selector.name);
        let end = selector.name.end;
        let advice = if in_quantile {
            format!("write `{name}_bucket`")
        } else {
            format!("write `{name}_bucket`, `{name}_sum` or `{name}_count`")
        };
        let edit = in_quantile.then(|| (end..end, "_bucket".to_owned()));
        found.push(
            Found::new(
                &selector.name,
                format!("`{name}` is a histogram: the name alone has no samples"),
                advice,
            )
            .fix(edit),
        );
    }
    let quantile =
        matches!(&node.kind, Kind::Call { name, .. } if context.of(name) == "histogram_quantile");
    for child in node.children() {
        look(context, child, in_quantile || quantile, found);
    }
}
