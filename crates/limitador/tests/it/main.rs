//! The catalogue and its readings, held against what real limiters said.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

#[path = "../../../../testdata/page.rs"]
mod page;

#[path = "../../../../testdata/golden.rs"]
mod written;

#[cfg(feature = "http")]
#[path = "../../../../testdata/http.rs"]
mod http;

mod catalogue;
mod golden;
mod reading;
#[cfg(feature = "http")]
mod source;
mod tenants;
