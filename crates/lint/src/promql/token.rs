//! PromQL, word by word, with the place of each. Variables of a dashboard are words of their own.

use std::ops::Range;

/// What a word is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A name or a keyword.
    Word,
    /// A number or a duration.
    Number,
    /// Text in quotes, the quotes included.
    Text,
    /// An operator, bracket or comma.
    Sign,
    /// `$x`, `${x:format}` or `[[x]]`.
    Variable,
    /// `#` to the end of the line.
    Comment,
    /// A quote that is never closed, or a character that PromQL does not have.
    Broken,
}

/// A word and where it stands, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) span: Range<usize>,
}

impl Token {
    pub(crate) fn of<'t>(&self, text: &'t str) -> &'t str {
        text.get(self.span.clone()).unwrap_or_default()
    }
}

/// All words, comments among them. Where `variables` is false, `$` is a broken character.
pub(crate) fn tokens(text: &str, variables: bool) -> Vec<Token> {
    let mut found = Vec::new();
    let mut brackets = 0_usize;
    let mut at = 0;
    while let Some(rest) = text.get(at..) {
        let Some(first) = rest.chars().next() else {
            break;
        };
        let (kind, length) = match first {
            c if c.is_whitespace() => {
                at += c.len_utf8();
                continue;
            }
            '#' => (Kind::Comment, rest.find('\n').unwrap_or(rest.len())),
            '"' | '\'' | '`' => quoted(rest, first),
            _ if variables && variable(rest).is_some() => {
                (Kind::Variable, variable(rest).unwrap_or(1))
            }
            c if c.is_ascii_digit() => (Kind::Number, number(rest)),
            '.' if rest.chars().nth(1).is_some_and(|c| c.is_ascii_digit()) => {
                (Kind::Number, number(rest))
            }
            // A colon begins a name, but between brackets it divides a range from a step.
            ':' if brackets > 0 => (Kind::Sign, 1),
            c if is_word(c) => {
                let end = rest
                    .find(|c| !(is_word(c) || c.is_ascii_digit()) || (brackets > 0 && c == ':'));
                (Kind::Word, end.unwrap_or(rest.len()))
            }
            '[' => {
                brackets += 1;
                (Kind::Sign, 1)
            }
            ']' => {
                brackets = brackets.saturating_sub(1);
                (Kind::Sign, 1)
            }
            '=' | '!' | '<' | '>' => {
                let two = ["==", "=~", "!=", "!~", "<=", ">="];
                match (two.iter().any(|sign| rest.starts_with(sign)), first) {
                    (true, _) => (Kind::Sign, 2),
                    (false, '!') => (Kind::Broken, 1),
                    _ => (Kind::Sign, 1),
                }
            }
            '(' | ')' | '{' | '}' | ',' | '+' | '-' | '*' | '/' | '%' | '^' | '@' => {
                (Kind::Sign, 1)
            }
            c => (Kind::Broken, c.len_utf8()),
        };
        let span = at..at + length;
        at = span.end;
        found.push(Token { kind, span });
    }
    found
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_' || c == ':'
}

/// Quoted text; backquotes know no escapes.
fn quoted(rest: &str, quote: char) -> (Kind, usize) {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        if escaped {
            escaped = false;
        } else if c == '\\' && quote != '`' {
            escaped = true;
        } else if c == quote {
            return (Kind::Text, at + 1);
        } else if c == '\n' && quote != '`' {
            return (Kind::Broken, at);
        }
    }
    (Kind::Broken, rest.len())
}

/// Digits, letters and points, and the sign of an exponent.
fn number(rest: &str) -> usize {
    let hexadecimal = rest.starts_with("0x") || rest.starts_with("0X");
    let mut before = ' ';
    let end = rest.find(|c: char| {
        let exponent = matches!(before, 'e' | 'E') && matches!(c, '+' | '-') && !hexadecimal;
        before = c;
        !(c.is_ascii_alphanumeric() || c == '.' || c == '_' || exponent)
    });
    end.unwrap_or(rest.len())
}

/// How long the variable is that the text begins with.
pub(crate) fn variable(rest: &str) -> Option<usize> {
    let name = |text: &str| {
        let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        let end = end.unwrap_or(text.len());
        (end > 0 && !text.starts_with(|c: char| c.is_ascii_digit())).then_some(end)
    };
    // Behind a name: a field, a format with its own arguments.
    let until = |text: &str, close: &str| {
        let end = text.find(close)?;
        let inside = text.get(..end)?;
        let extra = inside.get(name(inside)?..)?;
        let plain = |c: char| c.is_ascii_alphanumeric() || "._:,-[]\"' ".contains(c);
        let good = extra.is_empty() || extra.starts_with([':', '.', '[']);
        (good && extra.chars().all(plain)).then_some(end + close.len())
    };
    if let Some(inside) = rest.strip_prefix("${") {
        return Some(2 + until(inside, "}")?);
    }
    if let Some(inside) = rest.strip_prefix("[[") {
        return Some(2 + until(inside, "]]")?);
    }
    Some(1 + name(rest.strip_prefix('$')?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<&str> {
        let all = tokens(text, true);
        all.iter().map(|token| token.of(text)).collect()
    }

    #[test]
    fn words_of_a_query() {
        let query = r#"sum by(le) (rate(vllm:x_bucket{a!~"b\"}",c=`\`}[5m:1m] offset -1h)) >= 1.5e-3 # end"#;
        assert_eq!(
            words(query),
            [
                "sum",
                "by",
                "(",
                "le",
                ")",
                "(",
                "rate",
                "(",
                "vllm:x_bucket",
                "{",
                "a",
                "!~",
                "\"b\\\"}\"",
                ",",
                "c",
                "=",
                "`\\`",
                "}",
                "[",
                "5m",
                ":",
                "1m",
                "]",
                "offset",
                "-",
                "1h",
                ")",
                ")",
                ">=",
                "1.5e-3",
                "# end"
            ]
        );
    }

    #[test]
    fn variables_are_words() {
        for (text, found) in [
            ("$x", vec!["$x"]),
            ("${x:regex}", vec!["${x:regex}"]),
            ("[[x]]", vec!["[[x]]"]),
            ("a[[[x:raw]]]", vec!["a", "[", "[[x:raw]]", "]"]),
            (
                "a[$__rate_interval]",
                vec!["a", "[", "$__rate_interval", "]"],
            ),
            ("${x.text}_total", vec!["${x.text}", "_total"]),
        ] {
            assert_eq!(words(text), found);
        }
        assert_eq!(tokens("$x", false)[0].kind, Kind::Broken);
        assert_eq!(tokens("\"a", false)[0].kind, Kind::Broken);
    }
}
