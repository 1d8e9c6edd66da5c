//! The configuration, checked and with all defaults filled in.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokenpath_core::LabelSet;
use tokenpath_core::catalogue::Compiled;
use tokenpath_core::dialect::{Dialect, Spoken};
use tokenpath_scrape::Endpoint;
use tokenpath_scrape::server::ListenAddress;

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
    /// The GPUs of this machine; not read where there is none.
    pub gpu: Option<Gpu>,
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

/// How the GPUs of this machine are read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Gpu {
    /// Path of the driver's library, where the system does not find it.
    pub library: Option<PathBuf>,
    /// Time between two samples.
    pub period: Duration,
    /// Whether processes are listed.
    pub processes: bool,
    /// Whether MIG instances are read.
    pub mig: bool,
    /// The operator's labels, beside those of [`Config::defaults`].
    pub labels: LabelSet,
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
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
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
        let port = self.ports.is_empty() || self.ports.contains(&address.port());
        // An IPv4 address in IPv6 clothes is judged as what it is.
        let ip = address.ip().to_canonical();
        port && self.allow.iter().any(|network| network.contains(ip))
    }
}

/// A network: an address and how many of its bits count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u32,
}

impl Network {
    /// `10.0.0.0/8`; an address alone is the network of that one. `None` for what is neither.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse::<u32>().ok()?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(most);
        (bits <= most).then_some(Self { address, bits })
    }

    /// Whether an address is in it.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let differ = u32::from(own) ^ u32::from(other);
                self.bits == 0 || differ.checked_shr(32 - self.bits) == Some(0)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let differ = u128::from(own) ^ u128::from(other);
                self.bits == 0 || differ.checked_shr(128 - self.bits) == Some(0)
            }
            _ => false,
        }
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
    fn networks_hold_their_addresses_alone() {
        for (network, address, is_in) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.0.0.7", "10.0.0.7", true),
            ("10.0.0.7", "10.0.0.6", false),
            ("0.0.0.0/0", "8.8.8.8", true),
            ("0.0.0.0/0", "::1", false),
            ("fd00::/8", "fd12::1", true),
            ("fd00::/8", "fe80::1", false),
            ("::/0", "fe80::1", true),
        ] {
            let network = Network::parse(network).unwrap();
            assert_eq!(
                network.contains(address.parse().unwrap()),
                is_in,
                "{network:?} {address}"
            );
        }
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
