//! What authors say to the linter: `tokenpath-lint: allow RULE, …` and `tokenpath-lint: dialect NAME, …`.
//!
//! In YAML and in PromQL it stands in a comment, in a dashboard in a description or a tag.

use std::collections::BTreeSet;
use std::ops::Range;

use tokenpath_text::{Flaw, Place};

const MARK: &str = "tokenpath-lint:";

const DIALECT_OF_PART: &str = "`dialect` is of a whole file: say it above its first rule, or in the description of the dashboard";

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
        let (verb, rest) = said.split_at(said.find(char::is_whitespace).unwrap_or(said.len()));
        // What follows two hyphens is the reason.
        let list = rest.split(" --").next().unwrap_or_default();
        let mut words = list
            .split([',', ' ', '"'])
            .map(|word| word.trim_matches(|c: char| !(c.is_ascii_alphanumeric() || c == '-')))
            .filter(|word| !word.is_empty())
            .peekable();
        let mut wrong = words
            .peek()
            .is_none()
            .then(|| format!("`{verb}` of nothing: name what"));
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

    /// Takes what a line says that stands beside a part of a file; what it says in vain, which a dialect
    /// is there.
    pub(crate) fn of_part(&mut self, line: &str) -> Option<String> {
        let wrong = self.of_line(line);
        let dialects = std::mem::take(&mut self.dialects);
        wrong.or_else(|| (!dialects.is_empty()).then(|| DIALECT_OF_PART.to_owned()))
    }

    /// Takes what the comments of an expression say; what they say in vain, and where in it.
    pub(crate) fn of_expression(&mut self, text: &str) -> Vec<(Range<usize>, String)> {
        let mut wrong = Vec::new();
        let mut start = 0;
        for line in text.split_inclusive('\n') {
            if let Some(at) = line.find('#')
                && let Some(what) = self.of_part(line.get(at..).unwrap_or_default().trim_end())
            {
                let end = start + line.trim_end().len();
                wrong.push((start + at..end, what));
            }
            start += line.len();
        }
        wrong
    }
}

/// A comment of a YAML file that says something to the linter.
#[derive(Debug)]
pub(crate) struct Comment<'t> {
    /// Where it says so.
    pub(crate) place: Place,
    text: &'t str,
}

impl Comment<'_> {
    /// What it says for the whole file; what it says in vain.
    pub(crate) fn of_file(&self, directives: &mut Directives) -> Option<Flaw> {
        let wrong = directives.of_line(self.text);
        wrong.map(|wrong| Flaw::new(self.place, wrong))
    }

    /// What it says for a part of the file; what it says in vain.
    pub(crate) fn of_part(&self, directives: &mut Directives) -> Option<Flaw> {
        let wrong = directives.of_part(self.text);
        wrong.map(|wrong| Flaw::new(self.place, wrong))
    }
}

/// The comments to the linter in these lines of a YAML file.
pub(crate) fn comments(text: &str, lines: Range<u32>) -> Vec<Comment<'_>> {
    let mut found = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let comment = line.find('#').and_then(|at| line.get(at..));
        let (true, Some(comment), Some(at)) = (lines.contains(&number), comment, line.find(MARK))
        else {
            continue;
        };
        let before = line.get(..at).unwrap_or_default().chars().count();
        let column = u32::try_from(before + 1).unwrap_or(u32::MAX);
        found.push(Comment {
            place: Place {
                line: number,
                column,
            },
            // Where an expression in quotes is on one line, an escape ends a line of it.
            text: comment.split('\\').next().unwrap_or_default(),
        });
    }
    found
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
        let wrong = said.of_line("# tokenpath-lint: allow -- because").unwrap();
        assert_eq!(wrong, "`allow` of nothing: name what");
    }

    #[test]
    fn a_dialect_is_not_of_a_part() {
        let mut said = Directives::default();
        let text =
            "# tokenpath-lint: allow wrong-unit\r\nup\n  # tokenpath-lint: dialect vllm-v0\n> 1";
        let wrong = said.of_expression(text);
        let [(at, what)] = &wrong[..] else {
            panic!("{wrong:?}");
        };
        assert_eq!(
            text.get(at.clone()),
            Some("# tokenpath-lint: dialect vllm-v0")
        );
        assert!(what.contains("of a whole file"), "{what}");
        assert!(said.allowed.contains("wrong-unit") && said.dialects.is_empty());
    }
}
