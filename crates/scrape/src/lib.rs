//! Reads metric targets over HTTP(S) and serves the result.
//!
//! * [`Client`] reads one page of one target: HTTP/1.1 and TLS, one connection kept, one deadline
//!   for all of it, a limit on everything that comes in.
//! * [`server`] is the other side: the `/metrics` service with its landing page and its health
//!   paths, in formats that are negotiated, with limits on everything a peer can do.
//! * [`PageSource`] makes a [`Source`](tokenpath_core::Source) of a target's page and a catalogue.
//! * [`runner::Exporter`] reads any sources at the same time and writes one page, with how each is.

mod auth;
pub mod body;
mod client;
pub mod identify;
mod instance;
mod page_source;
pub mod runner;
mod secret;
pub mod server;
mod tls;
pub mod verdict;

pub use crate::auth::{Auth, Credential};
pub use crate::client::{
    Client, ClientOptions, Endpoint, EndpointError, FetchError, Page, ResponseMeta, SetupError,
};
pub use crate::instance::Instance;
pub use crate::page_source::{PageSource, PageSourceOptions};
pub use crate::secret::Secret;
pub use crate::tls::{TlsError, TlsOptions};
