//! Families of Limitador: tenants, their quotas, and the limiter itself.
//!
//! `tenant` is the label or variable that the operator names; series without one have none.
//! `namespace` is Limitador's namespace, in Kuadrant the route. `limit` is the name of a limit, or its
//! id; unnamed ones have none. Tenants over the cap share `tenant="other"` in what counts, and have
//! no quota series: a quota of several tenants is nobody's.

use std::sync::{Arc, LazyLock};

use tokenpath_core::Desc;

/// All families that Limitador may fill.
#[must_use]
pub fn families() -> &'static [Arc<Desc>] {
    static FAMILIES: LazyLock<Vec<Arc<Desc>>> = LazyLock::new(|| {
        [tenants::ALL, quotas::ALL, limiter::ALL, config::ALL]
            .concat()
            .into_iter()
            .map(Arc::new)
            .collect()
    });
    &FAMILIES
}

/// The shared description behind a constant of this module.
pub(crate) fn shared(desc: &Desc) -> &'static Arc<Desc> {
    families()
        .iter()
        .find(|known| known.name() == desc.name())
        .unwrap_or_else(|| unreachable!("{} is one of the families", desc.name()))
}

/// What tenants do.
pub mod tenants {
    tokenpath_core::families! {
        REQUESTS = "llm_tenant_requests_total", Counter, None,
            ["decision", "limit", "namespace", "tenant"],
            "Requests by what the limiter decided: authorized, or limited with the limit that said no (one of them, where several did).";
        TOKENS = "llm_tenant_tokens_total", Counter, None, ["namespace", "tenant"],
            "Tokens of requests, prompt and output together, as they were reported to the limiter; a response with no tokens counts 1. Only of namespaces that are said to count tokens.";
        HITS = "llm_tenant_hits_total", Counter, None, ["namespace", "tenant"],
            "What requests counted for: 1 each, or what the gateway said. Of namespaces that are not said to count tokens.";
    }
}

/// Windows of quotas that are running now, and the limits behind them.
pub mod quotas {
    tokenpath_core::families! {
        LIMIT = "llm_tenant_quota_limit", Gauge, None,
            ["limit", "namespace", "tenant", "window_seconds"],
            "What a tenant may use in the running window. Absent without a running window.";
        USED = "llm_tenant_quota_used", Gauge, None,
            ["limit", "namespace", "tenant", "window_seconds"],
            "What a tenant has used in the running window; may be more than the limit, because tokens are counted after the response.";
        REMAINING = "llm_tenant_quota_remaining", Gauge, None,
            ["limit", "namespace", "tenant", "window_seconds"],
            "What a tenant may still use in the running window; below 0 by what was used too much.";
        RESET = "llm_tenant_quota_reset_seconds", Gauge, Seconds,
            ["limit", "namespace", "tenant", "window_seconds"],
            "Time until the running window ends and its quota is whole again.";
        UTILIZATION = "llm_tenant_quota_utilization_ratio", Gauge, Ratio,
            ["limit", "namespace", "tenant", "window_seconds"],
            "Used over limit in the running window: 1 is all of it, more is too much.";
        CONFIGURED = "llm_tenant_limit_max", Gauge, None, ["limit", "namespace", "window_seconds"],
            "What the limit allows in one window, whether a window is running or not; the smallest where several limits look alike.";
    }
}

/// The limiter and its datastore.
pub mod limiter {
    tokenpath_core::families! {
        UP = "llm_limitador_up", Gauge, None, [],
            "1: the limiter says it is running.";
        PARTITIONED = "llm_limitador_datastore_partitioned", Gauge, None, [],
            "1 while the limiter cannot reach its datastore and decides from its own memory; only a cached Redis can say 1." => Max;
        DATASTORE = "llm_limitador_datastore_seconds", Summary, Seconds, [],
            "Time of calls to the datastore; never with memory storage, and not of all kinds of calls.";
        BATCHER = "llm_limitador_batcher_size", Gauge, None, [],
            "Counters that wait to be written to Redis." => Sum;
        CACHE = "llm_limitador_cache_size", Gauge, None, [],
            "Counters that are cached in front of Redis." => Sum;
        FLUSH = "llm_limitador_batcher_flush_size", Summary, None, [],
            "Counters in one write to Redis.";
        OVERSHOOT = "llm_limitador_cache_overshoot", Summary, None, [],
            "By how much a cached counter had passed its limit when Redis was asked.";
        EVICTED = "llm_limitador_evicted_pending_writes_total", Counter, None, [],
            "Counters that left the cache before they were written to Redis.";
    }
}

/// The limiter's configuration, and whether it can be asked for its state.
pub mod config {
    tokenpath_core::families! {
        STARTED = "llm_limitador_start_timestamp_seconds", Gauge, Seconds, [],
            "When the limiter was started, in seconds since the epoch; releases since 2.1 say it.";
        APPLIED = "llm_limitador_config_applied_timestamp_seconds", Gauge, Seconds, [],
            "When the limits in force were read, in seconds since the epoch.";
        RELOADS = "llm_limitador_config_reloads_total", Counter, None, [],
            "Times that new limits were read and taken; one change of a file may count several times.";
        FAILED = "llm_limitador_config_failed_reloads", Gauge, None, [],
            "Times that new limits could not be read since they last could.";
        ADMIN_UP = "llm_limitador_admin_up", Gauge, None, ["namespace", "resource"],
            "Whether the limiter answered when it was asked for counters, limits or status: where 0, the families behind it are missing or old.";
    }
}
