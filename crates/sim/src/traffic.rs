//! What clients send, and when: draws from a [`Traffic`].

use std::f64::consts::TAU;

use crate::config::{Length, Lora, Traffic};
use crate::engine::{Answer, HangUp, Request};
use crate::random::Random;
use crate::truth::FinishReason;

/// The next arrival after `now` at a mean of `rate` per second, swinging as `traffic` says; infinity
/// where nothing arrives.
pub(crate) fn next_arrival(traffic: &Traffic, rate: f64, now: f64, gaps: &mut Random) -> f64 {
    // A Poisson process whose rate changes is one of the highest rate, thinned out.
    let highest = rate * (1.0 + traffic.swing);
    let mut at = now;
    loop {
        if highest <= 0.0 {
            return f64::INFINITY;
        }
        at += gaps.exponential(1.0 / highest);
        let phase = TAU * at / traffic.swing_seconds;
        let current = rate * (1.0 + traffic.swing * phase.sin());
        if gaps.chance(current / highest) {
            return at;
        }
    }
}

/// From what requests are drawn.
pub(crate) struct Draw<'a> {
    pub(crate) traffic: &'a Traffic,
    pub(crate) max_model_len: u32,
    pub(crate) lora: Option<&'a Lora>,
    /// The paths of chats and of other requests.
    pub(crate) handlers: (&'static str, &'static str),
}

impl Draw<'_> {
    /// The request `id` that arrives `now`.
    pub(crate) fn request(&self, id: u64, now: f64, random: &mut Random) -> Request {
        let traffic = self.traffic;
        let handler = if random.chance(traffic.chat_share) {
            self.handlers.0
        } else {
            self.handlers.1
        };
        let streamed = random.chance(0.5);
        let own = draw_length(traffic.prompt_tokens, random);
        let prefix = (traffic.shared_prefixes > 0 && random.chance(traffic.shared_prefix_share))
            .then(|| {
                (
                    random.below(traffic.shared_prefixes) as usize,
                    traffic.shared_prefix_tokens,
                )
            });
        let prompt = own
            .saturating_add(prefix.map_or(0, |(_, tokens)| tokens))
            .min(self.max_model_len - 1);
        let sequences = if random.chance(traffic.parallel_share) {
            2 + random.below(3)
        } else {
            1
        };
        let room = self.max_model_len - prompt;
        let answers: Vec<Answer> = (0..sequences)
            .map(|_| {
                let tokens = draw_length(traffic.output_tokens, random).min(room);
                draw_answer(traffic, tokens, room, random)
            })
            .collect();
        let hangs_up = sequences == 1 && random.chance(traffic.hang_up_share);
        let longest = answers.iter().map(|a| a.tokens).max().unwrap_or(1);
        let adapter = self
            .lora
            .filter(|lora| random.chance(lora.share))
            .map(|lora| {
                let adapters = u32::try_from(lora.adapters.len()).unwrap_or(u32::MAX);
                random.below(adapters) as usize
            });
        Request {
            id,
            arrival: now,
            prompt,
            prefix,
            adapter,
            hang_up: HangUp {
                after_tokens: hangs_up.then(|| 1 + random.below(longest)),
                at: now + traffic.patience_seconds,
            },
            sequences: answers,
            handler,
            streamed,
            received: None,
        }
    }
}

fn draw_length(length: Length, random: &mut Random) -> u32 {
    let drawn = random
        .log_normal(length.median, length.sigma)
        .round()
        .clamp(f64::from(length.min), f64::from(length.max));
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to the range of two u32"
    )]
    let tokens = drawn as u32;
    tokens
}

fn draw_answer(traffic: &Traffic, tokens: u32, room: u32, random: &mut Random) -> Answer {
    let mut at = random.unit();
    for (share, reason) in [
        (traffic.length_share, FinishReason::Length),
        (traffic.abort_share, FinishReason::Abort),
        (traffic.error_share, FinishReason::Error),
        (traffic.repetition_share, FinishReason::Repetition),
    ] {
        if at < share {
            let max_tokens = if reason == FinishReason::Length {
                tokens
            } else {
                room
            };
            return Answer {
                tokens,
                max_tokens,
                reason,
            };
        }
        at -= share;
    }
    // A stop token came before the limit.
    let max_tokens = tokens.saturating_mul(2 + random.below(3)).min(room);
    Answer {
        tokens,
        max_tokens,
        reason: FinishReason::Stop,
    }
}
