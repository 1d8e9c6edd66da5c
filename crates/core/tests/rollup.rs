//! Roll-ups: what is combined, what is not, and that a sum of counters never lies.

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;
use tokenpath_core::exposition::Part;
use tokenpath_core::rollup::{RollUp, Rollup};
use tokenpath_core::{
    Bucket, Desc, Histogram, LabelSet, MetricType, QuantileValue, Selection, Snapshot, Summary,
    Unit,
};

fn desc(name: &'static str, kind: MetricType) -> Desc {
    Desc::new(name, kind, Unit::None, "Help.")
}

fn gauge(name: &'static str, rule: Rollup) -> Arc<Desc> {
    Arc::new(desc(name, MetricType::Gauge).rollup(rule))
}

fn counter(name: &'static str) -> Arc<Desc> {
    Arc::new(desc(name, MetricType::Counter))
}

fn target(name: &str) -> LabelSet {
    LabelSet::new([("target", name)])
}

/// Some parts as one snapshot.
fn run(roll_up: &mut RollUp, parts: &[(&Snapshot, &LabelSet)]) -> Snapshot {
    let parts: Vec<Part<'_>> = parts
        .iter()
        .map(|(snapshot, labels)| Part { snapshot, labels })
        .collect();
    let mut out = Snapshot::new();
    roll_up.run(&parts, &mut out);
    out
}

/// All plain values, as text.
fn values(snapshot: &Snapshot) -> Vec<String> {
    let mut lines = Vec::new();
    for family in snapshot.shape().families() {
        for series in family.series() {
            if let Some(value) = snapshot.get(series.slot()) {
                let labels: Vec<String> =
                    series.labels().map(|(n, v)| format!("{n}={v}")).collect();
                lines.push(format!(
                    "{}{{{}}} {value}",
                    family.desc().name(),
                    labels.join(",")
                ));
            }
        }
    }
    lines.sort();
    lines
}

fn histogram(buckets: &[(f64, f64)], sum: f64) -> Histogram {
    Histogram {
        buckets: buckets
            .iter()
            .map(|(le, count)| Bucket {
                le: *le,
                count: *count,
            })
            .collect(),
        sum: Some(sum),
        count: buckets.last().map(|(_, count)| *count),
    }
}

const INF: f64 = f64::INFINITY;

#[test]
fn each_rule_combines_as_it_says_and_nothing_else_is_combined() {
    let running = gauge("running", Rollup::Sum);
    let asleep = gauge("asleep", Rollup::Max);
    let usage = gauge("usage_ratio", Rollup::MeanWeightedBy("blocks"));
    let blocks = gauge("blocks", Rollup::Sum);
    let temperature = gauge("temperature", Rollup::None);
    let frontend = gauge("frontend", Rollup::None);
    let mut page = Snapshot::new();
    for (engine, value) in [("0", 1.0), ("1", 3.0)] {
        let labels = [("engine", engine), ("model_name", "m")];
        page.family(&running).sample(&labels, value);
        page.family(&asleep).sample(&labels, value);
        page.family(&usage).sample(&labels, value / 10.0);
        // As engines say it: the weight knows no model.
        page.family(&blocks)
            .sample(&[("engine", engine)], value * 100.0);
        page.family(&temperature).sample(&labels, value);
    }
    page.family(&frontend).sample(&[("model_name", "m")], 5.0);
    let mut engines = RollUp::over(["engine"]);
    let out = run(&mut engines, &[(&page, &target("a"))]);
    assert_eq!(
        values(&out),
        [
            "asleep{model_name=m,target=a} 3",
            "blocks{target=a} 400",
            "frontend{model_name=m,target=a} 5",
            "running{model_name=m,target=a} 4",
            "usage_ratio{model_name=m,target=a} 0.25",
        ]
    );
    assert_eq!(engines.left_out().collect::<Vec<_>>(), ["temperature"]);
}

#[test]
fn a_missing_weight_makes_the_mean_absent() {
    let usage = gauge("usage_ratio", Rollup::MeanWeightedBy("blocks"));
    let blocks = gauge("blocks", Rollup::Sum);
    let mean = |usages: &[(&str, f64)], weights: &[(&str, f64)]| {
        let mut page = Snapshot::new();
        for (engine, value) in usages {
            page.family(&usage).sample(&[("engine", engine)], *value);
        }
        for (engine, value) in weights {
            page.family(&blocks).sample(&[("engine", engine)], *value);
        }
        run(
            &mut RollUp::over(["engine"]),
            &[(&page, &LabelSet::default())],
        )
        .value("usage_ratio", &[])
    };
    let usages = [("0", 0.5), ("1", 1.0)];
    assert_eq!(mean(&usages, &[("0", 3.0), ("1", 1.0)]), Some(0.625));
    assert_eq!(mean(&usages, &[("0", 3.0)]), None);
    assert_eq!(mean(&usages, &[]), None);
    assert_eq!(mean(&usages, &[("0", 0.0), ("1", 0.0)]), None);
    // A value that is not there needs no weight.
    assert_eq!(mean(&usages[..1], &[("0", 3.0)]), Some(0.5));
}

#[test]
fn a_weight_of_another_source_is_none() {
    let usage = gauge("usage_ratio", Rollup::MeanWeightedBy("blocks"));
    let blocks = gauge("blocks", Rollup::Sum);
    let (mut one, mut two) = (Snapshot::new(), Snapshot::new());
    one.family(&usage).sample(&[("engine", "0")], 0.5);
    two.family(&blocks).sample(&[("engine", "0")], 8.0);
    let nothing = LabelSet::default();
    let out = run(
        &mut RollUp::over(["engine"]),
        &[(&one, &nothing), (&two, &nothing)],
    );
    assert_eq!(values(&out), ["blocks{} 8"]);
}

#[test]
fn replicas_lose_the_labels_of_their_sources() {
    let tokens = counter("tokens_total");
    let running = gauge("running", Rollup::Sum);
    let (mut a, mut b) = (Snapshot::new(), Snapshot::new());
    for (page, value) in [(&mut a, 1.0), (&mut b, 10.0)] {
        for engine in ["0", "1"] {
            page.family(&tokens)
                .sample(&[("engine", engine), ("model_name", "m")], value);
        }
        page.family(&running)
            .sample(&[("target", "upstream's own")], value);
    }
    let labels =
        |target, pod| LabelSet::new([("backend", "vllm"), ("target", target), ("pod", pod)]);
    let out = run(
        &mut RollUp::over(["engine", "target", "pod"]),
        &[(&a, &labels("a:8000", "a")), (&b, &labels("b:8000", "b"))],
    );
    assert_eq!(
        values(&out),
        [
            "running{backend=vllm,exported_target=upstream's own} 11",
            "tokens_total{backend=vllm,model_name=m} 22",
        ]
    );
}

#[test]
fn equal_series_that_lose_nothing_are_not_added_up() {
    let running = gauge("running", Rollup::Sum);
    let (mut one, mut two) = (Snapshot::new(), Snapshot::new());
    two.family(&running).sample(&[("model_name", "m")], 2.0);
    one.family(&running).sample(&[("model_name", "m")], 1.0);
    let labels = target("twice");
    let mut roll_up = RollUp::over(["engine"]);
    let both = [(&one, &labels), (&two, &labels)];
    assert_eq!(
        values(&run(&mut roll_up, &both)),
        ["running{model_name=m,target=twice} 1"]
    );
    let mut without = one.clone();
    without.clear();
    let both = [(&without, &labels), (&two, &labels)];
    assert_eq!(
        values(&run(&mut roll_up, &both)),
        ["running{model_name=m,target=twice} 2"]
    );
}

/// A fleet of counters behind one sum.
struct Fleet {
    tokens: Arc<Desc>,
    roll_up: RollUp,
}

impl Fleet {
    fn new() -> Self {
        Self {
            tokens: counter("tokens_total"),
            roll_up: RollUp::over(["target"]),
        }
    }

    /// What the sum is when these targets say so.
    fn sum(&mut self, said: &[(&str, f64)]) -> Option<f64> {
        let pages: Vec<(Snapshot, LabelSet)> = said
            .iter()
            .map(|(name, value)| {
                let mut page = Snapshot::new();
                page.family(&self.tokens).sample(&[], *value);
                (page, target(name))
            })
            .collect();
        let parts: Vec<_> = pages.iter().map(|(page, labels)| (page, labels)).collect();
        run(&mut self.roll_up, &parts).value("tokens_total", &[])
    }
}

#[test]
fn a_counter_keeps_what_a_part_that_is_gone_had_counted() {
    let mut fleet = Fleet::new();
    assert_eq!(fleet.sum(&[("a", 100.0), ("b", 50.0)]), Some(150.0));
    assert_eq!(fleet.sum(&[("a", 110.0)]), Some(160.0));
    // It comes back and goes on.
    assert_eq!(fleet.sum(&[("a", 110.0), ("b", 55.0)]), Some(165.0));
    // It comes back after a restart.
    assert_eq!(fleet.sum(&[("a", 110.0)]), Some(165.0));
    assert_eq!(fleet.sum(&[("a", 110.0), ("b", 2.0)]), Some(167.0));
    // Nobody says anything: absent, and not forgotten.
    assert_eq!(fleet.sum(&[]), None);
    assert_eq!(fleet.sum(&[("b", 3.0)]), Some(168.0));
}

#[test]
fn a_part_that_joins_late_counts_from_then_on() {
    let mut fleet = Fleet::new();
    assert_eq!(fleet.sum(&[("a", 100.0)]), Some(100.0));
    assert_eq!(fleet.sum(&[("a", 101.0), ("b", 5000.0)]), Some(101.0));
    assert_eq!(fleet.sum(&[("a", 101.0), ("b", 5007.0)]), Some(108.0));
    assert_eq!(fleet.sum(&[("a", 101.0), ("b", 3.0)]), Some(111.0));
}

#[test]
fn parts_that_are_gone_for_good_do_not_pile_up() {
    let mut fleet = Fleet::new();
    let mut want = 0.0;
    for round in 0..600 {
        let (first, second) = (format!("pod-{round}"), format!("pod-{}", round + 1));
        let sum = fleet.sum(&[(&first, 7.0), (&second, 4.0)]);
        // Each pod but the first joins late at 4, and counts 3 more before it goes.
        want = if round == 0 { 11.0 } else { want + 3.0 };
        assert_eq!(sum, Some(want), "round {round}");
    }
    assert!(format!("{:?}", fleet.roll_up).matches("Member {").count() < 300);
}

/// The sum of these targets' histograms.
fn waits(roll_up: &mut RollUp, said: &[(&str, &Histogram)]) -> Option<Histogram> {
    let wait = Arc::new(desc("wait_seconds", MetricType::Histogram));
    let pages: Vec<(Snapshot, LabelSet)> = said
        .iter()
        .map(|(name, histogram)| {
            let mut page = Snapshot::new();
            page.family(&wait).histogram(&[], histogram);
            (page, target(name))
        })
        .collect();
    let parts: Vec<_> = pages.iter().map(|(page, labels)| (page, labels)).collect();
    run(roll_up, &parts).histogram("wait_seconds", &[])
}

#[test]
fn histograms_add_up_on_the_edges_that_all_have_and_restart_as_a_whole() {
    let a = histogram(&[(0.5, 1.0), (1.0, 2.0), (2.0, 4.0), (INF, 5.0)], 9.0);
    let b = histogram(&[(1.0, 10.0), (2.0, 20.0), (5.0, 30.0), (INF, 40.0)], 70.0);
    let mut roll_up = RollUp::over(["target"]);
    let both = histogram(&[(1.0, 12.0), (2.0, 24.0), (INF, 45.0)], 79.0);
    assert_eq!(
        waits(&mut roll_up, &[("a", &a), ("b", &b)]),
        Some(both.clone())
    );
    // One is gone: its counts stay, and so does its say in the edges.
    assert_eq!(waits(&mut roll_up, &[("a", &a)]), Some(both));
    // It begins again, and one bucket is already higher than before: no bucket may fall below the
    // one before it.
    let again = histogram(&[(1.0, 11.0), (2.0, 12.0), (5.0, 13.0), (INF, 14.0)], 3.0);
    let together = histogram(&[(1.0, 23.0), (2.0, 36.0), (INF, 59.0)], 82.0);
    assert_eq!(
        waits(&mut roll_up, &[("a", &a), ("b", &again)]),
        Some(together)
    );
}

#[test]
fn a_histogram_with_other_edges_joins_on_those_that_both_have() {
    let before = histogram(&[(0.5, 1.0), (1.0, 2.0), (INF, 5.0)], 9.0);
    let mut roll_up = RollUp::over(["target"]);
    assert_eq!(waits(&mut roll_up, &[("a", &before)]), Some(before.clone()));
    // The same target after an upgrade: what it counted before stays, on the edge 1.
    let after = histogram(&[(1.0, 1.0), (4.0, 2.0), (INF, 2.0)], 3.0);
    let sum = waits(&mut roll_up, &[("a", &after)]);
    assert_eq!(sum, Some(histogram(&[(1.0, 2.0), (INF, 5.0)], 9.0)));
    let later = histogram(&[(1.0, 2.0), (4.0, 4.0), (INF, 5.0)], 8.0);
    let sum = waits(&mut roll_up, &[("a", &later)]);
    assert_eq!(sum, Some(histogram(&[(1.0, 3.0), (INF, 8.0)], 14.0)));
}

#[test]
fn of_summaries_only_sum_and_count_add_up() {
    let rpc = Arc::new(desc("rpc_seconds", MetricType::Summary).rollup(Rollup::Sum));
    let mut page = Snapshot::new();
    for (engine, median) in [("0", 5.0), ("1", 1.0)] {
        page.family(&rpc).summary(
            &[("engine", engine)],
            &Summary {
                quantiles: vec![QuantileValue {
                    quantile: 0.5,
                    value: median,
                }],
                sum: Some(10.0),
                count: Some(4.0),
            },
        );
    }
    let nothing = LabelSet::default();
    let mut roll_up = RollUp::over(["engine"]);
    for _ in 0..2 {
        let out = run(&mut roll_up, &[(&page, &nothing)]);
        let series = out
            .shape()
            .family("rpc_seconds")
            .unwrap()
            .series()
            .next()
            .unwrap();
        assert_eq!(series.slots(), 2);
        assert_eq!(out.get(series.sum_slot()), Some(20.0));
        assert_eq!(out.get(series.count_slot()), Some(8.0));
    }
}

#[test]
fn a_family_of_another_type_elsewhere_is_not_added() {
    let plain = counter("x_total");
    let wrong = Arc::new(desc("x_total", MetricType::Histogram));
    let (mut one, mut two) = (Snapshot::new(), Snapshot::new());
    one.family(&plain).sample(&[], 3.0);
    two.family(&wrong)
        .histogram(&[], &histogram(&[(INF, 2.0)], 1.0));
    let out = run(
        &mut RollUp::over(["target"]),
        &[(&one, &target("a")), (&two, &target("b"))],
    );
    assert_eq!(values(&out), ["x_total{} 3"]);
}

/// A histogram of whole counts on some of the edges 1 to 8, and `+Inf`.
fn any_histogram() -> impl Strategy<Value = Histogram> {
    let steps = prop::collection::vec(0_u32..100, 9);
    (
        prop::collection::btree_set(1_u32..9, 0..9),
        steps,
        0_u32..1000,
    )
        .prop_map(|(edges, steps, sum)| {
            let mut count = 0.0;
            let mut buckets = Vec::new();
            let all = edges.into_iter().map(f64::from).chain([INF]);
            for (le, step) in all.zip(steps) {
                count += f64::from(step);
                buckets.push((le, count));
            }
            histogram(&buckets, f64::from(sum))
        })
}

/// What happens to one target between two readings.
#[derive(Clone, Copy, Debug)]
enum Event {
    Counts(u32),
    Restarts(u32),
    IsAway,
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (0_u32..50).prop_map(Event::Counts),
        1 => (0_u32..50).prop_map(Event::Restarts),
        2 => Just(Event::IsAway),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_sum_is_the_sum_of_its_parts(
        values in prop::collection::vec(prop::option::of(0_u32..1_000_000), 1..12),
    ) {
        let tokens = counter("tokens_total");
        let running = gauge("running", Rollup::Sum);
        let peak = gauge("peak", Rollup::Max);
        let mut page = Snapshot::new();
        for (engine, value) in values.iter().enumerate() {
            if let Some(value) = value {
                let engine = engine.to_string();
                for family in [&tokens, &running, &peak] {
                    page.family(family).sample(&[("engine", &engine)], f64::from(*value));
                }
            }
        }
        let out = run(&mut RollUp::over(["engine"]), &[(&page, &LabelSet::default())]);
        let there = || values.iter().flatten().copied().map(f64::from);
        let sum = there().next().map(|_| there().sum::<f64>());
        prop_assert_eq!(out.value("tokens_total", &[]), sum);
        prop_assert_eq!(out.value("running", &[]), sum);
        prop_assert_eq!(out.value("peak", &[]), there().reduce(f64::max));
    }

    #[test]
    fn the_intersection_of_edges_loses_nothing(
        parts in prop::collection::vec(any_histogram(), 1..6),
    ) {
        let wait = Arc::new(desc("wait_seconds", MetricType::Histogram));
        let mut page = Snapshot::new();
        for (engine, histogram) in parts.iter().enumerate() {
            page.family(&wait).histogram(&[("engine", &engine.to_string())], histogram);
        }
        let out = run(&mut RollUp::over(["engine"]), &[(&page, &LabelSet::default())]);
        let out = out.histogram("wait_seconds", &[]).unwrap();
        let edges = |histogram: &Histogram| -> BTreeSet<u64> {
            histogram.buckets.iter().map(|bucket| bucket.le.to_bits()).collect()
        };
        let common = parts.iter().map(edges).reduce(|a, b| &a & &b).unwrap();
        prop_assert_eq!(edges(&out), common);
        let count_at = |histogram: &Histogram, le: f64| {
            let same = |bucket: &&Bucket| bucket.le.to_bits() == le.to_bits();
            histogram.buckets.iter().find(same).unwrap().count
        };
        for bucket in &out.buckets {
            let sum: f64 = parts.iter().map(|part| count_at(part, bucket.le)).sum();
            prop_assert_eq!(bucket.count.to_bits(), sum.to_bits());
        }
        let total = |of: fn(&Histogram) -> Option<f64>| parts.iter().filter_map(of).sum::<f64>();
        prop_assert_eq!(out.sum, Some(total(|part| part.sum)));
        prop_assert_eq!(out.count, Some(total(|part| part.count)));
    }

    #[test]
    fn a_sum_of_counters_rises_by_what_was_counted(
        rounds in prop::collection::vec(prop::collection::vec(any_event(), 3), 1..20),
    ) {
        let mut fleet = Fleet::new();
        let mut now = [0.0; 3];
        let mut read: [Option<f64>; 3] = [None; 3];
        let mut want: Option<f64> = None;
        for events in rounds {
            let mut said = Vec::new();
            let mut rise = 0.0;
            for (index, event) in events.iter().enumerate() {
                match event {
                    Event::Counts(step) => now[index] += f64::from(*step),
                    // A life that had counted less than before can be told from the one before it.
                    Event::Restarts(step) if f64::from(*step) < now[index] => {
                        now[index] = f64::from(*step);
                    }
                    Event::Restarts(_) => {}
                    Event::IsAway => continue,
                }
                rise += match read[index] {
                    None if want.is_none() => now[index],
                    None => 0.0,
                    Some(before) if now[index] < before => now[index],
                    Some(before) => now[index] - before,
                };
                read[index] = Some(now[index]);
                said.push((["a", "b", "c"][index], now[index]));
            }
            let sum = fleet.sum(&said);
            if said.is_empty() {
                prop_assert_eq!(sum, None);
            } else {
                want = Some(want.unwrap_or(0.0) + rise);
                prop_assert_eq!(sum, want);
            }
        }
    }
}

#[test]
fn only_what_is_meant_and_combined_goes_out_beside_its_parts() {
    let running = gauge("running", Rollup::Sum);
    let waiting = gauge("waiting", Rollup::Sum);
    let heat = gauge("heat", Rollup::None);
    let mut page = Snapshot::new();
    for engine in ["0", "1"] {
        let labels = [("engine", engine)];
        page.family(&running).sample(&labels, 1.0);
        page.family(&waiting).sample(&labels, 2.0);
        page.family(&heat).sample(&labels, 60.0);
    }
    // The server says this sum itself.
    page.family(&waiting).sample(&[], 5.0);
    page.family(&running).sample(&[("model_name", "m")], 7.0);
    let all = || RollUp::over(["engine"]).only_combined();
    let (target, mut out) = (target("a"), run(&mut all(), &[]));
    assert_eq!(values(&out), [""; 0]);
    out = run(&mut all(), &[(&page, &target)]);
    assert_eq!(values(&out), ["running{target=a} 2"]);

    let named = Selection::new(["waiting", "heat"], [""; 0]);
    let mut some = RollUp::over(["engine"]).families(named).only_combined();
    out = run(&mut some, &[(&page, &target)]);
    assert_eq!(values(&out), [""; 0]);
    assert_eq!(some.left_out().collect::<Vec<_>>(), ["heat", "waiting"]);
    let combines = |desc: &Arc<Desc>, labels: &[(&'static str, &'static str)]| {
        some.combines(&target, desc, labels.iter().copied())
    };
    assert!(combines(&waiting, &[("engine", "0")]));
    assert!(!combines(&waiting, &[("engine", "")]), "no label");
    assert!(!combines(&waiting, &[]));
    assert!(!combines(&running, &[("engine", "0")]), "not meant");
    assert!(!combines(&heat, &[("engine", "0")]), "no rule");

    // Beside what is combined, all else goes out as it is.
    let named = Selection::new(["running"], [""; 0]);
    out = run(
        &mut RollUp::over(["engine"]).families(named),
        &[(&page, &target)],
    );
    assert_eq!(
        values(&out),
        [
            "heat{engine=0,target=a} 60",
            "heat{engine=1,target=a} 60",
            "running{model_name=m,target=a} 7",
            "running{target=a} 2",
            "waiting{engine=0,target=a} 2",
            "waiting{engine=1,target=a} 2",
            "waiting{target=a} 5",
        ]
    );
}
