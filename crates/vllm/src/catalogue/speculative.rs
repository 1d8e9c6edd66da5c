//! Speculative decoding, and the diffusion models that have counters of their own instead.

use tokenpath_core::MetricType::{Counter, Gauge};
use tokenpath_core::catalogue::Row;

use super::{RUST, RUST_SINCE, V0, V1};

pub(super) fn rows() -> Vec<Row> {
    const CONFIGURED: &str = "In V1 only where speculation is configured.";
    let diffusion = |upstream: &'static str, family: &'static str| {
        Row::new(upstream, Counter)
            .to(family)
            .since(V1, "0.24.0")
            .note("Only of diffusion models, which lack the speculative counters.")
    };
    vec![
        Row::new("spec_decode_num_draft_tokens_total", Counter)
            .to("llm_spec_decode_draft_tokens_total")
            .during(V0, "0.5.3", "0.9.2")
            .since(V1, "0.8.5")
            .since(RUST, RUST_SINCE)
            .note(CONFIGURED),
        Row::new("spec_decode_num_accepted_tokens_total", Counter)
            .to("llm_spec_decode_accepted_tokens_total")
            .during(V0, "0.5.3", "0.9.2")
            .since(V1, "0.8.5")
            .since(RUST, RUST_SINCE)
            .note(CONFIGURED),
        Row::new("spec_decode_num_emitted_tokens_total", Counter)
            .to("llm_spec_decode_emitted_tokens_total")
            .during(V0, "0.5.3", "0.9.2"),
        Row::new("spec_decode_num_drafts_total", Counter)
            .to("llm_spec_decode_drafts_total")
            .since(V1, "0.8.5")
            .since(RUST, RUST_SINCE)
            .note(CONFIGURED),
        Row::new("spec_decode_num_accepted_tokens_per_pos_total", Counter)
            .to("llm_spec_decode_accepted_tokens_by_position_total")
            .since(V1, "0.8.5")
            .since(RUST, RUST_SINCE)
            .note(CONFIGURED),
        Row::new("spec_decode_draft_acceptance_rate", Gauge)
            .to("llm_spec_decode_acceptance_ratio")
            .during(V0, "0.5.3", "0.9.2"),
        Row::new("spec_decode_efficiency", Gauge)
            .to("llm_spec_decode_efficiency_ratio")
            .during(V0, "0.5.3", "0.9.2"),
        diffusion(
            "diffusion_num_denoising_steps_total",
            "llm_vllm_diffusion_denoising_steps_total",
        ),
        diffusion(
            "diffusion_num_canvas_positions_total",
            "llm_vllm_diffusion_canvas_positions_total",
        ),
        diffusion(
            "diffusion_num_committed_tokens_total",
            "llm_vllm_diffusion_committed_tokens_total",
        ),
    ]
}
