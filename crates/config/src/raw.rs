//! The file as it is written, after it was checked against the schema.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Deserializer, de};

use crate::leaf;

/// Text to text.
pub(crate) type Labels = BTreeMap<String, String>;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct File {
    pub(crate) web: Web,
    pub(crate) log: Log,
    pub(crate) defaults: Reading,
    pub(crate) sources: Vec<Source>,
    pub(crate) discovery: Vec<Discovery>,
    pub(crate) shard: Option<String>,
    pub(crate) dialects: Dialects,
    pub(crate) catalogues: Vec<Catalogue>,
    pub(crate) gpu: Option<Gpu>,
    pub(crate) rollups: Vec<Rollup>,
    pub(crate) tenants: Tenants,
    pub(crate) limits: Limits,
    pub(crate) probe: Option<Probe>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Web {
    pub(crate) listen: Vec<String>,
    pub(crate) telemetry_path: Option<String>,
    pub(crate) max_requests: Option<usize>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Log {
    pub(crate) level: Option<String>,
    pub(crate) format: Option<String>,
}

/// How a target is read, where it is said. Headers and `auth` hold secrets: no `Debug`.
#[derive(Clone, Default, Deserialize, Hash)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Reading {
    pub(crate) labels: Labels,
    pub(crate) fallback_labels: Labels,
    #[serde(deserialize_with = "duration")]
    pub(crate) interval: Option<Duration>,
    #[serde(deserialize_with = "duration")]
    pub(crate) timeout: Option<Duration>,
    pub(crate) tls: Option<Tls>,
    pub(crate) auth: Option<Auth>,
    pub(crate) headers: Labels,
    pub(crate) lenient: Option<bool>,
    pub(crate) accept: Option<String>,
    pub(crate) follow_redirects: Option<bool>,
    pub(crate) allow: Option<Vec<String>>,
    pub(crate) deny: Option<Vec<String>>,
    pub(crate) pass_unknown: Option<bool>,
    pub(crate) series_limit: Option<usize>,
    #[serde(deserialize_with = "size")]
    pub(crate) body_limit: Option<usize>,
    pub(crate) tgi: Option<Tgi>,
    pub(crate) limitador: Option<Limitador>,
    pub(crate) gateway: Option<Gateway>,
}

impl std::fmt::Debug for Reading {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reading")
            .field("labels", &self.labels)
            .field("interval", &self.interval)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

#[derive(Clone, Debug, Default, Deserialize, Hash)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Tgi {
    pub(crate) model_name: Option<String>,
    pub(crate) batch_size_histogram: Option<bool>,
}

#[derive(Clone, Debug, Default, Deserialize, Hash)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Limitador {
    pub(crate) tenant: Option<Vec<String>>,
    pub(crate) keep: Labels,
    pub(crate) tenant_key_file: Option<PathBuf>,
    pub(crate) namespaces: Option<Vec<String>>,
    pub(crate) token_namespaces: Option<Vec<String>>,
    pub(crate) admin: Option<bool>,
}

#[derive(Clone, Debug, Default, Deserialize, Hash)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Gateway {
    pub(crate) fairness_limit: Option<usize>,
}

#[derive(Clone, Debug, Default, Deserialize, Hash)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Tls {
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) cert_file: Option<PathBuf>,
    pub(crate) key_file: Option<PathBuf>,
    pub(crate) server_name: Option<String>,
    pub(crate) insecure_skip_verify: bool,
}

/// Holds secrets: no `Debug`.
#[derive(Clone, Default, Deserialize, Hash)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Auth {
    pub(crate) token_file: Option<PathBuf>,
    pub(crate) token: Option<String>,
    pub(crate) username: Option<String>,
    pub(crate) password_file: Option<PathBuf>,
    pub(crate) password: Option<String>,
}

impl std::fmt::Debug for Auth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Auth(***)")
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Source {
    pub(crate) kind: Option<String>,
    pub(crate) endpoint: Option<String>,
    pub(crate) endpoints: Vec<String>,
    #[serde(flatten)]
    pub(crate) reading: Reading,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Discovery {
    pub(crate) files: Vec<String>,
    pub(crate) http: Option<Http>,
    pub(crate) dns: Option<Dns>,
    pub(crate) kubernetes: Option<Kubernetes>,
    pub(crate) kind: Option<String>,
    pub(crate) map_labels: Labels,
    pub(crate) keep: Vec<Condition>,
    pub(crate) drop: Vec<Condition>,
    #[serde(flatten)]
    pub(crate) reading: Reading,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Condition {
    pub(crate) label: String,
    pub(crate) matches: String,
}

#[derive(Clone, Debug, Default, Deserialize, Hash)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Http {
    pub(crate) url: String,
    #[serde(deserialize_with = "duration")]
    pub(crate) refresh: Option<Duration>,
    pub(crate) tls: Option<Tls>,
    pub(crate) auth: Option<Auth>,
}

#[derive(Clone, Debug, Default, Deserialize, Hash)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Dns {
    pub(crate) names: Vec<String>,
    #[serde(rename = "type")]
    pub(crate) kind: Option<String>,
    pub(crate) port: Option<u16>,
    #[serde(deserialize_with = "duration")]
    pub(crate) refresh: Option<Duration>,
    pub(crate) server: Option<String>,
    pub(crate) scheme: Option<String>,
    pub(crate) path: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize, Hash)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Kubernetes {
    pub(crate) api: Option<String>,
    pub(crate) namespaces: Vec<String>,
    pub(crate) selector: Option<String>,
    pub(crate) port: Option<String>,
    pub(crate) scheme: Option<String>,
    pub(crate) path: Option<String>,
    pub(crate) tls: Option<Tls>,
    pub(crate) auth: Option<Auth>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Dialects {
    pub(crate) speak: Vec<String>,
    pub(crate) define: Vec<Dialect>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Dialect {
    pub(crate) name: String,
    pub(crate) rows: Vec<DialectRow>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct DialectRow {
    pub(crate) family: Option<String>,
    pub(crate) ratio: Option<Vec<String>>,
    pub(crate) diff: Option<Vec<String>>,
    pub(crate) sum: Option<Vec<String>>,
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) factor: Option<f64>,
    pub(crate) when: Labels,
    pub(crate) when_not: Labels,
    pub(crate) rename_labels: Labels,
    pub(crate) copy_labels: Labels,
    pub(crate) drop_labels: Vec<String>,
    pub(crate) constant_labels: Labels,
    pub(crate) help: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Catalogue {
    pub(crate) backend: String,
    pub(crate) prefixes: Vec<String>,
    pub(crate) empty_is_fine: bool,
    pub(crate) families: Vec<Family>,
    pub(crate) rows: Vec<Row>,
    pub(crate) left_out: Vec<LeftOut>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Family {
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) unit: Option<String>,
    pub(crate) help: String,
    pub(crate) rollup: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Row {
    pub(crate) upstream: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) family: Option<String>,
    pub(crate) sum: Option<String>,
    pub(crate) count: Option<String>,
    pub(crate) facts: Option<String>,
    pub(crate) label_number: Option<LabelNumber>,
    pub(crate) label_count: Option<Labelled>,
    pub(crate) label_items: Option<Items>,
    pub(crate) drop: Option<String>,
    pub(crate) labels: Vec<LabelRule>,
    pub(crate) multiply: Option<f64>,
    pub(crate) divide: Option<f64>,
    pub(crate) superseded_by: Vec<String>,
    pub(crate) processes: Option<String>,
    pub(crate) sentinel: Option<f64>,
    pub(crate) newest: bool,
    pub(crate) since: Option<String>,
    pub(crate) until: Option<String>,
    pub(crate) note: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LabelNumber {
    pub(crate) label: String,
    pub(crate) family: String,
    pub(crate) shared_by: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Labelled {
    pub(crate) label: String,
    pub(crate) family: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Items {
    pub(crate) label: String,
    pub(crate) family: String,
    pub(crate) item: String,
}

/// A map with one key is what serde calls an enum.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LabelRule {
    Rename {
        from: String,
        to: String,
    },
    Drop(String),
    Keep(Vec<String>),
    Map {
        label: String,
        from: String,
        to: String,
    },
    Constant {
        label: String,
        value: String,
    },
    Default {
        label: String,
        value: String,
    },
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LeftOut {
    pub(crate) pattern: String,
    pub(crate) why: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Gpu {
    pub(crate) library: Option<PathBuf>,
    #[serde(deserialize_with = "duration")]
    pub(crate) period: Option<Duration>,
    pub(crate) processes: Option<bool>,
    pub(crate) processes_max: Option<usize>,
    pub(crate) procfs: Option<PathBuf>,
    pub(crate) mig: Option<bool>,
    pub(crate) pcie_throughput: Option<bool>,
    pub(crate) bound: GpuBound,
    pub(crate) labels: Labels,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct GpuBound {
    #[serde(deserialize_with = "ratio")]
    pub(crate) idle_below: Option<f64>,
    #[serde(deserialize_with = "ratio")]
    pub(crate) memory_from: Option<f64>,
    #[serde(deserialize_with = "ratio")]
    pub(crate) compute_from: Option<f64>,
    #[serde(deserialize_with = "ratio")]
    pub(crate) vram_above: Option<f64>,
    #[serde(deserialize_with = "ratio")]
    pub(crate) utilization_below: Option<f64>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rollup {
    #[serde(default)]
    pub(crate) over: Vec<String>,
    #[serde(default)]
    pub(crate) families: Vec<String>,
    #[serde(default)]
    pub(crate) keep_parts: bool,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Tenants {
    pub(crate) limit: Option<usize>,
    pub(crate) keep: Vec<String>,
    pub(crate) other: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Limits {
    pub(crate) targets: Option<usize>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Probe {
    pub(crate) allow: Vec<String>,
    #[serde(default)]
    pub(crate) ports: Vec<u16>,
    #[serde(default)]
    pub(crate) hosts: Vec<String>,
    #[serde(default)]
    pub(crate) modules: Vec<Module>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Module {
    pub(crate) name: String,
    pub(crate) kind: String,
    #[serde(flatten)]
    pub(crate) reading: Reading,
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    leaf::duration(&text).map(Some).map_err(de::Error::custom)
}

fn ratio<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    let text = String::deserialize(deserializer)?;
    leaf::ratio(&text).map(Some).map_err(de::Error::custom)
}

fn size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<usize>, D::Error> {
    let text = String::deserialize(deserializer)?;
    leaf::size(&text).map(Some).map_err(de::Error::custom)
}
