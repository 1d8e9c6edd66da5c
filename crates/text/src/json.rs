//! Strict JSON as the same tree as YAML.

use std::collections::HashMap;

use jsonc_parser::ast::{ObjectPropName, Value as Json};
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};

use crate::tree::{Entry, Limits, Node, Value, shown};
use crate::{Flaw, Lines, Place};

/// No comments, no trailing commas, nothing but JSON.
const STRICT: ParseOptions = ParseOptions {
    allow_comments: false,
    allow_loose_object_property_names: false,
    allow_trailing_commas: false,
    allow_missing_commas: false,
    allow_single_quoted_strings: false,
    allow_hexadecimal_numbers: false,
    allow_unary_plus_numbers: false,
    allow_bare_decimal_point_numbers: false,
    allow_non_finite_numbers: false,
    allow_extended_string_escapes: false,
};

/// Reads JSON, as [`tree::read`](crate::tree::read) reads YAML: keys that stand twice are flaws beside
/// the tree, of which the first stays; what is no JSON gives no tree. `null` is a plain scalar.
///
/// ```
/// use tokenpath_text::{json, tree::Limits};
///
/// let limits = Limits { bytes: 1 << 20, nodes: 1000, depth: 20 };
/// let (root, _) = json::read("{\n\t\"a\": [\"\\u00e9\"]}", limits);
/// let item = &root.as_ref().unwrap().get("a").unwrap().items()[0];
/// assert_eq!((item.text(), item.place.to_string().as_str()), (Some("é"), "2:8"));
///
/// let (root, flaws) = json::read("{\"a\": 1,}", limits);
/// assert!(root.is_none() && flaws[0].to_string().starts_with("1:8: this is no JSON"));
/// ```
#[must_use]
pub fn read(text: &str, limits: Limits) -> (Option<Node>, Vec<Flaw>) {
    if text.len() > limits.bytes {
        let what = format!("the file is larger than {} bytes", limits.bytes);
        return (None, vec![Flaw::new(Place::START, what)]);
    }
    let lines = Lines::new(text);
    let no_json = |at: usize, why: &str| {
        let flaw = Flaw::new(lines.place(at), format!("this is no JSON: {why}"));
        (None, vec![flaw])
    };
    let collect = CollectOptions::default();
    let ast = match parse_to_ast(text, &collect, &STRICT) {
        Ok(ast) => ast,
        Err(error) => {
            let why = error.kind().to_string();
            return no_json(error.range().start, &first_lower(&why));
        }
    };
    let Some(value) = ast.value else {
        return no_json(text.len(), "there is nothing");
    };
    let mut reader = Reader {
        limits,
        lines: &lines,
        nodes: 0,
        flaws: Vec::new(),
    };
    match reader.node(value, 0) {
        Ok(node) => (Some(node), reader.flaws),
        Err(flaw) => (None, vec![flaw]),
    }
}

fn first_lower(text: &str) -> String {
    let mut rest = text.chars();
    rest.next()
        .into_iter()
        .flat_map(char::to_lowercase)
        .chain(rest)
        .collect()
}

struct Reader<'l> {
    limits: Limits,
    lines: &'l Lines<'l>,
    nodes: usize,
    flaws: Vec<Flaw>,
}

impl Reader<'_> {
    fn node(&mut self, json: Json<'_>, depth: usize) -> Result<Node, Flaw> {
        let place = |range: jsonc_parser::common::Range| self.lines.place(range.start);
        let scalar = |text: &str, plain| Value::Scalar {
            text: text.to_owned(),
            plain,
        };
        let (place, value) = match json {
            Json::StringLit(text) => (place(text.range), scalar(&text.value, false)),
            Json::NumberLit(number) => (place(number.range), scalar(number.value, true)),
            Json::BooleanLit(truth) => {
                let text = if truth.value { "true" } else { "false" };
                (place(truth.range), scalar(text, true))
            }
            Json::NullKeyword(null) => (place(null.range), scalar("null", true)),
            Json::Array(array) => {
                let here = place(array.range);
                self.enter(here, depth)?;
                let items = array.elements.into_iter();
                let items: Result<_, _> = items.map(|item| self.node(item, depth + 1)).collect();
                (here, Value::List(items?))
            }
            Json::Object(object) => {
                let here = place(object.range);
                self.enter(here, depth)?;
                let mut seen: HashMap<String, Place> = HashMap::new();
                let mut entries = Vec::with_capacity(object.properties.len());
                for property in object.properties {
                    let (key, place) = match property.name {
                        ObjectPropName::String(name) => {
                            (name.value.into_owned(), self.lines.place(name.range.start))
                        }
                        ObjectPropName::Word(word) => {
                            (word.value.to_owned(), self.lines.place(word.range.start))
                        }
                    };
                    let node = self.node(property.value, depth + 1)?;
                    if let Some(first) = seen.get(&key) {
                        let key = shown(&key);
                        let what = format!("`{key}` stands here twice, first at {first}");
                        self.flaws.push(Flaw::new(place, what));
                        continue;
                    }
                    seen.insert(key.clone(), place);
                    entries.push(Entry { key, place, node });
                }
                (here, Value::Map(entries))
            }
        };
        self.nodes += 1;
        if self.nodes > self.limits.nodes {
            let what = format!("more than {} keys and values", self.limits.nodes);
            return Err(Flaw::new(place, what));
        }
        Ok(Node { place, value })
    }

    fn enter(&self, here: Place, depth: usize) -> Result<(), Flaw> {
        if depth < self.limits.depth {
            return Ok(());
        }
        let what = format!("nested deeper than {} levels", self.limits.depth);
        Err(Flaw::new(here, what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        bytes: 1 << 20,
        nodes: 1000,
        depth: 32,
    };

    #[test]
    fn what_is_no_json_says_where() {
        for (text, says) in [
            ("", "1:1: this is no JSON: there is nothing"),
            ("{\"a\": 1,}", "1:8: this is no JSON: trailing commas"),
            ("{\"é\":\n [1 2]}", "2:4: this is no JSON: expected comma"),
            ("{} {}", "1:4: this is no JSON"),
            ("{\"a\": 1 // x\n}", "1:9: this is no JSON"),
            (&"[".repeat(100_000), "this is no JSON: maximum nesting"),
            (&("[".repeat(40) + &"]".repeat(40)), "nested deeper than 32"),
            (
                "{\"a\":1,\n\"a\":2}",
                "2:1: `a` stands here twice, first at 1:2",
            ),
        ] {
            let flaws = read(text, LIMITS).1;
            let found = flaws.iter().any(|flaw| flaw.to_string().contains(says));
            assert!(found, "{says}: {flaws:?}");
        }
    }

    #[test]
    fn scalars_are_text_with_a_place() {
        let text = r#"{"a": null, "b": "null", "c": 1e3, "d": "\ud83d\ude00", "e": true}"#;
        let root = read(text, LIMITS).0.unwrap();
        assert!(root.get("a").unwrap().is_null());
        assert_eq!(root.get("b").unwrap().text(), Some("null"));
        assert_eq!(root.get("c").unwrap().text(), Some("1e3"));
        assert_eq!(root.get("d").unwrap().text(), Some("😀"));
        assert_eq!(root.get("e").unwrap().text(), Some("true"));
        assert_eq!(root.get("e").unwrap().place.column, 62);
    }
}
