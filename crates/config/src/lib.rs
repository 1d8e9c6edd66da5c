//! tokenpath.yaml with places for every error, and the discovery of targets.

mod config;
pub mod discovery;
mod expand;
mod fleet;
mod follow;
mod leaf;
mod load;
mod nearest;
mod overlay;
mod place;
mod raw;
mod reading;
mod reload;
mod resolve;
mod schema;
mod tables;
mod tree;
mod vocabulary;

pub use config::{Config, Engine, Limits, Log, Network, Probe, RollUp, Source, Tenants, Web};
pub use fleet::{Change, Fleet, Make, tell_kind};
pub use follow::{Equip, follow};
pub use load::{Loader, check, parse};
pub use overlay::Overlay;
pub use place::{ConfigError, Flaw, Place};
pub use reading::Reading;
pub use reload::ConfigFile;
pub use schema::json_schema;
pub use vocabulary::Vocabulary;
