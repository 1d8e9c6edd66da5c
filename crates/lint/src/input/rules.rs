//! Rule files of Prometheus, and PrometheusRule manifests.

use tokenpath_text::Flaw;
use tokenpath_text::tree::{Node, Value};

use super::directive::{self, Directives};
use super::{Document, Role, Source};

/// The version of the manifest that is known.
const OPERATOR: &str = "monitoring.coreos.com/v1";

/// Reads the rules of a document; whether it has any.
pub(super) fn read(source: Source<'_>, root: &Node, document: &mut Document) -> bool {
    let text = |key: &str| root.get(key).and_then(Node::text).unwrap_or_default();
    let groups = match text("kind") {
        "PrometheusRule" => {
            let version = root.get("apiVersion");
            let known = version.and_then(Node::text) == Some(OPERATOR);
            if !known {
                let place = version.unwrap_or(root).place;
                let what = format!(
                    "a PrometheusRule of another version than {OPERATOR}: read as that one"
                );
                document.trouble("unknown-schema", vec![Flaw::new(place, what)]);
            }
            let groups = root.get("spec").and_then(|spec| spec.get("groups"));
            match groups {
                Some(groups) => groups,
                // An empty manifest.
                None => return true,
            }
        }
        "List" => {
            let items = root.get("items").map(Node::items).unwrap_or_default();
            let mut any = false;
            for item in items {
                any |= read(source, item, document);
            }
            return any;
        }
        _ => match root.get("groups") {
            Some(groups) if root.get("kind").is_none() => groups,
            _ => return false,
        },
    };
    if !matches!(groups.value, Value::List(_)) && !groups.is_null() {
        let what = format!(
            "`groups` is a list of groups, and this is {}",
            groups.what()
        );
        document.trouble("bad-file", vec![Flaw::new(groups.place, what)]);
        return true;
    }
    let (comments, flaws) = directive::in_comments(source.text);
    if document.queries.is_empty() {
        document.trouble("unknown-directive", flaws);
    }
    let rules: Vec<&Node> = groups
        .items()
        .iter()
        .filter_map(|group| group.get("rules"))
        .flat_map(Node::items)
        .collect();
    let starts: Vec<u32> = rules
        .iter()
        .map(|rule| above(source.text, rule.place.line))
        .collect();
    let first = starts.first().copied().unwrap_or(u32::MAX);
    for (line, said) in &comments {
        if *line < first {
            document.directives = document.directives.and(said);
        }
    }
    for (index, rule) in rules.iter().enumerate() {
        let until = starts.get(index + 1).copied().unwrap_or(u32::MAX);
        let own = |line: u32| (starts[index]..until).contains(&line);
        let allowed = comments
            .iter()
            .filter(|(line, _)| own(*line))
            .fold(Directives::default(), |all, (_, said)| all.and(said));
        let name = |key: &str| rule.get(key).and_then(Node::text).map(str::to_owned);
        let role = match (name("record"), name("alert")) {
            (Some(record), _) => Role::Record(record),
            (None, Some(alert)) => Role::Alert(alert),
            (None, None) => continue,
        };
        if let Some(expression) = rule.get("expr") {
            let query = source.query(expression, role, false, &allowed);
            document.queries.extend(query);
        }
    }
    true
}

/// The line of the first of the comments that stand directly above a line.
fn above(text: &str, line: u32) -> u32 {
    let index = usize::try_from(line.saturating_sub(1)).unwrap_or_default();
    let lines: Vec<&str> = text.lines().take(index).collect();
    let comments = lines
        .iter()
        .rev()
        .take_while(|line| line.trim_start().starts_with('#'));
    line.saturating_sub(u32::try_from(comments.count()).unwrap_or_default())
}
