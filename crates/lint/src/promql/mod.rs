//! Reading PromQL: shape and places by our own reader, the verdict by a published one.

mod literal;
pub(crate) mod parse;
mod template;
pub(crate) mod token;
pub(crate) mod tree;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use promql_parser::parser;

use template::expansions;
pub(crate) use template::{EITHER_MAX, Expanded, PLACEHOLDER};
use tree::{Fault, Node, Span};

/// A query as it was read.
#[derive(Clone, Debug)]
pub(crate) struct Reading {
    /// The text that was read.
    pub(crate) expanded: Expanded,
    /// Its shape, where it has one.
    pub(crate) tree: Option<Node>,
    /// What is wrong with it.
    pub(crate) faults: Vec<Fault>,
}

/// Longer expressions are not read: nobody wrote them.
pub(crate) const LENGTH_MAX: usize = 64 << 10;

/// As many expressions are remembered.
const MEMORY_MAX: usize = 4096;

/// Reads expressions, and remembers those that it has read: panels repeat themselves, and a file that is
/// mended is read again and again.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    memory: Mutex<HashMap<(String, bool), Arc<Reading>>>,
}

impl Reader {
    /// Reads an expression, of a dashboard with its variables.
    pub(crate) fn read(&self, text: &str, variables: bool) -> Arc<Reading> {
        let lock = || self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (text.to_owned(), variables);
        if let Some(known) = lock().get(&key) {
            return Arc::clone(known);
        }
        let reading = Arc::new(read(text, variables));
        let mut memory = lock();
        if memory.len() >= MEMORY_MAX {
            memory.clear();
        }
        memory.insert(key, Arc::clone(&reading));
        reading
    }
}

fn read(text: &str, variables: bool) -> Reading {
    let (tries, all) = if variables && text.contains(['$', '[']) {
        expansions(text)
    } else {
        (vec![Expanded::plain(text)], true)
    };
    let mut first = None;
    for expanded in tries {
        let (tree, faults) = judge(&expanded.text);
        let good = tree.is_some()
            && !faults
                .iter()
                .any(|fault| matches!(fault, Fault::Unexpected { .. }));
        let reading = Reading {
            expanded,
            tree,
            faults,
        };
        if good {
            return reading;
        }
        first.get_or_insert(reading);
    }
    let mut reading = first.unwrap_or_else(|| Reading {
        expanded: Expanded::plain(text),
        tree: None,
        faults: Vec::new(),
    });
    // What is wrong with its types may be right with another choice.
    if !all && reading.tree.is_some() {
        let advice = "use fewer variables outside of quotes and brackets, or check it by hand";
        reading.faults = unchecked(reading.faults, advice, |what| {
            format!(
                "more than {EITHER_MAX} of its variables may be a number or a metric; as it was read, {what}"
            )
        });
    }
    reading
}

/// Faults that may be none.
fn unchecked(faults: Vec<Fault>, advice: &'static str, why: impl Fn(&str) -> String) -> Vec<Fault> {
    let one = |fault| match fault {
        Fault::Unexpected { at, what } => Fault::Unchecked {
            at,
            why: why(&what),
            advice,
        },
        other => other,
    };
    faults.into_iter().map(one).collect()
}

/// The shape, and the verdict.
fn judge(text: &str) -> (Option<Node>, Vec<Fault>) {
    if text.len() > LENGTH_MAX {
        let why = format!("it is longer than {LENGTH_MAX} bytes");
        return (None, vec![parse::too_large(0..0, why)]);
    }
    let (tree, mut faults) = parse::parse(text);
    match &tree {
        // So long or so deep that neither reader should go into it.
        None if faults.iter().any(Fault::is_unchecked) => (None, faults),
        // Newer PromQL than our reader knows is no fault of the query.
        None if verdict(text).is_none() => (None, unread(faults)),
        // What was meant is no PromQL yet.
        Some(_) if !faults.is_empty() => (tree, faults),
        Some(node) => {
            if let Some(fault) = locate(text, node) {
                faults.push(fault);
            }
            (tree, faults)
        }
        None => (None, faults),
    }
}

/// The faults of our reader where the judge has none.
fn unread(faults: Vec<Fault>) -> Vec<Fault> {
    let advice = "check it by hand, and tell us: the linter should read it";
    unchecked(faults, advice, |what| {
        format!("Prometheus reads it and the linter does not: {what}")
    })
}

/// What the judge has against a text.
fn verdict(text: &str) -> Option<String> {
    // Prometheus 3 has another name for it; in 2.42 it is right.
    let known = text.replace("holt_winters(", "double_exponential_smoothing(");
    parser::parse(&known).err()
}

/// The smallest part that the judge refuses.
fn locate(text: &str, node: &Node) -> Option<Fault> {
    let part = text.get(node.span.clone())?;
    let why = verdict(part)?;
    let inside = node
        .children()
        .into_iter()
        .find_map(|child| locate(text, child));
    let at: Span = node.span.clone();
    Some(inside.unwrap_or(Fault::Unexpected { at, what: why }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_refusal_says_where() {
        for (text, start, says) in [
            ("1 + sum(rate(x))", 8, "expected type matrix"),
            ("a + nosuch(b)", 4, "unknown function"),
            ("sum(1) > 2", 0, "expected type vector"),
            ("a{b=~\"(\"} > 1", 0, ""),
        ] {
            let reading = read(text, false);
            let [Fault::Unexpected { at, what }] = &reading.faults[..] else {
                panic!("{text}: {:?}", reading.faults);
            };
            assert_eq!(at.start, start, "{text}: {what}");
            assert!(what.contains(says), "{text}: {what}");
        }
        for text in ["holt_winters(x[1h], 0.1, 0.1)", "sum(a) by (b)", "x"] {
            assert_eq!(read(text, false).faults, [], "{text}");
        }
    }

    /// The only fault, which is that a text was not checked: where, and why.
    fn why_unchecked(reading: &Reading) -> (usize, &str) {
        let [Fault::Unchecked { at, why, .. }] = &reading.faults[..] else {
            panic!("{:?}", reading.faults);
        };
        (at.start, why)
    }

    #[test]
    fn what_is_not_checked_says_so() {
        let comment = |bytes: usize| format!("a #{}", "x".repeat(bytes - 3));
        assert_eq!(read(&comment(LENGTH_MAX), false).faults, []);
        let long = read(&comment(LENGTH_MAX + 1), false);
        assert_eq!(why_unchecked(&long), (0, "it is longer than 65536 bytes"));

        // Four variables are tried both ways, and of this one a fifth would have to be a metric.
        let known = "$a + $b + $c + sum($d)";
        assert_eq!(read(known, true).faults, []);
        let open = read("$a + $b + $c + $d + sum($e)", true);
        let (at, why) = why_unchecked(&open);
        assert!(
            at > 0 && why.starts_with("more than 4 of its variables"),
            "{why}"
        );
        // A bracket that is not closed is a fault, whatever the variables are.
        let broken = read("$a + $b + $c + $d + sum($e", true);
        assert!(matches!(broken.faults[..], [Fault::Unexpected { .. }]));
    }

    #[test]
    fn what_our_reader_alone_refuses_is_not_checked() {
        let what = "`b` stands where an operator should".to_owned();
        let misplaced = Fault::Misplaced {
            operand: 0..1,
            grouping: 2..8,
        };
        let faults = unread(vec![
            misplaced.clone(),
            Fault::Unexpected { at: 2..3, what },
        ]);
        let [first, Fault::Unchecked { at, why, .. }] = &faults[..] else {
            panic!("{faults:?}");
        };
        assert_eq!((first, at), (&misplaced, &(2..3)));
        assert!(
            why.starts_with("Prometheus reads it") && why.contains("`b` stands"),
            "{why}"
        );
    }

    /// Expressions of all shapes, right ones.
    fn expression() -> impl Strategy<Value = String> {
        // No words of the language, as `nan` and `by` would be.
        let metric = prop_oneof!["x[a-z]{0,2}", Just("a{b=\"c\", d=~\"e|f\"}".to_owned())];
        let range = prop_oneof![
            "x[a-z]{0,2}\\[5m\\]",
            Just("a{le=\"5\"}[1h] offset 5m".to_owned())
        ];
        let rate = range.prop_map(|range| format!("rate({range})"));
        let leaf = prop_oneof![metric, rate, Just("(time() - vector(1))".to_owned())];
        leaf.prop_recursive(4, 24, 3, |inner| {
            let sign = proptest::sample::select(vec![
                "+",
                "-",
                "*",
                "/",
                "%",
                "^",
                "==",
                "> bool",
                "<=",
                "and",
                "or",
                "unless",
                "/ on (a) group_left (b)",
                "* ignoring (a)",
                "and on ()",
            ]);
            let sign = (inner.clone(), sign, inner.clone());
            let by = proptest::sample::select(vec!["", " by (a, le)", " without (b)", " by ()"]);
            prop_oneof![
                sign.prop_map(|(left, sign, right)| match sign {
                    "and" | "or" | "unless" | "and on ()" => format!("({left}) {sign} ({right})"),
                    _ => format!("{left} {sign} {right}"),
                }),
                inner.clone().prop_map(|inner| format!("-({inner})")),
                (inner.clone(), by.clone()).prop_map(|(inner, by)| format!("sum{by} ({inner})")),
                (inner.clone(), by).prop_map(|(inner, by)| format!("topk(3, {inner}){by}")),
                inner
                    .clone()
                    .prop_map(|inner| format!("max_over_time(({inner})[1h:5m])")),
                inner.prop_map(|inner| format!("histogram_quantile(0.9, {inner})")),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_the_judge_takes_our_reader_understands(text in expression()) {
            prop_assert_eq!(verdict(&text), None);
            let (tree, faults) = parse::parse(&text);
            prop_assert!(faults.is_empty(), "{}: {:?}", text, faults);
            let tree = tree.unwrap();
            prop_assert_eq!(tree.span.clone(), 0..text.len());
            // Each part is an expression by itself.
            let mut parts = Vec::new();
            tree.walk(&mut |node| parts.push(node.span.clone()));
            for part in parts {
                let part = text.get(part).unwrap();
                prop_assert_eq!(verdict(part), None, "{}", part);
            }
        }

        #[test]
        fn our_reader_takes_whatever_the_judge_takes(words in proptest::collection::vec(proptest::sample::select(vec![
            "a", "b", "1", "5m", "sum", "rate", "by", "without", "(", ")", "(", ")", "[5m]", "{", "}", "le", "=", "\"x\"", ",", "+", "-", ">", "bool", "offset", "and", "on", "@", "^",
        ]), 1..9)) {
            let text = words.join(" ");
            if verdict(&text).is_none() {
                let (tree, faults) = parse::parse(&text);
                prop_assert!(tree.is_some() && faults.is_empty(), "{}: {:?}", text, faults);
            }
        }
    }

    #[test]
    fn a_variable_is_what_fits() {
        for text in [
            "histogram_quantile($q, sum by (le) (rate(x_bucket[$__rate_interval])))",
            "sum($metric)",
            "$metric",
            "rate($metric[$window])",
            "topk($n, $metric)",
            "x{a=~\"$a\"} > $limit",
            "$agg by ($by) (rate(x[[[interval]]]))",
        ] {
            assert_eq!(read(text, true).faults, [], "{text}");
        }
    }
}
