//! Reads metric targets over HTTP(S) and serves the result.
//!
//! * [`Client`] reads one page of one target: HTTP/1.1 and TLS, one connection kept, one deadline
//!   for all of it, a limit on everything that comes in.

mod auth;
pub mod body;
mod client;
mod secret;
mod tls;

pub use crate::auth::{Auth, Credential};
pub use crate::client::{
    Client, ClientOptions, Endpoint, EndpointError, FetchError, Page, ResponseMeta, SetupError,
};
pub use crate::secret::Secret;
pub use crate::tls::{TlsError, TlsOptions};
