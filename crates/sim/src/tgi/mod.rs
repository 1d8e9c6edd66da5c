//! Text Generation Inference 3.3.7: the engine's work as its router counts it.
//!
//! The router counts handler entries rather than requests, a request again after each 1,024 tokens,
//! and nothing before it is first used. Its page is in `page.rs`; the rest of its API in `api.rs`.

pub(crate) mod api;
mod page;
#[cfg(test)]
#[expect(
    clippy::cast_precision_loss,
    reason = "counts of a short run are exact"
)]
mod tests;

use std::collections::BTreeMap;

use crate::engine::Request;
use crate::journal::{Ended, Happening, Step};
use crate::observed::Observed;
use crate::random::Random;
use crate::truth::FinishReason;

pub(crate) use page::page;

/// Tokens after which a generation is scheduled anew, with its text so far as input.
const TOKENS_PER_SCHEDULING: u32 = 1024;
/// Sizes of a batch that have a bucket of their own.
const BATCH_SIZES: u16 = 1024;

/// How the router was launched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launch {
    /// Most tokens of a prompt. The token histograms have their edges at hundredths of this and of
    /// the engine's `max_model_len`, TGI's `max_total_tokens`.
    pub max_input_tokens: u32,
    /// Most requests under way; more are refused as overloaded.
    pub max_concurrent_requests: u32,
}

impl Default for Launch {
    fn default() -> Self {
        Self {
            max_input_tokens: 2048,
            max_concurrent_requests: 128,
        }
    }
}

/// Why a request failed: the label `err`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Failure {
    /// Too many were under way.
    Overloaded,
    /// It made no sense.
    Validation,
    /// The model failed.
    Generation,
    /// The client hung up.
    Dropped,
}

impl Failure {
    /// The value of the label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Overloaded => "overloaded",
            Self::Validation => "validation",
            Self::Generation => "generation",
            Self::Dropped => "dropped",
        }
    }
}

/// What the router has counted.
#[derive(Clone, Debug)]
pub struct Counters {
    /// Handler entries: two of a chat, one of other requests.
    pub entries: u64,
    /// Requests answered.
    pub successes: u64,
    /// Requests that failed, by reason.
    pub failures: BTreeMap<Failure, u64>,
    /// Batches that new requests joined (`reason="chunking"`).
    pub concatenations: u64,
    /// Seconds from arrival to the end, of requests answered.
    pub duration: Observed,
    /// Of these, seconds of validation.
    pub validation: Observed,
    /// Of these, seconds in the queue.
    pub queue: Observed,
    /// Of these, seconds in the batch.
    pub inference: Observed,
    /// Seconds in the batch for each token generated: prefill is in it.
    pub per_token: Observed,
    /// Tokens of requests answered.
    pub generated: Observed,
    /// Tokens of the input, once for each scheduling.
    pub input: Observed,
    /// Tokens asked for, once for each scheduling.
    pub max_new: Observed,
    /// Tokens skipped by speculation, once for each request and forward pass.
    pub skipped: Observed,
    /// Requests that a batch grew by.
    pub next_size: Observed,
    /// Seconds of joining batches.
    pub concat: Observed,
    /// Forward passes with a prompt in them.
    pub prefill: Passes,
    /// Forward passes without.
    pub decode: Passes,
    batch_tokens_max: u64,
    /// A batch has run; its gauges are there.
    ran: bool,
    under_way: BTreeMap<u64, UnderWay>,
    random: Random,
}

/// Forward passes of one method.
#[derive(Clone, Debug)]
pub struct Passes {
    /// Calls that failed.
    pub failures: u64,
    /// Seconds of each call that did not.
    pub duration: Observed,
    forward: Observed,
    decode: Observed,
    filter: Observed,
}

#[derive(Clone, Copy, Debug)]
struct UnderWay {
    validation: f64,
    prompt: u32,
    max_tokens: u32,
    generated: u32,
    schedulings: u32,
}

impl Counters {
    /// Nothing counted yet, by a router that was launched so for a model of `max_total_tokens`.
    pub(crate) fn new(launch: &Launch, max_total_tokens: u32, seed: u64) -> Self {
        let hundredths = |tokens: u32| -> Observed {
            let step = f64::from(tokens) / 100.0;
            Observed::at((1..=100).map(|i| step * f64::from(i)).collect::<Vec<_>>())
        };
        let sizes = (1..=BATCH_SIZES).map(f64::from).collect::<Vec<_>>();
        Self {
            entries: 0,
            successes: 0,
            failures: BTreeMap::new(),
            concatenations: 0,
            duration: seconds(),
            validation: seconds(),
            queue: seconds(),
            inference: seconds(),
            per_token: seconds(),
            generated: hundredths(max_total_tokens),
            input: hundredths(launch.max_input_tokens),
            max_new: hundredths(max_total_tokens),
            skipped: Observed::at(&[][..]),
            next_size: Observed::at(sizes),
            concat: seconds(),
            prefill: Passes::new(),
            decode: Passes::new(),
            batch_tokens_max: 0,
            ran: false,
            under_way: BTreeMap::new(),
            random: Random::new(seed, 8),
        }
    }

    /// What a request of TGI looks like: one answer, of whole schedulings where it ends at its limit.
    pub(crate) fn shape(request: &mut Request, launch: &Launch, max_total_tokens: u32) {
        request.prompt = request.prompt.min(launch.max_input_tokens);
        request.sequences.truncate(1);
        let room = max_total_tokens - request.prompt;
        for answer in &mut request.sequences {
            if answer.reason == FinishReason::Length && answer.tokens > TOKENS_PER_SCHEDULING {
                let whole = answer.tokens.div_ceil(TOKENS_PER_SCHEDULING) * TOKENS_PER_SCHEDULING;
                answer.tokens = whole.min(room);
                answer.max_tokens = answer.tokens;
            }
        }
    }

    /// A request has come in, and was refused if `failure` says so.
    pub(crate) fn arrive(&mut self, request: &Request, failure: Option<Failure>) {
        self.entries += if request.handler == api::CHAT { 2 } else { 1 };
        if let Some(failure) = failure {
            return self.fail(failure);
        }
        let max_tokens = request.sequences.first().map_or(0, |a| a.max_tokens);
        let validation = self.random.log_normal(0.003, 0.5);
        self.schedule(request.prompt, max_tokens);
        self.under_way.insert(
            request.id,
            UnderWay {
                validation,
                prompt: request.prompt,
                max_tokens,
                generated: 0,
                schedulings: 1,
            },
        );
    }

    /// Counts what happened on the engine.
    pub(crate) fn note(&mut self, happening: &Happening) {
        match happening {
            &Happening::Token {
                request, tokens, ..
            } => self.token(request, tokens),
            Happening::Ended(ended) => self.end(ended),
            Happening::HungUp { request, .. } => {
                self.under_way.remove(request);
                self.fail(Failure::Dropped);
            }
            Happening::Step(step) => self.step(step),
            Happening::Done { .. } => {}
        }
    }

    fn schedule(&mut self, input: u32, max_tokens: u32) {
        self.input.record(f64::from(input));
        let max_new = max_tokens.min(TOKENS_PER_SCHEDULING);
        self.max_new.record(f64::from(max_new));
    }

    fn token(&mut self, request: u64, tokens: u32) {
        self.skipped.record(f64::from(tokens.saturating_sub(1)));
        let Some(under_way) = self.under_way.get_mut(&request) else {
            return;
        };
        let before = *under_way;
        under_way.generated += tokens;
        if before.generated >= before.schedulings * TOKENS_PER_SCHEDULING {
            under_way.schedulings += 1;
            let left = before.max_tokens.saturating_sub(before.generated);
            self.schedule(before.prompt + before.generated, left);
        }
    }

    fn end(&mut self, ended: &Ended) {
        let Some(under_way) = self.under_way.remove(&ended.request) else {
            return;
        };
        if matches!(ended.reason, FinishReason::Error | FinishReason::Abort) {
            // The call that failed gave nobody a token: it comes on top of the steps.
            let passes = if ended.generated <= 1 {
                &mut self.prefill
            } else {
                &mut self.decode
            };
            passes.failures += 1;
            return self.fail(Failure::Generation);
        }
        self.successes += 1;
        let inference = ended.at - ended.scheduled;
        let whole = under_way.validation + ended.at - ended.arrival;
        self.duration.record(whole);
        self.validation.record(under_way.validation);
        self.queue.record(ended.scheduled - ended.arrival);
        self.inference.record(inference);
        let tokens = f64::from(ended.generated);
        self.per_token.record(inference / tokens.max(1.0));
        self.generated.record(tokens);
    }

    fn step(&mut self, step: &Step) {
        self.ran = true;
        self.batch_tokens_max = step.tokens_max;
        if step.admitted > 0 {
            self.next_size.record(f64::from(step.admitted));
        }
        if step.joined {
            self.concatenations += 1;
            self.concat.record(self.random.log_normal(4e-5, 0.3));
        }
        let passes = if step.prompt {
            &mut self.prefill
        } else {
            &mut self.decode
        };
        passes.duration.record(step.seconds);
        passes.forward.record(step.seconds * 0.9);
        passes.decode.record(step.seconds * 0.02);
        passes.filter.record(step.seconds * 0.05);
    }

    fn fail(&mut self, failure: Failure) {
        *self.failures.entry(failure).or_insert(0) += 1;
    }
}

impl Passes {
    fn new() -> Self {
        Self {
            failures: 0,
            duration: seconds(),
            forward: seconds(),
            decode: seconds(),
            filter: seconds(),
        }
    }

    /// Calls, those that failed included.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.duration.count() + self.failures
    }
}

/// Observations in seconds: 35 edges, each half as far again as the one before, with the noise that
/// multiplying leaves in them.
fn seconds() -> Observed {
    let mut edge = 0.0001;
    let edges: Vec<f64> = (0..35)
        .map(|_| {
            edge *= 1.5;
            edge
        })
        .collect();
    Observed::at(edges)
}
