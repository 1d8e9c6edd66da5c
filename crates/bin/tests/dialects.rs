//! The dialects beside all backends: every row speaks about a family that there is, what comes from
//! an engine goes back under the engine's own names, and a real server rolls up.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, its helpers too"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use tokenpath_core::catalogue::{Catalogue, Output};
use tokenpath_core::dialect::{Dialect, Spoken};
use tokenpath_core::exposition::{Encoder, Entry, Format, Options, Parser, Part, Text};
use tokenpath_core::rollup::{RollUp, Rollup};
use tokenpath_core::translate::{TranslateOptions, Translator};
use tokenpath_core::{Desc, LabelSet, MetricType, Snapshot, tokenpath};

fn families() -> Vec<Arc<Desc>> {
    let all = [
        tokenpath::families(),
        tokenpath_vllm::families::families(),
        tokenpath_tgi::families::families(),
        tokenpath_limitador::families::families(),
        tokenpath_gateway::families::families(),
        tokenpath_gpu::families::families(),
    ];
    let mut known = BTreeMap::new();
    for desc in all.concat() {
        known.entry(desc.name().to_owned()).or_insert(desc);
    }
    known.into_values().collect()
}

fn testdata(file: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../testdata")
        .join(file);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn owned(text: Text<'_>) -> String {
    text.to_str().into_owned()
}

#[test]
fn every_row_speaks_about_families_that_there_are() {
    let families = families();
    let names: BTreeSet<&str> = families.iter().map(|desc| desc.name()).collect();
    for dialect in Dialect::builtins() {
        for row in dialect.rows() {
            for quantity in row.quantities() {
                let both = [Some(quantity.first()), quantity.second()];
                for family in both.into_iter().flatten() {
                    assert!(names.contains(family), "{}: {family}", dialect.name());
                }
            }
        }
        if let Err(error) = Spoken::new([&dialect], &families) {
            panic!("{error}");
        }
    }
    let all: Vec<Dialect> = Dialect::builtins().collect();
    if let Err(error) = Spoken::new(&all, &families) {
        panic!("{error}");
    }
}

#[test]
fn labels_that_rows_look_at_are_labels_of_their_families() {
    // Those that a source has, or the operator sets.
    const OF_SOURCES: [&str; 4] = ["backend", "target", "node", "worker_id"];
    let families = families();
    let labels_of = |name: &str| {
        let desc = families.iter().find(|desc| desc.name() == name).unwrap();
        desc.label_names()
    };
    for dialect in Dialect::builtins() {
        for row in dialect.rows() {
            let known = |label: &str| {
                let has = |quantity: &tokenpath_core::dialect::Quantity| {
                    labels_of(quantity.first()).contains(&label)
                };
                OF_SOURCES.contains(&label) || row.quantities().any(has)
            };
            for matcher in row.matchers() {
                assert!(known(matcher.label()), "{}: {matcher}", row.name());
            }
        }
    }
}

/// The pages that the dialects are shown on have families that there are, as they are.
#[test]
fn the_pages_of_the_model_are_of_the_model() {
    let families = families();
    for page in ["vllm", "vllm-0.8", "tgi", "gpu", "limitador", "gateway"] {
        let bytes = testdata(&format!("dialects/model/{page}.txt"));
        for entry in Parser::new(&bytes, Options::new(Format::Text004)) {
            if let Entry::Type { name, kind } = entry.unwrap() {
                let name = owned(name);
                let desc = families.iter().find(|desc| desc.name() == name);
                let desc = desc.unwrap_or_else(|| panic!("{page}: {name}"));
                let written = match desc.kind() {
                    MetricType::Info => MetricType::Gauge,
                    kind => kind,
                };
                assert_eq!(kind, written, "{page}: {name}");
            }
        }
    }
}

/// What a roll-up weighs with exists, and ratios are never added up.
#[test]
fn roll_up_rules_make_sense() {
    let families = families();
    for desc in &families {
        match desc.rollup_rule() {
            // A histogram counts how often each ratio was seen; that adds up.
            Rollup::Sum => assert!(
                desc.kind() == MetricType::Histogram || !desc.name().ends_with("_ratio"),
                "{}",
                desc.name()
            ),
            Rollup::MeanWeightedBy(weight) => {
                let there = families.iter().any(|family| family.name() == weight);
                assert!(there, "{}: {weight}", desc.name());
            }
            _ => {}
        }
    }
}

/// Which names of vLLM's catalogue a dialect must have: those of these lines.
fn upstream(catalogue: &Catalogue, wanted: impl Fn(&str, bool) -> bool) -> BTreeSet<String> {
    let rows = catalogue.rows.iter().filter(|row| {
        let is_wanted = |release: &tokenpath_core::catalogue::Releases| {
            wanted(&release.line, release.until.is_none())
        };
        row.releases.iter().any(is_wanted) && !matches!(row.output, Output::Drop(_))
    });
    rows.map(|row| format!("vllm:{}", row.upstream)).collect()
}

fn lacks(dialects: &[Dialect], names: BTreeSet<String>) -> Vec<String> {
    let has = |name: &String| {
        dialects.iter().any(|dialect| {
            dialect.rows().iter().any(|row| row.name() == name)
                || dialect.missing().iter().any(|missing| missing.covers(name))
        })
    };
    names.into_iter().filter(|name| !has(name)).collect()
}

#[test]
fn every_name_of_vllm_is_given_or_said_to_be_missing() {
    let compiled = tokenpath_vllm::compiled();
    let catalogue = compiled.catalogue();
    let vllm = Dialect::builtin("vllm").unwrap();
    let v0 = Dialect::builtin("vllm-v0").unwrap();
    let today = upstream(catalogue, |line, is_there| line == "V1" && is_there);
    assert!(today.len() > 60);
    assert_eq!(lacks(std::slice::from_ref(&vllm), today), [""; 0]);
    let v0_names = upstream(catalogue, |line, _| line == "V0");
    assert!(v0_names.len() > 30);
    assert_eq!(lacks(std::slice::from_ref(&v0), v0_names), [""; 0]);
    let gone = upstream(catalogue, |line, is_there| line == "V1" && !is_there);
    assert_eq!(lacks(&[vllm, v0], gone), [""; 0]);
}

type Samples = BTreeMap<(String, BTreeMap<String, String>), f64>;

/// The samples of those families, by name and labels.
fn samples(page: &[u8], families: &BTreeSet<&str>) -> Samples {
    let mut family = String::new();
    let mut samples = Samples::new();
    for entry in Parser::new(page, Options::new(Format::Text004)) {
        match entry.unwrap() {
            Entry::Type { name, .. } => family = owned(name),
            Entry::Sample(sample) if families.contains(family.as_str()) => {
                let mut labels: BTreeMap<String, String> = sample
                    .labels()
                    .map(|(name, value)| (owned(name), owned(value)))
                    .collect();
                if let Some(le) = labels.get_mut("le") {
                    *le = le.parse::<f64>().unwrap().to_string();
                }
                samples.insert((owned(sample.name()), labels), sample.value());
            }
            _ => {}
        }
    }
    samples
}

/// The page of a server, through the model and back.
fn there_and_back(file: &str, dialect: &str) -> (Samples, Samples) {
    let page = testdata(file);
    let mut translator = Translator::new(tokenpath_vllm::compiled(), TranslateOptions::default());
    let mut snapshot = Snapshot::new();
    translator
        .translate(&page, Format::Text004, &mut snapshot)
        .unwrap();
    let dialect = Dialect::builtin(dialect).unwrap();
    let spoken = Spoken::new([&dialect], &families()).unwrap();
    let mut encoder = Encoder::with_dialects(Format::Text004, spoken);
    let mut ours = Vec::new();
    let labels = LabelSet::default();
    let part = Part {
        snapshot: &snapshot,
        labels: &labels,
    };
    encoder.encode(&[part], &mut ours);
    assert!(encoder.refused().is_none());
    let names: BTreeSet<&str> = dialect.rows().iter().map(|row| row.name()).collect();
    (samples(&page, &names), samples(&ours, &names))
}

fn assert_same(theirs: &Samples, ours: &Samples, file: &str) {
    assert!(theirs.len() > 200, "{file}");
    for (series, value) in theirs {
        let back = ours.get(series);
        let back = back.unwrap_or_else(|| panic!("{file}: {series:?} did not come back"));
        let difference = (back - value).abs();
        assert!(
            difference <= value.abs() * 1e-12,
            "{file}: {series:?} {value} {back}"
        );
    }
}

#[test]
fn a_page_of_vllm_comes_back_under_its_own_names() {
    for file in ["vllm/vllm-0.33.0-V1.txt", "vllm/vllm-0.32.0-t1-load.txt"] {
        let (theirs, ours) = there_and_back(file, "vllm");
        assert_same(&theirs, &ours, file);
        assert_same(&ours, &theirs, file);
    }
}

#[test]
fn a_page_of_the_first_engine_comes_back_under_its_own_names() {
    for file in [
        "vllm/vllm-0.6.6-V0.txt",
        "vllm/vllm-0.8.5-t1-load.txt",
        "vllm/vllm-0.10.2-V1.txt",
    ] {
        let (mut theirs, ours) = there_and_back(file, "vllm-v0");
        // -1 says that there is no prefix cache: absent in the model.
        theirs.retain(|(name, _), value| !(name.ends_with("_hit_rate") && *value < 0.0));
        assert_same(&theirs, &ours, file);
    }
}

#[test]
fn a_real_server_of_two_engines_rolls_up() {
    let page = testdata("vllm/vllm-0.32.0-dp2-t1-load.txt");
    let mut translator = Translator::new(tokenpath_vllm::compiled(), TranslateOptions::default());
    let mut snapshot = Snapshot::new();
    translator
        .translate(&page, Format::Text004, &mut snapshot)
        .unwrap();
    let labels = LabelSet::new([("backend", "vllm"), ("target", "a:8000")]);
    let mut out = Snapshot::new();
    let mut engines = RollUp::over(["engine"]);
    let part = Part {
        snapshot: &snapshot,
        labels: &labels,
    };
    engines.run(&[part], &mut out);
    let model = {
        let series = snapshot.shape().family("llm_requests_running").unwrap();
        let series = series.series().next().unwrap();
        series.label("model_name").unwrap().to_owned()
    };
    let kept = [
        ("backend", "vllm"),
        ("model_name", model.as_str()),
        ("target", "a:8000"),
    ];
    let of = |family: &str, engine: &str| {
        snapshot.value(family, &[("engine", engine), ("model_name", &model)])
    };
    for family in ["llm_requests_running", "llm_generation_tokens_total"] {
        let sum = of(family, "0").unwrap() + of(family, "1").unwrap();
        assert_eq!(out.value(family, &kept), Some(sum), "{family}");
    }
    let usage = out.value("llm_kv_cache_usage_ratio", &kept);
    let usage = usage.expect("the engines say how many blocks they have");
    let (first, second) = (
        of("llm_kv_cache_usage_ratio", "0").unwrap(),
        of("llm_kv_cache_usage_ratio", "1").unwrap(),
    );
    assert!((first.min(second)..=first.max(second)).contains(&usage));
    for family in out.shape().families() {
        for series in family.series() {
            assert_eq!(series.label("engine"), None, "{}", family.desc().name());
        }
    }
    let left_out: Vec<&str> = engines.left_out().collect();
    assert!(left_out.contains(&"llm_kv_cache_info"), "{left_out:?}");
    assert!(!left_out.contains(&"llm_kv_cache_usage_ratio"));
}
