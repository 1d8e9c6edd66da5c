//! What becomes of each family on Limitador's metrics page.
//!
//! Which labels a series has beside `limitador_namespace` and `limit_name` is the operator's
//! configuration, so the table keeps them all, and
//! [`LimitadorTranslator`](crate::LimitadorTranslator) makes `tenant`, `namespace` and `limit` of
//! them. No counter here has `_total`.

use tokenpath_core::MetricType::{Counter, Gauge, Summary};
use tokenpath_core::catalogue::{Catalogue, Row};

/// The table. Data only: [`compiled`](crate::compiled) checks it and makes it fit for look-ups.
#[must_use]
pub fn catalogue() -> Catalogue {
    Catalogue::new("limitador").rows([
        Row::new("authorized_calls", Counter)
            .to("llm_tenant_requests_total")
            .constant("decision", "authorized")
            .since("", "0.2.0")
            .note(
                "A namespace without limits counts as authorized; calls that end in an error are \
                 counted nowhere. Kuadrant's report calls are no requests and are not in it (since \
                 2.2.0).",
            ),
        Row::new("limited_calls", Counter)
            .to("llm_tenant_requests_total")
            .constant("decision", "limited")
            .since("", "0.2.0")
            .note(
                "limit_name (limit) only where the limiter is started to say it. A request over \
                 several limits counts for one of them.",
            ),
        Row::new("authorized_hits", Counter)
            .to("llm_tenant_hits_total")
            .since("", "2.1.0")
            .note(
                "llm_tenant_tokens_total where the namespace is said to count tokens: the page \
                 cannot tell tokens from calls. 2.1.0 counts them together with calls.",
            ),
        Row::new("limitador_up", Gauge)
            .to("llm_limitador_up")
            .since("", "0.2.0"),
        Row::new("datastore_partitioned", Gauge)
            .to("llm_limitador_datastore_partitioned")
            .since("", "1.5.0"),
        Row::new("datastore_latency", Summary)
            .to("llm_limitador_datastore_seconds")
            .since("", "1.5.0")
            .note("A summary, whatever the documentation says; never with memory storage."),
        Row::new("counter_latency", Summary)
            .to("llm_limitador_datastore_seconds")
            .superseded_by("datastore_latency")
            .during("", "1.4.0", "1.4.0"),
        Row::new("batcher_size", Gauge)
            .to("llm_limitador_batcher_size")
            .since("", "1.5.0"),
        Row::new("cache_size", Gauge)
            .to("llm_limitador_cache_size")
            .since("", "1.5.0"),
        Row::new("batcher_flush_size", Summary)
            .to("llm_limitador_batcher_flush_size")
            .since("", "1.5.0"),
        Row::new("counter_overshoot", Summary)
            .to("llm_limitador_cache_overshoot")
            .since("", "1.5.0"),
        Row::new("evicted_pending_writes", Counter)
            .to("llm_limitador_evicted_pending_writes_total")
            .since("", "1.5.0"),
    ])
}
