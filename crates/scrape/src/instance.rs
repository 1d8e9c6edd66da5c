//! Which exporter a request was made for: so that an exporter that was told to read itself says so
//! at once, instead of waiting for the page that waits for it.
//!
//! The runner names itself around each reading, the client passes the name on, and the service
//! compares it with its provider's. Two exporters in one process may read one another.

use std::sync::atomic::{AtomicU64, Ordering};

use hyper::StatusCode;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;

use crate::client::Progress;

/// The request header that carries the name.
pub(crate) const HEADER: HeaderName = HeaderName::from_static("x-tokenpath-instance");

/// The answer to a request of our own.
pub(crate) const LOOP: StatusCode = StatusCode::LOOP_DETECTED;

tokio::task_local! {
    static READER: (Instance, Arc<Progress>);
}

/// The name of one exporter, as good as surely unique among all that run anywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instance(u64);

impl Instance {
    pub(crate) fn fresh() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        // Every `RandomState` has keys of its own.
        Self(RandomState::new().hash_one(NEXT.fetch_add(1, Ordering::Relaxed)))
    }

    /// Runs a reading in the name of this exporter. How far it comes is noted, for whoever gives it up.
    pub(crate) async fn reading<T>(
        self,
        reading: impl Future<Output = T>,
        progress: Arc<Progress>,
    ) -> T {
        READER.scope((self, progress), reading).await
    }

    /// Whether the request was made for a reading of this exporter.
    pub(crate) fn sent(self, headers: &HeaderMap) -> bool {
        headers
            .get(HEADER)
            .is_some_and(|sender| *sender == HeaderValue::from(self.0))
    }
}

/// The name to send along; none outside of a runner's reading.
pub(crate) fn reader() -> Option<HeaderValue> {
    READER
        .try_with(|(reader, _)| HeaderValue::from(reader.0))
        .ok()
}

/// Where a runner wants to know how far its reading has come.
pub(crate) fn progress() -> Option<Arc<Progress>> {
    READER.try_with(|(_, progress)| Arc::clone(progress)).ok()
}
