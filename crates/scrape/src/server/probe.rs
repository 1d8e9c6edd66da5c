//! `/probe?target=…&module=…`: one target read on request, in the style of blackbox exporters.
//!
//! Whoever can reach the service chooses the target, so it is judged before anything is sent: its
//! name, then its port, then the addresses that the name resolves to now. The reading connects to
//! the addresses that were judged and to no others; a redirect leads away from them as little as a
//! name server that changes its mind.

use std::error::Error;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use hyper::StatusCode;
use tokenpath_core::{BoxSource, CollectError, Desc, Snapshot, Source, SourceId, in_full};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use url::form_urlencoded;

use super::allow::AllowList;
use crate::client::look_up;
use crate::runner::SourceOptions;
use crate::{Auth, Endpoint};

/// The path of probes.
pub(super) const PROBE: &str = "/probe";

type BoxError = Box<dyn Error + Send + Sync>;
type Make = dyn Fn(Endpoint) -> Result<(BoxSource, SourceOptions), BoxError> + Send + Sync;

/// A way to read a target: the kind of backend, its credentials, TLS, limits.
#[derive(Clone)]
pub struct Module {
    name: Box<str>,
    timeout: Duration,
    make: Arc<Make>,
    /// When it was last logged that it cannot be used: whoever asks can ask as often as they like.
    logged: Arc<Mutex<Option<Instant>>>,
}

/// A module that cannot be used is logged again after this time.
const LOG_AGAIN_AFTER: Duration = Duration::from_secs(60);

impl Module {
    /// A module that makes a source of an endpoint. A probe takes at most `timeout`, and less where
    /// the scraper gives less.
    ///
    /// The endpoint is bound to the addresses that were checked: hand it on as it is, and send
    /// nothing to any other.
    #[must_use]
    pub fn new(
        name: &str,
        timeout: Duration,
        make: impl Fn(Endpoint) -> Result<(BoxSource, SourceOptions), BoxError> + Send + Sync + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            timeout,
            make: Arc::new(make),
            logged: Arc::default(),
        }
    }

    fn log(&self, error: &str) {
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        if logged.is_none_or(|logged| logged.elapsed() >= LOG_AGAIN_AFTER) {
            *logged = Some(Instant::now());
            tracing::error!(module = &*self.name, error, "a module cannot be used");
        }
    }

    /// What `module=` calls it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Debug for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Module").field(&self.name).finish()
    }
}

/// What may be probed, and how.
#[derive(Clone, Debug, Default)]
pub struct ProbeOptions {
    /// Which targets; none by default.
    pub allow: AllowList,
    /// How. The first one is meant where a request names none.
    pub modules: Vec<Module>,
}

/// Answers probes; off until it is told what may be probed.
///
/// Shared by the service that answers and the program that reads its configuration anew.
#[derive(Debug)]
pub struct Probes {
    options: RwLock<Option<Arc<ProbeOptions>>>,
    running: Arc<Semaphore>,
}

/// The default of [`Probes::new`].
pub const DEFAULT_PROBES_MAX: usize = 16;

impl Default for Probes {
    fn default() -> Self {
        Self::new(DEFAULT_PROBES_MAX)
    }
}

impl Probes {
    /// At most so many at once; more get a 503. A probe counts until its reading has ended, also
    /// where whoever asked is gone.
    #[must_use]
    pub fn new(probes_max: usize) -> Self {
        let permits = probes_max.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            options: RwLock::new(None),
            running: Arc::new(Semaphore::new(permits)),
        }
    }

    /// Sets what may be probed from now on; nothing where it is `None`.
    pub fn set(&self, options: Option<ProbeOptions>) {
        let mut known = self.options.write().unwrap_or_else(PoisonError::into_inner);
        *known = options.map(Arc::new);
    }

    /// What may be probed; `None` where probing is off.
    pub(super) fn options(&self) -> Option<Arc<ProbeOptions>> {
        let known = self.options.read().unwrap_or_else(PoisonError::into_inner);
        known.clone()
    }

    /// A place among those that run, where one is free.
    pub(super) fn begin(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.running).try_acquire_owned().ok()
    }
}

/// A request that is understood: nothing was sent yet, and its addresses were not judged yet.
pub(super) struct Probe {
    options: Arc<ProbeOptions>,
    module: Module,
    endpoint: Endpoint,
}

/// Why there is no probe. The text is for whoever asked.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) message: String,
}

fn bad(message: impl Into<String>) -> Refusal {
    Refusal {
        status: StatusCode::BAD_REQUEST,
        message: message.into(),
    }
}

fn forbidden(what: &str) -> Refusal {
    Refusal {
        status: StatusCode::FORBIDDEN,
        message: format!("{what}; nothing was sent"),
    }
}

impl Probe {
    /// Reads the query of a request.
    pub(super) fn parse(query: &str, options: Arc<ProbeOptions>) -> Result<Self, Refusal> {
        let only = |name: &str| {
            let mut values = form_urlencoded::parse(query.as_bytes())
                .filter(|(known, _)| known == name)
                .map(|(_, value)| value);
            match (values.next(), values.next()) {
                (_, Some(_)) => Err(bad(format!("`{name}` is given more than once"))),
                (value, None) => Ok(value.filter(|value| !value.is_empty())),
            }
        };
        let target = only("target")?
            .ok_or_else(|| bad("no target; for instance /probe?target=localhost:8000"))?;
        let name = only("module")?;
        let module = match &name {
            Some(name) => options.modules.iter().find(|module| *module.name == **name),
            None => options.modules.first(),
        };
        let Some(module) = module.cloned() else {
            let names: Vec<&str> = options.modules.iter().map(Module::name).collect();
            let name: String = name.unwrap_or_default().chars().take(100).collect();
            return Err(bad(format!(
                "there is no module `{}`; there are: {}",
                name.escape_debug(),
                names.join(", ")
            )));
        };
        let endpoint: Endpoint = target
            .parse()
            .map_err(|error: crate::EndpointError| bad(error.to_string()))?;
        if !matches!(endpoint.auth(), Auth::None) {
            return Err(bad("credentials belong in a module, not in the target"));
        }
        Ok(Self {
            options,
            module,
            endpoint,
        })
    }

    /// The longest time it may take.
    pub(super) fn timeout(&self) -> Duration {
        self.module.timeout
    }

    /// Judges the target, and makes its source where it may be asked. Nothing is sent but to the name
    /// server, and not even that where the name or the port is not allowed.
    pub(super) async fn source(
        self,
        deadline: Instant,
    ) -> Result<(BoxSource, SourceOptions), Refusal> {
        let Self {
            options,
            module,
            endpoint,
        } = self;
        if !options.allow.allows_host(endpoint.host_text()) {
            return Err(forbidden("targets of this name are not on the allow list"));
        }
        if !options.allow.allows_port(endpoint.port()) {
            return Err(forbidden("the target's port is not on the allow list"));
        }
        let addresses = match look_up(&endpoint, deadline).await {
            Ok(addresses) => addresses,
            // That the name is gone is what the probe is there to tell.
            Err(error) => {
                let id = SourceId::new(&module.name, endpoint.target());
                let source = BoxSource::new(Unresolved(id, error.into()));
                return Ok((source, SourceOptions::new()));
            }
        };
        let allowed: Vec<SocketAddr> = addresses
            .iter()
            .copied()
            .filter(|address| options.allow.allows(*address))
            .collect();
        if allowed.is_empty() {
            // Whoever asks is told, as often as they ask.
            tracing::debug!(
                target = endpoint.target(),
                ?addresses,
                "a probe was refused: its addresses are not on the allow list"
            );
            return Err(forbidden("the target's address is not on the allow list"));
        }
        (module.make)(endpoint.at(allowed)).map_err(|error| {
            // Paths and such are not for whoever asked.
            module.log(&in_full(&*error));
            Refusal {
                status: StatusCode::INTERNAL_SERVER_ERROR,
                message: "the module cannot be used; the log says why".to_owned(),
            }
        })
    }
}

/// Stands for a target whose name could not be resolved.
struct Unresolved(SourceId, CollectError);

impl Source for Unresolved {
    fn id(&self) -> &SourceId {
        &self.0
    }

    fn describe(&self) -> &[Arc<Desc>] {
        &[]
    }

    async fn collect(&self, _: &mut Snapshot) -> Result<(), CollectError> {
        Err(CollectError::new(self.1.reason(), in_full(&self.1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::Network;

    /// What a module gets for a target.
    async fn handed_on(target: &str) -> Vec<SocketAddr> {
        let seen: Arc<Mutex<Vec<SocketAddr>>> = Arc::default();
        let note = Arc::clone(&seen);
        let module = Module::new("any", Duration::from_secs(20), move |endpoint| {
            let addresses = endpoint.addresses().expect("bound to addresses");
            note.lock().unwrap().extend(addresses.iter());
            Err("seen".into())
        });
        let options = ProbeOptions {
            allow: AllowList::new(Network::parse("127.0.0.1")),
            modules: vec![module],
        };
        let probe = Probe::parse(&format!("target={target}"), Arc::new(options)).unwrap();
        let deadline = Instant::now() + probe.timeout();
        assert!(probe.source(deadline).await.is_err());
        let seen = seen.lock().unwrap();
        seen.clone()
    }

    #[tokio::test]
    async fn a_module_gets_the_addresses_that_were_checked_and_no_others() {
        let checked: SocketAddr = "127.0.0.1:8000".parse().unwrap();
        assert_eq!(handed_on("127.0.0.1:8000").await, [checked]);
        // However many addresses it has here.
        let localhost = handed_on("http://localhost:8000/x").await;
        assert!(localhost.contains(&checked), "{localhost:?}");
        assert!(
            localhost.iter().all(|address| *address == checked),
            "{localhost:?}"
        );
        let mapped = handed_on("[::ffff:127.0.0.1]:8000").await;
        assert_eq!(mapped, ["[::ffff:127.0.0.1]:8000".parse().unwrap()]);
        assert!(handed_on("127.0.0.2:8000").await.is_empty());
    }
}
