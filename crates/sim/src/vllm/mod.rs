//! The pages of vLLM, release by release.
//!
//! Data over code: a release is a recorded page ([`Release`]), a table says what each family means in
//! the twin (`binding.rs`), and one writer walks the page and puts the twin's values in its places
//! ([`Layout`]). A new release is a file in `layouts/` and a line in `release.rs`; the tests then say
//! which of its families have no row and which of its edges the twin does not keep.

pub(crate) mod api;
mod binding;
mod layout;
mod release;
mod template;
mod writer;

pub use layout::{Layout, LayoutError};
pub use release::Release;

#[cfg(test)]
mod tests;
