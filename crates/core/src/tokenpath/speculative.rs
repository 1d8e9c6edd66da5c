//! Speculative decoding: tokens that were proposed cheaply, and those that the model then accepted.
//!
//! Acceptance is accepted over draft tokens; the mean tokens a step is 1 + accepted over drafts.

crate::families! {
    DRAFTS = "llm_spec_decode_drafts_total", Counter, None, ["engine", "model_name"],
        "Drafts: one each time tokens were proposed for a request.";
    DRAFT_TOKENS = "llm_spec_decode_draft_tokens_total", Counter, None, ["engine", "model_name"],
        "Tokens that were proposed.";
    ACCEPTED_TOKENS = "llm_spec_decode_accepted_tokens_total", Counter, None,
        ["engine", "model_name"],
        "Proposed tokens that the model accepted.";
    ACCEPTED_TOKENS_BY_POSITION = "llm_spec_decode_accepted_tokens_by_position_total", Counter, None,
        ["engine", "model_name", "position"],
        "Proposed tokens that the model accepted, by their position in the draft, counted from 0.";
    EMITTED_TOKENS = "llm_spec_decode_emitted_tokens_total", Counter, None,
        ["engine", "model_name"],
        "Tokens that came out of speculative steps, accepted ones and the model's own.";
    ACCEPTANCE_RATIO = "llm_spec_decode_acceptance_ratio", Gauge, Ratio, ["engine", "model_name"],
        "Share of proposed tokens that were accepted, from 0 to 1, as the engine averages it; prefer accepted over draft tokens.";
    EFFICIENCY_RATIO = "llm_spec_decode_efficiency_ratio", Gauge, Ratio, ["engine", "model_name"],
        "Tokens that speculative steps gave over the most they could have given, from 0 to 1, as the engine averages it.";
}
