//! Targets that misbehave, each in its own way, and one that does not.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::e2e::bomb;
use crate::report::Result;

/// What a target does with a request.
#[derive(Clone)]
pub(crate) enum Manner {
    /// Answers with these bytes, then closes.
    Answers(Arc<[u8]>),
    /// Reads the request and says nothing.
    Stalls,
    /// The head, then a byte now and then.
    Trickles,
    /// Valid lines without an end.
    Endless,
}

/// A server on loopback; dropping it ends it.
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    stop: Arc<AtomicBool>,
}

impl Target {
    pub(crate) fn start(manner: Manner) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopping = Arc::clone(&stop);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopping.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let (manner, stopping) = (manner.clone(), Arc::clone(&stopping));
                // A client that leaves ends the conversation: nothing to report.
                std::thread::spawn(move || drop(converse(stream, &manner, &stopping)));
            }
        });
        Ok(Self { address, stop })
    }

    /// One that answers every request with a status line, a content type and a body.
    pub(crate) fn answers(status: &str, content_type: &str, body: &str) -> Result<Self> {
        Self::start(answer(
            status,
            &format!("Content-Type: {content_type}\r\n"),
            body.as_bytes(),
        ))
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Wakes the accept loop.
        let _ = TcpStream::connect(self.address);
    }
}

/// A whole answer.
pub(crate) fn answer(status: &str, headers: &str, body: &[u8]) -> Manner {
    let mut bytes = format!(
        "HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    bytes.extend_from_slice(body);
    Manner::Answers(bytes.into())
}

/// A page whose connection closes in the middle of its body.
pub(crate) fn broken_off(page: &str) -> Manner {
    let Manner::Answers(whole) = answer("200 OK", "Content-Type: text/plain\r\n", page.as_bytes())
    else {
        return Manner::Stalls;
    };
    Manner::Answers(
        whole
            .iter()
            .take(whole.len() - page.len() / 2)
            .copied()
            .collect(),
    )
}

/// Half a gigabyte that looks like three megabytes.
pub(crate) fn gzip_bomb() -> Manner {
    answer(
        "200 OK",
        "Content-Type: text/plain\r\nContent-Encoding: gzip\r\n",
        &bomb::gzip_of_hashes(512 << 20),
    )
}

fn converse(mut stream: TcpStream, manner: &Manner, stopping: &AtomicBool) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_millis(200)))?;
    stream.set_write_timeout(Some(Duration::from_secs(5)))?;
    while read_request(&mut stream, stopping)? {
        match manner {
            Manner::Answers(bytes) => {
                stream.write_all(bytes)?;
                // Closing is what breaks an answer off; for whole ones it is a server without
                // keep-alive.
                return Ok(());
            }
            Manner::Stalls => while !closed(&mut stream, stopping)? {},
            Manner::Trickles => {
                stream.write_all(HEAD)?;
                while !closed(&mut stream, stopping)? {
                    stream.write_all(b"#")?;
                }
            }
            Manner::Endless => {
                stream.write_all(HEAD)?;
                let line = b"vllm:num_requests_running{model_name=\"m\"} 1.0\n".repeat(1000);
                while !stopping.load(Ordering::Relaxed) {
                    stream.write_all(&line)?;
                }
            }
        }
    }
    Ok(())
}

const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n";

/// Reads up to the end of a request's head; false where the client has closed.
fn read_request(stream: &mut TcpStream, stopping: &AtomicBool) -> std::io::Result<bool> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(0) => return Ok(false),
            Ok(_) => head.extend(byte),
            Err(error) if waits(&error) && !stopping.load(Ordering::Relaxed) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

/// Waits a moment for the client to close.
fn closed(stream: &mut TcpStream, stopping: &AtomicBool) -> std::io::Result<bool> {
    match stream.read(&mut [0]) {
        Ok(read) => Ok(read == 0),
        Err(error) if waits(&error) => Ok(stopping.load(Ordering::Relaxed)),
        Err(error) => Err(error),
    }
}

fn waits(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
