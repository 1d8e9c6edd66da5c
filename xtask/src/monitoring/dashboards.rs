//! Grafana dashboards: what their panels and variables ask for, and what a panel must have.

use serde_json::Value;

/// One query, and where it stands.
pub(super) struct Query {
    pub(super) place: String,
    /// Variables are filled in, so that it can be parsed.
    pub(super) expression: String,
}

/// All queries of a dashboard: of its panels and of its variables.
pub(super) fn queries(dashboard: &Value) -> Vec<Query> {
    let mut found = Vec::new();
    for panel in panels(dashboard) {
        let title = text(panel, "/title");
        for target in list(panel, "/targets") {
            found.push(Query {
                place: title.to_owned(),
                expression: filled(text(target, "/expr")),
            });
        }
    }
    for variable in list(dashboard, "/templating/list") {
        // label_values(SELECTOR, label): the selector is the expression.
        let selector = text(variable, "/query/query")
            .strip_prefix("label_values(")
            .and_then(|rest| rest.rsplit_once(','));
        if let Some((selector, _)) = selector {
            found.push(Query {
                place: format!("${}", text(variable, "/name")),
                expression: filled(selector),
            });
        }
    }
    found
}

/// What panels lack that a reader needs.
pub(super) fn faults(dashboard: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    let mut ids = std::collections::BTreeSet::new();
    for panel in panels(dashboard) {
        let title = text(panel, "/title");
        for (pointer, what) in [
            ("/title", "title"),
            ("/description", "description"),
            ("/fieldConfig/defaults/unit", "unit"),
            ("/fieldConfig/defaults/noValue", "text for when it is empty"),
        ] {
            if text(panel, pointer).is_empty() {
                faults.push(format!("panel {title:?} has no {what}"));
            }
        }
        if text(panel, "/datasource/uid") != "${datasource}" {
            faults.push(format!("panel {title:?} has a data source of its own"));
        }
        if list(panel, "/targets").is_empty() {
            faults.push(format!("panel {title:?} asks for nothing"));
        }
        if !ids.insert(panel.pointer("/id").and_then(Value::as_u64)) {
            faults.push(format!("panel {title:?} has the id of another"));
        }
    }
    if ids.is_empty() {
        faults.push("there is not one panel".to_owned());
    }
    faults
}

/// The panels that show something; a row is a heading.
fn panels(dashboard: &Value) -> impl Iterator<Item = &Value> {
    list(dashboard, "/panels")
        .iter()
        .filter(|panel| text(panel, "/type") != "row")
}

fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value
        .pointer(pointer)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

fn filled(query: &str) -> String {
    query
        .replace("$__rate_interval", "5m")
        .replace("$__range", "1h")
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn queries_of_panels_and_variables() {
        let dashboard = serde_json::json!({
            "panels": [
                {"type": "row", "title": "r"},
                {"type": "stat", "id": 1, "title": "p", "targets": [{"expr": "rate(a[$__rate_interval])"}]},
            ],
            "templating": {"list": [
                {"name": "m", "query": {"query": "label_values(b{c=~\"$c\"}, m)"}},
                {"name": "datasource", "query": "prometheus"},
            ]},
        });
        let found: Vec<_> = queries(&dashboard)
            .into_iter()
            .map(|query| (query.place, query.expression))
            .collect();
        let expected = [("p", "rate(a[5m])"), ("$m", "b{c=~\"$c\"}")];
        assert_eq!(
            found,
            expected.map(|(place, query)| (place.to_owned(), query.to_owned()))
        );
        assert_eq!(faults(&dashboard).len(), 4);
    }
}
