//! LoRA adapters that requests use.

crate::families! {
    MAX = "llm_lora_adapters_max", Gauge, None, ["engine", "model_name"],
        "Most LoRA adapters that may be used in one batch." => Sum;
    RUNNING = "llm_lora_adapters_running", Gauge, None, ["engine", "model_name"],
        "LoRA adapters that running requests use, each counted once.";
    WAITING = "llm_lora_adapters_waiting", Gauge, None, ["engine", "model_name"],
        "LoRA adapters that waiting requests ask for, each counted once.";
    ADAPTER_RUNNING = "llm_lora_adapter_running", Gauge, None, ["adapter", "engine", "model_name"],
        "Always 1: a LoRA adapter that at least one running request uses." => Max;
    ADAPTER_WAITING = "llm_lora_adapter_waiting", Gauge, None, ["adapter", "engine", "model_name"],
        "Always 1: a LoRA adapter that at least one waiting request asks for." => Max;
}
