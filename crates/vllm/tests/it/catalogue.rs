//! The catalogue as a table: it works, it is complete, and every name it gives is well formed.

use std::collections::{HashMap, HashSet};

use tokenpath_core::MetricType::{self, Counter, Gauge, Histogram};
use tokenpath_core::catalogue::{Catalogue, LabelRule, Output, Row};
use tokenpath_core::rollup::Rollup;
use tokenpath_core::{Desc, lint, tokenpath};
use tokenpath_vllm::families;

/// Every family that some vLLM release ever showed, with its type, as read from the sources of those
/// releases: written by hand, not taken from the catalogue.
const UPSTREAM: &[(&str, MetricType)] = &[
    ("num_requests_running", Gauge),
    ("num_requests_waiting", Gauge),
    ("num_requests_waiting_by_reason", Gauge),
    ("num_requests_kv_fetch_by_stage", Gauge),
    ("num_requests_swapped", Gauge),
    ("gpu_cache_usage_perc", Gauge),
    ("kv_cache_usage_perc", Gauge),
    ("cpu_cache_usage_perc", Gauge),
    ("gpu_prefix_cache_hit_rate", Gauge),
    ("cpu_prefix_cache_hit_rate", Gauge),
    ("gpu_prefix_cache_queries_total", Counter),
    ("gpu_prefix_cache_hits_total", Counter),
    ("prefix_cache_queries_total", Counter),
    ("prefix_cache_hits_total", Counter),
    ("external_prefix_cache_queries_total", Counter),
    ("external_prefix_cache_hits_total", Counter),
    ("mm_cache_queries_total", Counter),
    ("mm_cache_hits_total", Counter),
    ("num_preemptions_total", Counter),
    ("prompt_tokens_total", Counter),
    ("generation_tokens_total", Counter),
    ("prompt_tokens_by_source_total", Counter),
    ("prompt_tokens_cached_total", Counter),
    ("prompt_tokens_recomputed_total", Counter),
    ("prompt_tokens_cached_by_source_total", Counter),
    ("tokens_total", Counter),
    ("request_success_total", Counter),
    ("admission_rejections_total", Counter),
    ("corrupted_requests_total", Counter),
    ("watermark_requests_total", Counter),
    ("time_to_first_token_seconds", Histogram),
    ("time_per_output_token_seconds", Histogram),
    ("inter_token_latency_seconds", Histogram),
    ("request_time_per_output_token_seconds", Histogram),
    ("e2e_request_latency_seconds", Histogram),
    ("request_queue_time_seconds", Histogram),
    ("request_prefill_time_seconds", Histogram),
    ("request_decode_time_seconds", Histogram),
    ("request_inference_time_seconds", Histogram),
    ("time_in_queue_requests", Histogram),
    ("model_forward_time_milliseconds", Histogram),
    ("model_execute_time_milliseconds", Histogram),
    ("request_prompt_tokens", Histogram),
    ("request_generation_tokens", Histogram),
    ("request_params_n", Histogram),
    ("request_params_best_of", Histogram),
    ("request_params_max_tokens", Histogram),
    ("request_max_num_generation_tokens", Histogram),
    ("request_prefill_kv_computed_tokens", Histogram),
    ("request_num_preemptions", Histogram),
    ("iteration_tokens_total", Histogram),
    ("avg_prompt_throughput_toks_per_s", Gauge),
    ("avg_generation_throughput_toks_per_s", Gauge),
    ("spec_decode_draft_acceptance_rate", Gauge),
    ("spec_decode_efficiency", Gauge),
    ("spec_decode_num_accepted_tokens_total", Counter),
    ("spec_decode_num_draft_tokens_total", Counter),
    ("spec_decode_num_emitted_tokens_total", Counter),
    ("spec_decode_num_drafts_total", Counter),
    ("spec_decode_num_accepted_tokens_per_pos_total", Counter),
    ("diffusion_num_denoising_steps_total", Counter),
    ("lora_requests_info", Gauge),
    ("cache_config_info", Gauge),
    ("engine_sleep_state", Gauge),
    ("kv_block_lifetime_seconds", Histogram),
    ("kv_block_idle_before_evict_seconds", Histogram),
    ("kv_block_reuse_gap_seconds", Histogram),
    ("estimated_flops_per_gpu_total", Counter),
    ("estimated_read_bytes_per_gpu_total", Counter),
    ("estimated_write_bytes_per_gpu_total", Counter),
    ("nixl_xfer_time_seconds", Histogram),
    ("nixl_post_time_seconds", Histogram),
    ("nixl_bytes_transferred", Histogram),
    ("nixl_num_descriptors", Histogram),
    ("nixl_num_failed_transfers_total", Counter),
    ("nixl_num_failed_notifications_total", Counter),
    ("nixl_num_kv_expired_reqs_total", Counter),
    ("nixl_num_notifications_after_expiry_total", Counter),
    ("kv_offload_total_bytes_total", Counter),
    ("kv_offload_total_time_total", Counter),
    ("kv_offload_size", Histogram),
    ("kv_offload_load_bytes_total", Counter),
    ("kv_offload_load_time_total", Counter),
    ("kv_offload_load_size", Histogram),
    ("kv_offload_store_bytes_total", Counter),
    ("kv_offload_store_time_total", Counter),
    ("kv_offload_store_size", Histogram),
    ("tool_call_parser_invocations_total", Counter),
];

/// Groups that connectors and endpoints bring, of which not every member is known.
const GROUPS: &[&str] = &[
    "mooncake_",
    "hf3fs_",
    "hisparse_",
    "umbp_",
    "simple_kv_offload_",
    "kv_offload_tiering_",
    "websocket_",
    "sleep_mode_",
    "rl_weight_update_",
];

/// Beside the token path, on the page of every release.
const BESIDE: &[&str] = &[
    "http_requests_total",
    "http_request_size_bytes",
    "http_response_size_bytes",
    "http_request_duration_highr_seconds",
    "http_request_duration_seconds",
    "process_virtual_memory_bytes",
    "process_resident_memory_bytes",
    "process_start_time_seconds",
    "process_cpu_seconds_total",
    "process_open_fds",
    "process_max_fds",
    "python_info",
    "python_gc_objects_collected_total",
    "python_gc_objects_uncollectable_total",
    "python_gc_collections_total",
];

fn catalogue() -> Catalogue {
    tokenpath_vllm::catalogue()
}

/// Shared families and our own.
fn all_families() -> Vec<&'static Desc> {
    tokenpath::families()
        .iter()
        .chain(families::families())
        .map(|desc| &**desc)
        .collect()
}

#[test]
fn it_compiles() {
    let compiled = tokenpath_vllm::compiled();
    assert_eq!(compiled.catalogue(), &catalogue());
    let described: HashSet<&str> = compiled.describe().iter().map(|desc| desc.name()).collect();
    for desc in families::families() {
        assert!(
            described.contains(desc.name()),
            "nothing becomes {}",
            desc.name()
        );
    }
}

#[test]
fn every_upstream_family_has_a_row_of_its_type() {
    let catalogue = catalogue();
    for (name, kind) in UPSTREAM {
        let rows: Vec<_> = catalogue
            .rows
            .iter()
            .filter(|row| row.upstream == *name)
            .collect();
        assert!(!rows.is_empty(), "{name} has no row");
        for row in rows {
            assert_eq!(row.kind, *kind, "{name}");
            assert!(row.output.family().is_some(), "{name} is dropped");
        }
    }
}

#[test]
fn groups_that_are_not_known_whole_are_accounted_for() {
    let catalogue = catalogue();
    for group in GROUPS {
        let unheard_of = format!("{group}something_new_total");
        let why = catalogue
            .left_out
            .iter()
            .find(|entry| entry.matches(&unheard_of));
        assert!(why.is_some_and(|entry| !entry.why.is_empty()), "{group}");
        assert!(
            catalogue
                .rows
                .iter()
                .any(|row| row.upstream.starts_with(group)),
            "{group}: no member is known"
        );
    }
}

#[test]
fn what_stands_beside_the_token_path_is_left_out_by_name() {
    let catalogue = catalogue();
    for name in BESIDE {
        let entry = catalogue
            .left_out
            .iter()
            .find(|entry| entry.matches(name))
            .unwrap_or_else(|| panic!("{name} is not accounted for"));
        assert!(!entry.why.is_empty(), "{name}");
        assert!(!catalogue.rows.iter().any(|row| row.upstream == *name));
    }
}

#[test]
fn every_row_says_where_it_is_found() {
    for row in catalogue().rows {
        assert!(!row.releases.is_empty(), "{}", row.upstream);
        for releases in &row.releases {
            assert!(
                ["V0", "V1", "Rust frontend"].contains(&&*releases.line),
                "{}: {releases}",
                row.upstream
            );
            let number = |text: &str| -> Vec<u32> {
                text.split('.').map(|part| part.parse().unwrap()).collect()
            };
            let since = number(&releases.since);
            assert_eq!(since.len(), 3, "{}: {releases}", row.upstream);
            if let Some(until) = &releases.until {
                assert!(since <= number(until), "{}: {releases}", row.upstream);
            }
        }
    }
}

#[test]
fn what_supersedes_is_on_the_table_and_says_the_same() {
    let catalogue = catalogue();
    for row in &catalogue.rows {
        for better in &row.superseded_by {
            let better: Vec<_> = catalogue
                .rows
                .iter()
                .filter(|other| other.upstream == *better)
                .collect();
            assert!(!better.is_empty(), "{}", row.upstream);
            assert!(
                better.iter().all(|other| other.superseded_by.is_empty()),
                "{}: chains would lose both",
                row.upstream
            );
        }
    }
}

/// Two rows that fill one family with series that cannot be told apart must not both be used: the
/// releases that have both names would count twice.
#[test]
fn no_two_rows_fill_the_same_series() {
    let catalogue = catalogue();
    let mut filled: HashMap<String, Vec<&Row>> = HashMap::new();
    for row in &catalogue.rows {
        let constants: Vec<String> = row
            .labels
            .iter()
            .filter_map(|rule| match rule {
                LabelRule::Constant { label, value } => Some(format!("{label}={value}")),
                _ => None,
            })
            .collect();
        let family = row.output.family().unwrap();
        filled
            .entry(format!("{family}{{{}}}", constants.join(",")))
            .or_default()
            .push(row);
    }
    for (series, rows) in filled {
        for (index, row) in rows.iter().enumerate() {
            for other in &rows[index + 1..] {
                let supersedes = row.superseded_by.contains(&other.upstream)
                    || other.superseded_by.contains(&row.upstream);
                assert!(
                    supersedes || row.upstream == other.upstream,
                    "{series} from {} and {}",
                    row.upstream,
                    other.upstream
                );
            }
        }
    }
}

#[test]
fn labels_that_rows_give_are_documented_on_the_family() {
    let families = all_families();
    for row in catalogue().rows {
        let family = row.output.family().unwrap();
        let desc = families.iter().find(|desc| desc.name() == family).unwrap();
        let mut given: Vec<&str> = Vec::new();
        for rule in &row.labels {
            match rule {
                LabelRule::Rename { from, to } => {
                    given.retain(|label| label != from);
                    given.push(to);
                }
                LabelRule::Constant { label, .. } | LabelRule::Default { label, .. } => {
                    given.push(label);
                }
                LabelRule::Keep(labels) => {
                    given = labels.iter().map(|label| &**label).collect();
                }
                _ => {}
            }
        }
        if let Output::LabelItems { item, .. } = &row.output {
            given.push(item);
        }
        for label in given {
            assert!(
                desc.label_names().contains(&label),
                "{}: {family} does not document {label}",
                row.upstream
            );
        }
    }
}

#[test]
fn milliseconds_become_seconds_and_fractions_stay() {
    for row in catalogue().rows {
        let factor = row.scale.apply(1000.0);
        if row.upstream.contains("milliseconds") {
            assert!((factor - 1.0).abs() < f64::EPSILON, "{}", row.upstream);
        } else {
            assert!(row.scale.is_one(), "{}", row.upstream);
        }
        if row.upstream.ends_with("_perc") {
            let family = row.output.family().unwrap();
            assert!(family.ends_with("_ratio"), "{}", row.upstream);
        }
    }
}

#[test]
fn all_families_keep_to_the_naming_rules() {
    let findings = lint::check_all(all_families());
    assert!(findings.is_empty(), "{findings:#?}");
    for desc in all_families() {
        let name = desc.name();
        assert!(name.starts_with("llm_"), "{name}");
        assert!(desc.label_names().is_sorted(), "{name}");
        let help = desc.help();
        assert!(help.ends_with('.') && help.len() >= 20, "{name}: {help}");
        match desc.rollup_rule() {
            Rollup::Sum => assert!(!name.ends_with("_ratio"), "{name}"),
            Rollup::MeanWeightedBy(weight) => assert!(
                all_families().iter().any(|desc| desc.name() == weight),
                "{name}: {weight}"
            ),
            _ => {}
        }
    }
}

/// Names that a row or a left-out entry accounts for, under each prefix they are known by.
#[test]
fn names_are_known_under_every_prefix() {
    let catalogue = catalogue();
    for name in [
        "vllm:num_requests_running",
        "vllm_num_requests_running",
        "ray_vllm_num_requests_running",
        "kserve_vllm:num_requests_running",
    ] {
        assert_eq!(
            catalogue.strip(name),
            Some("num_requests_running"),
            "{name}"
        );
    }
    assert_eq!(catalogue.strip("sglang:num_running_reqs"), None);
}
