//! Sources and discovery: kinds, doubles, times that do not go together.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use tokenpath_scrape::Endpoint;
use tokenpath_scrape::server::{AllowList, Network};

use super::Resolver;
use crate::config::{Probe, ProbeModule, Source, Tenants};
use crate::discovery::{Condition, Discovery, FileSd, HttpSd, Identity, Mapping, Provider};
use crate::leaf;
use crate::nearest::nearest;
use crate::raw;
use crate::reading::{Reading, client};

impl Resolver<'_> {
    pub(super) fn sources(
        &mut self,
        file: &raw::File,
        kinds: &Arc<[Box<str>]>,
        tenants: &Tenants,
    ) -> Vec<Source> {
        let mut sources = Vec::new();
        let mut seen: HashMap<Identity, (String, String)> = HashMap::new();
        for (index, raw) in file.sources.iter().enumerate() {
            let pointer = format!("/sources/{index}");
            let kind = raw.kind.as_deref();
            self.kind(kind, kinds, &pointer);
            self.of_its_kind(&raw.reading, kind, &pointer);
            let merged = raw.reading.over(&file.defaults);
            self.timing(&merged, &pointer);
            let reading = Arc::new(Reading::of(&merged, kind, tenants));
            let several = raw.endpoints.iter().enumerate();
            let one = raw
                .endpoint
                .iter()
                .map(|text| (format!("{pointer}/endpoint"), text));
            let all =
                one.chain(several.map(|(at, text)| (format!("{pointer}/endpoints/{at}"), text)));
            for (at, text) in all {
                let Ok(endpoint) = text.parse::<Endpoint>() else {
                    continue;
                };
                let identity = Identity::of(kind, &endpoint, &reading.labels);
                if let Some((url, first)) = seen.get(&identity) {
                    self.double(&endpoint, url, kind, first, &at);
                    continue;
                }
                seen.insert(identity, (endpoint.to_string(), at));
                sources.push(Source {
                    kind: raw.kind.as_deref().map(Into::into),
                    endpoint,
                    text: text.as_str().into(),
                    reading: Arc::clone(&reading),
                });
            }
        }
        sources
    }

    /// Two sources whose series would be the same: the page cannot tell them apart.
    fn double(
        &mut self,
        endpoint: &Endpoint,
        url: &str,
        kind: Option<&str>,
        first: &str,
        at: &str,
    ) {
        let place = self.places.of(first);
        let beside = place.is_beside_the_file();
        // What is in a query is not shown: both may look the same and be two.
        let what = if endpoint.to_string() == url && !url.contains('?') {
            let first = if beside {
                String::new()
            } else {
                format!(", first at {place}")
            };
            format!(
                "{endpoint} is read already{first}; give one of them another label where both are meant"
            )
        } else {
            let first = if beside {
                String::new()
            } else {
                format!(" at {place}")
            };
            let (both, or) = match kind {
                Some(kind) => (format!("both are `{kind}`"), ""),
                None => (
                    "of neither the kind is said, both are".to_owned(),
                    ", or say their kinds",
                ),
            };
            let target = endpoint.target();
            format!(
                "{endpoint} would have the same series as {url}{first}: {both} at {target} with the same labels; \
                 give one of them another label{or}"
            )
        };
        self.flaw(at, what);
    }

    fn kind(&mut self, kind: Option<&str>, kinds: &[Box<str>], pointer: &str) {
        let Some(kind) = kind else { return };
        if kinds.iter().any(|known| **known == *kind) {
            return;
        }
        let near = nearest(kind, kinds.iter().map(|kind| &**kind));
        let known = kinds.join(", ");
        let what = format!(
            "`{kind}` is no kind of backend: there are {known}, and those under `catalogues`"
        );
        self.flaw_or(&format!("{pointer}/kind"), what, near);
    }

    /// What holds for one kind alone is said of that kind, or of one that is not known.
    fn of_its_kind(&mut self, raw: &raw::Reading, kind: Option<&str>, pointer: &str) {
        let Some(kind) = kind else { return };
        let said = [
            ("tgi", raw.tgi.is_some()),
            ("limitador", raw.limitador.is_some()),
            ("gateway", raw.gateway.is_some()),
        ];
        for (key, _) in said.into_iter().filter(|(key, said)| *said && *key != kind) {
            let what =
                format!("`{key}` says how a target of that kind is read; this is a `{kind}`");
            self.flaw(&format!("{pointer}/{key}"), what);
        }
    }

    pub(super) fn timing(&mut self, reading: &raw::Reading, pointer: &str) {
        if let (Some(interval), Some(timeout)) = (reading.interval, reading.timeout)
            && timeout > interval
        {
            let what =
                format!("the timeout ({timeout:?}) is longer than the interval ({interval:?})");
            self.flaw(&format!("{pointer}/timeout"), what);
        }
    }

    pub(super) fn discovery(
        &mut self,
        file: &raw::File,
        kinds: &Arc<[Box<str>]>,
        tenants: &Tenants,
    ) -> Vec<Discovery> {
        let mut all = Vec::new();
        for (index, raw) in file.discovery.iter().enumerate() {
            let pointer = format!("/discovery/{index}");
            let kind = raw.kind.as_deref();
            self.kind(kind, kinds, &pointer);
            self.of_its_kind(&raw.reading, kind, &pointer);
            let merged = raw.reading.over(&file.defaults);
            self.timing(&merged, &pointer);
            for (to, at) in raw.map_labels.iter().map(|(from, to)| (to, from)) {
                if let Err(what) = (leaf::OWN_LABEL.check)(to) {
                    self.flaw(
                        &format!("{pointer}/map_labels/{at}"),
                        format!("`{to}` {what}"),
                    );
                }
            }
            let Some(provider) = self.provider(raw, &pointer) else {
                continue;
            };
            let (fingerprint, kin) = fingerprints(raw);
            all.push(Discovery {
                provider,
                mapping: Mapping {
                    kinds: Arc::clone(kinds),
                    kind: raw.kind.as_deref().map(Into::into),
                    labels: raw.map_labels.clone().into_iter().collect(),
                    keep: conditions(&raw.keep),
                    drop: conditions(&raw.drop),
                },
                reading: Arc::new(Reading::of(&merged, kind, tenants)),
                fingerprint,
                kin,
            });
        }
        all
    }

    fn provider(&mut self, raw: &raw::Discovery, pointer: &str) -> Option<Provider> {
        if !raw.files.is_empty() {
            return Some(Provider::Files(FileSd::new(&raw.files)));
        }
        if let Some(http) = &raw.http {
            let endpoint = http.url.parse().ok()?;
            let options = client(http.auth.as_ref(), http.tls.as_ref());
            let refresh = http.refresh.unwrap_or(Duration::from_secs(60));
            let provider = HttpSd::new(endpoint, options, refresh);
            return Some(Provider::Http(Arc::new(provider)));
        }
        if let Some(dns) = &raw.dns {
            return self.dns(dns, pointer);
        }
        if let Some(kubernetes) = &raw.kubernetes {
            return self.kubernetes(kubernetes, pointer);
        }
        None
    }

    fn dns(&mut self, raw: &raw::Dns, pointer: &str) -> Option<Provider> {
        let is_service = raw.kind.as_deref() == Some("srv");
        if !is_service && raw.port.is_none() {
            self.flaw(
                &format!("{pointer}/dns"),
                "`dns` needs `port`: only srv records bring one",
            );
        }
        if is_service && raw.port.is_some() {
            self.flaw(
                &format!("{pointer}/dns/port"),
                "srv records bring their own port",
            );
        }
        let server = raw
            .server
            .as_deref()
            .map(str::parse::<std::net::SocketAddr>);
        if matches!(server, Some(Err(_))) {
            let what = "the name server must be ADDRESS:PORT; for instance 10.0.0.10:53";
            self.flaw(&format!("{pointer}/dns/server"), what);
        }
        #[cfg(feature = "dns")]
        {
            let provider = crate::discovery::DnsSd::new(raw, server.and_then(Result::ok));
            Some(Provider::Dns(Arc::new(provider)))
        }
        #[cfg(not(feature = "dns"))]
        {
            self.flaw(
                &format!("{pointer}/dns"),
                "this build has no `dns`: it lacks the feature of that name",
            );
            None
        }
    }

    fn kubernetes(&mut self, raw: &raw::Kubernetes, pointer: &str) -> Option<Provider> {
        #[cfg(feature = "kubernetes")]
        {
            let _ = pointer;
            Some(Provider::Kubernetes(Arc::new(
                crate::discovery::KubernetesSd::new(raw),
            )))
        }
        #[cfg(not(feature = "kubernetes"))]
        {
            let _ = raw;
            let what = "this build has no `kubernetes`: it lacks the feature of that name";
            self.flaw(&format!("{pointer}/kubernetes"), what);
            None
        }
    }
}

impl Resolver<'_> {
    pub(super) fn probe(
        &mut self,
        file: &raw::File,
        kinds: &[Box<str>],
        tenants: &Tenants,
    ) -> Option<Probe> {
        let probe = file.probe.as_ref()?;
        let mut modules: Vec<ProbeModule> = Vec::new();
        for (index, raw) in probe.modules.iter().enumerate() {
            let pointer = format!("/probe/modules/{index}");
            let kind = raw.kind.as_str();
            self.kind(Some(kind), kinds, &pointer);
            self.of_its_kind(&raw.reading, Some(kind), &pointer);
            if modules.iter().any(|other| other.name == raw.name) {
                let what = format!("there are two modules `{}`", raw.name);
                self.flaw(&format!("{pointer}/name"), what);
            }
            let merged = raw.reading.over(&file.defaults);
            modules.push(module(&raw.name, kind, &merged, tenants));
        }
        if modules.is_empty() {
            // Whoever asks chooses the target: it is shown no credentials that were meant for others, and
            // no certificate either.
            let tls = file.defaults.tls.clone().map(|tls| raw::Tls {
                cert_file: None,
                key_file: None,
                ..tls
            });
            let open = raw::Reading {
                tls,
                auth: None,
                headers: raw::Labels::new(),
                ..file.defaults.clone()
            };
            modules = kinds
                .iter()
                .map(|kind| module(kind, kind, &open, tenants))
                .collect();
        }
        let networks = probe.allow.iter().filter_map(|text| Network::parse(text));
        let allow = AllowList::new(networks)
            .ports(probe.ports.iter().copied())
            .hosts(probe.hosts.iter().map(String::as_str));
        Some(Probe { allow, modules })
    }
}

/// Probes are read when they are asked for.
fn module(name: &str, kind: &str, reading: &raw::Reading, tenants: &Tenants) -> ProbeModule {
    let on_request = raw::Reading {
        interval: None,
        ..reading.clone()
    };
    ProbeModule {
        name: name.to_owned(),
        kind: kind.into(),
        reading: Arc::new(Reading::of(&on_request, Some(kind), tenants)),
    }
}

/// Of what a provider asks, however and whatever becomes of the answer: of all of it, and without the
/// names that are asked for one by one.
fn fingerprints(raw: &raw::Discovery) -> (u64, u64) {
    let asks = |names: bool| {
        let mut hasher = DefaultHasher::new();
        raw.files.is_empty().hash(&mut hasher);
        names.then_some(&raw.files).hash(&mut hasher);
        raw.http.as_ref().map(|http| &http.url).hash(&mut hasher);
        let dns = raw.dns.clone().map(|mut dns| {
            dns.refresh = None;
            if !names {
                dns.names.clear();
            }
            dns
        });
        dns.hash(&mut hasher);
        let kubernetes = raw.kubernetes.clone().map(|mut kubernetes| {
            (kubernetes.tls, kubernetes.auth) = (None, None);
            kubernetes
        });
        kubernetes.hash(&mut hasher);
        hasher.finish()
    };
    (asks(true), asks(false))
}

fn conditions(raw: &[raw::Condition]) -> Vec<Condition> {
    raw.iter()
        .filter_map(|condition| {
            Some(Condition {
                label: condition.label.clone(),
                matches: leaf::anchored(&condition.matches).ok()?,
            })
        })
        .collect()
}
