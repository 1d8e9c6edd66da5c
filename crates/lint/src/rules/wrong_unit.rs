use tokenpath_core::Unit;

use super::{Check, Context, Found, Rule, shown};
use crate::finding::Severity;
use crate::meaning::Meaning;
use crate::promql::tree::{Kind, Node};

pub(super) const RULE: Rule = Rule {
    id: "wrong-unit",
    severity: Severity::Error,
    title: "a comparison in another unit than the metric has",
    why: "`vllm:kv_cache_usage_perc` is a fraction from 0 to 1 in spite of its name: above 95 is never. Latencies are \
          in seconds: above 500 is eight minutes.",
    wrong: "vllm:kv_cache_usage_perc > 95",
    right: "vllm:kv_cache_usage_perc > 0.95",
    check: Check::Query(check),
};

/// A share may be a little above 1, where more than all is possible; never this much.
const SHARE_MAX: f64 = 2.0;

fn check(context: &Context<'_>, found: &mut Vec<Found>) {
    quantiles(context, found);
    comparisons(context, |meaning, number, side| {
        let Some(measure) = meaning.measure else {
            return;
        };
        let fault = match measure.unit {
            Unit::Ratio if measure.is(Unit::Ratio, 1.0) && number >= SHARE_MAX => {
                Some(number / 100.0)
            }
            Unit::Ratio if measure.is(Unit::Ratio, 100.0) && number > 0.0 && number < 1.0 => {
                Some(number * 100.0)
            }
            Unit::Seconds if is_milliseconds(meaning, number) => Some(number / 1000.0),
            Unit::Bytes if measure.is(Unit::Bytes, 1.0) && number > 1.0 && number < 4096.0 => {
                Some(number * f64::from(1 << 30))
            }
            _ => None,
        };
        let Some(meant) = fault else {
            return;
        };
        // 0.95 rather than 0.9500000000000001.
        let meant = (meant * 1e9).round() / 1e9;
        let of = meaning
            .family
            .as_ref()
            .map_or_else(|| "this".to_owned(), |family| format!("`{}`", family.name));
        found.push(Found::new(
            &side.span,
            format!(
                "{of} is {}, and {} is in another unit",
                measure.words(),
                shown(number)
            ),
            format!("{} was meant, it seems", shown(meant)),
        ));
    });
}

/// Which quantile: 0.95, not 95.
fn quantiles(context: &Context<'_>, found: &mut Vec<Found>) {
    context.each(|node| {
        let quantile = match &node.kind {
            Kind::Call { name, arguments }
                if matches!(
                    context.of(name),
                    "histogram_quantile" | "quantile_over_time"
                ) =>
            {
                arguments.first()
            }
            Kind::Aggregate(aggregate) if context.of(&aggregate.name) == "quantile" => {
                aggregate.parameter.as_deref()
            }
            _ => None,
        };
        if let Some(node) = quantile
            && let Some(number) = node.number().filter(|number| *number > 1.0)
            && !context.is_variable(&node.span)
        {
            found.push(Found::new(
                &node.span,
                format!(
                    "a quantile is from 0 to 1: that of {} is infinite",
                    shown(number)
                ),
                format!("{} was meant, it seems", shown(number / 100.0)),
            ));
        }
    });
}

/// Whether a number that is compared with seconds must be milliseconds: a thousandth of it is an edge
/// of the family and it is none, or nobody waits as long.
pub(super) fn is_milliseconds(meaning: &Meaning, number: f64) -> bool {
    let Some(measure) = meaning.measure else {
        return false;
    };
    // A moment, or how long ago one was, may be any number.
    let Some(family) = meaning
        .family
        .as_ref()
        .filter(|family| !family.edges.is_empty())
    else {
        return false;
    };
    if !measure.is(Unit::Seconds, 1.0) {
        return false;
    }
    let is_edge = |number: f64| {
        let same = |edge: &f64| (edge - number).abs() <= 1e-9 * number.abs();
        family.edges.iter().any(same)
    };
    let last = family.edges.last().copied().unwrap_or(f64::INFINITY);
    number >= 50.0 && !is_edge(number) && (is_edge(number / 1000.0) || number > last)
}

/// Each comparison of something with a number that is written out: what, with which, and where that
/// stands.
pub(super) fn comparisons(context: &Context<'_>, mut see: impl FnMut(&Meaning, f64, &Node)) {
    context.each(|node| {
        let Kind::Binary(both) = &node.kind else {
            return;
        };
        if !both.compares() {
            return;
        }
        for (side, other) in [(&both.right, &both.left), (&both.left, &both.right)] {
            if let Some(number) = side.number()
                && other.number().is_none()
                && !context.is_variable(&side.span)
            {
                see(&context.meaning(other), number, side);
            }
        }
    });
}
