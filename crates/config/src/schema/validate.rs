//! Checks a tree against the schema, and keeps what is right of it.

use std::collections::HashMap;

use serde_json::{Map, Number, Value};

use super::{Record, Rule, Shape};
use crate::expand::{self, Variables};
use crate::leaf::{Leaf, has_credentials};
use crate::nearest::nearest;
use crate::tree::{Node, Value as Tree, shown};
use crate::{Flaw, Place};

/// Where each value of the result stands in the file, by its JSON pointer.
#[derive(Debug, Default)]
pub(crate) struct Places(HashMap<String, Place>);

impl Places {
    /// The place of the value, or of the nearest one around it.
    pub(crate) fn of(&self, pointer: &str) -> Place {
        let mut pointer = pointer;
        loop {
            if let Some(place) = self.0.get(pointer) {
                return *place;
            }
            match pointer.rfind('/') {
                Some(end) => pointer = pointer.get(..end).unwrap_or_default(),
                None => return Place::START,
            }
        }
    }
}

/// The part of `node` that is right, ready to be deserialised, and where its parts stand. What is
/// wrong is added to `flaws` and left out.
pub(crate) fn validate(
    node: &Node,
    shape: &Shape,
    variables: &Variables<'_>,
    flaws: &mut Vec<Flaw>,
) -> (Option<Value>, Places) {
    let mut validator = Validator {
        variables,
        flaws,
        places: Places::default(),
        pointer: String::new(),
    };
    let value = validator.value(node, shape, "the file");
    (value, validator.places)
}

struct Validator<'v> {
    variables: &'v Variables<'v>,
    flaws: &'v mut Vec<Flaw>,
    places: Places,
    pointer: String,
}

impl Validator<'_> {
    fn flaw(&mut self, place: Place, message: String) -> Option<Value> {
        self.flaws.push(Flaw::new(place, message));
        None
    }

    /// `key` is what it stands under, for messages.
    fn value(&mut self, node: &Node, shape: &Shape, key: &str) -> Option<Value> {
        let value = match (shape, &node.value) {
            (Shape::OneOrMore(_), _) if node.is_null() => self.wrong(node, key, "text or a list"),
            (Shape::OneOrMore(item) | Shape::List(item), Tree::List(items)) => {
                Some(self.list(items, item, key))
            }
            (Shape::OneOrMore(item), _) => {
                let item = self.within("0", |validator| validator.value(node, item, key))?;
                Some(Value::Array(vec![item]))
            }
            (Shape::Map { key: leaf, value }, Tree::Map(_)) => {
                self.free_map(node, leaf, value, key)
            }
            (Shape::Record(record), Tree::Map(_)) => self.record(node, record),
            (Shape::Record(record), _) if node.is_null() => self.record(node, record),
            (
                Shape::Text(_)
                | Shape::Word(_)
                | Shape::Switch
                | Shape::Whole { .. }
                | Shape::Number,
                Tree::Scalar { text, .. },
            ) if !node.is_null() => self.scalar(node.place, shape, text, key),
            (Shape::List(_), _) => self.wrong(node, key, "a list"),
            (Shape::Map { .. } | Shape::Record(_), _) => self.wrong(node, key, "a map"),
            (Shape::Switch, _) => self.wrong(node, key, "true or false"),
            (Shape::Whole { .. } | Shape::Number, _) => self.wrong(node, key, "a number"),
            _ => self.wrong(node, key, "text"),
        }?;
        self.places.0.insert(self.pointer.clone(), node.place);
        Some(value)
    }

    fn wrong(&mut self, node: &Node, key: &str, wanted: &str) -> Option<Value> {
        let what = format!("`{}` must be {wanted}, and is {}", shown(key), node.what());
        self.flaw(node.place, what)
    }

    fn within<T>(&mut self, step: &str, run: impl FnOnce(&mut Self) -> T) -> T {
        let length = self.pointer.len();
        self.pointer.push('/');
        self.pointer.push_str(step);
        let result = run(self);
        self.pointer.truncate(length);
        result
    }

    fn list(&mut self, items: &[Node], shape: &Shape, key: &str) -> Value {
        let mut kept = Vec::with_capacity(items.len());
        for item in items {
            let step = kept.len().to_string();
            kept.extend(self.within(&step, |validator| validator.value(item, shape, key)));
        }
        Value::Array(kept)
    }

    fn free_map(&mut self, node: &Node, leaf: &Leaf, shape: &Shape, key: &str) -> Option<Value> {
        let Tree::Map(entries) = &node.value else {
            return self.wrong(node, key, "a map");
        };
        let mut map = Map::new();
        for entry in entries {
            if let Err(what) = (leaf.check)(&entry.key) {
                self.flaw(entry.place, said_of(&entry.key, &what));
                continue;
            }
            let value = self.within(&entry.key, |validator| {
                validator.value(&entry.node, shape, &entry.key)
            });
            if let Some(value) = value {
                map.insert(entry.key.clone(), value);
            }
        }
        Some(Value::Object(map))
    }

    fn record(&mut self, node: &Node, record: &'static Record) -> Option<Value> {
        let none = Vec::new();
        let entries = match &node.value {
            Tree::Map(entries) => entries,
            _ => &none,
        };
        let mut map = Map::new();
        let mut whole = true;
        let mut there: Vec<(&str, Place)> = Vec::new();
        for entry in entries {
            let Some(field) = record.fields().find(|field| field.key == entry.key) else {
                let what = format!("`{}` is no key of {}", shown(&entry.key), record.noun);
                let keys = record.fields().map(|field| field.key);
                let flaw = Flaw::new(entry.place, what).or(nearest(&entry.key, keys));
                // The key that was meant is there: that it is missing need not be said as well.
                there.extend(record.fields().filter_map(|field| {
                    (Some(field.key) == flaw.nearest.as_deref()).then_some((field.key, entry.place))
                }));
                self.flaws.push(flaw);
                continue;
            };
            // `key:` and nothing more is as if the key were not there.
            if entry.node.is_null() && !field.required {
                continue;
            }
            there.push((field.key, entry.place));
            let value = self.within(field.key, |validator| {
                validator.value(&entry.node, &field.shape, field.key)
            });
            if let Some(value) = value {
                map.insert(field.key.to_owned(), value);
            }
        }
        for field in record.fields().filter(|field| field.required) {
            if !there.iter().any(|(key, _)| *key == field.key) {
                let what = format!("{} needs `{}`", record.noun, field.key);
                self.flaw(node.place, what);
            }
            whole &= map.contains_key(field.key);
        }
        for rule in record.rules {
            whole &= self.holds(rule, node.place, &there, record.noun);
            if let Rule::OneOf(keys) = rule {
                whole &= keys.iter().any(|key| map.contains_key(*key));
            }
        }
        whole.then_some(Value::Object(map))
    }

    fn holds(&mut self, rule: &Rule, place: Place, there: &[(&str, Place)], noun: &str) -> bool {
        let find = |key: &str| there.iter().find(|(known, _)| *known == key);
        match rule {
            Rule::OneOf(keys) | Rule::AtMostOne(keys) => {
                let mut found = there.iter().filter(|(key, _)| keys.contains(key));
                match (found.next(), found.next()) {
                    (Some((first, _)), Some((second, place))) => {
                        let what = format!("{noun} has either `{first}` or `{second}`, not both");
                        self.flaw(*place, what);
                        false
                    }
                    (None, _) if matches!(rule, Rule::OneOf(_)) => {
                        let keys: Vec<String> = keys.iter().map(|key| format!("`{key}`")).collect();
                        self.flaw(place, format!("{noun} needs one of {}", keys.join(", ")));
                        false
                    }
                    _ => true,
                }
            }
            Rule::Needs(first, second) => match (find(first), find(second)) {
                (Some((_, place)), None) => {
                    self.flaw(*place, format!("`{first}` needs `{second}` beside it"));
                    false
                }
                _ => true,
            },
        }
    }

    fn scalar(&mut self, place: Place, shape: &Shape, text: &str, key: &str) -> Option<Value> {
        match shape {
            Shape::Word(words) if words.contains(&text) => Some(text.into()),
            Shape::Word(words) => {
                let all: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
                let what = format!("`{}` is none of {}", shown(text), all.join(", "));
                let near = nearest(text, words.iter().copied());
                self.flaws.push(Flaw::new(place, what).or(near));
                None
            }
            Shape::Switch => match text {
                "true" | "True" | "TRUE" => Some(true.into()),
                "false" | "False" | "FALSE" => Some(false.into()),
                _ => {
                    let what = format!("`{key}` must be true or false, and is `{}`", shown(text));
                    self.flaw(place, what)
                }
            },
            Shape::Whole { least, most } => match text.parse::<u64>() {
                Ok(number) if (*least..=*most).contains(&number) => Some(number.into()),
                _ => {
                    let what = format!(
                        "`{key}` must be a whole number from {least} to {most}, and is `{}`",
                        shown(text)
                    );
                    self.flaw(place, what)
                }
            },
            Shape::Number => match text.parse::<f64>().ok().and_then(Number::from_f64) {
                Some(number) => Some(Value::Number(number)),
                None => {
                    let what = format!("`{key}` must be a number, and is `{}`", shown(text));
                    self.flaw(place, what)
                }
            },
            Shape::Text(leaf) => self.text(place, leaf, text, key),
            _ => None,
        }
    }

    fn text(&mut self, place: Place, leaf: &Leaf, text: &str, key: &str) -> Option<Value> {
        if leaf.secret && !expand::is_one_variable(text) {
            let what = format!(
                "`{key}` is a secret and does not belong in the file: name a variable (`${{NAME}}`), or use `{key}_file`"
            );
            return self.flaw(place, what);
        }
        if is_address(leaf) && has_credentials(text) {
            let what = format!("`{key}` has credentials in it: they belong under `auth`");
            return self.flaw(place, what);
        }
        let expanded = if leaf.expands {
            match expand::expand(text, self.variables) {
                Ok(Some(expanded)) => expanded,
                // Labels tell sources apart, whatever their values will be.
                Ok(None) if std::ptr::eq(leaf, &crate::leaf::LABEL_VALUE) => text.to_owned(),
                Ok(None) => return None,
                Err(what) => return self.flaw(place, format!("`{key}`: {what}")),
            }
        } else {
            text.to_owned()
        };
        match (leaf.check)(&expanded) {
            Ok(()) => Some(Value::String(expanded)),
            Err(what) if leaf.secret => self.flaw(place, format!("the secret of `{key}` {what}")),
            Err(what) => self.flaw(place, said_of(&expanded, &what)),
        }
    }
}

fn is_address(leaf: &Leaf) -> bool {
    std::ptr::eq(leaf, &crate::leaf::ENDPOINT) || std::ptr::eq(leaf, &crate::leaf::URL)
}

/// A message that is a whole sentence stays one; another is said of the value.
fn said_of(text: &str, what: &str) -> String {
    if what.starts_with('`') {
        what.to_owned()
    } else {
        format!("`{}` {what}", shown(text))
    }
}
