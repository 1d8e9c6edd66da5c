//! Reading one page from one target over HTTP/1.1, within limits.

mod certificate;
mod connection;
mod endpoint;
mod error;
mod progress;
mod resolve;
mod stream;

use std::borrow::Cow;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Request, Response, StatusCode};
use tokenpath_core::Reason;
use tokio::time::{Instant, timeout_at};
use url::Url;

use self::connection::{Connection, HeadLimits};
use self::error::Failure;
use self::progress::Phase;
pub(crate) use self::progress::Progress;
use self::resolve::Resolver;
use crate::body::{BodyError, Coding, read_capped};
use crate::instance;
use crate::tls::{Tls, TlsError};
use crate::{Auth, Secret, TlsOptions};

pub use self::endpoint::{Endpoint, EndpointError};
pub use self::error::FetchError;

/// The classic text format. Python clients since 0.23 rename colons in what they serve as
/// OpenMetrics, so OpenMetrics is asked for only where a source wants it.
const ACCEPT: &str = "text/plain;version=0.0.4";
const USER_AGENT: &str = concat!("tokenpath/", env!("CARGO_PKG_VERSION"));
const SCRAPE_TIMEOUT: HeaderName = HeaderName::from_static("x-prometheus-scrape-timeout-seconds");
const REDIRECTS_MAX: usize = 5;

/// A buffer that shrinks to this after an error, so that one huge page is not paid for ever.
const KEPT_AFTER_ERROR: usize = 1024 * 1024;

/// How a target is read. All limits are on by default.
///
/// ```
/// use tokenpath_scrape::{Auth, ClientOptions, Credential};
///
/// let options = ClientOptions {
///     auth: Auth::Bearer(Credential::File("/var/run/secrets/token".into())),
///     ..ClientOptions::default()
/// };
/// assert_eq!(options.body_limit, 16 * 1024 * 1024);
/// ```
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// Who we are. Credentials in the URL of the endpoint go here where this is [`Auth::None`].
    pub auth: Auth,
    /// TLS, for `https` endpoints.
    pub tls: TlsOptions,
    /// More headers, for instance an API key. Their values are treated as secrets.
    pub headers: Vec<(String, Secret)>,
    /// `Accept`; `text/plain;version=0.0.4` by default.
    pub accept: Cow<'static, str>,
    /// `User-Agent`; `tokenpath/VERSION` by default.
    pub user_agent: Cow<'static, str>,
    /// Whether to ask for gzip. An answer that is gzip is unpacked in any case.
    pub gzip: bool,
    /// Whether to follow redirects, at most 5, and only within the same scheme, host and port.
    /// Off by default.
    pub follow_redirects: bool,
    /// Largest page in bytes, on the wire and unpacked; 16 MiB by default.
    pub body_limit: usize,
    /// Largest head of an answer in bytes; 64 KiB by default.
    pub head_limit: usize,
    /// Most headers of an answer; 100 by default.
    pub headers_limit: usize,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            auth: Auth::None,
            tls: TlsOptions::default(),
            headers: Vec::new(),
            accept: ACCEPT.into(),
            user_agent: USER_AGENT.into(),
            gzip: true,
            follow_redirects: false,
            body_limit: 16 * 1024 * 1024,
            head_limit: 64 * 1024,
            headers_limit: 100,
        }
    }
}

/// The bytes of a page, in a buffer that is reused from reading to reading.
///
/// Empty unless the last [`Client::get`] into it was successful: there is never half a page here.
#[derive(Debug, Default)]
pub struct Page {
    bytes: Vec<u8>,
}

impl Page {
    /// An empty buffer. Nothing is allocated yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { bytes: Vec::new() }
    }

    /// The page, unpacked. Not checked in any way: it may not even be text.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn discard(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_AFTER_ERROR);
    }
}

/// What is known about a page beside its bytes.
#[derive(Clone, Debug)]
pub struct ResponseMeta {
    wire_bytes: usize,
    content_type: Option<HeaderValue>,
    reused: bool,
    certificate_not_after: Option<i64>,
}

impl ResponseMeta {
    /// Bytes of the body on the wire: packed, if it was.
    #[must_use]
    pub const fn wire_bytes(&self) -> usize {
        self.wire_bytes
    }

    /// `Content-Type` as sent, where it is ASCII text. Many engines leave out the version, some
    /// send a wrong one: it is a hint for messages, not what decides.
    #[must_use]
    pub fn content_type(&self) -> Option<&str> {
        self.content_type.as_ref()?.to_str().ok()
    }

    /// Whether the connection was kept from the reading before.
    #[must_use]
    pub const fn reused_connection(&self) -> bool {
        self.reused
    }

    /// The end of the target's certificate in seconds since the epoch; none without TLS.
    #[must_use]
    pub const fn certificate_not_after(&self) -> Option<i64> {
        self.certificate_not_after
    }
}

/// Reads one page of one target, and keeps one connection to it.
///
/// No task is spawned for a connection: it lives while it is used and rests in between. Two readings
/// at once work, on two connections, of which one is kept.
///
/// ```no_run
/// use std::time::Duration;
/// use tokenpath_scrape::{Client, ClientOptions, Page};
/// use tokio::time::Instant;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::new("localhost:8000".parse()?, ClientOptions::default())?;
/// let mut page = Page::new();
/// client.get(&mut page, Instant::now() + Duration::from_secs(10)).await?;
/// println!("{}", String::from_utf8_lossy(page.bytes()));
/// # Ok(())
/// # }
/// ```
pub struct Client {
    endpoint: Endpoint,
    auth: Auth,
    tls: Option<Tls>,
    resolver: Resolver,
    /// All headers but those that change from request to request.
    headers: HeaderMap,
    follow_redirects: bool,
    body_limit: usize,
    head_limits: HeadLimits,
    idle: Mutex<Option<Connection>>,
}

impl Client {
    /// Prepares the reading of `endpoint`. No network I/O; for `https` the trusted certificates are
    /// read from disk.
    ///
    /// # Errors
    ///
    /// Where the TLS files cannot be used, a header is not one or is ours to set, or credentials
    /// are given twice.
    pub fn new(endpoint: Endpoint, options: ClientOptions) -> Result<Self, SetupError> {
        let setup = |flaw: SetupFlaw| SetupError {
            target: endpoint.target().to_owned(),
            flaw: Box::new(flaw),
        };
        let auth = match (endpoint.auth(), &options.auth) {
            (Auth::None, _) => options.auth.clone(),
            (in_url, Auth::None) => in_url.clone(),
            _ => return Err(setup(SetupFlaw::TwoCredentials)),
        };
        let headers = fixed_headers(&endpoint, &options, &auth).map_err(setup)?;
        let tls = if endpoint.is_https() {
            let host = endpoint.host().to_string();
            Some(Tls::new(options.tls, &host).map_err(|error| setup(SetupFlaw::Tls(error)))?)
        } else {
            None
        };
        Ok(Self {
            auth,
            tls,
            resolver: match endpoint.addresses() {
                Some(addresses) => Resolver::at(Arc::clone(addresses)),
                None => Resolver::new(&endpoint.host(), endpoint.port()),
            },
            headers,
            follow_redirects: options.follow_redirects,
            body_limit: options.body_limit,
            head_limits: HeadLimits {
                bytes: options.head_limit,
                headers: options.headers_limit,
            },
            idle: Mutex::new(None),
            endpoint,
        })
    }

    /// What is read.
    #[must_use]
    pub const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Reads the page into `page`, before `deadline`, which covers all of it: name, connection,
    /// TLS, head and body.
    ///
    /// The one request that is repeated is one on a connection kept from before that turns out to
    /// be closed; it is repeated once, on a new connection.
    ///
    /// Dropping the future ends the reading and closes its connection.
    ///
    /// # Errors
    ///
    /// See [`FetchError::reason`]. `page` is empty then.
    pub async fn get(
        &self,
        page: &mut Page,
        deadline: Instant,
    ) -> Result<ResponseMeta, FetchError> {
        let url = Cow::Borrowed(self.endpoint.url());
        self.read(url, page, deadline).await
    }

    /// As [`get`](Self::get), of another path on the same target: what a backend says beside its
    /// metrics. `path` begins with a slash and is percent-encoded where it must be; it has no query.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub async fn get_path(
        &self,
        path: &str,
        page: &mut Page,
        deadline: Instant,
    ) -> Result<ResponseMeta, FetchError> {
        let mut url = self.endpoint.url().clone();
        url.set_query(None);
        url.set_path(path);
        self.read(Cow::Owned(url), page, deadline).await
    }

    async fn read(
        &self,
        url: Cow<'_, Url>,
        page: &mut Page,
        deadline: Instant,
    ) -> Result<ResponseMeta, FetchError> {
        let begin = Instant::now();
        page.bytes.clear();
        // Whoever gives the reading up before its deadline wants to say what it waited for, too.
        let progress = instance::progress().unwrap_or_else(|| Arc::new(Progress::new()));
        // `timeout_at` would try once even with no time left.
        let result = if deadline <= begin {
            Err(Failure::new(Reason::Timeout, "no time was left to begin"))
        } else {
            let reading = self.follow(url, page, deadline, &progress);
            timeout_at(deadline, reading).await.unwrap_or_else(|_| {
                let what = progress.describe(page.bytes.len());
                let seconds = (deadline - begin).as_secs_f64();
                Err(Failure::new(
                    Reason::Timeout,
                    format!("no page within {seconds:.1} s: {what}"),
                ))
            })
        };
        progress.enter(Phase::Idle);
        result.map_err(|failure| {
            page.discard();
            failure.at(self.endpoint.shared_target())
        })
    }

    /// Follows redirects where that is wanted.
    async fn follow(
        &self,
        mut url: Cow<'_, Url>,
        page: &mut Page,
        deadline: Instant,
        progress: &Progress,
    ) -> Result<ResponseMeta, Failure> {
        let mut followed = 0;
        loop {
            match self.request(&url, page, deadline, progress).await? {
                Outcome::Page(meta) => return Ok(meta),
                Outcome::Redirect(status, to) if followed == REDIRECTS_MAX => {
                    return Err(Failure::redirect(status, origin(&to).as_deref(), true));
                }
                Outcome::Redirect(_, to) => url = Cow::Owned(to),
            }
            followed += 1;
        }
    }

    /// One request, and its silent repetition where the kept connection was closed.
    async fn request(
        &self,
        url: &Url,
        page: &mut Page,
        deadline: Instant,
        progress: &Progress,
    ) -> Result<Outcome, Failure> {
        let kept = self.lock_idle().take();
        if let Some(mut connection) = kept {
            progress.enter(Phase::Head);
            if connection.is_usable().await {
                // Nothing of an answer came: it was closed as we wrote, or before.
                match connection.send(self.build(url, deadline)?).await {
                    Err(error) if is_stale(&error) => {}
                    answer => {
                        return self
                            .take(connection, url, answer, true, page, progress)
                            .await;
                    }
                }
            }
        }
        let tls = self.tls.as_ref();
        let open = Connection::open(&self.resolver, tls, self.head_limits, deadline, progress);
        let mut connection = open.await?;
        progress.enter(Phase::Head);
        let answer = connection.send(self.build(url, deadline)?).await;
        self.take(connection, url, answer, false, page, progress)
            .await
    }

    /// Reads an answer to its end, and keeps the connection where it can be used again.
    async fn take(
        &self,
        mut connection: Connection,
        url: &Url,
        answer: Result<Response<Incoming>, hyper::Error>,
        reused: bool,
        page: &mut Page,
        progress: &Progress,
    ) -> Result<Outcome, Failure> {
        let answer = answer.map_err(Failure::head)?;
        if matches!(answer.status().as_u16(), 300 | 304..=306) {
            return Err(Failure::no_redirect(answer.status()));
        }
        if answer.status().is_redirection() {
            let to = self.redirected(url, &answer)?;
            return Ok(Outcome::Redirect(answer.status(), to));
        }
        if answer.status() != StatusCode::OK {
            return Err(Failure::status(answer.status()));
        }
        let coding = framing_and_coding(answer.headers())?;
        let content_type = answer.headers().get(header::CONTENT_TYPE).cloned();
        let mut body = answer.into_body();
        progress.enter(Phase::Body);
        let reading = read_capped(&mut body, coding, self.body_limit, &mut page.bytes);
        let wire_bytes = connection.driver.run(reading).await.map_err(|error| {
            // The reset of a connection reaches the body only as its early end.
            match (error, connection.driver.error.take()) {
                (BodyError::Transport(_), Some(cause)) => {
                    Failure::body(BodyError::Transport(cause))
                }
                (error, _) => Failure::body(error),
            }
        })?;
        connection.driver.settle().await;
        if let Some(error) = connection.driver.error.take()
            && !error::is_io(&error)
        {
            return Err(Failure::trailing(error));
        }
        let certificate_not_after = connection.certificate_not_after;
        if connection.driver.is_open() {
            *self.lock_idle() = Some(connection);
        }
        Ok(Outcome::Page(ResponseMeta {
            wire_bytes,
            content_type,
            reused,
            certificate_not_after,
        }))
    }

    fn build(&self, url: &Url, deadline: Instant) -> Result<Request<Empty<Bytes>>, Failure> {
        let path = match url.query() {
            None => Cow::Borrowed(url.path()),
            Some(query) => Cow::Owned(format!("{}?{query}", url.path())),
        };
        let uri = path.parse().map_err(|_| {
            Failure::new(
                Reason::Http,
                "the path of the endpoint cannot be sent in a request",
            )
        })?;
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        headers.clone_from(&self.headers);
        if let Some(value) = self.auth.header().map_err(Failure::auth)? {
            headers.insert(header::AUTHORIZATION, value);
        }
        let left = deadline
            .saturating_duration_since(Instant::now())
            .as_secs_f64();
        if let Ok(value) = HeaderValue::from_str(&format!("{left:.3}")) {
            headers.insert(SCRAPE_TIMEOUT, value);
        }
        if let Some(reader) = instance::reader() {
            headers.insert(instance::HEADER, reader);
        }
        Ok(request)
    }

    /// Where a redirect may lead us.
    fn redirected(&self, from: &Url, answer: &Response<Incoming>) -> Result<Url, Failure> {
        let location = answer
            .headers()
            .get(header::LOCATION)
            .and_then(|value| value.to_str().ok());
        let to = location.and_then(|location| from.join(location).ok());
        match to {
            Some(to) if self.follow_redirects && to.origin() == from.origin() => Ok(to),
            to => {
                let to = to.as_ref().and_then(origin);
                Err(Failure::redirect(
                    answer.status(),
                    to.as_deref(),
                    self.follow_redirects,
                ))
            }
        }
    }

    fn lock_idle(&self) -> std::sync::MutexGuard<'_, Option<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The addresses of an endpoint that came from outside. Nothing is sent but to the name server.
pub(crate) async fn look_up(
    endpoint: &Endpoint,
    deadline: Instant,
) -> Result<Arc<[SocketAddr]>, FetchError> {
    let resolver = Resolver::foreign(&endpoint.host(), endpoint.port());
    let answer = match timeout_at(deadline, resolver.addresses()).await {
        Ok(answer) => answer.map_err(|error| Failure::resolve(&error)),
        Err(_) => Err(Failure::new(
            Reason::Timeout,
            "its name was not resolved in time",
        )),
    };
    answer.map_err(|failure| failure.at(endpoint.shared_target()))
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Client").field(&self.endpoint).finish()
    }
}

enum Outcome {
    Page(ResponseMeta),
    Redirect(StatusCode, Url),
}

/// Whether a kept connection was closed before a byte of the answer came.
fn is_stale(error: &hyper::Error) -> bool {
    error.is_canceled() || error.is_closed() || error.is_incomplete_message() || error::is_io(error)
}

/// `scheme://host:port`, which has nothing secret, or none where it is not HTTP.
fn origin(url: &Url) -> Option<String> {
    matches!(url.scheme(), "http" | "https").then(|| url.origin().ascii_serialization())
}

/// Refuses framings that two readers could read in two ways, and packings we did not ask for.
fn framing_and_coding(headers: &HeaderMap) -> Result<Coding, Failure> {
    let http = |what| Err(Failure::new(Reason::Http, what));
    if let Some(transfer) = headers.get(header::TRANSFER_ENCODING) {
        if headers.contains_key(header::CONTENT_LENGTH) {
            return http("the answer has both Content-Length and Transfer-Encoding");
        }
        let several = headers.get_all(header::TRANSFER_ENCODING).iter().count() > 1;
        if several || !transfer.as_bytes().eq_ignore_ascii_case(b"chunked") {
            return http("the answer has a Transfer-Encoding other than chunked");
        }
    }
    let mut codings = headers.get_all(header::CONTENT_ENCODING).iter();
    match (
        codings.next().map(|value| value.as_bytes().trim_ascii()),
        codings.next(),
    ) {
        (None, _) => Ok(Coding::Identity),
        (Some(one), None) if one.is_empty() || one.eq_ignore_ascii_case(b"identity") => {
            Ok(Coding::Identity)
        }
        (Some(one), None)
            if one.eq_ignore_ascii_case(b"gzip") || one.eq_ignore_ascii_case(b"x-gzip") =>
        {
            Ok(Coding::Gzip)
        }
        _ => http("the page is packed in a way that was not asked for; only gzip is understood"),
    }
}

fn fixed_headers(
    endpoint: &Endpoint,
    options: &ClientOptions,
    auth: &Auth,
) -> Result<HeaderMap, SetupFlaw> {
    let value = |name: &HeaderName, text: &str| {
        HeaderValue::from_str(text).map_err(|_| SetupFlaw::HeaderValue(name.to_string()))
    };
    let mut headers = HeaderMap::new();
    let host = endpoint.url().host_str().unwrap_or_default();
    let host = match endpoint.url().port() {
        Some(port) => Cow::Owned(format!("{host}:{port}")),
        None => Cow::Borrowed(host),
    };
    headers.insert(header::HOST, value(&header::HOST, &host)?);
    headers.insert(header::ACCEPT, value(&header::ACCEPT, &options.accept)?);
    headers.insert(
        header::USER_AGENT,
        value(&header::USER_AGENT, &options.user_agent)?,
    );
    let coding = if options.gzip { "gzip" } else { "identity" };
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(coding));
    for (text, secret) in &options.headers {
        let name: HeaderName = text
            .parse()
            .map_err(|_| SetupFlaw::HeaderName(text.escape_debug().to_string()))?;
        let ours = [
            header::CONNECTION,
            header::CONTENT_LENGTH,
            header::TRANSFER_ENCODING,
            header::ACCEPT_ENCODING,
            header::UPGRADE,
            header::TE,
            SCRAPE_TIMEOUT,
            instance::HEADER,
        ];
        let authorized = name == header::AUTHORIZATION && !matches!(auth, Auth::None);
        if authorized || ours.contains(&name) {
            return Err(SetupFlaw::OurHeader(name.to_string()));
        }
        let mut value = value(&name, secret.expose())?;
        value.set_sensitive(true);
        // Host, Accept and User-Agent may be set this way too; the last one wins.
        headers.insert(name, value);
    }
    Ok(headers)
}

/// Options that cannot be used for a target.
#[derive(Debug, thiserror::Error)]
#[error("{target}: {flaw}")]
pub struct SetupError {
    target: String,
    flaw: Box<SetupFlaw>,
}

#[derive(Debug, thiserror::Error)]
enum SetupFlaw {
    #[error("{0}")]
    Tls(TlsError),
    #[error("`{0}` is not a header name")]
    HeaderName(String),
    #[error("the value of the header {0} has a character that no header may carry")]
    HeaderValue(String),
    #[error("the header {0} is set by the client itself and cannot be given")]
    OurHeader(String),
    #[error("credentials stand both in the URL and in the options; give them once")]
    TwoCredentials,
}
