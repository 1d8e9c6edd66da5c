//! The catalogue against the pages of real and rendered vLLM servers.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

#[path = "../../../../testdata/page.rs"]
mod page;

#[path = "../../../../testdata/golden.rs"]
mod written;

mod catalogue;
mod golden;
mod oddities;
mod reading;
mod time_machine;
