//! Files to queries: what kind of file it is, where its expressions stand, what its author allowed.

mod dashboard;
mod directive;
mod rules;
mod spelling;

use std::ops::Range;
use std::sync::Arc;

use tokenpath_text::tree::{self, Limits, Node, Value};
use tokenpath_text::{Flaw, Lines, Place, json};

pub(crate) use directive::Directives;
pub(crate) use spelling::Spelling;

use crate::promql::{Reader, Reading};

/// How large a file may be.
const LIMITS: Limits = Limits {
    bytes: 32 << 20,
    nodes: 4_000_000,
    depth: 128,
};

/// A file, read.
#[derive(Debug, Default)]
pub(crate) struct Document {
    pub(crate) queries: Vec<Query>,
    pub(crate) panels: Vec<Panel>,
    /// What is no JSON or YAML, or of no kind that is known.
    pub(crate) flaws: Vec<Trouble>,
    pub(crate) directives: Directives,
}

/// A fault of the file itself.
#[derive(Debug)]
pub(crate) struct Trouble {
    pub(crate) rule: &'static str,
    pub(crate) flaw: Flaw,
}

/// An expression in a file.
#[derive(Debug)]
pub(crate) struct Query {
    pub(crate) text: String,
    pub(crate) place: Place,
    pub(crate) spelling: Option<Spelling>,
    pub(crate) role: Role,
    pub(crate) reading: Arc<Reading>,
    /// The rules that its author allows to break.
    pub(crate) allowed: Directives,
}

/// What an expression is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Alert(String),
    Record(String),
    /// Title and legend of a panel.
    Panel {
        title: String,
        legend: String,
    },
    Variable(String),
    Annotation(String),
}

impl Role {
    /// For messages.
    pub(crate) fn words(&self) -> String {
        match self {
            Self::Alert(name) => format!("alert {name}"),
            Self::Record(name) => format!("record {name}"),
            Self::Panel { title, .. } if title.is_empty() => "panel without a title".to_owned(),
            Self::Panel { title, .. } => format!("panel {title}"),
            Self::Variable(name) => format!("variable {name}"),
            Self::Annotation(name) => format!("annotation {name}"),
        }
    }
}

/// A panel, beside its queries.
#[derive(Debug)]
pub(crate) struct Panel {
    pub(crate) title: String,
    /// The unit it shows, and where that stands.
    pub(crate) unit: Option<(String, Range<Place>)>,
    /// The thresholds and where each stands.
    pub(crate) thresholds: Vec<(f64, Range<Place>)>,
    /// Which of the document's queries are its.
    pub(crate) queries: Range<usize>,
    pub(crate) allowed: Directives,
}

/// The text of a file while it is read.
#[derive(Clone, Copy)]
pub(crate) struct Source<'s> {
    reader: &'s Reader,
    text: &'s str,
    lines: &'s Lines<'s>,
    /// The lines of the document that is read: the first, and that behind the last.
    within: (u32, u32),
}

impl Source<'_> {
    fn spelling(&self, node: &Node, text: &str) -> Option<Spelling> {
        Spelling::of(self.text, self.lines.offset(node.place), text)
    }

    /// From the beginning of a scalar to its end on the same line.
    fn extent(&self, node: &Node) -> Range<Place> {
        let text = node.text().unwrap_or_default();
        let behind = self.spelling(node, text).map(|spelling| {
            let end = spelling.place(&(0..text.len())).end;
            self.lines.place(end)
        });
        node.place..behind.unwrap_or(node.place)
    }

    fn query(
        &self,
        node: &Node,
        role: Role,
        variables: bool,
        allowed: &Directives,
        document: &mut Document,
    ) -> Option<Query> {
        let Some(text) = node.text() else {
            if !node.is_null() {
                let what = format!("an expression is text, and this is {}", node.what());
                document.trouble("bad-file", vec![Flaw::new(node.place, what)]);
            }
            return None;
        };
        let spelling = self.spelling(node, text);
        let mut allowed = allowed.clone();
        for (at, what) in allowed.of_expression(text) {
            let start = spelling.as_ref().map(|spelling| spelling.place(&at).start);
            let place = start.map_or(node.place, |start| self.lines.place(start));
            // In a rule file all comments are read together.
            if variables {
                document.trouble("unknown-directive", vec![Flaw::new(place, what)]);
            }
        }
        Some(Query {
            text: text.to_owned(),
            place: node.place,
            spelling,
            role,
            reading: self.reader.read(text, variables),
            allowed,
        })
    }
}

/// Reads a file. `named` says that somebody asked for this very file, so that nothing in it is a fault.
pub(crate) fn read(reader: &Reader, name: &str, text: &str, named: bool) -> Document {
    let text_without_mark = text.strip_prefix('\u{feff}').unwrap_or(text);
    let is_json = name.ends_with(".json")
        || (!is_yaml(name) && text_without_mark.trim_start().starts_with('{'));
    let lines = Lines::new(text);
    let source = |within| Source {
        reader,
        text,
        lines: &lines,
        within,
    };
    let mut document = Document::default();
    if is_json {
        let source = source((1, u32::MAX));
        let (root, flaws) = json::read(text, LIMITS);
        document.trouble("bad-file", flaws);
        match root {
            Some(root) if dashboard::is_one(&root) => dashboard::read(source, &root, &mut document),
            Some(root) => others(source, &root, named, &mut document),
            None => {}
        }
        return document;
    }
    for (before, chunk) in documents(text) {
        // Blank lines in front, so that places are those of the file.
        let padded = "\n".repeat(before) + chunk;
        let (root, flaws) = tree::read_foreign(&padded, LIMITS);
        document.trouble("bad-file", flaws);
        if let Some(root) = root {
            let line = |lines: usize| u32::try_from(lines + 1).unwrap_or(u32::MAX);
            let within = (line(before), line(before + chunk.lines().count()));
            others(source(within), &root, named, &mut document);
        }
    }
    document
}

/// Whether a name is that of a file which may hold queries.
pub(crate) fn is_readable(name: &str) -> bool {
    name.ends_with(".json") || is_yaml(name)
}

fn is_yaml(name: &str) -> bool {
    name.ends_with(".yaml") || name.ends_with(".yml") || name.ends_with(".rules")
}

fn others(source: Source<'_>, root: &Node, named: bool, document: &mut Document) {
    let known = rules::read(source, root, document);
    let empty = root.is_null() || (root.entries().is_empty() && root.items().is_empty());
    if known || !named || (empty && !document.queries.is_empty()) {
        return;
    }
    let what = "neither a dashboard, nor rules of Prometheus (`groups`), nor a PrometheusRule";
    document.trouble("unknown-schema", vec![Flaw::new(root.place, what)]);
}

/// The documents of a YAML file, each with the number of lines before it.
fn documents(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let (mut start, mut start_line) = (0, 0);
    let mut at = 0;
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let is_mark = line
            .strip_prefix("---")
            .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']));
        if is_mark && at > start {
            found.push((start_line, text.get(start..at).unwrap_or_default()));
            (start, start_line) = (at, number);
        }
        at += line.len();
    }
    found.push((start_line, text.get(start..).unwrap_or_default()));
    let says_something = |chunk: &str| {
        chunk.lines().any(|line| {
            let line = line.trim();
            !(line.is_empty() || line.starts_with('#') || line == "---")
        })
    };
    found.retain(|(_, chunk)| says_something(chunk));
    found
}

impl Document {
    fn trouble(&mut self, rule: &'static str, flaws: Vec<Flaw>) {
        let troubles = flaws.into_iter().map(|flaw| Trouble { rule, flaw });
        self.flaws.extend(troubles);
    }

    /// The items of a list under a key; what stands there instead of one is a flaw.
    fn items<'n>(&mut self, parent: &'n Node, key: &str) -> &'n [Node] {
        let Some(node) = parent.get(key) else {
            return &[];
        };
        if !matches!(node.value, Value::List(_)) && !node.is_null() {
            let what = format!("`{key}` is a list, and this is {}", node.what());
            self.trouble("bad-file", vec![Flaw::new(node.place, what)]);
        }
        node.items()
    }
}

#[cfg(test)]
mod tests;
