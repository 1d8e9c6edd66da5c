//! The twin: traffic in, engines at work, truth out, all in virtual time.

use crate::config::{Config, ConfigError, Routing};
use crate::engine::{Done, Engine, Request};
use crate::journal::Happening;
use crate::random::Random;
use crate::traffic::{self, Draw};
use crate::truth::{self, EngineTruth, HttpTruth, LoraUse, Truth};

pub(crate) const COMPLETIONS: &str = "/v1/completions";
pub(crate) const CHAT: &str = "/v1/chat/completions";

/// Most seconds that one call of [`Twin::advance`] may ask for; a longer one is cut. It bounds the
/// time of a call, not the life of a twin.
pub const ADVANCE_SECONDS_MAX: f64 = 86_400.0;

/// A simulated inference server.
///
/// Pure: no clock, no socket, no thread. Time passes only in [`advance`](Self::advance), and what
/// happens depends on the configuration alone, not on how the time is cut into calls.
///
/// ```
/// use tokenpath_sim::{Config, Quantity, Twin};
///
/// let mut twin = Twin::new(Config { seed: 7, ..Config::default() })?;
/// twin.advance(60.0);
/// let engine = &twin.truth().engines[0];
/// let first_token = engine.observed(Quantity::TimeToFirstToken);
/// assert!(first_token.count() > 0);
/// assert!(first_token.quantile(0.5) <= first_token.quantile(0.95));
/// # Ok::<(), tokenpath_sim::ConfigError>(())
/// ```
#[derive(Debug)]
pub struct Twin {
    truth: Truth,
    engines: Vec<Engine>,
    gaps: Random,
    shapes: Random,
    arrivals_per_second: f64,
    next_arrival: f64,
    next_id: u64,
    next_engine: usize,
    done: Vec<Done>,
}

impl Twin {
    /// A twin at virtual time 0, empty.
    ///
    /// # Errors
    /// The first field of the configuration that makes no sense.
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        Self::starting_at(config, 0.0)
    }

    /// A twin that starts, empty, when it is `now` already.
    pub(crate) fn starting_at(config: Config, now: f64) -> Result<Self, ConfigError> {
        config.check()?;
        let mut twin = Self {
            engines: (0..config.engines)
                .map(|index| Engine::new(&config, index, now))
                .collect(),
            gaps: Random::new(config.seed, 1),
            shapes: Random::new(config.seed, 2),
            arrivals_per_second: config.traffic.arrivals_per_second,
            next_arrival: f64::INFINITY,
            next_id: 0,
            next_engine: 0,
            done: Vec::new(),
            truth: Truth {
                now,
                started: now,
                engines: (0..config.engines)
                    .map(|_| EngineTruth::new(&config))
                    .collect(),
                rejected: 0,
                lora: vec![LoraUse {
                    running: 0,
                    waiting: 0,
                    updated: now,
                }],
                http: (0..config.api_servers)
                    .map(|_| HttpTruth::default())
                    .collect(),
                config,
            },
        };
        twin.draw_arrival();
        Ok(twin)
    }

    /// What has happened so far, and how things stand now.
    pub fn truth(&self) -> &Truth {
        &self.truth
    }

    /// Virtual time in seconds since the start.
    pub fn now(&self) -> f64 {
        self.truth.now
    }

    /// Lets `seconds` of virtual time pass, at most [`ADVANCE_SECONDS_MAX`]. Nothing passes where
    /// `seconds` is not a positive number.
    pub fn advance(&mut self, seconds: f64) {
        if seconds > 0.0 {
            self.advance_to(self.truth.now + seconds.min(ADVANCE_SECONDS_MAX));
        }
    }

    /// Lets virtual time pass until `time`, at most [`ADVANCE_SECONDS_MAX`] ahead; a time that has
    /// passed already changes nothing.
    pub fn advance_to(&mut self, time: f64) {
        if time.is_nan() || time < self.truth.now {
            return;
        }
        let end = time.min(self.truth.now + ADVANCE_SECONDS_MAX);
        while let Some((at, event)) = self.next_event().filter(|&(at, _)| at <= end) {
            // An engine that was stopped may have a step that is overdue.
            self.truth.now = at.max(self.truth.now);
            match event {
                Event::Arrival => self.arrival(),
                Event::StepEnd(index) => self.step_end(index),
            }
        }
        self.truth.now = end;
    }

    /// Changes the mean arrivals per second from now on; the swing stays as configured. 0 stops the
    /// traffic.
    ///
    /// # Errors
    /// A rate that is negative or not finite.
    pub fn set_arrivals_per_second(&mut self, rate: f64) -> Result<(), ConfigError> {
        if !(rate.is_finite() && rate >= 0.0) {
            return Err(ConfigError::new(
                "arrivals_per_second",
                "must be finite and not negative",
            ));
        }
        self.arrivals_per_second = rate;
        self.draw_arrival();
        Ok(())
    }

    /// Makes the computing of prompts `factor` times as slow on all engines, from the next step on;
    /// 1 is normal.
    ///
    /// # Errors
    /// A factor that is not finite or not positive.
    pub fn slow_prefill(&mut self, factor: f64) -> Result<(), ConfigError> {
        check_factor(factor)?;
        for engine in &mut self.engines {
            engine.slow_prompts(factor);
        }
        Ok(())
    }

    /// Makes all else in a step `factor` times as slow on all engines, from the next step on; 1 is
    /// normal.
    ///
    /// # Errors
    /// A factor that is not finite or not positive.
    pub fn slow_decode(&mut self, factor: f64) -> Result<(), ConfigError> {
        check_factor(factor)?;
        for engine in &mut self.engines {
            engine.slow_steps(factor);
        }
        Ok(())
    }

    /// Gives one engine another number of cache blocks. Sequences that no longer fit are preempted.
    ///
    /// # Errors
    /// No such engine, or too few blocks for the longest request.
    pub fn set_kv_blocks(&mut self, engine: usize, blocks: u32) -> Result<(), ConfigError> {
        if blocks < self.truth.config.blocks_of_longest() {
            return Err(ConfigError::new(
                "kv_blocks",
                "the longest request (max_model_len) does not fit",
            ));
        }
        let now = self.truth.now;
        let (engine, truth) = self.engine(engine)?;
        engine.set_kv_blocks(blocks, truth, now);
        Ok(())
    }

    /// Stops an engine where it is: it finishes no step, and what is on it hangs, as with a dead
    /// GPU. Requests are still routed to it.
    ///
    /// # Errors
    /// No such engine.
    pub fn stop_engine(&mut self, engine: usize) -> Result<(), ConfigError> {
        self.set_stopped(engine, true)
    }

    /// Lets a stopped engine go on.
    ///
    /// # Errors
    /// No such engine.
    pub fn start_engine(&mut self, engine: usize) -> Result<(), ConfigError> {
        self.set_stopped(engine, false)
    }

    fn set_stopped(&mut self, engine: usize, stopped: bool) -> Result<(), ConfigError> {
        let now = self.truth.now;
        let (engine, truth) = self.engine(engine)?;
        engine.set_stopped(stopped, truth, now);
        Ok(())
    }

    /// When something happens next of itself; infinity where nothing does.
    pub(crate) fn next_at(&self) -> f64 {
        self.next_event().map_or(f64::INFINITY, |(at, _)| at)
    }

    /// Keeps a journal from now on, for the caller of [`take_journal`](Self::take_journal).
    pub(crate) fn keep_journal(&mut self) {
        for engine in &mut self.engines {
            engine.keep_journal();
        }
    }

    /// What happened since the last call, moved to the end of `out`.
    pub(crate) fn take_journal(&mut self, out: &mut Vec<Happening>) {
        for engine in &mut self.engines {
            engine.take_journal(out);
        }
    }

    /// Takes in a request that arrives now from outside. False where too many wait already: then it
    /// is rejected, and counted as such.
    pub(crate) fn submit(&mut self, request: Request) -> bool {
        let index = self.route();
        let limit = self.truth.config.queue_limit;
        if limit.is_some_and(|limit| self.engines[index].queue_len() >= limit as usize) {
            self.truth.rejected += 1;
            self.refuse(&request, "5xx");
            return false;
        }
        let now = self.truth.now;
        self.engines[index].arrive(
            request,
            &self.truth.config,
            &mut self.truth.engines[index],
            now,
        );
        true
    }

    /// Refuses a request that arrives now, as one that makes no sense.
    pub(crate) fn refuse_bad(&mut self, request: &Request) {
        self.refuse(request, "4xx");
    }

    /// Sequences waiting and running on all engines.
    pub(crate) fn load(&self) -> usize {
        self.engines.iter().map(Engine::load).sum()
    }

    fn engine(&mut self, index: usize) -> Result<(&mut Engine, &mut EngineTruth), ConfigError> {
        self.engines
            .get_mut(index)
            .zip(self.truth.engines.get_mut(index))
            .ok_or_else(|| ConfigError::new("engine", "there is no engine of this index"))
    }

    fn next_event(&self) -> Option<(f64, Event)> {
        let steps = self
            .engines
            .iter()
            .enumerate()
            .filter_map(|(index, engine)| Some((engine.next_event()?, Event::StepEnd(index))));
        std::iter::once((self.next_arrival, Event::Arrival))
            .filter(|(at, _)| at.is_finite())
            .chain(steps)
            // The first of equals: arrivals, then engines by index.
            .min_by(|a, b| a.0.total_cmp(&b.0))
    }

    fn step_end(&mut self, index: usize) {
        let now = self.truth.now;
        let mut done = std::mem::take(&mut self.done);
        self.engines[index].pass(
            &self.truth.config,
            &mut self.truth.engines[index],
            now,
            &mut done,
        );
        for request in done.drain(..) {
            self.answer(&request);
        }
        self.done = done;
        self.note_adapters();
    }

    fn draw_arrival(&mut self) {
        self.next_arrival = traffic::next_arrival(
            &self.truth.config.traffic,
            self.arrivals_per_second,
            self.truth.now,
            &mut self.gaps,
        );
    }

    fn arrival(&mut self) {
        self.draw_arrival();
        let config = &self.truth.config;
        let request = Draw {
            traffic: &config.traffic,
            max_model_len: config.max_model_len,
            lora: config.lora.as_ref(),
            handlers: (CHAT, COMPLETIONS),
        }
        .request(self.next_id, self.truth.now, &mut self.shapes);
        self.next_id += 1;
        if self
            .shapes
            .chance(self.truth.config.traffic.bad_request_share)
        {
            self.refuse_bad(&request);
        } else {
            self.submit(request);
        }
    }

    fn route(&mut self) -> usize {
        match self.truth.config.routing {
            Routing::RoundRobin => {
                self.next_engine = (self.next_engine + 1) % self.engines.len();
                self.next_engine
            }
            Routing::LeastLoaded => self
                .engines
                .iter()
                .enumerate()
                .min_by_key(|(_, engine)| engine.load())
                .map_or(0, |(index, _)| index),
        }
    }

    fn answer(&mut self, done: &Done) {
        let now = self.truth.now;
        let process = self.process_of(done.request);
        self.truth.http[process].record(&truth::Answer {
            handler: done.handler,
            status: if done.failed { "5xx" } else { "2xx" },
            seconds: now - done.arrival,
            request_bytes: request_bytes(done.prompt),
            // A streamed answer has no content-length.
            response_bytes: if done.streamed {
                0
            } else {
                420 + 5 * done.generated
            },
            at: now,
        });
    }

    fn refuse(&mut self, request: &Request, status: &'static str) {
        let process = self.process_of(request.id);
        self.truth.http[process].record(&truth::Answer {
            handler: request.handler,
            status,
            seconds: 0.002,
            request_bytes: request_bytes(request.prompt),
            response_bytes: 160,
            at: self.truth.now,
        });
    }

    fn process_of(&self, request: u64) -> usize {
        usize::try_from(request).unwrap_or(0) % self.truth.http.len()
    }

    fn note_adapters(&mut self) {
        let (mut running, mut waiting) = (0, 0);
        for engine in &self.engines {
            let (r, w) = engine.adapters();
            running |= r;
            waiting |= w;
        }
        let updated = self.truth.now;
        match self
            .truth
            .lora
            .iter_mut()
            .find(|u| u.running == running && u.waiting == waiting)
        {
            Some(seen) => seen.updated = updated,
            None => self.truth.lora.push(LoraUse {
                running,
                waiting,
                updated,
            }),
        }
    }
}

#[derive(Clone, Copy)]
enum Event {
    Arrival,
    StepEnd(usize),
}

fn check_factor(factor: f64) -> Result<(), ConfigError> {
    if factor.is_finite() && factor > 0.0 {
        Ok(())
    } else {
        Err(ConfigError::new("factor", "must be finite and above 0"))
    }
}

pub(crate) fn request_bytes(prompt: u32) -> u64 {
    180 + 4 * u64::from(prompt)
}
