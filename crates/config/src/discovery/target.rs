//! From what a provider found to what is read.

use std::collections::BTreeMap;
use std::sync::Arc;

use regex::Regex;
use tokenpath_core::{LabelSet, is_label_name};
use tokenpath_scrape::Endpoint;

use crate::reading::Reading;

/// The labels of something that was found, `__address__` among them, as Prometheus has them.
pub type Discovered = BTreeMap<String, String>;

/// Something to read.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Target {
    /// The kind of backend; told from the page where there is none.
    pub kind: Option<Arc<str>>,
    /// Its page.
    pub endpoint: Endpoint,
    /// Labels that are this target's own, beside those of its reading.
    pub labels: LabelSet,
    /// How it is read.
    pub reading: Arc<Reading>,
    /// Whether the configuration names it, and no provider found it.
    pub named: bool,
    /// The whole URL as it was understood: what makes two targets the same, however they are written.
    /// May hold a secret in its query.
    text: Arc<str>,
}

/// What a target is on the page: two that have the same would be one there, with the series of both.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Identity {
    kind: Box<str>,
    target: Box<str>,
    labels: LabelSet,
}

impl Identity {
    pub(crate) fn of(kind: Option<&str>, endpoint: &Endpoint, labels: &LabelSet) -> Self {
        Self {
            kind: kind.unwrap_or(UNKNOWN).into(),
            target: endpoint.target().into(),
            labels: labels.clone(),
        }
    }
}

/// The kind of a target on the page as long as that is not known.
pub(crate) const UNKNOWN: &str = "unknown";

/// What makes a target the same as before: kind, URL, labels and how it is read.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct TargetKey {
    kind: Option<Arc<str>>,
    text: Arc<str>,
    labels: LabelSet,
    reading: u64,
}

impl Target {
    pub(crate) fn new(
        kind: Option<Arc<str>>,
        endpoint: Endpoint,
        text: &str,
        labels: LabelSet,
        reading: Arc<Reading>,
    ) -> Self {
        Self {
            kind,
            text: understood(&endpoint, text).into(),
            endpoint,
            labels,
            reading,
            named: false,
        }
    }

    pub(crate) fn named(mut self) -> Self {
        self.named = true;
        self
    }

    /// What it is on the page, where it is of this kind.
    pub(crate) fn identity(&self, kind: Option<&str>) -> Identity {
        Identity::of(kind, &self.endpoint, &self.all_labels())
    }

    /// The labels of its series, its own over those of its reading.
    pub(crate) fn all_labels(&self) -> LabelSet {
        if self.labels.is_empty() {
            return self.reading.labels.clone();
        }
        LabelSet::new(self.reading.labels.iter().chain(self.labels.iter()))
    }

    /// What makes it the same as before.
    #[must_use]
    pub fn key(&self) -> TargetKey {
        TargetKey {
            kind: self.kind.clone(),
            text: Arc::clone(&self.text),
            labels: self.labels.clone(),
            reading: self.reading.fingerprint(),
        }
    }

    /// The whole URL, shared.
    pub(crate) const fn url(&self) -> &Arc<str> {
        &self.text
    }

    /// The URL, which decides on its shard.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}

/// The URL as it was understood, its query as it was written: that an endpoint does not show.
fn understood(endpoint: &Endpoint, text: &str) -> String {
    let shown = endpoint.to_string();
    match (shown.split_once('?'), text.split_once('?')) {
        (Some((url, _)), Some((_, query))) => {
            let query = query.split('#').next().unwrap_or_default();
            format!("{url}?{}", query.trim_end())
        }
        _ => shown,
    }
}

/// What becomes of discovered labels, and which targets are read at all.
///
/// Labels whose names begin with `__` go, but for those that are mapped. No more relabelling than
/// this.
#[derive(Clone, Debug, Default)]
pub struct Mapping {
    pub(crate) kinds: Arc<[Box<str>]>,
    pub(crate) kind: Option<Arc<str>>,
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) keep: Vec<Condition>,
    pub(crate) drop: Vec<Condition>,
}

/// A label and an expression for the whole of its value.
#[derive(Clone, Debug)]
pub(crate) struct Condition {
    pub(crate) label: String,
    pub(crate) matches: Regex,
}

impl Condition {
    fn holds(&self, found: &Discovered) -> bool {
        let value = found.get(&self.label).map_or("", String::as_str);
        self.matches.is_match(value)
    }
}

/// Labels of Kubernetes that say what a pod is, and the label of ours; always mapped where there is
/// no other rule for them.
const ROLE: &str = "__meta_kubernetes_pod_label_llm_d_ai_role";
const ENGINE_TYPE: &str = "__meta_kubernetes_pod_label_inference_networking_k8s_io_engine_type";

/// A label in a target file that says the kind.
const BACKEND: &str = "__backend__";

impl Mapping {
    /// The target; `None` where it is not to be read.
    ///
    /// # Errors
    ///
    /// Where the address is missing or is none.
    pub fn target(
        &self,
        found: &Discovered,
        reading: &Arc<Reading>,
    ) -> Result<Option<Target>, String> {
        let holds = |condition: &Condition| condition.holds(found);
        if !self.keep.iter().all(holds) || self.drop.iter().any(holds) {
            return Ok(None);
        }
        let text = url(found)?;
        let endpoint: Endpoint = text
            .parse()
            .map_err(|error: tokenpath_scrape::EndpointError| error.to_string())?;
        let is_kind = |kind: &&String| self.kinds.iter().any(|known| **known == ***kind);
        let said = [BACKEND, ENGINE_TYPE]
            .iter()
            .find_map(|label| found.get(*label).filter(is_kind));
        let kind = self
            .kind
            .clone()
            .or_else(|| said.map(|kind| kind.as_str().into()));
        Ok(Some(Target::new(
            kind,
            endpoint,
            &text,
            self.labels(found),
            Arc::clone(reading),
        )))
    }

    fn labels(&self, found: &Discovered) -> LabelSet {
        let own = found
            .iter()
            .filter(|(name, value)| {
                !name.starts_with("__") && !value.is_empty() && is_label_name(name)
            })
            .map(|(name, value)| {
                // Ours win over what was found.
                let clash = matches!(name.as_str(), "backend" | "target" | "le" | "quantile");
                let name = if clash {
                    format!("exported_{name}")
                } else {
                    name.clone()
                };
                (name, value.clone())
            });
        let role = found
            .get(ROLE)
            .filter(|_| {
                !self
                    .labels
                    .iter()
                    .any(|(from, to)| from == ROLE || to == "role")
            })
            .map(|value| ("role".to_owned(), value.clone()));
        let mapped = self.labels.iter().filter_map(|(from, to)| {
            let value = found.get(from).filter(|value| !value.is_empty())?;
            Some((to.clone(), value.clone()))
        });
        LabelSet::new(own.chain(role).chain(mapped))
    }
}

/// The URL that Prometheus would read.
fn url(found: &Discovered) -> Result<String, String> {
    let get = |name: &str| {
        found
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    };
    let address = get("__address__").ok_or("a target has no address")?;
    if address.contains("://") {
        return Ok(address.to_owned());
    }
    if address.contains(['/', '?', '#', '@']) {
        return Err("the address of a target is HOST:PORT, and what was found is not".to_owned());
    }
    let scheme = get("__scheme__").unwrap_or("http");
    let path = get("__metrics_path__").unwrap_or("/metrics");
    let slash = if path.starts_with('/') { "" } else { "/" };
    let mut url = format!("{scheme}://{address}{slash}{path}");
    for (index, (name, value)) in found
        .iter()
        .filter_map(|(name, value)| Some((name.strip_prefix("__param_")?, value)))
        .enumerate()
    {
        url.push(if index == 0 && !url.contains('?') {
            '?'
        } else {
            '&'
        });
        percent_encode(name, &mut url);
        url.push('=');
        percent_encode(value, &mut url);
    }
    Ok(url)
}

pub(crate) fn percent_encode(text: &str, out: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(labels: &[(&str, &str)]) -> Discovered {
        labels
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
            .collect()
    }

    fn target(mapping: &Mapping, labels: &[(&str, &str)]) -> Option<Target> {
        mapping.target(&found(labels), &Arc::default()).unwrap()
    }

    #[test]
    fn urls_are_those_that_prometheus_would_read() {
        let mapping = Mapping::default();
        for (labels, url) in [
            (&[("__address__", "a:8000")][..], "http://a:8000/metrics"),
            (
                &[
                    ("__address__", "a"),
                    ("__scheme__", "https"),
                    ("__metrics_path__", "m"),
                ],
                "https://a/m",
            ),
            (
                &[("__address__", "a:1"), ("__param_model", "x y")],
                "http://a:1/metrics?model=x%20y",
            ),
            (&[("__address__", "https://a/x")], "https://a/x"),
        ] {
            assert_eq!(target(&mapping, labels).unwrap().text(), url);
        }
        for bad in [
            &[][..],
            &[("__address__", "")],
            &[("__address__", "a/b")],
            &[("__address__", "me:canary@a")],
            &[("__address__", "a:99999")],
        ] {
            let error = mapping.target(&found(bad), &Arc::default()).unwrap_err();
            assert!(!error.contains("canary"), "{error}");
        }
    }

    #[test]
    fn meta_labels_go_unless_they_are_mapped() {
        let mapping = Mapping {
            kinds: Arc::new(["vllm".into()]),
            labels: vec![("__meta_kubernetes_pod_node_name".into(), "node".into())],
            ..Mapping::default()
        };
        let labels = [
            ("__address__", "a:8000"),
            ("__meta_kubernetes_pod_node_name", "n1"),
            ("__meta_kubernetes_pod_ip", "a"),
            (ROLE, "prefill"),
            (ENGINE_TYPE, "vllm"),
            ("team", "red"),
            ("target", "x"),
            ("bad-name", "x"),
            ("empty", ""),
        ];
        let target = target(&mapping, &labels).unwrap();
        assert_eq!(
            target.labels.to_string(),
            r#"{exported_target="x",node="n1",role="prefill",team="red"}"#
        );
        assert_eq!(target.kind.as_deref(), Some("vllm"));
    }

    #[test]
    fn conditions_hold_for_the_whole_value() {
        let condition = |label: &str, expression| Condition {
            label: label.into(),
            matches: crate::leaf::anchored(expression).unwrap(),
        };
        let mapping = Mapping {
            keep: vec![condition("env", "prod|stage")],
            drop: vec![condition("canary", ".+")],
            ..Mapping::default()
        };
        for (env, canary, read) in [
            ("prod", "", true),
            ("production", "", false),
            ("stage", "yes", false),
            ("", "", false),
        ] {
            let labels = [("__address__", "a:1"), ("env", env), ("canary", canary)];
            assert_eq!(target(&mapping, &labels).is_some(), read, "{env} {canary}");
        }
    }
}
