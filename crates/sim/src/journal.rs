//! What happens on an engine, told to those who watch it from outside: the gateway, the tenants'
//! quotas, the counters of a server that counts otherwise than vLLM.

use crate::truth::FinishReason;

/// Something that happened, in order of time.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Happening {
    /// A sequence got its next tokens.
    Token { request: u64, at: f64, tokens: u32 },
    /// A sequence ended.
    Ended(Ended),
    /// The last sequence of a request ended.
    Done { request: u64, at: f64, failed: bool },
    /// A client went away.
    HungUp { request: u64, at: f64 },
    /// A step ended.
    Step(Step),
}

/// A sequence that ended, with its whole life.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Ended {
    pub(crate) request: u64,
    pub(crate) at: f64,
    pub(crate) arrival: f64,
    pub(crate) scheduled: f64,
    pub(crate) prompt: u32,
    pub(crate) cached: u32,
    pub(crate) generated: u32,
    pub(crate) reason: FinishReason,
}

/// One forward pass over the batch.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Step {
    pub(crate) at: f64,
    pub(crate) seconds: f64,
    /// Whether tokens of prompts were computed.
    pub(crate) prompt: bool,
    /// Sequences that entered the batch with this step.
    pub(crate) admitted: u32,
    /// Whether they joined others that were in it already.
    pub(crate) joined: bool,
    /// Tokens that the batch may grow to: its prompts and all that may still be generated.
    pub(crate) tokens_max: u64,
}
