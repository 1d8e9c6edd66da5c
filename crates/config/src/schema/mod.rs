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
