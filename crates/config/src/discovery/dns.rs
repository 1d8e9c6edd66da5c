//! Names in DNS: the addresses of a headless service, or its services (SRV).

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{RData, RecordType};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::Discovered;
use super::said::Said;
use crate::raw;

/// Names that are looked up again when their answers end, or sooner.
///
/// An answer without records, and a name that does not exist, is an answer: a headless service
/// without pods has it. No answer keeps what the name said before.
#[derive(Debug)]
pub struct DnsSd {
    names: Vec<String>,
    records: &'static [RecordType],
    port: u16,
    refresh: Duration,
    server: Option<SocketAddr>,
    scheme: Option<String>,
    path: Option<String>,
}

/// A name and a kind of record, by their numbers.
type Question = (usize, usize);

/// The label that says which name was looked up.
const NAME: &str = "__meta_dns_name";

/// Most questions at once, and most answers that make one list.
const AT_ONCE: usize = 64;
const ANSWERS_MAX: usize = 1024;

const REFRESH: Duration = Duration::from_secs(30);

/// Not sooner, whatever an answer says of itself.
const SOONEST: Duration = Duration::from_secs(1);

/// One attempt, and how many there are.
const TIMEOUT: Duration = Duration::from_secs(2);
const ATTEMPTS: usize = 2;

impl DnsSd {
    pub(crate) fn new(raw: &raw::Dns, server: Option<SocketAddr>) -> Self {
        Self {
            names: raw.names.clone(),
            records: match raw.kind.as_deref() {
                Some("a") => &[RecordType::A],
                Some("aaaa") => &[RecordType::AAAA],
                Some("srv") => &[RecordType::SRV],
                _ => &[RecordType::A, RecordType::AAAA],
            },
            port: raw.port.unwrap_or(0),
            refresh: raw.refresh.unwrap_or(REFRESH),
            server,
            scheme: raw.scheme.clone(),
            path: raw.path.clone(),
        }
    }

    /// Looks up, for ever, beginning with what was found before. Each name has its own pace: one that is
    /// silent holds up no other.
    pub(crate) async fn follow(
        self: Arc<Self>,
        before: Vec<Discovered>,
        mut publish: impl FnMut(Vec<Discovered>),
    ) {
        let mut known = self.by_question(before);
        if !known.is_empty() {
            publish(known.values().flatten().cloned().collect());
        }
        let mut tasks = JoinSet::new();
        let (sender, mut receiver) = mpsc::unbounded_channel();
        let at_once = Arc::new(Semaphore::new(AT_ONCE));
        for at in 0..self.names.len() {
            for of in 0..self.records.len() {
                let (own, sender) = (Arc::clone(&self), sender.clone());
                let at_once = Arc::clone(&at_once);
                tasks.spawn(async move { own.ask((at, of), &at_once, &sender).await });
            }
        }
        let mut answers = Vec::new();
        while receiver.recv_many(&mut answers, ANSWERS_MAX).await > 0 {
            known.extend(answers.drain(..));
            publish(known.values().flatten().cloned().collect());
        }
    }

    /// Asks one question again and again.
    async fn ask(
        &self,
        question: Question,
        at_once: &Semaphore,
        sender: &mpsc::UnboundedSender<(Question, Vec<Discovered>)>,
    ) {
        let (Some(name), Some(record)) = (self.names.get(question.0), self.records.get(question.1))
        else {
            return;
        };
        let mut said = Said::default();
        loop {
            let Ok(place) = at_once.acquire().await else {
                return;
            };
            let mut next = Instant::now() + self.refresh;
            let answer = match self.resolver() {
                Ok(resolver) => self.look_up(&resolver, name, *record).await,
                Err(error) => Err(error),
            };
            drop(place);
            match answer {
                Ok((found, until)) => {
                    next = next.min(until);
                    if said.is_over() {
                        tracing::info!(name, %record, "the name can be looked up again");
                    }
                    // Whoever listened may be gone.
                    _ = sender.send((question, found));
                }
                Err(error) => {
                    if said.is_news(&error.to_string()) {
                        tracing::warn!(name, %record, %error, "a name cannot be looked up; its last answer stays");
                    }
                }
            }
            sleep_until(next.max(Instant::now() + SOONEST)).await;
        }
    }

    /// What was found before, as answers to the questions that found it.
    fn by_question(&self, before: Vec<Discovered>) -> BTreeMap<Question, Vec<Discovered>> {
        let mut known: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for found in before {
            let name = found.get(NAME);
            let at = self.names.iter().position(|one| Some(one) == name);
            let address = found.get("__address__").map(|text| text.parse());
            let record = match address {
                Some(Ok(SocketAddr::V4(_))) => RecordType::A,
                Some(Ok(SocketAddr::V6(_))) => RecordType::AAAA,
                _ => RecordType::SRV,
            };
            // Services may have addresses for names.
            let of = match self.records {
                [_] => Some(0),
                several => several.iter().position(|one| *one == record),
            };
            if let (Some(at), Some(of)) = (at, of) {
                let all = known.entry((at, of)).or_default();
                if !all.contains(&found) {
                    all.push(found);
                }
            }
        }
        known
    }

    /// Made for each question: the machine's name servers may be others by then, and nothing is to be
    /// remembered in between.
    fn resolver(&self) -> Result<TokioResolver, NetError> {
        let mut builder = match self.server {
            None => TokioResolver::builder_tokio()?,
            Some(server) => {
                let connection = |mut connection: ConnectionConfig| {
                    connection.port = server.port();
                    connection
                };
                let mut name_server = NameServerConfig::udp_and_tcp(server.ip());
                name_server.connections = vec![
                    connection(ConnectionConfig::udp()),
                    connection(ConnectionConfig::tcp()),
                ];
                let config = ResolverConfig::from_name_servers(vec![name_server]);
                TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
            }
        };
        let options = builder.options_mut();
        options.timeout = TIMEOUT;
        options.attempts = ATTEMPTS;
        options.cache_size = 0;
        builder.build()
    }

    /// What a name means, and until when.
    async fn look_up(
        &self,
        resolver: &TokioResolver,
        name: &str,
        record: RecordType,
    ) -> Result<(Vec<Discovered>, Instant), NetError> {
        let lookup = match resolver.lookup(name, record).await {
            Ok(lookup) => lookup,
            Err(error) if error.is_nx_domain() || error.is_no_records_found() => {
                return Ok((Vec::new(), Instant::now() + self.refresh));
            }
            Err(error) => return Err(error),
        };
        let found = lookup.answers().iter().filter_map(|answer| {
            let (address, service) = match &answer.data {
                RData::A(address) => (
                    SocketAddr::new(address.0.into(), self.port).to_string(),
                    None,
                ),
                RData::AAAA(address) => (
                    SocketAddr::new(address.0.into(), self.port).to_string(),
                    None,
                ),
                RData::SRV(service) => {
                    let host = service.target.to_utf8();
                    let host = host.trim_end_matches('.').to_owned();
                    (
                        format!("{host}:{}", service.port),
                        Some((host, service.port)),
                    )
                }
                _ => return None,
            };
            let mut found = Discovered::new();
            found.insert("__address__".to_owned(), address);
            found.insert(NAME.to_owned(), name.to_owned());
            if let Some((host, port)) = service {
                found.insert("__meta_dns_srv_record_target".to_owned(), host);
                found.insert("__meta_dns_srv_record_port".to_owned(), port.to_string());
            }
            for (label, value) in [
                ("__scheme__", &self.scheme),
                ("__metrics_path__", &self.path),
            ] {
                found.extend(value.iter().map(|value| (label.to_owned(), value.clone())));
            }
            Some(found)
        });
        let mut found: Vec<_> = found.collect();
        // Name servers turn their answers round.
        found.sort();
        let until = Instant::from_std(lookup.valid_until());
        Ok((found, until))
    }
}
