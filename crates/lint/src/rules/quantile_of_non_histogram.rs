use super::{Check, Context, Found, Rule};
use crate::finding::Severity;
use crate::meaning::Kind as Number;
use crate::names::Part;
use crate::promql::tree::Kind;

pub(super) const RULE: Rule = Rule {
    id: "quantile-of-non-histogram",
    severity: Severity::Error,
    title: "`histogram_quantile` of what are no buckets",
    why: "It needs the buckets of a histogram, with their label `le`; of anything else it returns nothing.",
    wrong: "histogram_quantile(0.95, rate(vllm:generation_tokens_total[5m]))",
    right: "histogram_quantile(0.95, rate(vllm:request_generation_tokens_bucket[5m]))",
    check: Check::Query(check),
};

fn check(context: &Context<'_>, found: &mut Vec<Found>) {
    context.each(|node| {
        let Kind::Call { name, arguments } = &node.kind else {
            return;
        };
        let (true, [_, of]) = (context.of(name) == "histogram_quantile", &arguments[..]) else {
            return;
        };
        let meaning = context.meaning(of);
        let Some(family) = &meaning.family else {
            return;
        };
        let known = meaning.kind != Number::Unknown && meaning.part.is_some();
        // The name of a histogram has a rule of its own.
        let bare = family.kind == tokenpath_core::MetricType::Histogram
            && meaning.part == Some(Part::Value)
            && matches!(meaning.kind, Number::HistogramName | Number::Rate);
        if !known || bare || meaning.is_buckets() {
            return;
        }
        let what = match (meaning.kind, meaning.part) {
            (Number::Quantile | Number::SummaryQuantile, _) => "are quantiles already".to_owned(),
            (_, Some(Part::Sum | Part::Count)) => "has no buckets".to_owned(),
            _ => format!("is a {}", family.kind),
        };
        let base = &family.name;
        let advice = if family.kind == tokenpath_core::MetricType::Histogram {
            format!("write `{base}_bucket`")
        } else {
            "take the buckets of a histogram, or max() and avg() of this".to_owned()
        };
        let shown = context.written(&of.span);
        found.push(Found::new(
            &of.span,
            format!("histogram_quantile() needs buckets, and `{shown}` {what}"),
            advice,
        ));
    });
}
