//! Whoever may ask for probes cannot fill the log with them. The only test of its process: it counts
//! what everything logs.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hyper::{Request, StatusCode};
use tokenpath_core::{BoxSource, CollectError, Desc, Reason, Snapshot, Source, SourceId};
use tokenpath_scrape::runner::{Exporter, SourceOptions};
use tokenpath_scrape::server::{
    AllowList, MetricsService, Module, Network, ProbeOptions, Probes, ServiceOptions,
};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

static LINES: AtomicUsize = AtomicUsize::new(0);

/// Counts the lines that are logged unless debugging is asked for.
struct Counter;

impl Subscriber for Counter {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::INFO
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {
        LINES.fetch_add(1, Ordering::SeqCst);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// A source that cannot be read.
struct Down(SourceId);

impl Source for Down {
    fn id(&self) -> &SourceId {
        &self.0
    }

    fn describe(&self) -> &[Arc<Desc>] {
        &[]
    }

    async fn collect(&self, _: &mut Snapshot) -> Result<(), CollectError> {
        Err(CollectError::new(Reason::Connect, "planted"))
    }
}

#[tokio::test]
async fn probes_that_fail_or_are_refused_are_not_logged_one_by_one() {
    tracing::subscriber::set_global_default(Counter).unwrap();
    let plenty = Duration::from_secs(30);
    let down = Module::new("down", plenty, |endpoint| {
        let source = Down(SourceId::new("test", endpoint.target()));
        Ok((BoxSource::new(source), SourceOptions::new()))
    });
    let broken = Module::new("broken", plenty, |_| Err("no such file".into()));
    let probes = Arc::new(Probes::default());
    probes.set(Some(ProbeOptions {
        allow: AllowList::new([Network::parse("127.0.0.1").unwrap()]),
        modules: vec![down, broken],
    }));
    let service = MetricsService::new(Arc::new(Exporter::new()), ServiceOptions::default());
    let service = service.unwrap().probes(probes);
    for (query, status, lines) in [
        ("target=127.0.0.1:1", StatusCode::OK, 0),
        ("target=10.0.0.1:1", StatusCode::FORBIDDEN, 0),
        // The operator has to know of this one, and once is enough.
        (
            "target=127.0.0.1:1&module=broken",
            StatusCode::INTERNAL_SERVER_ERROR,
            1,
        ),
    ] {
        let before = LINES.load(Ordering::SeqCst);
        for _ in 0..5 {
            let request = Request::get(format!("/probe?{query}")).body(()).unwrap();
            assert_eq!(service.handle(request).await.status(), status, "{query}");
        }
        assert_eq!(LINES.load(Ordering::SeqCst) - before, lines, "{query}");
    }
}
