//! Flags over environment over file: what is said beside the file is put into its tree before
//! anything is checked, so that one set of rules and messages serves all three.

use crate::tree::{Entry, Node, Value};
use crate::{ConfigError, Flaw, Place};

/// What flags and environment say.
///
/// ```
/// use tokenpath_config::{Loader, Overlay};
///
/// let environment = Overlay::from_environment([
///     ("VLLM_ENDPOINT", "http://10.0.0.7:8000,http://10.0.0.8:8000"),
///     ("SCRAPE_INTERVAL", "5"),
///     ("WORKER_ID", "w1"),
/// ]);
/// let mut flags = Overlay::new();
/// flags.set("--scrape.interval", "defaults.interval", "2s");
///
/// let config = Loader::new().overlay(flags.over(environment)).parse("none", "").unwrap();
/// assert_eq!(config.sources.len(), 2);
/// assert_eq!(config.sources[0].reading.interval.unwrap().as_secs(), 2);
/// assert_eq!(config.sources[0].reading.labels.get("worker_id"), Some("w1"));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Overlay {
    settings: Vec<Setting>,
}

#[derive(Clone, Debug)]
struct Setting {
    /// The flag or the variable, for messages.
    by: String,
    what: What,
    texts: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    /// One text at a path of keys.
    One(Vec<String>),
    /// A list at a path of keys.
    Many(Vec<String>),
    /// A list of maps at a path of keys, each with lists under its keys.
    Records(Vec<String>, Vec<Record>),
    /// A map at a path of keys, with what it has already.
    Section(Vec<String>),
    /// Nothing at a path of keys.
    Nothing(Vec<String>),
    /// One text at a path of keys, in all sources and discoveries of a kind; or nothing.
    OfKind(String, Vec<String>),
    NothingOfKind(String, Vec<String>),
    /// A key of `defaults`, in all sources and discoveries of a kind that do not have it.
    InheritedOfKind(String, String),
    /// Sources of a kind, instead of those of the file.
    Endpoints(String),
}

/// A key, and the list under it.
type Record = Vec<(String, Vec<String>)>;

/// The variables that are known, each with the key that it sets; a kind stands for the sources of
/// that kind.
const VARIABLES: &[(&str, Variable)] = &[
    ("VLLM_ENDPOINT", Variable::Endpoints("vllm")),
    ("TGI_ENDPOINT", Variable::Endpoints("tgi")),
    ("LIMITADOR_ENDPOINT", Variable::Endpoints("limitador")),
    ("GATEWAY_ENDPOINT", Variable::Endpoints("gateway")),
    ("SCRAPE_INTERVAL", Variable::Key("defaults.interval")),
    ("WORKER_ID", Variable::Key("defaults.labels.worker_id")),
    ("GPU_ID", Variable::Key("defaults.labels.gpu_id")),
    (
        "MODEL_NAME",
        Variable::Key("defaults.fallback_labels.model_name"),
    ),
];

enum Variable {
    Endpoints(&'static str),
    Key(&'static str),
}

impl Overlay {
    /// Nothing beside the file.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What the variables of the documents say: `VLLM_ENDPOINT`, `TGI_ENDPOINT`,
    /// `LIMITADOR_ENDPOINT`, `GATEWAY_ENDPOINT` (several with commas between), `SCRAPE_INTERVAL`
    /// (a bare number is seconds), `WORKER_ID`, `GPU_ID` (labels), `MODEL_NAME` (a label, only
    /// where the engine is silent). Other variables, and empty ones, say nothing.
    #[must_use]
    pub fn from_environment<N: AsRef<str>, V: AsRef<str>>(
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        let mut overlay = Self::new();
        for (name, value) in pairs {
            let (name, value) = (name.as_ref(), value.as_ref().trim());
            let known = VARIABLES.iter().find(|(known, _)| *known == name);
            match known {
                Some(_) if value.is_empty() => {}
                Some((_, Variable::Endpoints(kind))) => {
                    let each = value
                        .split(',')
                        .map(str::trim)
                        .filter(|text| !text.is_empty());
                    overlay.endpoints(name, kind, each);
                }
                Some((_, Variable::Key(key))) => overlay.set(name, key, value),
                None => {}
            }
        }
        overlay
    }

    /// The names of the variables that [`Self::from_environment`] knows.
    pub fn variables() -> impl Iterator<Item = &'static str> {
        VARIABLES.iter().map(|(name, _)| *name)
    }

    /// Sets one key, for instance `defaults.timeout` or `defaults.labels.node`; `by` is who says so
    /// (`--scrape.timeout`), for messages.
    pub fn set(&mut self, by: &str, key: &str, text: impl Into<String>) {
        self.push(by, What::One(path(key)), vec![text.into()]);
    }

    /// Sets an entry of a map whose keys may have any name.
    pub fn set_entry(&mut self, by: &str, key: &str, name: &str, text: impl Into<String>) {
        let mut path = path(key);
        path.push(name.to_owned());
        self.push(by, What::One(path), vec![text.into()]);
    }

    /// Sets a key that holds a list.
    pub fn set_all<T: Into<String>>(
        &mut self,
        by: &str,
        key: &str,
        texts: impl IntoIterator<Item = T>,
    ) {
        let texts = texts.into_iter().map(Into::into).collect();
        self.push(by, What::Many(path(key)), texts);
    }

    /// Sets a key that holds a list of maps, in each of which a key holds a list.
    pub fn set_records<'t>(
        &mut self,
        by: &str,
        key: &str,
        records: impl IntoIterator<Item = (&'t str, &'t [&'t str])>,
    ) {
        let record = |(key, texts): (&str, &[&str])| {
            let texts = texts.iter().map(|text| (*text).to_owned());
            vec![(key.to_owned(), texts.collect())]
        };
        let records = records.into_iter().map(record).collect();
        self.push(by, What::Records(path(key), records), Vec::new());
    }

    /// Makes sure that a key is there which holds a map.
    pub fn section(&mut self, by: &str, key: &str) {
        self.push(by, What::Section(path(key)), Vec::new());
    }

    /// Takes a key away, with all that is under it: for what is set only as a whole.
    pub fn clear(&mut self, by: &str, key: &str) {
        self.push(by, What::Nothing(path(key)), Vec::new());
    }

    /// Sets a key of all sources and discoveries whose kind is said and is this one.
    pub fn set_of(&mut self, by: &str, kind: &str, key: &str, text: impl Into<String>) {
        let what = What::OfKind(kind.to_owned(), path(key));
        self.push(by, what, vec![text.into()]);
    }

    /// Takes a key away from all sources and discoveries whose kind is said and is this one.
    pub fn clear_of(&mut self, by: &str, kind: &str, key: &str) {
        let what = What::NothingOfKind(kind.to_owned(), path(key));
        self.push(by, what, Vec::new());
    }

    /// Gives a key of `defaults` to all sources and discoveries of a kind that do not have it, so that
    /// what is set under it comes to what is there.
    pub fn inherit_of(&mut self, by: &str, kind: &str, key: &str) {
        let what = What::InheritedOfKind(kind.to_owned(), key.to_owned());
        self.push(by, what, Vec::new());
    }

    /// Sources of a kind; those of that kind in the file are not read then.
    pub fn endpoints<T: Into<String>>(
        &mut self,
        by: &str,
        kind: &str,
        texts: impl IntoIterator<Item = T>,
    ) {
        let texts = texts.into_iter().map(Into::into).collect();
        self.push(by, What::Endpoints(kind.to_owned()), texts);
    }

    fn push(&mut self, by: &str, what: What, texts: Vec<String>) {
        self.settings.push(Setting {
            by: by.to_owned(),
            what,
            texts,
        });
    }

    /// Both; where both say the same key, `self` wins.
    #[must_use]
    pub fn over(self, mut below: Self) -> Self {
        below
            .settings
            .retain(|setting| !self.settings.iter().any(|own| own.what == setting.what));
        below.settings.extend(self.settings);
        below
    }

    /// Puts it into the tree of a file.
    pub(crate) fn apply(&self, root: &mut Node) {
        for (number, setting) in (0..).zip(&self.settings) {
            let place = Place::beside_the_file(number);
            let node = |value| Node { place, value };
            let entry = |key: &str, node| Entry {
                key: key.to_owned(),
                place,
                node,
            };
            let texts = || setting.texts.iter().map(|text| node(scalar(text)));
            let one = || setting.texts.last().map(|text| node(scalar(text)));
            match &setting.what {
                What::One(path) => {
                    if let Some(node) = one() {
                        put(root, path, node);
                    }
                }
                What::Many(path) => put(root, path, node(Value::List(texts().collect()))),
                What::Records(path, records) => {
                    let list = |texts: &[String]| {
                        let texts = texts.iter().map(|text| node(scalar(text)));
                        node(Value::List(texts.collect()))
                    };
                    let records = records.iter().map(|record| {
                        let entries = record.iter().map(|(key, texts)| entry(key, list(texts)));
                        node(Value::Map(entries.collect()))
                    });
                    put(root, path, node(Value::List(records.collect())));
                }
                What::Section(path) => section(root, path, place),
                What::Nothing(path) => remove(root, path),
                What::OfKind(kind, path) => {
                    for target in of_kind(root, kind) {
                        if let Some(node) = one() {
                            put(target, path, node);
                        }
                    }
                }
                What::NothingOfKind(kind, path) => {
                    of_kind(root, kind).for_each(|target| remove(target, path));
                }
                What::InheritedOfKind(kind, key) => {
                    let inherited = find(root, "defaults").and_then(|node| find(node, key));
                    if let Some(inherited) = inherited.cloned() {
                        let without = |target: &&mut Node| find(target, key).is_none();
                        for target in of_kind(root, kind).filter(without) {
                            put(target, std::slice::from_ref(key), inherited.clone());
                        }
                    }
                }
                What::Endpoints(kind) => {
                    let sources = texts().map(|endpoint| {
                        node(Value::Map(vec![
                            entry("kind", node(scalar(kind))),
                            entry("endpoint", endpoint),
                        ]))
                    });
                    replace_sources(root, kind, place, sources.collect());
                }
            }
        }
    }

    /// The error of a flaw in the file, or in what is said beside it.
    pub(crate) fn error(&self, file: &std::sync::Arc<str>, flaw: Flaw) -> ConfigError {
        let setting = usize::try_from(flaw.place.column)
            .ok()
            .filter(|_| flaw.place.is_beside_the_file())
            .and_then(|index| self.settings.get(index));
        match setting {
            None => ConfigError::at(file, flaw),
            Some(setting) => {
                let hint = flaw.nearest.map_or_else(String::new, |nearest| {
                    format!("; did you mean `{nearest}`?")
                });
                ConfigError::whole(
                    &setting.by.as_str().into(),
                    format!("{}{hint}", flaw.message),
                )
            }
        }
    }
}

fn path(key: &str) -> Vec<String> {
    key.split('.').map(str::to_owned).collect()
}

fn scalar(text: &str) -> Value {
    Value::Scalar {
        text: text.to_owned(),
        plain: false,
    }
}

/// The map at a path of keys, made where nothing is. What stands in the way and is no map stays, and
/// is told of when the tree is checked.
fn reach<'n>(root: &'n mut Node, path: &[String], place: Place) -> Option<&'n mut Vec<Entry>> {
    let mut here = root;
    for key in path {
        let entries = map_of(here)?;
        let at = match entries.iter().position(|entry| entry.key == *key) {
            Some(at) => at,
            None => {
                entries.push(Entry {
                    key: key.clone(),
                    place,
                    node: Node {
                        place,
                        value: Value::Map(Vec::new()),
                    },
                });
                entries.len() - 1
            }
        };
        here = &mut entries.get_mut(at)?.node;
    }
    map_of(here)
}

fn map_of(node: &mut Node) -> Option<&mut Vec<Entry>> {
    if node.is_null() {
        node.value = Value::Map(Vec::new());
    }
    match &mut node.value {
        Value::Map(entries) => Some(entries),
        _ => None,
    }
}

fn section(root: &mut Node, path: &[String], place: Place) {
    let _ = reach(root, path, place);
}

fn put(root: &mut Node, path: &[String], node: Node) {
    let Some((key, before)) = path.split_last() else {
        return;
    };
    let place = node.place;
    let Some(entries) = reach(root, before, place) else {
        return;
    };
    match entries.iter_mut().find(|entry| entry.key == *key) {
        Some(entry) => entry.node = node,
        None => entries.push(Entry {
            key: key.clone(),
            place,
            node,
        }),
    }
}

fn remove(root: &mut Node, path: &[String]) {
    let Value::Map(entries) = &mut root.value else {
        return;
    };
    match path {
        [] => {}
        [key] => entries.retain(|entry| entry.key != *key),
        [key, rest @ ..] => {
            if let Some(entry) = entries.iter_mut().find(|entry| entry.key == *key) {
                remove(&mut entry.node, rest);
            }
        }
    }
}

fn find<'n>(node: &'n Node, key: &str) -> Option<&'n Node> {
    let Value::Map(entries) = &node.value else {
        return None;
    };
    let found = entries.iter().find(|entry| entry.key == key);
    found.map(|entry| &entry.node)
}

fn is_of_kind(item: &Node, kind: &str) -> bool {
    let said = find(item, "kind");
    said.is_some_and(|node| matches!(&node.value, Value::Scalar { text, .. } if text == kind))
}

/// The sources and discoveries of a kind.
fn of_kind<'n>(root: &'n mut Node, kind: &str) -> impl Iterator<Item = &'n mut Node> {
    let entries = match &mut root.value {
        Value::Map(entries) => entries.as_mut_slice(),
        _ => &mut [],
    };
    let lists = entries
        .iter_mut()
        .filter(|entry| matches!(entry.key.as_str(), "sources" | "discovery"));
    let items = lists.flat_map(|entry| match &mut entry.node.value {
        Value::List(items) => items.as_mut_slice(),
        _ => &mut [],
    });
    items.filter(move |item| is_of_kind(item, kind))
}

fn replace_sources(root: &mut Node, kind: &str, place: Place, sources: Vec<Node>) {
    let Some(entries) = map_of(root) else {
        return;
    };
    let at = match entries.iter().position(|entry| entry.key == "sources") {
        Some(at) => at,
        None => {
            entries.push(Entry {
                key: "sources".to_owned(),
                place,
                node: Node {
                    place,
                    value: Value::List(Vec::new()),
                },
            });
            entries.len() - 1
        }
    };
    let Some(Entry { node, .. }) = entries.get_mut(at) else {
        return;
    };
    if node.is_null() {
        node.value = Value::List(Vec::new());
    }
    if let Value::List(items) = &mut node.value {
        items.retain(|item| !is_of_kind(item, kind));
        items.extend(sources);
    }
}
