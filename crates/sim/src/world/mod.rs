//! A whole token path in one virtual time: users with quotas, a gateway, engine servers of several
//! kinds, the GPUs under them.
//!
//! A world draws each request once. What the engine, the gateway and the quotas count is then the
//! same request, seen from each of them.

mod config;
mod dispatch;
mod flight;
mod incident;
mod serve;
mod truth_json;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::config::ConfigError;
use crate::engine::Request;
use crate::gateway::GatewayTruth;
use crate::gpu::{GpuFleet, GpuLoad};
use crate::journal::Happening;
use crate::limitador::LimitadorTruth;
use crate::random::Random;
use crate::tgi::Counters;
use crate::truth::{EngineTruth, Truth, float};
use crate::twin::{ADVANCE_SECONDS_MAX, Twin};

pub use config::{Role, ServerConfig, ServerKind, Tenant, WorldConfig};
pub use incident::Incident;
pub use serve::{Part, RunningWorld, WorldServer};

/// Seconds between two looks at the GPUs and at requests that wait in the gateway.
const TICK_SECONDS: f64 = 0.25;

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

    /// Nobody sends anything from now on; what is under way goes on.
    pub fn end_traffic(&mut self) {
        self.config.traffic.arrivals_per_second = 0.0;
        self.draw_arrival();
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
