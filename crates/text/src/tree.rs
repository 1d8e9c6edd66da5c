//! YAML as a tree in which every key and value knows where it stands.
//!
//! Scalars stay text. What a scalar is (a number, a switch, a word) is said by whoever asks for it:
//! so `NO` is a country where text is wanted, and `0010` keeps its zeros. JSON is YAML, too.

use std::collections::HashMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle};

use crate::{Flaw, Place};

/// A value and where it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Where it begins.
    pub place: Place,
    /// What it is.
    pub value: Value,
}

/// What stands at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Text.
    Scalar {
        /// The text, without quotes and escapes.
        text: String,
        /// False where it was quoted or a block.
        plain: bool,
    },
    /// A sequence.
    List(Vec<Node>),
    /// A mapping, in the order of the file.
    Map(Vec<Entry>),
}

/// A key and what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key stands.
    pub place: Place,
    /// What it says.
    pub node: Node,
}

impl Node {
    /// The text of a scalar that says something.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar { text, .. } if !self.is_null() => Some(text),
            _ => None,
        }
    }

    /// What a list has; nothing where it is none.
    #[must_use]
    pub fn items(&self) -> &[Self] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    /// The entries of a map; nothing where it is none.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    /// What a key of a map says.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        let entry = self.entries().iter().find(|entry| entry.key == key);
        entry.map(|entry| &entry.node)
    }

    /// Whether nothing is said: `key:` and no more, `~` or `null`.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar { text, plain: true }
            if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    /// What it is, for messages.
    #[must_use]
    pub fn what(&self) -> &'static str {
        match &self.value {
            _ if self.is_null() => "nothing",
            Value::Scalar { .. } => "text",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }
}

/// How large a file may be. Aliases count as what they stand for.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes.
    pub bytes: usize,
    /// Keys and values.
    pub nodes: usize,
    /// Levels of lists and maps.
    pub depth: usize,
}

/// Reads one document. Keys that stand twice are flaws beside the tree; what is no YAML at all
/// gives no tree, and what was wrong last in the flaws. An empty file is an empty map.
#[must_use]
pub fn read(text: &str, limits: Limits) -> (Option<Node>, Vec<Flaw>) {
    read_as(text, limits, true)
}

/// As [`read`], of a file that is another program's: tags are not judged, and a merge key stays a key
/// like others.
#[must_use]
pub fn read_foreign(text: &str, limits: Limits) -> (Option<Node>, Vec<Flaw>) {
    read_as(text, limits, false)
}

fn read_as(text: &str, limits: Limits, ours: bool) -> (Option<Node>, Vec<Flaw>) {
    let mut flaws = Vec::new();
    if text.len() > limits.bytes {
        let what = format!("the file is larger than {} bytes", limits.bytes);
        return (None, vec![Flaw::new(Place::START, what)]);
    }
    let mut builder = Builder {
        limits,
        ours,
        stack: Vec::new(),
        root: None,
        anchors: HashMap::new(),
        nodes: 0,
        flaws: &mut flaws,
    };
    let outcome = builder.run(text);
    let root = builder.root.take();
    match outcome {
        Ok(()) => {
            let empty = || Node {
                place: Place::START,
                value: Value::Map(Vec::new()),
            };
            (Some(root.unwrap_or_else(empty)), flaws)
        }
        Err(flaw) => {
            flaws.push(flaw);
            (None, flaws)
        }
    }
}

struct Builder<'f> {
    limits: Limits,
    ours: bool,
    stack: Vec<Frame>,
    root: Option<Node>,
    anchors: HashMap<usize, (Node, usize)>,
    nodes: usize,
    flaws: &'f mut Vec<Flaw>,
}

/// A list or a map that is not closed yet.
struct Frame {
    place: Place,
    anchor: usize,
    /// Nodes there were before it.
    before: usize,
    kind: Kind,
}

enum Kind {
    List(Vec<Node>),
    Map {
        entries: Vec<Entry>,
        key: Option<(String, Place)>,
    },
}

impl Builder<'_> {
    fn run(&mut self, text: &str) -> Result<(), Flaw> {
        let mut parser = Parser::new_from_str(text);
        let mut documents = 0;
        while let Some(event) = parser.next_event() {
            let (event, span) = event.map_err(|error| {
                Flaw::new(
                    place(error.marker()),
                    format!("this is no YAML: {}", error.info()),
                )
            })?;
            let here = place(&span.start);
            match event {
                Event::DocumentStart(_) => {
                    documents += 1;
                    if documents > 1 {
                        return Err(Flaw::new(here, "a second document: one file has one"));
                    }
                }
                Event::Scalar(text, style, anchor, tag) => {
                    self.refuse_tag(tag.as_deref(), here);
                    let plain = style == ScalarStyle::Plain;
                    if self.ours && plain && text == "<<" && self.wants_key() {
                        let what = "merge keys are not supported: write the keys out";
                        return Err(Flaw::new(here, what));
                    }
                    let value = Value::Scalar {
                        text: text.into_owned(),
                        plain,
                    };
                    let before = self.nodes;
                    self.count(1, here)?;
                    self.place_node(Node { place: here, value }, anchor, before)?;
                }
                Event::SequenceStart(anchor, tag) => {
                    self.refuse_tag(tag.as_deref(), here);
                    self.open(here, anchor, Kind::List(Vec::new()))?;
                }
                Event::MappingStart(anchor, tag) => {
                    self.refuse_tag(tag.as_deref(), here);
                    let kind = Kind::Map {
                        entries: Vec::new(),
                        key: None,
                    };
                    self.open(here, anchor, kind)?;
                }
                Event::SequenceEnd | Event::MappingEnd => self.close()?,
                Event::Alias(anchor) => {
                    let Some((node, nodes)) = self.anchors.get(&anchor).cloned() else {
                        let what = "an alias stands inside what it stands for";
                        return Err(Flaw::new(here, what));
                    };
                    let before = self.nodes;
                    self.count(nodes, here)?;
                    self.place_node(node, 0, before)?;
                }
                Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
            }
        }
        Ok(())
    }

    fn refuse_tag(&mut self, tag: Option<&saphyr_parser::Tag>, here: Place) {
        if self.ours && tag.is_some_and(|tag| !tag.is_yaml_core_schema()) {
            let what = "tags are not supported: a value is what its key asks for";
            self.flaws.push(Flaw::new(here, what));
        }
    }

    fn wants_key(&self) -> bool {
        matches!(
            self.stack.last(),
            Some(Frame {
                kind: Kind::Map { key: None, .. },
                ..
            })
        )
    }

    fn count(&mut self, nodes: usize, here: Place) -> Result<(), Flaw> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > self.limits.nodes {
            let what = format!("more than {} keys and values", self.limits.nodes);
            return Err(Flaw::new(here, what));
        }
        Ok(())
    }

    fn open(&mut self, here: Place, anchor: usize, kind: Kind) -> Result<(), Flaw> {
        if self.wants_key() {
            return Err(Flaw::new(here, "a key must be text"));
        }
        if self.stack.len() >= self.limits.depth {
            let what = format!("nested deeper than {} levels", self.limits.depth);
            return Err(Flaw::new(here, what));
        }
        let before = self.nodes;
        self.count(1, here)?;
        self.stack.push(Frame {
            place: here,
            anchor,
            before,
            kind,
        });
        Ok(())
    }

    fn close(&mut self) -> Result<(), Flaw> {
        let Some(frame) = self.stack.pop() else {
            return Ok(());
        };
        let value = match frame.kind {
            Kind::List(items) => Value::List(items),
            Kind::Map { entries, .. } => Value::Map(self.unique(entries)),
        };
        let node = Node {
            place: frame.place,
            value,
        };
        self.place_node(node, frame.anchor, frame.before)
    }

    /// Without the keys that stand there already: the first stays.
    fn unique(&mut self, entries: Vec<Entry>) -> Vec<Entry> {
        let mut seen: HashMap<String, Place> = HashMap::with_capacity(entries.len());
        let mut kept = Vec::with_capacity(entries.len());
        for entry in entries {
            match seen.get(&entry.key) {
                Some(first) => {
                    let what = format!(
                        "`{}` stands here twice, first at {first}",
                        shown(&entry.key)
                    );
                    self.flaws.push(Flaw::new(entry.place, what));
                }
                None => {
                    seen.insert(entry.key.clone(), entry.place);
                    kept.push(entry);
                }
            }
        }
        kept
    }

    fn place_node(&mut self, node: Node, anchor: usize, before: usize) -> Result<(), Flaw> {
        if anchor > 0 {
            self.anchors
                .insert(anchor, (node.clone(), self.nodes - before));
        }
        match self.stack.last_mut().map(|frame| &mut frame.kind) {
            None => self.root = Some(node),
            Some(Kind::List(items)) => items.push(node),
            Some(Kind::Map { entries, key }) => match (key.take(), node.value) {
                (Some((key, place)), value) => {
                    let node = Node {
                        place: node.place,
                        value,
                    };
                    entries.push(Entry { key, place, node });
                }
                (None, Value::Scalar { text, .. }) => *key = Some((text, node.place)),
                (None, _) => return Err(Flaw::new(node.place, "a key must be text")),
            },
        }
        Ok(())
    }
}

/// Text of a file for a message: short, and on one line.
#[must_use]
pub fn shown(text: &str) -> String {
    let mut short: String = text.chars().take(80).flat_map(char::escape_debug).collect();
    if text.chars().nth(80).is_some() {
        short.push('…');
    }
    short
}

fn place(marker: &Marker) -> Place {
    let small = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    Place {
        line: small(marker.line()).max(1),
        column: small(marker.col()).saturating_add(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        bytes: 1 << 20,
        nodes: 10_000,
        depth: 32,
    };

    fn flaws(text: &str) -> Vec<String> {
        read(text, LIMITS)
            .1
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn keys_and_values_know_where_they_stand() {
        let (root, flaws) = read("a:\n  - b: NO\n    ccc: 'x'\n", LIMITS);
        assert_eq!(flaws, []);
        let root = root.unwrap();
        let Value::List(items) = &root.get("a").unwrap().value else {
            panic!("a list");
        };
        let Value::Map(entries) = &items[0].value else {
            panic!("a map");
        };
        assert_eq!(entries[1].place, Place { line: 3, column: 5 });
        assert_eq!(
            entries[1].node.place,
            Place {
                line: 3,
                column: 10
            }
        );
        let no = Value::Scalar {
            text: "NO".into(),
            plain: true,
        };
        assert_eq!(entries[0].node.value, no);
    }

    #[test]
    fn an_empty_file_is_an_empty_map() {
        for text in ["", "# nothing\n", "---\n"] {
            let (root, flaws) = read(text, LIMITS);
            let root = root.unwrap();
            assert!(flaws.is_empty());
            assert!(
                root.is_null() || root.value == Value::Map(Vec::new()),
                "{text:?}"
            );
        }
    }

    #[test]
    fn what_is_no_tree_says_where() {
        for (text, says) in [
            ("a: 1\na: 2\n", "2:1: `a` stands here twice, first at 1:1"),
            ("a: [1, 2\n", "no YAML"),
            ("a: 1\n---\nb: 2\n", "a second document"),
            ("? [a]\n: b\n", "a key must be text"),
            ("a: !mine b\n", "1:4: tags"),
            ("a: &x {b: *x}\n", "inside what it stands for"),
            ("a: {<<: {b: 1}}\n", "merge keys"),
        ] {
            let found = flaws(text);
            assert!(
                found.iter().any(|flaw| flaw.contains(says)),
                "{text:?}: {found:?}"
            );
        }
    }

    #[test]
    fn aliases_count_as_what_they_stand_for() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..9 {
            let below = vec![format!("*a{}", level - 1); 10].join(", ");
            bomb.push_str(&format!("a{level}: &a{level} [{below}]\n"));
        }
        assert!(flaws(&bomb)[0].contains("more than 10000 keys and values"));
        let deep = "[".repeat(40);
        assert!(flaws(&deep)[0].contains("deeper than 32"));
    }
}
