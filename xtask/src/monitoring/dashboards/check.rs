//! What dashboards ask for, and what they must have, whoever wrote them.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::json::{list, text};

/// Columns of Grafana's grid.
const COLUMNS: u64 = 24;
/// Rows of the grid that a screen of 1080 lines shows without scrolling.
const SCREEN: u64 = 23;

/// One query, and where it stands.
pub(in super::super) struct Query {
    /// The title of its panel, or its variable.
    pub(in super::super) panel: String,
    /// The panel and the legend.
    pub(in super::super) place: String,
    /// As written, with Grafana's variables.
    pub(in super::super) written: String,
}

impl Query {
    /// With every variable filled in as Grafana would with "All" chosen.
    pub(in super::super) fn filled(&self, rate_interval: &str) -> String {
        let mut text = self
            .written
            .replace("$__rate_interval", rate_interval)
            .replace("$__range", "1h");
        for name in VARIABLES {
            text = text.replace(&format!("\"${name}\""), "\".*\"");
        }
        text
    }
}

/// The variables of our dashboards.
const VARIABLES: [&str; 6] = [
    "backend",
    "model_name",
    "worker_id",
    "node",
    "gpu",
    "tenant",
];

/// All queries of a dashboard: of its panels and of its variables.
pub(in super::super) fn queries(dashboard: &Value) -> Vec<Query> {
    let mut found = Vec::new();
    for panel in panels(dashboard) {
        let title = text(panel, "/title");
        for target in list(panel, "/targets") {
            found.push(Query {
                panel: title.to_owned(),
                place: format!("{title}: {}", text(target, "/legendFormat")),
                written: text(target, "/expr").to_owned(),
            });
        }
    }
    for variable in list(dashboard, "/templating/list") {
        // label_values(SELECTOR, label): the label of the selected series.
        let asked = text(variable, "/query/query")
            .strip_prefix("label_values(")
            .and_then(|rest| rest.strip_suffix(')'))
            .and_then(|rest| rest.rsplit_once(", "));
        if let Some((selector, label)) = asked {
            let place = format!("${}", text(variable, "/name"));
            found.push(Query {
                panel: place.clone(),
                place,
                written: format!("group by ({label}) ({})", with_label(selector, label)),
            });
        }
    }
    found
}

/// The selector, of series that have the label: others give the variable no value.
fn with_label(selector: &str, label: &str) -> String {
    match selector.strip_suffix('}') {
        Some(open) => format!("{open}, {label}!=\"\"}}"),
        None => format!("{selector}{{{label}!=\"\"}}"),
    }
}

/// What a dashboard lacks that a reader needs, and where its layout is broken.
pub(in super::super) fn faults(dashboard: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    let mut ids = BTreeSet::new();
    let mut titles = BTreeSet::new();
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
        for target in list(panel, "/targets") {
            if text(target, "/legendFormat").is_empty() {
                faults.push(format!("panel {title:?}: a series has no name"));
            }
        }
        if !ids.insert(panel.pointer("/id").and_then(Value::as_u64)) {
            faults.push(format!("panel {title:?} has the id of another"));
        }
        if !titles.insert(title) {
            faults.push(format!("there are two panels {title:?}"));
        }
    }
    if ids.is_empty() {
        faults.push("there is not one panel".to_owned());
    }
    for (pointer, what) in [
        ("/uid", "uid"),
        ("/title", "title"),
        ("/description", "description"),
    ] {
        if text(dashboard, pointer).is_empty() {
            faults.push(format!("the dashboard has no {what}"));
        }
    }
    for query in queries(dashboard) {
        let left = query.filled("5m");
        if left.contains('$') {
            faults.push(format!(
                "{}: a variable that nothing fills in: {left}",
                query.place
            ));
        }
    }
    faults.extend(unused(dashboard));
    faults.extend(layout(dashboard));
    faults
}

/// Variables that a user can choose and nothing asks for.
fn unused(dashboard: &Value) -> Vec<String> {
    let asked: Vec<Query> = queries(dashboard);
    list(dashboard, "/templating/list")
        .iter()
        .map(|variable| text(variable, "/name"))
        .filter(|name| *name != "datasource")
        .filter(|name| {
            let used = format!("\"${name}\"");
            !asked.iter().any(|query| query.written.contains(&used))
        })
        .map(|name| format!("${name} changes nothing"))
        .collect()
}

/// A rectangle of the grid.
#[derive(Clone, Copy)]
struct Place<'a> {
    title: &'a str,
    x: u64,
    y: u64,
    width: u64,
    height: u64,
}

impl Place<'_> {
    fn overlaps(&self, other: &Place) -> bool {
        self.x < other.x + other.width
            && other.x < self.x + self.width
            && self.y < other.y + other.height
            && other.y < self.y + self.height
    }
}

/// Panels over each other, beside the grid, over a hole, or below the screen where there is but one.
fn layout(dashboard: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    let places: Vec<Place> = list(dashboard, "/panels")
        .iter()
        .map(|panel| {
            let number = |pointer| panel.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
            Place {
                title: text(panel, "/title"),
                x: number("/gridPos/x"),
                y: number("/gridPos/y"),
                width: number("/gridPos/w"),
                height: number("/gridPos/h"),
            }
        })
        .collect();
    for (index, place) in places.iter().enumerate() {
        if place.width == 0 || place.height == 0 || place.x + place.width > COLUMNS {
            faults.push(format!(
                "{:?} is not within the {COLUMNS} columns",
                place.title
            ));
        }
        for other in &places[..index] {
            if place.overlaps(other) {
                faults.push(format!("{:?} is over {:?}", place.title, other.title));
            }
        }
    }
    let bottom = places.iter().map(|place| place.y + place.height).max();
    let covered: u64 = places.iter().map(|place| place.width * place.height).sum();
    if faults.is_empty() && Some(covered) != bottom.map(|bottom| bottom * COLUMNS) {
        faults.push("the panels leave a hole".to_owned());
    }
    let is_one_screen = text(dashboard, "/description").starts_with("One screen");
    if is_one_screen && bottom.is_some_and(|bottom| bottom > SCREEN) {
        faults.push(format!(
            "it is to be one screen, which has {SCREEN} rows: {bottom:?}"
        ));
    }
    faults
}

/// The panels that show something; a row is a heading.
fn panels(dashboard: &Value) -> impl Iterator<Item = &Value> {
    list(dashboard, "/panels")
        .iter()
        .filter(|panel| text(panel, "/type") != "row")
}

#[cfg(test)]
mod unit {
    use super::*;

    fn panel(id: u64, at: [u64; 4]) -> Value {
        serde_json::json!({
            "type": "stat", "id": id, "title": format!("p{id}"), "description": "d",
            "datasource": {"uid": "${datasource}"},
            "fieldConfig": {"defaults": {"unit": "s", "noValue": "n"}},
            "gridPos": {"x": at[0], "y": at[1], "w": at[2], "h": at[3]},
            "targets": [{"expr": "rate(a{c=\"$gpu\"}[$__rate_interval])", "legendFormat": "l"}],
        })
    }

    fn dashboard(panels: &[Value]) -> Value {
        serde_json::json!({
            "uid": "u", "title": "t", "description": "d", "panels": panels,
            "templating": {"list": [
                {"name": "gpu", "query": {"query": "label_values(b{node=~\"$node\"}, gpu)"}},
                {"name": "datasource", "query": "prometheus"},
            ]},
        })
    }

    #[test]
    fn queries_of_panels_and_variables_are_filled_in() {
        let found: Vec<_> = queries(&dashboard(&[panel(1, [0, 0, 24, 4])]))
            .into_iter()
            .map(|query| (query.filled("1m"), query.place))
            .collect();
        let expected = [
            ("rate(a{c=\".*\"}[1m])", "p1: l"),
            ("group by (gpu) (b{node=~\".*\", gpu!=\"\"})", "$gpu"),
        ];
        assert_eq!(
            found,
            expected.map(|(query, place)| (query.to_owned(), place.to_owned()))
        );
    }

    #[test]
    fn a_whole_dashboard_has_no_fault_and_broken_ones_have() {
        let halves = |second| dashboard(&[panel(1, [0, 0, 12, 4]), panel(2, second)]);
        assert_eq!(faults(&halves([12, 0, 12, 4])), Vec::<String>::new());
        for (second, fault) in [
            ([11, 0, 12, 4], "over"),
            ([12, 0, 13, 4], "columns"),
            ([12, 0, 12, 3], "hole"),
        ] {
            let found = faults(&halves(second));
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].contains(fault), "{found:?}");
        }
        let mut broken = halves([12, 0, 12, 4]);
        broken["panels"][0]["fieldConfig"] = Value::Null;
        broken["panels"][0]["id"] = 2.into();
        broken["panels"][1]["targets"][0]["expr"] = "a{b=\"$x\"}".into();
        broken["templating"]["list"][0]["name"] = "node".into();
        let found = faults(&broken);
        assert_eq!(found.len(), 4, "{found:?}");
        let mut unused = halves([12, 0, 12, 4]);
        for panel in [0, 1] {
            unused["panels"][panel]["targets"][0]["expr"] = "a".into();
        }
        assert_eq!(faults(&unused), ["$gpu changes nothing"]);
        assert!(!faults(&Value::Null).is_empty());
    }
}
