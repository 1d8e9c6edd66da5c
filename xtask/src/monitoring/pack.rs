//! The files of the pack as far as the checks need them: rules, their tests, runbooks.
//!
//! promtool reads them as YAML. Here the lines are read, in the one form that this repository writes;
//! what is counted is compared with promtool, so that a form not understood shows as a difference.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::report::Result;

/// One recording or alerting rule.
pub(super) struct Rule {
    pub(super) name: String,
    pub(super) is_alert: bool,
    pub(super) expression: String,
    /// What stands under `labels` and `annotations`, and `for`.
    pub(super) fields: BTreeMap<String, String>,
    pub(super) file: String,
}

/// One look at a rule in a test.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Look {
    /// The alert by its name, or the expression.
    pub(super) of: String,
    pub(super) is_alert: bool,
    /// Whether an alert, or a value other than 0, is expected.
    pub(super) shows: bool,
}

/// Files of a folder with this extension, in order.
pub(super) fn files(folder: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let entries =
        std::fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut found = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|is| is == extension) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// The last part of a path, to show.
pub(super) fn name_of(path: &Path) -> String {
    path.file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}

struct Line<'a> {
    indent: usize,
    key: &'a str,
    value: &'a str,
    text: &'a str,
}

/// Lines with what they say; comments and empty lines left out.
fn lines(text: &str) -> impl Iterator<Item = Line<'_>> {
    text.lines().filter_map(|line| {
        let trimmed = line.trim_start();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            return None;
        }
        let inner = trimmed.trim_start_matches("- ");
        let (key, value) = inner.split_once(':').unwrap_or((inner, ""));
        Some(Line {
            indent: line.len() - inner.len(),
            key,
            value: unquoted(value.trim()),
            text: trimmed,
        })
    })
}

fn unquoted(value: &str) -> &str {
    for quote in ['\'', '"'] {
        if let Some(inner) = value
            .strip_prefix(quote)
            .and_then(|rest| rest.strip_suffix(quote))
        {
            return inner;
        }
    }
    value
}

/// The rules of a file.
pub(super) fn rules(file: &str, text: &str) -> Vec<Rule> {
    let mut found: Vec<Rule> = Vec::new();
    // The indent of `expr: |` while its block lasts.
    let mut block = None;
    for line in lines(text) {
        if let (Some(indent), Some(rule)) = (block, found.last_mut()) {
            if line.indent > indent {
                rule.expression.push_str(line.text);
                rule.expression.push('\n');
                continue;
            }
            block = None;
        }
        match (line.key, found.last_mut()) {
            ("alert" | "record", _) => found.push(Rule {
                name: line.value.to_owned(),
                is_alert: line.key == "alert",
                expression: String::new(),
                fields: BTreeMap::new(),
                file: file.to_owned(),
            }),
            ("expr", Some(rule)) => match line.value {
                "|" => block = Some(line.indent),
                expression => expression.clone_into(&mut rule.expression),
            },
            (key, Some(rule)) => {
                rule.fields.insert(key.to_owned(), line.value.to_owned());
            }
            (_, None) => {}
        }
    }
    found
}

/// What the tests of a file look at.
pub(super) fn looks(text: &str) -> Vec<Look> {
    let mut found: Vec<Look> = Vec::new();
    for line in lines(text) {
        match (line.key, found.last_mut()) {
            ("alertname" | "expr", _) => found.push(Look {
                of: line.value.to_owned(),
                is_alert: line.key == "alertname",
                shows: false,
            }),
            ("exp_labels", Some(look)) => look.shows |= look.is_alert,
            ("value", Some(look)) => look.shows |= !look.is_alert && line.value != "0",
            _ => {}
        }
    }
    found
}

/// The queries of a page: the lines of its `promql` blocks.
pub(super) fn queries(page: &str) -> Vec<&str> {
    page.split("```promql\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .flat_map(str::lines)
        .filter(|line| !line.trim().is_empty())
        .collect()
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn rules_have_their_expressions_and_fields() {
        let text = "groups:\n  - name: g\n    rules:\n      - record: a:b\n        expr: c\n      \
            # why\n      - alert: D\n        expr: |\n          e\n          or f\n        for: 2m\n        \
            labels:\n          severity: warning\n        annotations:\n          summary: \"s: t\"\n";
        let found = rules("f.yml", text);
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].name.as_str(), found[0].is_alert), ("a:b", false));
        assert_eq!(found[0].expression, "c");
        assert_eq!(found[1].expression, "e\nor f\n");
        assert_eq!(found[1].fields["for"], "2m");
        assert_eq!(found[1].fields["severity"], "warning");
        assert_eq!(found[1].fields["summary"], "s: t");
    }

    #[test]
    fn looks_tell_firing_from_quiet() {
        let text = "    alert_rule_test:\n      - eval_time: 1m\n        alertname: A\n        exp_alerts: []\n      \
            - eval_time: 2m\n        alertname: A\n        exp_alerts:\n          - exp_labels:\n              a: 'b'\n    \
            promql_expr_test:\n      - expr: b:c\n        eval_time: 1m\n        exp_samples:\n          \
            - labels: 'b:c{d=\"e\"}'\n            value: 0\n";
        let shows: Vec<_> = looks(text)
            .into_iter()
            .map(|look| (look.of, look.shows))
            .collect();
        let expected = [("A", false), ("A", true), ("b:c", false)];
        assert_eq!(shows, expected.map(|(of, shows)| (of.to_owned(), shows)));
    }

    #[test]
    fn queries_are_the_lines_of_promql_blocks() {
        let page = "a\n```promql\nb\nc\n```\n```sh\nd\n```\n```promql\ne\n```\n";
        assert_eq!(queries(page), ["b", "c", "e"]);
    }
}
