//! How far a reading has come, so that a timeout can say what it waited for.

use std::sync::atomic::{AtomicU8, Ordering};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Phase {
    Resolve,
    Connect,
    Handshake,
    Head,
    Body,
}

/// An atomic only because the future that holds it moves between threads.
pub(super) struct Progress(AtomicU8);

impl Progress {
    pub(super) const fn new() -> Self {
        Self(AtomicU8::new(Phase::Connect as u8))
    }

    pub(super) fn enter(&self, phase: Phase) {
        self.0.store(phase as u8, Ordering::Relaxed);
    }

    /// What it is that did not end in time; `body` is how many bytes of the page are there.
    pub(super) fn describe(&self, body: usize) -> String {
        let phase = self.0.load(Ordering::Relaxed);
        let is = |other: Phase| phase == other as u8;
        if is(Phase::Body) {
            format!("the page came too slowly ({body} bytes so far)")
        } else if is(Phase::Head) {
            "connected, and no answer came".to_owned()
        } else if is(Phase::Handshake) {
            "the TLS handshake did not end".to_owned()
        } else if is(Phase::Resolve) {
            "the name server did not answer".to_owned()
        } else {
            "no connection was made".to_owned()
        }
    }
}
