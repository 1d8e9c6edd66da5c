//! Every release's page, held against the page that was recorded.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::number;
use crate::{Config, FinishReason, Lora, Quantity, Speculation, Twin};

/// A twin that has done a bit of everything: adapters, drafts, aborts.
fn twin(config: Config) -> Twin {
    let mut twin = Twin::new(config).unwrap();
    twin.advance(90.0);
    twin
}

fn everything_on() -> Config {
    Config {
        lora: Some(Lora {
            adapters: vec!["sql-adapter".to_owned(), "chat-adapter".to_owned()],
            max_loras: 1,
            share: 0.3,
        }),
        speculation: Some(Speculation {
            draft_tokens: 3,
            acceptance: 0.6,
        }),
        ..Config::default()
    }
}

/// A line without its value, and without what depends on the run rather than on the layout.
fn structure(line: &str) -> String {
    if line.starts_with('#') {
        return line.to_owned();
    }
    let (series, _) = line.rsplit_once(' ').unwrap();
    let (name, labels) = series.split_once('{').unwrap_or((series, ""));
    let variable = [
        "model_name",
        "block_size",
        "effective_attention_block_size",
        "enable_prefix_caching",
        "kv_cache_max_concurrency",
        "kv_cache_size_tokens",
        "num_gpu_blocks",
        "num_gpu_blocks_override",
        "max_lora",
    ];
    let labels: Vec<String> = labels
        .trim_end_matches('}')
        .split("\",")
        .map(|label| {
            let (key, value) = label.split_once("=\"").unwrap_or((label, ""));
            let value = value.trim_end_matches('"');
            let value = if variable.contains(&key) { "*" } else { value };
            format!("{key}={value}")
        })
        .collect();
    format!("{name} {}", labels.join(" "))
}

/// The structure of a page, line by line. Series that appear on first use are sorted within their
/// family, and of the LoRA gauge only the label names are kept: their order and values are the run's.
fn structures(page: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut unordered: BTreeSet<String> = BTreeSet::new();
    let mut adapters = false;
    for line in page.lines() {
        let text = structure(line);
        if text.starts_with("vllm:lora_requests_info")
            || text.starts_with("vllm_lora_requests_info")
        {
            // Which sets of adapters were seen is the run's, not the layout's.
            let names: Vec<&str> = text
                .split(' ')
                .map(|part| part.split('=').next().unwrap())
                .collect();
            let text = names.join(" ");
            if !adapters {
                lines.push(text);
            }
            adapters = true;
            continue;
        }
        adapters = false;
        // Series that appear on first use: their order is the run's.
        let on_first_use = text.starts_with("http_") || text.contains("request_success");
        if on_first_use && !text.starts_with('#') {
            unordered.insert(text);
        } else {
            lines.extend(std::mem::take(&mut unordered));
            lines.push(text);
        }
    }
    lines.extend(unordered);
    lines
}

fn assert_same_structure(name: &str, ours: &str, recorded: &str) {
    let (ours, recorded) = (structures(ours), structures(recorded));
    for (index, (ours, recorded)) in ours.iter().zip(&recorded).enumerate() {
        assert_eq!(ours, recorded, "{name}: line {index} of the structure");
    }
    assert_eq!(ours.len(), recorded.len(), "{name}");
}

#[test]
fn each_page_has_the_lines_of_its_recorded_page() {
    for release in Release::all() {
        let recorded = release.page();
        let has = |name: &str| recorded.contains(name);
        let mut config = everything_on();
        // What the recorded server had off is off here too.
        if !has("_lora_requests_info") && !has(":lora_requests_info") {
            config.lora = None;
        }
        if !has("spec_decode") {
            config.speculation = None;
        }
        if release.generation() == release::Generation::V0 {
            // Those two recorded servers had seen no abort.
            config.traffic.abort_share = 0.0;
        }
        if release.recorded() == release::Recorded::Single && has("http_requests_total") {
            // The recorded server had no 4xx on its chat handler, and no 5xx.
            config.traffic.chat_share = 0.0;
            config.traffic.error_share = 0.0;
        }
        let twin = twin(config);
        let page = Layout::of(release).page(twin.truth()).unwrap();
        if release.version() == "0.32.0" {
            let no_chat = |page: &str| -> String {
                page.lines()
                    .filter(|line| !line.contains("/v1/chat/completions"))
                    .map(|line| format!("{line}\n"))
                    .collect()
            };
            assert_same_structure(release.name(), &no_chat(&page), &no_chat(recorded));
        } else {
            assert_same_structure(release.name(), &page, recorded);
        }
    }
}

#[test]
fn two_engines_are_told_apart_as_recorded() {
    let recorded = include_str!("../../tests/pages/vllm-0.33.0-V1-dp2.txt");
    let twin = twin(Config {
        engines: 2,
        ..everything_on()
    });
    let page = Layout::of(Release::find("0.33.0").unwrap())
        .page(twin.truth())
        .unwrap();
    assert_same_structure("dp2", &page, recorded);
}

/// As on the recorded page of two: the blocks of all on the series of each, everything else its own.
#[test]
fn the_blocks_of_all_engines_are_told_of_each() {
    let twin = twin(Config {
        engines: 2,
        ..Config::default()
    });
    let blocks = twin.truth().engines.iter().map(|engine| engine.kv_blocks);
    let all: u64 = blocks.sum();
    let own = twin.truth().engines[0].kv_blocks * u64::from(twin.truth().config.block_size);
    let page = Layout::of(Release::find("0.32.0").unwrap())
        .page(twin.truth())
        .unwrap();
    let told: Vec<&str> = page
        .lines()
        .filter(|line| line.starts_with("vllm:cache_config_info{"))
        .collect();
    assert_eq!(told.len(), 2);
    for line in told {
        assert!(
            line.contains(&format!(",num_gpu_blocks=\"{all}\",")),
            "{line}"
        );
        let tokens = format!(",kv_cache_size_tokens=\"{own}\",");
        assert!(line.contains(&tokens), "{line}");
    }
}

#[test]
fn the_multi_process_form_is_the_recorded_one() {
    let twin = twin(Config {
        engines: 2,
        api_servers: 2,
        traffic: crate::Traffic {
            error_share: 0.0,
            ..crate::Traffic::default()
        },
        ..Config::default()
    });
    let layout = Layout::multi_process(Release::find("0.32.0").unwrap()).unwrap();
    // The recorded server had no 4xx on its chat handler.
    let without = |page: &str| -> String {
        page.lines()
            .filter(|l| !(l.contains("/v1/chat/completions") && l.contains("4xx")))
            .map(|line| format!("{line}\n"))
            .collect()
    };
    assert_same_structure(
        "multi-process",
        &without(&layout.page(twin.truth()).unwrap()),
        include_str!("../../tests/pages/vllm-0.32.0-dp2-multiprocess.txt"),
    );
    assert_same_structure(
        "multi-process, slash",
        &without(&layout.page_after_slash(twin.truth()).unwrap()),
        include_str!("../../tests/pages/vllm-0.32.0-dp2-multiprocess-slash.txt"),
    );
}

#[test]
fn an_idle_server_declares_families_without_series() {
    let twin = Twin::new(Config::default()).unwrap();
    let page = Layout::of(Release::find("0.32.0").unwrap())
        .page(twin.truth())
        .unwrap();
    assert_same_structure(
        "idle",
        &page,
        include_str!("../../tests/pages/vllm-0.32.0-idle.txt"),
    );
}

#[test]
fn every_number_of_every_recorded_page_is_printed_as_recorded() {
    let mut numbers = 0;
    for release in Release::all() {
        // The rendered pages come from the newest client, whatever the release.
        let style = match release.style() {
            number::Style::Rust => number::Style::Rust,
            _ => number::Style::Python,
        };
        for line in release.page().lines().filter(|l| !l.starts_with('#')) {
            let (_, text) = line.rsplit_once(' ').unwrap();
            let nature = if text.contains('.') {
                number::Nature::Float
            } else {
                number::Nature::Integer
            };
            let mut out = String::new();
            style.write(&mut out, text.parse().unwrap(), nature);
            assert_eq!(out, text, "{release}: {line}");
            numbers += 1;
        }
    }
    assert!(numbers > 5000);
}

#[test]
fn every_family_has_a_row_and_every_edge_is_kept() {
    for release in Release::all() {
        for family in &release.template().families {
            let row = binding::find(family.base())
                .unwrap_or_else(|| panic!("{release}: no row for {}", family.name));
            let binding::Binding::Histogram(quantity) = row.binding else {
                continue;
            };
            for (edge, _) in family.lines.iter().filter_map(|line| line.le) {
                let edge: f64 = edge.replace("+Inf", "inf").parse().unwrap();
                assert!(
                    edge.is_infinite() || quantity.edges().contains(&edge),
                    "{release}: {} at {edge}",
                    family.name
                );
            }
        }
    }
}

#[test]
fn help_says_blocks_where_we_count_blocks() {
    for release in Release::all() {
        for family in &release.template().families {
            if family.base() == "vllm:gpu_prefix_cache_queries" {
                assert_eq!(
                    release.prefix_cache_in_blocks(),
                    family.help.contains("blocks"),
                    "{release}: {}",
                    family.help
                );
            }
        }
    }
}

/// A page's samples by name and labels but engine and model, from its text alone: `name{a="b"}`.
fn samples(page: &str) -> BTreeMap<String, f64> {
    let sample = |line: &str| {
        let (series, value) = line.rsplit_once(' ').unwrap();
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let mut labels: Vec<&str> = labels
            .trim_end_matches('}')
            .split(',')
            .filter(|l| !(l.starts_with("engine=") || l.starts_with("model_name=")))
            .collect();
        labels.sort_unstable();
        let labels = labels.join(",");
        let series = if labels.is_empty() {
            name.to_owned()
        } else {
            format!("{name}{{{labels}}}")
        };
        (series, value.parse().unwrap())
    };
    page.lines()
        .filter(|line| !line.starts_with('#'))
        .map(sample)
        .collect()
}

/// The name that a series has today.
fn todays_name(series: &str) -> String {
    series
        .replacen("vllm_", "vllm:", 1)
        .replace(
            "time_per_output_token_seconds",
            "inter_token_latency_seconds",
        )
        .replace(
            "request_inter_token_latency",
            "request_time_per_output_token",
        )
        .replace("gpu_cache_usage_perc", "kv_cache_usage_perc")
}

#[test]
fn all_releases_tell_the_same_numbers() {
    let twin = twin(everything_on());
    let reference = samples(&Layout::of(Release::latest()).page(twin.truth()).unwrap());
    for release in Release::all() {
        let page = samples(&Layout::of(release).page(twin.truth()).unwrap());
        let mut shared = 0;
        for (series, value) in &page {
            // Not of the state: when it was made, and the label sets of LoRA differ in the Rust form.
            if series.contains("_created") || series.contains("lora") || series.contains("_info") {
                continue;
            }
            if let Some(expected) = reference.get(&todays_name(series)) {
                assert_eq!(value.to_bits(), expected.to_bits(), "{release}: {series}");
                shared += 1;
            }
        }
        assert!(shared >= 40, "{release}: {shared} shared series");
    }
}

#[test]
fn pages_tell_the_truth() {
    use Quantity as Q;
    let twin = twin(everything_on());
    let engine = &twin.truth().engines[0];
    let mut said: BTreeMap<String, f64> = BTreeMap::new();
    // Between them these have every family of an engine.
    for name in ["0.4.2", "0.6.6", "0.9.2", "0.33.0", "0.33.0-rust"] {
        let layout = Layout::of(Release::find(name).unwrap());
        said.extend(samples(&layout.page(twin.truth()).unwrap()));
    }
    for (family, quantity) in [
        ("vllm:time_to_first_token_seconds", Q::TimeToFirstToken),
        ("vllm:time_per_output_token_seconds", Q::InterToken),
        ("vllm:inter_token_latency_seconds", Q::InterToken),
        (
            "vllm:request_time_per_output_token_seconds",
            Q::PerOutputToken,
        ),
        ("vllm:e2e_request_latency_seconds", Q::EndToEnd),
        ("vllm:request_queue_time_seconds", Q::Queue),
        ("vllm:time_in_queue_requests", Q::Queue),
        ("vllm:request_prefill_time_seconds", Q::Prefill),
        ("vllm:request_decode_time_seconds", Q::Decode),
        ("vllm:request_inference_time_seconds", Q::Inference),
        ("vllm:request_prompt_tokens", Q::PromptTokens),
        ("vllm:request_generation_tokens", Q::GenerationTokens),
        ("vllm:request_params_max_tokens", Q::MaxTokens),
        (
            "vllm:request_max_num_generation_tokens",
            Q::MaxGenerationTokens,
        ),
        ("vllm:request_params_n", Q::Sequences),
        ("vllm:request_params_best_of", Q::Sequences),
        ("vllm:iteration_tokens_total", Q::IterationTokens),
        ("vllm:request_num_preemptions", Q::Preemptions),
        (
            "vllm:request_prefill_kv_computed_tokens",
            Q::ComputedPromptTokens,
        ),
    ] {
        let observed = engine.observed(quantity);
        let count = crate::truth::float(observed.count());
        assert!(count > 0.0, "{family}");
        assert_eq!(
            said[&format!("{family}_count")].to_bits(),
            count.to_bits(),
            "{family}"
        );
        let sum = said[&format!("{family}_sum")];
        assert_eq!(sum.to_bits(), observed.sum().to_bits(), "{family}");
    }
    let spec = &engine.speculation;
    for (series, count) in [
        ("vllm:num_requests_running", engine.running),
        ("vllm:num_requests_waiting", engine.waiting),
        (
            "vllm:num_requests_waiting_by_reason{reason=\"deferred\"}",
            engine.deferred,
        ),
        ("vllm:prompt_tokens_total", engine.prompt_tokens),
        ("vllm:generation_tokens_total", engine.generation_tokens),
        (
            "vllm:tokens_total",
            engine.prompt_tokens + engine.generation_tokens,
        ),
        ("vllm:num_preemptions_total", engine.preemptions),
        ("vllm:prefix_cache_queries_total", engine.prefix_queries),
        ("vllm:gpu_prefix_cache_queries_total", engine.prefix_queries),
        ("vllm:prefix_cache_hits_total", engine.prefix_hits),
        ("vllm:gpu_prefix_cache_hits_total", engine.prefix_hits),
        (
            "vllm:prompt_tokens_cached_total",
            engine.prompt_tokens_cached,
        ),
        (
            "vllm:prompt_tokens_by_source_total{source=\"local_compute\"}",
            engine.prompt_tokens - engine.prompt_tokens_cached,
        ),
        (
            "vllm:prompt_tokens_by_source_total{source=\"local_cache_hit\"}",
            engine.prompt_tokens_cached,
        ),
        (
            "vllm:prompt_tokens_cached_by_source_total{source=\"device\"}",
            engine.prefix_hits,
        ),
        (
            "vllm:request_success_total{finished_reason=\"abort\"}",
            engine.finished(FinishReason::Abort),
        ),
        ("vllm:spec_decode_num_drafts_total", spec.drafts),
        ("vllm:spec_decode_num_draft_tokens_total", spec.draft_tokens),
        (
            "vllm:spec_decode_num_accepted_tokens_total",
            spec.accepted_tokens,
        ),
        (
            "vllm:spec_decode_num_emitted_tokens_total",
            spec.accepted_tokens + spec.drafts,
        ),
        (
            "vllm:spec_decode_num_accepted_tokens_per_pos_total{position=\"2\"}",
            spec.accepted_by_position[2],
        ),
    ] {
        let value = said[series];
        assert_eq!(
            value.to_bits(),
            crate::truth::float(count).to_bits(),
            "{series}"
        );
        let may_rest = series.contains("waiting") || series.contains("preemptions");
        assert!(value > 0.0 || may_rest, "{series} says something");
    }
    for series in ["vllm:gpu_cache_usage_perc", "vllm:kv_cache_usage_perc"] {
        assert_eq!(
            said[series].to_bits(),
            engine.kv_usage().to_bits(),
            "{series}"
        );
    }
    let rate = said["vllm:avg_generation_throughput_toks_per_s"];
    let mean = crate::truth::float(engine.generation_tokens) / twin.now();
    assert!(
        rate > 0.3 * mean && rate < 3.0 * mean,
        "{rate} around {mean}"
    );
}

#[test]
fn blocks_and_tokens_are_told_by_release() {
    let twin = twin(Config::default());
    let engine = &twin.truth().engines[0];
    let say = |name| {
        let layout = Layout::of(Release::find(name).unwrap());
        samples(&layout.page(twin.truth()).unwrap())["vllm:gpu_prefix_cache_hits_total"]
    };
    let blocks = crate::truth::float(engine.prefix_hit_blocks);
    assert_eq!(say("0.8.5").to_bits(), blocks.to_bits());
    assert_eq!(say("0.9.2").to_bits(), (16.0 * blocks).to_bits());
}

#[test]
fn gauges_without_a_mode_are_told_per_process() {
    let twin = twin(Config {
        api_servers: 2,
        ..Config::default()
    });
    let layout = Layout::multi_process(Release::find("0.10.2").unwrap()).unwrap();
    let page = layout.page(twin.truth()).unwrap();
    let series: Vec<&str> = page
        .lines()
        .filter(|l| l.starts_with("vllm:kv_cache_usage_perc{"))
        .collect();
    assert_eq!(series.len(), 2);
    assert!(series[0].contains(",pid=\"1041\"}") && series[1].contains(",pid=\"1042\"}"));
    assert!(!page.contains(
        "vllm:gpu_cache_usage_perc{engine=\"0\",model_name=\"meta-llama/Llama-3.1-8B-Instruct\",pid"
    ));
}

#[test]
fn a_release_without_engines_refuses_two() {
    let twin = Twin::new(Config {
        engines: 2,
        ..Config::default()
    })
    .unwrap();
    assert_eq!(
        Layout::of(Release::find("0.6.6").unwrap()).page(twin.truth()),
        Err(LayoutError::OneEngineOnly("0.6.6"))
    );
    let rust = Release::find("0.33.0-rust").unwrap();
    assert_eq!(
        Layout::multi_process(rust).unwrap_err(),
        LayoutError::NoMultiProcess("0.33.0-rust")
    );
}

#[test]
fn an_abort_appears_on_first_use_on_a_v0_page() {
    let mut twin = Twin::new(Config {
        traffic: crate::Traffic {
            abort_share: 1.0,
            length_share: 0.0,
            error_share: 0.0,
            repetition_share: 0.0,
            ..crate::Traffic::default()
        },
        ..Config::default()
    })
    .unwrap();
    let layout = Layout::of(Release::find("0.6.6").unwrap());
    let page = |twin: &Twin| {
        let page = layout.page(twin.truth()).unwrap();
        let lines = page.lines();
        lines
            .filter(|l| l.contains("request_success_total"))
            .map(|l| l.split(' ').next().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(page(&twin), ["#", "#"]);
    twin.advance(20.0);
    assert_eq!(
        page(&twin)[2..],
        [
            "vllm:request_success_total{finished_reason=\"abort\",model_name=\"meta-llama/Llama-3.1-8B-Instruct\"}"
        ]
    );
}

#[test]
fn names_from_outside_are_escaped() {
    let twin = Twin::new(Config {
        model_name: "a\"b\\c\nd".to_owned(),
        ..Config::default()
    })
    .unwrap();
    let page = Layout::of(Release::latest()).page(twin.truth()).unwrap();
    assert!(page.contains("model_name=\"a\\\"b\\\\c\\nd\""));
}

#[test]
fn the_openmetrics_form_is_the_recorded_one() {
    let twin = twin(everything_on());
    let layout = Layout::of(Release::latest());
    let asked = "text/html, application/openmetrics-text;version=1.0.0;q=0.5";
    let (content_type, page) = layout.after_slash(twin.truth(), asked).unwrap();
    assert_eq!(
        content_type,
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    );
    let recorded = Layout::of(Release::find("0.33.0-openmetrics").unwrap());
    assert!(page == recorded.page(twin.truth()).unwrap());

    let utf8 = "application/openmetrics-text; version=1.0.0; escaping=allow-utf-8";
    let (content_type, page) = layout.after_slash(twin.truth(), utf8).unwrap();
    assert!(content_type.ends_with("escaping=allow-utf-8"));
    assert!(page.contains("\nvllm:prompt_tokens_total{") && !page.contains("\nvllm_"));

    // Clients before 0.23 kept the colons.
    let old = Layout::of(Release::find("0.11.0").unwrap());
    let (_, page) = old.after_slash(twin.truth(), asked).unwrap();
    assert!(page.contains("\nvllm:prompt_tokens_total{") && page.ends_with("# EOF\n"));
    assert!(!page.contains("_created"), "switched off up to 0.11.0");

    let (content_type, page) = layout.after_slash(twin.truth(), "text/plain").unwrap();
    assert_eq!(content_type, "text/plain; version=0.0.4; charset=utf-8");
    assert!(page == layout.page(twin.truth()).unwrap());
}
