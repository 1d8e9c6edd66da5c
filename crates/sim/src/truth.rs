//! What really happened: exact counts, gauges and observations, engine by engine.

use std::fmt;

use crate::config::Config;
use crate::edges;
use crate::observed::Observed;

/// A quantity that is observed once per request, gap, step or answer, and exposed as a histogram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Quantity {
    /// Seconds from arrival to the first token, waiting included.
    TimeToFirstToken,
    /// Seconds between two outputs of one sequence, one observation per gap.
    InterToken,
    /// Seconds per token after the first, one observation per finished sequence (0 for one token).
    PerOutputToken,
    /// Seconds from arrival to the end.
    EndToEnd,
    /// Seconds from arrival to the first scheduling.
    Queue,
    /// Seconds from the first scheduling to the first token.
    Prefill,
    /// Seconds from the first to the last token.
    Decode,
    /// Seconds from the first scheduling to the last token: prefill and decode.
    Inference,
    /// Tokens of the prompt, per finished sequence.
    PromptTokens,
    /// Tokens generated, per finished sequence.
    GenerationTokens,
    /// The `max_tokens` parameter, per finished sequence.
    MaxTokens,
    /// Most tokens that one of a request's sequences generated, per finished request.
    MaxGenerationTokens,
    /// The `n` parameter, per finished request.
    Sequences,
    /// Prompt tokens computed and tokens generated in a step, per step that gave a token.
    IterationTokens,
    /// Times a sequence was preempted, per finished sequence.
    Preemptions,
    /// Prompt tokens not found in the prefix cache, per finished sequence.
    ComputedPromptTokens,
}

impl Quantity {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::TimeToFirstToken,
        Self::InterToken,
        Self::PerOutputToken,
        Self::EndToEnd,
        Self::Queue,
        Self::Prefill,
        Self::Decode,
        Self::Inference,
        Self::PromptTokens,
        Self::GenerationTokens,
        Self::MaxTokens,
        Self::MaxGenerationTokens,
        Self::Sequences,
        Self::IterationTokens,
        Self::Preemptions,
        Self::ComputedPromptTokens,
    ];

    pub(crate) fn edges(self) -> &'static [f64] {
        match self {
            Self::TimeToFirstToken
            | Self::InterToken
            | Self::PerOutputToken
            | Self::EndToEnd
            | Self::Queue
            | Self::Prefill
            | Self::Decode
            | Self::Inference => edges::SECONDS,
            Self::PromptTokens
            | Self::GenerationTokens
            | Self::MaxTokens
            | Self::MaxGenerationTokens
            | Self::Sequences
            | Self::IterationTokens
            | Self::Preemptions
            | Self::ComputedPromptTokens => edges::COUNTS,
        }
    }
}

/// Why a sequence ended, in vLLM's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FinishReason {
    /// An end or stop token.
    Stop,
    /// `max_tokens` reached.
    Length,
    /// Aborted by the server.
    Abort,
    /// An internal error.
    Error,
    /// Cut for repeating itself.
    Repetition,
}

impl FinishReason {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Stop,
        Self::Length,
        Self::Abort,
        Self::Error,
        Self::Repetition,
    ];

    /// The value of the label `finished_reason`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::Abort => "abort",
            Self::Error => "error",
            Self::Repetition => "repetition",
        }
    }
}

impl fmt::Display for FinishReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The state of a whole twin at one moment of virtual time, exact and complete: every number of
/// every page comes from here.
#[derive(Clone, Debug, PartialEq)]
pub struct Truth {
    /// The configuration the twin was made with.
    pub config: Config,
    /// Virtual time in seconds since the start.
    pub now: f64,
    /// Virtual time at which the server started.
    pub started: f64,
    /// The engines, by index.
    pub engines: Vec<EngineTruth>,
    /// Requests rejected because too many waited.
    pub rejected: u64,
    /// Label sets of the LoRA gauge, in order of first appearance. None is ever forgotten, as in vLLM.
    pub lora: Vec<LoraUse>,
    /// What the API server processes counted, one entry each.
    pub http: Vec<HttpTruth>,
}

/// Which adapters ran and waited at a moment. Bit `i` stands for adapter `i`.
#[derive(Clone, Debug, PartialEq)]
pub struct LoraUse {
    /// Adapters of running sequences.
    pub running: u16,
    /// Adapters of waiting sequences.
    pub waiting: u16,
    /// Virtual time of the last step that saw just these.
    pub updated: f64,
}

/// The state of one engine.
#[derive(Clone, Debug, PartialEq)]
pub struct EngineTruth {
    /// Sequences in the batch.
    pub running: u64,
    /// Sequences waiting, those deferred and those whose keys and values are on their way included.
    pub waiting: u64,
    /// Sequences that wait for a place among the LoRA adapters.
    pub deferred: u64,
    /// Requests whose keys and values are on their way from the engine that computed them.
    pub receiving: u64,
    /// Cache blocks that sequences hold. Blocks kept only in case a prefix returns count as free.
    pub kv_blocks_used: u64,
    /// Cache blocks.
    pub kv_blocks: u64,
    /// Whether the engine is stopped: it hangs, and finishes no step.
    pub stopped: bool,
    /// Prompt tokens of sequences that got their first token, cached ones included.
    pub prompt_tokens: u64,
    /// Of these, tokens found in the prefix cache, or received from another engine.
    pub prompt_tokens_cached: u64,
    /// Of these, tokens received from the engine that computed them.
    pub prompt_tokens_received: u64,
    /// Tokens generated.
    pub generation_tokens: u64,
    /// Prompt tokens looked up in the prefix cache, counted at admission.
    pub prefix_queries: u64,
    /// Prompt tokens found there.
    pub prefix_hits: u64,
    /// Prompt tokens not found there and asked from another engine, counted at admission.
    pub received_queries: u64,
    /// Prompt tokens that came from it.
    pub received_hits: u64,
    /// Full prompt blocks looked up, as releases up to 0.8.5 count.
    pub prefix_query_blocks: u64,
    /// Blocks found.
    pub prefix_hit_blocks: u64,
    /// Sequences thrown out of the batch for lack of blocks.
    pub preemptions: u64,
    /// Requests whose client hung up.
    pub hang_ups: u64,
    /// Speculative decoding.
    pub speculation: SpeculationTruth,
    /// Prompt tokens per second over the last log interval (5 s), as the V0 engine shows it.
    pub prompt_throughput: f64,
    /// Generated tokens per second over the last log interval.
    pub generation_throughput: f64,
    /// Seconds in which the engine was computing.
    pub busy_seconds: f64,
    /// Of these, seconds that went into computing prompts.
    pub prompt_seconds: f64,
    finished: Vec<(FinishReason, u64)>,
    observed: Vec<Observed>,
}

/// Counts of speculative decoding.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SpeculationTruth {
    /// Drafts, one for each sequence and step.
    pub drafts: u64,
    /// Tokens drafted.
    pub draft_tokens: u64,
    /// Of these, accepted.
    pub accepted_tokens: u64,
    /// Accepted by position in the draft.
    pub accepted_by_position: Vec<u64>,
}

impl EngineTruth {
    pub(crate) fn new(config: &Config) -> Self {
        let positions = config.speculation.as_ref().map_or(0, |s| s.draft_tokens);
        Self {
            running: 0,
            waiting: 0,
            deferred: 0,
            receiving: 0,
            kv_blocks_used: 0,
            kv_blocks: u64::from(config.kv_blocks),
            stopped: false,
            prompt_tokens: 0,
            prompt_tokens_cached: 0,
            prompt_tokens_received: 0,
            generation_tokens: 0,
            prefix_queries: 0,
            prefix_hits: 0,
            received_queries: 0,
            received_hits: 0,
            prefix_query_blocks: 0,
            prefix_hit_blocks: 0,
            preemptions: 0,
            hang_ups: 0,
            speculation: SpeculationTruth {
                accepted_by_position: (0..positions).map(|_| 0).collect(),
                ..SpeculationTruth::default()
            },
            prompt_throughput: 0.0,
            generation_throughput: 0.0,
            busy_seconds: 0.0,
            prompt_seconds: 0.0,
            finished: Vec::new(),
            observed: Quantity::ALL.into_iter().map(Observed::new).collect(),
        }
    }

    /// All observations of a quantity.
    pub fn observed(&self, quantity: Quantity) -> &Observed {
        &self.observed[quantity as usize]
    }

    /// Sequences that ended for a reason.
    pub fn finished(&self, reason: FinishReason) -> u64 {
        self.finished
            .iter()
            .find(|(r, _)| *r == reason)
            .map_or(0, |&(_, n)| n)
    }

    /// The reasons that occurred, in order of first occurrence.
    pub fn finish_reasons(&self) -> impl Iterator<Item = FinishReason> {
        self.finished.iter().map(|&(reason, _)| reason)
    }

    /// Share of the cache blocks in use, 0 to 1.
    pub fn kv_usage(&self) -> f64 {
        ratio(self.kv_blocks_used, self.kv_blocks)
    }

    pub(crate) fn observe(&mut self, quantity: Quantity, value: f64) {
        self.observed[quantity as usize].record(value);
    }

    pub(crate) fn finish(&mut self, reason: FinishReason) {
        match self.finished.iter_mut().find(|(r, _)| *r == reason) {
            Some((_, n)) => *n += 1,
            None => self.finished.push((reason, 1)),
        }
    }
}

/// What one API server process counted. Requests are counted when they are answered.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HttpTruth {
    /// Answers by handler and status, in order of first use.
    pub answers: Vec<HttpAnswers>,
    /// Sizes and durations by handler, in order of first use.
    pub handlers: Vec<HttpHandler>,
}

/// Answers with one status by one handler.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpAnswers {
    /// The path, as `/v1/completions`.
    pub handler: &'static str,
    /// `2xx`, `4xx`, `5xx`.
    pub status: &'static str,
    /// Answers.
    pub count: u64,
    /// Virtual time of the first.
    pub since: f64,
}

/// What one handler served.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpHandler {
    /// The path.
    pub handler: &'static str,
    /// Seconds per answer.
    pub durations: Observed,
    /// Sum of the `content-length` of the requests.
    pub request_bytes: u64,
    /// Sum of the `content-length` of the answers; streamed ones have none.
    pub response_bytes: u64,
    /// Virtual time of the first answer.
    pub since: f64,
}

/// One answered HTTP request.
pub(crate) struct Answer {
    pub(crate) handler: &'static str,
    pub(crate) status: &'static str,
    pub(crate) seconds: f64,
    pub(crate) request_bytes: u64,
    pub(crate) response_bytes: u64,
    pub(crate) at: f64,
}

impl HttpTruth {
    pub(crate) fn record(&mut self, answer: &Answer) {
        match self
            .answers
            .iter_mut()
            .find(|a| a.handler == answer.handler && a.status == answer.status)
        {
            Some(answers) => answers.count += 1,
            None => self.answers.push(HttpAnswers {
                handler: answer.handler,
                status: answer.status,
                count: 1,
                since: answer.at,
            }),
        }
        let index = self
            .handlers
            .iter()
            .position(|h| h.handler == answer.handler)
            .unwrap_or_else(|| {
                self.handlers.push(HttpHandler {
                    handler: answer.handler,
                    durations: Observed::new(Quantity::EndToEnd),
                    request_bytes: 0,
                    response_bytes: 0,
                    since: answer.at,
                });
                self.handlers.len() - 1
            });
        let handler = &mut self.handlers[index];
        handler.durations.record(answer.seconds);
        handler.request_bytes += answer.request_bytes;
        handler.response_bytes += answer.response_bytes;
    }
}

/// `part / whole` where both are counts; 0 of nothing is 0.
pub(crate) fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        float(part) / float(whole)
    }
}

/// A count as the f64 that a page carries.
pub(crate) fn float(count: u64) -> f64 {
    #[expect(
        clippy::cast_precision_loss,
        reason = "exact below 2^53, which no run reaches"
    )]
    let value = count as f64;
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn observations_are_found_by_the_order_of_all() {
        for (index, quantity) in Quantity::ALL.into_iter().enumerate() {
            assert_eq!(quantity as usize, index);
        }
    }
}
