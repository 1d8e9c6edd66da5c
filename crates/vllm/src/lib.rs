//! vLLM as a Tokenpath source: every release since 0.2.7, both engine generations and the Rust
//! frontend.
//!
//! This crate is data first: [`catalogue()`] says what becomes of each family that any vLLM release
//! ever showed, [`families`](families::families) are those that vLLM alone can fill. A page carries
//! no release: rows match by the names that are present, so the same table reads all of them, and
//! releases in it are documentation.
//!
//! ```
//! let compiled = tokenpath_vllm::compiled();
//! let row = compiled
//!     .catalogue()
//!     .rows
//!     .iter()
//!     .find(|row| row.upstream == "kv_cache_usage_perc")
//!     .unwrap();
//! assert_eq!(row.output.family(), Some("llm_kv_cache_usage_ratio"));
//! assert_eq!(row.releases[0].to_string(), "V1 0.9.2–");
//! ```
//!
//! With the feature `http`, `VllmSource` reads a running server: it is a
//! [`Source`](tokenpath_core::Source). Without it a page that came by other means goes through a
//! [`Translator`](tokenpath_core::translate::Translator) of [`compiled`].
//!
//! What it does not do: sum over data-parallel engines (they stay apart by the label `engine`, which
//! is absent where the page has none), guess what a release did not measure, or keep what is on the
//! page beside the token path (`http_*`, `process_*`, `python_*`: named in the catalogue's list).

pub mod catalogue;
pub mod families;
#[cfg(feature = "http")]
mod source;

use std::sync::{Arc, LazyLock};

pub use catalogue::catalogue;
#[cfg(feature = "http")]
pub use source::VllmSource;
use tokenpath_core::catalogue::{Compiled, Families};
use tokenpath_core::tokenpath;

/// The catalogue, checked against the families it maps to and ready to look names up in.
///
/// Made once and shared.
#[must_use]
pub fn compiled() -> Arc<Compiled> {
    static COMPILED: LazyLock<Arc<Compiled>> = LazyLock::new(|| {
        let known = tokenpath::families().iter().chain(families::families());
        let compiled = Compiled::new(catalogue(), &Families::new(known.cloned()))
            .unwrap_or_else(|errors| unreachable!("the built-in catalogue is tested: {errors:?}"));
        Arc::new(compiled)
    });
    Arc::clone(&COMPILED)
}
