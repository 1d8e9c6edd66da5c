//! Every number of a page arrives, under its name, and no other does.

use std::collections::BTreeSet;
use std::path::Path;

use tokenpath_core::exposition::Format;
use tokenpath_core::translate::Verdict;
use tokenpath_core::{DropReason, Snapshot};
use tokenpath_gateway::{GatewayOptions, GatewayTranslator};

use crate::meanings::{BESIDE, MEANINGS, SUMS, constant, label};
use crate::page::{self, Labels, Numbers, Page, put};

fn beside(family: &str) -> bool {
    let means = |(_, _, names): &&(_, _, &[&str])| names.contains(&family);
    !MEANINGS.iter().any(|meaning| means(&meaning))
        && BESIDE.iter().any(|beginning| family.starts_with(beginning))
}

/// What of a page should arrive, and how many samples give way to a better name.
fn expected(page: &Page) -> (Numbers, u64) {
    let present: BTreeSet<&str> = page
        .samples
        .iter()
        .map(|sample| page.family(sample).0)
        .collect();
    let mut numbers = Numbers::new();
    let mut superseded = 0;
    for sample in &page.samples {
        let (upstream, part) = page.family(sample);
        if beside(upstream) {
            continue;
        }
        let (_, ours, names) = MEANINGS
            .iter()
            .find(|(_, _, names)| names.contains(&upstream))
            .unwrap_or_else(|| panic!("{upstream} means nothing"));
        let best = names.iter().find(|name| present.contains(**name));
        if best != Some(&upstream) {
            superseded += 1;
            continue;
        }
        let mut labels = Labels::new();
        for (name, value) in &sample.labels {
            if value.is_empty() {
                continue;
            }
            let renamed = label(upstream, name);
            let name = if renamed.is_empty() { name } else { renamed };
            let value = match name {
                "le" => value
                    .trim_start_matches('+')
                    .parse::<f64>()
                    .unwrap()
                    .to_string(),
                _ => value.clone(),
            };
            labels.insert(name.to_owned(), value);
        }
        if let Some((name, value)) = constant(upstream) {
            labels
                .entry(name.to_owned())
                .or_insert_with(|| value.to_owned());
        }
        if part == "_sum"
            && let Some((_, total)) = SUMS.iter().find(|(histogram, _)| histogram == ours)
        {
            put(&mut numbers, *total, labels.clone(), sample.value);
        }
        put(&mut numbers, format!("{ours}{part}"), labels, sample.value);
    }
    (numbers, superseded)
}

fn check(name: &str, text: &str, translator: &mut GatewayTranslator) {
    let read = Page::read(text);
    let (expected, superseded) = expected(&read);
    let mut out = Snapshot::new();
    translator
        .translate(text.as_bytes(), Format::Text004, &mut out)
        .unwrap_or_else(|error| panic!("{name}: {error}"));
    page::compare(name, &expected, &page::held(&out));
    let tally = out.tally();
    assert_eq!(tally.samples, Some(read.samples.len() as u64), "{name}");
    assert_eq!(
        tally.unmapped_families,
        0,
        "{name}: {:?}",
        translator.report()
    );
    assert_eq!(tally.dropped(DropReason::Superseded), superseded, "{name}");
    let left_out = read
        .samples
        .iter()
        .filter(|sample| beside(read.family(sample).0));
    assert_eq!(
        tally.dropped(DropReason::LeftOut),
        left_out.count() as u64,
        "{name}"
    );
    for reason in [
        DropReason::Duplicate,
        DropReason::TypeClash,
        DropReason::InvalidLine,
    ] {
        assert_eq!(tally.dropped(reason), 0, "{name}: {reason:?}");
    }
    for family in &translator.report().families {
        let fine = !matches!(family.verdict, Verdict::Unmapped | Verdict::TypeClash(_));
        assert!(fine, "{name}: {} is {:?}", family.name, family.verdict);
    }
}

#[test]
fn every_number_of_every_page_arrives_once() {
    let pages = page::pages(&page::testdata("epp"));
    assert!(pages.len() >= 7, "{} pages", pages.len());
    for path in pages {
        let text = std::fs::read_to_string(&path).unwrap();
        let mut translator = GatewayTranslator::new(GatewayOptions::default());
        check(&path.display().to_string(), &text, &mut translator);
    }
}

/// The same over the gateways' own test pages, where the folder of a corpus is named.
#[test]
fn every_number_of_the_larger_corpus_arrives_once() {
    let Some(corpus) = std::env::var_os("TOKENPATH_CORPUS") else {
        return;
    };
    let pages = page::pages(&Path::new(&corpus).join("fixtures/epp"));
    assert!(pages.len() > 50, "{} pages", pages.len());
    let mut broken = 0;
    for path in pages {
        let name = path.display().to_string();
        // Fragments of pages: the last line may lack its end.
        let text = std::fs::read_to_string(&path).unwrap() + "\n";
        let mut translator = GatewayTranslator::new(GatewayOptions::default());
        if text.contains("\niinference_") {
            // Has a slip of the pen in a name, and a histogram twice: no page of a server.
            let mut out = Snapshot::new();
            translator
                .translate(text.as_bytes(), Format::Text004, &mut out)
                .unwrap();
            assert_eq!(out.tally().unmapped_families, 1, "{name}");
            assert!(out.tally().dropped(DropReason::Duplicate) > 30, "{name}");
            broken += 1;
            continue;
        }
        check(&name, &text, &mut translator);
    }
    assert_eq!(broken, 3);
}

/// A gateway that is updated, or rolled back, under a reader that stays.
#[test]
fn a_translator_forgets_the_generation_before() {
    let mut translator = GatewayTranslator::new(GatewayOptions::default());
    let pages = page::pages(&page::testdata("epp"));
    for path in pages.iter().chain(pages.iter().rev()) {
        let text = std::fs::read_to_string(path).unwrap();
        check(&path.display().to_string(), &text, &mut translator);
    }
}

#[test]
fn twins_count_once_whichever_stands_first() {
    let newer = "# TYPE llm_d_epp_request_total counter\nllm_d_epp_request_total{model_name=\"m\",fairness_id=\"f\"} 5\n";
    let older = "# TYPE inference_objective_request_total counter\ninference_objective_request_total{model_name=\"m\"} 5\n";
    let oldest = "# TYPE inference_model_request_total counter\ninference_model_request_total{model_name=\"m\"} 5\n";
    for text in [
        [newer, older, oldest].concat(),
        [oldest, older, newer].concat(),
        [older, newer].concat(),
        [oldest, newer].concat(),
        [oldest, older].concat(),
        oldest.to_owned(),
    ] {
        let mut translator = GatewayTranslator::new(GatewayOptions::default());
        let mut out = Snapshot::new();
        translator
            .translate(text.as_bytes(), Format::Text004, &mut out)
            .unwrap();
        let held = page::held(&out);
        assert_eq!(held.len(), 1, "{text}");
        assert_eq!(held.values().next(), Some(&5.0_f64.to_bits()), "{text}");
    }
}

fn read(text: &str) -> Snapshot {
    let mut translator = GatewayTranslator::new(GatewayOptions::default());
    let mut out = Snapshot::new();
    translator
        .translate(text.as_bytes(), Format::Text004, &mut out)
        .unwrap();
    out
}

/// 0.10 writes `llm_d_router_epp_*` beside the library's names, its successor `llm_d_epp_*`.
#[test]
fn the_index_of_blocks_counts_once_under_three_prefixes() {
    let line = |prefix: &str| {
        let name = format!("{prefix}_lookup_hits_total");
        format!("# TYPE {name} counter\n{name} 5\n")
    };
    let newest = line("llm_d_epp_kv_cache_index");
    let newer = line("llm_d_router_epp_kv_cache_index");
    let oldest = line("kvcache_index");
    for text in [
        [&*oldest, &newer].concat(),
        [&*newer, &oldest].concat(),
        [&*oldest, &newest].concat(),
        [&*oldest, &newer, &newest].concat(),
        newer.clone(),
        oldest.clone(),
        newest.clone(),
    ] {
        let out = read(&text);
        let blocks = out.value("llm_gateway_kv_index_hit_blocks_total", &[]);
        assert_eq!(blocks, Some(5.0), "{text}");
        assert_eq!(page::held(&out).len(), 1, "{text}");
        assert_eq!(out.tally().unmapped_families, 0, "{text}");
    }
}

/// The stage that gates has the same labels in every release, and the others are beside it.
#[test]
fn saturation_of_one_stage_is_that_of_the_pool() {
    const NAME: &str = "llm_gateway_flow_control_pool_saturation";
    let older = "# TYPE llm_d_epp_flow_control_pool_saturation gauge\nllm_d_epp_flow_control_pool_saturation{inference_pool=\"p\"} 0.9\n";
    let newer = "# TYPE llm_d_epp_flow_control_pool_saturation gauge\n\
        llm_d_epp_flow_control_pool_saturation{inference_pool=\"p\",stage=\"prefill\"} 0.2\n\
        llm_d_epp_flow_control_pool_saturation{inference_pool=\"p\",stage=\"decode\"} 0.9\n\
        llm_d_epp_flow_control_pool_saturation{inference_pool=\"p\",stage=\"effective\"} 0.9\n";
    for (text, stages) in [(older, 1), (newer, 3)] {
        let out = read(text);
        let stage = |stage| out.value(NAME, &[("pool", "p"), ("stage", stage)]);
        assert_eq!(stage("effective"), Some(0.9), "{text}");
        assert_eq!(page::held(&out).len(), stages, "{text}");
    }
    assert_eq!(
        read(newer).value(NAME, &[("pool", "p"), ("stage", "prefill")]),
        Some(0.2)
    );
}
