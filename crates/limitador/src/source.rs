//! A limiter, read over HTTP: its metrics page, then its admin API.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokenpath_core::exposition::Format;
use tokenpath_core::translate::Report;
use tokenpath_core::{CollectError, Desc, Snapshot, Source, SourceId};
use tokenpath_scrape::{Client, ClientOptions, Endpoint, Page, SetupError, verdict};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::admin::json;
use crate::{Admin, Asked, Limit, LimitadorOptions, LimitadorTranslator, Resource, TenantOptions};

/// Pages and lists of many tenants are larger than an engine's page.
const BODY_LIMIT: usize = 64 * 1024 * 1024;
const SAMPLES_LIMIT: usize = 1_000_000;

/// How the admin API is asked.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AdminOptions {
    /// Whether it is asked at all; it is by default.
    pub enabled: bool,
    /// Namespaces to ask for, beside those on the metrics page.
    pub namespaces: Vec<String>,
    /// Whether namespaces are learnt from the metrics page; they are by default. One is on the page
    /// from its first request on.
    pub learn_namespaces: bool,
    /// Most namespaces that are asked for, configured ones first; 100 by default.
    pub namespaces_max: usize,
    /// Longest time for all questions of one reading; 3 s by default. What has not been answered then
    /// is missing, and says so.
    pub timeout: Duration,
    /// How old limits may be before they are asked for again; 60 s by default. Running windows are
    /// asked for in every reading.
    pub limits_interval: Duration,
}

impl Default for AdminOptions {
    fn default() -> Self {
        Self {
            enabled: true,
            namespaces: Vec::new(),
            learn_namespaces: true,
            namespaces_max: 100,
            timeout: Duration::from_secs(3),
            limits_interval: Duration::from_secs(60),
        }
    }
}

/// How a limiter is read.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LimitadorSourceOptions {
    /// How what it says is translated. Pages may have a million samples.
    pub limitador: LimitadorOptions,
    /// How its admin API is asked.
    pub admin: AdminOptions,
    /// How requests are made. Answers may have 64 MiB.
    pub client: ClientOptions,
    /// Longest time for the metrics page; 10 s by default. Whoever runs the source may end it sooner.
    pub timeout: Duration,
}

impl Default for LimitadorSourceOptions {
    fn default() -> Self {
        let mut limitador = LimitadorOptions::default();
        limitador.translate.limits.page_bytes = BODY_LIMIT;
        limitador.translate.limits.samples = SAMPLES_LIMIT;
        Self {
            limitador,
            admin: AdminOptions::default(),
            client: ClientOptions {
                body_limit: BODY_LIMIT,
                ..ClientOptions::default()
            },
            timeout: Duration::from_secs(10),
        }
    }
}

/// A limiter as a [`Source`].
///
/// The metrics page decides whether a reading succeeds. What the admin API does not answer is
/// missing, and `llm_limitador_admin_up` says which namespace it is of.
pub struct LimitadorSource {
    id: SourceId,
    client: Client,
    admin: AdminOptions,
    tenants: TenantOptions,
    timeout: Duration,
    state: Mutex<State>,
}

struct State {
    translator: LimitadorTranslator,
    page: Page,
    answer: Page,
    /// What the admin API said last.
    said: Admin,
    /// The limits of each namespace, with the time they are to be asked for again.
    limits: BTreeMap<String, (Instant, Vec<Limit>)>,
    /// What was last told about in the log.
    silent: BTreeSet<(&'static str, String)>,
}

impl LimitadorSource {
    /// A source for the limiter whose page is at `endpoint`; the admin API is beside it. No network
    /// I/O.
    ///
    /// # Errors
    ///
    /// Where the client cannot be set up with these options.
    pub fn new(endpoint: Endpoint, options: LimitadorSourceOptions) -> Result<Self, SetupError> {
        Ok(Self {
            id: SourceId::new("limitador", endpoint.target()),
            client: Client::new(endpoint, options.client)?,
            admin: options.admin,
            tenants: options.limitador.tenants.clone(),
            timeout: options.timeout,
            state: Mutex::new(State {
                translator: LimitadorTranslator::new(options.limitador),
                page: Page::new(),
                answer: Page::new(),
                said: Admin::default(),
                limits: BTreeMap::new(),
                silent: BTreeSet::new(),
            }),
        })
    }

    /// The namespaces to ask for: configured ones, then those on the page.
    fn namespaces(&self, translator: &LimitadorTranslator) -> Vec<String> {
        let mut all: Vec<String> = Vec::new();
        let configured = self.admin.namespaces.iter().map(String::as_str);
        let learnt = self.admin.learn_namespaces.then(|| translator.namespaces());
        for namespace in configured.chain(learnt.into_iter().flatten()) {
            if !namespace.is_empty() && all.iter().all(|known| known != namespace) {
                all.push(namespace.to_owned());
            }
        }
        all.truncate(self.admin.namespaces_max);
        all
    }

    async fn ask_all(&self, state: &mut State) {
        let begin = Instant::now();
        let deadline = begin + self.admin.timeout;
        let admin = &mut state.said;
        let mut spare = std::mem::take(admin).windows;
        let namespaces = self.namespaces(&state.translator);
        let mut question = Question {
            source: self,
            answer: &mut state.answer,
            silent: &mut state.silent,
            asked: &mut admin.asked,
            deadline,
        };
        let status = question.ask(Resource::Status, "", json::status).await;
        admin.status = status.flatten();
        state.limits.retain(|known, _| namespaces.contains(known));
        for namespace in &namespaces {
            let windows = &mut admin.windows;
            let read = |body: &[u8]| json::windows(body, &self.tenants, &mut spare, windows);
            let _ = question.ask(Resource::Counters, namespace, read).await;
            let fresh = |(due, _): &(Instant, Vec<Limit>)| begin < *due;
            if state.limits.get(namespace).is_some_and(fresh) {
                question.note(Resource::Limits, namespace, true);
                continue;
            }
            let asked = question.ask(Resource::Limits, namespace, json::limits);
            if let Some(limits) = asked.await {
                let due = begin + self.admin.limits_interval;
                state.limits.insert(namespace.clone(), (due, limits));
            }
        }
        let known = state.limits.values();
        admin.limits = known.flat_map(|(_, limits)| limits.clone()).collect();
    }
}

/// What questions to the admin API share.
struct Question<'q> {
    source: &'q LimitadorSource,
    answer: &'q mut Page,
    silent: &'q mut BTreeSet<(&'static str, String)>,
    asked: &'q mut Vec<Asked>,
    deadline: Instant,
}

impl Question<'_> {
    /// Asks for a resource; notes whether it was answered, and logs where that changes.
    async fn ask<T>(
        &mut self,
        resource: Resource,
        namespace: &str,
        read: impl FnOnce(&[u8]) -> Result<T, json::BadAnswer>,
    ) -> Option<T> {
        let client = &self.source.client;
        let result = match path(client.endpoint(), resource, namespace) {
            None => Err("a namespace of dots only cannot be asked for".to_owned()),
            Some(path) => match client.get_path(&path, self.answer, self.deadline).await {
                Ok(_) => read(self.answer.bytes()).map_err(|error| error.to_string()),
                Err(error) => Err(error.to_string()),
            },
        };
        let key = (resource.as_str(), namespace.to_owned());
        let answered = result.is_ok();
        match &result {
            Ok(_) => _ = self.silent.remove(&key),
            Err(error) => {
                let target = client.endpoint().target();
                if self.silent.insert(key) {
                    let resource = resource.as_str();
                    tracing::warn!(target, resource, namespace, %error, "no answer of the admin API");
                }
            }
        }
        self.note(resource, namespace, answered);
        result.ok()
    }

    fn note(&mut self, resource: Resource, namespace: &str, answered: bool) {
        self.asked.push(Asked {
            resource,
            namespace: namespace.to_owned(),
            answered,
        });
    }
}

/// The path of a resource. A namespace has slashes of its own, so all but plain characters are
/// encoded; `.` and `..` mean something else in a path and cannot be.
fn path(endpoint: &Endpoint, resource: Resource, namespace: &str) -> Option<String> {
    let mut name = resource.as_str().to_owned();
    if resource != Resource::Status {
        if matches!(namespace, "." | "..") {
            return None;
        }
        name.push('/');
        for byte in namespace.bytes() {
            if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
                name.push(char::from(byte));
            } else {
                name.push_str(&format!("%{byte:02X}"));
            }
        }
    }
    Some(endpoint.beside(&name))
}

impl LimitadorSource {
    /// What became of each family of the newest page that had something new.
    pub async fn report(&self) -> Report {
        self.state.lock().await.translator.report().clone()
    }
}

impl Source for LimitadorSource {
    fn id(&self) -> &SourceId {
        &self.id
    }

    fn describe(&self) -> &[Arc<Desc>] {
        LimitadorTranslator::describe()
    }

    async fn collect(&self, out: &mut Snapshot) -> Result<(), CollectError> {
        let mut state = self.state.lock().await;
        let state = &mut *state;
        let deadline = Instant::now() + self.timeout;
        let fetched = self.client.get(&mut state.page, deadline).await;
        let meta = fetched.map_err(|error| CollectError::new(error.reason(), error))?;
        let bytes = state.page.bytes();
        let format = Format::sniff(bytes, meta.content_type());
        state
            .translator
            .read_page(bytes, format)
            .map_err(|error| verdict::unreadable(self.client.endpoint(), bytes, error))?;
        verdict::judge(
            self.client.endpoint(),
            self.id.kind(),
            state.translator.report(),
        )?;
        if self.admin.enabled {
            self.ask_all(state).await;
        }
        state.translator.finish(&state.said, out);
        out.tally_mut().certificate_expiry_seconds = meta.certificate_not_after();
        Ok(())
    }
}

impl fmt::Debug for LimitadorSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LimitadorSource").field(&self.id).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_are_one_part_of_the_path() {
        let endpoint: Endpoint = "http://limitador:8080".parse().unwrap();
        let path = |namespace| path(&endpoint, Resource::Counters, namespace);
        for (namespace, expected) in [
            ("llm/llm-sim", "/counters/llm%2Fllm-sim"),
            ("a b?c#d%", "/counters/a%20b%3Fc%23d%25"),
            ("zoë", "/counters/zo%C3%AB"),
            ("a..b", "/counters/a..b"),
        ] {
            assert_eq!(path(namespace).as_deref(), Some(expected));
        }
        assert_eq!(path(".."), None);
        assert_eq!(path("."), None);
        let status = super::path(&endpoint, Resource::Status, "");
        assert_eq!(status.as_deref(), Some("/status"));
    }
}
