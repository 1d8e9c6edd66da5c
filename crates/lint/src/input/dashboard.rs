//! Dashboards of Grafana.

use tokenpath_text::Flaw;
use tokenpath_text::tree::{Node, Value};

use super::{Directives, Document, Panel, Query, Role, Source};

/// The newest schema that was read; later ones are read as if they were it.
const SCHEMA: u32 = 42;

/// The dashboard itself: as it is, as the API wraps it, or as a resource.
fn body(root: &Node) -> &Node {
    let resource = root
        .get("apiVersion")
        .and_then(Node::text)
        .is_some_and(|version| version.starts_with("dashboard.grafana.app/"));
    let inside = if resource {
        root.get("spec")
    } else {
        root.get("dashboard")
    };
    inside
        .filter(|node| !node.entries().is_empty())
        .unwrap_or(root)
}

/// Whether a tree is a dashboard.
pub(super) fn is_one(root: &Node) -> bool {
    let body = body(root);
    let has = |key: &str| body.get(key).is_some();
    body.get("panels")
        .is_some_and(|panels| matches!(panels.value, Value::List(_)))
        || has("schemaVersion")
        || has("templating")
        || (has("rows") && has("title"))
        || has("elements")
}

/// Reads all queries of a dashboard.
pub(super) fn read(source: Source<'_>, root: &Node, document: &mut Document) {
    let body = body(root);
    schema(body, document);
    let mut directives = Directives::default();
    let tags = body.get("tags").map(Node::items).unwrap_or_default();
    for node in body.get("description").into_iter().chain(tags) {
        said(node, document, |line| directives.of_line(line));
    }
    document.directives = directives;
    let mut panels: Vec<&Node> = Vec::new();
    collect(body, &mut panels, document);
    panels.extend(library(body));
    for panel in panels {
        let mut allowed = Directives::default();
        if let Some(description) = panel.get("description") {
            said(description, document, |line| allowed.of_part(line));
        }
        one_panel(source, panel, &allowed, document);
    }
    let none = Directives::default();
    for variable in listed(body, "templating", document) {
        let query = of_variable(source, variable, document);
        document.queries.extend(query);
    }
    for annotation in listed(body, "annotations", document) {
        // Newer Grafanas keep it as a panel's target.
        let target = annotation.get("target");
        let expression = target
            .and_then(|target| target.get("expr"))
            .filter(|node| node.text() != Some(""))
            .or_else(|| annotation.get("expr"))
            .filter(|_| is_prometheus(annotation, None));
        let name = annotation
            .get("name")
            .and_then(Node::text)
            .unwrap_or_default();
        let role = Role::Annotation(name.to_owned());
        let query = expression.and_then(|node| source.query(node, role, true, &none, document));
        document.queries.extend(query);
    }
}

/// Takes what each line of a text says to the linter; what it says in vain is a flaw.
fn said(node: &Node, document: &mut Document, take: impl FnMut(&str) -> Option<String>) {
    let lines = node.text().unwrap_or_default().lines();
    let wrong = lines.filter_map(take);
    let flaws = wrong.map(|wrong| Flaw::new(node.place, wrong)).collect();
    document.trouble("unknown-directive", flaws);
}

fn schema(body: &Node, document: &mut Document) {
    let what = match body.get("schemaVersion") {
        None if body.get("elements").is_some() => {
            let what = "a dashboard of schema v2, which is not known: save it as v1";
            Some((body.place, what.to_owned()))
        }
        None => None,
        Some(node) => match node.text().and_then(|text| text.parse::<u32>().ok()) {
            Some(version) if version <= SCHEMA => None,
            Some(version) => {
                let what = format!(
                    "schemaVersion {version} is newer than {SCHEMA}, the newest that is known: read as that one"
                );
                Some((node.place, what))
            }
            None => Some((node.place, "schemaVersion is a whole number".to_owned())),
        },
    };
    let flaws = what.map(|(place, what)| Flaw::new(place, what));
    document.trouble("unknown-schema", flaws.into_iter().collect());
}

/// Panels, those in rows of either kind among them.
fn collect<'n>(node: &'n Node, found: &mut Vec<&'n Node>, document: &mut Document) {
    for key in ["panels", "rows"] {
        for panel in document.items(node, key) {
            if key == "panels" {
                found.push(panel);
            }
            collect(panel, found, document);
        }
    }
}

/// Panels of the library that a dashboard brings along.
fn library(body: &Node) -> impl Iterator<Item = &Node> {
    let elements = body.get("__elements").map(Node::entries);
    let elements = elements.unwrap_or_default().iter();
    elements.filter_map(|element| element.node.get("model"))
}

/// What stands in `key.list`.
fn listed<'n>(body: &'n Node, key: &str, document: &mut Document) -> &'n [Node] {
    let parent = body.get(key);
    parent.map_or(&[], |parent| document.items(parent, "list"))
}

fn one_panel(source: Source<'_>, panel: &Node, allowed: &Directives, document: &mut Document) {
    let text = |node: &Node, key: &str| {
        let text = node.get(key).and_then(Node::text);
        text.unwrap_or_default().to_owned()
    };
    let title = text(panel, "title");
    let start = document.queries.len();
    for target in document.items(panel, "targets") {
        let Some(expression) = target.get("expr") else {
            continue;
        };
        if !is_prometheus(target, Some(panel)) {
            continue;
        }
        let role = Role::Panel {
            title: title.clone(),
            legend: text(target, "legendFormat"),
        };
        let query = source.query(expression, role, true, allowed, document);
        document.queries.extend(query);
    }
    let defaults = panel
        .get("fieldConfig")
        .and_then(|config| config.get("defaults"));
    let unit = defaults.and_then(|defaults| defaults.get("unit"));
    let steps = defaults
        .and_then(|defaults| defaults.get("thresholds"))
        .filter(|thresholds| thresholds.get("mode").and_then(Node::text) != Some("percentage"))
        .and_then(|thresholds| thresholds.get("steps"));
    let steps = steps.map(Node::items).unwrap_or_default();
    let threshold = |step: &Node| {
        let value = step.get("value")?;
        Some((value.text()?.parse().ok()?, source.extent(value)))
    };
    document.panels.push(Panel {
        title,
        unit: unit.and_then(|node| Some((node.text()?.to_owned(), source.extent(node)))),
        thresholds: steps.iter().filter_map(threshold).collect(),
        queries: start..document.queries.len(),
        allowed: allowed.clone(),
    });
}

/// Whether what a target asks is Prometheus, as far as the dashboard says.
fn is_prometheus(target: &Node, panel: Option<&Node>) -> bool {
    let kind = kind(target).or_else(|| panel.and_then(kind));
    kind.is_none_or(|kind| kind.starts_with('$') || says_prometheus(kind))
}

/// What kind of source a target asks, where that is said.
fn kind(target: &Node) -> Option<&str> {
    let kind = target.get("datasource")?.get("type")?.text()?;
    (!matches!(kind, "mixed" | "datasource")).then_some(kind)
}

fn says_prometheus(kind: &str) -> bool {
    kind.contains("prometheus") || kind.contains("mimir")
}

/// The query of a variable: `label_values(metric, label)` becomes a query that has both. What is none of
/// the functions for variables is a selector.
fn of_variable(source: Source<'_>, variable: &Node, document: &mut Document) -> Option<Query> {
    if variable.get("type").and_then(Node::text) != Some("query") || !is_prometheus(variable, None)
    {
        return None;
    }
    let node = variable.get("query")?;
    let node = node.get("query").unwrap_or(node);
    let text = node.text()?;
    let name = variable
        .get("name")
        .and_then(Node::text)
        .unwrap_or_default();
    let role = Role::Variable(name.to_owned());
    let call = text.trim().strip_suffix(')');
    let call = call.and_then(|call| call.split_once('('));
    let call = call.map(|(function, inside)| (function.trim(), inside));
    let (expression, label) = match call {
        Some(("query_result", inside)) => (inside, None),
        Some(("label_values", inside)) => match inside.rsplit_once(',') {
            Some((expression, label)) if !label.contains(['}', '"']) => {
                (expression, Some(label.trim()))
            }
            Some(_) => return selector(source, node, role, variable, document),
            None => return None,
        },
        Some(("metrics" | "label_names", _)) => return None,
        _ => return selector(source, node, role, variable, document),
    };
    let begin = text.find('(')? + 1;
    let mut query = source.query(node, role, true, &Directives::default(), document)?;
    // The spelling of the part; of the label, a grouping that is not there.
    let whole = query.spelling.take();
    let (text, spelling) = match label {
        None => (
            expression.to_owned(),
            whole.map(|whole| whole.part(begin, expression.len())),
        ),
        Some(label) if label.starts_with(['$', '[']) || label.is_empty() => (
            expression.to_owned(),
            whole.map(|whole| whole.part(begin, expression.len())),
        ),
        Some(label) => {
            let front = "group by (";
            let behind = ") (";
            let text = format!("{front}{label}{behind}{expression})");
            let label_at = text_offset(node.text()?, label)?;
            let spelling = whole.map(|whole| {
                whole.stitched(&[
                    (front.len(), label_at),
                    (label.len(), label_at),
                    (behind.len(), begin),
                    (expression.len(), begin),
                    (1, begin + expression.len()),
                ])
            });
            (text, spelling)
        }
    };
    query.reading = source.reader.read(&text, true);
    query.text = text;
    query.spelling = spelling;
    Some(query)
}

/// The text of a variable as a query, where it is surely one of Prometheus.
fn selector(
    source: Source<'_>,
    node: &Node,
    role: Role,
    variable: &Node,
    document: &mut Document,
) -> Option<Query> {
    let is_sure = kind(variable).is_some_and(says_prometheus);
    let says_something = node.text().is_some_and(|text| !text.trim().is_empty());
    (is_sure && says_something)
        .then(|| source.query(node, role, true, &Directives::default(), document))
        .flatten()
}

/// Where the label of `label_values` stands.
fn text_offset(text: &str, label: &str) -> Option<usize> {
    let comma = text.rfind(',')?;
    let behind = text.get(comma..)?;
    Some(comma + behind.find(label)?)
}
