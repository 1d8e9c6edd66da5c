//! Reading PromQL: shape and places by our own reader, the verdict by a published one.

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
    let (tree, mut faults) = tree::parse(text);
    match &tree {
        // Newer PromQL than our reader knows is no fault of the query.
        None if !faults.iter().any(too_deep) && verdict(text).is_none() => (None, Vec::new()),
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
    Some(inside.unwrap_or_else(|| Fault::Unexpected { at, what: why }))
}

#[cfg(test)]
mod tests {
    use super::*;

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
