//! Things that go wrong, by name, and what they do to a world.

use super::{Role, World, server};
use crate::gateway::ErrorCode;
use crate::gpu::GpuFleet;

/// How fast a leak goes: what a busy card has free is gone within an hour.
const LEAK_BYTES_PER_SECOND: f64 = 2.4e6;
/// A fifth less than what a card draws that only decodes.
const POWER_CAP_WATTS: f64 = 400.0;

/// Something that goes wrong in a [`World`](crate::World), and goes on until it is
/// [ended](crate::World::end_incident).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Incident {
    /// Twelve times the requests of all users but those with the lowest quota.
    QueueStorm,
    /// No prompt begins like another, and the caches are as small as they can be.
    CacheThrash,
    /// One user of the group with the lowest quota sends forty times the requests.
    TenantFlood,
    /// The first GPU is no longer cooled.
    GpuHot,
    /// The first GPU reports a contained memory error, once.
    Xid,
    /// The first GPU falls off the bus, and its engine hangs.
    GpuLost,
    /// A second process on the first GPU takes more and more of its memory, until there is none.
    GpuLeak,
    /// Somebody caps the power of all GPUs.
    GpuPowerCap,
    /// The first server that answers requests dies. It comes back empty.
    EngineDown,
    /// Prompts take ten times as long.
    SlowPrefill,
    /// All else takes five times as long.
    SlowDecode,
    /// All else takes fifty times as long.
    DecodeCrawl,
    /// The gateway no longer knows the token.
    GatewayUnauthorized,
    /// The token may no longer read the gateway's page.
    GatewayForbidden,
    /// The gateway's metrics port is gone.
    GatewayDown,
    /// Limitador's port is gone.
    LimitadorDown,
}

impl Incident {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::QueueStorm,
        Self::CacheThrash,
        Self::TenantFlood,
        Self::GpuHot,
        Self::Xid,
        Self::GpuLost,
        Self::GpuLeak,
        Self::GpuPowerCap,
        Self::EngineDown,
        Self::SlowPrefill,
        Self::SlowDecode,
        Self::DecodeCrawl,
        Self::GatewayUnauthorized,
        Self::GatewayForbidden,
        Self::GatewayDown,
        Self::LimitadorDown,
    ];

    /// The incident of a name, as `queue-storm`.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|incident| incident.name() == name)
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::QueueStorm => "queue-storm",
            Self::CacheThrash => "cache-thrash",
            Self::TenantFlood => "tenant-flood",
            Self::GpuHot => "gpu-hot",
            Self::Xid => "xid",
            Self::GpuLost => "gpu-lost",
            Self::GpuLeak => "gpu-leak",
            Self::GpuPowerCap => "gpu-power-cap",
            Self::EngineDown => "engine-down",
            Self::SlowPrefill => "slow-prefill",
            Self::SlowDecode => "slow-decode",
            Self::DecodeCrawl => "decode-crawl",
            Self::GatewayUnauthorized => "gateway-unauthorized",
            Self::GatewayForbidden => "gateway-forbidden",
            Self::GatewayDown => "gateway-down",
            Self::LimitadorDown => "limitador-down",
        }
    }

    /// What happens, in one line.
    #[must_use]
    pub fn description(self) -> &'static str {
        match self {
            Self::QueueStorm => "twelve times the requests: queues grow, first tokens come late",
            Self::CacheThrash => {
                "no shared prefixes and minimal KV caches: no prefix hits, preemptions"
            }
            Self::TenantFlood => "one free user sends forty times as much and is limited",
            Self::GpuHot => {
                "the first GPU is not cooled: it heats up, throttles, and slows its engine"
            }
            Self::Xid => "the first GPU reports XID 94, a contained memory error, once",
            Self::GpuLost => "the first GPU falls off the bus (XID 79) and its engine hangs",
            Self::GpuLeak => {
                "a second process on the first GPU takes the rest of its memory within an hour"
            }
            Self::GpuPowerCap => {
                "all GPUs may draw 400 W only: those that decode run at their power limit"
            }
            Self::EngineDown => {
                "the first serving engine server dies: no page, its requests are lost"
            }
            Self::SlowPrefill => "prompts take ten times as long to compute",
            Self::SlowDecode => "decoding takes five times as long",
            Self::DecodeCrawl => {
                "decoding takes fifty times as long, as it does out of the host's memory"
            }
            Self::GatewayUnauthorized => "the gateway no longer knows the bearer token: 401",
            Self::GatewayForbidden => "the bearer token lost its right to read metrics: 403",
            Self::GatewayDown => "the gateway's metrics port answers nothing",
            Self::LimitadorDown => "Limitador's port answers nothing; requests pass unlimited",
        }
    }
}

impl World {
    /// Lets something go wrong from now on. What already goes wrong, or has nothing here to go wrong
    /// with, changes nothing.
    pub fn incident(&mut self, incident: Incident) {
        if !self.incidents.insert(incident) {
            return;
        }
        match incident {
            Incident::CacheThrash => self.resize_caches(),
            Incident::GpuHot => self.with_gpus(|gpus| gpus.set_cooling(0, 0.12)),
            Incident::Xid => self.with_gpus(|gpus| gpus.report_xid(0, 94)),
            Incident::GpuLeak => {
                self.with_gpus(|gpus| gpus.set_leak(0, LEAK_BYTES_PER_SECOND));
            }
            Incident::GpuPowerCap => self.with_gpus(|gpus| cap(gpus, Some(POWER_CAP_WATTS))),
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
            Incident::SlowPrefill | Incident::SlowDecode | Incident::DecodeCrawl => {
                self.set_speeds();
            }
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
            Incident::GpuPowerCap => self.with_gpus(|gpus| cap(gpus, None)),
            Incident::GpuLost => {
                self.with_gpus(|gpus| gpus.set_lost(0, false));
                let _ = self.servers[0].twin.start_engine(0);
            }
            Incident::EngineDown => self.revive(),
            Incident::QueueStorm | Incident::TenantFlood => self.draw_arrival(),
            Incident::SlowPrefill | Incident::SlowDecode | Incident::DecodeCrawl => {
                self.set_speeds();
            }
            Incident::GatewayUnauthorized
            | Incident::GatewayForbidden
            | Incident::GatewayDown
            | Incident::LimitadorDown => self.set_access(),
        }
    }

    pub(super) fn has(&self, incident: Incident) -> bool {
        self.incidents.contains(&incident)
    }

    /// Sets how fast the engines are: as their GPUs are, and as incidents have it.
    pub(super) fn set_speeds(&mut self) {
        let prefill = if self.has(Incident::SlowPrefill) {
            10.0
        } else {
            1.0
        };
        let decode = if self.has(Incident::DecodeCrawl) {
            50.0
        } else if self.has(Incident::SlowDecode) {
            5.0
        } else {
            1.0
        };
        let mut first = 0;
        for server in &mut self.servers {
            let engines = server.twin.truth().engines.len();
            let gpus = self.gpus.as_ref();
            // The slowest of them keeps the others waiting.
            let slowest = |slowdown: fn(&GpuFleet, usize) -> f64| {
                (first..first + engines)
                    .map(|engine| gpus.map_or(1.0, |gpus| slowdown(gpus, engine)))
                    .fold(1.0, f64::max)
            };
            // The factors are finite and positive.
            let _ = server
                .twin
                .slow_prefill(prefill * slowest(GpuFleet::slowdown));
            let _ = server
                .twin
                .slow_decode(decode * slowest(GpuFleet::slowdown_of_decoding));
            first += engines;
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

/// Lets every GPU draw so much.
fn cap(gpus: &mut GpuFleet, watts: Option<f64>) {
    for gpu in 0..gpus.gpus().len() {
        gpus.set_power_limit(gpu, watts);
    }
}
