//! What becomes of each family on a vLLM page.
//!
//! One file a theme. A row names the upstream family without its prefix (a counter with `_total`, as
//! it is exposed), what it becomes, and the releases that have it on each line of the engine: `V0`
//! is the first generation (last shipped in 0.11.0), `V1` the second (from 0.7.1), `Rust frontend`
//! the optional API server of 0.22 and later, whose page has a subset.
//!
//! Advice for whoever changes this: a family name is a contract, so a new row maps to the family
//! that already says the same, or to a new one; never to one that says something similar. Where two
//! upstream names on one page say the same, the poorer row is `superseded_by` the better.

mod cache;
mod connectors;
mod engine;
mod frontend;
mod latency;
mod lora;
mod requests;
mod speculative;
mod tokens;

use tokenpath_core::catalogue::{Catalogue, Row};

/// First generation of the engine.
const V0: &str = "V0";
/// Second generation.
const V1: &str = "V1";
/// The optional API server in Rust.
const RUST: &str = "Rust frontend";
/// The first release with the Rust frontend. It has had a subset of the families from the start and
/// gained some since, in releases that are not told apart here.
const RUST_SINCE: &str = "0.22.0";

/// What vLLM's names are known to begin with: its own, the same as OpenMetrics bodies of newer
/// Python clients spell it, and the wrappers of Ray Serve and KServe.
pub const PREFIXES: [&str; 5] = ["vllm:", "vllm_", "ray_vllm_", "ray_vllm:", "kserve_vllm:"];

/// Families that belong to one connector or endpoint and are left out because what they mean is not
/// established, by their name behind the prefix. Those of their kin that are known have rows, which
/// go first.
const UNREAD: [(&str, &str); 9] = [
    ("mooncake_*", "of the Mooncake connector"),
    ("hf3fs_*", "of the HF3FS connector"),
    ("hisparse_*", "of the HiSparse connector"),
    ("umbp_*", "of the UMBP connector"),
    ("simple_kv_offload_*", "of the simple offload connector"),
    ("kv_offload_*", "of the offloading connector"),
    ("websocket_*", "of the realtime endpoint"),
    ("sleep_mode_*", "of the sleep endpoints"),
    ("rl_weight_update_*", "of the weight update endpoints"),
];

/// The table. Data only: [`compiled`](crate::compiled) checks it and makes it fit for look-ups.
#[must_use]
pub fn catalogue() -> Catalogue {
    let rows: Vec<Row> = [
        requests::rows(),
        latency::rows(),
        tokens::rows(),
        cache::rows(),
        speculative::rows(),
        lora::rows(),
        engine::rows(),
        connectors::rows(),
        frontend::rows(),
    ]
    .concat();
    let catalogue = Catalogue::new("vllm")
        .prefixes(PREFIXES)
        .rows(rows)
        .left_out(
            "http_*",
            "the web framework's own: handlers and sizes, not the token path",
        )
        .left_out(
            "process_*",
            "the engine's process, which its node or container already reports",
        )
        .left_out("python_*", "the Python runtime's own");
    UNREAD.iter().fold(catalogue, |catalogue, (pattern, of)| {
        catalogue.left_out(
            *pattern,
            format!("{of}, and what it means is not established"),
        )
    })
}
