//! Escaping: a pure function of the raw text, one for each position on a page.

use std::borrow::Cow;

/// The value of a label: backslash, quote and newline are escaped, in every format alike.
pub(super) fn label_value(value: &str) -> Cow<'_, str> {
    escape(value, true)
}

/// A help text. Quotes are escaped in OpenMetrics only.
pub(super) fn help(text: &str, openmetrics: bool) -> Cow<'_, str> {
    escape(text, openmetrics)
}

fn escape(text: &str, quotes: bool) -> Cow<'_, str> {
    let special = |c: char| c == '\\' || c == '\n' || (quotes && c == '"');
    if !text.contains(special) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\\' => escaped.push_str("\\\\"),
            '\n' => escaped.push_str("\\n"),
            '"' if quotes => escaped.push_str("\\\""),
            c => escaped.push(c),
        }
    }
    Cow::Owned(escaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_position_escapes_what_its_grammar_needs() {
        for (raw, label, text, openmetrics) in [
            ("plain", "plain", "plain", "plain"),
            ("a\\b", "a\\\\b", "a\\\\b", "a\\\\b"),
            ("a\"b", "a\\\"b", "a\"b", "a\\\"b"),
            ("a\nb", "a\\nb", "a\\nb", "a\\nb"),
            ("\\n", "\\\\n", "\\\\n", "\\\\n"),
            ("\r\t\0", "\r\t\0", "\r\t\0", "\r\t\0"),
            ("\u{2028}ü", "\u{2028}ü", "\u{2028}ü", "\u{2028}ü"),
            ("\\\"\n", "\\\\\\\"\\n", "\\\\\"\\n", "\\\\\\\"\\n"),
        ] {
            assert_eq!(label_value(raw), label);
            assert_eq!(help(raw, false), text);
            assert_eq!(help(raw, true), openmetrics);
        }
    }
}
