//! Inference gateways as a Tokenpath source: the endpoint pickers of the Gateway API Inference
//! Extension and of llm-d, in all three generations of their names, the body based router and the
//! LoRA syncer.
//!
//! [`catalogue`](catalogue()) says, as data, what becomes of each family; names of two generations
//! that stand on one page count once. [`GatewayTranslator`] bounds the label `fairness_id`, which
//! comes from clients. The feature `http` adds `GatewaySource`, which reads a page with the token
//! that endpoint pickers want, and says which rule is missing where they refuse it.
//!
//! ```
//! use tokenpath_core::Snapshot;
//! use tokenpath_core::exposition::Format;
//! use tokenpath_gateway::{GatewayOptions, GatewayTranslator};
//!
//! let page = b"\
//! ## TYPE inference_objective_request_total counter
//! inference_objective_request_total{model_name=\"m\"} 7
//! ## TYPE llm_d_epp_request_total counter
//! llm_d_epp_request_total{fairness_id=\"\",model_name=\"m\"} 7
//! ";
//! let mut translator = GatewayTranslator::new(GatewayOptions::default());
//! let mut snapshot = Snapshot::new();
//! translator.translate(page, Format::Text004, &mut snapshot)?;
//! let requests = snapshot.value("llm_gateway_requests_total", &[("model_name", "m")]);
//! assert_eq!(requests, Some(7.0), "one request, told twice");
//! # Ok::<(), tokenpath_core::exposition::ParseError>(())
//! ```
//!
//! What it does not do: keep what is on the page of a controller beside the token path (`go_*`,
//! `controller_runtime_*`, …: named in the catalogue), or make a hit rate of
//! `lookup_hits` over `lookup_requests`, which count blocks and look-ups.

mod catalogue;
pub mod families;
#[cfg(feature = "http")]
mod source;
mod translator;

use std::sync::{Arc, LazyLock};

pub use catalogue::catalogue;
#[cfg(feature = "http")]
pub use source::{GatewaySource, GatewaySourceOptions, KUBERNETES_TOKEN_FILE, kubernetes_token};
use tokenpath_core::catalogue::{Compiled, Families};
pub use translator::{GatewayOptions, GatewayTranslator, OTHER};

/// The catalogue, checked against the families it maps to and ready to look names up in.
///
/// Made once and shared.
#[must_use]
pub fn compiled() -> Arc<Compiled> {
    static COMPILED: LazyLock<Arc<Compiled>> = LazyLock::new(|| {
        let known = Families::new(families::families().iter().cloned());
        let compiled = Compiled::new(catalogue(), &known)
            .unwrap_or_else(|errors| unreachable!("the built-in catalogue is tested: {errors:?}"));
        Arc::new(compiled)
    });
    Arc::clone(&COMPILED)
}
