//! `lora_requests_info`: three labels and a time.
//!
//! Each set of adapters that was ever in use stays on the page with the time it was last seen as its
//! value, so only the newest series says what is in use now.

use tokenpath_core::MetricType::Gauge;
use tokenpath_core::catalogue::{Output, Row};

use super::{RUST, RUST_SINCE, V0, V1};

pub(super) fn rows() -> Vec<Row> {
    let newest = |output| {
        Row::new("lora_requests_info", Gauge)
            .output(output)
            .keep_labels(["engine", "model_name"])
            .newest()
            .during(V0, "0.6.4", "0.11.0")
            .since(V1, "0.8.0")
            .since(RUST, RUST_SINCE)
            .note(
                "Only the series with the largest value, the time of its last update, counts. V1 \
                 shows it only where LoRA is on, without model_name and engine; in multi-process \
                 mode V1 adds the times up over processes, so the choice is a guess there. The Rust \
                 frontend has no max_lora.",
            )
    };
    let count = |label: &'static str, family: &'static str| {
        newest(Output::LabelCount {
            label: label.into(),
            family: family.into(),
        })
    };
    let items = |label: &'static str, family: &'static str| {
        newest(Output::LabelItems {
            label: label.into(),
            family: family.into(),
            item: "adapter".into(),
        })
    };
    vec![
        newest(Output::LabelNumber {
            label: "max_lora".into(),
            family: "llm_lora_adapters_max".into(),
            shared_by: None,
        }),
        count("running_lora_adapters", "llm_lora_adapters_running"),
        count("waiting_lora_adapters", "llm_lora_adapters_waiting"),
        items("running_lora_adapters", "llm_lora_adapter_running"),
        items("waiting_lora_adapters", "llm_lora_adapter_waiting"),
    ]
}
