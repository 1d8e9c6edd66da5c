//! A relay between two programs that takes note of the heads that pass.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::report::Result;

/// Passes bytes on between whoever connects and one address; dropping it ends it.
pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    heads: Arc<Mutex<String>>,
    stop: Arc<AtomicBool>,
}

impl Relay {
    pub(crate) fn to(target: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let (heads, stop) = (Arc::new(Mutex::default()), Arc::new(AtomicBool::new(false)));
        let (noted, stopping) = (Arc::clone(&heads), Arc::clone(&stop));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopping.load(Ordering::Relaxed) {
                    return;
                }
                let (Ok(near), Ok(far)) = (stream, TcpStream::connect(target)) else {
                    continue;
                };
                let (Ok(near_too), Ok(far_too)) = (near.try_clone(), far.try_clone()) else {
                    continue;
                };
                for (from, to) in [(near, far), (far_too, near_too)] {
                    let (noted, stopping) = (Arc::clone(&noted), Arc::clone(&stopping));
                    // Either side leaves when it likes: nothing to report.
                    std::thread::spawn(move || drop(pass(from, to, &noted, &stopping)));
                }
            }
        });
        Ok(Self {
            address,
            heads,
            stop,
        })
    }

    /// The values of a header in all heads so far.
    pub(crate) fn values(&self, header: &str) -> Vec<String> {
        let heads = self.heads.lock().unwrap_or_else(PoisonError::into_inner);
        let named = heads.lines().filter_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case(header).then(|| value.to_owned())
        });
        named.collect()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Wakes the accept loop.
        let _ = TcpStream::connect(self.address);
    }
}

/// Lines that look like headers are kept, whatever they are part of: no body here has such.
fn pass(
    mut from: TcpStream,
    mut to: TcpStream,
    noted: &Mutex<String>,
    stopping: &AtomicBool,
) -> std::io::Result<()> {
    from.set_read_timeout(Some(Duration::from_secs(30)))?;
    let mut bytes = [0; 16 << 10];
    while !stopping.load(Ordering::Relaxed) {
        let read = from.read(&mut bytes)?;
        let Some(bytes) = bytes.get(..read).filter(|bytes| !bytes.is_empty()) else {
            return to.shutdown(std::net::Shutdown::Write);
        };
        let text = String::from_utf8_lossy(bytes);
        let head = text.split("\r\n\r\n").next().unwrap_or_default();
        if head.starts_with("GET ") || head.starts_with("HTTP/") {
            let mut noted = noted.lock().unwrap_or_else(PoisonError::into_inner);
            noted.push_str(head);
            noted.push_str("\r\n");
        }
        to.write_all(bytes)?;
    }
    Ok(())
}
