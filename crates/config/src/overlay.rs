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
    One(String),
    /// A list at a path of keys.
    Many(String),
    /// Sources of a kind, instead of those of the file.
    Endpoints(String),
}

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
        self.push(by, What::One(key.to_owned()), vec![text.into()]);
    }

    /// Sets a key that holds a list.
    pub fn set_all<T: Into<String>>(
        &mut self,
        by: &str,
        key: &str,
        texts: impl IntoIterator<Item = T>,
    ) {
        let texts = texts.into_iter().map(Into::into).collect();
        self.push(by, What::Many(key.to_owned()), texts);
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
        for (index, setting) in self.settings.iter().enumerate() {
            // Line 0 is no line of any file: it says which setting this is.
            let place = Place {
                line: 0,
                column: u32::try_from(index).unwrap_or(u32::MAX),
            };
            let scalar = |text: &String| Node {
                place,
                value: Value::Scalar {
                    text: text.clone(),
                    plain: false,
                },
            };
            match &setting.what {
                What::One(key) => {
                    if let Some(text) = setting.texts.last() {
                        put(root, key, scalar(text));
                    }
                }
                What::Many(key) => {
                    let items = setting.texts.iter().map(scalar).collect();
                    let node = Node {
                        place,
                        value: Value::List(items),
                    };
                    put(root, key, node);
                }
                What::Endpoints(kind) => {
                    let kind = Node {
                        place,
                        value: Value::Scalar {
                            text: kind.clone(),
                            plain: false,
                        },
                    };
                    let sources = setting.texts.iter().map(|text| {
                        let entry = |key: &str, node| Entry {
                            key: key.to_owned(),
                            place,
                            node,
                        };
                        Node {
                            place,
                            value: Value::Map(vec![
                                entry("kind", kind.clone()),
                                entry("endpoint", scalar(text)),
                            ]),
                        }
                    });
                    replace_sources(root, &kind, sources.collect());
                }
            }
        }
    }

    /// The error of a flaw in the file, or in what is said beside it.
    pub(crate) fn error(&self, file: &std::sync::Arc<str>, flaw: Flaw) -> ConfigError {
        let setting = usize::try_from(flaw.place.column)
            .ok()
            .filter(|_| flaw.place.line == 0)
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

/// Sets the value at a path of keys. What stands in the way and is no map stays, and is told of when
/// the tree is checked.
fn put(root: &mut Node, path: &str, node: Node) {
    let mut here = root;
    let mut keys = path.split('.').peekable();
    while let Some(key) = keys.next() {
        if here.is_null() {
            here.value = Value::Map(Vec::new());
        }
        let Value::Map(entries) = &mut here.value else {
            return;
        };
        let at = match entries.iter().position(|entry| entry.key == key) {
            Some(at) => at,
            None => {
                entries.push(Entry {
                    key: key.to_owned(),
                    place: node.place,
                    node: Node {
                        place: node.place,
                        value: Value::Map(Vec::new()),
                    },
                });
                entries.len() - 1
            }
        };
        if keys.peek().is_none() {
            entries[at].node = node;
            return;
        }
        here = &mut entries[at].node;
    }
}

fn replace_sources(root: &mut Node, kind: &Node, sources: Vec<Node>) {
    let Value::Map(entries) = &mut root.value else {
        return;
    };
    let at = match entries.iter().position(|entry| entry.key == "sources") {
        Some(at) => at,
        None => {
            entries.push(Entry {
                key: "sources".to_owned(),
                place: kind.place,
                node: Node {
                    place: kind.place,
                    value: Value::List(Vec::new()),
                },
            });
            entries.len() - 1
        }
    };
    if entries[at].node.is_null() {
        entries[at].node.value = Value::List(Vec::new());
    }
    let text_of = |node: &Node| match &node.value {
        Value::Scalar { text, .. } => Some(text.clone()),
        _ => None,
    };
    let kind = text_of(kind);
    if let Value::List(items) = &mut entries[at].node.value {
        items.retain(|item| match &item.value {
            Value::Map(entries) => {
                let said = entries.iter().find(|entry| entry.key == "kind");
                said.and_then(|entry| text_of(&entry.node)) != kind
            }
            _ => true,
        });
        items.extend(sources);
    }
}
