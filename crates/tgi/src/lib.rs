//! Text Generation Inference as a Tokenpath source: every release since 0.3.0.
//!
//! [`catalogue`](catalogue()) says, as data, what becomes of each family on a TGI page. A page says
//! nothing of the model it serves, so [`TgiTranslator`] joins it with what `GET /info` says: every
//! series wears `model_name`, and the server's limits stand beside it. The feature `http` adds
//! `TgiSource`, which reads both.
//!
//! ```
//! use tokenpath_core::Snapshot;
//! use tokenpath_core::exposition::Format;
//! use tokenpath_tgi::{TgiOptions, TgiTranslator};
//!
//! let page = b"# TYPE tgi_queue_size gauge\ntgi_queue_size 3\n";
//! let options = TgiOptions { model_name: Some("tiny".into()), ..TgiOptions::default() };
//! let mut translator = TgiTranslator::new(options);
//! let mut snapshot = Snapshot::new();
//! translator.translate(page, Format::Text004, &mut snapshot)?;
//! assert_eq!(snapshot.value("llm_requests_waiting", &[("model_name", "tiny")]), Some(3.0));
//! # Ok::<(), tokenpath_core::exposition::ParseError>(())
//! ```
//!
//! What it does not do: invent what TGI does not measure (time to first token, use of the KV cache,
//! the tokens of prompts), or count requests by `tgi_request_count`, which counts calls of handlers.
//! A page without a sample is that of a server without a request yet: it is up, and has no data.

mod catalogue;
pub mod families;
mod info;
#[cfg(feature = "http")]
mod source;
mod translator;

use std::sync::{Arc, LazyLock};

pub use catalogue::{CatalogueOptions, catalogue};
pub use info::Info;
#[cfg(feature = "http")]
pub use source::{TgiSource, TgiSourceOptions};
use tokenpath_core::catalogue::{Compiled, Families};
use tokenpath_core::tokenpath;
pub use translator::{TgiOptions, TgiTranslator};

/// The catalogue, checked against the families it maps to and ready to look names up in.
///
/// Made once for each choice, and shared.
#[must_use]
pub fn compiled(options: CatalogueOptions) -> Arc<Compiled> {
    static PLAIN: LazyLock<Arc<Compiled>> = LazyLock::new(|| compile(CatalogueOptions::default()));
    static WHOLE: LazyLock<Arc<Compiled>> = LazyLock::new(|| {
        compile(CatalogueOptions {
            batch_size_histogram: true,
        })
    });
    Arc::clone(if options.batch_size_histogram {
        &WHOLE
    } else {
        &PLAIN
    })
}

fn compile(options: CatalogueOptions) -> Arc<Compiled> {
    let known = tokenpath::families().iter().chain(families::families());
    let compiled = Compiled::new(catalogue(options), &Families::new(known.cloned()))
        .unwrap_or_else(|errors| unreachable!("the built-in catalogue is tested: {errors:?}"));
    Arc::new(compiled)
}
