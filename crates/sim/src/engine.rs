//! One continuous-batching engine, step by step, in virtual time.
//!
//! The scheduler is that of vLLM's V1 engine in outline: a step first serves the sequences of the
//! batch (one token each, or the next chunk of a prompt), then admits waiting ones while the token
//! budget, the sequence limit and the cache allow. Where the cache is full, the youngest sequence of
//! the batch is preempted: its blocks go, and it computes everything again later. What is observed
//! when follows `v1/metrics/stats.py`: the first token closes waiting and prefill, each further
//! output is one inter-token gap, the phases of a sequence are observed when it ends, and a client
//! that hangs up leaves no trace but what it had already caused.

use std::collections::{HashMap, VecDeque};

use crate::config::Config;
use crate::journal::{self, Happening};
use crate::kv::{Holding, Pool};
use crate::random::Random;
use crate::truth::{EngineTruth, FinishReason, Quantity, float};

/// Seconds between two updates of the throughput gauges that the V0 engine logs.
const LOG_INTERVAL_SECONDS: f64 = 5.0;

/// A request as it arrives: one prompt, `sequences` answers.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) id: u64,
    pub(crate) arrival: f64,
    pub(crate) prompt: u32,
    /// The shared prefix and its tokens.
    pub(crate) prefix: Option<(usize, u32)>,
    pub(crate) adapter: Option<usize>,
    pub(crate) hang_up: HangUp,
    pub(crate) sequences: Vec<Answer>,
    pub(crate) handler: &'static str,
    pub(crate) streamed: bool,
    /// Where another engine computes the prompt: the time at which its keys and values have come.
    pub(crate) received: Option<f64>,
}

/// How one sequence is going to end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    pub(crate) tokens: u32,
    pub(crate) max_tokens: u32,
    pub(crate) reason: FinishReason,
}

/// When the client goes away.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HangUp {
    /// After so many tokens of the answer.
    pub(crate) after_tokens: Option<u32>,
    /// While still waiting, at this time.
    pub(crate) at: f64,
}

/// A request whose sequences have all ended.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) request: u64,
    pub(crate) handler: &'static str,
    pub(crate) streamed: bool,
    pub(crate) arrival: f64,
    pub(crate) prompt: u32,
    pub(crate) generated: u64,
    pub(crate) failed: bool,
}

#[derive(Debug)]
struct Sequence {
    request: u64,
    arrival: f64,
    prompt: u32,
    prefix: Option<(usize, u32)>,
    adapter: Option<usize>,
    hang_up: HangUp,
    answer: Answer,
    scheduled: Option<f64>,
    first_token: Option<f64>,
    last_token: f64,
    generated: u32,
    /// Tokens whose keys and values are in the cache.
    computed: u32,
    /// Tokens that the running step computes.
    step: u32,
    cached: u32,
    /// Of `cached`, what came from another engine.
    cached_elsewhere: u32,
    preemptions: u32,
    /// The keys and values of the prompt came from another engine, and nothing is computed yet.
    received: bool,
    holding: Holding,
}

impl Sequence {
    fn known(&self) -> u32 {
        self.prompt + self.generated
    }

    /// Whether the next token comes out of the next step without more of a prompt to compute.
    fn decodes(&self) -> bool {
        self.first_token.is_some() && self.known() - self.computed == 1
    }
}

/// The sequences of one request that are still under way.
#[derive(Debug)]
struct Family {
    left: usize,
    sequences: usize,
    longest: u32,
    generated: u64,
    failed: bool,
    prompt: u32,
    arrival: f64,
    handler: &'static str,
    streamed: bool,
}

/// One engine.
#[derive(Debug)]
pub(crate) struct Engine {
    random: Random,
    pool: Pool,
    waiting: VecDeque<Sequence>,
    running: Vec<Sequence>,
    /// Requests whose keys and values are on their way, by the time at which they have come.
    receiving: VecDeque<Request>,
    families: HashMap<u64, Family>,
    step_end: Option<f64>,
    step_start: f64,
    /// Of the step under way, the seconds that go into prompts.
    step_prompt_seconds: f64,
    step: Option<journal::Step>,
    journal: Option<Vec<Happening>>,
    stopped: bool,
    prompt_slowdown: f64,
    step_slowdown: f64,
    log: LogInterval,
}

#[derive(Debug, Default)]
struct LogInterval {
    since: f64,
    prompt: u64,
    generated: u64,
}

impl Engine {
    pub(crate) fn new(config: &Config, index: u32, now: f64) -> Self {
        Self {
            random: Random::new(config.seed, 16 + u64::from(index)),
            pool: Pool::new(config.kv_blocks, config.traffic.shared_prefixes),
            waiting: VecDeque::new(),
            running: Vec::new(),
            receiving: VecDeque::new(),
            families: HashMap::new(),
            step_end: None,
            step_start: 0.0,
            step_prompt_seconds: 0.0,
            step: None,
            journal: None,
            stopped: false,
            prompt_slowdown: 1.0,
            step_slowdown: 1.0,
            log: LogInterval {
                since: now,
                ..LogInterval::default()
            },
        }
    }

    /// Begins to keep a journal, for the caller of [`take_journal`](Self::take_journal).
    pub(crate) fn keep_journal(&mut self) {
        self.journal.get_or_insert_default();
    }

    /// What happened since the last call, moved to the end of `out`.
    pub(crate) fn take_journal(&mut self, out: &mut Vec<Happening>) {
        out.extend(
            self.journal
                .iter_mut()
                .flat_map(|journal| journal.drain(..)),
        );
    }

    fn note(&mut self, happening: Happening) {
        if let Some(journal) = &mut self.journal {
            journal.push(happening);
        }
    }

    /// When the next step ends or keys and values have come; `None` where there is nothing to do or
    /// the engine is stopped.
    pub(crate) fn next_event(&self) -> Option<f64> {
        let received = self.receiving.front().and_then(|request| request.received);
        let next = match (self.step_end, received) {
            (Some(step), Some(received)) => Some(step.min(received)),
            (step, received) => step.or(received),
        };
        next.filter(|_| !self.stopped)
    }

    /// Does what is due.
    pub(crate) fn pass(
        &mut self,
        config: &Config,
        truth: &mut EngineTruth,
        now: f64,
        done: &mut Vec<Done>,
    ) {
        while self
            .receiving
            .front()
            .and_then(|request| request.received)
            .is_some_and(|received| received <= now)
        {
            let Some(request) = self.receiving.pop_front() else {
                break;
            };
            self.queue(request);
        }
        if self.step_end.is_some_and(|end| end <= now) {
            self.end_step(config, truth, now, done);
        } else if self.step_end.is_none() {
            self.begin_step(config, truth, now);
        }
        self.refresh(truth);
    }

    /// Sequences waiting and running.
    pub(crate) fn load(&self) -> usize {
        self.waiting.len() + self.running.len() + self.receiving.len()
    }

    pub(crate) fn queue_len(&self) -> usize {
        self.waiting.len()
    }

    pub(crate) fn slow_prompts(&mut self, factor: f64) {
        self.prompt_slowdown = factor;
    }

    pub(crate) fn slow_steps(&mut self, factor: f64) {
        self.step_slowdown = factor;
    }

    pub(crate) fn arrive(
        &mut self,
        request: Request,
        config: &Config,
        truth: &mut EngineTruth,
        now: f64,
    ) {
        if request.received.is_some_and(|received| received > now) {
            let place = self
                .receiving
                .partition_point(|other| other.received <= request.received);
            self.receiving.insert(place, request);
        } else {
            self.queue(request);
        }
        if self.step_end.is_none() {
            self.begin_step(config, truth, now);
        }
        self.refresh(truth);
    }

    fn queue(&mut self, request: Request) {
        self.families.insert(
            request.id,
            Family {
                left: request.sequences.len(),
                sequences: request.sequences.len(),
                longest: 0,
                generated: 0,
                failed: false,
                prompt: request.prompt,
                arrival: request.arrival,
                handler: request.handler,
                streamed: request.streamed,
            },
        );
        for answer in request.sequences {
            self.waiting.push_back(Sequence {
                request: request.id,
                arrival: request.arrival,
                prompt: request.prompt,
                prefix: request.prefix,
                adapter: request.adapter,
                hang_up: request.hang_up,
                answer,
                scheduled: None,
                first_token: None,
                last_token: 0.0,
                generated: 0,
                computed: 0,
                step: 0,
                cached: 0,
                cached_elsewhere: 0,
                preemptions: 0,
                received: request.received.is_some(),
                holding: Holding::default(),
            });
        }
    }

    /// Stops the engine where it is, or lets it go on.
    pub(crate) fn set_stopped(&mut self, stopped: bool, truth: &mut EngineTruth, now: f64) {
        if self.stopped && !stopped {
            // The step that was under way ends as soon as the engine comes back.
            self.step_end = self.step_end.map(|end| end.max(now));
        }
        self.stopped = stopped;
        truth.stopped = stopped;
    }

    /// Gives the engine another number of cache blocks; sequences that no longer fit are preempted.
    pub(crate) fn set_kv_blocks(&mut self, blocks: u32, truth: &mut EngineTruth, now: f64) {
        self.pool.resize(blocks);
        while self.pool.held() > blocks && !self.running.is_empty() {
            self.preempt_youngest(truth, now);
        }
        // Nobody may hold the blocks that a preempted sequence's prefix left behind.
        self.pool.resize(blocks);
        self.refresh(truth);
    }

    /// Ends the step that is due, reports requests that are done, and begins the next step.
    pub(crate) fn end_step(
        &mut self,
        config: &Config,
        truth: &mut EngineTruth,
        now: f64,
        done: &mut Vec<Done>,
    ) {
        truth.busy_seconds += now - self.step_start;
        truth.prompt_seconds += self.step_prompt_seconds.min(now - self.step_start);
        let mut iteration = 0_u64;
        let mut index = 0;
        while index < self.running.len() {
            let left = !self.families.contains_key(&self.running[index].request);
            let fate = if left {
                // The client hung up on another sequence of the same request.
                Fate::HungUp
            } else {
                self.advance(index, config, truth, now, &mut iteration)
            };
            match fate {
                Fate::Goes => index += 1,
                Fate::Ends => {
                    let sequence = self.running.remove(index);
                    self.observe_end(&sequence, truth, now);
                    self.note(Happening::Ended(journal::Ended {
                        request: sequence.request,
                        at: now,
                        arrival: sequence.arrival,
                        scheduled: sequence.scheduled.unwrap_or(now),
                        prompt: sequence.prompt,
                        cached: sequence.cached,
                        generated: sequence.generated,
                        reason: sequence.answer.reason,
                    }));
                    self.pool.release(sequence.holding, now);
                    done.extend(self.leave_family(
                        sequence.request,
                        sequence.generated,
                        sequence.answer.reason,
                        truth,
                        now,
                    ));
                }
                Fate::HungUp => {
                    let sequence = self.running.remove(index);
                    self.pool.release(sequence.holding, now);
                    self.hang_up(sequence.request, truth, now);
                }
            }
        }
        if iteration > 0 {
            truth.observe(Quantity::IterationTokens, float(iteration));
        }
        if let Some(mut step) = self.step.take() {
            step.at = now;
            step.seconds = now - self.step_start;
            self.note(Happening::Step(step));
        }
        self.step_end = None;
        self.begin_step(config, truth, now);
        self.log_throughput(truth, now);
        self.refresh(truth);
    }

    /// Books the work of the ended step on one sequence of the batch.
    fn advance(
        &mut self,
        index: usize,
        config: &Config,
        truth: &mut EngineTruth,
        now: f64,
        iteration: &mut u64,
    ) -> Fate {
        let sequence = &mut self.running[index];
        if sequence.step == 0 {
            return Fate::Goes;
        }
        let decodes = sequence.decodes();
        sequence.computed += sequence.step;
        sequence.step = 0;
        if sequence.computed < sequence.known() {
            return Fate::Goes;
        }
        let mut tokens = 1;
        if decodes && let Some(speculation) = &config.speculation {
            let counts = &mut truth.speculation;
            counts.drafts += 1;
            counts.draft_tokens += u64::from(speculation.draft_tokens);
            let room = sequence.answer.tokens - sequence.generated - 1;
            let mut accepted = 0;
            while accepted < speculation.draft_tokens.min(room)
                && self.random.chance(speculation.acceptance)
            {
                counts.accepted_by_position[accepted as usize] += 1;
                accepted += 1;
            }
            counts.accepted_tokens += u64::from(accepted);
            sequence.computed += accepted;
            tokens += accepted;
        }
        if sequence.first_token.is_none() {
            sequence.first_token = Some(now);
            truth.observe(Quantity::TimeToFirstToken, now - sequence.arrival);
            truth.prompt_tokens += u64::from(sequence.prompt);
            truth.prompt_tokens_cached += u64::from(sequence.cached);
            truth.prompt_tokens_received += u64::from(sequence.cached_elsewhere);
            *iteration += u64::from(sequence.prompt - sequence.cached);
            self.log.prompt += u64::from(sequence.prompt);
        } else {
            truth.observe(Quantity::InterToken, now - sequence.last_token);
        }
        sequence.last_token = now;
        sequence.generated += tokens;
        truth.generation_tokens += u64::from(tokens);
        self.log.generated += u64::from(tokens);
        *iteration += u64::from(tokens);
        if let Some(journal) = &mut self.journal {
            journal.push(Happening::Token {
                request: sequence.request,
                at: now,
                tokens,
            });
        }
        if sequence.generated >= sequence.answer.tokens {
            Fate::Ends
        } else if sequence
            .hang_up
            .after_tokens
            .is_some_and(|tokens| sequence.generated >= tokens)
        {
            Fate::HungUp
        } else {
            Fate::Goes
        }
    }

    fn observe_end(&self, sequence: &Sequence, truth: &mut EngineTruth, now: f64) {
        let scheduled = sequence.scheduled.unwrap_or(now);
        let first = sequence.first_token.unwrap_or(now);
        let decode = sequence.last_token - first;
        let gaps = sequence.generated.saturating_sub(1);
        let per_token = if gaps == 0 {
            0.0
        } else {
            decode / f64::from(gaps)
        };
        for (quantity, value) in [
            (Quantity::EndToEnd, now - sequence.arrival),
            (Quantity::Queue, scheduled - sequence.arrival),
            (Quantity::Prefill, first - scheduled),
            (Quantity::Decode, decode),
            (Quantity::Inference, sequence.last_token - scheduled),
            (Quantity::PerOutputToken, per_token),
            (Quantity::PromptTokens, f64::from(sequence.prompt)),
            (Quantity::GenerationTokens, f64::from(sequence.generated)),
            (Quantity::MaxTokens, f64::from(sequence.answer.max_tokens)),
            (Quantity::Preemptions, f64::from(sequence.preemptions)),
            (
                Quantity::ComputedPromptTokens,
                f64::from(sequence.prompt - sequence.cached),
            ),
        ] {
            truth.observe(quantity, value);
        }
        truth.finish(sequence.answer.reason);
    }

    /// One sequence of a request is over: the request is done with its last one.
    fn leave_family(
        &mut self,
        request: u64,
        generated: u32,
        reason: FinishReason,
        truth: &mut EngineTruth,
        now: f64,
    ) -> Option<Done> {
        let family = self.families.get_mut(&request)?;
        family.left -= 1;
        family.longest = family.longest.max(generated);
        family.generated += u64::from(generated);
        family.failed |= reason == FinishReason::Error;
        if family.left > 0 {
            return None;
        }
        let family = self.families.remove(&request)?;
        truth.observe(Quantity::MaxGenerationTokens, f64::from(family.longest));
        truth.observe(Quantity::Sequences, float(family.sequences as u64));
        self.note(Happening::Done {
            request,
            at: now,
            failed: family.failed,
        });
        Some(Done {
            request,
            handler: family.handler,
            streamed: family.streamed,
            arrival: family.arrival,
            prompt: family.prompt,
            generated: family.generated,
            failed: family.failed,
        })
    }

    fn hang_up(&mut self, request: u64, truth: &mut EngineTruth, now: f64) {
        // The first sequence of the request that notices; the others follow without a count.
        if self.families.remove(&request).is_some() {
            truth.hang_ups += 1;
            self.note(Happening::HungUp { request, at: now });
        }
    }

    /// Schedules a step, if there is anything to do.
    fn begin_step(&mut self, config: &Config, truth: &mut EngineTruth, now: f64) {
        let preempted = self.schedule_running(config, truth, now);
        let before = self.running.len();
        if !preempted {
            self.admit(config, truth, now);
        }
        if self.running.is_empty() {
            return;
        }
        let machine = &config.machine;
        let mut prompt_tokens = 0_u64;
        let mut context = 0_u64;
        let mut sequences = 0_u64;
        for sequence in self.running.iter().filter(|s| s.step > 0) {
            sequences += 1;
            context += u64::from(sequence.computed);
            if !sequence.decodes() {
                prompt_tokens += u64::from(sequence.step);
            }
        }
        let seconds = machine.step_seconds * self.step_slowdown
            + machine.per_sequence_seconds * float(sequences) * self.step_slowdown
            + machine.per_prompt_token_seconds * float(prompt_tokens) * self.prompt_slowdown
            + machine.per_kv_token_seconds * float(context) * self.step_slowdown;
        let jitter = self.random.log_normal(1.0, machine.jitter_sigma);
        self.step_prompt_seconds =
            machine.per_prompt_token_seconds * float(prompt_tokens) * self.prompt_slowdown * jitter;
        if self.journal.is_some() {
            let admitted = self.running.len().saturating_sub(before);
            self.step = Some(journal::Step {
                at: now,
                seconds: 0.0,
                prompt: prompt_tokens > 0,
                admitted: u32::try_from(admitted).unwrap_or(u32::MAX),
                joined: admitted > 0 && before > 0,
                tokens_max: self
                    .running
                    .iter()
                    .map(|s| u64::from(s.prompt) + u64::from(s.answer.max_tokens))
                    .sum(),
            });
        }
        self.step_start = now;
        self.step_end = Some(now + seconds * jitter);
    }

    /// Gives each sequence of the batch its tokens of the step. True if one had to be preempted.
    fn schedule_running(&mut self, config: &Config, truth: &mut EngineTruth, now: f64) -> bool {
        let mut budget = config.max_batched_tokens;
        let mut preempted = false;
        let mut index = 0;
        while index < self.running.len() {
            let sequence = &mut self.running[index];
            let step = (sequence.known() - sequence.computed).min(budget);
            if step == 0 {
                // Out of budget: the chunk has to wait for the next step.
                index += 1;
                continue;
            }
            let drafts = match &config.speculation {
                Some(speculation) if sequence.decodes() => speculation.draft_tokens,
                _ => 0,
            };
            let blocks = (sequence.computed + step + drafts).div_ceil(config.block_size);
            let shareable = shareable_blocks(sequence, config.block_size);
            if self.pool.grow(&mut sequence.holding, blocks, shareable) {
                sequence.step = step;
                budget -= step;
                index += 1;
            } else {
                // Nobody younger is left when the sequence preempts itself; then it is gone from
                // the batch and the loop ends. A lone sequence always fits: the configuration says so.
                self.preempt_youngest(truth, now);
                preempted = true;
            }
        }
        preempted
    }

    /// Lets waiting sequences in while there is room for them.
    fn admit(&mut self, config: &Config, truth: &mut EngineTruth, now: f64) {
        let scheduled: u32 = self.running.iter().map(|s| s.step).sum();
        let mut budget = config.max_batched_tokens.saturating_sub(scheduled);
        let mut deferred = 0;
        let mut index = 0;
        while index < self.waiting.len()
            && budget > 0
            && self.running.len() < config.max_sequences as usize
        {
            let sequence = &self.waiting[index];
            let gone = !self.families.contains_key(&sequence.request);
            if gone || (sequence.scheduled.is_none() && sequence.hang_up.at <= now) {
                if let Some(sequence) = self.waiting.remove(index) {
                    self.hang_up(sequence.request, truth, now);
                }
                continue;
            }
            if !self.has_adapter_place(sequence.adapter, config) {
                deferred += 1;
                index += 1;
                continue;
            }
            let Some(mut sequence) = self.waiting.remove(index) else {
                break;
            };
            let step = self.place(&mut sequence, budget, config, truth, now);
            if step == 0 {
                self.waiting.insert(index, sequence);
                break;
            }
            budget -= step;
            self.running.push(sequence);
        }
        truth.deferred = deferred;
    }

    /// Looks the prompt up in the prefix cache and takes the blocks of the first chunk. Returns its
    /// tokens; 0 where the cache has no room, and then nothing is held.
    fn place(
        &mut self,
        sequence: &mut Sequence,
        budget: u32,
        config: &Config,
        truth: &mut EngineTruth,
        now: f64,
    ) -> u32 {
        let shareable = shareable_blocks(sequence, config.block_size);
        let mut hit_blocks = 0;
        if let Some((chain, _)) = sequence.prefix.filter(|_| config.prefix_caching) {
            // The last token of a prompt is always computed, or there would be nothing to sample from.
            let most = shareable.min((sequence.prompt - 1) / config.block_size);
            hit_blocks = self.pool.cached(chain, most);
            sequence.holding = self.pool.join(chain, hit_blocks, now);
        }
        let local = hit_blocks * config.block_size;
        // Of a prompt computed elsewhere all has come; its last token is computed here none the less.
        let hit = if sequence.received {
            local.max(sequence.prompt - 1)
        } else {
            local
        };
        let step = (sequence.known() - hit).min(budget);
        let blocks = (hit + step).div_ceil(config.block_size);
        if !self.pool.grow(&mut sequence.holding, blocks, shareable) {
            self.pool
                .release(std::mem::take(&mut sequence.holding), now);
            return 0;
        }
        sequence.computed = hit;
        sequence.step = step;
        if sequence.scheduled.is_none() {
            sequence.scheduled = Some(now);
            sequence.cached = hit;
            sequence.cached_elsewhere = hit - local;
            if config.prefix_caching {
                truth.prefix_queries += u64::from(sequence.prompt);
                truth.prefix_hits += u64::from(local);
                truth.prefix_query_blocks += u64::from(sequence.prompt / config.block_size);
                truth.prefix_hit_blocks += u64::from(hit_blocks);
            }
            if sequence.received {
                truth.received_queries += u64::from(sequence.prompt - local);
                truth.received_hits += u64::from(hit - local);
            }
        }
        // What is thrown out later is computed again here.
        sequence.received = false;
        step
    }

    fn has_adapter_place(&self, adapter: Option<usize>, config: &Config) -> bool {
        let (Some(adapter), Some(lora)) = (adapter, &config.lora) else {
            return true;
        };
        let running = adapters(self.running.iter());
        running & (1 << adapter) != 0 || running.count_ones() < lora.max_loras
    }

    fn preempt_youngest(&mut self, truth: &mut EngineTruth, now: f64) {
        let Some(mut sequence) = self.running.pop() else {
            return;
        };
        self.pool
            .release(std::mem::take(&mut sequence.holding), now);
        sequence.computed = 0;
        sequence.step = 0;
        sequence.preemptions += 1;
        truth.preemptions += 1;
        self.waiting.push_front(sequence);
    }

    /// Adapters of the running and of the waiting sequences, as bits.
    pub(crate) fn adapters(&self) -> (u16, u16) {
        (adapters(self.running.iter()), adapters(self.waiting.iter()))
    }

    fn log_throughput(&mut self, truth: &mut EngineTruth, now: f64) {
        let elapsed = now - self.log.since;
        if elapsed >= LOG_INTERVAL_SECONDS {
            truth.prompt_throughput = float(self.log.prompt) / elapsed;
            truth.generation_throughput = float(self.log.generated) / elapsed;
            self.log = LogInterval {
                since: now,
                ..LogInterval::default()
            };
        }
    }

    fn refresh(&self, truth: &mut EngineTruth) {
        truth.running = self.running.len() as u64;
        let queued = self.waiting.len() as u64;
        truth.receiving = self.receiving.len() as u64;
        truth.waiting = queued + truth.receiving;
        truth.deferred = truth.deferred.min(queued);
        truth.kv_blocks = u64::from(self.pool.total());
        truth.kv_blocks_used = u64::from(self.pool.held());
    }
}

enum Fate {
    Goes,
    Ends,
    HungUp,
}

/// Full blocks of a sequence's shared prefix.
fn shareable_blocks(sequence: &Sequence, block_size: u32) -> u32 {
    sequence
        .prefix
        .map_or(0, |(_, tokens)| tokens.min(sequence.prompt) / block_size)
}

fn adapters<'a>(sequences: impl Iterator<Item = &'a Sequence>) -> u16 {
    sequences
        .filter_map(|s| s.adapter)
        .fold(0, |bits, adapter| bits | (1 << adapter))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(id: u64, prompt: u32, tokens: u32) -> Request {
        Request {
            id,
            arrival: 0.0,
            prompt,
            prefix: None,
            adapter: None,
            hang_up: HangUp {
                after_tokens: None,
                at: f64::INFINITY,
            },
            sequences: vec![Answer {
                tokens,
                max_tokens: tokens,
                reason: FinishReason::Length,
            }],
            handler: "/v1/completions",
            streamed: false,
            received: None,
        }
    }

    fn small() -> Config {
        Config {
            max_model_len: 64,
            kv_blocks: 4,
            ..Config::default()
        }
    }

    /// Runs until nothing is left to do; the requests in the order they were done, each with the
    /// preemptions observed up to then.
    fn run(config: &Config, requests: Vec<Request>) -> (Vec<(u64, f64)>, EngineTruth) {
        let mut engine = Engine::new(config, 0, 0.0);
        let mut truth = EngineTruth::new(config);
        for request in requests {
            engine.arrive(request, config, &mut truth, 0.0);
        }
        let mut order = Vec::new();
        let mut steps = 0;
        while let Some(end) = engine.next_event() {
            let mut done = Vec::new();
            engine.end_step(config, &mut truth, end, &mut done);
            let preempted = truth.observed(Quantity::Preemptions).sum();
            order.extend(done.iter().map(|done| (done.request, preempted)));
            steps += 1;
            assert!(steps < 10_000, "the engine gets done");
        }
        (order, truth)
    }

    #[test]
    fn the_youngest_is_preempted_and_still_gets_done() {
        // Each grows to all four blocks.
        let (order, truth) = run(&small(), vec![request(1, 16, 45), request(2, 16, 45)]);
        assert_eq!(order, [(1, 0.0), (2, 1.0)]);
        assert_eq!(truth.preemptions, 1);
        // What is computed again is no prompt and no token.
        assert_eq!((truth.prompt_tokens, truth.generation_tokens), (32, 90));
        assert_eq!(truth.prefix_queries, 32);
    }

    #[test]
    fn a_long_prompt_is_computed_in_chunks() {
        let config = Config {
            max_batched_tokens: 128,
            ..Config::default()
        };
        let (_, truth) = run(&config, vec![request(1, 300, 2)]);
        // Three steps of prompt, of which the last gives a token, and one of decode.
        let iterations = truth.observed(Quantity::IterationTokens);
        assert_eq!(iterations.count(), 2);
        assert_eq!(iterations.sum().to_bits(), 302.0_f64.to_bits());
        let (prefill, decode) = (Quantity::Prefill, Quantity::Decode);
        assert!(truth.observed(prefill).sum() > 2.5 * truth.observed(decode).sum());
    }

    #[test]
    fn one_token_has_no_gap() {
        let (_, truth) = run(&small(), vec![request(1, 16, 1)]);
        assert_eq!(truth.observed(Quantity::InterToken).count(), 0);
        let per_token = truth.observed(Quantity::PerOutputToken);
        assert_eq!((per_token.count(), per_token.sum().to_bits()), (1, 0));
    }

    #[test]
    fn a_client_that_hangs_up_leaves_only_what_it_caused() {
        let mut gone = request(1, 16, 40);
        gone.hang_up.after_tokens = Some(5);
        let (order, truth) = run(&small(), vec![gone]);
        assert!(order.is_empty());
        assert_eq!((truth.hang_ups, truth.generation_tokens), (1, 5));
        assert_eq!(truth.observed(Quantity::TimeToFirstToken).count(), 1);
        assert_eq!(truth.observed(Quantity::EndToEnd).count(), 0);
        assert_eq!(truth.finish_reasons().count(), 0);
    }
}
