//! KV blocks on the move: between prefill and decode engines, and out to slower memory and back.
//!
//! The label `connector` names the library that moves them (`nixl`, `mooncake`, …), `direction` is
//! `load` (towards the engine) or `store` (away from it).

crate::families! {
    DURATION = "llm_kv_transfer_duration_seconds", Histogram, Seconds,
        ["connector", "engine", "model_name"],
        "Time that one transfer of KV blocks between engines took; one observation a transfer.";
    POST = "llm_kv_transfer_post_seconds", Histogram, Seconds,
        ["connector", "engine", "model_name"],
        "Time it took to hand one transfer of KV blocks to the transport, before it ran.";
    SIZE = "llm_kv_transfer_size_bytes", Histogram, Bytes,
        ["connector", "engine", "model_name"],
        "Bytes that one transfer of KV blocks between engines moved.";
    DESCRIPTORS = "llm_kv_transfer_descriptors", Histogram, None,
        ["connector", "engine", "model_name"],
        "Memory regions that one transfer of KV blocks was made of.";
    FAILURES = "llm_kv_transfer_failures_total", Counter, None,
        ["connector", "engine", "model_name"],
        "Transfers of KV blocks between engines that failed.";
    RECEIVE_FAILURES = "llm_kv_transfer_receive_failures_total", Counter, None,
        ["connector", "engine", "model_name"],
        "Transfers of KV blocks that failed on the receiving engine.";
    NOTIFICATION_FAILURES = "llm_kv_transfer_notification_failures_total", Counter, None,
        ["connector", "engine", "model_name"],
        "Messages about a transfer of KV blocks that could not be delivered.";
    EXPIRED_REQUESTS = "llm_kv_transfer_expired_requests_total", Counter, None,
        ["connector", "engine", "model_name"],
        "Requests whose KV blocks were given up because nobody fetched them in time; counted on the sending engine.";
    LATE_NOTIFICATIONS = "llm_kv_transfer_late_notifications_total", Counter, None,
        ["connector", "engine", "model_name"],
        "Messages about a transfer that came after its KV blocks were given up.";
    OFFLOAD_BYTES = "llm_kv_offload_bytes_total", Counter, Bytes,
        ["direction", "engine", "model_name"],
        "Bytes of KV blocks moved between device memory and the offload medium.";
    OFFLOAD_SECONDS = "llm_kv_offload_seconds_total", Counter, Seconds,
        ["direction", "engine", "model_name"],
        "Time spent moving KV blocks between device memory and the offload medium.";
    OFFLOAD_SIZE = "llm_kv_offload_size_bytes", Histogram, Bytes,
        ["direction", "engine", "model_name"],
        "Bytes that one move of KV blocks between device memory and the offload medium took.";
}
