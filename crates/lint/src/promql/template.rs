//! A dashboard's expression with something in place of each variable, and the way back.
//!
//! What a variable stands for is not known, but what *can* stand where it stands is: a duration
//! between brackets, a name where labels are listed, text in quotes. Where it may be a number or a
//! metric, both are tried.

use std::ops::Range;

use super::token::{Kind, Token, tokens, variable};

/// What stands in text and names for a variable.
pub(crate) const PLACEHOLDER: &str = "tpvar";

/// An expression without variables, which knows where each piece of it came from.
#[derive(Clone, Debug)]
pub(crate) struct Expanded {
    pub(crate) text: String,
    /// A piece of the text and the variable that it stands for.
    pieces: Vec<(Range<usize>, Range<usize>)>,
}

impl Expanded {
    /// The text as it is.
    pub(crate) fn plain(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            pieces: Vec::new(),
        }
    }

    /// The part of the original that a part of the text came from; all of a variable, where it
    /// touches one.
    pub(crate) fn original(&self, span: &Range<usize>) -> Range<usize> {
        let back = |at: usize, is_end: bool| {
            let mut shift = (0, 0);
            for (piece, from) in &self.pieces {
                if at < piece.start || (is_end && at == piece.start) {
                    break;
                }
                if at < piece.end {
                    return if is_end { from.end } else { from.start };
                }
                shift = (piece.end, from.end);
            }
            shift.1 + (at - shift.0)
        };
        let start = back(span.start, false);
        start..back(span.end, true).max(start)
    }

    /// Whether a variable stands in this part.
    pub(crate) fn is_variable(&self, span: &Range<usize>) -> bool {
        let touches = |(piece, _): &(Range<usize>, Range<usize>)| {
            piece.start < span.end && span.start < piece.end
        };
        self.pieces.iter().any(touches)
    }
}

/// What may stand for a variable outside of quotes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Sure(&'static str),
    /// A number or a metric.
    Either,
}

/// As many undecided variables are tried both ways.
pub(crate) const EITHER_MAX: usize = 4;

/// What the text may say, the most likely first and never nothing; and whether that is all it may say.
pub(crate) fn expansions(text: &str) -> (Vec<Expanded>, bool) {
    let found: Vec<Token> = tokens(text, true)
        .into_iter()
        .filter(|token| token.kind != Kind::Comment)
        .collect();
    let mut pieces: Vec<(Range<usize>, Place)> = Vec::new();
    for (index, token) in found.iter().enumerate() {
        match token.kind {
            Kind::Variable => pieces.push((token.span.clone(), place(text, &found, index))),
            Kind::Text => inside(text, &token.span, &mut pieces),
            _ => {}
        }
    }
    let open = pieces.iter().filter(|(_, place)| *place == Place::Either);
    let open = open.count();
    let tries = (0..1_usize << open.min(EITHER_MAX)).map(|choice| expand(text, &pieces, choice));
    (tries.collect(), open <= EITHER_MAX)
}

fn expand(text: &str, pieces: &[(Range<usize>, Place)], choice: usize) -> Expanded {
    let mut out = Expanded {
        text: String::with_capacity(text.len()),
        pieces: Vec::with_capacity(pieces.len()),
    };
    let mut at = 0;
    let mut undecided = 0;
    for (span, place) in pieces {
        out.text
            .push_str(text.get(at..span.start).unwrap_or_default());
        let word = match place {
            Place::Sure(word) => word,
            Place::Either => {
                undecided += 1;
                if undecided <= EITHER_MAX && choice >> (undecided - 1) & 1 == 1 {
                    PLACEHOLDER
                } else {
                    "1"
                }
            }
        };
        let start = out.text.len();
        out.text.push_str(word);
        out.pieces.push((start..out.text.len(), span.clone()));
        at = span.end;
    }
    out.text.push_str(text.get(at..).unwrap_or_default());
    out
}

/// Variables in quotes.
fn inside(text: &str, span: &Range<usize>, pieces: &mut Vec<(Range<usize>, Place)>) {
    let mut at = span.start + 1;
    while at < span.end {
        let rest = text.get(at..span.end).unwrap_or_default();
        // A regular expression ends in `$` and has sets of sets: only what is surely a variable.
        if let Some(length) = variable(rest) {
            pieces.push((at..at + length, Place::Sure(PLACEHOLDER)));
            at += length;
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
}

fn place(text: &str, found: &[Token], index: usize) -> Place {
    let token = &found[index];
    let before = index.checked_sub(1).and_then(|index| found.get(index));
    let after = found.get(index + 1);
    let said = |token: Option<&Token>| token.map_or("", |token| token.of(text));
    let name = token.of(text).trim_start_matches(['$', '{', '[']);
    let glued = |kind: fn(Kind) -> bool| {
        before.is_some_and(|other| kind(other.kind) && other.span.end == token.span.start)
            || after.is_some_and(|other| kind(other.kind) && other.span.start == token.span.end)
    };
    let mut stack = Vec::new();
    for (at, token) in found[..index].iter().enumerate() {
        match token.of(text) {
            "(" | "[" | "{" => stack.push(at),
            ")" | "]" | "}" => _ = stack.pop(),
            _ => {}
        }
    }
    let around = stack.last().copied();
    match said(around.map(|at| &found[at])) {
        // `[${n}m]`: the unit is there.
        "[" if glued(|kind| kind == Kind::Word) => return Place::Sure("5"),
        "[" => return Place::Sure("5m"),
        "{" if matches!(said(after), "=" | "!=" | "=~" | "!~") => return Place::Sure(PLACEHOLDER),
        "{" if matches!(said(before), "{" | ",") => return Place::Sure("tpvar=\"tpvar\""),
        "{" => return Place::Sure("\"tpvar\""),
        "(" => {
            let by = around.and_then(|at| at.checked_sub(1)).map(|at| &found[at]);
            let by = said(by).to_ascii_lowercase();
            let lists = [
                "by",
                "without",
                "on",
                "ignoring",
                "group_left",
                "group_right",
            ];
            if lists.contains(&by.as_str()) {
                return Place::Sure(PLACEHOLDER);
            }
        }
        _ => {}
    }
    if glued(|kind| kind == Kind::Word) {
        return Place::Sure(PLACEHOLDER);
    }
    if said(before).eq_ignore_ascii_case("offset")
        || (said(before) == "-" && is_offset(text, found, index))
    {
        return Place::Sure("5m");
    }
    if said(before) == "@" || name.starts_with("__range") || name.starts_with("__interval") {
        return Place::Sure("3600");
    }
    if name.starts_with("__from") || name.starts_with("__to") {
        return Place::Sure("1700000000");
    }
    match said(after) {
        "{" | "[" => Place::Sure(PLACEHOLDER),
        "by" | "without" if before.is_none_or(|token| token.kind == Kind::Sign) => {
            Place::Sure("sum")
        }
        // A function: of a range where there is one in its first argument.
        "(" => {
            let arguments = found[index + 2..].iter().map(|token| token.of(text));
            let range = arguments.take_while(|word| !matches!(*word, "(" | ")" | ","));
            Place::Sure(if range.into_iter().any(|word| word == "[") {
                "rate"
            } else {
                "sum"
            })
        }
        _ => Place::Either,
    }
}

fn is_offset(text: &str, found: &[Token], index: usize) -> bool {
    let before = index.checked_sub(2).map(|index| found[index].of(text));
    before.is_some_and(|word| word.eq_ignore_ascii_case("offset"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_place_gets_what_fits_there() {
        for (text, first) in [
            (
                "rate(x{a=~\"$a\"}[$__rate_interval])",
                "rate(x{a=~\"tpvar\"}[5m])",
            ),
            ("sum by ($g) (x)", "sum by (tpvar) (x)"),
            ("rate(x[${n}m])", "rate(x[5m])"),
            ("rate($m[5m])", "rate(tpvar[5m])"),
            ("vllm:${m}_total", "vllm:tpvar_total"),
            ("x > $limit", "x > 1"),
            ("$f(rate(x[5m]))", "sum(rate(x[5m]))"),
            ("$f(x[5m])", "rate(x[5m])"),
            ("x{$filters}", "x{tpvar=\"tpvar\"}"),
            ("x * $__interval_ms", "x * 3600"),
            ("x offset $o", "x offset 5m"),
            ("x{a=~\"b$\"}", "x{a=~\"b$\"}"),
        ] {
            assert_eq!(expansions(text).0[0].text, first);
        }
        let (both, all) = expansions("sum($m)");
        let both: Vec<String> = both.into_iter().map(|e| e.text).collect();
        assert_eq!(both, ["sum(1)", "sum(tpvar)"]);
        assert!(all);
        let (some, all) = expansions("$a + $b + $c + $d + $e");
        assert_eq!((some.len(), all), (16, false));
    }

    #[test]
    fn the_way_back_is_exact() {
        let text = "a{b=\"$x\"} + $y + c";
        let expanded = expansions(text).0.remove(0);
        assert_eq!(expanded.text, "a{b=\"tpvar\"} + 1 + c");
        let at = |word: &str| {
            let start = expanded.text.find(word).unwrap();
            text.get(expanded.original(&(start..start + word.len())))
                .unwrap()
        };
        assert_eq!(at("a{b"), "a{b");
        assert_eq!(at("tpvar"), "$x");
        assert_eq!(at("pv"), "$x");
        assert_eq!(at("1"), "$y");
        assert_eq!(at("c"), "c");
        assert_eq!(at("\"tpvar\""), "\"$x\"");
        assert_eq!(expanded.original(&(0..expanded.text.len())), 0..text.len());
        assert!(expanded.is_variable(&(4..9)) && !expanded.is_variable(&(0..3)));
    }
}
