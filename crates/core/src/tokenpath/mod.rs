//! The token-path model: the families that several kinds of engine share, under names that stay.
//!
//! A request arrives, waits in a queue, is prefilled, decodes token by token, and finishes; beside
//! it stand the KV cache, the batch, speculation, adapters and the transfer of KV blocks between
//! engines. Each file here holds the families of one of these. A family that only one engine can
//! fill lives in that engine's crate.
//!
//! A name is a contract: it keeps its type, its unit and the meaning of its labels. What an engine
//! does not measure is absent on its page, never zero.
//!
//! ```
//! use tokenpath_core::tokenpath;
//!
//! let ttft = tokenpath::latency::TIME_TO_FIRST_TOKEN;
//! assert_eq!(ttft.name(), "llm_time_to_first_token_seconds");
//! assert!(tokenpath::families().iter().any(|family| family.name() == ttft.name()));
//! ```

pub mod batch;
pub mod cache;
pub mod engine;
pub mod kv_transfer;
pub mod latency;
pub mod lora;
pub mod requests;
pub mod speculative;
pub mod tokens;

use std::sync::{Arc, LazyLock};

use crate::Desc;

/// All shared families, in the order of a request's way and then of what stands beside it.
///
/// Made once; the `Arc`s are the ones that every backend's snapshots share.
#[must_use]
pub fn families() -> &'static [Arc<Desc>] {
    static FAMILIES: LazyLock<Vec<Arc<Desc>>> = LazyLock::new(|| {
        [
            latency::ALL,
            requests::ALL,
            tokens::ALL,
            cache::ALL,
            batch::ALL,
            speculative::ALL,
            lora::ALL,
            kv_transfer::ALL,
            engine::ALL,
        ]
        .concat()
        .into_iter()
        .map(Arc::new)
        .collect()
    });
    &FAMILIES
}

/// Declares families as constants, and all of them as the slice `ALL`.
///
/// A line is the constant, the name, type, unit, labels, help and, where the type's own rule (sum
/// for counters and histograms, none for others) does not hold, the roll-up.
///
/// ```
/// tokenpath_core::families! {
///     OVENS_LIT = "bakery_ovens_lit", Gauge, None, ["shop"],
///         "Ovens that are hot now." => Sum;
///     LOAVES = "bakery_loaves_total", Counter, None, ["shop", "flour"],
///         "Loaves that left an oven.";
/// }
///
/// use tokenpath_core::rollup::Rollup;
/// assert_eq!(ALL.len(), 2);
/// assert_eq!(OVENS_LIT.rollup_rule(), Rollup::Sum);
/// assert_eq!(LOAVES.rollup_rule(), Rollup::Sum, "counters add up");
/// ```
#[macro_export]
macro_rules! families {
    ($(
        $constant:ident = $name:literal, $kind:ident, $unit:ident, [$($label:literal),* $(,)?],
        $help:literal $(=> $rollup:ident $(($weight:literal))?)?;
    )*) => {
        $(
            #[doc = concat!("`", $name, "`: ", $help)]
            pub const $constant: $crate::Desc = $crate::Desc::new(
                $name,
                $crate::MetricType::$kind,
                $crate::Unit::$unit,
                $help,
            )
            .labels(&[$($label),*])
            $(.rollup($crate::rollup::Rollup::$rollup $(($weight))?))?;
        )*

        /// All families of this file, in the order of their declaration.
        pub const ALL: &[$crate::Desc] = &[$($constant),*];
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint;
    use crate::rollup::Rollup;

    #[test]
    fn they_keep_to_the_naming_rules() {
        let findings = lint::check_all(families().iter().map(|desc| &**desc));
        assert!(findings.is_empty(), "{findings:#?}");
        for desc in families() {
            let name = desc.name();
            assert!(name.starts_with("llm_"), "{name}");
            assert!(desc.label_names().is_sorted(), "{name}");
            assert!(
                desc.help().ends_with('.') && desc.help().len() >= 20,
                "{name}"
            );
        }
    }

    #[test]
    fn ratios_are_never_summed_and_weights_exist() {
        for desc in families() {
            match desc.rollup_rule() {
                Rollup::Sum => assert!(!desc.name().ends_with("_ratio"), "{}", desc.name()),
                Rollup::MeanWeightedBy(weight) => assert!(
                    families().iter().any(|family| family.name() == weight),
                    "{}: {weight}",
                    desc.name()
                ),
                _ => {}
            }
        }
    }
}
