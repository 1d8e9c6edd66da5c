//! Things that go wrong, by name.

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
    /// Somebody caps the power of the first GPU.
    GpuPowerCap,
    /// The first server that answers requests dies. It comes back empty.
    EngineDown,
    /// Prompts take eight times as long.
    SlowPrefill,
    /// All else takes five times as long.
    SlowDecode,
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
    pub const ALL: [Self; 15] = [
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
            Self::GpuPowerCap => "the first GPU may draw 200 W only: it runs at its power limit",
            Self::EngineDown => {
                "the first serving engine server dies: no page, its requests are lost"
            }
            Self::SlowPrefill => "prompts take eight times as long to compute",
            Self::SlowDecode => "decoding takes five times as long",
            Self::GatewayUnauthorized => "the gateway no longer knows the bearer token: 401",
            Self::GatewayForbidden => "the bearer token lost its right to read metrics: 403",
            Self::GatewayDown => "the gateway's metrics port answers nothing",
            Self::LimitadorDown => "Limitador's port answers nothing; requests pass unlimited",
        }
    }
}
