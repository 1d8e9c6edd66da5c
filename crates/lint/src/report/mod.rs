//! Findings as text for people, as JSON, and as SARIF for code hosts and editors.

mod sarif;

use std::fmt::Write as _;

use serde_json::{Value, json};

pub use sarif::sarif;

use crate::finding::{Finding, Severity};

/// A line for each finding, `file:line:column`, and what to do below it; a last line counts them.
#[must_use]
pub fn text(findings: &[Finding], files: usize) -> String {
    let mut out = String::new();
    for finding in findings {
        let Finding {
            file,
            start,
            rule,
            message,
            ..
        } = finding;
        let severity = finding.severity.word();
        _ = write!(out, "{file}:{start}: {severity}: {message} [{rule}]");
        if !finding.of.is_empty() {
            _ = write!(out, " ({})", finding.of);
        }
        let mark = if finding.fixable { " (--fix does)" } else { "" };
        _ = writeln!(out, "\n    {}{mark}", finding.advice);
    }
    let count = |severity: Severity| {
        let found = findings
            .iter()
            .filter(|finding| finding.severity == severity);
        found.count()
    };
    if !findings.is_empty() {
        let fixable = findings.iter().filter(|finding| finding.fixable).count();
        _ = writeln!(
            out,
            "{} errors, {} warnings in {files} files; --fix mends {fixable}",
            count(Severity::Error),
            count(Severity::Warning),
        );
    }
    out
}

/// An object with the findings as an array, and how many files were read.
#[must_use]
pub fn json(findings: &[Finding], files: usize) -> Value {
    let one = |finding: &Finding| {
        json!({
            "file": finding.file,
            "line": finding.start.line,
            "column": finding.start.column,
            "endLine": finding.end.line,
            "endColumn": finding.end.column,
            "rule": finding.rule,
            "severity": finding.severity.word(),
            "message": finding.message,
            "advice": finding.advice,
            "of": finding.of,
            "fixable": finding.fixable,
        })
    };
    let findings: Vec<Value> = findings.iter().map(one).collect();
    json!({ "files": files, "findings": findings })
}
