//! `tokenpath.yaml`, and the targets that it names or finds.
//!
//! * [`Loader`] reads a configuration: flags over environment over file ([`Overlay`]), checked as a
//!   whole. [`check`] says all that is wrong at once, each error with file, line, column and the
//!   nearest key or name. [`json_schema`] is the same rules for editors.
//! * [`discovery`] finds targets (target files, HTTP, DNS, Kubernetes), maps their labels, and gives
//!   each machine its share of them.
//! * [`Fleet`] keeps the sources of an [`Exporter`](tokenpath_scrape::runner::Exporter) equal to a
//!   list of targets; what is in both lists is not touched.
//! * [`Follower`] is the whole: it applies what is found, and reads the file again when it changes or
//!   somebody asks. A bad file changes nothing.
//!
//! ```
//! use tokenpath_config::Loader;
//!
//! let text = "
//! defaults: {labels: {cluster: a}}
//! sources:
//!   - {kind: vllm, endpoint: localhost:8000, interval: 5s}
//! ";
//! let config = Loader::new().parse("tokenpath.yaml", text).unwrap();
//! assert_eq!(config.sources[0].endpoint.to_string(), "http://localhost:8000/metrics");
//! assert_eq!(config.sources[0].reading.labels.get("cluster"), Some("a"));
//!
//! let errors = Loader::new().parse("tokenpath.yaml", "sorces: []").unwrap_err();
//! assert_eq!(
//!     errors[0].to_string(),
//!     "tokenpath.yaml:1:1: `sorces` is no key of the file; did you mean `sources`?",
//! );
//! ```
//!
//! What it does not do: make sources (a program knows its backends: [`Make`]), listen, or log in
//! from anywhere but a file or the environment. Features: `dns`, `kubernetes`.

mod config;
pub mod discovery;
mod expand;
mod fleet;
mod follow;
mod leaf;
mod load;
mod overlay;
mod place;
mod probe;
mod raw;
mod reading;
mod reload;
mod resolve;
mod schema;
mod tables;
mod vocabulary;

use tokenpath_text::{nearest, tree};

pub use config::{
    Config, Engine, Gpu, Limits, Log, Probe, ProbeModule, RollUp, Source, Tenants, Web,
};
pub use fleet::{Change, Fleet, Make, tell_kind};
pub use follow::{Equip, Follower, follow};
pub use load::{Loader, check, parse};
pub use overlay::Overlay;
pub use place::{ConfigError, Flaw, Place};
pub use reading::{Gateway, Limitador, Reading, Tgi};
pub use reload::ConfigFile;
pub use schema::json_schema;
pub use vocabulary::Vocabulary;
