//! The objects of a build, and how they name each other.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::json::{list, text};

/// A build: the objects of a folder.
pub(super) struct Build {
    pub(super) name: &'static str,
    pub(super) objects: Vec<Value>,
}

impl Build {
    pub(super) fn of_kind(&self, kind: &str) -> impl Iterator<Item = &Value> {
        self.objects
            .iter()
            .filter(move |object| text(object, "/kind") == kind)
    }

    pub(super) fn has(&self, kind: &str, name: &str, namespace: &str) -> bool {
        self.of_kind(kind).any(|object| {
            text(object, "/metadata/name") == name
                && text(object, "/metadata/namespace") == namespace
        })
    }

    /// The templates of the pods that a selector chooses.
    pub(super) fn selected(&self, selector: Option<&Value>) -> Vec<&Value> {
        self.pods()
            .map(|(_, pod)| pod)
            .filter(|pod| selects(selector, pod.pointer("/metadata/labels")))
            .collect()
    }

    /// Workloads, each with the template of its pods.
    pub(super) fn pods(&self) -> impl Iterator<Item = (&Value, &Value)> {
        self.objects
            .iter()
            .filter_map(|object| Some((object, object.pointer("/spec/template")?)))
    }
}

pub(super) fn title(object: &Value) -> String {
    format!(
        "{} {}",
        text(object, "/kind"),
        text(object, "/metadata/name")
    )
}

/// Whether labels have all that a selector asks for; an empty selector is refused.
pub(super) fn selects(selector: Option<&Value>, labels: Option<&Value>) -> bool {
    let (Some(Value::Object(wanted)), Some(labels)) = (selector, labels) else {
        return false;
    };
    !wanted.is_empty()
        && wanted
            .iter()
            .all(|(key, value)| labels.get(key) == Some(value))
}

/// The names and numbers of a pod's ports.
pub(super) fn ports(pod: &Value) -> BTreeSet<String> {
    list(pod, "/spec/containers")
        .iter()
        .flat_map(|container| list(container, "/ports"))
        .flat_map(|port| {
            [
                text(port, "/name").to_owned(),
                port["containerPort"].to_string(),
            ]
        })
        .collect()
}

/// A port as a name, or as a number's digits.
pub(super) fn port(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

/// A build of these objects.
#[cfg(test)]
pub(super) fn build(objects: Value) -> Build {
    Build {
        name: "test",
        objects: list(&objects, "").to_vec(),
    }
}
