//! The schema of a configuration file as data: what keys there are, and what may stand under them.
//!
//! One table serves three: a file is checked against it (all errors at once, each with its place),
//! the JSON schema is written from it, and a test holds the types that are read against it.

mod json;
pub(crate) mod table;
mod validate;

pub use json::json_schema;
pub(crate) use validate::{Places, validate};

use crate::leaf::Leaf;

/// What a value may be.
#[derive(Debug)]
pub(crate) enum Shape {
    /// Text of a kind.
    Text(&'static Leaf),
    /// One of these words.
    Word(&'static [&'static str]),
    /// `true` or `false`.
    Switch,
    /// A whole number in a range.
    Whole { least: u64, most: u64 },
    /// A finite number.
    Number,
    /// Values one after another.
    List(&'static Shape),
    /// The same, or a single one without the list.
    OneOrMore(&'static Shape),
    /// Keys that the user chooses.
    Map {
        key: &'static Leaf,
        value: &'static Shape,
    },
    /// Keys that are known.
    Record(&'static Record),
}

/// A map with known keys.
#[derive(Debug)]
pub(crate) struct Record {
    /// What it is, with its article: `a source`.
    pub(crate) noun: &'static str,
    /// Its keys, in groups so that records can share some.
    pub(crate) groups: &'static [&'static [Field]],
    /// What must hold between them.
    pub(crate) rules: &'static [Rule],
}

impl Record {
    pub(crate) fn fields(&self) -> impl Iterator<Item = &'static Field> + Clone {
        self.groups.iter().copied().flatten()
    }
}

/// A known key.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) key: &'static str,
    pub(crate) shape: Shape,
    /// One sentence for the reference and the JSON schema.
    pub(crate) doc: &'static str,
    pub(crate) required: bool,
}

/// What must hold between keys of one record.
#[derive(Debug)]
pub(crate) enum Rule {
    /// Exactly one of them is there.
    OneOf(&'static [&'static str]),
    /// Not two of them.
    AtMostOne(&'static [&'static str]),
    /// The first needs the second.
    Needs(&'static str, &'static str),
}

pub(crate) const fn field(key: &'static str, shape: Shape, doc: &'static str) -> Field {
    Field {
        key,
        shape,
        doc,
        required: false,
    }
}

pub(crate) const fn required(key: &'static str, shape: Shape, doc: &'static str) -> Field {
    Field {
        key,
        shape,
        doc,
        required: true,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value, json};

    use super::*;
    use crate::raw;

    /// A value of the shape, with every key that there is.
    fn sample(shape: &Shape) -> Value {
        match shape {
            Shape::Text(leaf) => match leaf.name {
                name if name.starts_with("duration") => "1s".into(),
                "size" => "1KiB".into(),
                _ => "x".into(),
            },
            Shape::Word(words) => words[0].into(),
            Shape::Switch => true.into(),
            Shape::Whole { least, .. } => (*least).into(),
            Shape::Number => json!(1.5),
            Shape::List(item) | Shape::OneOrMore(item) => match item {
                // Each of these has one of its keys only.
                Shape::Record(record) if record.noun == "a label rule" => record
                    .fields()
                    .map(|field| json!({ field.key: sample(&field.shape) }))
                    .collect(),
                item => json!([sample(item)]),
            },
            Shape::Map { value, .. } => json!({ "k": sample(value) }),
            Shape::Record(record) => {
                let fields = record.fields();
                let fields = fields.map(|field| (field.key.to_owned(), sample(&field.shape)));
                Value::Object(fields.collect::<Map<_, _>>())
            }
        }
    }

    #[test]
    fn the_types_take_every_key_of_the_schema() {
        let value = sample(&table::FILE);
        let file: raw::File = serde_json::from_value(value).unwrap();
        assert!(file.defaults.interval.is_some() && file.sources[0].reading.interval.is_some());
        assert_eq!(file.catalogues[0].rows[0].labels.len(), 6);
    }

    #[test]
    fn no_key_is_there_twice_and_rules_name_keys() {
        fn look(shape: &Shape) {
            match shape {
                Shape::List(item) | Shape::OneOrMore(item) => look(item),
                Shape::Map { value, .. } => look(value),
                Shape::Record(record) => {
                    let keys: Vec<_> = record.fields().map(|field| field.key).collect();
                    for (at, key) in keys.iter().enumerate() {
                        assert!(!keys[..at].contains(key), "{key} of {}", record.noun);
                    }
                    for rule in record.rules {
                        let named: Vec<_> = match rule {
                            Rule::OneOf(keys) | Rule::AtMostOne(keys) => keys.to_vec(),
                            Rule::Needs(first, second) => vec![*first, *second],
                        };
                        assert!(
                            named.iter().all(|key| keys.contains(key)),
                            "{}",
                            record.noun
                        );
                    }
                    record.fields().for_each(|field| {
                        assert!(
                            field.doc.ends_with(['.', '`']),
                            "{}: {}",
                            field.key,
                            field.doc
                        );
                        look(&field.shape);
                    });
                }
                _ => {}
            }
        }
        look(&table::FILE);
    }
}
