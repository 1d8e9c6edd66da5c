//! Sources and discovery: kinds, doubles, times that do not go together.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use tokenpath_scrape::server::{AllowList, Network};

use super::{Resolver, labels_of};
use crate::config::{Probe, ProbeModule, Source, Tenants};
use crate::discovery::{Condition, Discovery, FileSd, HttpSd, Mapping, Provider};
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
        let mut seen: HashMap<_, String> = HashMap::new();
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
                let Ok(endpoint) = text.parse::<tokenpath_scrape::Endpoint>() else {
                    continue;
                };
                let key = (
                    raw.kind.clone(),
                    endpoint.to_string(),
                    text.contains('?').then(|| text.clone()),
                    labels_of(&merged),
                );
                if let Some(first) = seen.get(&key) {
                    let first = match self.places.of(first) {
                        place if place.is_beside_the_file() => String::new(),
                        place => format!(", first at {place}"),
                    };
                    let what = format!(
                        "{endpoint} is read already{first}; give one of them another label where both are meant",
                    );
                    self.flaw(&at, what);
                    continue;
                }
                seen.insert(key, at);
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
                fingerprint: fingerprint(raw),
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
            return match HttpSd::new(endpoint, options, refresh) {
                Ok(provider) => Some(Provider::Http(Arc::new(provider))),
                Err(error) => {
                    self.flaw(&format!("{pointer}/http"), error.to_string());
                    None
                }
            };
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
            // Whoever asks chooses the target: it is shown no credentials that were meant for others.
            let open = raw::Reading {
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

/// Of what a provider asks, whatever becomes of the answer.
fn fingerprint(raw: &raw::Discovery) -> u64 {
    let mut hasher = DefaultHasher::new();
    (&raw.files, &raw.http, &raw.dns, &raw.kubernetes).hash(&mut hasher);
    hasher.finish()
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
