//! A description as the JSON that Grafana imports.

use serde_json::{Map, Value, json};

use super::describe::{Column, Common, Dashboard, Kind, Panel, Query};
use crate::report::{Result, ensure};

/// The schema of Grafana 12.0; older ones read it, newer ones bring it up to date.
const SCHEMA_VERSION: u64 = 41;

/// Columns of the grid.
const COLUMNS: u64 = 24;

/// Which instance of Prometheus: chosen at the top of the dashboard.
fn datasource() -> Value {
    json!({"type": "prometheus", "uid": "${datasource}"})
}

pub(super) fn dashboard(stem: &str, of: &Dashboard, common: &Common) -> Result<Value> {
    let mut panels = Vec::new();
    let mut y = 0;
    for row in &of.rows {
        if let Some(title) = &row.title {
            panels.push(json!({
                "type": "row", "title": title, "collapsed": false, "panels": [],
                "gridPos": {"x": 0, "y": y, "w": COLUMNS, "h": 1},
            }));
            y += 1;
        }
        let mut x = 0;
        for panel in &row.panels {
            if x + panel.width > COLUMNS {
                x = 0;
                y += row.height;
            }
            let mut json = self::panel(panel, of, common)?;
            json["gridPos"] = json!({"x": x, "y": y, "w": panel.width, "h": row.height});
            panels.push(json);
            x += panel.width;
        }
        y += row.height;
    }
    for (id, panel) in (1_u64..).zip(&mut panels) {
        panel["id"] = id.into();
    }
    Ok(json!({
        "uid": format!("tokenpath-{stem}"),
        "title": of.title,
        "description": of.text,
        "tags": ["tokenpath", "llm"],
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": true,
        "graphTooltip": 1,
        "refresh": of.refresh,
        "time": {"from": format!("now-{}", of.back), "to": "now"},
        "timepicker": {},
        "timezone": "browser",
        "links": [{
            "type": "dashboards", "title": "Tokenpath", "tags": ["tokenpath"], "icon": "external link",
            "asDropdown": true, "includeVars": true, "keepTime": true, "targetBlank": false,
        }],
        "annotations": {"list": [{
            "name": "Alerts that fire", "enable": true, "hide": false, "iconColor": "red",
            "datasource": datasource(),
            "expr": "ALERTS{alertstate=\"firing\", severity=~\"warning|critical\"}",
            "step": "60s",
            "titleFormat": "{{alertname}}",
            "textFormat": "{{severity}} {{model_name}}{{target}}{{gpu}}{{tenant}}",
        }]},
        "templating": {"list": variables(of, common)?},
        "panels": panels,
    }))
}

fn variables(of: &Dashboard, common: &Common) -> Result<Vec<Value>> {
    let mut list = vec![json!({
        "name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus",
        "current": {}, "hide": 0, "refresh": 1, "regex": "", "includeAll": false, "multi": false,
        "options": [],
    })];
    for name in &of.variables {
        let variable = common
            .variables
            .get(name)
            .ok_or_else(|| format!("there is no variable {name}"))?;
        let series = of.series.get(name).unwrap_or(&variable.series);
        let label = of.labels.get(name).or(variable.of.as_ref());
        let label = label.unwrap_or(name);
        let query = format!("label_values({}, {label})", worded(series, of, common)?);
        list.push(json!({
            "name": name, "label": variable.label, "type": "query", "datasource": datasource(),
            "definition": query, "query": {"query": query, "refId": name},
            "refresh": 2, "sort": 1, "hide": 0, "regex": "", "options": [],
            // What has no such label stays when all are chosen.
            "includeAll": true, "multi": true, "allValue": ".*",
            "current": {"text": ["All"], "value": ["$__all"]},
        }));
    }
    Ok(list)
}

/// The query with its words replaced.
fn worded(query: &str, of: &Dashboard, common: &Common) -> Result<String> {
    let mut text = query.split_whitespace().collect::<Vec<_>>().join(" ");
    // Words are made of words at most once.
    for _ in 0..2 {
        for (word, meaning) in common.words.iter().chain(&of.words) {
            let meaning = of.words.get(word).unwrap_or(meaning);
            text = text.replace(&format!("<{word}>"), meaning);
        }
    }
    let left = text
        .split_once('<')
        .and_then(|(_, rest)| rest.split_once('>'))
        .map(|(word, _)| word)
        .filter(|word| {
            !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        });
    ensure!(
        left.is_none(),
        "nothing is known of <{}>",
        left.unwrap_or_default()
    );
    Ok(text)
}

fn panel(of: &Panel, dashboard: &Dashboard, common: &Common) -> Result<Value> {
    let mut targets = Vec::new();
    let mut overrides = Vec::new();
    for query in &of.queries {
        for (ask, say) in spelled(query) {
            let letter = char::from_u32(u32::from('A') + u32::try_from(targets.len())?);
            let mut target = json!({
                "refId": letter.ok_or("too many queries")?.to_string(),
                "datasource": datasource(),
                "editorMode": "code",
                "expr": worded(&ask, dashboard, common)?,
                "legendFormat": say,
            });
            match of.kind {
                Kind::Heatmap => target["format"] = "heatmap".into(),
                Kind::Table => {
                    target["format"] = "table".into();
                    target["instant"] = true.into();
                }
                Kind::Stat | Kind::Gauge | Kind::Lines | Kind::Stack | Kind::States => {
                    target["range"] = true.into();
                }
                Kind::Bars => target["instant"] = true.into(),
            }
            targets.push(target);
        }
        if let Some(unit) = &query.right {
            overrides.push(by_legend(
                &format!("/^{}/", first_words(&query.say)),
                &[
                    ("unit", json!(unit)),
                    ("custom.axisPlacement", json!("right")),
                    ("custom.fillOpacity", json!(0)),
                    ("custom.lineStyle", json!({"fill": "dash", "dash": [6, 4]})),
                ],
            ));
        }
    }
    if matches!(of.kind, Kind::Lines | Kind::Stack | Kind::Bars | Kind::Stat) {
        let says: Vec<String> = of
            .queries
            .iter()
            .flat_map(spelled)
            .map(|(_, say)| say)
            .collect();
        for (pattern, colour) in &common.colours {
            if of.steps.is_empty() || of.kind != Kind::Stat {
                let starts = pattern.as_str();
                if says.iter().any(|say| say.starts_with(starts)) {
                    overrides.push(by_legend(
                        &format!("/^{starts}/"),
                        // Series of one kind are shades of one colour.
                        &[("color", json!({"mode": "shades", "fixedColor": colour}))],
                    ));
                }
            }
        }
    }
    overrides.extend(table_overrides(&of.columns)?);
    let mut defaults = json!({
        "unit": of.unit,
        "noValue": of.empty.as_ref().unwrap_or(&dashboard.empty),
        "thresholds": thresholds(&of.steps)?,
        "color": {"mode": if of.steps.is_empty() || matches!(of.kind, Kind::Lines | Kind::Stack) {
            "palette-classic"
        } else {
            "thresholds"
        }},
        "mappings": mappings(of)?,
    });
    if !matches!(of.kind, Kind::Table | Kind::States) && of.unit != "dateTimeFromNow" {
        // A line that touches the floor is 0, and not the least of what is shown.
        defaults["min"] = 0.into();
    }
    if let Some(max) = of.max {
        defaults["max"] = max.into();
    }
    if let Some(custom) = custom(of) {
        defaults["custom"] = custom;
    }
    if let Some(leads) = &of.leads {
        defaults["links"] = json!([{
            "title": "Look closer",
            "targetBlank": false,
            "url": format!("/d/tokenpath-{leads}?{}", carried(of, dashboard)),
        }]);
    }
    let mut json = json!({
        "type": kind(of.kind),
        "title": of.title,
        "description": of.text.trim(),
        "datasource": datasource(),
        "fieldConfig": {"defaults": defaults, "overrides": overrides},
        "options": options(of),
        "targets": targets,
        "transparent": false,
    });
    if of.kind == Kind::Table {
        json["transformations"] = transformations(of);
    }
    Ok(json)
}

/// What a link takes along: what is chosen at the top, and from a table the row that was clicked.
fn carried(of: &Panel, dashboard: &Dashboard) -> String {
    let mut query = vec!["${datasource:queryparam}".to_owned()];
    for name in &dashboard.variables {
        let column = of.columns.iter().find(|column| column.of == *name);
        query.push(column.map_or_else(
            || format!("${{{name}:queryparam}}"),
            |column| format!("var-{name}=${{__data.fields.{}}}", column.title),
        ));
    }
    query.push("${__url_time_range}".to_owned());
    query.join("&")
}

/// The query, or one for each percentile.
fn spelled(query: &Query) -> Vec<(String, String)> {
    if query.each.is_empty() {
        return vec![(query.ask.clone(), query.say.clone())];
    }
    query
        .each
        .iter()
        .map(|percentile| {
            let quantile = format!("0.{percentile:02}");
            let quantile = quantile.trim_end_matches('0');
            (
                query.ask.replace("<q>", quantile),
                query.say.replace("<p>", &percentile.to_string()),
            )
        })
        .collect()
}

/// What a legend begins with, before its first label.
fn first_words(say: &str) -> &str {
    say.split("{{").next().unwrap_or_default().trim()
}

fn by_legend(pattern: &str, properties: &[(&str, Value)]) -> Value {
    override_of("byRegexp", pattern, properties)
}

fn override_of(matcher: &str, options: &str, properties: &[(&str, Value)]) -> Value {
    let properties: Vec<Value> = properties
        .iter()
        .map(|(id, value)| json!({"id": id, "value": value}))
        .collect();
    json!({"matcher": {"id": matcher, "options": options}, "properties": properties})
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Stat => "stat",
        Kind::Gauge => "gauge",
        Kind::Bars => "bargauge",
        Kind::Lines | Kind::Stack => "timeseries",
        Kind::Heatmap => "heatmap",
        Kind::States => "state-timeline",
        Kind::Table => "table",
    }
}

/// `green`, `yellow 0.7`, `red 0.9`.
fn thresholds(steps: &[String]) -> Result<Value> {
    let mut list = Vec::new();
    for step in steps {
        let (colour, from) = step.split_once(' ').unwrap_or((step, ""));
        ensure!(
            from.is_empty() == list.is_empty(),
            "step {step:?}: the first has no number, the others have one"
        );
        let from: Option<f64> = if from.is_empty() {
            None
        } else {
            Some(
                from.parse()
                    .map_err(|_| format!("step {step:?}: no number"))?,
            )
        };
        list.push(json!({"color": colour, "value": from}));
    }
    if list.is_empty() {
        list.push(json!({"color": "blue", "value": null}));
    }
    Ok(json!({"mode": "absolute", "steps": list}))
}

/// `1: up green`.
fn mappings(of: &Panel) -> Result<Vec<Value>> {
    let mut options = Map::new();
    for (index, (value, name)) in of.names.iter().enumerate() {
        let (name, colour) = name
            .rsplit_once(' ')
            .ok_or_else(|| format!("{}: {name:?} has no colour", of.title))?;
        options.insert(
            value.clone(),
            json!({"text": name, "color": colour, "index": index}),
        );
    }
    Ok(if options.is_empty() {
        Vec::new()
    } else {
        vec![json!({"type": "value", "options": options})]
    })
}

fn custom(of: &Panel) -> Option<Value> {
    Some(match of.kind {
        Kind::Lines | Kind::Stack => json!({
            "drawStyle": "line",
            "lineWidth": 1,
            "fillOpacity": if of.kind == Kind::Stack { 40 } else { 8 },
            "showPoints": "never",
            // A gap is a time about which nothing is known.
            "spanNulls": false,
            "stacking": {"mode": if of.kind == Kind::Stack { "normal" } else { "none" }, "group": "A"},
            "thresholdsStyle": {"mode": if of.steps.is_empty() { "off" } else { "dashed" }},
        }),
        Kind::States => json!({"lineWidth": 0, "fillOpacity": 70}),
        Kind::Table => {
            json!({"align": "auto", "cellOptions": {"type": "auto"}, "filterable": true})
        }
        Kind::Heatmap => json!({"scaleDistribution": {"type": "linear"}}),
        Kind::Stat | Kind::Gauge | Kind::Bars => return None,
    })
}

fn options(of: &Panel) -> Value {
    let reduce = json!({"calcs": ["lastNotNull"], "fields": "", "values": false});
    match of.kind {
        Kind::Stat => json!({
            "reduceOptions": reduce, "colorMode": "value", "graphMode": "area",
            "textMode": if of.named { "value_and_name" } else { "auto" },
            "justifyMode": "auto", "orientation": "auto", "wideLayout": true,
        }),
        Kind::Gauge => json!({
            "reduceOptions": reduce, "showThresholdMarkers": true, "showThresholdLabels": false,
            "orientation": "auto", "sizing": "auto", "minVizWidth": 75, "minVizHeight": 75,
        }),
        Kind::Bars => json!({
            "reduceOptions": reduce, "displayMode": "basic", "orientation": "horizontal",
            "valueMode": "color", "showUnfilled": true, "namePlacement": "auto", "sizing": "auto",
            "minVizWidth": 8, "minVizHeight": 16,
        }),
        Kind::Lines | Kind::Stack => json!({
            "legend": {"displayMode": "table", "placement": "bottom", "showLegend": true,
                "calcs": ["lastNotNull", "max"]},
            "tooltip": {"mode": "multi", "sort": "desc"},
        }),
        Kind::Heatmap => json!({
            "calculate": false, "cellGap": 1,
            "color": {"mode": "scheme", "scheme": "Blues", "steps": 64, "fill": "blue", "exponent": 0.5},
            "filterValues": {"le": 1e-9},
            "rowsFrame": {"layout": "auto"},
            "yAxis": {"unit": of.unit, "axisPlacement": "left", "reverse": false},
            "cellValues": {"unit": "short"},
            "legend": {"show": true},
            "tooltip": {"mode": "single", "yHistogram": true, "showColorScale": true},
        }),
        Kind::States => json!({
            "mergeValues": true, "showValue": "never", "rowHeight": 0.8, "alignValue": "left",
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": true},
            "tooltip": {"mode": "single", "sort": "none"},
        }),
        Kind::Table => json!({
            "showHeader": true, "cellHeight": "sm",
            "footer": {"show": false, "reducer": ["sum"], "countRows": false, "fields": ""},
        }),
    }
}

/// One row for each set of labels, its queries side by side; only columns that were asked for.
fn transformations(of: &Panel) -> Value {
    let refs = (b'A'..).map(char::from);
    let renames: Map<String, Value> = of
        .columns
        .iter()
        .map(|column| {
            let query = of.queries.iter().position(|query| query.say == column.of);
            let of_query = query.and_then(|at| refs.clone().nth(at));
            let field = match of_query {
                // Prometheus names the value of a query by its letter, and by nothing where it is alone.
                Some(letter) if of.queries.len() > 1 => format!("Value #{letter}"),
                Some(_) => "Value".to_owned(),
                None => column.of.clone(),
            };
            (field, Value::from(column.title.clone()))
        })
        .collect();
    let order: Map<String, Value> = of
        .columns
        .iter()
        .enumerate()
        .map(|(at, column)| (column.title.clone(), Value::from(at)))
        .collect();
    let names: Vec<&str> = of
        .columns
        .iter()
        .map(|column| column.title.as_str())
        .collect();
    json!([
        {"id": "merge", "options": {}},
        {"id": "organize", "options": {"renameByName": renames, "excludeByName": {}, "indexByName": {}}},
        {"id": "filterFieldsByName", "options": {"include": {"names": names}}},
        {"id": "organize", "options": {"renameByName": {}, "excludeByName": {}, "indexByName": order}},
    ])
}

fn table_overrides(columns: &[Column]) -> Result<Vec<Value>> {
    let mut overrides = Vec::new();
    for column in columns {
        let mut properties = Vec::new();
        if let Some(unit) = &column.unit {
            properties.push(("unit", json!(unit)));
        }
        if !column.steps.is_empty() {
            properties.push(("thresholds", thresholds(&column.steps)?));
            properties.push(("color", json!({"mode": "thresholds"})));
            properties.push(("custom.cellOptions", json!({"type": "color-text"})));
        }
        if !properties.is_empty() {
            overrides.push(override_of("byName", &column.title, &properties));
        }
    }
    Ok(overrides)
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn percentiles_are_spelled_as_quantiles() {
        let query: Query = serde_json::from_value(json!({
            "ask": "histogram_quantile(<q>, x)", "say": "P<p> {{m}}", "each": [50, 99],
        }))
        .unwrap();
        assert_eq!(
            spelled(&query),
            [
                (
                    "histogram_quantile(0.5, x)".to_owned(),
                    "P50 {{m}}".to_owned()
                ),
                (
                    "histogram_quantile(0.99, x)".to_owned(),
                    "P99 {{m}}".to_owned()
                ),
            ]
        );
        assert_eq!(first_words("batch {{m}}"), "batch");
    }

    #[test]
    fn steps_begin_without_a_number() {
        let steps = ["green", "red 0.9"].map(str::to_owned);
        assert_eq!(
            thresholds(&steps).unwrap()["steps"],
            json!([{"color": "green", "value": null}, {"color": "red", "value": 0.9}])
        );
        for wrong in [["green 1", "red 2"], ["green", "red"], ["green", "red x"]] {
            assert!(thresholds(&wrong.map(str::to_owned)).is_err());
        }
    }
}
