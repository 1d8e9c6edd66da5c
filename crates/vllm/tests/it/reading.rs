//! Every number of every page, read a second time by other means.
//!
//! For each page a small reader that shares nothing with the code under test takes the samples, a
//! table written by hand says what each of them is to become, and the translated snapshot must hold
//! exactly that: nothing missing, nothing beside it, every label, every value to the last bit.

use std::path::Path;

use crate::page::{self, Labels, Numbers, Page, Sample, held, put};
use tokenpath_core::exposition::Format;
use tokenpath_core::translate::{TranslateOptions, Translator, Verdict};
use tokenpath_core::{DropReason, Snapshot};

/// A plain rename: upstream family, ours, and the label that ours has beside upstream's.
type Rename = (
    &'static str,
    &'static str,
    Option<(&'static str, &'static str)>,
);

/// What each family on a vLLM page becomes, written by hand from the fact table of the releases.
const RENAMED: &[Rename] = &[
    ("num_requests_running", "llm_requests_running", None),
    ("num_requests_waiting", "llm_requests_waiting", None),
    (
        "num_requests_waiting_by_reason",
        "llm_requests_waiting_by_reason",
        None,
    ),
    ("num_requests_swapped", "llm_requests_swapped", None),
    ("kv_cache_usage_perc", "llm_kv_cache_usage_ratio", None),
    ("gpu_cache_usage_perc", "llm_kv_cache_usage_ratio", None),
    ("cpu_cache_usage_perc", "llm_cpu_kv_cache_usage_ratio", None),
    (
        "gpu_prefix_cache_hit_rate",
        "llm_prefix_cache_hit_ratio",
        Some(("cache", "local")),
    ),
    (
        "cpu_prefix_cache_hit_rate",
        "llm_prefix_cache_hit_ratio",
        Some(("cache", "cpu")),
    ),
    (
        "gpu_prefix_cache_queries_total",
        "llm_prefix_cache_queries_blocks_total",
        Some(("cache", "local")),
    ),
    (
        "gpu_prefix_cache_hits_total",
        "llm_prefix_cache_hits_blocks_total",
        Some(("cache", "local")),
    ),
    (
        "prefix_cache_queries_total",
        "llm_prefix_cache_queries_total",
        Some(("cache", "local")),
    ),
    (
        "prefix_cache_hits_total",
        "llm_prefix_cache_hits_total",
        Some(("cache", "local")),
    ),
    (
        "external_prefix_cache_queries_total",
        "llm_prefix_cache_queries_total",
        Some(("cache", "external")),
    ),
    (
        "external_prefix_cache_hits_total",
        "llm_prefix_cache_hits_total",
        Some(("cache", "external")),
    ),
    (
        "mm_cache_queries_total",
        "llm_multimodal_cache_queries_total",
        None,
    ),
    (
        "mm_cache_hits_total",
        "llm_multimodal_cache_hits_total",
        None,
    ),
    ("num_preemptions_total", "llm_preemptions_total", None),
    ("prompt_tokens_total", "llm_prompt_tokens_total", None),
    (
        "generation_tokens_total",
        "llm_generation_tokens_total",
        None,
    ),
    ("tokens_total", "llm_tokens_total", None),
    (
        "prompt_tokens_by_source_total",
        "llm_prompt_tokens_by_source_total",
        None,
    ),
    (
        "prompt_tokens_cached_total",
        "llm_prompt_tokens_cached_total",
        None,
    ),
    (
        "prompt_tokens_recomputed_total",
        "llm_prompt_tokens_recomputed_total",
        None,
    ),
    (
        "prompt_tokens_cached_by_source_total",
        "llm_prompt_tokens_cached_by_source_total",
        None,
    ),
    ("request_success_total", "llm_requests_finished_total", None),
    (
        "admission_rejections_total",
        "llm_requests_rejected_total",
        None,
    ),
    (
        "time_to_first_token_seconds",
        "llm_time_to_first_token_seconds",
        None,
    ),
    (
        "time_per_output_token_seconds",
        "llm_inter_token_latency_seconds",
        None,
    ),
    (
        "inter_token_latency_seconds",
        "llm_inter_token_latency_seconds",
        None,
    ),
    (
        "request_time_per_output_token_seconds",
        "llm_time_per_output_token_seconds",
        None,
    ),
    (
        "e2e_request_latency_seconds",
        "llm_request_duration_seconds",
        None,
    ),
    (
        "request_queue_time_seconds",
        "llm_request_queue_seconds",
        None,
    ),
    ("time_in_queue_requests", "llm_request_queue_seconds", None),
    (
        "request_prefill_time_seconds",
        "llm_request_prefill_seconds",
        None,
    ),
    (
        "request_decode_time_seconds",
        "llm_request_decode_seconds",
        None,
    ),
    (
        "request_inference_time_seconds",
        "llm_request_inference_seconds",
        None,
    ),
    ("request_prompt_tokens", "llm_request_prompt_tokens", None),
    (
        "request_generation_tokens",
        "llm_request_generation_tokens",
        None,
    ),
    ("request_params_n", "llm_request_params_n", None),
    ("request_params_best_of", "llm_request_params_best_of", None),
    ("request_params_max_tokens", "llm_request_max_tokens", None),
    (
        "request_max_num_generation_tokens",
        "llm_request_max_generation_tokens",
        None,
    ),
    (
        "request_prefill_kv_computed_tokens",
        "llm_request_prefill_computed_tokens",
        None,
    ),
    ("request_num_preemptions", "llm_request_preemptions", None),
    ("iteration_tokens_total", "llm_iteration_tokens", None),
    (
        "avg_prompt_throughput_toks_per_s",
        "llm_prompt_tokens_per_second",
        None,
    ),
    (
        "avg_generation_throughput_toks_per_s",
        "llm_generation_tokens_per_second",
        None,
    ),
    (
        "spec_decode_draft_acceptance_rate",
        "llm_spec_decode_acceptance_ratio",
        None,
    ),
    (
        "spec_decode_efficiency",
        "llm_spec_decode_efficiency_ratio",
        None,
    ),
    (
        "spec_decode_num_accepted_tokens_total",
        "llm_spec_decode_accepted_tokens_total",
        None,
    ),
    (
        "spec_decode_num_draft_tokens_total",
        "llm_spec_decode_draft_tokens_total",
        None,
    ),
    (
        "spec_decode_num_emitted_tokens_total",
        "llm_spec_decode_emitted_tokens_total",
        None,
    ),
    (
        "spec_decode_num_drafts_total",
        "llm_spec_decode_drafts_total",
        None,
    ),
    (
        "spec_decode_num_accepted_tokens_per_pos_total",
        "llm_spec_decode_accepted_tokens_by_position_total",
        None,
    ),
    ("engine_sleep_state", "llm_engine_sleep_state", None),
    (
        "estimated_flops_per_gpu_total",
        "llm_estimated_gpu_flops_total",
        None,
    ),
    (
        "estimated_read_bytes_per_gpu_total",
        "llm_estimated_gpu_read_bytes_total",
        None,
    ),
    (
        "estimated_write_bytes_per_gpu_total",
        "llm_estimated_gpu_written_bytes_total",
        None,
    ),
];

/// Names for one quantity that some releases have both of: the first is not used beside the second.
const OLDER: &[(&str, &str)] = &[
    ("gpu_cache_usage_perc", "kv_cache_usage_perc"),
    (
        "gpu_prefix_cache_queries_total",
        "prefix_cache_queries_total",
    ),
    ("gpu_prefix_cache_hits_total", "prefix_cache_hits_total"),
    (
        "time_per_output_token_seconds",
        "inter_token_latency_seconds",
    ),
    ("time_in_queue_requests", "request_queue_time_seconds"),
];

const RENAMED_LABELS: &[(&str, &str)] = &[
    ("finished_reason", "finish_reason"),
    ("sleep_state", "state"),
];

/// Labels of `cache_config_info` that stay, with our names.
const CACHE_FACTS: &[(&str, &str)] = &[
    ("cache_dtype", "cache_dtype"),
    ("enable_prefix_caching", "prefix_caching"),
    ("engine", "engine"),
    ("gpu_memory_utilization", "gpu_memory_utilization"),
    ("prefix_caching_hash_algo", "prefix_caching_hash_algo"),
    ("sliding_window", "sliding_window"),
];

/// Labels of `cache_config_info` that are numbers.
const CACHE_NUMBERS: &[(&str, &str)] = &[
    ("block_size", "llm_kv_cache_block_size_tokens"),
    ("num_gpu_blocks", "llm_kv_cache_blocks"),
    ("num_cpu_blocks", "llm_cpu_kv_cache_blocks"),
    ("kv_cache_size_tokens", "llm_kv_cache_size_tokens"),
];

/// The name of a sample without vLLM's prefix and without what makes it a part of its family.
fn family_of(sample: &Sample, page: &Page) -> Option<(String, &'static str)> {
    let name = ["vllm:", "vllm_"]
        .iter()
        .find_map(|prefix| sample.name.strip_prefix(prefix))?;
    // The type is known under the colon name, for a counter in OpenMetrics without its suffix.
    let kind = |family: &str| {
        page.types
            .get(&format!("vllm:{family}"))
            .map(String::as_str)
    };
    for part in ["_bucket", "_sum", "_count"] {
        if let Some(family) = name.strip_suffix(part)
            && kind(family) == Some("histogram")
        {
            return Some((family.to_owned(), part));
        }
    }
    Some((name.to_owned(), ""))
}

fn is_created(sample: &Sample) -> bool {
    sample.name.ends_with("_created")
}

/// What the page must become, by the table.
fn expected(page: &Page) -> Numbers {
    let mut numbers = Numbers::new();
    let families: Vec<(String, &'static str)> = page
        .samples
        .iter()
        .map(|sample| family_of(sample, page).unwrap_or_default())
        .collect();
    let has = |name: &str| families.iter().any(|(family, _)| family == name);
    let mut newest_lora: Option<&Sample> = None;
    for (sample, (family, part)) in page.samples.iter().zip(&families) {
        if family.is_empty() {
            let beside = ["http_", "process_", "python_"];
            assert!(
                beside.iter().any(|prefix| sample.name.starts_with(prefix)),
                "{}",
                sample.name
            );
            continue;
        }
        if is_created(sample) {
            continue;
        }
        match family.as_str() {
            "cache_config_info" => {
                let engines = families
                    .iter()
                    .filter(|(family, _)| family == "cache_config_info")
                    .map(|_| 1.0)
                    .sum();
                cache_config(sample, engines, &mut numbers);
            }
            "lora_requests_info" => {
                if newest_lora.is_none_or(|newest| sample.value > newest.value) {
                    newest_lora = Some(sample);
                }
            }
            family => {
                let (_, ours, label) = RENAMED
                    .iter()
                    .find(|(upstream, ..)| *upstream == family)
                    .unwrap_or_else(|| panic!("the table lacks {family}"));
                let newer = OLDER.iter().find(|(older, _)| *older == family);
                if newer.is_some_and(|(_, newer)| has(newer)) {
                    continue;
                }
                // What V0 says where prefix caching is off.
                if family.ends_with("prefix_cache_hit_rate") && sample.value < 0.0 {
                    continue;
                }
                let mut labels = Labels::new();
                for (name, value) in &sample.labels {
                    let renamed = RENAMED_LABELS.iter().find(|(from, _)| from == name);
                    let name = renamed.map_or(name.as_str(), |(_, to)| to);
                    labels.insert(name.to_owned(), value.clone());
                }
                if let Some((name, value)) = label {
                    labels.insert((*name).to_owned(), (*value).to_owned());
                }
                edge_as_number(&mut labels);
                put(&mut numbers, format!("{ours}{part}"), labels, sample.value);
            }
        }
    }
    if let Some(newest) = newest_lora {
        lora(newest, &mut numbers);
    }
    numbers
}

fn edge_as_number(labels: &mut Labels) {
    if let Some(le) = labels.get_mut("le") {
        *le = le.parse::<f64>().unwrap().to_string();
    }
}

/// The blocks of several engines are added up on the series of each of them.
fn cache_config(sample: &Sample, engines: f64, numbers: &mut Numbers) {
    assert_eq!(sample.value.to_bits(), 1f64.to_bits());
    let engine: Labels = sample
        .labels
        .iter()
        .filter(|(name, _)| *name == "engine")
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    for (label, ours) in CACHE_NUMBERS {
        // Python writes None where it has no number.
        if let Some(number) = sample.labels.get(*label)
            && let Ok(number) = number.parse::<f64>()
        {
            let number = match *label {
                "num_gpu_blocks" => number / engines,
                _ => number,
            };
            if number.fract() != 0.0 {
                continue;
            }
            put(numbers, *ours, engine.clone(), number);
        }
    }
    let facts = CACHE_FACTS
        .iter()
        .filter_map(|(from, to)| Some(((*to).to_owned(), sample.labels.get(*from)?.clone())))
        .collect();
    put(numbers, "llm_kv_cache_info", facts, 1.0);
}

fn lora(newest: &Sample, numbers: &mut Numbers) {
    let label = |name: &str| newest.labels.get(name).map_or("", String::as_str);
    let max: f64 = label("max_lora").parse().unwrap();
    put(numbers, "llm_lora_adapters_max", Labels::new(), max);
    for state in ["running", "waiting"] {
        let list = label(&format!("{state}_lora_adapters")).to_owned();
        let adapters: Vec<&str> = list.split(',').filter(|name| !name.is_empty()).collect();
        let count = u32::try_from(adapters.len()).unwrap();
        put(
            numbers,
            format!("llm_lora_adapters_{state}"),
            Labels::new(),
            f64::from(count),
        );
        for adapter in adapters {
            let labels = Labels::from([("adapter".to_owned(), adapter.to_owned())]);
            put(numbers, format!("llm_lora_adapter_{state}"), labels, 1.0);
        }
    }
}

fn check(name: &str, text: &str, translator: &mut Translator) {
    let page = Page::read(text);
    let mut snapshot = Snapshot::new();
    let format = Format::sniff(text.as_bytes(), None);
    translator
        .translate(text.as_bytes(), format, &mut snapshot)
        .unwrap_or_else(|error| panic!("{name}: {error}"));
    let expected = expected(&page);
    page::compare(name, &expected, &held(&snapshot));
    assert!(
        expected.len() > 20,
        "{name}: only {} numbers",
        expected.len()
    );
    accounts(name, &page, &snapshot, translator);
}

/// Nothing is lost silently: every sample is in the report, and what is not mapped is tallied.
fn accounts(name: &str, page: &Page, snapshot: &Snapshot, translator: &Translator) {
    let report = translator.report();
    let reported: usize = report.families.iter().map(|family| family.samples).sum();
    assert_eq!(reported, page.samples.len(), "{name}");
    let tally = snapshot.tally();
    assert_eq!(
        usize::try_from(tally.samples.unwrap()).unwrap(),
        page.samples.len(),
        "{name}"
    );
    assert_eq!(tally.unmapped_families, 0, "{name}");
    for family in &report.families {
        match &family.verdict {
            Verdict::Mapped(ours) => assert!(!ours.is_empty(), "{name}: {}", family.name),
            Verdict::LeftOut(why) => assert!(!why.is_empty(), "{name}: {}", family.name),
            Verdict::Superseded(better) => assert!(
                OLDER
                    .iter()
                    .any(|(older, newer)| family.name.ends_with(older) && newer == better),
                "{name}: {}",
                family.name
            ),
            other => panic!("{name}: {} is {other:?}", family.name),
        }
    }
    let left_out = page
        .samples
        .iter()
        .filter(|sample| !sample.name.starts_with("vllm") || is_created(sample))
        .count();
    assert_eq!(
        usize::try_from(tally.dropped(DropReason::LeftOut)).unwrap(),
        left_out,
        "{name}"
    );
    let expected = [
        DropReason::LeftOut,
        DropReason::Superseded,
        DropReason::Sentinel,
        DropReason::Outdated,
    ];
    for reason in DropReason::ALL {
        if !expected.contains(&reason) {
            assert_eq!(tally.dropped(reason), 0, "{name}: {reason:?}");
        }
    }
}

fn translator() -> Translator {
    Translator::new(tokenpath_vllm::compiled(), TranslateOptions::default())
}

#[test]
fn every_number_of_every_page_arrives() {
    let pages = page::pages(&page::testdata("vllm"));
    assert!(pages.len() >= 18, "{} pages", pages.len());
    for path in pages {
        let text = std::fs::read_to_string(&path).unwrap();
        check(&path.display().to_string(), &text, &mut translator());
    }
}

/// The same over a larger corpus, where its folder is named in `TOKENPATH_CORPUS`.
#[test]
fn every_number_of_the_larger_corpus_arrives() {
    let Some(corpus) = std::env::var_os("TOKENPATH_CORPUS") else {
        eprintln!("TOKENPATH_CORPUS is not set: only the repository's own pages were read");
        return;
    };
    for path in page::pages(&Path::new(&corpus).join("fixtures/vllm")) {
        let text = std::fs::read_to_string(&path).unwrap();
        if !text.contains("# TYPE ") {
            names_and_types(&text);
            continue;
        }
        check(&path.display().to_string(), &text, &mut translator());
    }
}

/// The releases that the catalogue names for a family are those whose pages have it.
#[test]
fn what_a_page_has_its_release_has() {
    let mut folders = vec![page::testdata("vllm")];
    folders.extend(std::env::var_os("TOKENPATH_CORPUS").map(|corpus| {
        let corpus = Path::new(&corpus);
        corpus.join("fixtures/vllm")
    }));
    let catalogue = tokenpath_vllm::catalogue();
    let mut checked = 0;
    for path in folders.iter().flat_map(|folder| page::pages(folder)) {
        let file = path.file_stem().unwrap().to_str().unwrap();
        let Some((release, form)) = file
            .strip_prefix("vllm-")
            .and_then(|rest| rest.split_once('-'))
        else {
            continue;
        };
        // The captured pages of these two releases are of the first engine generation.
        let captured_v0 = release == "0.6.3.post1" || (release == "0.8.5" && form.starts_with('t'));
        let line = if form.starts_with("V0") || captured_v0 {
            "V0"
        } else {
            "V1"
        };
        let hidden = form.ends_with("show-hidden");
        let version = version(release);
        let page = Page::read(&std::fs::read_to_string(&path).unwrap());
        for (name, kind) in &page.types {
            let Some(family) = name.strip_prefix("vllm:") else {
                continue;
            };
            if family.ends_with("_created") {
                continue;
            }
            let total = format!("{family}_total");
            let row = catalogue
                .rows
                .iter()
                .find(|row| row.upstream == family || (kind == "counter" && row.upstream == total))
                .unwrap_or_else(|| panic!("{file}: {family} has no row"));
            let covered = row.releases.iter().any(|releases| {
                releases.line == line
                    && (!releases.hidden || hidden)
                    && self::version(&releases.since) <= version
                    && releases
                        .until
                        .as_ref()
                        .is_none_or(|until| version <= self::version(until))
            });
            assert!(covered, "{file} has {family}, found in {:?}", row.releases);
            checked += 1;
        }
    }
    assert!(checked > 500, "{checked} families");
}

fn version(text: &str) -> (u32, u32, u32) {
    // Of `0.6.3.post1` the first three count.
    let mut parts = text.split('.').take(3).map(|part| part.parse().unwrap());
    let mut next = || parts.next().unwrap();
    (next(), next(), next())
}

/// A list of families of a release, a name and a type a line: each has a row.
fn names_and_types(text: &str) {
    let catalogue = tokenpath_vllm::catalogue();
    let mut checked = 0;
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let Some((name, kind)) = line.split_once(' ') else {
            continue;
        };
        let name = name.strip_prefix("vllm:").unwrap();
        let row = catalogue
            .rows
            .iter()
            .find(|row| row.upstream == name)
            .unwrap_or_else(|| panic!("{name} has no row"));
        assert_eq!(row.kind.text_name(), kind, "{name}");
        checked += 1;
    }
    assert!(checked > 20, "{checked} families");
}

/// One translator for a server that is replaced by another release at each reading: what it learned
/// of the page before must not show in the next.
#[test]
fn a_translator_forgets_the_page_before() {
    let mut translator = translator();
    let pages = page::pages(&page::testdata("vllm"));
    for path in pages.iter().chain(pages.iter().rev()) {
        let text = std::fs::read_to_string(path).unwrap();
        check(&path.display().to_string(), &text, &mut translator);
    }
}
