//! The list of target groups that target files and answers hold: `[{"targets": […], "labels": {…}}]`.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Discovered;
use crate::tree::{self, Limits, Node, Value, shown};
use crate::{Flaw, Place};

const LIMITS: Limits = Limits {
    bytes: 64 << 20,
    nodes: 5_000_000,
    depth: 16,
};

/// The largest list in bytes.
pub(crate) const BYTES_MAX: usize = LIMITS.bytes;

#[derive(Deserialize)]
struct Group {
    targets: Vec<String>,
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
}

/// The targets of a JSON list.
pub(crate) fn from_json(bytes: &[u8]) -> Result<Vec<Discovered>, Flaw> {
    let groups: Vec<Group> = serde_json::from_slice(bytes).map_err(|error| {
        let small = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let place = Place {
            line: small(error.line()),
            column: small(error.column()),
        };
        let what = error.to_string();
        let what = what.split(" at line ").next().unwrap_or_default();
        Flaw::new(place, format!("this is no list of targets: {what}"))
    })?;
    let mut all = Vec::new();
    for group in groups {
        let labels = group.labels.unwrap_or_default();
        for address in group.targets {
            all.push(one(address, &labels));
        }
    }
    Ok(all)
}

/// The targets of a YAML list.
pub(crate) fn from_yaml(text: &str) -> Result<Vec<Discovered>, Flaw> {
    let (root, mut flaws) = tree::read(text, LIMITS);
    if !flaws.is_empty() {
        return Err(flaws.swap_remove(0));
    }
    let Some(root) = root else {
        return Ok(Vec::new());
    };
    let mut all = Vec::new();
    let groups = match &root.value {
        Value::List(groups) => groups.as_slice(),
        // An empty file is an empty list.
        Value::Map(entries) if entries.is_empty() => &[],
        _ if root.is_null() => &[],
        _ => return Err(Flaw::new(root.place, "this is no list of targets")),
    };
    for group in groups {
        let Value::Map(entries) = &group.value else {
            return Err(Flaw::new(group.place, "a group of targets must be a map"));
        };
        let mut addresses = None;
        let mut labels = BTreeMap::new();
        for entry in entries {
            match (entry.key.as_str(), &entry.node.value) {
                ("targets", Value::List(items)) => {
                    addresses = Some(items.iter().map(text_of).collect::<Result<Vec<_>, _>>()?);
                }
                ("labels", Value::Map(entries)) => {
                    for entry in entries {
                        labels.insert(entry.key.clone(), text_of(&entry.node)?);
                    }
                }
                ("labels", _) if entry.node.is_null() => {}
                ("targets" | "labels", _) => {
                    let what = format!(
                        "`{}` must be {}, and is {}",
                        entry.key,
                        if entry.key == "targets" {
                            "a list"
                        } else {
                            "a map"
                        },
                        entry.node.what()
                    );
                    return Err(Flaw::new(entry.node.place, what));
                }
                (other, _) => {
                    let near = crate::nearest::nearest(other, ["targets", "labels"]);
                    let what = format!("`{}` is no key of a group of targets", shown(other));
                    return Err(Flaw::new(entry.place, what).or(near));
                }
            }
        }
        let Some(addresses) = addresses else {
            return Err(Flaw::new(group.place, "a group of targets needs `targets`"));
        };
        all.extend(addresses.into_iter().map(|address| one(address, &labels)));
    }
    Ok(all)
}

fn text_of(node: &Node) -> Result<String, Flaw> {
    match &node.value {
        Value::Scalar { text, .. } => Ok(text.clone()),
        _ => Err(Flaw::new(
            node.place,
            format!("this must be text, and is {}", node.what()),
        )),
    }
}

fn one(address: String, labels: &BTreeMap<String, String>) -> Discovered {
    let mut found = labels.clone();
    found.insert("__address__".to_owned(), address);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_formats_say_the_same() {
        let json = br#"[{"targets": ["a:1", "b:2"], "labels": {"team": "red"}}, {"targets": []}]"#;
        let yaml = "- targets: [a:1, 'b:2']\n  labels:\n    team: red\n- targets: []\n";
        let from_json = from_json(json).unwrap();
        assert_eq!(from_json, from_yaml(yaml).unwrap());
        assert_eq!(from_json.len(), 2);
        assert_eq!(from_json[1]["__address__"], "b:2");
        assert_eq!(from_json[1]["team"], "red");
        assert_eq!(from_yaml("").unwrap(), []);
    }

    #[test]
    fn what_is_no_list_says_where() {
        for (text, says) in [
            ("a: 1\n", "1:1: this is no list of targets"),
            (
                "- targets: a\n",
                "1:12: `targets` must be a list, and is text",
            ),
            (
                "- target: [a]\n",
                "1:3: `target` is no key of a group of targets; did you mean `targets`?",
            ),
            ("- labels: {a: b}\n", "a group of targets needs `targets`"),
            ("- targets: [a\n", "no YAML"),
        ] {
            let flaw = from_yaml(text).unwrap_err().to_string();
            assert!(flaw.contains(says), "{text}: {flaw}");
        }
        let flaw = from_json(b"[{\"targets\": [1]}]").unwrap_err().to_string();
        assert!(
            flaw.starts_with("1:15: this is no list of targets: invalid type"),
            "{flaw}"
        );
    }
}
