//! What a twin is made of: traffic, machine, scheduler, cache.

/// A twin's whole description. [`Config::default`] is one engine with a small cache under a load
/// that swings: it queues and preempts at the crests and rests in the troughs.
///
/// All fields are public so that `Config { seed: 7, ..Config::default() }` works.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Everything random comes from here: two twins with equal configurations are equal for ever.
    pub seed: u64,
    /// The first served model name, as the pages say it.
    pub model_name: String,
    /// Data-parallel engines behind the one server; each has its own queue, batch and cache.
    pub engines: u32,
    /// How requests are shared out among the engines.
    pub routing: Routing,
    /// API server processes. Multi-process pages sum over them; others ignore it.
    pub api_servers: u32,
    /// The moment of start in seconds since the Unix epoch. Virtual time 0 is this moment.
    pub start_unix_seconds: f64,
    /// What the clients do.
    pub traffic: Traffic,
    /// How long things take.
    pub machine: Machine,
    /// Most sequences in one batch (`max_num_seqs`).
    pub max_sequences: u32,
    /// Most tokens in one step (`max_num_batched_tokens`); longer prompts are computed in chunks.
    pub max_batched_tokens: u32,
    /// Most requests that may wait on one engine; more are rejected. `None`: no limit, and memory
    /// grows for as long as more arrives than is done.
    pub queue_limit: Option<u32>,
    /// Most tokens of prompt and output together; longer draws are cut.
    pub max_model_len: u32,
    /// KV cache blocks of each engine.
    pub kv_blocks: u32,
    /// Tokens in a block.
    pub block_size: u32,
    /// Whether shared prefixes are looked up in the cache.
    pub prefix_caching: bool,
    /// LoRA, if on.
    pub lora: Option<Lora>,
    /// Speculative decoding, if on.
    pub speculation: Option<Speculation>,
}

/// How requests are shared out among data-parallel engines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Routing {
    /// To the engine with the fewest requests waiting and running; the lowest index of equals.
    LeastLoaded,
    /// To each in turn.
    RoundRobin,
}

/// What the clients send. Shares are probabilities from 0 to 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Traffic {
    /// Mean arrivals per second of a Poisson process.
    pub arrivals_per_second: f64,
    /// How far the rate swings around its mean, 0 (not at all) to 1 (down to nothing and up to twice
    /// the mean), as a sine that begins at the mean and rises.
    pub swing: f64,
    /// Seconds of one swing.
    pub swing_seconds: f64,
    /// Own tokens of a prompt (a shared prefix comes on top).
    pub prompt_tokens: Length,
    /// Tokens of an answer.
    pub output_tokens: Length,
    /// Share of the requests that begin with one of the shared prefixes.
    pub shared_prefix_share: f64,
    /// Number of different shared prefixes (system prompts, documents).
    pub shared_prefixes: u32,
    /// Tokens of each shared prefix.
    pub shared_prefix_tokens: u32,
    /// Share of the requests sent to `/v1/chat/completions`; the others go to `/v1/completions`.
    pub chat_share: f64,
    /// Share of the requests that ask for 2 to 4 sequences (`n`).
    pub parallel_share: f64,
    /// Share of the sequences that end at `max_tokens`.
    pub length_share: f64,
    /// Share of the sequences that the server aborts, finish reason `abort`.
    pub abort_share: f64,
    /// Share of the sequences that end in an internal error, finish reason `error`.
    pub error_share: f64,
    /// Share of the sequences cut for repeating themselves, finish reason `repetition`.
    pub repetition_share: f64,
    /// Share of the requests whose client hangs up before the end. vLLM counts these nowhere but in
    /// what they had already caused (tokens, time to first token).
    pub hang_up_share: f64,
    /// Seconds a request waits before its client gives up and hangs up.
    pub patience_seconds: f64,
    /// Share of the requests refused with 400 before they reach an engine.
    pub bad_request_share: f64,
}

/// A log-normal number of tokens, cut to a range.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Length {
    /// Half of the draws are below this.
    pub median: f64,
    /// Standard deviation of the logarithm: 0 makes every draw the median.
    pub sigma: f64,
    /// Least tokens, at least 1.
    pub min: u32,
    /// Most tokens.
    pub max: u32,
}

/// How long a step takes:
/// `step + sequences * per_sequence + prompt tokens * per_prompt_token + cached tokens read * per_kv_token`,
/// times a log-normal jitter.
#[derive(Clone, Debug, PartialEq)]
pub struct Machine {
    /// Seconds of any step: reading the weights once.
    pub step_seconds: f64,
    /// Seconds for each sequence of the batch.
    pub per_sequence_seconds: f64,
    /// Seconds for each prompt token computed.
    pub per_prompt_token_seconds: f64,
    /// Seconds for each token of context whose keys and values the step reads.
    pub per_kv_token_seconds: f64,
    /// Standard deviation of the logarithm of the jitter.
    pub jitter_sigma: f64,
}

/// LoRA adapters.
#[derive(Clone, Debug, PartialEq)]
pub struct Lora {
    /// Names of the adapters, at most 16; a request uses one of them or the base model.
    pub adapters: Vec<String>,
    /// Most adapters in one batch; requests for others are deferred.
    pub max_loras: u32,
    /// Share of the requests that use an adapter.
    pub share: f64,
}

/// Speculative decoding.
#[derive(Clone, Debug, PartialEq)]
pub struct Speculation {
    /// Tokens drafted for each sequence and step, 1 to 16.
    pub draft_tokens: u32,
    /// Probability that a draft token is accepted, all before it being accepted.
    pub acceptance: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            seed: 1,
            model_name: "meta-llama/Llama-3.1-8B-Instruct".to_owned(),
            engines: 1,
            routing: Routing::LeastLoaded,
            api_servers: 1,
            start_unix_seconds: 1_795_000_000.0,
            traffic: Traffic::default(),
            machine: Machine::default(),
            max_sequences: 128,
            max_batched_tokens: 2048,
            queue_limit: Some(4096),
            max_model_len: 4096,
            kv_blocks: 3072,
            block_size: 16,
            prefix_caching: true,
            lora: None,
            speculation: None,
        }
    }
}

impl Default for Traffic {
    fn default() -> Self {
        Self {
            arrivals_per_second: 13.0,
            swing: 0.5,
            swing_seconds: 240.0,
            prompt_tokens: Length {
                median: 260.0,
                sigma: 0.9,
                min: 4,
                max: 3000,
            },
            output_tokens: Length {
                median: 120.0,
                sigma: 0.8,
                min: 1,
                max: 1000,
            },
            shared_prefix_share: 0.6,
            shared_prefixes: 8,
            shared_prefix_tokens: 384,
            chat_share: 0.7,
            parallel_share: 0.02,
            length_share: 0.25,
            abort_share: 0.005,
            error_share: 0.002,
            repetition_share: 0.003,
            hang_up_share: 0.01,
            patience_seconds: 60.0,
            bad_request_share: 0.01,
        }
    }
}

impl Default for Machine {
    fn default() -> Self {
        Self {
            step_seconds: 0.008,
            per_sequence_seconds: 60e-6,
            per_prompt_token_seconds: 30e-6,
            per_kv_token_seconds: 60e-9,
            jitter_sigma: 0.06,
        }
    }
}

/// Why a [`Config`] cannot be a twin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct ConfigError {
    field: &'static str,
    problem: &'static str,
}

impl ConfigError {
    /// The field at fault, as `traffic.abort_share`.
    pub fn field(&self) -> &'static str {
        self.field
    }

    pub(crate) fn new(field: &'static str, problem: &'static str) -> Self {
        Self { field, problem }
    }
}

impl Config {
    /// Blocks that the longest possible request needs: no engine may have fewer.
    pub(crate) fn blocks_of_longest(&self) -> u32 {
        let speculated = self.speculation.as_ref().map_or(0, |s| s.draft_tokens);
        (self.max_model_len + speculated).div_ceil(self.block_size)
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let at_least_one = [
            ("engines", self.engines),
            ("api_servers", self.api_servers),
            ("max_sequences", self.max_sequences),
            ("max_batched_tokens", self.max_batched_tokens),
            ("block_size", self.block_size),
            ("traffic.prompt_tokens.min", self.traffic.prompt_tokens.min),
            ("traffic.output_tokens.min", self.traffic.output_tokens.min),
        ];
        for (field, value) in at_least_one {
            if value == 0 {
                return Err(ConfigError::new(field, "must be at least 1"));
            }
        }
        for (field, value) in self.shares() {
            if !(0.0..=1.0).contains(&value) {
                return Err(ConfigError::new(field, "is a share: 0 to 1"));
            }
        }
        for (field, value) in self.magnitudes() {
            if !(value.is_finite() && value >= 0.0) {
                return Err(ConfigError::new(field, "must be finite and not negative"));
            }
        }
        if self.traffic.swing_seconds <= 0.0 {
            return Err(ConfigError::new("traffic.swing_seconds", "must be above 0"));
        }
        if self.machine.step_seconds <= 0.0 {
            // A step of no length would never let virtual time pass.
            return Err(ConfigError::new("machine.step_seconds", "must be above 0"));
        }
        for (field, length) in [
            ("traffic.prompt_tokens", self.traffic.prompt_tokens),
            ("traffic.output_tokens", self.traffic.output_tokens),
        ] {
            if length.min > length.max {
                return Err(ConfigError::new(field, "min is above max"));
            }
        }
        if self.max_model_len < 2 {
            return Err(ConfigError::new("max_model_len", "must be at least 2"));
        }
        if self.kv_blocks < self.blocks_of_longest() {
            return Err(ConfigError::new(
                "kv_blocks",
                "the longest request (max_model_len) does not fit",
            ));
        }
        if self.max_batched_tokens < self.max_sequences {
            return Err(ConfigError::new(
                "max_batched_tokens",
                "must not be below max_sequences",
            ));
        }
        if let Some(lora) = &self.lora {
            if lora.adapters.is_empty() || lora.adapters.len() > 16 {
                return Err(ConfigError::new("lora.adapters", "must be 1 to 16"));
            }
            if lora.max_loras == 0 {
                return Err(ConfigError::new("lora.max_loras", "must be at least 1"));
            }
        }
        if let Some(speculation) = &self.speculation
            && !(1..=16).contains(&speculation.draft_tokens)
        {
            return Err(ConfigError::new(
                "speculation.draft_tokens",
                "must be 1 to 16",
            ));
        }
        Ok(())
    }

    fn shares(&self) -> Vec<(&'static str, f64)> {
        let traffic = &self.traffic;
        let endings = traffic.length_share
            + traffic.abort_share
            + traffic.error_share
            + traffic.repetition_share;
        let mut shares = vec![
            ("traffic.swing", traffic.swing),
            ("traffic.shared_prefix_share", traffic.shared_prefix_share),
            ("traffic.chat_share", traffic.chat_share),
            ("traffic.parallel_share", traffic.parallel_share),
            ("traffic.length_share", traffic.length_share),
            ("traffic.abort_share", traffic.abort_share),
            ("traffic.error_share", traffic.error_share),
            ("traffic.repetition_share", traffic.repetition_share),
            ("traffic (sum of length, abort, error, repetition)", endings),
            ("traffic.hang_up_share", traffic.hang_up_share),
            ("traffic.bad_request_share", traffic.bad_request_share),
        ];
        shares.extend(self.lora.iter().map(|l| ("lora.share", l.share)));
        shares.extend(
            self.speculation
                .iter()
                .map(|s| ("speculation.acceptance", s.acceptance)),
        );
        shares
    }

    fn magnitudes(&self) -> [(&'static str, f64); 13] {
        let (traffic, machine) = (&self.traffic, &self.machine);
        [
            ("start_unix_seconds", self.start_unix_seconds),
            ("traffic.arrivals_per_second", traffic.arrivals_per_second),
            ("traffic.swing_seconds", traffic.swing_seconds),
            ("traffic.patience_seconds", traffic.patience_seconds),
            ("traffic.prompt_tokens.median", traffic.prompt_tokens.median),
            ("traffic.prompt_tokens.sigma", traffic.prompt_tokens.sigma),
            ("traffic.output_tokens.median", traffic.output_tokens.median),
            ("traffic.output_tokens.sigma", traffic.output_tokens.sigma),
            ("machine.step_seconds", machine.step_seconds),
            ("machine.per_sequence_seconds", machine.per_sequence_seconds),
            (
                "machine.per_prompt_token_seconds",
                machine.per_prompt_token_seconds,
            ),
            ("machine.per_kv_token_seconds", machine.per_kv_token_seconds),
            ("machine.jitter_sigma", machine.jitter_sigma),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_valid() {
        Config::default().check().unwrap();
    }

    #[test]
    fn says_which_field_is_wrong() {
        type Break = fn(&mut Config);
        let cases: [(&str, Break); 9] = [
            ("engines", |c| c.engines = 0),
            ("traffic.abort_share", |c| c.traffic.abort_share = 1.5),
            ("traffic (sum of length, abort, error, repetition)", |c| {
                (c.traffic.length_share, c.traffic.abort_share) = (0.7, 0.7);
            }),
            ("traffic.arrivals_per_second", |c| {
                c.traffic.arrivals_per_second = f64::NAN;
            }),
            ("machine.step_seconds", |c| c.machine.step_seconds = 0.0),
            ("traffic.output_tokens", |c| c.traffic.output_tokens.max = 0),
            ("kv_blocks", |c| c.kv_blocks = 8),
            ("max_batched_tokens", |c| c.max_batched_tokens = 8),
            ("lora.adapters", |c| {
                c.lora = Some(Lora {
                    adapters: Vec::new(),
                    max_loras: 1,
                    share: 0.5,
                });
            }),
        ];
        for (field, break_it) in cases {
            let mut config = Config::default();
            break_it(&mut config);
            assert_eq!(config.check().unwrap_err().field(), field);
        }
    }
}
