//! The catalogue against the pages of real and rendered vLLM servers.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod catalogue;
mod golden;
mod oddities;
mod page;
mod reading;
mod time_machine;
