use super::wrong_unit::{comparisons, is_milliseconds};
use super::{Check, Context, Found, Rule, shown};
use crate::finding::Severity;
use crate::meaning::Kind as Number;
use crate::promql::tree::Sign;

pub(super) const RULE: Rule = Rule {
    id: "between-edges",
    severity: Severity::Warning,
    title: "a threshold between the edges of the buckets",
    why: "A histogram knows how many observations lie under each edge, and nothing between two edges. `le=\"2\"` \
          finds no bucket; a quantile compared with 2 where the edges are 1 and 2.5 is a guess by interpolation \
          that moves with the shape of the load. Edges are those of the newest release; where yours were \
          changed, lint `--against` your page.",
    wrong: "histogram_quantile(0.95, sum by (le) (rate(vllm:time_to_first_token_seconds_bucket[5m]))) > 2",
    right: "histogram_quantile(0.95, sum by (le) (rate(vllm:time_to_first_token_seconds_bucket[5m]))) > 2.5",
    check: Check::Query(check),
};

fn check(context: &Context<'_>, found: &mut Vec<Found>) {
    context.selectors(|node, selector, _| {
        let meaning = context.meaning(node);
        let Some(family) = meaning.family.as_ref().filter(|_| meaning.is_buckets()) else {
            return;
        };
        if is_of_tgi(meaning.pinned.get("backend")) {
            return;
        }
        for matcher in &selector.matchers {
            let is_edge = context.of(&matcher.label) == "le" && matcher.sign == Sign::Is;
            let Ok(number) = matcher.text.parse::<f64>() else {
                continue;
            };
            if is_edge
                && number.is_finite()
                && !context.is_variable(&matcher.value)
                && let Some(near) = around(number, &family.edges)
            {
                let message = format!("no bucket of `{}` ends at {}", family.name, matcher.text);
                found.push(Found::new(&matcher.value, message, near.advice()));
            }
        }
    });
    comparisons(context, |meaning, number, side| {
        let (Number::Quantile, Some(family)) = (meaning.kind, &meaning.family) else {
            return;
        };
        if is_of_tgi(meaning.pinned.get("backend")) || is_milliseconds(meaning, number) {
            return;
        }
        // In the unit of the family.
        let factor = match (meaning.measure, family.measure) {
            (Some(ours), Some(theirs)) => ours.factor / theirs.factor,
            _ => 1.0,
        };
        if let Some(near) = around(number / factor, &family.edges) {
            let message = format!(
                "{} lies between the edges of `{}`: a quantile is exact at edges only",
                shown(number),
                family.name,
            );
            found.push(Found::new(
                &side.span,
                message,
                near.scaled(factor).advice(),
            ));
        }
    });
}

fn is_of_tgi(backend: Option<&String>) -> bool {
    backend.is_some_and(|backend| backend == "tgi")
}

/// The edges next to a number.
struct Near {
    below: Option<f64>,
    above: Option<f64>,
}

impl Near {
    fn scaled(mut self, factor: f64) -> Self {
        self.below = self.below.map(|edge| edge * factor);
        self.above = self.above.map(|edge| edge * factor);
        self
    }

    fn advice(&self) -> String {
        match (self.below, self.above) {
            (Some(below), Some(above)) => format!("take {} or {}", shown(below), shown(above)),
            (Some(below), None) => format!(
                "the last edge is {}: no quantile goes beyond it",
                shown(below)
            ),
            (None, Some(above)) => format!(
                "the first edge is {}: nothing is told apart below it",
                shown(above)
            ),
            (None, None) => "read the edges from the page".to_owned(),
        }
    }
}

/// The neighbours of a number that is no edge; `None` where it is one, or no edge is known.
fn around(number: f64, edges: &[f64]) -> Option<Near> {
    let same = |edge: &f64| (edge - number).abs() <= 1e-9 * number.abs().max(1e-9);
    // A comparison with 0 asks whether there is anything.
    if edges.is_empty() || number <= 0.0 || edges.iter().any(same) {
        return None;
    }
    Some(Near {
        below: edges.iter().copied().rfind(|edge| *edge < number),
        above: edges.iter().copied().find(|edge| *edge > number),
    })
}
