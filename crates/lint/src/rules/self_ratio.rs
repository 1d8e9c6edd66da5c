use super::{Check, Context, Found, Rule};
use crate::finding::Severity;
use crate::promql::token::{Kind as Word, tokens};
use crate::promql::tree::{Kind, Node};

pub(super) const RULE: Rule = Rule {
    id: "self-ratio",
    severity: Severity::Error,
    title: "a quotient or difference of a thing and itself",
    why: "It is 1, or 0, whatever happens.",
    wrong: "sum(rate(vllm:prefix_cache_hits_total[5m])) / sum(rate(vllm:prefix_cache_hits_total[5m]))",
    right: "sum(rate(vllm:prefix_cache_hits_total[5m])) / sum(rate(vllm:prefix_cache_queries_total[5m]))",
    check: Check::Query(check),
};

fn check(context: &Context<'_>, found: &mut Vec<Found>) {
    context.each(|node| {
        let Kind::Binary(both) = &node.kind else {
            return;
        };
        if !matches!(both.sign, "/" | "-") {
            return;
        }
        let (left, right) = (guarded(&both.left), guarded(&both.right));
        if left.number().is_some() || words(context, left) != words(context, right) {
            return;
        }
        let always = if both.sign == "/" { "1" } else { "0" };
        found.push(Found::new(
            &node.span,
            format!(
                "both sides are `{}`: this is always {always}",
                context.written(&left.span)
            ),
            "one of them was meant to be something else",
        ));
    });
}

/// Without brackets, and without `> 0`, which guards a division.
fn guarded(node: &Node) -> &Node {
    match &node.bare().kind {
        Kind::Binary(both) if both.compares() && both.right.number() == Some(0.0) => {
            both.left.bare()
        }
        _ => node.bare(),
    }
}

/// The words, however they are set.
fn words<'c>(context: &Context<'c>, node: &Node) -> Vec<&'c str> {
    let text = context.of(&node.span);
    let all = tokens(text, false).into_iter();
    all.filter(|token| token.kind != Word::Comment)
        .filter_map(|token| text.get(token.span))
        .collect()
}
