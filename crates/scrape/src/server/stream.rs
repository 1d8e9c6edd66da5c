//! A connection that watches its own time: what a peer that sends or reads too slowly may cost.
//!
//! hyper has one timer for the head of a request, which counts the rest between two requests too.
//! Scrapers rest for a whole interval and should not reconnect for each scrape, so head and rest
//! have a limit each here, and writing has one.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until};

use super::service::Place;

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Phase {
    /// A request is coming in; also before the first byte of the first one.
    Head,
    /// Between two requests.
    Rest,
    /// A request is being answered.
    Answer,
    /// The answer is complete, and on its way out.
    Send,
}

/// Phase and since when, shared between a connection and the server that may have to end it.
/// Each is written by the connection's own task only, so relaxed order is enough: the server may
/// see the two of different moments, which at worst ends another resting connection.
pub(super) struct Activity {
    epoch: Instant,
    phase: AtomicU8,
    since_ms: AtomicU64,
    /// Of the answers that hyper holds.
    places: Mutex<Vec<Place>>,
}

impl Activity {
    pub(super) fn new(epoch: Instant) -> Self {
        let activity = Self {
            epoch,
            phase: AtomicU8::new(0),
            since_ms: AtomicU64::new(0),
            places: Mutex::default(),
        };
        activity.enter(Phase::Head);
        activity
    }

    pub(super) fn enter(&self, phase: Phase) {
        let now = u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.since_ms.store(now, Ordering::Relaxed);
        self.phase.store(phase as u8, Ordering::Relaxed);
    }

    /// Holds the place of an answer until the peer has taken it, or is gone.
    pub(super) fn hold(&self, place: Option<Place>) {
        self.places().extend(place);
    }

    fn places(&self) -> MutexGuard<'_, Vec<Place>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn phase(&self) -> Phase {
        let phase = self.phase.load(Ordering::Relaxed);
        for known in [Phase::Head, Phase::Rest, Phase::Answer] {
            if phase == known as u8 {
                return known;
            }
        }
        Phase::Send
    }

    pub(super) fn since(&self) -> Instant {
        self.epoch + Duration::from_millis(self.since_ms.load(Ordering::Relaxed))
    }
}

/// The limits of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) head: Duration,
    pub(super) rest: Duration,
    pub(super) write: Duration,
    pub(super) send: Duration,
}

pub(super) struct TimedStream {
    tcp: TcpStream,
    activity: Arc<Activity>,
    limits: Limits,
    read_timer: Timer,
    write_timer: Timer,
    /// When the peer last took something, while it keeps us waiting.
    stuck_since: Option<Instant>,
    /// When the first byte of what is being sent was to go out.
    sending_since: Option<Instant>,
}

impl TimedStream {
    pub(super) fn new(tcp: TcpStream, activity: Arc<Activity>, limits: Limits) -> Self {
        Self {
            tcp,
            activity,
            limits,
            read_timer: Timer(None),
            write_timer: Timer(None),
            stuck_since: None,
            sending_since: None,
        }
    }

    /// Waits for the peer to take more, and not for ever.
    fn stuck<T>(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        let stuck = *self.stuck_since.get_or_insert_with(Instant::now);
        let sending = *self.sending_since.get_or_insert_with(Instant::now);
        let until = (stuck + self.limits.write).min(sending + self.limits.send);
        ready!(self.write_timer.poll(cx, until));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for TimedStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        if let Poll::Ready(result) = Pin::new(&mut this.tcp).poll_read(cx, buf) {
            if buf.filled().len() > before && this.activity.phase() == Phase::Rest {
                this.activity.enter(Phase::Head);
            }
            return Poll::Ready(result);
        }
        let limit = match this.activity.phase() {
            Phase::Head => this.limits.head,
            Phase::Rest => this.limits.rest,
            Phase::Answer | Phase::Send => return Poll::Pending,
        };
        ready!(this.read_timer.poll(cx, this.activity.since() + limit));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncWrite for TimedStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        match Pin::new(&mut this.tcp).poll_write(cx, buf) {
            Poll::Ready(result) => {
                this.stuck_since = None;
                Poll::Ready(result)
            }
            Poll::Pending => this.stuck(cx),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        match Pin::new(&mut this.tcp).poll_write_vectored(cx, bufs) {
            Poll::Ready(result) => {
                this.stuck_since = None;
                Poll::Ready(result)
            }
            Poll::Pending => this.stuck(cx),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    /// hyper flushes once all it holds is written.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let result = ready!(Pin::new(&mut this.tcp).poll_flush(cx));
        this.sending_since = None;
        let sent = std::mem::take(&mut *this.activity.places());
        drop(sent);
        if this.activity.phase() == Phase::Send {
            this.activity.enter(Phase::Rest);
        }
        Poll::Ready(result)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_shutdown(cx)
    }
}

/// A timer that is made at its first use: most connections never wait.
struct Timer(Option<Pin<Box<Sleep>>>);

impl Timer {
    fn poll(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        let sleep = self
            .0
            .get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if sleep.deadline() != deadline {
            sleep.as_mut().reset(deadline);
        }
        sleep.as_mut().poll(cx)
    }
}
