//! The configuration, checked and with all defaults filled in.

use std::sync::Arc;

use tokenpath_core::LabelSet;
use tokenpath_core::catalogue::Compiled;
use tokenpath_core::dialect::{Dialect, Spoken};
use tokenpath_scrape::Endpoint;
use tokenpath_scrape::server::{AllowList, ListenAddress};

pub use tokenpath_scrape::server::Network;

use crate::discovery::{Discovery, Shard};
use crate::reading::Reading;

/// A whole configuration.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// Where and how the page is served.
    pub web: Web,
    /// What is logged.
    pub log: Log,
    /// How targets are read that say nothing else.
    pub defaults: Arc<Reading>,
    /// Targets that are known.
    pub sources: Vec<Source>,
    /// Where targets are found.
    pub discovery: Vec<Discovery>,
    /// Which share of the targets is read; all where there is none.
    pub shard: Option<Shard>,
    /// The dialects that are spoken, in the order of the file.
    pub dialects: Vec<Dialect>,
    /// The same, put together against all families that were known.
    pub spoken: Spoken,
    /// Engines of the file.
    pub catalogues: Vec<Engine>,
    /// Roll-ups that are asked for.
    pub rollups: Vec<RollUp>,
    /// How many tenants there may be.
    pub tenants: Tenants,
    /// Limits of the whole exporter.
    pub limits: Limits,
    /// Probing; off where there is none.
    pub probe: Option<Probe>,
}

/// Where and how the page is served. What is not set is the program's default.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Web {
    /// Addresses to listen on.
    pub listen: Vec<ListenAddress>,
    /// Path of the page.
    pub telemetry_path: Option<String>,
    /// Scrapes that are answered at once.
    pub max_requests: Option<usize>,
}

/// What is logged. What is not set is the program's default.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Log {
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub level: Option<String>,
    /// `logfmt` or `json`.
    pub format: Option<String>,
}

/// A target that is known.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Source {
    /// The kind of backend; told from the page where there is none.
    pub kind: Option<Arc<str>>,
    /// Its page.
    pub endpoint: Endpoint,
    /// The endpoint as it was written: two endpoints are the same where this is.
    pub(crate) text: Arc<str>,
    /// How it is read.
    pub reading: Arc<Reading>,
}

/// An engine that is supported by the file alone.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Engine {
    /// Its catalogue, checked. Its backend is the engine's kind.
    pub catalogue: Arc<Compiled>,
    /// Whether a page without samples is fine.
    pub empty_is_fine: bool,
}

/// A roll-up that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RollUp {
    /// Labels that go.
    pub over: Vec<String>,
    /// Names of families, or their beginning and `*`; all that have a rule where there is none.
    pub families: Vec<String>,
    /// Whether the single series stay.
    pub keep_parts: bool,
}

/// How many tenants there may be.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tenants {
    /// Most tenants with series of their own.
    pub limit: usize,
    /// Tenants that are never folded.
    pub keep: Vec<String>,
    /// The name of the rest.
    pub other: String,
}

impl Default for Tenants {
    fn default() -> Self {
        Self {
            limit: 1000,
            keep: Vec::new(),
            other: "other".to_owned(),
        }
    }
}

/// Limits of the whole exporter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Most targets.
    pub targets: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { targets: 20_000 }
    }
}

/// What may be probed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Probe {
    /// Networks that addresses must be in.
    pub allow: Vec<Network>,
    /// Ports; all where there is none.
    pub ports: Vec<u16>,
}

impl Probe {
    /// Whether this address, which a name was resolved to, may be asked.
    #[must_use]
    pub fn allows(&self, address: std::net::SocketAddr) -> bool {
        self.allow_list().allows(address)
    }

    /// The same as the service takes it.
    #[must_use]
    pub fn allow_list(&self) -> AllowList {
        AllowList::new(self.allow.iter().copied()).ports(self.ports.iter().copied())
    }
}

impl Config {
    /// The engine of the file with this kind.
    #[must_use]
    pub fn engine(&self, kind: &str) -> Option<&Engine> {
        self.catalogues
            .iter()
            .find(|engine| engine.catalogue.catalogue().backend == kind)
    }

    /// The labels that all series have, whatever the target.
    #[must_use]
    pub fn labels(&self) -> &LabelSet {
        &self.defaults.labels
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_is_allowed_by_network_and_port() {
        let probe = Probe {
            allow: vec![Network::parse("10.0.0.0/8").unwrap()],
            ports: vec![8000],
        };
        assert!(probe.allows("10.0.0.1:8000".parse().unwrap()));
        assert!(probe.allows("[::ffff:10.0.0.1]:8000".parse().unwrap()));
        assert!(!probe.allows("10.0.0.1:22".parse().unwrap()));
        assert!(!probe.allows("127.0.0.1:8000".parse().unwrap()));
    }
}
