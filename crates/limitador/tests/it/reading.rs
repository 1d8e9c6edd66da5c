//! Every number of a metrics page arrives, added up as the tenants say, and no other does.

use tokenpath_core::exposition::Format;
use tokenpath_core::translate::Verdict;
use tokenpath_core::{DropReason, Snapshot};
use tokenpath_limitador::{Admin, LimitadorOptions, LimitadorTranslator, TokenNamespaces};

use crate::page::{self, Labels, Numbers, Page, recorded};

const SERVER: [(&str, &str); 9] = [
    ("limitador_up", "llm_limitador_up"),
    (
        "datastore_partitioned",
        "llm_limitador_datastore_partitioned",
    ),
    ("datastore_latency", "llm_limitador_datastore_seconds"),
    ("counter_latency", "llm_limitador_datastore_seconds"),
    ("batcher_size", "llm_limitador_batcher_size"),
    ("cache_size", "llm_limitador_cache_size"),
    ("batcher_flush_size", "llm_limitador_batcher_flush_size"),
    ("counter_overshoot", "llm_limitador_cache_overshoot"),
    (
        "evicted_pending_writes",
        "llm_limitador_evicted_pending_writes_total",
    ),
];

fn expected(page: &Page, names: &[&str], tokens: &[&str]) -> Numbers {
    let mut numbers = Numbers::new();
    let mut add = |name: String, labels: Labels, value: f64| {
        let sum = numbers.entry((name, labels)).or_insert(0.0_f64.to_bits());
        *sum = (f64::from_bits(*sum) + value).to_bits();
    };
    for sample in &page.samples {
        let (family, part) = page.family(sample);
        if let Some((_, ours)) = SERVER.iter().find(|(upstream, _)| *upstream == family) {
            let mut labels = sample.labels.clone();
            if let Some(quantile) = labels.get_mut("quantile") {
                *quantile = quantile.parse::<f64>().unwrap().to_string();
            }
            add(format!("{ours}{part}"), labels, sample.value);
            continue;
        }
        let label = |name: &str| sample.labels.get(name).filter(|value| !value.is_empty());
        let mut labels = Labels::new();
        let mut give = |name: &str, value: Option<&String>| {
            if let Some(value) = value {
                labels.insert(name.to_owned(), value.clone());
            }
        };
        give("namespace", label("limitador_namespace"));
        give("tenant", names.iter().find_map(|name| label(name)));
        let name = match family {
            "authorized_calls" => {
                give("decision", Some(&"authorized".to_owned()));
                "llm_tenant_requests_total"
            }
            "limited_calls" => {
                give("decision", Some(&"limited".to_owned()));
                give("limit", label("limit_name"));
                "llm_tenant_requests_total"
            }
            "authorized_hits" if tokens.contains(&labels["namespace"].as_str()) => {
                "llm_tenant_tokens_total"
            }
            "authorized_hits" => "llm_tenant_hits_total",
            other => panic!("{other} means nothing"),
        };
        add(name.to_owned(), labels, sample.value);
    }
    numbers
}

fn options(names: &[&str], tokens: &[&str]) -> LimitadorOptions {
    let mut options = LimitadorOptions::default();
    options.tenants.names = names.iter().map(|name| (*name).to_owned()).collect();
    options.tokens = TokenNamespaces::Only(tokens.iter().map(|name| (*name).to_owned()).collect());
    options
}

#[test]
fn every_number_of_every_page_arrives() {
    let pages = page::pages(&page::testdata("limitador"));
    assert!(pages.len() >= 5, "{} pages", pages.len());
    for path in pages {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(&path).unwrap();
        let read = Page::read(&text);
        for names in [
            &[][..],
            &["user"],
            &["user", "api_key"],
            &["api_key"],
            &["model"],
        ] {
            let tokens = &["token-labs/gateway"];
            let mut translator = LimitadorTranslator::new(options(names, tokens));
            let mut out = Snapshot::new();
            translator
                .read_page(text.as_bytes(), Format::Text004)
                .unwrap();
            translator.finish(&Admin::default(), &mut out);
            let expected = expected(&read, names, tokens);
            page::compare(&format!("{name} {names:?}"), &expected, &page::held(&out));
            let tally = out.tally();
            assert_eq!(tally.samples, Some(read.samples.len() as u64), "{name}");
            assert_eq!(tally.unmapped_families, 0, "{name}");
            for reason in DropReason::ALL {
                assert_eq!(tally.dropped(reason), 0, "{name}: {reason:?}");
            }
            let mut families = translator.report().families.iter();
            assert!(families.all(|family| matches!(family.verdict, Verdict::Mapped(_))));
        }
    }
}

#[test]
fn the_order_of_a_page_does_not_matter() {
    let text = recorded("limitador", "limitador-2.4.0-dev-labels-t2-all.txt");
    let mut translator = LimitadorTranslator::new(options(&["user", "api_key"], &[]));
    page::order_does_not_matter(&text, |text, out| {
        translator.read_page(text, Format::Text004).unwrap();
        translator.finish(&Admin::default(), out);
    });
}

#[test]
fn namespaces_are_learnt_from_the_page_at_hand() {
    let mut translator = LimitadorTranslator::new(options(&[], &[]));
    let text = recorded("limitador", "limitador-2.4.0-dev-labels-t2-all.txt");
    translator
        .read_page(text.as_bytes(), Format::Text004)
        .unwrap();
    let learnt: Vec<_> = translator.namespaces().into_iter().collect();
    assert_eq!(
        learnt,
        ["acme", "http/demo", "no/limits", "token-labs/gateway"]
    );
    translator
        .read_page(b"limitador_up 1\n", Format::Text004)
        .unwrap();
    assert!(translator.namespaces().is_empty());
}
