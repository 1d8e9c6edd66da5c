//! What authors say to the linter: `tokenpath-lint: allow RULE, …` and `tokenpath-lint: dialect NAME, …`.
//!
//! In YAML and in PromQL it stands in a comment, in a dashboard in a description or a tag.

use std::collections::BTreeSet;

use tokenpath_text::{Flaw, Place};

const MARK: &str = "tokenpath-lint:";

/// What is allowed, and which dialects are spoken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Directives {
    pub(crate) allowed: BTreeSet<String>,
    pub(crate) dialects: BTreeSet<String>,
}

impl Directives {
    /// Takes what a line says; what it says in vain.
    pub(crate) fn of_line(&mut self, line: &str) -> Option<String> {
        let said = line.get(line.find(MARK)? + MARK.len()..)?.trim_start();
        let (verb, rest) = said.split_once(char::is_whitespace).unwrap_or((said, ""));
        // What follows two hyphens is the reason.
        let list = rest.split(" --").next().unwrap_or_default();
        let words = list
            .split([',', ' ', '"'])
            .map(|word| word.trim_matches(|c: char| !(c.is_ascii_alphanumeric() || c == '-')))
            .filter(|word| !word.is_empty());
        let mut wrong = None;
        match verb {
            "allow" => {
                for word in words {
                    if !crate::rules::is_rule(word) {
                        wrong.get_or_insert_with(|| format!("`{word}` is no rule"));
                    }
                    self.allowed.insert(word.to_owned());
                }
            }
            "dialect" => {
                for word in words {
                    if tokenpath_core::dialect::Dialect::builtin(word).is_none() {
                        wrong.get_or_insert_with(|| format!("`{word}` is no dialect"));
                    }
                    self.dialects.insert(word.to_owned());
                }
            }
            other => wrong = Some(format!("`{other}` is neither `allow` nor `dialect`")),
        }
        wrong
    }

    /// Takes what the comments of an expression say.
    pub(crate) fn of_expression(&mut self, text: &str) {
        for line in text.lines() {
            if let Some(at) = line.find('#') {
                _ = self.of_line(line.get(at..).unwrap_or_default());
            }
        }
    }

    /// With what is said around it.
    pub(crate) fn and(&self, other: &Self) -> Self {
        Self {
            allowed: &self.allowed | &other.allowed,
            dialects: &self.dialects | &other.dialects,
        }
    }
}

/// The directives in the comments of a YAML file, by line, and those that are wrong.
pub(crate) fn in_comments(text: &str) -> (Vec<(u32, Directives)>, Vec<Flaw>) {
    let (mut found, mut flaws) = (Vec::new(), Vec::new());
    for (number, line) in (1..).zip(text.lines()) {
        let Some(comment) = line.find('#').filter(|_| line.contains(MARK)) else {
            continue;
        };
        let mut said = Directives::default();
        let comment = line.get(comment..).unwrap_or_default();
        if let Some(wrong) = said.of_line(comment) {
            let at = line.find(MARK).unwrap_or_default();
            let before = line.get(..at).unwrap_or_default().chars().count();
            let column = u32::try_from(before + 1).unwrap_or(u32::MAX);
            flaws.push(Flaw::new(
                Place {
                    line: number,
                    column,
                },
                wrong,
            ));
        }
        found.push((number, said));
    }
    (found, flaws)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_directive() {
        let mut said = Directives::default();
        assert_eq!(
            said.of_line("# tokenpath-lint: allow wrong-unit, missing-le -- a reason, with words"),
            None
        );
        assert_eq!(said.of_line("tokenpath-lint: dialect vllm-v0"), None);
        assert_eq!(said.allowed.len(), 2);
        assert_eq!(said.dialects.len(), 1);
        let wrong = said.of_line("# tokenpath-lint: allow wrong-unti").unwrap();
        assert_eq!(wrong, "`wrong-unti` is no rule");
        assert!(said.of_line("# tokenpath-lint: ignore x").is_some());
        assert_eq!(said.of_line("# nothing"), None);
    }
}
