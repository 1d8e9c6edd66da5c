//! A TCP server whose every byte the test decides.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "shared by test files that each use a part"
)]

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

pub struct FaultServer {
    address: SocketAddr,
    accepted: Arc<AtomicUsize>,
    failures: Arc<AtomicUsize>,
    accepting: tokio::task::JoinHandle<()>,
}

impl FaultServer {
    /// Runs `answer` for every connection, with its number from 0 on.
    pub async fn start<F, R>(answer: F) -> Self
    where
        F: Fn(usize, TcpStream) -> R + Send + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let accepted = Arc::new(AtomicUsize::new(0));
        let failures = Arc::new(AtomicUsize::new(0));
        let (count, failed) = (Arc::clone(&accepted), Arc::clone(&failures));
        let accepting = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    Ok((stream, _)) = listener.accept() => {
                        let n = count.fetch_add(1, Ordering::SeqCst);
                        connections.spawn(answer(n, stream));
                    }
                    Some(result) = connections.join_next() => {
                        if result.is_err() {
                            failed.fetch_add(1, Ordering::SeqCst);
                        }
                    }
                }
            }
        });
        Self {
            address,
            accepted,
            failures,
            accepting,
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Connections so far.
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    /// Connections whose `answer` panicked.
    pub fn failures(&self) -> usize {
        self.failures.load(Ordering::SeqCst)
    }
}

impl Drop for FaultServer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// The head of the next request; empty when the connection ended instead.
pub async fn read_request(stream: &mut (impl AsyncReadExt + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return String::new(),
        }
    }
    String::from_utf8(head).unwrap()
}

/// A 200 with these header lines and this body.
pub fn ok(headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 200 OK\r\n{headers}Content-Length: {}\r\n\r\n",
        body.len()
    );
    [head.into_bytes(), body.to_vec()].concat()
}

/// Closes with a reset instead of a FIN.
#[allow(
    dead_code,
    reason = "not every test file that shares this module does it"
)]
pub fn reset(stream: TcpStream) {
    stream.set_zero_linger().unwrap();
    drop(stream);
}
