//! A twin behind a real HTTP/1.1 server, with virtual time bound to the clock.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ACCEPT, ALLOW, CONTENT_TYPE, HeaderValue, SERVER};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, ToSocketAddrs};
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::truth::Truth;
use crate::truth_json::truth_json;
use crate::twin::Twin;
use crate::vllm::{Layout, LayoutError};

/// How often virtual time follows the clock. A page is always of the moment it is asked for.
const TICK: Duration = Duration::from_millis(20);
/// Most virtual seconds to make up for at once, which bounds how long a page can wait.
const CATCH_UP_SECONDS_MAX: f64 = 120.0;
/// Most connections at once.
const CONNECTIONS_MAX: usize = 256;
/// Longest wait for a request's head.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest wait for open connections when the server stops.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// A server about to start: a twin, how it speaks, and how fast its time passes.
///
/// ```
/// use tokenpath_sim::vllm::{Layout, Release};
/// use tokenpath_sim::{Config, Server, Twin};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let twin = Twin::new(Config::default())?;
/// let server = Server::new(twin, Layout::of(Release::latest())).bind("127.0.0.1:0").await?;
/// println!("http://{}/metrics", server.local_addr());
/// server.stop().await;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Server {
    twin: Twin,
    layout: Layout,
    speed: f64,
}

/// A server that could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// The layout cannot say this twin's state.
    #[error("the page cannot be written")]
    Layout(#[from] LayoutError),
    /// The address cannot be listened on.
    #[error("cannot listen")]
    Listen(#[source] io::Error),
}

impl Server {
    /// A server of `twin` that speaks as `layout`, in real time.
    pub fn new(twin: Twin, layout: Layout) -> Self {
        Self {
            twin,
            layout,
            speed: 1.0,
        }
    }

    /// Seconds of virtual time per second, 1 by default. At 0 time stands still but for
    /// [`Running::with_twin`]. Anything that is not a finite positive number is 0. At a speed that
    /// the machine cannot follow, or after it slept, virtual time falls behind.
    #[must_use]
    pub fn speed(mut self, speed: f64) -> Self {
        self.speed = if speed.is_finite() {
            speed.max(0.0)
        } else {
            0.0
        };
        self
    }

    /// Listens, and starts to serve and to let time pass on the current tokio runtime.
    ///
    /// The twin is a test double: give it a loopback address unless others are meant to read it.
    ///
    /// # Errors
    /// The address is taken or not ours, or the layout does not fit the twin.
    ///
    /// # Panics
    /// Outside a tokio runtime with its timers and I/O enabled.
    pub async fn bind(self, address: impl ToSocketAddrs) -> Result<Running, BindError> {
        self.layout.check(&self.twin.truth().config)?;
        let listener = TcpListener::bind(address)
            .await
            .map_err(BindError::Listen)?;
        let local_addr = listener.local_addr().map_err(BindError::Listen)?;
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                twin: self.twin,
                layout: self.layout,
                last: Instant::now(),
            }),
            speed: self.speed,
        });
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(run(listener, Arc::clone(&shared), stopped));
        Ok(Running {
            local_addr,
            shared,
            stop,
            task,
        })
    }
}

/// A server at work. Dropping it stops it without waiting.
#[derive(Debug)]
pub struct Running {
    local_addr: SocketAddr,
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Running {
    /// The address it listens on, with the port it got.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// What is true at this moment: what a page asked for now would say.
    pub fn truth(&self) -> Truth {
        self.shared.current().twin.truth().clone()
    }

    /// Does something to the twin at this moment: an incident, or a step of time. Pages wait
    /// meanwhile.
    pub fn with_twin<T>(&self, act: impl FnOnce(&mut Twin) -> T) -> T {
        act(&mut self.shared.current().twin)
    }

    /// Speaks as another release from now on, as after an upgrade that keeps the state.
    ///
    /// # Errors
    /// The layout does not fit the twin; the old one stays.
    pub fn set_layout(&self, layout: Layout) -> Result<(), LayoutError> {
        let mut state = self.shared.current();
        layout.check(&state.twin.truth().config)?;
        state.layout = layout;
        Ok(())
    }

    /// Stops listening, lets answers under way finish for at most two seconds, and returns.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        // The task ends by itself within its own timeout; a panic in it has been reported already.
        let _ = (&mut self.task).await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    speed: f64,
}

#[derive(Debug)]
struct State {
    twin: Twin,
    layout: Layout,
    /// When virtual time last followed the clock.
    last: Instant,
}

impl Shared {
    /// The state, with virtual time brought up to the clock.
    fn current(&self) -> MutexGuard<'_, State> {
        // A panic while the lock was held leaves a twin that is still worth reading.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let passed = now.duration_since(state.last).as_secs_f64();
        state.last = now;
        state
            .twin
            .advance((passed * self.speed).min(CATCH_UP_SECONDS_MAX));
        state
    }
}

async fn run(listener: TcpListener, shared: Arc<Shared>, mut stopped: watch::Receiver<bool>) {
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    let for_connections = stopped.clone();
    loop {
        tokio::select! {
            () = until(&mut stopped) => break,
            _ = tick.tick() => drop(shared.current()),
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                        continue;
                    };
                    let shared = Arc::clone(&shared);
                    let stopped = for_connections.clone();
                    connections.spawn(async move {
                        serve(stream, shared, stopped).await;
                        drop(place);
                    });
                }
                // Out of file descriptors, or a client gone before it was taken: wait, go on.
                Err(_) => tokio::time::sleep(TICK).await,
            },
        }
    }
    drop(listener);
    let all = async { while connections.join_next().await.is_some() {} };
    if timeout(STOP_TIMEOUT, all).await.is_err() {
        connections.shutdown().await;
    }
}

/// Waits for the stop, or for the handle that could send it to be gone.
async fn until(stopped: &mut watch::Receiver<bool>) {
    let _ = stopped.wait_for(|&stopped| stopped).await;
}

async fn serve(
    stream: tokio::net::TcpStream,
    shared: Arc<Shared>,
    mut stopped: watch::Receiver<bool>,
) {
    let service = service_fn(move |request: Request<Incoming>| {
        let response = answer(&request, &shared);
        async move { Ok::<_, Infallible>(response) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    // Errors are the client's: it went away or spoke no HTTP.
    let served = tokio::select! {
        _ = connection.as_mut() => true,
        () = until(&mut stopped) => false,
    };
    if !served {
        connection.as_mut().graceful_shutdown();
        let _ = connection.await;
    }
}

/// Where the truth is told; no real engine has this.
const TRUTH: &str = "/debug/truth";

/// Answers as vLLM's API server does. `/metrics` looks at neither `Accept` nor `Accept-Encoding`;
/// `/metrics/` negotiates the format.
fn answer(request: &Request<Incoming>, shared: &Shared) -> Response<Full<Bytes>> {
    const JSON: &str = "application/json";
    let path = request.uri().path();
    let known = matches!(
        path,
        "/metrics" | "/metrics/" | "/version" | "/health" | TRUTH
    );
    if !known {
        return respond(StatusCode::NOT_FOUND, JSON, r#"{"detail":"Not Found"}"#);
    }
    if request.method() != Method::GET {
        let mut response = respond(
            StatusCode::METHOD_NOT_ALLOWED,
            JSON,
            r#"{"detail":"Method Not Allowed"}"#,
        );
        response
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static("GET"));
        return response;
    }
    let state = shared.current();
    let (truth, layout) = (state.twin.truth(), &state.layout);
    let page = match path {
        "/health" => {
            let mut response = respond(StatusCode::OK, JSON, "");
            response.headers_mut().remove(CONTENT_TYPE);
            return response;
        }
        "/version" => {
            let version = layout.release().version();
            return respond(
                StatusCode::OK,
                JSON,
                format!(r#"{{"version":"{version}"}}"#),
            );
        }
        TRUTH => return respond(StatusCode::OK, JSON, truth_json(truth)),
        "/metrics/" => {
            let accept = request.headers().get(ACCEPT);
            let accept = accept.and_then(|value| value.to_str().ok());
            layout.after_slash(truth, accept.unwrap_or_default())
        }
        _ => layout.page(truth).map(|page| (layout.content_type(), page)),
    };
    match page {
        Ok((content_type, page)) => respond(StatusCode::OK, content_type, page),
        // `bind` and `set_layout` let no such layout in.
        Err(error) => respond(
            StatusCode::INTERNAL_SERVER_ERROR,
            "text/plain; charset=utf-8",
            error.to_string(),
        ),
    }
}

fn respond(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(SERVER, HeaderValue::from_static("uvicorn"));
    response
}
