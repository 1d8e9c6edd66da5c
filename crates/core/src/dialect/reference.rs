//! A dialect as a table for people: what each name stands for, and what it lacks.

use std::fmt;
use std::fmt::Write as _;

use super::row::{LabelRule, Row};
use super::{Dialect, Missing};

/// One line: what is spoken about, and as what.
impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} as {} {}", self.meaning(), self.kind(), self.name())
    }
}

/// What the label becomes.
impl fmt::Display for LabelRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rename { from, to } => write!(f, "{to} = {from}"),
            Self::Drop(name) => write!(f, "without {name}"),
            Self::Copy { from, to, prefix } if prefix.is_empty() => {
                write!(f, "{to} = {from} (if there is no {to})")
            }
            Self::Copy { from, to, prefix } => write!(f, "{to} = {prefix}{{{from}}}"),
            Self::Join {
                family,
                on,
                label,
                to,
            } => write!(f, "{to} = {label} of {family} with the same {on}"),
        }
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name(), self.why())
    }
}

impl Row {
    /// What the row speaks about: quantities in the order in which they are preferred, the factor,
    /// the conditions.
    #[must_use]
    pub fn meaning(&self) -> String {
        let quantities: Vec<String> = self.quantities().map(ToString::to_string).collect();
        let mut text = quantities.join(" or ");
        if self.scale().to_bits() != 1.0_f64.to_bits() {
            _ = write!(text, " × {}", self.scale());
        }
        for matcher in self.matchers() {
            _ = write!(text, " when {matcher}");
        }
        text
    }
}

impl Dialect {
    /// The dialect as text: a line for each name with its type and what it stands for, then what
    /// cannot be derived, and why.
    ///
    /// ```
    /// use tokenpath_core::dialect::Dialect;
    ///
    /// let table = Dialect::builtin("worker").unwrap().table();
    /// assert!(table.contains("llm_queue_depth"));
    /// assert!(table.contains("llm_kv_cache_usage_ratio × 100"));
    /// ```
    #[must_use]
    pub fn table(&self) -> String {
        let width = |texts: &mut dyn Iterator<Item = usize>| texts.max().unwrap_or(0);
        let name = width(&mut self.rows().iter().map(|row| row.name().len()));
        let mut text = String::new();
        if self.is_canonical() {
            text.push_str("every family under its own name: tokenpath metrics lists them\n");
        }
        for row in self.rows() {
            _ = writeln!(
                text,
                "{:name$}  {:9}  {}",
                row.name(),
                row.kind().to_string(),
                row.meaning()
            );
        }
        if !self.missing().is_empty() {
            text.push_str("\ncannot be derived:\n");
            for missing in self.missing() {
                _ = writeln!(text, "{missing}");
            }
        }
        text
    }

    /// As [`table`](Self::table), as a section of a Markdown page, with what becomes of the labels.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut text = format!("## `{}`\n\n", self.name());
        if self.is_canonical() {
            text.push_str("Every family under its own name: [metrics.md](metrics.md).\n");
            return text;
        }
        text.push_str("| name | type | what it is | labels |\n| --- | --- | --- | --- |\n");
        for row in self.rows() {
            let mut labels: Vec<String> = row
                .label_rules()
                .iter()
                .map(|rule| rule.to_string())
                .collect();
            labels.extend(
                row.constants()
                    .map(|(name, value)| format!("{name} = {value:?}")),
            );
            _ = writeln!(
                text,
                "| `{}` | {} | {} | {} |",
                row.name(),
                row.kind(),
                row.meaning().replace('|', "\\|"),
                labels.join("; ")
            );
        }
        if !self.missing().is_empty() {
            text.push_str("\nCannot be derived:\n\n");
            for missing in self.missing() {
                _ = writeln!(text, "- `{}`: {}.", missing.name(), missing.why());
            }
        }
        text
    }
}
