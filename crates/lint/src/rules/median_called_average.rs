use super::{Check, Context, Found, Rule};
use crate::finding::Severity;
use crate::input::Role;
use crate::promql::token::{Kind as Word, tokens};
use crate::promql::tree::Kind;

pub(super) const RULE: Rule = Rule {
    id: "median-called-average",
    severity: Severity::Warning,
    title: "a quantile under the name of an average",
    why: "A quantile of 0.5 is the median: half of the requests were faster. The average is sum over count, and with \
          a few very slow requests far above it.",
    wrong: "groups:\n  - name: a\n    rules:\n      - record: ttft:avg\n        expr: histogram_quantile(0.5, rate(vllm:time_to_first_token_seconds_bucket[5m]))",
    right: "groups:\n  - name: a\n    rules:\n      - record: ttft:p50\n        expr: histogram_quantile(0.5, rate(vllm:time_to_first_token_seconds_bucket[5m]))",
    check: Check::Query(check),
};

fn check(context: &Context<'_>, found: &mut Vec<Found>) {
    let Some(tree) = context.tree else {
        return;
    };
    let Kind::Call { name, .. } = &tree.bare().kind else {
        return;
    };
    if context.of(name) != "histogram_quantile" {
        return;
    }
    let comments = tokens(context.text, false);
    let comments = comments.iter().filter(|token| token.kind == Word::Comment);
    let mut titles: Vec<&str> = comments.map(|token| context.of(&token.span)).collect();
    match context.role {
        Role::Record(name) => titles.push(name),
        // The legend says it better, where there is one.
        Role::Panel { title, legend } => {
            titles.push(if legend.is_empty() { title } else { legend });
        }
        _ => {}
    }
    let says_average = |title: &&&str| {
        title
            .to_lowercase()
            .split(|c: char| !c.is_alphanumeric())
            .any(|word| matches!(word, "avg" | "average" | "mean"))
    };
    if let Some(title) = titles.iter().find(says_average) {
        let title = title.trim_start_matches(['#', ' ']);
        found.push(Found::new(
            name,
            format!("a quantile, and it is called `{title}`"),
            "the average is rate(…_sum[5m]) / rate(…_count[5m]); or call it what it is",
        ));
    }
}
