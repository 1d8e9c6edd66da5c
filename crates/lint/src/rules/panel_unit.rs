use tokenpath_core::Unit;

use super::{Check, FoundAt, PanelContext, Rule, shown};
use crate::finding::Severity;
use crate::names::Measure;

pub(super) const RULE: Rule = Rule {
    id: "panel-unit",
    severity: Severity::Error,
    title: "a panel whose unit or thresholds are in another unit than its queries",
    why: "A fraction shown as `percent` is 0.9 % where 90 % is meant, and thresholds of 70 and 90 are never \
          reached. Grafana's `percentunit` takes fractions; thresholds are in the unit of the data.",
    wrong: r#"{"schemaVersion": 39, "panels": [{"title": "KV cache", "targets": [{"expr": "vllm:kv_cache_usage_perc"}],
 "fieldConfig": {"defaults": {"unit": "percent", "thresholds": {"steps": [{"value": null}, {"value": 70}]}}}}]}"#,
    right: r#"{"schemaVersion": 39, "panels": [{"title": "KV cache", "targets": [{"expr": "vllm:kv_cache_usage_perc"}],
 "fieldConfig": {"defaults": {"unit": "percentunit", "thresholds": {"steps": [{"value": null}, {"value": 0.7}]}}}}]}"#,
    check: Check::Panel(check),
};

/// What the units of Grafana mean.
const UNITS: [(&str, Measure); 6] = [
    (
        "percent",
        Measure {
            unit: Unit::Ratio,
            factor: 100.0,
        },
    ),
    (
        "percentunit",
        Measure {
            unit: Unit::Ratio,
            factor: 1.0,
        },
    ),
    (
        "s",
        Measure {
            unit: Unit::Seconds,
            factor: 1.0,
        },
    ),
    (
        "ms",
        Measure {
            unit: Unit::Seconds,
            factor: 1000.0,
        },
    ),
    (
        "µs",
        Measure {
            unit: Unit::Seconds,
            factor: 1e6,
        },
    ),
    (
        "bytes",
        Measure {
            unit: Unit::Bytes,
            factor: 1.0,
        },
    ),
];

fn check(panel: &PanelContext<'_>, found: &mut Vec<FoundAt>) {
    // All queries in one unit, or there is nothing to say.
    let mut measures = panel.queries.iter().map(|meaning| meaning.measure);
    let Some(measure) = measures.next().flatten() else {
        return;
    };
    if measures.any(|other| other != Some(measure)) {
        return;
    }
    let shows = panel.unit.and_then(|(unit, place)| {
        let known = UNITS.iter().find(|(name, _)| name == unit);
        known.map(|(_, shows)| (unit, shows, place))
    });
    if let Some((unit, shows, place)) = shows
        && !measure.is(shows.unit, shows.factor)
        && measure.unit == shows.unit
    {
        let right = UNITS
            .iter()
            .find(|(_, known)| measure.is(known.unit, known.factor));
        let advice = match right {
            Some((right, _)) => format!("the unit is `{right}`"),
            None => "scale the query, or take another unit".to_owned(),
        };
        let message = format!(
            "the queries are {}, and `{unit}` is for what is {}",
            measure.words(),
            shows.words()
        );
        found.push(FoundAt {
            place: place.clone(),
            message,
            advice,
        });
    }
    // Grafana gives every panel a threshold of 80, whatever its unit; most never show it.
    let is_default = matches!(panel.thresholds, [(value, _)] if (*value - 80.0).abs() < 1e-9);
    if measure.is(Unit::Ratio, 1.0) && !is_default {
        for (value, place) in panel.thresholds.iter().filter(|(value, _)| *value >= 2.0) {
            found.push(FoundAt {
                place: place.clone(),
                message: format!(
                    "the queries are a fraction from 0 to 1, which never reaches the threshold {}",
                    shown(*value)
                ),
                advice: format!("write {}", shown(value / 100.0)),
            });
        }
    }
}
