//! The catalogue and its readings, held against pages of real servers.

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
