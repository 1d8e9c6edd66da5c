//! A world behind real sockets: one for each engine server, for Limitador, for the gateway.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};

use super::truth_json::world_json;
use super::{Incident, ServerKind, World};
use crate::http::{Clocked, Listening, Passes, Site, empty, respond};
use crate::vllm::api::TRUTH;
use crate::{gateway, limitador, tgi, vllm};

/// Where time can be let pass, whatever the speed: `POST /debug/advance?seconds=15`. No real server has this.
const ADVANCE: &str = "/debug/advance";

/// Something in a world that has an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// An engine server, by index.
    Server(usize),
    /// Limitador's HTTP API.
    Limitador,
    /// The gateway's metrics port.
    Gateway,
}

/// A world about to be served.
///
/// ```
/// use tokenpath_sim::{Part, World, WorldConfig, WorldServer};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let world = World::new(WorldConfig::default())?;
/// let running = WorldServer::new(world).bind().await?;
/// for (part, address) in running.addresses() {
///     println!("{part:?}: http://{address}/metrics");
/// }
/// assert!(running.address(Part::Gateway).is_some());
/// running.stop().await;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct WorldServer {
    world: World,
    speed: f64,
    follower: Option<Follower>,
    ip: IpAddr,
    port: u16,
}

impl WorldServer {
    /// A server of `world` on the loopback interface, in real time.
    #[must_use]
    pub fn new(world: World) -> Self {
        Self {
            world,
            speed: 1.0,
            follower: None,
            ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: 0,
        }
    }

    /// Seconds of virtual time per second, as [`Server::speed`](crate::Server::speed). At 0 time stands
    /// still but for `POST /debug/advance?seconds=15` at any of its addresses.
    #[must_use]
    pub fn speed(mut self, speed: f64) -> Self {
        self.speed = speed;
        self
    }

    /// Calls `follow` whenever time was let pass by `POST /debug/advance`, before that is answered: so that
    /// what shows the world elsewhere shows it as of then. All pages wait meanwhile.
    #[must_use]
    pub fn after_advance(mut self, follow: impl Fn(&World) + Send + Sync + 'static) -> Self {
        self.follower = Some(Follower(Arc::new(follow)));
        self
    }

    /// The interface to listen on.
    #[must_use]
    pub fn ip(mut self, ip: IpAddr) -> Self {
        self.ip = ip;
        self
    }

    /// The ports to listen on: this one for the first part, the next for the second, and so on, so
    /// that others know where the parts are. One that is taken is replaced by a free one; 0, the
    /// default, means free ones for all.
    #[must_use]
    pub fn port(mut self, first: u16) -> Self {
        self.port = first;
        self
    }

    /// Listens on a port for each part, and starts to serve and to let time pass on the current
    /// tokio runtime.
    ///
    /// # Errors
    /// No port can be listened on.
    ///
    /// # Panics
    /// Outside a tokio runtime with its timers and I/O enabled.
    pub async fn bind(self) -> io::Result<RunningWorld> {
        let mut parts: Vec<Part> = (0..self.world.servers.len()).map(Part::Server).collect();
        parts.extend(self.world.limitador.is_some().then_some(Part::Limitador));
        parts.extend(self.world.gateway.is_some().then_some(Part::Gateway));
        let shared = Arc::new(Clocked::new(self.world, self.speed));
        let mut listening = Vec::new();
        for (number, part) in (0..).zip(parts) {
            let site = Arc::new(PartSite {
                shared: Arc::clone(&shared),
                follower: self.follower.clone(),
                part,
            });
            let wanted = match self.port {
                0 => 0,
                first => first.checked_add(number).unwrap_or(0),
            };
            let bound = match Listening::bind((self.ip, wanted), Arc::clone(&site) as _).await {
                Err(error) if wanted != 0 && error.kind() == io::ErrorKind::AddrInUse => {
                    Listening::bind((self.ip, 0), site).await?
                }
                bound => bound?,
            };
            listening.push((part, bound));
        }
        Ok(RunningWorld { shared, listening })
    }
}

/// A world being served. Dropping it stops it without waiting.
#[derive(Debug)]
pub struct RunningWorld {
    shared: Arc<Clocked<World>>,
    listening: Vec<(Part, Listening)>,
}

impl RunningWorld {
    /// The parts, and where they listen: engine servers first.
    pub fn addresses(&self) -> impl Iterator<Item = (Part, SocketAddr)> {
        self.listening
            .iter()
            .map(|(part, listening)| (*part, listening.local_addr()))
    }

    /// Where a part listens; `None` where the world has none such.
    #[must_use]
    pub fn address(&self, part: Part) -> Option<SocketAddr> {
        self.addresses()
            .find(|(p, _)| *p == part)
            .map(|(_, address)| address)
    }

    /// Looks at the world at this moment, or does something to it: an incident, a step of time. All
    /// pages wait meanwhile.
    pub fn with_world<T>(&self, act: impl FnOnce(&mut World) -> T) -> T {
        act(&mut self.shared.current().thing)
    }

    /// Stops listening, lets answers under way finish for at most two seconds, and returns.
    pub async fn stop(self) {
        for (_, listening) in self.listening {
            listening.stop().await;
        }
    }
}

impl Passes for World {
    fn pass(&mut self, seconds: f64) {
        self.advance(seconds);
    }
}

/// Who is told that time was let pass.
#[derive(Clone)]
struct Follower(Arc<dyn Fn(&World) + Send + Sync>);

impl fmt::Debug for Follower {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Follower")
    }
}

struct PartSite {
    shared: Arc<Clocked<World>>,
    follower: Option<Follower>,
    part: Part,
}

impl Site for PartSite {
    fn answer(&self, request: &Request<Incoming>) -> Option<Response<Full<Bytes>>> {
        let mut moment = self.shared.current();
        let world = &mut moment.thing;
        if request.uri().path() == ADVANCE && request.method() == Method::POST {
            let seconds = request.uri().query().and_then(|query| {
                let seconds: f64 = query.strip_prefix("seconds=")?.parse().ok()?;
                (seconds.is_finite() && seconds > 0.0).then_some(seconds)
            });
            return Some(match seconds {
                Some(seconds) => {
                    world.advance(seconds);
                    if let Some(Follower(follow)) = &self.follower {
                        follow(world);
                    }
                    empty(StatusCode::NO_CONTENT)
                }
                None => respond(
                    StatusCode::BAD_REQUEST,
                    "text/plain",
                    "say how long: /debug/advance?seconds=15\n",
                ),
            });
        }
        let tenants = &world.config.tenants;
        if !matches!(self.part, Part::Server(_)) && request.uri().path() == TRUTH {
            return Some(respond(
                StatusCode::OK,
                "application/json",
                world_json(world),
            ));
        }
        let answer = match self.part {
            Part::Server(index) => {
                let server = &world.servers[index];
                if server.down {
                    return None;
                }
                let truth = server.twin.truth();
                match (&server.config.kind, &server.tgi) {
                    (ServerKind::Vllm(layout), _) => vllm::api::answer(request, truth, layout),
                    (ServerKind::Tgi(launch), Some(counters)) => {
                        tgi::api::answer(request, truth, launch, counters, &mut world.order)
                    }
                    (ServerKind::Tgi(_), None) => empty(StatusCode::SERVICE_UNAVAILABLE),
                }
            }
            Part::Limitador => {
                if world.incidents.contains(&Incident::LimitadorDown) {
                    return None;
                }
                let told = limitador::api::Told {
                    truth: world.limitador.as_ref()?,
                    tenants,
                    start_unix_seconds: world.config.start_unix_seconds,
                    now: world.now,
                };
                limitador::api::answer(request, &told, &mut world.order)
            }
            Part::Gateway => {
                if world.incidents.contains(&Incident::GatewayDown) {
                    return None;
                }
                let truth = world.gateway.as_ref()?;
                gateway::api::answer(request, truth, tenants, world.now)
            }
        };
        Some(answer)
    }

    fn tick(&self) {
        drop(self.shared.current());
    }
}
