//! Finding targets: files and answers as Prometheus has them, DNS, pods; and what is read of them.
//!
//! A provider finds; a [`Mapping`] turns what was found into a [`Target`] or leaves it out; a
//! [`Shard`] keeps a share; [`Watch`] follows all providers of a configuration and hands over the
//! whole list whenever it changed. A bad file or answer keeps the last good one of that provider, and
//! is logged once, and again every five minutes while it lasts.

#[cfg(feature = "dns")]
mod dns;
mod file_sd;
mod http_sd;
#[cfg(feature = "kubernetes")]
mod kubernetes;
mod list;
mod said;
mod shard;
mod target;
mod watch;

use std::sync::Arc;

#[cfg(feature = "dns")]
pub use dns::DnsSd;
pub use file_sd::FileSd;
pub(crate) use file_sd::Stamp;
pub use http_sd::HttpSd;
#[cfg(feature = "kubernetes")]
pub use kubernetes::KubernetesSd;
pub use shard::Shard;
pub(crate) use target::{Condition, Identity, UNKNOWN};
pub use target::{Discovered, Mapping, Target, TargetKey};
pub use watch::{Watch, known_targets};

use crate::reading::Reading;

/// Where targets are found, and how they are read.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Discovery {
    /// What finds.
    pub provider: Provider,
    /// What becomes of what it finds.
    pub mapping: Mapping,
    /// How those targets are read.
    pub reading: Arc<Reading>,
    /// Equal for providers that ask the same.
    pub(crate) fingerprint: u64,
    /// Equal for those whose answers to the same question are the same.
    pub(crate) kin: u64,
}

/// What finds targets.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Provider {
    /// Target files.
    Files(FileSd),
    /// A URL that answers with targets.
    Http(Arc<HttpSd>),
    /// Names in DNS.
    #[cfg(feature = "dns")]
    Dns(Arc<DnsSd>),
    /// Pods of a cluster.
    #[cfg(feature = "kubernetes")]
    Kubernetes(Arc<KubernetesSd>),
}
