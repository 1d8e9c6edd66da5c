//! A whole token path in one virtual time: users with quotas, a gateway, engine servers of several
//! kinds, the GPUs under them.
//!
//! A world draws each request once. What the engine, the gateway and the quotas count is then the
//! same request, seen from each of them.

mod config;
mod incident;
mod serve;
mod truth_json;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::config::ConfigError;
use crate::engine::Request;
use crate::gateway::{Decision, Endpoint, ErrorCode, GatewayTruth, Outcome};
use crate::gpu::{GpuFleet, GpuLoad};
use crate::journal::Happening;
use crate::limitador::LimitadorTruth;
use crate::random::Random;
use crate::tgi::{self, Counters, Failure};
use crate::traffic::{self, Draw};
use crate::truth::{EngineTruth, FinishReason, Truth, float};
use crate::twin::{ADVANCE_SECONDS_MAX, CHAT, COMPLETIONS, Twin};

pub use config::{Role, ServerConfig, ServerKind, Tenant, WorldConfig};
pub use incident::Incident;
pub use serve::{Part, RunningWorld, WorldServer};

/// Seconds between two looks at the GPUs and at requests that wait in the gateway.
const TICK_SECONDS: f64 = 0.25;
/// Bytes of a token's keys and values, of a model of eight billion parameters.
const KV_BYTES_PER_TOKEN: f64 = 131_072.0;
/// Bytes per second from one engine to another.
const TRANSFER_BYTES_PER_SECOND: f64 = 2.5e10;
/// Seconds of any transfer.
const TRANSFER_SECONDS: f64 = 0.004;
/// How fast a leak goes: what a busy card has free is gone within an hour.
const LEAK_BYTES_PER_SECOND: f64 = 2.4e6;
/// The least that such cards can be told to draw.
const POWER_CAP_WATTS: f64 = 200.0;

/// What happened to one user's requests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TenantTruth {
    /// Requests sent.
    pub requests: u64,
    /// Of these, limited: they reached neither gateway nor engine.
    pub limited: u64,
    /// Answered in full.
    pub completed: u64,
    /// Failed.
    pub failed: u64,
    /// Given up by the user.
    pub hung_up: u64,
    /// Prompt tokens of requests answered in full.
    pub prompt_tokens: u64,
    /// Tokens of these answers.
    pub completion_tokens: u64,
}

/// An engine server of a world.
#[derive(Debug)]
pub struct EngineServer {
    config: ServerConfig,
    twin: Twin,
    tgi: Option<Counters>,
    down: bool,
    restarts: u64,
    /// Bytes of keys and values sent and received since the last look at the GPUs.
    transferred: (f64, f64),
    /// The engines at the last look at the GPUs.
    seen: Vec<EngineTruth>,
}

impl EngineServer {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.config.name
    }

    /// What it is.
    #[must_use]
    pub fn kind(&self) -> &ServerKind {
        &self.config.kind
    }

    /// What it does.
    #[must_use]
    pub fn role(&self) -> Role {
        self.config.role
    }

    /// Whether it is dead: nobody answers at its address.
    #[must_use]
    pub fn is_down(&self) -> bool {
        self.down
    }

    /// What is true of its engines. A server that is down keeps what it had counted until it is back.
    #[must_use]
    pub fn truth(&self) -> &Truth {
        self.twin.truth()
    }

    /// What its router counted, where it is TGI.
    #[must_use]
    pub fn tgi(&self) -> Option<&Counters> {
        self.tgi.as_ref()
    }
}

/// A request under way.
#[derive(Debug)]
struct Flight {
    user: usize,
    arrival: f64,
    server: usize,
    pooled: bool,
    streamed: bool,
    prompt: u32,
    cached: u32,
    first: Option<f64>,
    last: f64,
    generated: u64,
    /// While another server computes the prompt: the request as the decode server is to get it.
    decode: Option<(usize, Request)>,
}

/// A request that waits in the gateway.
#[derive(Debug)]
struct Held {
    user: usize,
    request: Request,
    bad: bool,
}

/// The world.
///
/// Pure, as a [`Twin`] is: time passes only in [`advance`](Self::advance), and two worlds of equal
/// configurations are equal at every moment. [`WorldServer`] puts it behind sockets.
///
/// ```
/// use tokenpath_sim::{Incident, World, WorldConfig};
///
/// let mut world = World::new(WorldConfig::default())?;
/// world.advance(30.0);
/// world.incident(Incident::TenantFlood);
/// world.advance(60.0);
/// let limited: u64 = world.tenants().map(|(_, truth)| truth.limited).sum();
/// assert!(limited > 0);
/// # Ok::<(), tokenpath_sim::ConfigError>(())
/// ```
#[derive(Debug)]
pub struct World {
    config: WorldConfig,
    now: f64,
    servers: Vec<EngineServer>,
    tenants: Vec<TenantTruth>,
    limitador: Option<LimitadorTruth>,
    gateway: Option<GatewayTruth>,
    gpus: Option<GpuFleet>,
    gaps: Random,
    shapes: Random,
    users: Random,
    /// Of pages, whose order has no part in what happens.
    order: Random,
    next_arrival: f64,
    ticks: u64,
    next_id: u64,
    flights: BTreeMap<u64, Flight>,
    held: VecDeque<Held>,
    incidents: BTreeSet<Incident>,
    journal: Vec<Happening>,
}

#[derive(Clone, Copy)]
enum Event {
    Server(usize),
    Arrival,
    Tick,
}

impl World {
    /// A world at virtual time 0, empty.
    ///
    /// # Errors
    /// The first field of the configuration that makes no sense.
    pub fn new(config: WorldConfig) -> Result<Self, ConfigError> {
        config.check()?;
        let mut servers = Vec::new();
        for index in 0..config.servers.len() {
            servers.push(server(&config, index, 0, 0.0)?);
        }
        let engines: u32 = config.servers.iter().map(|s| s.engine.engines).sum();
        let pool = config.servers.iter().find(|s| s.role != Role::Direct);
        let model = pool.map_or_else(String::new, |s| s.engine.model_name.clone());
        let mut world = Self {
            now: 0.0,
            servers,
            tenants: vec![TenantTruth::default(); config.tenants.len()],
            limitador: config.limitador.clone().map(LimitadorTruth::new),
            gateway: config
                .gateway
                .clone()
                .map(|gateway| GatewayTruth::new(gateway, model, config.seed)),
            gpus: config
                .gpus
                .clone()
                .map(|gpus| GpuFleet::new(gpus, engines as usize, config.seed)),
            gaps: Random::new(config.seed, 1),
            shapes: Random::new(config.seed, 2),
            users: Random::new(config.seed, 3),
            order: Random::new(config.seed, 6),
            next_arrival: 0.0,
            ticks: 0,
            next_id: 0,
            flights: BTreeMap::new(),
            held: VecDeque::new(),
            incidents: BTreeSet::new(),
            journal: Vec::new(),
            config,
        };
        world.draw_arrival();
        world.look_at_endpoints();
        Ok(world)
    }

    /// The configuration it was made with.
    #[must_use]
    pub fn config(&self) -> &WorldConfig {
        &self.config
    }

    /// Virtual time in seconds since the start.
    #[must_use]
    pub fn now(&self) -> f64 {
        self.now
    }

    /// The engine servers.
    #[must_use]
    pub fn servers(&self) -> &[EngineServer] {
        &self.servers
    }

    /// The users, and what happened to their requests.
    pub fn tenants(&self) -> impl Iterator<Item = (&Tenant, &TenantTruth)> {
        self.config.tenants.iter().zip(&self.tenants)
    }

    /// What Limitador counted.
    #[must_use]
    pub fn limitador(&self) -> Option<&LimitadorTruth> {
        self.limitador.as_ref()
    }

    /// What the gateway counted.
    #[must_use]
    pub fn gateway(&self) -> Option<&GatewayTruth> {
        self.gateway.as_ref()
    }

    /// The GPUs: those of the first server's engines first.
    #[must_use]
    pub fn gpus(&self) -> Option<&GpuFleet> {
        self.gpus.as_ref()
    }

    /// Requests on engines, and waiting in the gateway.
    #[must_use]
    pub fn under_way(&self) -> (usize, usize) {
        (self.flights.len(), self.held.len())
    }

    /// The incidents under way.
    pub fn incidents(&self) -> impl Iterator<Item = Incident> {
        self.incidents.iter().copied()
    }

    /// Lets `seconds` of virtual time pass, at most [`ADVANCE_SECONDS_MAX`]. Nothing passes where
    /// `seconds` is not a positive number.
    pub fn advance(&mut self, seconds: f64) {
        if seconds > 0.0 {
            self.advance_to(self.now + seconds.min(ADVANCE_SECONDS_MAX));
        }
    }

    /// Lets virtual time pass until `time`, at most [`ADVANCE_SECONDS_MAX`] ahead; a time that has
    /// passed already changes nothing.
    pub fn advance_to(&mut self, time: f64) {
        if time.is_nan() || time <= self.now {
            return;
        }
        let end = time.min(self.now + ADVANCE_SECONDS_MAX);
        loop {
            let (at, event) = self.next_event();
            if at > end {
                break;
            }
            self.now = at.max(self.now);
            match event {
                Event::Server(index) => {
                    self.servers[index].twin.advance_to(self.now);
                    self.read_journal(index);
                    self.release_held();
                }
                Event::Arrival => self.arrive(),
                Event::Tick => self.tick(),
            }
        }
        self.now = end;
        for server in self.servers.iter_mut().filter(|server| !server.down) {
            server.twin.advance_to(end);
        }
        self.look_at_endpoints();
    }

    /// Lets something go wrong from now on. What already goes wrong, or has nothing here to go wrong
    /// with, changes nothing.
    pub fn incident(&mut self, incident: Incident) {
        if !self.incidents.insert(incident) {
            return;
        }
        match incident {
            Incident::CacheThrash => self.resize_caches(),
            Incident::GpuHot => self.with_gpus(|gpus| gpus.set_cooling(0, 0.2)),
            Incident::Xid => self.with_gpus(|gpus| gpus.report_xid(0, 94)),
            Incident::GpuLeak => {
                self.with_gpus(|gpus| gpus.set_leak(0, LEAK_BYTES_PER_SECOND));
            }
            Incident::GpuPowerCap => {
                self.with_gpus(|gpus| gpus.set_power_limit(0, Some(POWER_CAP_WATTS)));
            }
            Incident::GpuLost => {
                self.with_gpus(|gpus| {
                    gpus.report_xid(0, 79);
                    gpus.set_lost(0, true);
                });
                // The first server has an engine: the configuration says so.
                let _ = self.servers[0].twin.stop_engine(0);
            }
            Incident::EngineDown => self.kill(),
            Incident::QueueStorm | Incident::TenantFlood => self.draw_arrival(),
            Incident::SlowPrefill | Incident::SlowDecode => self.set_speeds(),
            Incident::GatewayUnauthorized
            | Incident::GatewayForbidden
            | Incident::GatewayDown
            | Incident::LimitadorDown => self.set_access(),
        }
    }

    /// Lets all be well again. An incident that is not under way changes nothing.
    pub fn end_incident(&mut self, incident: Incident) {
        if !self.incidents.remove(&incident) {
            return;
        }
        match incident {
            Incident::CacheThrash => self.resize_caches(),
            Incident::GpuHot => self.with_gpus(|gpus| gpus.set_cooling(0, 1.0)),
            Incident::Xid => {}
            Incident::GpuLeak => self.with_gpus(|gpus| gpus.set_leak(0, 0.0)),
            Incident::GpuPowerCap => self.with_gpus(|gpus| gpus.set_power_limit(0, None)),
            Incident::GpuLost => {
                self.with_gpus(|gpus| gpus.set_lost(0, false));
                let _ = self.servers[0].twin.start_engine(0);
            }
            Incident::EngineDown => self.revive(),
            Incident::QueueStorm | Incident::TenantFlood => self.draw_arrival(),
            Incident::SlowPrefill | Incident::SlowDecode => self.set_speeds(),
            Incident::GatewayUnauthorized
            | Incident::GatewayForbidden
            | Incident::GatewayDown
            | Incident::LimitadorDown => self.set_access(),
        }
    }

    /// Nobody sends anything from now on; what is under way goes on.
    pub fn end_traffic(&mut self) {
        self.config.traffic.arrivals_per_second = 0.0;
        self.draw_arrival();
    }

    fn has(&self, incident: Incident) -> bool {
        self.incidents.contains(&incident)
    }

    fn next_event(&self) -> (f64, Event) {
        let tick = float(self.ticks + 1) * TICK_SECONDS;
        let servers = self.servers.iter().enumerate();
        servers
            .filter(|(_, server)| !server.down)
            .map(|(index, server)| (server.twin.next_at(), Event::Server(index)))
            .chain([(self.next_arrival, Event::Arrival), (tick, Event::Tick)])
            // The first of equals: servers by index, then arrivals, then ticks.
            .min_by(|a, b| a.0.total_cmp(&b.0))
            .unwrap_or((tick, Event::Tick))
    }

    // Arrivals.

    fn draw_arrival(&mut self) {
        let mut rate = self.config.traffic.arrivals_per_second;
        let whole: f64 = self.config.tenants.iter().map(|tenant| tenant.share).sum();
        let shares: f64 = self.shares().iter().sum();
        // A storm or a flood comes on top of what is sent otherwise.
        rate *= shares / whole;
        let traffic = &self.config.traffic;
        self.next_arrival = traffic::next_arrival(traffic, rate, self.now, &mut self.gaps);
    }

    /// The users' shares, larger than configured in a storm or a flood.
    fn shares(&self) -> Vec<f64> {
        let tenants = &self.config.tenants;
        let mut shares: Vec<f64> = tenants.iter().map(|t| t.share).collect();
        let (storm, flood) = (
            self.has(Incident::QueueStorm),
            self.has(Incident::TenantFlood),
        );
        if !storm && !flood {
            return shares;
        }
        let quotas: Vec<u64> = tenants.iter().map(|tenant| self.quota(tenant)).collect();
        let least = quotas.iter().min().copied().unwrap_or(u64::MAX);
        let most = quotas.iter().max().copied().unwrap_or(u64::MAX);
        if storm {
            // Those whom the lowest quota would soon stop have no part in a storm.
            let takes_part = |quota: u64| quota > least || least == most;
            for (share, quota) in shares.iter_mut().zip(&quotas) {
                *share *= if takes_part(*quota) { 12.0 } else { 1.0 };
            }
        }
        if flood && let Some(index) = quotas.iter().position(|&quota| quota == least) {
            shares[index] *= 40.0;
        }
        shares
    }

    /// The lowest limit that is for a user's group alone.
    fn quota(&self, tenant: &Tenant) -> u64 {
        let namespaces = self.config.limitador.iter().flat_map(|l| &l.namespaces);
        namespaces
            .flat_map(|namespace| &namespace.limits)
            .filter(|limit| limit.group.as_ref() == Some(&tenant.group))
            .map(|limit| limit.max)
            .min()
            .unwrap_or(u64::MAX)
    }

    fn draw_user(&mut self) -> usize {
        let shares = self.shares();
        let mut at = self.users.unit() * shares.iter().sum::<f64>();
        for (index, share) in shares.iter().enumerate() {
            if at < *share {
                return index;
            }
            at -= share;
        }
        shares.len() - 1
    }

    fn arrive(&mut self) {
        self.draw_arrival();
        let lens = self.config.servers.iter().map(|s| s.engine.max_model_len);
        let draw = Draw {
            traffic: &self.config.traffic,
            max_model_len: lens.min().unwrap_or(2),
            lora: None,
            handlers: (CHAT, COMPLETIONS),
        };
        let mut request = draw.request(self.next_id, self.now, &mut self.shapes);
        self.next_id += 1;
        if self.has(Incident::CacheThrash) {
            request.prefix = None;
        }
        let bad = self.shapes.chance(self.config.traffic.bad_request_share);
        let direct = self.shapes.chance(self.config.direct_share);
        let user = self.draw_user();
        self.tenants[user].requests += 1;
        let limitador = self.limitador.as_mut();
        let passes = self.incidents.contains(&Incident::LimitadorDown)
            || limitador.is_none_or(|l| l.check(user, &self.config.tenants, self.now));
        if !passes {
            self.tenants[user].limited += 1;
            return;
        }
        let has = |direct: bool| {
            let mut servers = self.config.servers.iter();
            servers.any(|server| (server.role == Role::Direct) == direct)
        };
        if (direct && has(true)) || !has(false) {
            self.go_direct(user, request, bad);
        } else if self.gateway.is_some() {
            self.go_through_gateway(user, request, bad);
        } else {
            let index = self.least_loaded(|role| matches!(role, Role::Whole | Role::Decode));
            match index {
                Some(index) => self.send(user, index, request, bad, None, false),
                None => self.tenants[user].failed += 1,
            }
        }
    }

    /// The server of such a role with the fewest requests, of those that answer.
    fn least_loaded(&self, role: impl Fn(Role) -> bool) -> Option<usize> {
        let servers = self.servers.iter().enumerate();
        servers
            .filter(|(_, server)| !server.down && role(server.config.role))
            .min_by_key(|(_, server)| server.twin.load())
            .map(|(index, _)| index)
    }

    fn go_direct(&mut self, user: usize, request: Request, bad: bool) {
        match self.least_loaded(|role| role == Role::Direct) {
            Some(index) => self.send(user, index, request, bad, None, false),
            None => self.tenants[user].failed += 1,
        }
    }

    // The gateway.

    fn go_through_gateway(&mut self, user: usize, request: Request, bad: bool) {
        self.look_at_endpoints();
        let waiting = self.held.len();
        let Some(gateway) = &mut self.gateway else {
            return;
        };
        let held = Held { user, request, bad };
        if !gateway.config.flow_control {
            return self.dispatch(held);
        }
        if waiting == 0 && gateway.saturation() < 1.0 {
            gateway.flow(user, Outcome::Dispatched, 0.0);
            return self.dispatch(held);
        }
        if waiting >= gateway.config.queue_limit as usize {
            gateway.flow(user, Outcome::RejectedCapacity, 0.0);
            gateway.fail(user, ErrorCode::ResourceExhausted);
            self.tenants[user].failed += 1;
            return;
        }
        gateway.enqueue(user, request_bytes(&held.request));
        self.held.push_back(held);
    }

    /// Sends what waits in the gateway while the pool has room, and gives up what waited too long.
    fn release_held(&mut self) {
        while let Some(held) = self.held.front() {
            let waited = self.now - held.request.arrival;
            self.look_at_endpoints();
            let Some(gateway) = &mut self.gateway else {
                return;
            };
            let too_long = waited >= f64::from(gateway.config.queue_seconds);
            if !too_long && gateway.saturation() >= 1.0 {
                return;
            }
            let Some(held) = self.held.pop_front() else {
                return;
            };
            gateway.dequeue(held.user, request_bytes(&held.request));
            if too_long {
                gateway.flow(held.user, Outcome::EvictedTtl, waited);
                gateway.fail(held.user, ErrorCode::ServiceUnavailable);
                self.tenants[held.user].failed += 1;
            } else {
                gateway.flow(held.user, Outcome::Dispatched, waited);
                self.dispatch(held);
            }
        }
    }

    /// Chooses an engine, and sends the request there.
    fn dispatch(&mut self, held: Held) {
        let Held { user, request, bad } = held;
        self.look_at_endpoints();
        let of_role = |wanted: fn(Role) -> bool| -> Vec<usize> {
            let servers = self.servers.iter().enumerate();
            let servers = servers.filter(|(_, s)| !s.down && wanted(s.config.role));
            servers.map(|(index, _)| index).collect()
        };
        let candidates = of_role(|role| matches!(role, Role::Whole | Role::Decode));
        let split = self.config.servers.iter().any(|s| s.role == Role::Prefill);
        let prefill = self.least_loaded(|role| role == Role::Prefill);
        let Some(gateway) = &mut self.gateway else {
            return;
        };
        let chosen = gateway.choose(&candidates, request.prompt, request.prefix);
        let Some((index, hit)) = chosen else {
            gateway.fail(user, ErrorCode::ServiceUnavailable);
            self.tenants[user].failed += 1;
            return;
        };
        let worth = request.prompt - hit >= gateway.config.disaggregation_tokens;
        let decodes = self.servers[index].config.role == Role::Decode;
        let prefill = prefill.filter(|_| decodes && worth && !bad && request.sequences.len() == 1);
        if split && decodes {
            let decision = match prefill {
                Some(_) => Decision::PrefillDecode,
                None => Decision::DecodeOnly,
            };
            *gateway.decisions.entry(decision).or_insert(0) += 1;
        }
        let requests = gateway.of(user);
        requests.requests += 1;
        requests.running += 1;
        requests
            .request_bytes
            .record(float(request_bytes(&request)));
        *gateway.under_way.entry((index, user)).or_insert(0) += 1;
        self.send(user, index, request, bad, prefill, true);
    }

    fn look_at_endpoints(&mut self) {
        let Some(gateway) = &mut self.gateway else {
            return;
        };
        let pool = self.servers.iter().enumerate();
        let mut pool = pool.filter(|(_, server)| server.config.role != Role::Direct);
        if gateway.endpoints.is_empty() {
            gateway.endpoints = pool
                .by_ref()
                .map(|(server, s)| Endpoint {
                    name: s.config.name.clone(),
                    server,
                    ready: true,
                    waiting: 0,
                    running: 0,
                    kv_usage: 0.0,
                })
                .collect();
        }
        for endpoint in &mut gateway.endpoints {
            let server = &self.servers[endpoint.server];
            let engines = &server.twin.truth().engines;
            endpoint.ready = !server.down;
            endpoint.waiting = engines.iter().map(|e| e.waiting).sum();
            endpoint.running = engines.iter().map(|e| e.running).sum();
            let usage: f64 = engines.iter().map(EngineTruth::kv_usage).sum();
            endpoint.kv_usage = usage / float(engines.len().max(1) as u64);
        }
    }

    // Engines.

    /// Sends a request to a server; where `prefill` is another one, its prompt goes there first.
    fn send(
        &mut self,
        user: usize,
        index: usize,
        mut request: Request,
        bad: bool,
        prefill: Option<usize>,
        pooled: bool,
    ) {
        let server = &self.servers[index];
        if let ServerKind::Tgi(launch) = &server.config.kind {
            Counters::shape(&mut request, launch, server.config.engine.max_model_len);
            if request.handler != CHAT {
                request.handler = tgi::api::GENERATE;
            }
        }
        if let Some(lora) = &server.config.engine.lora
            && self.users.chance(lora.share)
        {
            let adapters = u32::try_from(lora.adapters.len()).unwrap_or(u32::MAX);
            request.adapter = Some(self.users.below(adapters) as usize);
        }
        let id = request.id;
        let mut flight = Flight {
            user,
            arrival: request.arrival,
            server: index,
            pooled,
            streamed: request.streamed,
            prompt: request.prompt,
            cached: 0,
            first: None,
            last: self.now,
            generated: 0,
            decode: None,
        };
        // The engine's clocks begin where the request reaches it.
        request.hang_up.at += self.now - request.arrival;
        request.arrival = self.now;
        let mut to = index;
        if let Some(prefill) = prefill {
            let mut prompt = request.clone();
            prompt.hang_up.after_tokens = None;
            for answer in &mut prompt.sequences {
                (answer.tokens, answer.max_tokens) = (1, 1);
                answer.reason = FinishReason::Length;
            }
            flight.decode = Some((index, request));
            flight.server = prefill;
            request = prompt;
            to = prefill;
        }
        self.flights.insert(id, flight);
        self.submit(to, request, bad);
    }

    /// Hands a request that has a flight to a server's engine.
    fn submit(&mut self, index: usize, request: Request, bad: bool) {
        let id = request.id;
        let server = &mut self.servers[index];
        server.twin.advance_to(self.now);
        let mut code = None;
        if bad {
            server.twin.refuse_bad(&request);
            code = Some(ErrorCode::BadRequest);
        }
        if let (Some(counters), ServerKind::Tgi(launch)) = (&mut server.tgi, &server.config.kind) {
            let full = server.twin.load() >= launch.max_concurrent_requests as usize;
            let failure = if full {
                Some(Failure::Overloaded)
            } else {
                bad.then_some(Failure::Validation)
            };
            counters.arrive(&request, failure);
            if full {
                code = Some(ErrorCode::ServiceUnavailable);
            }
        }
        if code.is_none() && !server.twin.submit(request) {
            code = Some(ErrorCode::ServiceUnavailable);
        }
        match code {
            Some(code) => self.lose(id, code),
            None => self.read_journal(index),
        }
    }

    /// Hears what happened on a server.
    fn read_journal(&mut self, index: usize) {
        let mut journal = std::mem::take(&mut self.journal);
        let server = &mut self.servers[index];
        server.twin.take_journal(&mut journal);
        for happening in journal.drain(..) {
            if let Some(counters) = &mut self.servers[index].tgi {
                counters.note(&happening);
            }
            match happening {
                Happening::Token { request, at, .. } => self.token(request, at),
                Happening::Ended(ended) => {
                    if let Some(flight) = self.flights.get_mut(&ended.request)
                        && flight.decode.is_none()
                    {
                        flight.cached = flight.cached.max(ended.cached);
                        flight.generated += u64::from(ended.generated);
                    }
                }
                Happening::Done {
                    request,
                    at,
                    failed,
                } => self.done(request, at, failed),
                Happening::HungUp { request, .. } => self.hung_up(request),
                Happening::Step(_) => {}
            }
        }
        self.journal = journal;
    }

    fn token(&mut self, id: u64, at: f64) {
        let Some(flight) = self.flights.get_mut(&id) else {
            return;
        };
        if flight.decode.is_some() {
            // The prefill server's token is not the user's.
            return;
        }
        let gap = flight.first.map(|_| at - flight.last);
        let first = *flight.first.get_or_insert(at) - flight.arrival;
        flight.last = at;
        if flight.pooled
            && flight.streamed
            && let Some(gateway) = &mut self.gateway
        {
            let requests = gateway.of(flight.user);
            match gap {
                Some(gap) => requests.between_tokens.record(gap),
                None => requests.first_token.record(first),
            }
        }
    }

    fn done(&mut self, id: u64, at: f64, failed: bool) {
        let Some(flight) = self.flights.get_mut(&id) else {
            return;
        };
        if let Some((index, mut request)) = flight.decode.take() {
            if self.servers[index].down {
                return self.lose(id, ErrorCode::ServiceUnavailable);
            }
            let bytes = f64::from(request.prompt) * KV_BYTES_PER_TOKEN;
            self.servers[flight.server].transferred.0 += bytes;
            self.servers[index].transferred.1 += bytes;
            flight.server = index;
            request.arrival = at;
            request.received = Some(at + TRANSFER_SECONDS + bytes / TRANSFER_BYTES_PER_SECOND);
            return self.submit(index, request, false);
        }
        if failed {
            return self.lose(id, ErrorCode::ModelServerError);
        }
        let Some(flight) = self.land(id) else {
            return;
        };
        let tenant = &mut self.tenants[flight.user];
        tenant.completed += 1;
        tenant.prompt_tokens += u64::from(flight.prompt);
        tenant.completion_tokens += flight.generated;
        if let Some(limitador) = &mut self.limitador
            && !self.incidents.contains(&Incident::LimitadorDown)
        {
            let tokens = u64::from(flight.prompt) + flight.generated;
            limitador.report(flight.user, &self.config.tenants, tokens, at);
        }
        if flight.pooled
            && let Some(gateway) = &mut self.gateway
        {
            let requests = gateway.of(flight.user);
            let seconds = at - flight.arrival;
            let tokens = float(flight.generated);
            requests.duration.record(seconds);
            requests.normalized.record(seconds / tokens.max(1.0));
            requests.input.record(f64::from(flight.prompt));
            requests.output.record(tokens);
            requests.cached.record(f64::from(flight.cached));
            requests.response_bytes.record(420.0 + 5.0 * tokens);
            if !flight.streamed {
                requests.whole_answer.record(seconds);
            } else if flight.generated > 1
                && let Some(first) = flight.first
            {
                requests
                    .per_token
                    .record((flight.last - first) / (tokens - 1.0));
            }
        }
    }

    fn hung_up(&mut self, id: u64) {
        if let Some(flight) = self.land(id) {
            self.tenants[flight.user].hung_up += 1;
        }
    }

    /// Ends a request that failed.
    fn lose(&mut self, id: u64, code: ErrorCode) {
        let Some(flight) = self.land(id) else {
            return;
        };
        self.tenants[flight.user].failed += 1;
        if flight.pooled
            && let Some(gateway) = &mut self.gateway
        {
            gateway.fail(flight.user, code);
        }
    }

    /// Takes a request out of the list of those under way.
    fn land(&mut self, id: u64) -> Option<Flight> {
        let flight = self.flights.remove(&id)?;
        if flight.pooled
            && let Some(gateway) = &mut self.gateway
        {
            gateway.of(flight.user).running -= 1;
            // While its prompt is computed elsewhere, it counts for the server that will decode.
            let server = flight.decode.as_ref().map_or(flight.server, |(s, _)| *s);
            if let Some(n) = gateway.under_way.get_mut(&(server, flight.user)) {
                *n = n.saturating_sub(1);
            }
        }
        Some(flight)
    }

    // GPUs and incidents.

    fn tick(&mut self) {
        self.ticks += 1;
        let now = self.now;
        let Some(gpus) = &mut self.gpus else {
            return self.release_held();
        };
        let mut loads = Vec::new();
        for server in &mut self.servers {
            if !server.down {
                server.twin.advance_to(now);
            }
            let engines = &server.twin.truth().engines;
            let each = 1.0 / float(engines.len().max(1) as u64);
            let (sent, received) = std::mem::take(&mut server.transferred);
            for (before, after) in server.seen.iter().zip(engines) {
                loads.push(GpuLoad {
                    sent_bytes: sent * each,
                    received_bytes: received * each,
                    ..GpuLoad::between(before, after, TICK_SECONDS)
                });
            }
            server.seen.clone_from(engines);
        }
        gpus.advance(TICK_SECONDS, &loads);
        for index in 0..self.servers.len() {
            self.read_journal(index);
        }
        self.set_speeds();
        self.release_held();
    }

    /// Sets how fast the engines are: as their GPUs are, and as incidents have it.
    fn set_speeds(&mut self) {
        let prefill = if self.has(Incident::SlowPrefill) {
            8.0
        } else {
            1.0
        };
        let decode = if self.has(Incident::SlowDecode) {
            5.0
        } else {
            1.0
        };
        let mut first = 0;
        for server in &mut self.servers {
            let engines = server.twin.truth().engines.len();
            let gpus = self.gpus.as_ref();
            let hot = (first..first + engines)
                .map(|engine| gpus.map_or(1.0, |gpus| gpus.slowdown(engine)))
                .fold(1.0, f64::max);
            first += engines;
            // The factors are finite and positive.
            let _ = server.twin.slow_prefill(prefill * hot);
            let _ = server.twin.slow_decode(decode * hot);
        }
    }

    fn resize_caches(&mut self) {
        let thrash = self.has(Incident::CacheThrash);
        for server in &mut self.servers {
            let config = &server.config.engine;
            let blocks = if thrash {
                config.blocks_of_longest()
            } else {
                config.kv_blocks
            };
            for engine in 0..server.twin.truth().engines.len() {
                // The blocks of the longest request are enough.
                let _ = server.twin.set_kv_blocks(engine, blocks);
            }
        }
    }

    fn set_access(&mut self) {
        let (unknown, without_rights) = (
            self.has(Incident::GatewayUnauthorized),
            self.has(Incident::GatewayForbidden),
        );
        let (Some(gateway), Some(config)) = (&mut self.gateway, &self.config.gateway) else {
            return;
        };
        gateway.config.clone_from(config);
        if let Some(token) = &mut gateway.config.token
            && (unknown || without_rights)
        {
            let old = std::mem::replace(token, format!("{token}-renewed"));
            if !unknown {
                gateway.config.tokens_without_rights.push(old);
            }
        }
    }

    fn with_gpus(&mut self, act: impl FnOnce(&mut GpuFleet)) {
        if let Some(gpus) = &mut self.gpus {
            act(gpus);
        }
    }

    /// The first server that answers requests, for the incident that kills it.
    fn victim(&self) -> usize {
        let servers = self.config.servers.iter();
        servers
            .enumerate()
            .find(|(_, server)| server.role != Role::Prefill)
            .map_or(0, |(index, _)| index)
    }

    fn kill(&mut self) {
        let index = self.victim();
        self.servers[index].down = true;
        let on_it: Vec<u64> = self
            .flights
            .iter()
            .filter(|(_, flight)| flight.server == index)
            .map(|(&id, _)| id)
            .collect();
        for id in on_it {
            self.lose(id, ErrorCode::ServiceUnavailable);
        }
        let tokens = self.config.traffic.shared_prefix_tokens;
        if let Some(gateway) = &mut self.gateway {
            gateway.forget(index, tokens);
        }
        self.look_at_endpoints();
    }

    fn revive(&mut self) {
        let index = self.victim();
        let restarts = self.servers[index].restarts + 1;
        // What could be made once can be made again.
        if let Ok(server) = server(&self.config, index, restarts, self.now) {
            self.servers[index] = server;
        }
        self.resize_caches();
        self.set_speeds();
        self.look_at_endpoints();
    }
}

/// A server that starts at `now`.
fn server(
    config: &WorldConfig,
    index: usize,
    restarts: u64,
    now: f64,
) -> Result<EngineServer, ConfigError> {
    let engine = config.engine(index, restarts);
    let tgi = match &config.servers[index].kind {
        ServerKind::Vllm(_) => None,
        ServerKind::Tgi(launch) => Some(Counters::new(launch, engine.max_model_len, engine.seed)),
    };
    let mut twin = Twin::starting_at(engine, now)?;
    twin.keep_journal();
    Ok(EngineServer {
        config: config.servers[index].clone(),
        seen: twin.truth().engines.clone(),
        twin,
        tgi,
        down: false,
        restarts,
        transferred: (0.0, 0.0),
    })
}

fn request_bytes(request: &Request) -> u64 {
    crate::twin::request_bytes(request.prompt)
}
