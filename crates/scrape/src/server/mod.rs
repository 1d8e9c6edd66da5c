//! The `/metrics` service: [`MetricsService`] answers requests, [`Server`] runs it on listeners,
//! [`bind`] opens them.

mod allow;
mod landing;
mod listen;
mod negotiate;
mod probe;
mod service;
mod stream;

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, Id, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};

use self::stream::{Activity, Limits, Phase, TimedStream};

pub use self::allow::{AllowList, Network};
pub use self::landing::{Landing, LandingSource, SourceState};
pub use self::listen::{BindError, ListenAddress, ListenAddressError, bind};
pub use self::negotiate::ServedFormat;
pub use self::probe::{DEFAULT_PROBES_MAX, Module, ProbeOptions, Probes};
use self::service::Place;
pub use self::service::{
    MetricsService, PageError, PageProvider, PageRequest, ServiceOptions, TelemetryPathError,
};

/// How long nothing is accepted after the system said that it has no more descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How often one and the same trouble is logged.
const LOG_INTERVAL: Duration = Duration::from_secs(60);
/// Heads of requests: Prometheus sends some 500 bytes.
const HEAD_LIMIT: usize = 32 * 1024;

/// Limits of a [`Server`] on its connections.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// Connections at once; 256. For one more, the one that rests longest is closed; where all are
    /// being answered, the new one gets a 503.
    pub connections_max: usize,
    /// For the head of a request, from its first byte, or from the beginning of the connection; 10 s.
    pub header_timeout: Duration,
    /// Between two requests; 5 min, more than any usual scrape interval.
    pub idle_timeout: Duration,
    /// While the peer takes nothing of what we send; 10 s.
    pub write_timeout: Duration,
    /// For the whole of an answer to be taken, however steadily; 30 s.
    pub send_timeout: Duration,
    /// For running answers to end after the shutdown began; 4.5 s.
    pub shutdown_grace: Duration,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            connections_max: 256,
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(300),
            write_timeout: Duration::from_secs(10),
            send_timeout: Duration::from_secs(30),
            shutdown_grace: Duration::from_millis(4_500),
        }
    }
}

/// What a server has seen so far. All counts only grow.
#[derive(Debug, Default)]
pub struct ServerStats {
    accepted: AtomicU64,
    refused: AtomicU64,
    evicted: AtomicU64,
    accept_errors: AtomicU64,
    panics: AtomicU64,
}

impl ServerStats {
    /// Connections accepted.
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Connections turned away because all others were being answered.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Resting connections closed to make room.
    pub fn evicted(&self) -> u64 {
        self.evicted.load(Ordering::Relaxed)
    }

    /// Times the system could not give us a connection, for instance for want of descriptors.
    pub fn accept_errors(&self) -> u64 {
        self.accept_errors.load(Ordering::Relaxed)
    }

    /// Connections that ended with a panic. The others do not notice.
    pub fn panics(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }
}

/// Runs a [`MetricsService`] on HTTP/1.1 connections.
///
/// ```no_run
/// # use tokenpath_scrape::server::{MetricsService, PageProvider};
/// use tokenpath_scrape::server::{Server, ServerOptions, bind};
///
/// # async fn example(
/// #     service: MetricsService<impl PageProvider>,
/// #     stop: impl Future<Output = ()>,
/// # ) -> Result<(), Box<dyn std::error::Error>> {
/// let listeners = bind(&[":9401".parse()?]).await?;
/// Server::new(service, ServerOptions::default()).serve(listeners, stop).await;
/// # Ok(())
/// # }
/// ```
pub struct Server<P> {
    service: MetricsService<P>,
    options: ServerOptions,
    stats: Arc<ServerStats>,
}

impl<P: PageProvider> Server<P> {
    /// A server that does not serve yet.
    #[must_use]
    pub fn new(service: MetricsService<P>, options: ServerOptions) -> Self {
        Self {
            service,
            options,
            stats: Arc::default(),
        }
    }

    /// The counts, which stay readable while the server runs.
    #[must_use]
    pub fn stats(&self) -> Arc<ServerStats> {
        Arc::clone(&self.stats)
    }

    /// Serves until `shutdown` ends. Then nothing is accepted any more, resting connections are
    /// closed, running answers get [`ServerOptions::shutdown_grace`] to end; what still runs is
    /// aborted.
    ///
    /// Dropping the future ends everything at once.
    pub async fn serve(self, listeners: Vec<TcpListener>, shutdown: impl Future<Output = ()>) {
        let grace = self.options.shutdown_grace;
        let stats = self.stats();
        let mut connections = Connections::new(self);
        let mut accepting = Accepting::new(listeners);
        let mut shutdown = pin!(shutdown);
        loop {
            // One future polls all three, in this order: a flood of connections cannot keep the
            // shutdown waiting.
            let accepted = tokio::select! {
                biased;
                () = &mut shutdown => break,
                () = connections.ended() => continue,
                accepted = accepting.next(&stats) => accepted,
            };
            connections.add(accepted);
        }
        drop(accepting);
        connections.finish(grace).await;
    }
}

/// The listeners, with the pause that a system without descriptors needs.
struct Accepting {
    listeners: Vec<TcpListener>,
    /// The listener that is asked first, so that a busy one does not starve the others.
    first: usize,
    paused_until: Option<Instant>,
    logged: Option<Instant>,
}

impl Accepting {
    const fn new(listeners: Vec<TcpListener>) -> Self {
        Self {
            listeners,
            first: 0,
            paused_until: None,
            logged: None,
        }
    }

    /// Cancel safe: nothing is accepted without being returned.
    async fn next(&mut self, stats: &ServerStats) -> TcpStream {
        loop {
            if let Some(until) = self.paused_until {
                sleep_until(until).await;
                self.paused_until = None;
            }
            match poll_fn(|cx| self.poll_accept(cx)).await {
                Ok(stream) => {
                    stats.accepted.fetch_add(1, Ordering::Relaxed);
                    return stream;
                }
                // The peer is gone already.
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    stats.accept_errors.fetch_add(1, Ordering::Relaxed);
                    let now = Instant::now();
                    self.paused_until = Some(now + ACCEPT_PAUSE);
                    if self
                        .logged
                        .is_none_or(|logged| now - logged >= LOG_INTERVAL)
                    {
                        self.logged = Some(now);
                        tracing::warn!(%error, "cannot accept connections; open ones are served on");
                    }
                }
            }
        }
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<TcpStream>> {
        let count = self.listeners.len();
        for offset in 0..count {
            let index = (self.first + offset) % count;
            if let Poll::Ready(result) = self.listeners[index].poll_accept(cx) {
                self.first = (index + 1) % count;
                return Poll::Ready(result.map(|(stream, _)| stream));
            }
        }
        Poll::Pending
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{
        ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted, TimedOut,
    };
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted | TimedOut
    )
}

/// The open connections: a task each.
struct Connections<P> {
    server: Server<P>,
    limits: Limits,
    epoch: Instant,
    tasks: JoinSet<()>,
    open: HashMap<Id, Open>,
    stopping: watch::Sender<bool>,
}

struct Open {
    activity: Arc<Activity>,
    task: AbortHandle,
}

impl<P: PageProvider> Connections<P> {
    fn new(server: Server<P>) -> Self {
        let limits = Limits {
            head: server.options.header_timeout,
            rest: server.options.idle_timeout,
            write: server.options.write_timeout,
            send: server.options.send_timeout,
        };
        Self {
            server,
            limits,
            epoch: Instant::now(),
            tasks: JoinSet::new(),
            open: HashMap::new(),
            stopping: watch::Sender::new(false),
        }
    }

    fn add(&mut self, stream: TcpStream) {
        if self.open.len() >= self.server.options.connections_max.max(1) && !self.make_room() {
            self.server.stats.refused.fetch_add(1, Ordering::Relaxed);
            // As far as it goes without waiting.
            let _ = stream.try_write(
                b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n\
                  Connection: close\r\nContent-Length: 0\r\n\r\n",
            );
            return;
        }
        let activity = Arc::new(Activity::new(self.epoch));
        let task = self.tasks.spawn(connection(
            stream,
            self.server.service.clone(),
            Arc::clone(&activity),
            self.limits,
            self.stopping.subscribe(),
        ));
        self.open.insert(task.id(), Open { activity, task });
    }

    /// Closes the connection that waits longest for a request, or else one that has been sending
    /// for longer than it may be stuck: a peer that reads a byte now and then.
    fn make_room(&mut self) -> bool {
        let oldest = |phases: &[Phase]| {
            self.open
                .iter()
                .filter(|(_, open)| phases.contains(&open.activity.phase()))
                .min_by_key(|(_, open)| open.activity.since())
                .map(|(id, open)| (*id, open.activity.since()))
        };
        let slow = Instant::now() - self.limits.write.min(self.epoch.elapsed());
        let waiting = oldest(&[Phase::Head, Phase::Rest]);
        let victim = waiting.or_else(|| oldest(&[Phase::Send]).filter(|(_, since)| *since < slow));
        let Some(open) = victim.and_then(|(id, _)| self.open.remove(&id)) else {
            return false;
        };
        open.task.abort();
        self.server.stats.evicted.fetch_add(1, Ordering::Relaxed);
        true
    }

    /// Waits for a connection to end; for ever while there is none.
    async fn ended(&mut self) {
        let Some(result) = self.tasks.join_next_with_id().await else {
            return std::future::pending().await;
        };
        let id = match result {
            Ok((id, ())) => id,
            Err(error) => {
                if error.is_panic() {
                    self.server.stats.panics.fetch_add(1, Ordering::Relaxed);
                    tracing::error!("a connection ended with a panic; the others are served on");
                }
                error.id()
            }
        };
        self.open.remove(&id);
    }

    async fn finish(mut self, grace: Duration) {
        self.stopping.send_replace(true);
        for open in self.open.values() {
            if matches!(open.activity.phase(), Phase::Head | Phase::Rest) {
                open.task.abort();
            }
        }
        let ended = async {
            while !self.tasks.is_empty() {
                self.ended().await;
            }
        };
        if timeout(grace, ended).await.is_err() {
            tracing::warn!(
                open = self.tasks.len(),
                "answers were still running at shutdown"
            );
            self.tasks.shutdown().await;
        }
    }
}

async fn connection<P: PageProvider>(
    stream: TcpStream,
    service: MetricsService<P>,
    activity: Arc<Activity>,
    limits: Limits,
    mut stopping: watch::Receiver<bool>,
) {
    // Answers are written whole: there is nothing to wait for.
    let _ = stream.set_nodelay(true);
    let io = TokioIo::new(TimedStream::new(stream, Arc::clone(&activity), limits));
    let answering = service_fn(|request: Request<Incoming>| {
        let (service, activity) = (&service, Arc::clone(&activity));
        async move {
            activity.enter(Phase::Answer);
            let mut answer = service.handle(request).await;
            let place = answer.extensions_mut().remove();
            Ok::<_, Infallible>(answer.map(|full| Watched {
                full,
                place,
                activity,
            }))
        }
    });
    let mut builder = http1::Builder::new();
    builder
        // A peer that has said all it will say still wants its answer, as `nc -N` does.
        .half_close(true)
        .timer(TokioTimer::new())
        // The outer net; it also makes hyper look at the connection again after each answer, which
        // is when the finer timers of the stream begin.
        .header_read_timeout(limits.head + limits.rest)
        .max_header_size(HEAD_LIMIT)
        .max_buf_size(HEAD_LIMIT);
    let mut connection = pin!(builder.serve_connection(io, answering));
    let stopped = async {
        let _ = stopping.wait_for(|stopping| *stopping).await;
    };
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = stopped => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// A body that tells when hyper has taken all of it.
struct Watched {
    full: Full<Bytes>,
    place: Option<Place>,
    activity: Arc<Activity>,
}

impl Body for Watched {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Pin::new(&mut self.full).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.full.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.full.size_hint()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.activity.enter(Phase::Send);
        // hyper has taken the bytes, and the peer not yet.
        self.activity.hold(self.place.take());
    }
}
