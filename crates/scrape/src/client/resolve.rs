//! Host names to addresses, bounded.
//!
//! The system's resolver blocks a thread and cannot be cancelled. So a client asks once at a time
//! and lets later readings wait for the same answer, all clients of the process together hold few
//! threads, and an answer is kept for a while.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::lookup_host;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;
use url::Host;

/// How long an answer is used. Only new connections ask at all.
const KEPT: Duration = Duration::from_secs(30);

/// Threads that may wait for the name server at a time, in the whole process.
static LOOKUPS: Semaphore = Semaphore::const_new(8);

/// The same for names that come from outside, so that nobody can keep the others waiting.
static FOREIGN_LOOKUPS: Semaphore = Semaphore::const_new(4);

pub(super) type Addresses = Arc<[SocketAddr]>;
pub(super) type Answer = Result<Addresses, Arc<str>>;

pub(super) struct Resolver {
    host: Name,
    port: u16,
    lookups: &'static Semaphore,
    state: Mutex<State>,
}

enum Name {
    Address(Addresses),
    Domain(Arc<str>),
}

enum State {
    Unknown,
    Asking(watch::Receiver<Option<Answer>>),
    Known(Addresses, Instant),
}

impl Resolver {
    pub(super) fn new(host: &Host<&str>, port: u16) -> Self {
        let address = |ip: IpAddr| Name::Address(Arc::new([SocketAddr::new(ip, port)]));
        let host = match *host {
            Host::Domain(name) => Name::Domain(name.into()),
            Host::Ipv4(ip) => address(ip.into()),
            Host::Ipv6(ip) => address(ip.into()),
        };
        Self {
            host,
            port,
            lookups: &LOOKUPS,
            state: Mutex::new(State::Unknown),
        }
    }

    /// Knows these addresses and never asks.
    pub(super) const fn at(addresses: Addresses) -> Self {
        Self {
            host: Name::Address(addresses),
            port: 0,
            lookups: &LOOKUPS,
            state: Mutex::new(State::Unknown),
        }
    }

    /// Of a name that comes from outside.
    pub(super) fn foreign(host: &Host<&str>, port: u16) -> Self {
        Self {
            lookups: &FOREIGN_LOOKUPS,
            ..Self::new(host, port)
        }
    }

    /// All addresses, in the order of the system. Cancel safe: a lookup under way goes on and the
    /// next call waits for it.
    pub(super) async fn addresses(&self) -> Answer {
        let name = match &self.host {
            Name::Address(addresses) => return Ok(Arc::clone(addresses)),
            Name::Domain(name) => name,
        };
        let mut asking = match self.begin(name) {
            Ok(known) => return Ok(known),
            Err(asking) => asking,
        };
        let answer = match asking.wait_for(Option::is_some).await {
            Ok(answer) => answer.clone(),
            Err(_) => None,
        };
        // None where the runtime that the lookup ran on has ended.
        let answer = answer.unwrap_or_else(|| Err("the lookup was cancelled".into()));
        *self.lock() = match &answer {
            Ok(addresses) => State::Known(Arc::clone(addresses), Instant::now()),
            Err(_) => State::Unknown,
        };
        answer
    }

    /// Forgets the answer: none of its addresses could be connected to.
    pub(super) fn forget(&self) {
        *self.lock() = State::Unknown;
    }

    fn begin(&self, name: &Arc<str>) -> Result<Addresses, watch::Receiver<Option<Answer>>> {
        let mut state = self.lock();
        match &*state {
            State::Known(addresses, since) if since.elapsed() < KEPT => Ok(Arc::clone(addresses)),
            State::Asking(asking) => Err(asking.clone()),
            State::Known(..) | State::Unknown => {
                let (sender, asking) = watch::channel(None);
                let looking = look_up(Arc::clone(name), self.port, self.lookups, sender);
                tokio::spawn(looking);
                *state = State::Asking(asking.clone());
                Err(asking)
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn look_up(
    name: Arc<str>,
    port: u16,
    lookups: &'static Semaphore,
    sender: watch::Sender<Option<Answer>>,
) {
    // Held over the lookup, which outlives every caller's deadline.
    let _permit = tokio::select! {
        permit = lookups.acquire() => permit,
        // Nobody wants to know any more.
        () = sender.closed() => return,
    };
    let answer = match lookup_host((&*name, port)).await {
        Ok(found) => Ok(found.collect::<Addresses>()),
        Err(error) => Err(error.to_string().into()),
    };
    let answer = match answer {
        Ok(addresses) if addresses.is_empty() => Err("it has no address".into()),
        answer => answer,
    };
    sender.send_replace(Some(answer));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn knows_addresses_without_asking() {
        let v6 = Resolver::new(&Host::Ipv6("::1".parse().unwrap()), 80);
        assert_eq!(
            *v6.addresses().await.unwrap(),
            ["[::1]:80".parse().unwrap()]
        );
    }

    #[tokio::test]
    async fn resolves_localhost_and_keeps_the_answer() {
        let resolver = Resolver::new(&Host::Domain("localhost"), 8000);
        let first = resolver.addresses().await.unwrap();
        assert!(
            first
                .iter()
                .all(|address| address.ip().is_loopback() && address.port() == 8000)
        );
        let second = resolver.addresses().await.unwrap();
        assert!(Arc::ptr_eq(&first, &second));
        resolver.forget();
        assert!(!Arc::ptr_eq(&first, &resolver.addresses().await.unwrap()));
    }

    #[tokio::test]
    async fn waits_for_a_lookup_that_is_under_way() {
        let resolver = Resolver::new(&Host::Domain("stuck"), 1);
        let (sender, asking) = watch::channel(None);
        *resolver.lock() = State::Asking(asking);
        let waiting = async { resolver.addresses().await };
        let answering = async { sender.send_replace(Some(Err("no such name".into()))) };
        let (answer, _) = tokio::join!(waiting, answering);
        assert_eq!(&*answer.unwrap_err(), "no such name");
        assert!(matches!(*resolver.lock(), State::Unknown));
    }

    #[test]
    fn asks_again_after_its_runtime_has_ended() {
        let runtime = || {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap()
        };
        let resolver = Resolver::new(&Host::Domain("localhost"), 1);
        {
            let _context = runtime();
            let (_, asking) = watch::channel(None);
            *resolver.lock() = State::Asking(asking);
        }
        assert!(runtime().block_on(resolver.addresses()).is_err());
        assert!(runtime().block_on(resolver.addresses()).is_ok());
    }
}
