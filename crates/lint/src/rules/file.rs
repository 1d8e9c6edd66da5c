//! What is wrong with a file before anybody looks at its queries.

use super::{Check, Rule};
use crate::finding::Severity;

pub(super) const BAD_FILE: Rule = Rule {
    id: "bad-file",
    severity: Severity::Error,
    title: "the file is no JSON or YAML, or not what it should be",
    why: "What is broken cannot be checked, and the program that it is for will refuse the file, too. Other \
          documents and rules of the same file are read all the same.",
    wrong: "groups:\n  - name: latency\n    rules: [",
    right: "groups:\n  - name: latency\n    rules: []",
    check: Check::Reader,
};

pub(super) const UNKNOWN_SCHEMA: Rule = Rule {
    id: "unknown-schema",
    severity: Severity::Warning,
    title: "the file is of a kind or version that is not known",
    why: "What is new in it is not looked at. What is known is.",
    wrong: "apiVersion: monitoring.coreos.com/v2\nkind: PrometheusRule\nspec: {groups: []}",
    right: "apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nspec: {groups: []}",
    check: Check::Reader,
};

pub(super) const UNKNOWN_DIRECTIVE: Rule = Rule {
    id: "unknown-directive",
    severity: Severity::Warning,
    title: "a comment to the linter that says nothing",
    why: "It names no rule or dialect that exists, or a dialect where it speaks for a part of the file only. \
          It allows nothing, and whoever wrote it believes that it does.",
    wrong: "groups:\n  - name: a\n    rules:\n      # tokenpath-lint: allow wrong-unti\n      - {record: a:b, expr: up}",
    right: "groups:\n  - name: a\n    rules:\n      # tokenpath-lint: allow wrong-unit\n      - {record: a:b, expr: up}",
    check: Check::Reader,
};
