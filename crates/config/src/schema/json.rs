//! The schema as JSON Schema, for editors.

use serde_json::{Map, Value, json};

use super::{Field, Record, Rule, Shape, table};

/// The JSON schema (draft 2020-12) of `tokenpath.yaml`.
///
/// An editor that knows YAML schemas completes and checks with it; `check` says more.
#[must_use]
pub fn json_schema() -> Value {
    let mut schema = shape(&table::FILE);
    if let Value::Object(map) = &mut schema {
        map.insert(
            "$schema".into(),
            "https://json-schema.org/draft/2020-12/schema".into(),
        );
        map.insert("title".into(), "tokenpath.yaml".into());
    }
    schema
}

fn shape(of: &Shape) -> Value {
    match of {
        // Numbers and switches are taken as the text they are written as.
        Shape::Text(leaf) => {
            let mut map = Map::new();
            map.insert("type".into(), json!(["string", "number", "boolean"]));
            if !leaf.pattern.is_empty() {
                // What is replaced by the environment can be judged only after.
                let pattern = if leaf.expands && !leaf.secret {
                    format!("{}|\\$\\{{", leaf.pattern)
                } else {
                    leaf.pattern.to_owned()
                };
                map.insert("pattern".into(), pattern.into());
            }
            map.insert("$comment".into(), leaf.name.into());
            Value::Object(map)
        }
        Shape::Word(words) => json!({ "enum": words }),
        Shape::Switch => json!({ "type": "boolean" }),
        Shape::Whole { least, most } => {
            json!({ "type": "integer", "minimum": least, "maximum": most })
        }
        Shape::Number => json!({ "type": "number" }),
        Shape::List(item) => json!({ "type": "array", "items": shape(item) }),
        Shape::OneOrMore(item) => {
            let item = shape(item);
            json!({ "anyOf": [item, { "type": "array", "items": item }] })
        }
        Shape::Map { key, value } => {
            let mut map = Map::new();
            map.insert("type".into(), "object".into());
            if !key.pattern.is_empty() {
                map.insert("propertyNames".into(), json!({ "pattern": key.pattern }));
            }
            map.insert("additionalProperties".into(), shape(value));
            Value::Object(map)
        }
        Shape::Record(of) => record(of),
    }
}

fn record(of: &Record) -> Value {
    let mut properties = Map::new();
    for Field {
        key,
        shape: of,
        doc,
        required,
    } in of.fields()
    {
        let mut property = shape(of);
        // `key:` and nothing more is as if it were not there.
        if !required {
            property = json!({ "anyOf": [property, { "type": "null" }] });
        }
        if let Value::Object(map) = &mut property {
            map.insert("description".into(), (*doc).into());
        }
        properties.insert((*key).to_owned(), property);
    }
    let required: Vec<_> = of
        .fields()
        .filter(|field| field.required)
        .map(|field| field.key)
        .collect();
    let mut map = Map::new();
    map.insert("type".into(), "object".into());
    map.insert("properties".into(), Value::Object(properties));
    map.insert("additionalProperties".into(), false.into());
    if !required.is_empty() {
        map.insert("required".into(), json!(required));
    }
    let rules: Vec<Value> = of.rules.iter().map(rule).collect();
    if !rules.is_empty() {
        map.insert("allOf".into(), Value::Array(rules));
    }
    Value::Object(map)
}

fn rule(of: &Rule) -> Value {
    let has = |key: &&str| json!({ "required": [key] });
    match of {
        Rule::OneOf(keys) => json!({ "oneOf": keys.iter().map(has).collect::<Vec<_>>() }),
        Rule::AtMostOne(keys) => {
            let mut pairs = Vec::new();
            for (index, first) in keys.iter().enumerate() {
                for second in keys.iter().skip(index + 1) {
                    pairs.push(json!({ "required": [first, second] }));
                }
            }
            json!({ "not": { "anyOf": pairs } })
        }
        Rule::Needs(first, second) => {
            let mut map = Map::new();
            map.insert((*first).to_owned(), json!([second]));
            json!({ "dependentRequired": map })
        }
    }
}
