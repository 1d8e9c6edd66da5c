//! How far a reading has come, so that a timeout can say what it waited for.

use std::sync::atomic::{AtomicU8, Ordering};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Phase {
    /// Nothing is waited for.
    Idle,
    Resolve,
    Connect,
    Handshake,
    Head,
    Body,
}

/// An atomic only because the future that holds it moves between threads.
#[derive(Debug)]
pub(crate) struct Progress(AtomicU8);

impl Progress {
    pub(crate) const fn new() -> Self {
        Self(AtomicU8::new(Phase::Idle as u8))
    }

    pub(super) fn enter(&self, phase: Phase) {
        self.0.store(phase as u8, Ordering::Relaxed);
    }

    /// What it is that did not end in time; `body` is how many bytes of the page are there.
    pub(super) fn describe(&self, body: usize) -> String {
        if self.0.load(Ordering::Relaxed) == Phase::Body as u8 {
            return format!("the page came too slowly ({body} bytes so far)");
        }
        self.waits_for()
            .unwrap_or("no connection was made")
            .to_owned()
    }

    /// What is waited for at this moment, where it is something.
    pub(crate) fn waits_for(&self) -> Option<&'static str> {
        let phase = self.0.load(Ordering::Relaxed);
        [
            (Phase::Resolve, "the name server did not answer"),
            (Phase::Connect, "no connection was made"),
            (Phase::Handshake, "the TLS handshake did not end"),
            (Phase::Head, "connected, and no answer came"),
            (Phase::Body, "the page came too slowly"),
        ]
        .into_iter()
        .find_map(|(known, what)| (known as u8 == phase).then_some(what))
    }
}
