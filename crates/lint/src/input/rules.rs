//! Rule files of Prometheus, and PrometheusRule manifests.

use tokenpath_text::Flaw;
use tokenpath_text::tree::{Node, Value};

use super::directive::{self, Directives};
use super::{Document, Role, Source};

/// The version of the manifest that is known.
const OPERATOR: &str = "monitoring.coreos.com/v1";

/// Reads the rules of a document; whether it is one that has rules.
pub(super) fn read(source: Source<'_>, root: &Node, document: &mut Document) -> bool {
    let Some(rules) = rules(root, document) else {
        return false;
    };
    let (begin, end) = source.within;
    let comments = directive::comments(source.text, begin..end);
    let lines: Vec<&str> = source.text.lines().collect();
    let starts: Vec<u32> = rules
        .iter()
        .map(|rule| above(&lines, rule.place.line))
        .collect();
    let mut flaws = Vec::new();
    let first = starts.first().copied().unwrap_or(end);
    for comment in comments.iter().filter(|comment| comment.place.line < first) {
        flaws.extend(comment.of_file(&mut document.directives));
    }
    for (index, rule) in rules.iter().enumerate() {
        let until = starts.get(index + 1).copied().unwrap_or(end);
        let own = starts[index]..until;
        let mut allowed = Directives::default();
        for comment in comments
            .iter()
            .filter(|comment| own.contains(&comment.place.line))
        {
            flaws.extend(comment.of_part(&mut allowed));
        }
        one_rule(source, rule, &allowed, document);
    }
    document.trouble("unknown-directive", flaws);
    true
}

/// The rules of a document, or of all documents in a list; `None` where it is none that has rules.
fn rules<'n>(root: &'n Node, document: &mut Document) -> Option<Vec<&'n Node>> {
    let Some(kind) = root.get("kind") else {
        let groups = root.get("groups")?;
        return (!is_of_others(groups)).then(|| of_groups(root, document));
    };
    match kind.text()? {
        "PrometheusRule" => Some(of_manifest(root, document)),
        "List" => {
            let items = root.get("items").map(Node::items).unwrap_or_default();
            let found = items.iter().filter_map(|item| rules(item, document));
            let found: Vec<Vec<&Node>> = found.collect();
            (!found.is_empty()).then(|| found.concat())
        }
        _ => None,
    }
}

fn of_manifest<'n>(root: &'n Node, document: &mut Document) -> Vec<&'n Node> {
    let version = root.get("apiVersion");
    if version.and_then(Node::text) != Some(OPERATOR) {
        let place = version.unwrap_or(root).place;
        let what = format!("a PrometheusRule of another version than {OPERATOR}: read as that one");
        document.trouble("unknown-schema", vec![Flaw::new(place, what)]);
    }
    match root.get("spec") {
        Some(spec) if spec.is_null() || matches!(spec.value, Value::Map(_)) => {
            of_groups(spec, document)
        }
        Some(spec) => {
            let what = format!("`spec` is a map, and this is {}", spec.what());
            document.trouble("bad-file", vec![Flaw::new(spec.place, what)]);
            Vec::new()
        }
        // An empty manifest.
        None => Vec::new(),
    }
}

/// Whether `groups` are those of another program: lists of names, or rules without a name and an expression
/// where Prometheus has them.
fn is_of_others(groups: &Node) -> bool {
    let groups = groups.items();
    let rules = groups.iter().filter_map(|group| group.get("rules"));
    let mut rules = rules.flat_map(Node::items).peekable();
    let is_ours = |rule: &Node| {
        let keys = ["alert", "record", "expr"];
        keys.iter().any(|key| rule.get(key).is_some())
    };
    let no_groups = !groups.is_empty() && groups.iter().all(|group| group.entries().is_empty());
    no_groups || (rules.peek().is_some() && !rules.any(is_ours))
}

fn of_groups<'n>(parent: &'n Node, document: &mut Document) -> Vec<&'n Node> {
    let mut rules = Vec::new();
    for group in document.items(parent, "groups") {
        if !matches!(group.value, Value::Map(_)) {
            let what = format!("a group is a map, and this is {}", group.what());
            document.trouble("bad-file", vec![Flaw::new(group.place, what)]);
        }
        rules.extend(document.items(group, "rules"));
    }
    rules
}

/// Reads a rule; what Prometheus would refuse it for is a flaw.
fn one_rule(source: Source<'_>, rule: &Node, allowed: &Directives, document: &mut Document) {
    let refuse = |document: &mut Document, node: &Node, what: String| {
        document.trouble("bad-file", vec![Flaw::new(node.place, what)]);
    };
    let name = |key: &str| rule.get(key).and_then(Node::text).map(str::to_owned);
    let role = match (name("record"), name("alert")) {
        (Some(record), alert) => {
            if alert.is_some() {
                let what = "a rule is an `alert` or a `record`, and this is both";
                refuse(document, rule, what.to_owned());
            }
            Role::Record(record)
        }
        (None, Some(alert)) => Role::Alert(alert),
        (None, None) => {
            let what = "a rule is an `alert` or a `record`, and this is neither";
            return refuse(document, rule, what.to_owned());
        }
    };
    let Some(expression) = rule.get("expr").filter(|node| !node.is_null()) else {
        return refuse(
            document,
            rule,
            format!("the {} has no `expr`", role.words()),
        );
    };
    let query = source.query(expression, role, false, allowed, document);
    document.queries.extend(query);
}

/// The line of the first of the comments that stand directly above a line.
fn above(lines: &[&str], line: u32) -> u32 {
    let index = usize::try_from(line.saturating_sub(1)).unwrap_or_default();
    let before = lines.get(..index).unwrap_or(lines);
    let comments = before
        .iter()
        .rev()
        .take_while(|line| line.trim_start().starts_with('#'));
    line.saturating_sub(u32::try_from(comments.count()).unwrap_or_default())
}
