//! What real vLLM pages do that a plain table would get wrong.

use crate::page::{Page, Sample, recorded};
use tokenpath_core::exposition::{Format, Part};
use tokenpath_core::rollup::RollUp;
use tokenpath_core::translate::{TranslateOptions, Translator, Verdict};
use tokenpath_core::{DropReason, Histogram, LabelSet, Snapshot};

fn translator() -> Translator {
    Translator::new(tokenpath_vllm::compiled(), TranslateOptions::default())
}

fn read(text: &str) -> (Snapshot, Translator) {
    let mut translator = translator();
    let mut snapshot = Snapshot::new();
    let format = Format::sniff(text.as_bytes(), None);
    translator
        .translate(text.as_bytes(), format, &mut snapshot)
        .unwrap_or_else(|error| panic!("{error}\n{text}"));
    (snapshot, translator)
}

fn snapshot(text: &str) -> Snapshot {
    read(text).0
}

fn has_family(snapshot: &Snapshot, name: &str) -> bool {
    snapshot.shape().family(name).is_some()
}

#[test]
fn without_an_engine_upstream_there_is_none_here() {
    let snapshot = snapshot(&recorded("vllm", "vllm-0.6.6-V0.txt"));
    for family in snapshot.shape().families() {
        for series in family.series() {
            assert_eq!(series.label("engine"), None, "{}", family.desc().name());
        }
    }
}

#[test]
fn before_labels_there_were_none() {
    let snapshot = snapshot(
        "# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running 3\n\
         # TYPE vllm:gpu_cache_usage_perc gauge\nvllm:gpu_cache_usage_perc 0.25\n",
    );
    assert_eq!(snapshot.value("llm_requests_running", &[]), Some(3.0));
    assert_eq!(snapshot.value("llm_kv_cache_usage_ratio", &[]), Some(0.25));
}

/// The real page of two engines with 80 blocks each (`num_gpu_blocks_override`), of which one is
/// never lent: their usages are 57/79 and 23/79. Both series say 160.
#[test]
fn the_blocks_of_an_engine_are_its_own() {
    for name in ["t1-load", "t3-after-slash"] {
        let snapshot = snapshot(&recorded("vllm", &format!("vllm-0.32.0-dp2-{name}.txt")));
        for engine in ["0", "1"] {
            let labels = [("engine", engine)];
            let value = |family| snapshot.value(family, &labels);
            assert_eq!(value("llm_kv_cache_blocks"), Some(80.0), "{name}");
            assert_eq!(value("llm_kv_cache_size_tokens"), Some(80.0 * 32.0));
            assert_eq!(value("llm_kv_cache_block_size_tokens"), Some(32.0));
        }
    }
}

/// Two engines that did not get the same number of blocks: nobody can tell which has how many.
#[test]
fn blocks_that_cannot_be_shared_out_are_absent() {
    let text = recorded("vllm", "vllm-0.32.0-dp2-t1-load.txt");
    let snapshot = snapshot(&text.replace("num_gpu_blocks=\"160\"", "num_gpu_blocks=\"161\""));
    for engine in ["0", "1"] {
        let labels = [("engine", engine)];
        assert_eq!(snapshot.value("llm_kv_cache_blocks", &labels), None);
        assert_eq!(
            snapshot.value("llm_kv_cache_size_tokens", &labels),
            Some(2560.0)
        );
    }
}

/// Together they have what they have, and their usages weigh the same.
#[test]
fn engines_add_up_to_their_target() {
    let page = snapshot(&recorded("vllm", "vllm-0.32.0-dp2-t1-load.txt"));
    let labels = LabelSet::new([("target", "host:8000")]);
    let parts = [Part {
        snapshot: &page,
        labels: &labels,
    }];
    let mut rolled = Snapshot::new();
    RollUp::over(["engine"]).run(&parts, &mut rolled);
    let target = ("target", "host:8000");
    let model = ("model_name", "tiny-llama");
    assert_eq!(rolled.value("llm_kv_cache_blocks", &[target]), Some(160.0));
    let usage = rolled.value("llm_kv_cache_usage_ratio", &[target, model]);
    assert!((usage.unwrap() - (57.0 + 23.0) / 2.0 / 79.0).abs() < 1e-12);
}

#[test]
fn engines_stay_apart() {
    let text = recorded("vllm", "vllm-0.32.0-dp2-t1-load.txt");
    let page = Page::read(&text);
    let snapshot = snapshot(&text);
    let running: Vec<&Sample> = page
        .samples
        .iter()
        .filter(|sample| sample.name == "vllm:num_requests_running")
        .collect();
    assert_eq!(running.len(), 2);
    for sample in running {
        let labels: Vec<(&str, &str)> = sample
            .labels
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        assert_eq!(
            snapshot.value("llm_requests_running", &labels),
            Some(sample.value)
        );
    }
    let family = snapshot.shape().family("llm_requests_running").unwrap();
    assert_eq!(family.series().len(), 2, "and nothing is summed");
}

#[test]
fn a_series_a_process_becomes_the_largest() {
    // Multi-process mode of 0.9.2 to 0.11.0: each API server says what it last heard.
    let snapshot = snapshot(
        "# TYPE vllm:kv_cache_usage_perc gauge\n\
         vllm:kv_cache_usage_perc{engine=\"0\",model_name=\"m\",pid=\"41\"} 0.5\n\
         vllm:kv_cache_usage_perc{engine=\"0\",model_name=\"m\",pid=\"42\"} 0.75\n\
         vllm:kv_cache_usage_perc{engine=\"1\",model_name=\"m\",pid=\"41\"} 0.25\n\
         vllm:kv_cache_usage_perc{engine=\"1\",model_name=\"m\",pid=\"42\"} 0.0\n",
    );
    let usage = |engine| {
        let labels = [("engine", engine), ("model_name", "m")];
        snapshot.value("llm_kv_cache_usage_ratio", &labels)
    };
    assert_eq!((usage("0"), usage("1")), (Some(0.75), Some(0.25)));
    assert_eq!(snapshot.tally().dropped(DropReason::Duplicate), 0);
}

#[test]
fn connections_of_several_processes_add_up() {
    let snapshot = snapshot(
        "# TYPE vllm:websocket_connections_active gauge\n\
         vllm:websocket_connections_active{pid=\"41\"} 2\n\
         vllm:websocket_connections_active{pid=\"42\"} 3\n",
    );
    assert_eq!(
        snapshot.value("llm_vllm_websocket_connections_active", &[]),
        Some(5.0)
    );
}

/// `/metrics/` in multi-process mode lists five families twice with different values. They are not
/// of the token path, so the page is good all the same.
#[test]
fn doubled_families_of_the_web_framework_do_no_harm() {
    let text = recorded("vllm", "vllm-0.32.0-dp2-t3-after-slash.txt");
    let types = text
        .lines()
        .filter(|line| line.starts_with("# TYPE http_requests_total "))
        .count();
    assert_eq!(types, 2, "the page is the doubled one");
    let (snapshot, translator) = read(&text);
    assert_eq!(snapshot.tally().dropped(DropReason::Duplicate), 0);
    assert!(has_family(&snapshot, "llm_time_to_first_token_seconds"));
    for family in &translator.report().families {
        let beside = family.name.starts_with("http_");
        assert_eq!(
            beside,
            matches!(family.verdict, Verdict::LeftOut(_)),
            "{}",
            family.name
        );
    }
}

#[test]
fn both_names_of_the_kv_cache_usage_are_one_number() {
    for (page, older, newer) in [
        ("vllm-0.8.5-V1.txt", true, false),
        ("vllm-0.9.2-V1.txt", true, true),
        ("vllm-0.10.2-V1.txt", true, true),
        ("vllm-0.11.2-V1-show-hidden.txt", true, true),
        ("vllm-0.20.0-V1.txt", false, true),
    ] {
        let text = recorded("vllm", page);
        assert_eq!(
            text.contains("\nvllm:gpu_cache_usage_perc{"),
            older,
            "{page}"
        );
        assert_eq!(
            text.contains("\nvllm:kv_cache_usage_perc{"),
            newer,
            "{page}"
        );
        let (snapshot, translator) = read(&text);
        let family = snapshot.shape().family("llm_kv_cache_usage_ratio").unwrap();
        assert_eq!(family.series().len(), 1, "{page}");
        assert_eq!(snapshot.tally().dropped(DropReason::Duplicate), 0, "{page}");
        let superseded =
            translator.report().families.iter().any(|family| {
                family.verdict == Verdict::Superseded("kv_cache_usage_perc".to_owned())
            });
        assert_eq!(superseded, older && newer, "{page}");
    }
}

#[test]
fn both_names_of_the_token_gap_are_one_histogram() {
    for (page, older, newer) in [
        ("vllm-0.3.3-V0.txt", true, false),
        ("vllm-0.8.5-V1.txt", true, false),
        ("vllm-0.10.2-V1.txt", true, true),
        ("vllm-0.11.0-V1.txt", true, true),
        ("vllm-0.33.0-V1.txt", false, true),
    ] {
        let text = recorded("vllm", page);
        let has = |name: &str| text.contains(&format!("\n# TYPE vllm:{name} "));
        assert_eq!(has("time_per_output_token_seconds"), older, "{page}");
        assert_eq!(has("inter_token_latency_seconds"), newer, "{page}");
        let snapshot = snapshot(&text);
        let gaps = snapshot
            .shape()
            .family("llm_inter_token_latency_seconds")
            .unwrap();
        assert_eq!(gaps.series().len(), 1, "{page}");
        assert_eq!(
            has_family(&snapshot, "llm_time_per_output_token_seconds"),
            has("request_time_per_output_token_seconds"),
            "{page}: the mean of a request is measured or absent, never the gap"
        );
    }
}

#[test]
fn counts_in_blocks_never_wear_the_name_of_tokens() {
    // 0.8.5 counts blocks, 0.9.2 has both names and counts tokens.
    let old = snapshot(&recorded("vllm", "vllm-0.8.5-V1.txt"));
    assert!(has_family(&old, "llm_prefix_cache_hits_blocks_total"));
    assert!(!has_family(&old, "llm_prefix_cache_hits_total"));
    let new = snapshot(&recorded("vllm", "vllm-0.9.2-V1.txt"));
    assert!(!has_family(&new, "llm_prefix_cache_hits_blocks_total"));
    assert!(has_family(&new, "llm_prefix_cache_hits_total"));
}

#[test]
fn minus_one_is_not_a_rate() {
    let snapshot = snapshot(
        "# TYPE vllm:gpu_prefix_cache_hit_rate gauge\n\
         vllm:gpu_prefix_cache_hit_rate{model_name=\"m\"} -1.0\n\
         # TYPE vllm:cpu_prefix_cache_hit_rate gauge\n\
         vllm:cpu_prefix_cache_hit_rate{model_name=\"m\"} 0.5\n",
    );
    let rate = |cache| {
        let labels = [("cache", cache), ("model_name", "m")];
        snapshot.value("llm_prefix_cache_hit_ratio", &labels)
    };
    assert_eq!((rate("local"), rate("cpu")), (None, Some(0.5)));
    assert_eq!(snapshot.tally().dropped(DropReason::Sentinel), 1);
}

#[test]
fn milliseconds_become_seconds_edges_and_all() {
    let snapshot = snapshot(
        "# TYPE vllm:model_forward_time_milliseconds histogram\n\
         vllm:model_forward_time_milliseconds_sum{model_name=\"m\"} 2500.0\n\
         vllm:model_forward_time_milliseconds_bucket{le=\"300.0\",model_name=\"m\"} 1.0\n\
         vllm:model_forward_time_milliseconds_bucket{le=\"3000.0\",model_name=\"m\"} 2.0\n\
         vllm:model_forward_time_milliseconds_bucket{le=\"+Inf\",model_name=\"m\"} 2.0\n\
         vllm:model_forward_time_milliseconds_count{model_name=\"m\"} 2.0\n",
    );
    let Histogram {
        buckets,
        sum,
        count,
    } = snapshot
        .histogram("llm_model_forward_seconds", &[("model_name", "m")])
        .unwrap();
    let edges: Vec<String> = buckets.iter().map(|bucket| bucket.le.to_string()).collect();
    assert_eq!(edges, ["0.3", "3", "inf"]);
    assert_eq!((sum, count), (Some(2.5), Some(2.0)));
}

#[test]
fn only_the_newest_set_of_adapters_counts() {
    let snapshot = snapshot(
        "# TYPE vllm:lora_requests_info gauge\n\
         vllm:lora_requests_info{max_lora=\"4\",running_lora_adapters=\"old\",waiting_lora_adapters=\"\"} 1.7637e+09\n\
         vllm:lora_requests_info{max_lora=\"4\",running_lora_adapters=\"sql,chat\",waiting_lora_adapters=\"legal\"} 1.76370001225e+09\n\
         vllm:lora_requests_info{max_lora=\"4\",running_lora_adapters=\"\",waiting_lora_adapters=\"\"} 1.7636e+09\n",
    );
    assert_eq!(snapshot.value("llm_lora_adapters_max", &[]), Some(4.0));
    assert_eq!(snapshot.value("llm_lora_adapters_running", &[]), Some(2.0));
    assert_eq!(snapshot.value("llm_lora_adapters_waiting", &[]), Some(1.0));
    let running = |adapter| snapshot.value("llm_lora_adapter_running", &[("adapter", adapter)]);
    assert_eq!(
        (running("sql"), running("chat"), running("old")),
        (Some(1.0), Some(1.0), None)
    );
}

#[test]
fn the_reason_of_an_end_is_kept_and_never_guessed() {
    let snapshot = snapshot(
        "# TYPE vllm:request_success_total counter\n\
         vllm:request_success_total{engine=\"0\",finished_reason=\"stop\",model_name=\"m\"} 5.0\n\
         vllm:request_success_total{engine=\"1\",model_name=\"m\"} 7.0\n",
    );
    let finished = |engine, reason| {
        let labels = [
            ("engine", engine),
            ("finish_reason", reason),
            ("model_name", "m"),
        ];
        snapshot.value("llm_requests_finished_total", &labels)
    };
    assert_eq!(finished("0", "stop"), Some(5.0));
    assert_eq!(finished("1", "unspecified"), Some(7.0));
}

#[test]
fn old_and_new_names_of_the_offloading_connector_are_one_number() {
    let old = "# TYPE vllm:kv_offload_total_bytes_total counter\n\
         vllm:kv_offload_total_bytes_total{engine=\"0\",transfer_type=\"CPU_to_GPU\"} 10.0\n\
         vllm:kv_offload_total_bytes_total{engine=\"0\",transfer_type=\"GPU_to_CPU\"} 20.0\n";
    let new = "# TYPE vllm:kv_offload_load_bytes_total counter\n\
         vllm:kv_offload_load_bytes_total{engine=\"0\"} 10.0\n\
         # TYPE vllm:kv_offload_store_bytes_total counter\n\
         vllm:kv_offload_store_bytes_total{engine=\"0\"} 20.0\n";
    for text in [old.to_owned(), new.to_owned(), format!("{old}{new}")] {
        let snapshot = snapshot(&text);
        let moved = |direction| {
            let labels = [("direction", direction), ("engine", "0")];
            snapshot.value("llm_kv_offload_bytes_total", &labels)
        };
        assert_eq!((moved("load"), moved("store")), (Some(10.0), Some(20.0)));
        assert_eq!(snapshot.tally().dropped(DropReason::Duplicate), 0);
    }
}

#[test]
fn a_gauge_may_be_called_total() {
    let snapshot = snapshot(
        "# TYPE vllm:hisparse_host_blocks_total gauge\n\
         vllm:hisparse_host_blocks_total{engine=\"0\"} 1024.0\n",
    );
    assert_eq!(
        snapshot.value("llm_vllm_hisparse_host_blocks", &[("engine", "0")]),
        Some(1024.0)
    );
}

#[test]
fn what_is_new_is_counted_and_named() {
    let (snapshot, translator) = read(
        "# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running 1\n\
         # TYPE vllm:mooncake_something_new_total counter\nvllm:mooncake_something_new_total 2\n\
         # TYPE vllm:never_heard_of gauge\nvllm:never_heard_of{a=\"1\"} 3\nvllm:never_heard_of{a=\"2\"} 3\n\
         # TYPE vllm:prompt_tokens_total gauge\nvllm:prompt_tokens_total 4\n",
    );
    let tally = snapshot.tally();
    assert_eq!(tally.dropped(DropReason::LeftOut), 1);
    assert_eq!(tally.dropped(DropReason::Unmapped), 2);
    assert_eq!(tally.dropped(DropReason::TypeClash), 1);
    assert_eq!(tally.unmapped_families, 1);
    let unmapped: Vec<&str> = translator
        .report()
        .unmapped()
        .map(|family| family.name.as_str())
        .collect();
    assert_eq!(unmapped, ["vllm:never_heard_of"]);
}

#[test]
fn names_that_lost_their_colon_are_known_too() {
    let colon = snapshot(&recorded("vllm", "vllm-0.33.0-V1.txt"));
    let text = recorded("vllm", "vllm-0.33.0-V1-openmetrics.txt");
    assert!(
        text.contains("\n# TYPE vllm:") && text.contains("\nvllm_") && text.ends_with("# EOF\n")
    );
    let underscore = snapshot(&text);
    let names = |snapshot: &Snapshot| -> Vec<String> {
        let mut names: Vec<String> = snapshot
            .shape()
            .families()
            .map(|family| family.desc().name().to_owned())
            .collect();
        names.sort();
        names
    };
    let missing: Vec<String> = names(&underscore)
        .into_iter()
        .filter(|name| !names(&colon).contains(name))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert!(names(&underscore).len() > 30);
}
