//! From a request to an answer: paths, methods, formats, limits. No sockets here, so that the
//! service can be mounted in a server that exists already.

use std::borrow::Cow;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::Full;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use tokenpath_core::BoxSource;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use crate::instance::{self, Instance};
use crate::runner::SourceOptions;

use super::landing::Landing;
use super::negotiate::{ServedFormat, scrape_timeout, wants_gzip};
use super::probe::{PROBE, Probe, Probes, Refusal};

/// Longer paths name nothing that is here. What is longer than its buffer, the server refuses.
const URI_LIMIT: usize = 8 * 1024;

const HEALTH: &str = "/healthz";
const READY: &str = "/readyz";

/// What a page must look like, and by when it must be there.
#[derive(Clone, Copy, Debug)]
pub struct PageRequest {
    /// The format that the scraper prefers.
    pub format: ServedFormat,
    /// The latest moment for the page to be complete, so that it still reaches the scraper in time.
    pub deadline: Instant,
}

/// Makes the pages that are served.
pub trait PageProvider: Send + Sync + 'static {
    /// The metrics page in the format asked for. Called for each scrape, possibly for many at once;
    /// what they can share, the provider shares.
    ///
    /// Returns by the deadline. A future that does not is dropped soon after, and the scraper gets
    /// a 503: that is worse than a page on which only some sources are missing.
    ///
    /// # Errors
    ///
    /// Where there can be no page at all. A source that is down is no error, it is on the page.
    fn page(&self, request: PageRequest) -> impl Future<Output = Result<Bytes, PageError>> + Send;

    /// The page of a source that is not one of the provider's, read once, for `/probe`.
    ///
    /// As with [`page`](Self::page), it returns by the deadline. A provider that does not say how to
    /// answers all probes with a 503.
    ///
    /// # Errors
    ///
    /// Where there can be no page at all. That the source is down is no error, it is on the page.
    fn probe(
        &self,
        source: BoxSource,
        options: SourceOptions,
        request: PageRequest,
    ) -> impl Future<Output = Result<Bytes, PageError>> + Send {
        drop((source, options, request));
        async { Err(PageError::unavailable("targets cannot be probed here")) }
    }

    /// What the landing page shows. No I/O.
    fn landing(&self) -> Landing;

    /// Whether a scrape is worth it: the answer of `/readyz`. No I/O.
    fn ready(&self) -> bool;

    /// Who reads for these pages, where that can lead back here: a request in its name is answered
    /// with 508 at once.
    fn instance(&self) -> Option<Instance> {
        None
    }
}

/// So that whoever makes the pages can keep a handle on the provider.
impl<P: PageProvider> PageProvider for Arc<P> {
    fn page(&self, request: PageRequest) -> impl Future<Output = Result<Bytes, PageError>> + Send {
        P::page(self, request)
    }

    fn probe(
        &self,
        source: BoxSource,
        options: SourceOptions,
        request: PageRequest,
    ) -> impl Future<Output = Result<Bytes, PageError>> + Send {
        P::probe(self, source, options, request)
    }

    fn landing(&self) -> Landing {
        P::landing(self)
    }

    fn ready(&self) -> bool {
        P::ready(self)
    }

    fn instance(&self) -> Option<Instance> {
        P::instance(self)
    }
}

/// Why there is no page. The message is sent to the scraper: no secrets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct PageError {
    message: Cow<'static, str>,
    status: StatusCode,
}

impl PageError {
    /// Not now, but perhaps soon: 503.
    pub fn unavailable(message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            message: message.into(),
            status: StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// A fault of ours: 500.
    pub fn internal(message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            message: message.into(),
            status: StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// How requests are answered.
#[derive(Clone, Debug)]
pub struct ServiceOptions {
    /// Where the metrics are; `/metrics`. It begins with a slash.
    pub telemetry_path: String,
    /// Scrapes at once; 40. More get a 503. With [`Server`](super::Server) one counts until the peer has
    /// taken its page: so many pages are held in memory at most.
    pub scrapes_max: usize,
    /// The longest time a page may take, also where the scraper says nothing; 10 s.
    pub timeout_max: Duration,
    /// Taken off the time that the scraper gives, for the way back; 0.5 s. Where it gives less than
    /// twice of this, half of what it gives is taken.
    pub timeout_offset: Duration,
    /// Pages from this size on are packed where the scraper takes gzip; 1 KiB.
    pub gzip_min_bytes: usize,
}

impl Default for ServiceOptions {
    fn default() -> Self {
        Self {
            telemetry_path: "/metrics".to_owned(),
            scrapes_max: 40,
            timeout_max: Duration::from_secs(10),
            timeout_offset: Duration::from_millis(500),
            gzip_min_bytes: 1024,
        }
    }
}

/// The telemetry path cannot be served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{path}` cannot be the telemetry path: {what}; for instance /metrics")]
pub struct TelemetryPathError {
    path: String,
    what: &'static str,
}

/// Answers `GET` and `HEAD` for the telemetry path, `/`, `/healthz` and `/readyz`, and for `/probe`
/// where that is [on](Self::probes).
///
/// Cheap to clone. It is a hyper `Service`, and [`handle`](Self::handle) is the same as a function,
/// for servers of another kind.
///
/// ```
/// use bytes::Bytes;
/// use hyper::{Request, StatusCode};
/// use tokenpath_scrape::server::{
///     Landing, MetricsService, PageError, PageProvider, PageRequest, ServiceOptions,
/// };
///
/// struct Constant;
///
/// impl PageProvider for Constant {
///     async fn page(&self, _: PageRequest) -> Result<Bytes, PageError> {
///         Ok(Bytes::from_static(b"# TYPE answer gauge\nanswer 42\n"))
///     }
///     fn landing(&self) -> Landing {
///         Landing::default()
///     }
///     fn ready(&self) -> bool {
///         true
///     }
/// }
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let service = MetricsService::new(Constant, ServiceOptions::default()).unwrap();
/// let request = Request::get("/metrics").body(()).unwrap();
/// let response = service.handle(request).await;
/// assert_eq!(response.status(), StatusCode::OK);
/// assert_eq!(response.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
/// # });
/// ```
pub struct MetricsService<P> {
    inner: Arc<Inner<P>>,
    probes: Option<Arc<Probes>>,
}

struct Inner<P> {
    provider: P,
    options: ServiceOptions,
    scrapes: Arc<Semaphore>,
    /// [`ServiceOptions::timeout_max`] in milliseconds, as it is now.
    timeout_max: AtomicU64,
}

impl<P> Inner<P> {
    /// The scraper's time less the offset, and never more than ours.
    fn time_for_page(&self, given: Option<Duration>) -> Duration {
        let most = Duration::from_millis(self.timeout_max.load(Ordering::Relaxed));
        let Some(given) = given else {
            return most;
        };
        let offset = self.options.timeout_offset.min(given / 2);
        (given - offset).min(most)
    }
}

/// The place of an answer among those that may be in memory at once, as an extension of it: whoever
/// sends the answer holds it until it is sent.
#[derive(Clone)]
pub(super) struct Place(#[expect(dead_code, reason = "held, not used")] Arc<OwnedSemaphorePermit>);

impl<P> Clone for MetricsService<P> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            probes: self.probes.clone(),
        }
    }
}

impl<P> std::fmt::Debug for MetricsService<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("MetricsService")
            .field(&self.inner.options)
            .finish()
    }
}

impl<P: PageProvider> MetricsService<P> {
    /// Serves the pages of `provider`.
    ///
    /// # Errors
    ///
    /// Where the telemetry path is not a path, or is one of the others.
    pub fn new(provider: P, options: ServiceOptions) -> Result<Self, TelemetryPathError> {
        let path = &options.telemetry_path;
        let what = if !path.starts_with('/') {
            Some("it must begin with a slash")
        } else if [HEALTH, READY, PROBE].contains(&path.as_str()) {
            Some("this path is taken")
        } else if !path
            .bytes()
            .all(|b| b.is_ascii_graphic() && !b"?#<>\"\\^`{|}".contains(&b))
        {
            Some("it must be a plain path")
        } else {
            None
        };
        if let Some(what) = what {
            let path = path.escape_debug().to_string();
            return Err(TelemetryPathError { path, what });
        }
        let scrapes = Semaphore::new(options.scrapes_max.clamp(1, Semaphore::MAX_PERMITS));
        let timeout_max = AtomicU64::new(milliseconds(options.timeout_max));
        Ok(Self {
            inner: Arc::new(Inner {
                timeout_max,
                provider,
                options,
                scrapes: Arc::new(scrapes),
            }),
            probes: None,
        })
    }

    /// Answers `/probe` too, as far as the probes are on.
    #[must_use]
    pub fn probes(mut self, probes: Arc<Probes>) -> Self {
        self.probes = Some(probes);
        self
    }

    /// Sets [`ServiceOptions::timeout_max`] for the pages from now on, of all clones.
    pub fn set_timeout_max(&self, timeout_max: Duration) {
        let timeout_max = milliseconds(timeout_max);
        self.inner.timeout_max.store(timeout_max, Ordering::Relaxed);
    }

    /// The provider.
    #[must_use]
    pub fn provider(&self) -> &P {
        &self.inner.provider
    }

    /// Answers one request; its body is not read. Never fails: what goes wrong is an answer too, a
    /// panic of the provider included.
    ///
    /// Needs a tokio runtime with time. Dropping the future gives the scrape up.
    pub async fn handle<B>(&self, request: Request<B>) -> Response<Full<Bytes>> {
        let (parts, _) = request.into_parts();
        if parts
            .uri
            .path_and_query()
            .map_or(0, |path| path.as_str().len())
            > URI_LIMIT
        {
            return text(StatusCode::URI_TOO_LONG, "the path is too long\n");
        }
        let options = &self.inner.options;
        let path = parts.uri.path();
        let is_telemetry = path == options.telemetry_path;
        let probes = self.probes.as_ref().filter(|_| path == PROBE);
        let probes = probes.and_then(|probes| Some((probes, probes.options()?)));
        if !is_telemetry && probes.is_none() && !matches!(path, "/" | HEALTH | READY) {
            let message = format!(
                "nothing here; the metrics are at {}\n",
                options.telemetry_path
            );
            return text(StatusCode::NOT_FOUND, message);
        }
        if !matches!(parts.method, Method::GET | Method::HEAD) {
            let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
            answer
                .headers_mut()
                .insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            return answer;
        }
        if is_telemetry || probes.is_some() {
            let own = self.inner.provider.instance();
            if own.is_some_and(|own| own.sent(&parts.headers)) {
                return text(instance::LOOP, "an exporter cannot read itself\n");
            }
            let Some((probes, allowed)) = probes else {
                return self.scrape(&parts.headers).await;
            };
            let probe = Probe::parse(parts.uri.query().unwrap_or_default(), allowed);
            return match probe {
                Ok(probe) => self.probe(probes, probe, &parts.headers).await,
                Err(refusal) => refused(refusal),
            };
        }
        match path {
            HEALTH => text(StatusCode::OK, "ok\n"),
            READY if self.inner.provider.ready() => text(StatusCode::OK, "ready\n"),
            READY => text(StatusCode::SERVICE_UNAVAILABLE, "not ready\n"),
            _ => self.landing(),
        }
    }

    async fn scrape(&self, headers: &HeaderMap) -> Response<Full<Bytes>> {
        let Inner {
            provider,
            options,
            scrapes,
            ..
        } = &*self.inner;
        let Ok(permit) = Arc::clone(scrapes).try_acquire_owned() else {
            return overloaded("too many scrapes at once\n");
        };
        let (format, content_type) = ServedFormat::negotiate_type(headers);
        let deadline = Instant::now() + self.inner.time_for_page(scrape_timeout(headers));
        let page = provider.page(PageRequest { format, deadline });
        // Half of the offset is for a provider that is late, half for the way back.
        match timeout_at(deadline + options.timeout_offset / 2, caught(page)).await {
            Ok(page) => holding(permit, self.answer(page, content_type, headers)),
            Err(_) => overloaded("the page was not complete in time\n"),
        }
    }

    /// Reads a target that was asked for.
    async fn probe(
        &self,
        probes: &Probes,
        probe: Probe,
        headers: &HeaderMap,
    ) -> Response<Full<Bytes>> {
        let Some(permit) = probes.begin() else {
            return overloaded("too many probes at once\n");
        };
        let options = &self.inner.options;
        let (format, content_type) = ServedFormat::negotiate_type(headers);
        let time = self.inner.time_for_page(scrape_timeout(headers));
        let time = time.min(probe.timeout());
        let request = PageRequest {
            format,
            deadline: Instant::now() + time,
        };
        let inner = Arc::clone(&self.inner);
        // A task of its own that holds the permit: whoever asks and hangs up again and again gets no
        // more readings at once than one who waits.
        let probing = tokio::spawn(async move {
            let (source, options) = probe.source(request.deadline).await?;
            let page = caught(inner.provider.probe(source, options, request)).await;
            Ok((page, permit))
        });
        match timeout_at(request.deadline + options.timeout_offset / 2, probing).await {
            Ok(Ok(Ok((page, permit)))) => holding(permit, self.answer(page, content_type, headers)),
            Ok(Ok(Err(refusal))) => refused(refusal),
            Ok(Err(_)) => self.answer(None, content_type, headers),
            Err(_) => overloaded("the page was not complete in time\n"),
        }
    }

    /// A page, or why there is none; nothing where making it panicked.
    fn answer(
        &self,
        page: Option<Result<Bytes, PageError>>,
        content_type: &'static str,
        headers: &HeaderMap,
    ) -> Response<Full<Bytes>> {
        let options = &self.inner.options;
        let page = match page {
            Some(Ok(page)) => page,
            Some(Err(PageError { message, status })) => {
                return if status == StatusCode::SERVICE_UNAVAILABLE {
                    overloaded(format!("{message}\n"))
                } else {
                    text(status, format!("{message}\n"))
                };
            }
            None => {
                tracing::error!("making the page panicked");
                return text(StatusCode::INTERNAL_SERVER_ERROR, "internal error\n");
            }
        };
        let packed = page.len() >= options.gzip_min_bytes && wants_gzip(headers);
        let page = if packed { gzip(&page) } else { page };
        let mut answer = respond(StatusCode::OK, content_type, page);
        let headers = answer.headers_mut();
        if packed {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        headers.insert(
            header::VARY,
            HeaderValue::from_static("Accept, Accept-Encoding"),
        );
        answer
    }

    fn landing(&self) -> Response<Full<Bytes>> {
        const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; \
            form-action 'none'; frame-ancestors 'none'";
        let html = self
            .inner
            .provider
            .landing()
            .html(&self.inner.options.telemetry_path);
        let mut answer = respond(StatusCode::OK, "text/html; charset=utf-8", html.into());
        let headers = answer.headers_mut();
        headers.insert(
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static(POLICY),
        );
        headers.insert(
            header::REFERRER_POLICY,
            HeaderValue::from_static("no-referrer"),
        );
        answer
    }
}

impl<P: PageProvider, B: Send + 'static> hyper::service::Service<Request<B>> for MetricsService<P> {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<B>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move { Ok(service.handle(request).await) })
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// None where the future panics. It is not polled again then, and what it left behind is the
/// provider's, which must hold under panics as under any early return.
async fn caught<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(
        |cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
            Ok(poll) => poll.map(Some),
            Err(_) => Poll::Ready(None),
        },
    )
    .await
}

/// At the fastest level: a page packs to a tenth even so.
fn gzip(page: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::with_capacity(page.len() / 8), Compression::fast());
    // Writing to a vector does not fail.
    let _ = encoder.write_all(page);
    encoder.finish().unwrap_or_default().into()
}

fn holding(
    permit: OwnedSemaphorePermit,
    mut answer: Response<Full<Bytes>>,
) -> Response<Full<Bytes>> {
    answer.extensions_mut().insert(Place(Arc::new(permit)));
    answer
}

fn refused(Refusal { status, message }: Refusal) -> Response<Full<Bytes>> {
    text(status, format!("{message}\n"))
}

fn overloaded(message: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut answer = text(StatusCode::SERVICE_UNAVAILABLE, message);
    answer
        .headers_mut()
        .insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    answer
}

fn text(status: StatusCode, message: impl Into<Bytes>) -> Response<Full<Bytes>> {
    respond(status, "text/plain; charset=utf-8", message.into())
}

fn respond(status: StatusCode, content_type: &'static str, body: Bytes) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_time_for_the_way_back() {
        let service = MetricsService::new(Nothing, ServiceOptions::default()).unwrap();
        let time = |given: Option<u64>| {
            service
                .inner
                .time_for_page(given.map(Duration::from_millis))
        };
        for (given, expected) in [
            (None, 10_000),
            (Some(60_000), 10_000),
            (Some(10_000), 9_500),
            (Some(1_000), 500),
            (Some(600), 300),
            (Some(2), 1),
        ] {
            assert_eq!(time(given).as_millis(), expected, "{given:?}");
        }
        service.clone().set_timeout_max(Duration::from_secs(30));
        assert_eq!(time(Some(60_000)), Duration::from_secs(30));
        assert_eq!(time(None), Duration::from_secs(30));
    }

    struct Nothing;

    impl PageProvider for Nothing {
        async fn page(&self, _: PageRequest) -> Result<Bytes, PageError> {
            Ok(Bytes::new())
        }
        fn landing(&self) -> Landing {
            Landing::default()
        }
        fn ready(&self) -> bool {
            false
        }
    }

    #[test]
    fn takes_only_a_path_of_its_own() {
        for (path, fine) in [
            ("/metrics", true),
            ("/", true),
            ("/a/b.c-d_e~f", true),
            ("metrics", false),
            ("", false),
            ("/healthz", false),
            ("/readyz", false),
            ("/probe", false),
            ("/a?b", false),
            ("/a b", false),
            ("/\"><b>", false),
        ] {
            let options = ServiceOptions {
                telemetry_path: path.to_owned(),
                ..Default::default()
            };
            let result = MetricsService::new(Nothing, options);
            assert_eq!(result.is_ok(), fine, "{path}");
            if let Err(error) = result {
                assert!(
                    error.to_string().ends_with("for instance /metrics"),
                    "{error}"
                );
            }
        }
    }
}
