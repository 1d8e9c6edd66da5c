use regex::Regex;

use super::{Check, Context, Found, Rule};
use crate::finding::Severity;
use crate::names::{Found as Name, Part};
use crate::promql::tree::{Matcher, Sign};

pub(super) const RULE: Rule = Rule {
    id: "le-spelling",
    severity: Severity::Error,
    title: "an edge in a spelling that only some releases of Prometheus store",
    why: "Prometheus 3 stores a whole edge as `5.0`; before, it is stored as the page spells it: `5.0` by Python and \
          Tokenpath, `5` by Go and Rust. So `le=\"5\"` finds nothing on any page in Prometheus 3. Both spellings \
          together find it everywhere.",
    wrong: "sum(rate(vllm:e2e_request_latency_seconds_bucket{le=\"5\"}[5m]))",
    right: "sum(rate(vllm:e2e_request_latency_seconds_bucket{le=~\"5(\\\\.0)?\"}[5m]))",
    check: Check::Query(check),
};

fn check(context: &Context<'_>, found: &mut Vec<Found>) {
    context.selectors(|_, selector, name| {
        if !name.ends_with("_bucket") {
            return;
        }
        // What spells whole edges short needs both; what spells them long is found by the long one.
        let (short, edges) = match context.world.names.find(name) {
            Name::Known(family, Part::Bucket) => (family.short_edges, &family.edges[..]),
            _ => (true, &[][..]),
        };
        for matcher in &selector.matchers {
            let is_edge = |number: f64| {
                edges.is_empty() || edges.iter().any(|edge| (edge - number).abs() < 1e-9)
            };
            // What is no edge in any spelling has a rule of its own.
            let is_edge = matcher.text.parse().is_ok_and(is_edge) || matcher.sign == Sign::Like;
            if context.of(&matcher.label) == "le" && !context.is_variable(&matcher.value) && is_edge
            {
                judge(matcher, short, found);
            }
        }
    });
}

fn judge(matcher: &Matcher, short: bool, found: &mut Vec<Found>) {
    let is_whole = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match matcher.sign {
        Sign::Is | Sign::IsNot => {
            let text = &*matcher.text;
            let whole = text.strip_suffix(".0").unwrap_or(text);
            if !is_whole(whole) || (whole != text && !short) {
                return;
            }
            let sign = if matcher.sign == Sign::Is { "=~" } else { "!~" };
            let both = format!("{sign}\"{whole}(\\\\.0)?\"");
            let other = if whole == text {
                format!("{whole}.0")
            } else {
                whole.to_owned()
            };
            let span = matcher.label.end..matcher.value.end;
            found.push(
                Found::new(
                    &matcher.value,
                    format!("le=\"{text}\" finds the edge in this spelling only, and there are Prometheuses that store it as {other}"),
                    format!("write le{both}"),
                )
                .fix([(span, both)]),
            );
        }
        Sign::Like => {
            let Ok(pattern) = Regex::new(&format!("^(?s:{})$", matcher.text)) else {
                return;
            };
            // Alternatives as they are written: whole numbers that only one spelling of matches.
            let words = matcher
                .text
                .split(|c: char| !(c.is_ascii_digit() || c == '.'));
            let whole = words
                .filter(|word| is_whole(word))
                .find(|word| pattern.is_match(word) && !pattern.is_match(&format!("{word}.0")));
            if let Some(whole) = whole {
                found.push(Found::new(
                    &matcher.value,
                    format!("the edge {whole} is matched in this spelling only, and Prometheus 3 stores it as {whole}.0"),
                    format!("write {whole}(\\\\.0)? for it"),
                ));
            }
        }
        Sign::NotLike => {}
    }
}
