//! Reading PromQL: shape and places by our own reader, the verdict by a published one.

mod literal;
mod parse;
mod template;
pub(crate) mod token;
pub(crate) mod tree;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use promql_parser::parser;

pub(crate) use template::{Expanded, PLACEHOLDER, expansions};
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
const LENGTH_MAX: usize = 64 << 10;

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
    let tries = if variables && text.contains(['$', '[']) {
        expansions(text)
    } else {
        vec![Expanded::plain(text)]
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
    first.unwrap_or_else(|| Reading {
        expanded: Expanded::plain(text),
        tree: None,
        faults: Vec::new(),
    })
}

/// The shape, and the verdict.
fn judge(text: &str) -> (Option<Node>, Vec<Fault>) {
    if text.len() > LENGTH_MAX {
        let what = format!("longer than {LENGTH_MAX} bytes");
        return (None, vec![Fault::Unexpected { at: 0..0, what }]);
    }
    let (tree, mut faults) = parse::parse(text);
    match &tree {
        // So long or so deep that neither reader should go into it.
        None if faults.contains(&Fault::TooLong) => (None, Vec::new()),
        None if faults.iter().any(too_deep) => (None, faults),
        // Newer PromQL than our reader knows is no fault of the query.
        None if verdict(text).is_none() => (None, Vec::new()),
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

fn too_deep(fault: &Fault) -> bool {
    matches!(fault, Fault::Unexpected { what, .. } if what.starts_with("nested"))
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

    /// Expressions of all shapes, right ones.
    fn expression() -> impl Strategy<Value = String> {
        // No word of the language begins like these, as `nan` and `by` do.
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
