//! HTTP/1.1 on a loopback socket for anything that answers requests: the transport that all servers
//! of the twin share, and the binding of virtual time to the clock.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream, ToSocketAddrs};
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

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

/// What answers requests.
pub(crate) trait Site: Send + Sync + 'static {
    /// The answer; `None` closes the connection without one, as a process that died does.
    fn answer(&self, request: &Request<Incoming>) -> Option<Response<Full<Bytes>>>;

    /// Lets virtual time follow the clock.
    fn tick(&self);
}

/// Something in which virtual time passes.
pub(crate) trait Passes {
    fn pass(&mut self, seconds: f64);
}

/// A thing whose virtual time follows the clock.
#[derive(Debug)]
pub(crate) struct Clocked<T> {
    state: Mutex<Moment<T>>,
    speed: f64,
}

#[derive(Debug)]
pub(crate) struct Moment<T> {
    pub(crate) thing: T,
    /// When virtual time last followed the clock.
    last: Instant,
}

impl<T: Passes> Clocked<T> {
    /// `speed` is virtual seconds per second; what is not a finite positive number is 0.
    pub(crate) fn new(thing: T, speed: f64) -> Self {
        Self {
            state: Mutex::new(Moment {
                thing,
                last: Instant::now(),
            }),
            speed: if speed.is_finite() {
                speed.max(0.0)
            } else {
                0.0
            },
        }
    }

    /// The thing, with its virtual time brought up to the clock.
    pub(crate) fn current(&self) -> MutexGuard<'_, Moment<T>> {
        // A panic while the lock was held leaves a state that is still worth reading.
        let mut moment = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let passed = now.duration_since(moment.last).as_secs_f64();
        moment.last = now;
        moment
            .thing
            .pass((passed * self.speed).min(CATCH_UP_SECONDS_MAX));
        moment
    }
}

/// A site that is listening. Dropping it stops it without waiting.
#[derive(Debug)]
pub(crate) struct Listening {
    local_addr: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Listening {
    /// Listens on `address`, and answers with `site` on the current tokio runtime.
    pub(crate) async fn bind(address: impl ToSocketAddrs, site: Arc<dyn Site>) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let local_addr = listener.local_addr()?;
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(run(listener, site, stopped));
        Ok(Self {
            local_addr,
            stop,
            task,
        })
    }

    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Stops listening, and lets answers under way finish for at most [`STOP_TIMEOUT`].
    pub(crate) async fn stop(mut self) {
        self.stop.send_replace(true);
        // The task ends by itself within its own timeout; a panic in it has been reported already.
        let _ = (&mut self.task).await;
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}

/// An answer with a body.
pub(crate) fn respond(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// An answer without a body and without a type.
pub(crate) fn empty(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}

/// Says that only `GET` is allowed here.
pub(crate) fn allow_get(mut response: Response<Full<Bytes>>) -> Response<Full<Bytes>> {
    response
        .headers_mut()
        .insert(ALLOW, HeaderValue::from_static("GET"));
    response
}

async fn run(listener: TcpListener, site: Arc<dyn Site>, mut stopped: watch::Receiver<bool>) {
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    let for_connections = stopped.clone();
    loop {
        tokio::select! {
            () = until(&mut stopped) => break,
            _ = tick.tick() => site.tick(),
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                        continue;
                    };
                    let site = Arc::clone(&site);
                    let stopped = for_connections.clone();
                    connections.spawn(async move {
                        serve(stream, site, stopped).await;
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

/// The process behind the socket is gone: the connection ends without an answer.
#[derive(Debug, thiserror::Error)]
#[error("gone")]
struct Gone;

async fn serve(stream: TcpStream, site: Arc<dyn Site>, mut stopped: watch::Receiver<bool>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let response = site.answer(&request).ok_or(Gone);
        async move { response }
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
