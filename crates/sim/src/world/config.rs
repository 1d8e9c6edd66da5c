//! What a world is made of.

use crate::config::{Config, ConfigError, Traffic};
use crate::gateway::Gateway;
use crate::gpu::GpuConfig;
use crate::limitador::{Counts, Limit, Limitador, Namespace};
use crate::tgi::Launch;
use crate::vllm::{Layout, Release};

/// A whole world: who asks, who limits, who routes, who answers, on what.
///
/// [`WorldConfig::default`] is a pool of a prefill and two decode engines of two vLLM releases behind
/// an llm-d gateway, a TGI server beside it, eight GPUs, and six users with quotas of tokens.
#[derive(Clone, Debug)]
pub struct WorldConfig {
    /// Everything random comes from here.
    pub seed: u64,
    /// The moment of start in seconds since the Unix epoch.
    pub start_unix_seconds: f64,
    /// What all users send together. It takes the place of the servers' own traffic.
    pub traffic: Traffic,
    /// Share of the requests that go to servers outside the pool, where there are any.
    pub direct_share: f64,
    /// The users.
    pub tenants: Vec<Tenant>,
    /// The engine servers.
    pub servers: Vec<ServerConfig>,
    /// What limits the users; `None` lets all pass.
    pub limitador: Option<Limitador>,
    /// What is in front of the pool; `None` spreads its requests by load.
    pub gateway: Option<Gateway>,
    /// The GPUs of every engine; `None` where nobody looks.
    pub gpus: Option<GpuConfig>,
}

/// Somebody who sends requests.
#[derive(Clone, Debug, PartialEq)]
pub struct Tenant {
    /// The name that limits and counts go by.
    pub user: String,
    /// The group, on which the limits depend.
    pub group: String,
    /// Share of the requests, in proportion to those of the others.
    pub share: f64,
    /// The priority that the gateway labels the requests with.
    pub priority: i32,
}

/// An engine server.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Its name, the same as no other's.
    pub name: String,
    /// What it is.
    pub kind: ServerKind,
    /// What it does.
    pub role: Role,
    /// Engine, machine and cache. Seed, start and traffic are those of the world.
    pub engine: Config,
}

/// What an engine server is.
#[derive(Clone, Debug)]
pub enum ServerKind {
    /// vLLM of a release.
    Vllm(Layout),
    /// Text Generation Inference 3.3.7. It has one engine.
    Tgi(Launch),
}

impl ServerKind {
    /// `vllm` or `tgi`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Vllm(_) => "vllm",
            Self::Tgi(_) => "tgi",
        }
    }
}

/// What an engine server does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Whole requests, outside the pool.
    Direct,
    /// Whole requests, in the pool.
    Whole,
    /// Prompts, for decode servers of the pool.
    Prefill,
    /// Answers, in the pool; prompts too where they are short, cached, or nobody else computes them.
    Decode,
}

impl Role {
    /// `direct`, `whole`, `prefill`, `decode`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Whole => "whole",
            Self::Prefill => "prefill",
            Self::Decode => "decode",
        }
    }
}

impl Default for WorldConfig {
    fn default() -> Self {
        let latest = Layout::of(Release::latest());
        let older = Release::find("0.11.0").map_or_else(|| latest.clone(), Layout::of);
        let vllm = |name: &str, layout: Layout, role| ServerConfig {
            name: name.to_owned(),
            kind: ServerKind::Vllm(layout),
            role,
            engine: Config::default(),
        };
        Self {
            seed: 1,
            start_unix_seconds: 1_795_000_000.0,
            traffic: Traffic {
                arrivals_per_second: 24.0,
                ..Traffic::default()
            },
            direct_share: 0.2,
            tenants: [
                ("acme", "premium", 7.0, 10),
                ("globex", "premium", 6.0, 10),
                ("initech", "standard", 4.0, 0),
                ("hooli", "free", 1.0, -1),
                ("umbrella", "free", 1.0, -1),
                ("soylent", "free", 1.0, -1),
            ]
            .map(|(user, group, share, priority)| Tenant {
                user: user.to_owned(),
                group: group.to_owned(),
                share,
                priority,
            })
            .to_vec(),
            servers: vec![
                vllm("vllm-prefill-0", latest.clone(), Role::Prefill),
                vllm("vllm-decode-0", latest, Role::Decode),
                vllm("vllm-decode-1", older, Role::Decode),
                ServerConfig {
                    name: "tgi-0".to_owned(),
                    kind: ServerKind::Tgi(Launch::default()),
                    role: Role::Direct,
                    engine: Config::default(),
                },
            ],
            limitador: Some(Limitador::default()),
            gateway: Some(Gateway::default()),
            gpus: Some(GpuConfig {
                per_engine: 2,
                ..GpuConfig::default()
            }),
        }
    }
}

impl Default for Limitador {
    /// Tokens by group, and requests for all, by the minute.
    fn default() -> Self {
        let limit = |name: &str, max, group: Option<&str>| Limit {
            name: name.to_owned(),
            max,
            seconds: 60,
            group: group.map(str::to_owned),
        };
        Self {
            namespaces: vec![
                Namespace {
                    name: "llm/requests".to_owned(),
                    counts: Counts::Requests,
                    limits: vec![limit("requests-per-user", 12_000, None)],
                },
                Namespace {
                    name: "llm/chat".to_owned(),
                    counts: Counts::Tokens,
                    limits: vec![
                        limit("tokens-free", 90_000, Some("free")),
                        limit("tokens-standard", 4_000_000, Some("standard")),
                        limit("tokens-premium", 20_000_000, Some("premium")),
                    ],
                },
            ],
        }
    }
}

impl WorldConfig {
    /// `count` users of one share each, every eighth of them in the group `premium`, every fourth in
    /// `standard`, the others in `free`.
    #[must_use]
    pub fn many_tenants(count: usize) -> Vec<Tenant> {
        (0..count)
            .map(|index| {
                let (group, priority) = match index % 8 {
                    0 => ("premium", 10),
                    2 | 6 => ("standard", 0),
                    _ => ("free", -1),
                };
                Tenant {
                    user: format!("user-{index:04}"),
                    group: group.to_owned(),
                    share: 1.0,
                    priority,
                }
            })
            .collect()
    }

    /// The configuration of a server's engine, with all that is the world's.
    pub(super) fn engine(&self, server: usize, restarts: u64) -> Config {
        let mut traffic = self.traffic.clone();
        traffic.arrivals_per_second = 0.0;
        Config {
            seed: self
                .seed
                .wrapping_mul(0x9E37_79B9_7F4A_7C15)
                .wrapping_add(server as u64 + 1000 * restarts),
            start_unix_seconds: self.start_unix_seconds,
            traffic,
            ..self.servers[server].engine.clone()
        }
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let wrong = |field, problem| Err(ConfigError::new(field, problem));
        if self.servers.is_empty() {
            return wrong("servers", "must be at least 1");
        }
        let shares: f64 = self.tenants.iter().map(|tenant| tenant.share).sum();
        let positive = |share: f64| share.is_finite() && share >= 0.0;
        if !self.tenants.iter().all(|tenant| positive(tenant.share)) || shares <= 0.0 {
            return wrong("tenants", "shares must not be negative, and one above 0");
        }
        if !(0.0..=1.0).contains(&self.direct_share) {
            return wrong("direct_share", "is a share: 0 to 1");
        }
        for (index, server) in self.servers.iter().enumerate() {
            if self.servers[..index].iter().any(|s| s.name == server.name) {
                return wrong("servers", "two have one name");
            }
            match &server.kind {
                ServerKind::Vllm(layout) => {
                    if layout.check(&server.engine).is_err() {
                        return wrong("servers", "the release cannot tell several engines apart");
                    }
                }
                ServerKind::Tgi(launch) => {
                    if server.engine.engines != 1 || server.role != Role::Direct {
                        return wrong("servers", "TGI has one engine, outside the pool");
                    }
                    if launch.max_input_tokens >= server.engine.max_model_len {
                        return wrong("servers", "max_input_tokens must be below max_model_len");
                    }
                }
            }
        }
        let has = |role: Role| self.servers.iter().any(|server| server.role == role);
        if has(Role::Prefill) && !has(Role::Decode) {
            return wrong("servers", "a prefill server needs a decode server");
        }
        // Without a pool everything is direct, and without direct servers nothing is.
        let pool = has(Role::Whole) || has(Role::Decode);
        if !pool && self.gateway.is_some() {
            return wrong("gateway", "has no server in its pool");
        }
        Ok(())
    }
}
