//! SARIF 2.1.0, the format in which code hosts and editors take the findings of tools.

use serde_json::{Value, json};

use crate::finding::Finding;
use crate::rules::RULES;

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";
const PAGE: &str = "https://github.com/tokenpath/tokenpath/blob/main/docs/lint.md";

/// A log with one run: all rules, and a result for each finding.
#[must_use]
pub fn sarif(findings: &[Finding]) -> Value {
    let rules: Vec<Value> = RULES
        .iter()
        .map(|rule| {
            json!({
                "id": rule.id,
                "shortDescription": { "text": rule.title },
                "fullDescription": { "text": rule.why },
                "helpUri": format!("{PAGE}#{}", rule.id),
                "defaultConfiguration": { "level": rule.severity.word() },
            })
        })
        .collect();
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": {
                "driver": {
                    "name": "tokenpath-lint",
                    "version": env!("CARGO_PKG_VERSION"),
                    "informationUri": PAGE,
                    "rules": rules,
                },
            },
            "columnKind": "unicodeCodePoints",
            "results": findings.iter().map(result).collect::<Vec<_>>(),
        }],
    })
}

fn result(finding: &Finding) -> Value {
    let index = RULES.iter().position(|rule| rule.id == finding.rule);
    let mut region = json!({
        "startLine": finding.start.line,
        "startColumn": finding.start.column,
    });
    // An end at the beginning says nothing, and an empty region is an insertion.
    if finding.end > finding.start {
        region["endLine"] = finding.end.line.into();
        region["endColumn"] = finding.end.column.into();
    }
    json!({
        "ruleId": finding.rule,
        "ruleIndex": index,
        "level": finding.severity.word(),
        "message": { "text": format!("{}: {}", finding.message, finding.advice) },
        "locations": [{
            "physicalLocation": {
                "artifactLocation": { "uri": uri(&finding.file) },
                "region": region,
            },
        }],
    })
}

/// A path as a URI reference: what has a meaning there is written as its code.
fn uri(path: &str) -> String {
    let path = path.strip_prefix("./").unwrap_or(path);
    let mut uri = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'\\' => uri.push('/'),
            b'/' | b'.' | b'-' | b'_' | b'~' => uri.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => uri.push(char::from(byte)),
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_references() {
        assert_eq!(uri("./a b/c:d#é.yml"), "a%20b/c%3Ad%23%C3%A9.yml");
        assert_eq!(uri("/abs/x.json"), "/abs/x.json");
    }
}
