//! One connection to a target: opened, driven and judged by the reading that uses it.
//!
//! hyper leaves the driving of a connection to a future that is usually spawned. Here it is polled
//! by the reading itself: dropping the reading stops all of it, no task outlives its client, and an
//! idle connection costs nothing. What happened to it while idle is seen at its next use.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::certificate;
use super::error::Failure;
use super::progress::{Phase, Progress};
use super::resolve::Resolver;
use crate::tls::Tls;

/// A target that accepts the connection and then says nothing is not worth the whole deadline.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(5);

/// Limits on the head of an answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeadLimits {
    pub(super) bytes: usize,
    pub(super) headers: usize,
}

pub(super) struct Connection {
    sender: SendRequest<Empty<Bytes>>,
    pub(super) driver: Driver,
    pub(super) certificate_not_after: Option<i64>,
}

impl Connection {
    pub(super) async fn open(
        resolver: &Resolver,
        tls: Option<&Tls>,
        limits: HeadLimits,
        deadline: Instant,
        progress: &Progress,
    ) -> Result<Self, Failure> {
        progress.enter(Phase::Resolve);
        let addresses = resolver
            .addresses()
            .await
            .map_err(|error| Failure::resolve(&error))?;
        progress.enter(Phase::Connect);
        let tcp = match connect(&addresses, deadline).await {
            Ok(tcp) => tcp,
            Err(error) => {
                resolver.forget();
                return Err(Failure::connect(error));
            }
        };
        // Requests are one small write: waiting to merge it with another would only delay it.
        let _ = tcp.set_nodelay(true);
        let mut certificate_not_after = None;
        let transport = match tls {
            None => Transport::Plain(tcp),
            Some(tls) => {
                progress.enter(Phase::Handshake);
                let stream = handshake(tls, tcp).await?;
                let chain = stream.get_ref().1.peer_certificates();
                certificate_not_after = chain
                    .and_then(<[_]>::first)
                    .and_then(|leaf| certificate::not_after(leaf));
                Transport::Tls(Box::new(stream))
            }
        };
        let (sender, connection) = http1::Builder::new()
            .max_headers(limits.headers)
            .max_header_size(limits.bytes)
            .max_buf_size(limits.bytes.max(MIN_BUFFER))
            .handshake(TokioIo::new(transport))
            .await
            .map_err(Failure::head)?;
        let driver = Driver {
            connection: Some(Box::pin(connection)),
            error: None,
        };
        Ok(Self {
            sender,
            driver,
            certificate_not_after,
        })
    }

    /// Whether a connection that was idle still takes a request: the target may have closed it.
    pub(super) async fn is_usable(&mut self) -> bool {
        self.driver.settle().await;
        self.driver.is_open() && self.driver.run(self.sender.ready()).await.is_ok()
    }

    /// Sends a request and waits for the head of the answer.
    pub(super) async fn send(
        &mut self,
        request: Request<Empty<Bytes>>,
    ) -> Result<Response<Incoming>, hyper::Error> {
        let answer = self.driver.run(self.sender.send_request(request)).await;
        // Where the connection failed, its own error says more than "canceled".
        answer.map_err(|error| match self.driver.error.take() {
            Some(cause) if error.is_canceled() || error.is_closed() => cause,
            _ => error,
        })
    }
}

/// What hyper asks for at least.
const MIN_BUFFER: usize = 8192;

type Http = http1::Connection<TokioIo<Transport>, Empty<Bytes>>;

/// The half of a connection that reads and writes.
pub(super) struct Driver {
    /// None once it has ended.
    connection: Option<Pin<Box<Http>>>,
    pub(super) error: Option<hyper::Error>,
}

impl Driver {
    /// Whether another request could be sent.
    pub(super) const fn is_open(&self) -> bool {
        self.connection.is_some()
    }

    /// Runs `future`, which waits for something from this connection.
    pub(super) async fn run<F: Future>(&mut self, future: F) -> F::Output {
        let mut future = pin!(future);
        poll_fn(|cx| {
            self.poll(cx);
            future.as_mut().poll(cx)
        })
        .await
    }

    /// Takes note of what has happened, without waiting.
    pub(super) async fn settle(&mut self) {
        self.run(async {}).await;
    }

    fn poll(&mut self, cx: &mut Context<'_>) {
        if let Some(connection) = &mut self.connection
            && let Poll::Ready(result) = connection.as_mut().poll(cx)
        {
            self.connection = None;
            self.error = result.err();
        }
    }
}

/// Tries the addresses in turn. Each gets an even share of the time that is left, so that one that
/// swallows packets does not take the time of the others.
async fn connect(addresses: &[std::net::SocketAddr], deadline: Instant) -> io::Result<TcpStream> {
    let mut last = None;
    for (tried, address) in addresses.iter().enumerate() {
        let attempt = TcpStream::connect(address);
        let others = u32::try_from(addresses.len() - tried - 1).unwrap_or(u32::MAX);
        let result = if others == 0 {
            // The caller's deadline ends this one.
            attempt.await
        } else {
            let left = deadline.saturating_duration_since(Instant::now());
            let share = left / others.saturating_add(1);
            timeout(share, attempt)
                .await
                .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        };
        match result {
            // A closed port among those the system hands out can connect to itself.
            Ok(tcp) if tcp.local_addr().ok() == Some(*address) => {
                last = Some(io::ErrorKind::ConnectionRefused.into());
            }
            Ok(tcp) => return Ok(tcp),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| io::ErrorKind::AddrNotAvailable.into()))
}

async fn handshake(tls: &Tls, tcp: TcpStream) -> Result<TlsStream<TcpStream>, Failure> {
    let connector = TlsConnector::from(tls.config());
    match timeout(HANDSHAKE_LIMIT, connector.connect(tls.server_name(), tcp)).await {
        Ok(result) => result.map_err(Failure::tls),
        Err(_) => Err(Failure::handshake_timeout(HANDSHAKE_LIMIT.as_secs())),
    }
}

/// TCP, or TLS over it.
enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Transport {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
