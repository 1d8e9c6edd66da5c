//! An endpoint picker (EPP) in front of a pool of engines: it chooses an engine for each request, and
//! counts what passes.
//!
//! Three generations of names speak of the same counts ([`Names`]); `llm-d-router` writes two of them
//! at once. The page is behind a bearer token, as controller-runtime does it.

pub(crate) mod api;
mod edges;
mod page;

use std::collections::{BTreeMap, BTreeSet};

use crate::observed::Observed;
use crate::random::Random;

pub(crate) use page::page;

/// A gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gateway {
    /// The names it speaks.
    pub names: Names,
    /// The pool's name.
    pub pool: String,
    /// The Kubernetes namespace of its engines.
    pub namespace: String,
    /// The token that may read the page; `None` where the page is open to all.
    pub token: Option<String>,
    /// Tokens that are known and may not: they are answered 403, others 401.
    pub tokens_without_rights: Vec<String>,
    /// Whether requests wait in the gateway while the pool is saturated. Without, they wait in the
    /// engines.
    pub flow_control: bool,
    /// Most requests that may wait in the gateway; more are rejected.
    pub queue_limit: u32,
    /// Seconds after which a request that waits in the gateway is given up.
    pub queue_seconds: u32,
    /// Prompt tokens not cached from which a request is worth a prefill engine, where there are any.
    pub disaggregation_tokens: u32,
}

impl Default for Gateway {
    fn default() -> Self {
        Self {
            names: Names::LlmDWithTwins,
            pool: "chat-pool".to_owned(),
            namespace: "llm".to_owned(),
            token: Some("sim-gateway-token".to_owned()),
            tokens_without_rights: vec!["sim-token-without-rights".to_owned()],
            flow_control: true,
            queue_limit: 512,
            queue_seconds: 30,
            disaggregation_tokens: 64,
        }
    }
}

/// The generations of names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// `inference_model_*`: Gateway API Inference Extension 1.0.
    InferenceModel,
    /// `inference_objective_*`: Gateway API Inference Extension 1.5.
    InferenceObjective,
    /// `llm_d_epp_*` alone.
    LlmD,
    /// `llm_d_epp_*`, and their deprecated twins `inference_objective_*` with the same counts:
    /// llm-d-router 0.10.
    LlmDWithTwins,
}

impl Names {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::InferenceModel,
        Self::InferenceObjective,
        Self::LlmD,
        Self::LlmDWithTwins,
    ];
}

/// Why a request failed: the label `error_code`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ErrorCode {
    /// The engine said that the request makes no sense.
    BadRequest,
    /// The engine failed.
    ModelServerError,
    /// Too many wait.
    ResourceExhausted,
    /// No engine is there.
    ServiceUnavailable,
}

impl ErrorCode {
    /// The value of the label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BadRequest => "BadRequest",
            Self::ModelServerError => "ModelServerError",
            Self::ResourceExhausted => "ResourceExhausted",
            Self::ServiceUnavailable => "ServiceUnavailable",
        }
    }
}

/// How a request left the gateway's queue: the label `outcome`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// To an engine.
    Dispatched,
    /// There was no room in the queue.
    RejectedCapacity,
    /// It waited too long.
    EvictedTtl,
}

impl Outcome {
    /// The value of the label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dispatched => "Dispatched",
            Self::RejectedCapacity => "RejectedCapacity",
            Self::EvictedTtl => "EvictedTTL",
        }
    }
}

/// Where a request was computed: the label `decision_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Decision {
    /// All on one engine.
    DecodeOnly,
    /// The prompt on another one.
    PrefillDecode,
}

impl Decision {
    /// The value of the label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DecodeOnly => "decode-only",
            Self::PrefillDecode => "prefill-decode",
        }
    }
}

/// What the gateway has counted of one user's requests.
#[derive(Clone, Debug, PartialEq)]
pub struct Requests {
    /// Requests sent to an engine.
    pub requests: u64,
    /// Requests that failed, sent to an engine or not.
    pub errors: BTreeMap<ErrorCode, u64>,
    /// Requests on engines now.
    pub running: u64,
    /// Seconds from arrival at the gateway to the end, of complete answers.
    pub duration: Observed,
    /// Seconds to the first token of streamed answers.
    pub first_token: Observed,
    /// Seconds to the answer where it is not streamed.
    pub whole_answer: Observed,
    /// Mean seconds between the tokens of a streamed answer.
    pub per_token: Observed,
    /// Seconds between two tokens of streamed answers.
    pub between_tokens: Observed,
    /// Seconds of a request for each token of its answer.
    pub normalized: Observed,
    /// Tokens of the prompt.
    pub input: Observed,
    /// Tokens of the answer.
    pub output: Observed,
    /// Tokens of the prompt that were cached.
    pub cached: Observed,
    /// Bytes of the request.
    pub request_bytes: Observed,
    /// Bytes of the answer.
    pub response_bytes: Observed,
}

impl Requests {
    fn new() -> Self {
        let seconds = || Observed::at(edges::SECONDS);
        Self {
            requests: 0,
            errors: BTreeMap::new(),
            running: 0,
            duration: seconds(),
            first_token: seconds(),
            whole_answer: seconds(),
            per_token: Observed::at(edges::PER_TOKEN),
            between_tokens: Observed::at(edges::BETWEEN_TOKENS),
            normalized: Observed::at(edges::NORMALIZED),
            input: Observed::at(edges::INPUT),
            output: Observed::at(edges::OUTPUT),
            cached: Observed::at(edges::INPUT),
            request_bytes: Observed::at(edges::request_bytes()),
            response_bytes: Observed::at(edges::RESPONSE_BYTES),
        }
    }
}

/// One of the pool's engine servers, as the gateway sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Endpoint {
    /// Its name.
    pub name: String,
    /// Its index among the servers of the world.
    pub server: usize,
    /// Whether it answers.
    pub ready: bool,
    /// Sequences waiting.
    pub waiting: u64,
    /// Sequences running.
    pub running: u64,
    /// Share of the cache in use.
    pub kv_usage: f64,
}

/// What the gateway has counted. Users are indices into [`World::tenants`](crate::World::tenants),
/// servers into [`World::servers`](crate::World::servers).
#[derive(Clone, Debug, PartialEq)]
pub struct GatewayTruth {
    /// What it is.
    pub config: Gateway,
    /// The model it serves.
    pub model_name: String,
    /// Its engine servers.
    pub endpoints: Vec<Endpoint>,
    /// Requests by user.
    pub requests: BTreeMap<usize, Requests>,
    /// Requests under way by server and user.
    pub under_way: BTreeMap<(usize, usize), u64>,
    /// Choices of an engine that succeeded, by server.
    pub chosen: BTreeMap<usize, u64>,
    /// Choices that failed.
    pub not_chosen: u64,
    /// Seconds of choosing.
    pub scheduling: Observed,
    /// Seconds of each plugin, in the order of [`PLUGINS`].
    pub plugins: Vec<Observed>,
    /// Share of the prompt found in the index of prefixes.
    pub prefix_ratio: Observed,
    /// Bytes of the prompt found there.
    pub prefix_bytes: Observed,
    /// Blocks of prefixes in the index.
    pub prefix_blocks: u64,
    /// Look-ups in the index.
    pub prefix_lookups: u64,
    /// Blocks found.
    pub prefix_hit_blocks: u64,
    /// Where requests were computed. Empty where no engine is for prompts only.
    pub decisions: BTreeMap<Decision, u64>,
    /// Requests waiting in the gateway, by user.
    pub queued: BTreeMap<usize, u64>,
    /// Bytes of these.
    pub queued_bytes: BTreeMap<usize, u64>,
    /// Seconds that requests waited in the gateway, by user and outcome.
    pub queue: BTreeMap<(usize, Outcome), Observed>,
    /// Seconds of putting a request into the queue, by user and outcome.
    pub enqueue: BTreeMap<(usize, Outcome), Observed>,
    /// Seconds of looking for a request to send.
    pub dispatch: Observed,
    prefixes: BTreeSet<(usize, usize)>,
    random: Random,
}

/// The plugins that take part in each choice: extension point, type and name.
pub const PLUGINS: [(&str, &str, &str); 5] = [
    (
        "ProfilePicker",
        "single-profile-handler",
        "single-profile-handler",
    ),
    ("Scorer", "queue-scorer", "queue-scorer"),
    (
        "Scorer",
        "kv-cache-utilization-scorer",
        "kv-cache-utilization-scorer",
    ),
    ("Scorer", "prefix-cache-scorer", "prefix-cache-scorer"),
    ("Picker", "max-score-picker", "max-score-picker"),
];

/// Waiting sequences at which an engine counts as saturated.
const SATURATED_QUEUE: f64 = 5.0;
/// Share of the cache in use at which an engine counts as saturated.
const SATURATED_KV: f64 = 0.8;
/// Bytes of a token of text, as the index of prefixes reckons.
const BYTES_PER_TOKEN: u32 = 4;
/// Tokens of a block of the index.
const BLOCK_TOKENS: u32 = 16;

impl GatewayTruth {
    pub(crate) fn new(config: Gateway, model_name: String, seed: u64) -> Self {
        Self {
            config,
            model_name,
            endpoints: Vec::new(),
            requests: BTreeMap::new(),
            under_way: BTreeMap::new(),
            chosen: BTreeMap::new(),
            not_chosen: 0,
            scheduling: Observed::at(edges::SCHEDULING),
            plugins: PLUGINS.map(|_| Observed::at(edges::SCHEDULING)).to_vec(),
            prefix_ratio: Observed::at(edges::RATIO),
            prefix_bytes: Observed::at(edges::PREFIX_BYTES),
            prefix_blocks: 0,
            prefix_lookups: 0,
            prefix_hit_blocks: 0,
            decisions: BTreeMap::new(),
            queued: BTreeMap::new(),
            queued_bytes: BTreeMap::new(),
            queue: BTreeMap::new(),
            enqueue: BTreeMap::new(),
            dispatch: Observed::at(edges::SCHEDULING),
            prefixes: BTreeSet::new(),
            random: Random::new(seed, 5),
        }
    }

    /// How full the pool is: 1 and more is saturated. An empty pool is.
    #[must_use]
    pub fn saturation(&self) -> f64 {
        mean(self.ready().map(|endpoint| {
            let queue = crate::truth::float(endpoint.waiting) / SATURATED_QUEUE;
            queue.max(endpoint.kv_usage / SATURATED_KV)
        }))
        .unwrap_or(1.0)
    }

    /// The engines that answer.
    pub fn ready(&self) -> impl Iterator<Item = &Endpoint> + Clone {
        self.endpoints.iter().filter(|endpoint| endpoint.ready)
    }

    /// The requests of a user.
    pub(crate) fn of(&mut self, user: usize) -> &mut Requests {
        self.requests.entry(user).or_insert_with(Requests::new)
    }

    /// Chooses a server among `candidates` for a prompt that begins with `prefix`; `None` where there
    /// is none. Also says how many tokens of the prefix the server is thought to have.
    pub(crate) fn choose(
        &mut self,
        candidates: &[usize],
        prompt: u32,
        prefix: Option<(usize, u32)>,
    ) -> Option<(usize, u32)> {
        let mut whole = self.random.log_normal(4e-5, 0.4);
        for plugin in &mut self.plugins {
            let seconds = self.random.log_normal(2.5e-5, 0.6);
            plugin.record(seconds);
            whole += seconds;
        }
        self.scheduling.record(whole);
        let known = |server: usize| {
            prefix
                .filter(|(prefix, _)| self.prefixes.contains(&(server, *prefix)))
                .map_or(0, |(_, tokens)| tokens.min(prompt))
        };
        let ready = || self.ready().filter(|e| candidates.contains(&e.server));
        let longest = ready().map(|e| e.waiting).max().unwrap_or(0);
        let score = |endpoint: &Endpoint| {
            let queue = 1.0 - crate::truth::ratio(endpoint.waiting, longest);
            let hit = f64::from(known(endpoint.server)) / f64::from(prompt.max(1));
            // Fewer running breaks what would be a tie of idle engines.
            let running = crate::truth::float(endpoint.running);
            queue + (1.0 - endpoint.kv_usage) + hit - running / 1000.0
        };
        let best = ready().max_by(|a, b| {
            let order = score(a).total_cmp(&score(b));
            // The lower index of equals.
            order.then(b.server.cmp(&a.server))
        });
        let chosen = best.map(|endpoint| (endpoint.server, known(endpoint.server)));
        let Some((server, hit)) = chosen else {
            self.not_chosen += 1;
            return None;
        };
        *self.chosen.entry(server).or_insert(0) += 1;
        self.prefix_lookups += 1;
        self.prefix_hit_blocks += u64::from(hit / BLOCK_TOKENS);
        self.prefix_ratio
            .record(f64::from(hit) / f64::from(prompt.max(1)));
        self.prefix_bytes.record(f64::from(hit * BYTES_PER_TOKEN));
        if let Some((prefix, tokens)) = prefix
            && self.prefixes.insert((server, prefix))
        {
            self.prefix_blocks += u64::from(tokens.div_ceil(BLOCK_TOKENS));
        }
        Some((server, hit))
    }

    /// A server is gone, and its cache with it.
    pub(crate) fn forget(&mut self, server: usize, tokens_of_prefix: u32) {
        let before = self.prefixes.len();
        self.prefixes.retain(|&(of, _)| of != server);
        let gone = (before - self.prefixes.len()) as u64;
        self.prefix_blocks -= gone * u64::from(tokens_of_prefix.div_ceil(BLOCK_TOKENS));
    }

    /// A request went into the queue.
    pub(crate) fn enqueue(&mut self, user: usize, bytes: u64) {
        *self.queued.entry(user).or_insert(0) += 1;
        *self.queued_bytes.entry(user).or_insert(0) += bytes;
    }

    /// A request left the queue it had gone into.
    pub(crate) fn dequeue(&mut self, user: usize, bytes: u64) {
        *self.queued.entry(user).or_insert(0) -= 1;
        *self.queued_bytes.entry(user).or_insert(0) -= bytes;
    }

    /// A request passed flow control in `waited` seconds.
    pub(crate) fn flow(&mut self, user: usize, outcome: Outcome, waited: f64) {
        let handling = self.random.log_normal(6e-5, 0.5);
        self.queue
            .entry((user, outcome))
            .or_insert_with(|| Observed::at(edges::QUEUE))
            .record(waited + handling);
        let enqueue = self.random.log_normal(2e-5, 0.5);
        self.enqueue
            .entry((user, outcome))
            .or_insert_with(|| Observed::at(edges::SCHEDULING))
            .record(enqueue);
        self.dispatch.record(self.random.log_normal(5e-5, 0.5));
    }

    pub(crate) fn fail(&mut self, user: usize, code: ErrorCode) {
        *self.of(user).errors.entry(code).or_insert(0) += 1;
    }
}

/// The mean; `None` of nothing.
fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, n) = values.fold((0.0, 0.0), |(sum, n), value| (sum + value, n + 1.0));
    (n > 0.0).then(|| sum / n)
}
