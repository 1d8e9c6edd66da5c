//! Limitador as a Tokenpath source: who asks, what is let through, how much of a quota is left.
//!
//! Two things are joined. The metrics page counts requests and hits; [`catalogue`](catalogue()) says,
//! as data, what becomes of its families. The admin API lists the windows that are running, with what
//! is left in each. [`LimitadorTranslator`] makes tenants of both: the operator says which label or
//! variable names one, whether names are shown or hashed ([`TenantHash`]), and how many have series of
//! their own. The feature `http` adds `LimitadorSource`, which reads both.
//!
//! ```
//! use tokenpath_core::Snapshot;
//! use tokenpath_core::exposition::Format;
//! use tokenpath_limitador::{Admin, LimitadorOptions, LimitadorTranslator, TokenNamespaces};
//!
//! let page = b"\
//! ## TYPE authorized_hits counter
//! authorized_hits{user=\"ann\",group=\"free\",limitador_namespace=\"llm/route\"} 1092
//! ";
//! let mut options = LimitadorOptions::default();
//! options.tenants.names = vec!["user".into()];
//! options.tokens = TokenNamespaces::All;
//! let mut translator = LimitadorTranslator::new(options);
//! let mut snapshot = Snapshot::new();
//! translator.read_page(page, Format::Text004)?;
//! translator.finish(&Admin::default(), &mut snapshot);
//! let ann = [("namespace", "llm/route"), ("tenant", "ann")];
//! assert_eq!(snapshot.value("llm_tenant_tokens_total", &ann), Some(1092.0));
//! # Ok::<(), tokenpath_core::exposition::ParseError>(())
//! ```
//!
//! What it does not do: guess whether hits are tokens (the page cannot tell; say it), add up the
//! quotas of several tenants, or show a window that is over: it is absent, not 0.

mod admin;
mod catalogue;
pub mod families;
#[cfg(feature = "http")]
mod source;
mod tenant;
mod translator;

use std::sync::{Arc, LazyLock};

pub use admin::{Admin, Asked, Limit, Resource, Status, Window};
pub use catalogue::catalogue;
#[cfg(feature = "http")]
pub use source::{AdminOptions, LimitadorSource, LimitadorSourceOptions};
pub use tenant::{KeyTooShort, OTHER, TenantHash, TenantOptions};
use tokenpath_core::catalogue::{Compiled, Families};
pub use translator::{LimitadorOptions, LimitadorTranslator, TokenNamespaces};

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
