//! One state of an engine, spoken as each release, is one state of the model.
//!
//! The digital twin writes its pages after recorded ones and knows nothing of the catalogue. Here its
//! ground truth is held against what the translated pages say: equal for every quantity that the
//! release has, absent where it has none. Which release has what is written by hand below, in ranges
//! of releases, as read from their sources.

use std::collections::BTreeMap;

use tokenpath_core::exposition::Format;
use tokenpath_core::translate::{TranslateOptions, Translator};
use tokenpath_core::{SeriesKind, Snapshot};
use tokenpath_sim::vllm::{Layout, Release};
use tokenpath_sim::{
    Config, EngineTruth, FinishReason, Lora, Observed, Quantity, Speculation, Truth, Twin,
};

/// Releases whose page the twin follows was rendered without the counters of speculation that their
/// sources declare in a loop; only those by position are on it.
const POSITIONS_ONLY: [&str; 3] = ["0.26.0", "0.33.0", "0.33.0-openmetrics"];

/// The line of the engine behind a page.
#[derive(Clone, Copy, PartialEq)]
enum Line {
    V0,
    V1,
    Rust,
}

/// A release as far as it matters here.
#[derive(Clone, Copy)]
struct Form {
    release: Release,
    line: Line,
    version: (u32, u32, u32),
    /// Recorded from a server without LoRA and speculation, whose families are therefore not known.
    plain: bool,
}

impl Form {
    fn of(release: Release) -> Self {
        let name = release.name();
        let oldest = ["0.3.3", "0.4.2", "0.6.0", "0.6.3.post1", "0.6.6"];
        let line = if name.ends_with("-v0") || oldest.contains(&name) {
            Line::V0
        } else if name.ends_with("-rust") {
            Line::Rust
        } else {
            Line::V1
        };
        Self {
            release,
            line,
            version: version(release.version()),
            plain: ["0.32.0", "0.8.5-v0"].contains(&name),
        }
    }

    fn has_engine(self) -> bool {
        self.line != Line::V0
    }
}

fn version(text: &str) -> (u32, u32, u32) {
    let mut parts = text.split('.').map(|part| part.parse().unwrap());
    let mut next = || parts.next().unwrap();
    (next(), next(), next())
}

/// Where a quantity is found: on the first line from and to, on the second from and to, and on the
/// page of the Rust frontend.
struct Found {
    v0: Option<(&'static str, &'static str)>,
    v1: Option<(&'static str, Option<&'static str>)>,
    rust: bool,
}

impl Found {
    fn on(&self, form: Form) -> bool {
        match form.line {
            Line::V0 => self.v0.is_some_and(|(since, until)| {
                (version(since)..=version(until)).contains(&form.version)
            }),
            Line::V1 => self.v1.is_some_and(|(since, until)| {
                version(since) <= form.version
                    && until.is_none_or(|until| form.version <= version(until))
            }),
            Line::Rust => self.rust,
        }
    }
}

const END_OF_V0: &str = "0.11.0";

/// On both lines and the Rust frontend.
const fn both(v0: &'static str, v1: &'static str) -> Found {
    Found {
        v0: Some((v0, END_OF_V0)),
        v1: Some((v1, None)),
        rust: true,
    }
}

/// On the second line and the Rust frontend.
const fn second(since: &'static str) -> Found {
    Found {
        v0: None,
        v1: Some((since, None)),
        rust: true,
    }
}

/// On the second line only.
const fn python(since: &'static str) -> Found {
    Found {
        v0: None,
        v1: Some((since, None)),
        rust: false,
    }
}

/// On the first line only.
const fn first(since: &'static str, until: &'static str) -> Found {
    Found {
        v0: Some((since, until)),
        v1: None,
        rust: false,
    }
}

/// What an engine's truth says of a quantity.
enum Is<'a> {
    Number(f64),
    Observations(&'a Observed),
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
fn number(count: u64) -> Is<'static> {
    Is::Number(count as f64)
}

fn share(part: u64, whole: u64) -> Is<'static> {
    let (Is::Number(part), Is::Number(whole)) = (number(part), number(whole)) else {
        unreachable!("counts are numbers");
    };
    Is::Number(if whole > 0.0 { part / whole } else { 0.0 })
}

/// A quantity of one engine: family, labels beside those of the engine, where it is found, value.
type Row<'a> = (&'static str, Vec<(&'static str, String)>, Found, Is<'a>);

fn quantities(engine: &EngineTruth) -> Vec<Row<'_>> {
    let plain = |family, found, value| (family, Vec::new(), found, value);
    let labelled = |family, label: (&'static str, &str), found, value| {
        (family, vec![(label.0, label.1.to_owned())], found, value)
    };
    let observed = |family, found, quantity| {
        (
            family,
            Vec::new(),
            found,
            Is::Observations(engine.observed(quantity)),
        )
    };
    let mut rows = vec![
        plain(
            "llm_requests_running",
            both("0.2.7", "0.7.1"),
            number(engine.running),
        ),
        plain(
            "llm_requests_waiting",
            both("0.2.7", "0.7.1"),
            number(engine.waiting),
        ),
        plain("llm_requests_swapped", first("0.2.7", "0.8.2"), number(0)),
        labelled(
            "llm_requests_waiting_by_reason",
            ("reason", "deferred"),
            second("0.20.0"),
            number(engine.deferred),
        ),
        labelled(
            "llm_requests_waiting_by_reason",
            ("reason", "capacity"),
            second("0.20.0"),
            number(engine.waiting - engine.deferred),
        ),
        plain(
            "llm_kv_cache_usage_ratio",
            both("0.2.7", "0.7.1"),
            Is::Number(engine.kv_usage()),
        ),
        plain(
            "llm_preemptions_total",
            both("0.4.3", "0.8.0"),
            number(engine.preemptions),
        ),
        plain(
            "llm_prompt_tokens_total",
            both("0.3.3", "0.7.1"),
            number(engine.prompt_tokens),
        ),
        plain(
            "llm_generation_tokens_total",
            both("0.3.3", "0.7.1"),
            number(engine.generation_tokens),
        ),
        plain(
            "llm_tokens_total",
            first("0.6.4", "0.7.3"),
            number(engine.prompt_tokens + engine.generation_tokens),
        ),
        plain(
            "llm_prompt_tokens_cached_total",
            second("0.16.0"),
            number(engine.prompt_tokens_cached),
        ),
        labelled(
            "llm_prompt_tokens_by_source_total",
            ("source", "local_cache_hit"),
            second("0.16.0"),
            number(engine.prompt_tokens_cached),
        ),
        labelled(
            "llm_prompt_tokens_cached_by_source_total",
            ("source", "device"),
            python("0.32.0"),
            number(engine.prefix_hits),
        ),
        labelled(
            "llm_prefix_cache_queries_total",
            ("cache", "local"),
            second("0.9.2"),
            number(engine.prefix_queries),
        ),
        labelled(
            "llm_prefix_cache_hits_total",
            ("cache", "local"),
            second("0.9.2"),
            number(engine.prefix_hits),
        ),
        labelled(
            "llm_prefix_cache_queries_total",
            ("cache", "external"),
            second("0.11.1"),
            number(0),
        ),
        labelled(
            "llm_prefix_cache_queries_blocks_total",
            ("cache", "local"),
            Found {
                v0: None,
                v1: Some(("0.7.3", Some("0.9.1"))),
                rust: false,
            },
            number(engine.prefix_query_blocks),
        ),
        labelled(
            "llm_prefix_cache_hits_blocks_total",
            ("cache", "local"),
            Found {
                v0: None,
                v1: Some(("0.7.3", Some("0.9.1"))),
                rust: false,
            },
            number(engine.prefix_hit_blocks),
        ),
        labelled(
            "llm_prefix_cache_hit_ratio",
            ("cache", "local"),
            first("0.5.5", "0.8.2"),
            share(engine.prefix_hit_blocks, engine.prefix_query_blocks),
        ),
        plain(
            "llm_multimodal_cache_hits_total",
            python("0.11.1"),
            number(0),
        ),
        plain(
            "llm_prompt_tokens_per_second",
            first("0.2.7", "0.6.6"),
            Is::Number(engine.prompt_throughput),
        ),
        plain(
            "llm_generation_tokens_per_second",
            first("0.2.7", "0.6.6"),
            Is::Number(engine.generation_throughput),
        ),
        labelled(
            "llm_engine_sleep_state",
            ("state", "awake"),
            python("0.11.1"),
            number(1),
        ),
        plain("llm_estimated_gpu_flops_total", second("0.17.0"), number(0)),
        observed(
            "llm_time_to_first_token_seconds",
            both("0.3.3", "0.7.1"),
            Quantity::TimeToFirstToken,
        ),
        observed(
            "llm_inter_token_latency_seconds",
            both("0.3.3", "0.7.1"),
            Quantity::InterToken,
        ),
        observed(
            "llm_time_per_output_token_seconds",
            second("0.11.0"),
            Quantity::PerOutputToken,
        ),
        observed(
            "llm_request_duration_seconds",
            both("0.3.3", "0.7.3"),
            Quantity::EndToEnd,
        ),
        observed(
            "llm_request_queue_seconds",
            both("0.6.4", "0.7.3"),
            Quantity::Queue,
        ),
        observed(
            "llm_request_prefill_seconds",
            both("0.6.4", "0.7.3"),
            Quantity::Prefill,
        ),
        observed(
            "llm_request_decode_seconds",
            both("0.6.4", "0.7.3"),
            Quantity::Decode,
        ),
        observed(
            "llm_request_inference_seconds",
            both("0.6.4", "0.7.3"),
            Quantity::Inference,
        ),
        observed(
            "llm_request_prompt_tokens",
            both("0.4.2", "0.7.1"),
            Quantity::PromptTokens,
        ),
        observed(
            "llm_request_generation_tokens",
            both("0.4.2", "0.7.1"),
            Quantity::GenerationTokens,
        ),
        observed(
            "llm_request_max_tokens",
            both("0.6.4", "0.8.0"),
            Quantity::MaxTokens,
        ),
        observed(
            "llm_request_max_generation_tokens",
            both("0.6.4", "0.8.0"),
            Quantity::MaxGenerationTokens,
        ),
        observed(
            "llm_request_params_n",
            both("0.4.2", "0.8.0"),
            Quantity::Sequences,
        ),
        observed(
            "llm_request_params_best_of",
            first("0.4.2", "0.6.2"),
            Quantity::Sequences,
        ),
        observed(
            "llm_iteration_tokens",
            both("0.6.4", "0.7.3"),
            Quantity::IterationTokens,
        ),
        observed(
            "llm_request_preemptions",
            python("0.30.0"),
            Quantity::Preemptions,
        ),
        observed(
            "llm_request_prefill_computed_tokens",
            second("0.13.0"),
            Quantity::ComputedPromptTokens,
        ),
    ];
    for reason in FinishReason::ALL {
        let since = match reason {
            FinishReason::Stop | FinishReason::Length | FinishReason::Abort => {
                both("0.4.2", "0.7.2")
            }
            // The sources have `error` from 0.13.0 on, but the one page between that and 0.17.0 that
            // the twin follows, of 0.14.0, was rendered with the three older reasons.
            FinishReason::Error | FinishReason::Repetition => second("0.17.0"),
        };
        rows.push(labelled(
            "llm_requests_finished_total",
            ("finish_reason", reason.as_str()),
            since,
            number(engine.finished(reason)),
        ));
    }
    rows
}

fn speculation(engine: &EngineTruth) -> Vec<Row<'_>> {
    let plain = |family, found, value| (family, Vec::new(), found, value);
    let counts = &engine.speculation;
    let v0 = ("0.5.3", "0.9.2");
    let shared = || Found {
        v0: Some(v0),
        v1: Some(("0.8.5", None)),
        rust: true,
    };
    let mut rows = vec![
        plain(
            "llm_spec_decode_draft_tokens_total",
            shared(),
            number(counts.draft_tokens),
        ),
        plain(
            "llm_spec_decode_accepted_tokens_total",
            shared(),
            number(counts.accepted_tokens),
        ),
        plain(
            "llm_spec_decode_drafts_total",
            second("0.8.5"),
            number(counts.drafts),
        ),
        plain(
            "llm_spec_decode_emitted_tokens_total",
            first(v0.0, v0.1),
            number(counts.accepted_tokens + counts.drafts),
        ),
        plain(
            "llm_spec_decode_acceptance_ratio",
            first(v0.0, v0.1),
            share(counts.accepted_tokens, counts.draft_tokens),
        ),
    ];
    for (position, accepted) in counts.accepted_by_position.iter().enumerate() {
        rows.push((
            "llm_spec_decode_accepted_tokens_by_position_total",
            vec![("position", position.to_string())],
            second("0.8.5"),
            number(*accepted),
        ));
    }
    rows
}

/// The value of the series of a family with just these labels.
fn value_of(snapshot: &Snapshot, family: &str, labels: &BTreeMap<&str, String>) -> Option<f64> {
    let labels: Vec<(&str, &str)> = labels
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    snapshot.value(family, &labels)
}

fn same(context: &str, found: Option<f64>, expected: f64) {
    assert_eq!(
        found.map(f64::to_bits),
        Some(expected.to_bits()),
        "{context} is {found:?} and should be {expected}"
    );
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
fn same_observations(
    context: &str,
    snapshot: &Snapshot,
    family: &str,
    labels: &BTreeMap<&str, String>,
    observed: &Observed,
) {
    let labels: Vec<(&str, &str)> = labels
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let histogram = snapshot
        .histogram(family, &labels)
        .unwrap_or_else(|| panic!("{context} is missing"));
    same(&format!("{context} sum"), histogram.sum, observed.sum());
    same(
        &format!("{context} count"),
        histogram.count,
        observed.count() as f64,
    );
    assert!(histogram.buckets.len() > 3, "{context}");
    for bucket in &histogram.buckets {
        let expected = observed.cumulative(bucket.le).unwrap();
        same(
            &format!("{context} up to {}", bucket.le),
            Some(bucket.count),
            expected as f64,
        );
    }
}

fn check_engine(form: Form, snapshot: &Snapshot, truth: &Truth, index: usize) {
    let engine = &truth.engines[index];
    let mut rows = quantities(engine);
    if truth.config.speculation.is_some() && !form.plain {
        let mut speculative = speculation(engine);
        if POSITIONS_ONLY.contains(&form.release.name()) {
            speculative.retain(|(family, ..)| family.ends_with("_by_position_total"));
        }
        rows.extend(speculative);
    }
    for (family, extra, found, value) in rows {
        let mut labels = BTreeMap::from([("model_name", truth.config.model_name.clone())]);
        if form.has_engine() {
            labels.insert("engine", index.to_string());
        }
        labels.extend(extra);
        let context = format!("{}: {family}{labels:?}", form.release);
        if !found.on(form) {
            let series = snapshot
                .shape()
                .family(family)
                .into_iter()
                .flat_map(|family| family.series().collect::<Vec<_>>())
                .find(|series| {
                    labels
                        .iter()
                        .all(|(name, value)| series.label(name) == Some(value))
                });
            assert!(series.is_none(), "{context} is there and should be absent");
            continue;
        }
        match value {
            // The first line and the Rust frontend show a reason from its first use on.
            Is::Number(0.0) if family == "llm_requests_finished_total" && form.line != Line::V1 => {
                let there = value_of(snapshot, family, &labels);
                assert!(there.is_none_or(|there| there == 0.0), "{context}");
            }
            Is::Number(expected) => {
                same(&context, value_of(snapshot, family, &labels), expected);
            }
            Is::Observations(observed) => {
                same_observations(&context, snapshot, family, &labels, observed);
            }
        }
    }
    configuration(form, snapshot, truth, index);
}

/// Block size and count come out of labels, on pages of one process and of several.
fn configuration(form: Form, snapshot: &Snapshot, truth: &Truth, index: usize) {
    let mut labels = BTreeMap::new();
    if form.has_engine() {
        labels.insert("engine", index.to_string());
    }
    let found = Found {
        v0: Some(("0.2.7", END_OF_V0)),
        v1: Some(("0.8.0", None)),
        rust: false,
    };
    let size = value_of(snapshot, "llm_kv_cache_block_size_tokens", &labels);
    let blocks = value_of(snapshot, "llm_kv_cache_blocks", &labels);
    if found.on(form) {
        let Is::Number(expected) = number(truth.engines[index].kv_blocks) else {
            unreachable!("counts are numbers");
        };
        same(&format!("{}: blocks", form.release), blocks, expected);
        same(
            &format!("{}: block size", form.release),
            size,
            f64::from(truth.config.block_size),
        );
    } else {
        assert_eq!((size, blocks), (None, None), "{}", form.release);
    }
}

/// The adapters of the newest set, and no other.
fn check_lora(form: Form, snapshot: &Snapshot, truth: &Truth) {
    let lora = truth.config.lora.as_ref().unwrap();
    let found = both("0.6.4", "0.8.0");
    if form.plain {
        return;
    }
    let newest = truth
        .lora
        .iter()
        .reduce(|best, next| {
            if next.updated > best.updated {
                next
            } else {
                best
            }
        })
        .unwrap();
    for (state, bits) in [("running", newest.running), ("waiting", newest.waiting)] {
        let names: Vec<&String> = lora
            .adapters
            .iter()
            .enumerate()
            .filter(|(index, _)| bits & (1 << index) != 0)
            .map(|(_, name)| name)
            .collect();
        let context = format!("{}: {state} adapters", form.release);
        let there: Vec<&str> = snapshot
            .shape()
            .family(&format!("llm_lora_adapter_{state}"))
            .into_iter()
            .flat_map(|family| family.series().collect::<Vec<_>>())
            .filter(|series| {
                assert_eq!(series.kind(), SeriesKind::Value);
                snapshot.get(series.slot()) == Some(1.0)
            })
            .filter_map(|series| series.label("adapter"))
            .collect();
        let count = snapshot.value(&format!("llm_lora_adapters_{state}"), &[]);
        if found.on(form) {
            let expected = f64::from(bits.count_ones());
            same(&context, count, expected);
            assert_eq!(there.len(), names.len(), "{context}");
            assert!(names.iter().all(|name| there.contains(&name.as_str())));
        } else {
            assert_eq!(count, None, "{context}");
            assert!(there.is_empty(), "{context}");
        }
    }
}

fn translate(form: Form, page: &str) -> Snapshot {
    let mut translator = Translator::new(tokenpath_vllm::compiled(), TranslateOptions::default());
    let mut snapshot = Snapshot::new();
    let format = Format::sniff(page.as_bytes(), None);
    translator
        .translate(page.as_bytes(), format, &mut snapshot)
        .unwrap_or_else(|error| panic!("{}: {error}", form.release));
    let unmapped: Vec<_> = translator.report().unmapped().collect();
    assert!(unmapped.is_empty(), "{}: {unmapped:?}", form.release);
    snapshot
}

/// Runs a twin to a busy moment.
fn twin(config: Config) -> Twin {
    let mut twin = Twin::new(config).unwrap();
    twin.advance(90.0);
    let engine = &twin.truth().engines[0];
    assert!(engine.running > 0 && engine.prompt_tokens_cached > 0);
    twin
}

fn forms() -> impl Iterator<Item = Form> {
    Release::all().map(Form::of)
}

#[test]
fn one_state_spoken_as_each_release_is_one_state_of_the_model() {
    let twin = twin(Config::default());
    for form in forms() {
        let page = Layout::of(form.release).page(twin.truth()).unwrap();
        let snapshot = translate(form, &page);
        check_engine(form, &snapshot, twin.truth(), 0);
    }
}

#[test]
fn so_is_one_with_adapters_and_speculation() {
    let twin = twin(Config {
        seed: 7,
        lora: Some(Lora {
            adapters: ["sql", "chat", "legal"].map(str::to_owned).to_vec(),
            max_loras: 2,
            share: 0.5,
        }),
        speculation: Some(Speculation {
            draft_tokens: 4,
            acceptance: 0.7,
        }),
        ..Config::default()
    });
    for form in forms() {
        let page = Layout::of(form.release).page(twin.truth()).unwrap();
        let snapshot = translate(form, &page);
        check_engine(form, &snapshot, twin.truth(), 0);
        check_lora(form, &snapshot, twin.truth());
    }
}

#[test]
fn engines_behind_several_processes_stay_apart() {
    let twin = twin(Config {
        engines: 3,
        api_servers: 2,
        seed: 3,
        ..Config::default()
    });
    let mut spoken = 0;
    for form in forms().filter(|form| form.has_engine()) {
        let mut layouts = vec![Layout::of(form.release)];
        layouts.extend(Layout::multi_process(form.release));
        for layout in layouts {
            let pages = [
                layout.page(twin.truth()).unwrap(),
                layout.page_after_slash(twin.truth()).unwrap(),
            ];
            for page in pages {
                let snapshot = translate(form, &page);
                for index in 0..3 {
                    check_engine(form, &snapshot, twin.truth(), index);
                }
                let running = snapshot.shape().family("llm_requests_running").unwrap();
                assert_eq!(running.series().len(), 3, "{}", form.release);
                spoken += 1;
            }
        }
    }
    assert!(spoken > 40, "{spoken} pages");
}

/// A server that is upgraded under a translator, release by release: no number of the release before
/// is left.
#[test]
fn an_upgrade_leaves_nothing_behind() {
    let twin = twin(Config::default());
    let mut translator = Translator::new(tokenpath_vllm::compiled(), TranslateOptions::default());
    let mut snapshot = Snapshot::new();
    let mut all: Vec<Form> = forms().collect();
    all.extend(all.clone().into_iter().rev());
    for form in all {
        let page = Layout::of(form.release).page(twin.truth()).unwrap();
        translator
            .translate(
                page.as_bytes(),
                Format::sniff(page.as_bytes(), None),
                &mut snapshot,
            )
            .unwrap();
        let fresh = translate(form, &page);
        let held = |snapshot: &Snapshot| -> usize {
            let families = snapshot.shape().families();
            families
                .flat_map(|family| family.series().collect::<Vec<_>>())
                .filter(|series| snapshot.get(series.count_slot()).is_some())
                .count()
        };
        assert_eq!(held(&snapshot), held(&fresh), "{}", form.release);
        let used = |snapshot: &Snapshot| {
            let labels = if form.has_engine() {
                vec![
                    ("engine", "0"),
                    ("model_name", &*twin.truth().config.model_name),
                ]
            } else {
                vec![("model_name", &*twin.truth().config.model_name)]
            };
            snapshot.value("llm_kv_cache_usage_ratio", &labels)
        };
        assert_eq!(used(&snapshot), used(&fresh), "{}", form.release);
        assert_eq!(used(&fresh), Some(twin.truth().engines[0].kv_usage()));
    }
}
