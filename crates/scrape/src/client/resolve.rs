//! Host names to addresses, bounded.
//!
//! The system's resolver blocks a thread and cannot be cancelled. So a client asks once at a time
//! and lets later readings wait for the same answer, all clients of the process together hold few
//! threads, and an answer is kept for a while.
//!
//! A name server that answers for some names and is silent for others must not cost the former
//! anything: a lookup that takes long goes on in a [lane](Lanes) of its own, and where there is an
//! older answer, it is used while a newer one does not come.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::lookup_host;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, timeout, timeout_at};
use url::Host;

/// How long an answer is used without asking. Only new connections ask at all.
const KEPT: Duration = Duration::from_secs(30);

/// How long it is used where a newer one does not come.
const KEPT_WITHOUT_ANSWER: Duration = Duration::from_secs(600);

/// How long a newer one is waited for, where there is an older one.
const PATIENCE: Duration = Duration::from_secs(1);

/// A lookup that takes longer is slow.
const SLOW_AFTER: Duration = Duration::from_millis(500);

/// Threads that may wait for the name server at a time, in the whole process: some for every name, and
/// some for names that are slow to resolve, so that these do not keep the others waiting.
struct Lanes {
    quick: Semaphore,
    slow: Semaphore,
}

impl Lanes {
    const fn new(quick: usize, slow: usize) -> Self {
        Self {
            quick: Semaphore::const_new(quick),
            slow: Semaphore::const_new(slow),
        }
    }
}

static LOOKUPS: Lanes = Lanes::new(8, 64);

/// The same for names that come from outside, so that nobody can keep the others waiting.
static FOREIGN_LOOKUPS: Lanes = Lanes::new(4, 4);

/// Asks the system.
type Ask = fn(Arc<str>, u16) -> Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;

fn ask_system(
    name: Arc<str>,
    port: u16,
) -> Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>> {
    Box::pin(async move { Ok(lookup_host((&*name, port)).await?.collect()) })
}

pub(super) type Addresses = Arc<[SocketAddr]>;
pub(super) type Answer = Result<Addresses, Arc<str>>;

pub(super) struct Resolver {
    host: Name,
    port: u16,
    lanes: &'static Lanes,
    ask: Ask,
    state: Mutex<State>,
}

enum Name {
    Address(Addresses),
    Domain(Arc<str>),
}

#[derive(Default)]
struct State {
    known: Option<(Addresses, Instant)>,
    /// A lookup that is under way, and since when.
    asking: Option<(watch::Receiver<Option<Answer>>, Instant)>,
    /// Whether the last lookup was slow: the next one asks where it keeps no other name waiting.
    slow: bool,
}

impl Resolver {
    pub(super) fn new(host: &Host<&str>, port: u16) -> Self {
        let address = |ip: IpAddr| Name::Address(Arc::new([SocketAddr::new(ip, port)]));
        Self::of(
            match *host {
                Host::Domain(name) => Name::Domain(name.into()),
                Host::Ipv4(ip) => address(ip.into()),
                Host::Ipv6(ip) => address(ip.into()),
            },
            port,
        )
    }

    /// Knows these addresses and never asks.
    pub(super) fn at(addresses: Addresses) -> Self {
        Self::of(Name::Address(addresses), 0)
    }

    fn of(host: Name, port: u16) -> Self {
        Self {
            host,
            port,
            lanes: &LOOKUPS,
            ask: ask_system,
            state: Mutex::default(),
        }
    }

    /// Of a name that comes from outside.
    pub(super) fn foreign(host: &Host<&str>, port: u16) -> Self {
        Self {
            lanes: &FOREIGN_LOOKUPS,
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
        let Asked {
            older,
            mut asking,
            since,
        } = match self.begin(name) {
            Ok(known) => return Ok(known),
            Err(asked) => asked,
        };
        let answered = asking.wait_for(Option::is_some);
        let answer = match older {
            None => answered.await,
            Some(older) => match timeout_at(since + PATIENCE, answered).await {
                Ok(answer) => answer,
                Err(_) => return Ok(older),
            },
        };
        // None where the runtime that the lookup ran on has ended.
        let answer = answer.map_or(None, |answer| answer.clone());
        let answer = answer.unwrap_or_else(|| Err("the lookup was cancelled".into()));
        self.note(&answer, since)
    }

    /// Forgets the answer: none of its addresses could be connected to.
    pub(super) fn forget(&self) {
        self.lock().known = None;
    }

    /// An answer that is used without asking, or a lookup to wait for.
    fn begin(&self, name: &Arc<str>) -> Result<Addresses, Asked> {
        let mut state = self.lock();
        let age = state.known.as_ref().map(|(_, since)| since.elapsed());
        if age.is_some_and(|age| age >= KEPT_WITHOUT_ANSWER) {
            state.known = None;
        }
        let older = state.known.as_ref().map(|(known, _)| Arc::clone(known));
        if let Some(known) = older.as_ref().filter(|_| age.is_some_and(|age| age < KEPT)) {
            return Ok(Arc::clone(known));
        }
        let slow = state.slow;
        let (asking, since) = state.asking.get_or_insert_with(|| {
            let (sender, asking) = watch::channel(None);
            let lookup = (self.ask)(Arc::clone(name), self.port);
            tokio::spawn(look_up(lookup, self.lanes, slow, sender));
            (asking, Instant::now())
        });
        Err(Asked {
            older,
            asking: asking.clone(),
            since: *since,
        })
    }

    /// Takes note of the answer to a lookup, and says what is to be used now.
    fn note(&self, answer: &Answer, since: Instant) -> Answer {
        let mut state = self.lock();
        // Others that waited for the same lookup may have been here before.
        if state
            .asking
            .as_ref()
            .is_some_and(|(_, asked)| *asked == since)
        {
            state.asking = None;
            state.slow = since.elapsed() >= SLOW_AFTER;
            match answer {
                Ok(addresses) => state.known = Some((Arc::clone(addresses), Instant::now())),
                Err(error) if is_temporary(error) => {}
                // The name is gone, and its addresses may be somebody else's.
                Err(_) => state.known = None,
            }
        }
        match (answer, &state.known) {
            (Err(_), Some((known, _))) => Ok(Arc::clone(known)),
            _ => answer.clone(),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Asked {
    /// What was answered before, where it is not too old.
    older: Option<Addresses>,
    asking: watch::Receiver<Option<Answer>>,
    since: Instant,
}

/// Whether the name server could not say, as the C libraries put it.
fn is_temporary(error: &str) -> bool {
    let error = error.to_lowercase();
    error.contains("temporary failure") || error.contains("try again")
}

async fn look_up(
    lookup: impl Future<Output = io::Result<Vec<SocketAddr>>>,
    lanes: &'static Lanes,
    slow: bool,
    sender: watch::Sender<Option<Answer>>,
) {
    let lane = if slow { &lanes.slow } else { &lanes.quick };
    // Held over the lookup, which outlives every caller's deadline.
    let permit = tokio::select! {
        permit = lane.acquire() => permit,
        // Nobody wants to know any more.
        () = sender.closed() => return,
    };
    let mut lookup = pin!(lookup);
    let found = match timeout(SLOW_AFTER, &mut lookup).await {
        Ok(found) => found,
        Err(_) if slow => lookup.await,
        Err(_) => {
            let moving = async {
                let _moved = lanes.slow.acquire().await;
                drop(permit);
                std::future::pending::<()>().await;
            };
            tokio::select! {
                biased;
                found = &mut lookup => found,
                () = moving => return,
            }
        }
    };
    let answer = match found.map(Addresses::from) {
        Ok(addresses) if addresses.is_empty() => Err("it has no address".into()),
        Ok(addresses) => Ok(addresses),
        Err(error) => Err(error.to_string().into()),
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

    fn asking(resolver: &Resolver) -> watch::Sender<Option<Answer>> {
        let (sender, asking) = watch::channel(None);
        resolver.lock().asking = Some((asking, Instant::now()));
        sender
    }

    #[tokio::test]
    async fn waits_for_a_lookup_that_is_under_way() {
        let resolver = Resolver::new(&Host::Domain("stuck"), 1);
        let sender = asking(&resolver);
        let waiting = async { resolver.addresses().await };
        let answering = async { sender.send_replace(Some(Err("no such name".into()))) };
        let (answer, _) = tokio::join!(waiting, answering);
        assert_eq!(&*answer.unwrap_err(), "no such name");
        assert!(resolver.lock().asking.is_none());
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
            asking(&resolver);
        }
        assert!(runtime().block_on(resolver.addresses()).is_err());
        assert!(runtime().block_on(resolver.addresses()).is_ok());
    }

    static TEST_LANES: Lanes = Lanes::new(2, 3);

    /// Names that begin with `stuck` have no answer for long, the others have one.
    fn some_are_stuck(
        name: Arc<str>,
        port: u16,
    ) -> Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>> {
        Box::pin(async move {
            if name.starts_with("stuck") {
                tokio::time::sleep(Duration::from_secs(40)).await;
                return Err(io::Error::other("Temporary failure in name resolution"));
            }
            Ok(vec![SocketAddr::from(([127, 0, 0, 1], port))])
        })
    }

    fn named(name: &str, lanes: &'static Lanes) -> Resolver {
        Resolver {
            lanes,
            ask: some_are_stuck,
            ..Resolver::new(&Host::Domain(name), 80)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn names_that_are_stuck_do_not_keep_the_others_waiting() {
        let stuck: Vec<_> = (0..3)
            .map(|n| Arc::new(named(&format!("stuck{n}"), &TEST_LANES)))
            .collect();
        let asking = stuck.iter().map(|resolver| {
            let resolver = Arc::clone(resolver);
            tokio::spawn(async move {
                loop {
                    _ = timeout(Duration::from_secs(10), resolver.addresses()).await;
                }
            })
        });
        let asking: Vec<_> = asking.collect();
        for _ in 0..20 {
            tokio::time::sleep(Duration::from_secs(7)).await;
            let begin = Instant::now();
            assert!(named("good", &TEST_LANES).addresses().await.is_ok());
            assert!(begin.elapsed() <= 2 * SLOW_AFTER, "{:?}", begin.elapsed());
        }
        for task in asking {
            task.abort();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_older_answer_is_used_while_a_newer_one_does_not_come() {
        let lanes: &'static Lanes = Box::leak(Box::new(Lanes::new(1, 1)));
        let mut resolver = named("good", lanes);
        let older = resolver.addresses().await.unwrap();
        resolver.host = Name::Domain("stuck".into());
        let answered = Instant::now();
        tokio::time::sleep(KEPT).await;
        // It is waited for once, whoever asks, and its failure changes nothing.
        while answered.elapsed() < KEPT_WITHOUT_ANSWER {
            let begin = Instant::now();
            assert!(Arc::ptr_eq(&resolver.addresses().await.unwrap(), &older));
            assert!(begin.elapsed() <= PATIENCE, "{:?}", begin.elapsed());
            tokio::time::sleep(Duration::from_secs(15)).await;
        }
        let begin = Instant::now();
        assert!(resolver.addresses().await.is_err(), "for ever");
        assert!(begin.elapsed() > PATIENCE);
        resolver.host = Name::Domain("good".into());
        assert!(resolver.addresses().await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_that_is_gone_has_no_address_any_more() {
        let resolver = Resolver::new(&Host::Domain("moved"), 1);
        resolver.lock().known = Some((Arc::new([]), Instant::now()));
        tokio::time::sleep(KEPT).await;
        let sender = asking(&resolver);
        sender.send_replace(Some(Err("Name or service not known".into())));
        assert!(resolver.addresses().await.is_err());
        assert!(resolver.lock().known.is_none());
    }
}
