//! A digital twin of LLM inference engines, and of what is around them, that speaks their metrics
//! pages over HTTP.
//!
//! A [`Twin`] is a seeded discrete-event simulation of a continuous-batching server: Poisson
//! arrivals, a waiting queue, prompts computed in chunks, decode steps whose time depends on the
//! batch, a paged KV cache with preemption and shared prefixes, LoRA adapters, speculative decoding,
//! data-parallel engines; clients that hang up, requests that fail. It knows exactly what happened,
//! its [`Truth`]. A [`Layout`](vllm::Layout) says that one truth as the page of a chosen vLLM release,
//! and a [`Server`] answers with it on a real socket while virtual time follows the clock.
//!
//! Tests read a page through the code under test and hold the outcome against the truth, or read the
//! pages of two releases and hold the outcomes against each other. A demo needs no GPU.
//!
//! ```
//! use tokenpath_sim::vllm::{Layout, Release};
//! use tokenpath_sim::{Config, Quantity, Traffic, Twin};
//!
//! let mut twin = Twin::new(Config {
//!     seed: 42,
//!     engines: 2,
//!     traffic: Traffic { arrivals_per_second: 20.0, ..Traffic::default() },
//!     ..Config::default()
//! })?;
//! twin.advance(60.0);
//!
//! // Exact, per engine.
//! let waited = twin.truth().engines[1].observed(Quantity::Queue);
//! // The same, in the words of vLLM 0.11.0.
//! let page = Layout::of(Release::find("0.11.0").expect("recorded")).page(twin.truth())?;
//! let line = format!(
//!     "vllm:request_queue_time_seconds_count{{engine=\"1\",model_name=\"{}\"}} {}.0\n",
//!     twin.truth().config.model_name,
//!     waited.count(),
//! );
//! assert!(page.contains(&line));
//!
//! // An incident: prompts take five times as long from here on.
//! twin.slow_prefill(5.0)?;
//! twin.advance(60.0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A [`World`] is a whole token path in one virtual time: users with quotas in
//! [Limitador](crate::limitador), a [`gateway`], engine servers of several releases of vLLM and of
//! [Text Generation Inference](tgi), prompts computed on one and answered on another, and the GPUs
//! under them ([`GpuFleet`]). A [`WorldServer`] gives each a port. [`Incident`]s have names.
//!
//! # What is exact
//!
//! - Two twins with equal [`Config`]s are equal at every moment, however time is cut into calls.
//! - All pages of one truth agree: sums and counts are equal, buckets are equal at the edges that two
//!   releases share. Observations are counted once, on the union of all edges ([`Observed`]).
//! - Order, words, labels, edges and number text of a page are those of the page recorded from, or
//!   rendered for, that release (`layouts/README.md`). The catalogues under test have no part in it.
//!
//! # What follows vLLM rather than reason
//!
//! - A client that hangs up is counted nowhere. Its first token, its tokens and its gaps stay, so the
//!   time to first token is counted more often than requests end.
//! - `request_success` counts aborts and errors. Releases that do not know a reason leave it out, so
//!   there its sum is less than the count of the request histograms.
//! - `n` and the longest answer are observed once per request, all else once per sequence.
//! - Recomputing a preempted sequence counts no prompt tokens, and no lookup in the prefix cache.
//! - Releases up to 0.8.5 count the prefix cache in blocks.
//!
//! # What follows the other backends rather than reason
//!
//! - TGI's page is empty until first used, in another order each time, and counts handler entries:
//!   a chat is two. A generation is scheduled again after each 1,024 tokens, with its text as input.
//! - Limitador's counts of calls are let-through looks at a namespace, its hits requests or tokens.
//!   What remains of a quota of tokens wraps below zero, and windows that are over are not listed.
//! - llm-d-router says all in two generations of names at once; adding them doubles every count. Only
//!   the third knows first tokens, and tells users apart.
//! - A prompt computed elsewhere is a request of one token there, ended for its length, and one
//!   whose keys and values all came from outside here; its last token is computed again.
//!
//! # What it is not
//!
//! - No vLLM, no TGI: it generates no text, answers no completions, and its times are those of a simple
//!   linear [`Machine`]. Numbers look right; they predict nothing.
//! - Not modelled: pipeline and tensor parallelism, swapping to the CPU, KV connectors, multimodal
//!   input, model FLOPS, sleep mode. Their families stand at 0 where the recorded page has them.
//! - The gateways' pages are written from their names, labels and edges; their `HELP` is our own.
//!   They predict no latencies, so generation two has no first tokens. A failed `n`-th answer fails a
//!   request. TGI's failed forward passes take no time and fail one request.
//! - Prefill servers give their blocks back at once, without waiting for the transfer.
//! - Bucket edges are those recorded, also where vLLM would derive them from `max_model_len`.
//! - `cache_config_info` tells block size and counts truly; its other labels are as recorded.
//! - The Rust frontend's layout is derived, for want of a recorded page: its families are there from
//!   the start, where the real ones appear on first use, and its `content-type` is a guess, that of
//!   its format.
//! - No production server: plain HTTP, no limits beyond a number of connections. Keep it on loopback.
//!
//! # Limits
//!
//! Memory is bounded by the queue ([`Config::queue_limit`]), the batch and the edges, not by time. A
//! call of [`Twin::advance`] passes at most [`ADVANCE_SECONDS_MAX`]. MSRV: 1.95.

mod config;
mod edges;
mod engine;
pub mod gateway;
pub mod gpu;
mod http;
mod journal;
mod kv;
pub mod limitador;
mod number;
mod observed;
mod page;
mod random;
mod server;
pub mod tgi;
mod traffic;
mod truth;
mod truth_json;
mod twin;
pub mod vllm;
pub mod world;

pub use config::{Config, ConfigError, Length, Lora, Machine, Routing, Speculation, Traffic};
pub use gpu::{Gpu, GpuConfig, GpuFleet, GpuLoad};
pub use observed::Observed;
pub use server::{BindError, Running, Server};
pub use truth::{
    EngineTruth, FinishReason, HttpAnswers, HttpHandler, HttpTruth, LoraUse, Quantity,
    SpeculationTruth, Truth,
};
pub use twin::{ADVANCE_SECONDS_MAX, Twin};
pub use world::{
    Incident, Part, Role, RunningWorld, ServerConfig, ServerKind, Tenant, TenantTruth, World,
    WorldConfig, WorldServer,
};
