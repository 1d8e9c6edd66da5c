//! YAML files of ours as structures, with the file, and the place where there is one, in each error.

use std::path::Path;

use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::pack::name_of;
use crate::report::Result;

/// Reads one document.
pub(super) fn read<T: DeserializeOwned>(file: &Path) -> Result<T> {
    let name = name_of(file);
    let text = std::fs::read_to_string(file).map_err(|error| format!("{name}: {error}"))?;
    parse(&text).map_err(|error| format!("{name}: {error}").into())
}

fn parse<T: DeserializeOwned>(text: &str) -> Result<T> {
    let documents = Yaml::load_from_str(text)?;
    let [document] = documents.as_slice() else {
        return Err(format!("{} documents instead of one", documents.len()).into());
    };
    Ok(serde_json::from_value(value(document)?)?)
}

fn value(node: &Yaml) -> Result<Value> {
    Ok(match node {
        Yaml::Value(Scalar::Null) => Value::Null,
        Yaml::Value(Scalar::Boolean(flag)) => Value::Bool(*flag),
        Yaml::Value(Scalar::Integer(number)) => Value::from(*number),
        Yaml::Value(Scalar::FloatingPoint(number)) => Value::from(number.into_inner()),
        Yaml::Value(Scalar::String(text)) => Value::from(text.as_ref()),
        Yaml::Sequence(nodes) => nodes.iter().map(value).collect::<Result<_>>()?,
        Yaml::Mapping(nodes) => {
            let mut map = Map::new();
            for (key, inner) in nodes {
                let key = key
                    .as_str()
                    .ok_or_else(|| format!("a key that is no text: {key:?}"))?;
                map.insert(key.to_owned(), value(inner)?);
            }
            Value::Object(map)
        }
        other => return Err(format!("not plain YAML: {other:?}").into()),
    })
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn documents_become_values() {
        let text = "a: [1, 2.5, x, true, null]\nb:\n  c: |\n    d\n    e\n";
        let read: Value = parse(text).unwrap();
        assert_eq!(
            read,
            serde_json::json!({"a": [1, 2.5, "x", true, null], "b": {"c": "d\ne\n"}})
        );
    }

    #[test]
    fn what_is_no_yaml_has_a_place() {
        let error = parse::<Value>("a: [1,\nb: 2").unwrap_err().to_string();
        assert!(error.contains("line"), "{error}");
        assert!(parse::<Value>("1: a").is_err());
        assert!(parse::<Value>("").is_err());
    }
}
