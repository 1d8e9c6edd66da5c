//! The rules: a file each, and a line in [`RULES`].
//!
//! A rule is data about itself (id, severity, why, an example that is wrong and one that is right)
//! and a function over one query or one panel. The documentation and the tests are made of the data:
//! each wrong example must be found by its rule, each right one by none. Whoever adds a rule writes
//! the file and the line; `UPDATE=1 cargo test -p tokenpath-lint` writes `docs/lint.md`.

mod average_of_quantiles;
mod average_of_ratios;
mod between_edges;
mod delta_of_counter;
mod file;
mod histogram_name;
mod le_spelling;
mod median_called_average;
mod misplaced_by;
mod missing_le;
mod missing_rate;
mod mixed_buckets;
mod not_checked;
mod panel_unit;
mod parse_error;
mod quantile_of_non_histogram;
mod rate_of_gauge;
mod rate_of_sum;
mod renamed_metric;
mod self_ratio;
mod sum_of_ratios;
mod unknown_label;
mod unknown_metric;
mod wrong_unit;

use std::ops::Range;

use tokenpath_text::Place;

use crate::finding::Severity;
use crate::input::Role;
use crate::meaning::{Meaning, World};
use crate::promql::Expanded;
use crate::promql::tree::{Fault, Kind, Node, Selector, Span};

/// A rule.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// What it is called, on the command line and in directives.
    pub id: &'static str,
    /// How bad it is to break it.
    pub severity: Severity,
    /// What it finds, as a clause.
    pub title: &'static str,
    /// Why that is wrong.
    pub why: &'static str,
    /// An expression, or a piece of a file, that breaks it.
    pub wrong: &'static str,
    /// The same as it should be.
    pub right: &'static str,
    pub(crate) check: Check,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Check {
    Query(fn(&Context<'_>, &mut Vec<Found>)),
    Panel(fn(&PanelContext<'_>, &mut Vec<FoundAt>)),
    /// Found while the file is read.
    Reader,
}

/// All rules, in the order of the documentation.
pub static RULES: &[Rule] = &[
    file::BAD_FILE,
    file::UNKNOWN_SCHEMA,
    file::UNKNOWN_DIRECTIVE,
    parse_error::RULE,
    not_checked::RULE,
    misplaced_by::RULE,
    unknown_metric::RULE,
    renamed_metric::RULE,
    unknown_label::RULE,
    rate_of_gauge::RULE,
    rate_of_sum::RULE,
    delta_of_counter::RULE,
    histogram_name::RULE,
    quantile_of_non_histogram::RULE,
    missing_rate::RULE,
    missing_le::RULE,
    mixed_buckets::RULE,
    le_spelling::RULE,
    between_edges::RULE,
    wrong_unit::RULE,
    panel_unit::RULE,
    self_ratio::RULE,
    sum_of_ratios::RULE,
    average_of_ratios::RULE,
    average_of_quantiles::RULE,
    median_called_average::RULE,
];

/// The rule of this id.
#[must_use]
pub fn rule(id: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.id == id)
}

pub(crate) fn is_rule(id: &str) -> bool {
    rule(id).is_some()
}

/// A query, and all that a rule may ask about it.
pub(crate) struct Context<'c> {
    pub(crate) world: World<'c>,
    pub(crate) expanded: &'c Expanded,
    /// What was written, variables and all.
    pub(crate) original: &'c str,
    /// What was read.
    pub(crate) text: &'c str,
    pub(crate) tree: Option<&'c Node>,
    pub(crate) faults: &'c [Fault],
    pub(crate) role: &'c Role,
}

/// A panel, and the meanings of its queries.
pub(crate) struct PanelContext<'c> {
    pub(crate) unit: Option<&'c (String, Range<Place>)>,
    pub(crate) thresholds: &'c [(f64, Range<Place>)],
    pub(crate) queries: Vec<Meaning>,
}

/// What a rule found in a query.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) span: Span,
    pub(crate) message: String,
    pub(crate) advice: String,
    /// What to write instead: parts of the query and their new text.
    pub(crate) edits: Vec<(Span, String)>,
}

impl Found {
    fn new(span: &Span, message: impl Into<String>, advice: impl Into<String>) -> Self {
        Self {
            span: span.clone(),
            message: message.into(),
            advice: advice.into(),
            edits: Vec::new(),
        }
    }

    fn fix(mut self, edits: impl IntoIterator<Item = (Span, String)>) -> Self {
        self.edits.extend(edits);
        self
    }
}

/// What a rule found beside the queries.
#[derive(Debug)]
pub(crate) struct FoundAt {
    pub(crate) place: Range<Place>,
    pub(crate) message: String,
    pub(crate) advice: String,
}

impl<'c> Context<'c> {
    fn of(&self, span: &Span) -> &'c str {
        self.text.get(span.clone()).unwrap_or_default()
    }

    /// A part as it was written.
    fn written(&self, span: &Span) -> &'c str {
        let span = self.expanded.original(span);
        self.original.get(span).unwrap_or_default()
    }

    fn meaning(&self, node: &Node) -> Meaning {
        self.world.meaning(self.text, node)
    }

    /// All parts, each before its own parts.
    fn each(&self, mut see: impl FnMut(&'c Node)) {
        if let Some(tree) = self.tree {
            tree.walk(&mut see);
        }
    }

    fn is_variable(&self, span: &Span) -> bool {
        self.expanded.is_variable(span)
    }

    /// Calls of these functions: the name and the arguments.
    fn calls(&self, functions: &[&str], mut see: impl FnMut(&'c Span, &'c [Node])) {
        self.each(|node| {
            if let Kind::Call { name, arguments } = &node.kind
                && functions.contains(&self.of(name))
            {
                see(name, arguments);
            }
        });
    }

    /// Aggregations over series and functions over time of these names: the name, and what is put
    /// together.
    fn folds(&self, names: &[&str], mut see: impl FnMut(&'c Span, &'c Node)) {
        self.each(|node| {
            let (name, inner) = match &node.kind {
                Kind::Aggregate(aggregate) => (&aggregate.name, &*aggregate.inner),
                Kind::Call { name, arguments } => match &arguments[..] {
                    [argument] => (name, argument),
                    _ => return,
                },
                _ => return,
            };
            if names.contains(&self.of(name)) {
                see(name, inner);
            }
        });
    }

    /// Selectors whose name is written out.
    fn selectors(&self, mut see: impl FnMut(&'c Node, &'c Selector, &'c str)) {
        self.each(|node| {
            if let Kind::Selector(selector) = &node.kind
                && !selector.name.is_empty()
                && !self.is_variable(&selector.name)
            {
                see(node, selector, self.of(&selector.name));
            }
        });
    }
}

/// A number as people write it.
fn shown(number: f64) -> String {
    format!("{number}")
}
