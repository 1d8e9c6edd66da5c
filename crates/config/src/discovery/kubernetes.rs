//! Pods of a cluster, by list and watch.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use serde::Deserialize;
use tokenpath_core::in_full;
use tokenpath_scrape::{Auth, Client, ClientOptions, Credential};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::Discovered;
use super::said::Said;
use crate::raw;
use crate::reading::client;

/// The pods that a label selector means, in some namespaces or all.
///
/// Lists them, and then watches from there. A watch that ends is taken up again; where the API server
/// does not know the place any more, or does not answer, the pods that were known stay until the next
/// list.
#[derive(Debug)]
pub struct KubernetesSd {
    api: Option<String>,
    namespaces: Vec<String>,
    selector: Option<String>,
    port: Option<String>,
    scheme: Option<String>,
    path: Option<String>,
    options: ClientOptions,
}

/// What every pod has, unless its owner says no.
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// Pods on one page of a list.
const PAGE: u32 = 500;
/// Pages of a list: more pods than a cluster is made for.
const PAGES_MAX: usize = 600;
/// Bytes of one page of a list, and of one event.
const PAGE_BYTES: usize = 64 << 20;
const EVENT_BYTES: usize = 4 << 20;
const LIST_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a watch is asked to last.
const WATCH: Duration = Duration::from_secs(290);
/// Between two attempts: doubled from the first to the second.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(30)];

impl KubernetesSd {
    pub(crate) fn new(raw: &raw::Kubernetes) -> Self {
        let mut options = client(raw.auth.as_ref(), raw.tls.as_ref());
        // Outside of its own cluster nobody is to see the token of the pod.
        if raw.api.is_none() {
            if raw.auth.is_none() {
                options.auth = Auth::Bearer(Credential::File(format!("{ACCOUNT}/token").into()));
            }
            if raw.tls.is_none() {
                options.tls.ca_file = Some(format!("{ACCOUNT}/ca.crt").into());
            }
        }
        options.accept = "application/json".into();
        options.gzip = false;
        Self {
            api: raw.api.clone(),
            namespaces: raw.namespaces.clone(),
            selector: raw.selector.clone(),
            port: raw.port.clone(),
            scheme: raw.scheme.clone(),
            path: raw.path.clone(),
            options,
        }
    }

    /// Follows the pods, for ever.
    pub(crate) async fn follow(&self, mut publish: impl FnMut(Vec<Discovered>)) {
        let mut tasks = JoinSet::new();
        let (sender, mut receiver) = mpsc::unbounded_channel();
        let paths = self.paths();
        for (at, path) in paths.iter().enumerate() {
            let client = self.client_in_the_end(path).await;
            let pods = Pods {
                client,
                selector: self.selector.as_deref().map(encoded),
                known: BTreeMap::new(),
                version: String::new(),
                said: Said::default(),
                sender: sender.clone(),
                at,
            };
            tasks.spawn(pods.follow());
        }
        let mut known: HashMap<usize, Vec<Pod>> = HashMap::new();
        while let Some((at, pods)) = receiver.recv().await {
            known.insert(at, pods);
            // What one namespace has is not all: the others would be taken for empty.
            if known.len() == paths.len() {
                let all = (0..paths.len()).filter_map(|at| known.get(&at)).flatten();
                publish(all.filter_map(|pod| self.found(pod)).collect());
            }
        }
    }

    /// Tried again where it cannot be set up: its certificate may be there later.
    async fn client_in_the_end(&self, path: &str) -> Client {
        let mut said = Said::default();
        loop {
            let error = match self.client(path) {
                Ok(client) => return client,
                Err(error) => error,
            };
            if said.is_news(&error) {
                tracing::error!(error, "pods cannot be found");
            }
            sleep(PAUSES[1]).await;
        }
    }

    fn paths(&self) -> Vec<String> {
        if self.namespaces.is_empty() {
            return vec!["/api/v1/pods".to_owned()];
        }
        let namespaces = self.namespaces.iter();
        namespaces
            .map(|namespace| format!("/api/v1/namespaces/{namespace}/pods"))
            .collect()
    }

    fn client(&self, path: &str) -> Result<Client, String> {
        let api = match &self.api {
            Some(api) => api.clone(),
            None => {
                let get = |name: &str| {
                    std::env::var(name)
                        .map_err(|_| format!("{name} is not set: say `api`, or run in the cluster"))
                };
                let host = get("KUBERNETES_SERVICE_HOST")?;
                let port = get("KUBERNETES_SERVICE_PORT")?;
                let host = if host.contains(':') {
                    format!("[{host}]")
                } else {
                    host
                };
                format!("https://{host}:{port}")
            }
        };
        let url = format!("{}{path}", api.trim_end_matches('/'));
        let endpoint = url
            .parse()
            .map_err(|error: tokenpath_scrape::EndpointError| error.to_string())?;
        Client::new(endpoint, self.options.clone()).map_err(|error| in_full(&error))
    }

    /// What Prometheus would say of the pod; `None` where there is nothing to read.
    fn found(&self, pod: &Pod) -> Option<Discovered> {
        let ip = pod.status.pod_ip.as_deref().filter(|ip| !ip.is_empty())?;
        let phase = pod.status.phase.as_deref().unwrap_or_default();
        if matches!(phase, "Succeeded" | "Failed") {
            return None;
        }
        let (container, name, port) = self.port(pod)?;
        let host = if ip.contains(':') {
            format!("[{ip}]")
        } else {
            ip.to_owned()
        };
        let mut found = Discovered::new();
        let mut put = |label: &str, value: &str| {
            found.insert(label.to_owned(), value.to_owned());
        };
        put("__address__", &format!("{host}:{port}"));
        for (label, value) in [
            ("__scheme__", &self.scheme),
            ("__metrics_path__", &self.path),
        ] {
            if let Some(value) = value {
                put(label, value);
            }
        }
        let meta = &pod.metadata;
        let ready = pod
            .status
            .conditions
            .iter()
            .find(|condition| condition.kind == "Ready");
        put("__meta_kubernetes_namespace", &meta.namespace);
        put("__meta_kubernetes_pod_name", &meta.name);
        put("__meta_kubernetes_pod_uid", &meta.uid);
        put("__meta_kubernetes_pod_ip", ip);
        put("__meta_kubernetes_pod_phase", phase);
        put(
            "__meta_kubernetes_pod_ready",
            &ready.map_or_else(|| "unknown".to_owned(), |ready| ready.status.to_lowercase()),
        );
        put(
            "__meta_kubernetes_pod_node_name",
            pod.spec.node_name.as_deref().unwrap_or_default(),
        );
        put("__meta_kubernetes_pod_container_name", container);
        put("__meta_kubernetes_pod_container_port_name", name);
        put(
            "__meta_kubernetes_pod_container_port_number",
            &port.to_string(),
        );
        for (name, value) in &meta.labels {
            put(
                &format!("__meta_kubernetes_pod_label_{}", label_name(name)),
                value,
            );
        }
        for (name, value) in &meta.annotations {
            put(
                &format!("__meta_kubernetes_pod_annotation_{}", label_name(name)),
                value,
            );
        }
        Some(found)
    }

    /// Container, name and number of the port that is read.
    fn port<'p>(&self, pod: &'p Pod) -> Option<(&'p str, &'p str, u16)> {
        let mut declared = pod.spec.containers.iter().flat_map(|container| {
            let ports = container.ports.iter();
            ports.map(|port| {
                (
                    container.name.as_str(),
                    port.name.as_str(),
                    port.container_port,
                )
            })
        });
        let Some(wanted) = &self.port else {
            return declared.next();
        };
        match wanted.parse::<u16>() {
            Ok(number) => {
                // A port need not be declared to be open.
                let found = declared.find(|(_, _, port)| *port == number);
                Some(found.unwrap_or(("", "", number)))
            }
            Err(_) => declared.find(|(_, name, _)| name == wanted),
        }
    }
}

/// The pods under one path.
struct Pods {
    client: Client,
    selector: Option<String>,
    known: BTreeMap<(String, String), Pod>,
    version: String,
    said: Said,
    sender: mpsc::UnboundedSender<(usize, Vec<Pod>)>,
    at: usize,
}

impl Pods {
    async fn follow(mut self) {
        let [shortest, longest] = PAUSES;
        let mut pause = shortest;
        loop {
            let fault = match self.list().await {
                Ok(()) => {
                    pause = shortest;
                    if self.said.is_over() {
                        tracing::info!(url = %self.client.endpoint(), "pods can be listed again");
                    }
                    self.publish();
                    self.watch().await
                }
                Err(fault) => fault,
            };
            if self.said.is_news(&fault) {
                tracing::warn!(url = %self.client.endpoint(), error = fault, "pods cannot be followed; those that were known stay");
            }
            sleep(pause).await;
            pause = pause.saturating_mul(2).min(longest);
        }
    }

    fn publish(&self) {
        // Whoever listened may be gone.
        _ = self
            .sender
            .send((self.at, self.known.values().cloned().collect()));
    }

    fn query(&self, rest: &str) -> String {
        match &self.selector {
            Some(selector) => format!("labelSelector={selector}&{rest}"),
            None => rest.to_owned(),
        }
    }

    /// All pods, page by page; what was known is replaced only by a whole list.
    async fn list(&mut self) -> Result<(), String> {
        let mut known = BTreeMap::new();
        let mut rest = String::new();
        for _ in 0..PAGES_MAX {
            let query = self.query(&format!("limit={PAGE}{rest}"));
            let deadline = Instant::now() + LIST_TIMEOUT;
            let mut page = Vec::new();
            let mut too_large = false;
            let listening = self.client.stream(Some(&query), deadline, |chunk| {
                too_large = page.len() + chunk.len() > PAGE_BYTES;
                page.extend_from_slice(chunk);
                !too_large
            });
            listening.await.map_err(|error| in_full(&error))?;
            if too_large {
                return Err(format!("a list of pods is larger than {PAGE_BYTES} bytes"));
            }
            let list: PodList = serde_json::from_slice(&page)
                .map_err(|error| format!("the answer is no list of pods: {error}"))?;
            for pod in list.items {
                known.insert(pod.key(), pod);
            }
            self.version = list.metadata.resource_version;
            match list.metadata.next.filter(|next| !next.is_empty()) {
                Some(next) => rest = format!("&continue={}", encoded(&next)),
                None => {
                    self.known = known;
                    return Ok(());
                }
            }
        }
        Err(format!("a list of pods has more than {PAGES_MAX} pages"))
    }

    /// Watches from the list on, and again from where a watch ended; returns why a new list is
    /// needed.
    async fn watch(&mut self) -> String {
        loop {
            let query = self.query(&format!(
                "watch=1&allowWatchBookmarks=true&timeoutSeconds={}&resourceVersion={}",
                WATCH.as_secs(),
                encoded(&self.version),
            ));
            let begin = Instant::now();
            let deadline = begin + WATCH + Duration::from_secs(20);
            let mut lines = Vec::new();
            let mut fault = None;
            let Self {
                client,
                known,
                version,
                sender,
                at,
                ..
            } = self;
            let listening = client.stream(Some(&query), deadline, |chunk| {
                lines.extend_from_slice(chunk);
                let mut changed = false;
                while let Some(end) = lines.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = lines.drain(..=end).collect();
                    match take(&line, known, version) {
                        Ok(other) => changed |= other,
                        Err(what) => fault = Some(what),
                    }
                }
                if changed {
                    _ = sender.send((*at, known.values().cloned().collect()));
                }
                if lines.len() > EVENT_BYTES {
                    fault = Some(format!("an event is larger than {EVENT_BYTES} bytes"));
                }
                fault.is_none()
            });
            let ended = listening.await;
            match (fault, ended) {
                (Some(fault), _) => return fault,
                (None, Err(error)) => return in_full(&error),
                // A server that ends every watch at once must not be asked without pause.
                (None, Ok(())) if begin.elapsed() < Duration::from_secs(1) => {
                    sleep(Duration::from_secs(1)).await;
                }
                (None, Ok(())) => {}
            }
        }
    }
}

/// Takes one event over; whether the pods are others than before.
fn take(
    line: &[u8],
    known: &mut BTreeMap<(String, String), Pod>,
    version: &mut String,
) -> Result<bool, String> {
    if line.trim_ascii().is_empty() {
        return Ok(false);
    }
    let event: Event =
        serde_json::from_slice(line).map_err(|error| format!("this is no event: {error}"))?;
    if event.kind == "ERROR" {
        let what = event.object.message.unwrap_or_default();
        return Err(format!("the watch ended: {}", crate::tree::shown(&what)));
    }
    let pod = event.object.pod;
    version.clone_from(&pod.metadata.resource_version);
    Ok(match event.kind.as_str() {
        "ADDED" | "MODIFIED" => {
            let key = pod.key();
            let same = known
                .get(&key)
                .is_some_and(|before| before.says_the_same(&pod));
            known.insert(key, pod);
            !same
        }
        "DELETED" => known.remove(&pod.key()).is_some(),
        // Bookmarks, and what may come.
        _ => false,
    })
}

#[derive(Deserialize)]
struct PodList {
    #[serde(default)]
    metadata: ListMeta,
    #[serde(default)]
    items: Vec<Pod>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ListMeta {
    resource_version: String,
    #[serde(rename = "continue")]
    next: Option<String>,
}

#[derive(Deserialize)]
struct Event {
    #[serde(rename = "type")]
    kind: String,
    object: Object,
}

/// A pod, or what went wrong.
#[derive(Deserialize)]
struct Object {
    #[serde(default)]
    message: Option<String>,
    #[serde(flatten)]
    pod: Pod,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Pod {
    metadata: Meta,
    spec: Spec,
    status: Status,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Meta {
    name: String,
    namespace: String,
    uid: String,
    resource_version: String,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    node_name: Option<String>,
    containers: Vec<Container>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Container {
    name: String,
    ports: Vec<Port>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Port {
    name: String,
    container_port: u16,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Status {
    phase: Option<String>,
    #[serde(rename = "podIP")]
    pod_ip: Option<String>,
    conditions: Vec<Condition>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Condition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
}

impl Pod {
    fn key(&self) -> (String, String) {
        (self.metadata.namespace.clone(), self.metadata.name.clone())
    }

    /// Whether nothing but the version is other: a heartbeat.
    fn says_the_same(&self, other: &Self) -> bool {
        let mut other = other.clone();
        other
            .metadata
            .resource_version
            .clone_from(&self.metadata.resource_version);
        *self == other
    }
}

/// As Prometheus makes a label name of any name.
fn label_name(name: &str) -> String {
    name.chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect()
}

fn encoded(text: &str) -> String {
    let mut out = String::new();
    super::target::percent_encode(text, &mut out);
    out
}
