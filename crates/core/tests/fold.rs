//! A fold against a naive one: whatever series there are and whatever labels they lose, counters add
//! up, nothing appears and nothing is lost, on the first reading and on all that follow.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use tokenpath_core::fold::{BoundedValues, Fold, FoldSeries};
use tokenpath_core::{Bucket, Desc, Histogram, MetricType, SeriesKind, Snapshot, Unit};

/// A series: tenant, zone, value.
type Row = (u8, u8, u32);

fn rows() -> impl Strategy<Value = Vec<Row>> {
    prop::collection::vec((0..12_u8, 0..3_u8, 0..1000_u32), 0..30)
}

fn write(rows: &[Row], counter: &Arc<Desc>, histogram: &Arc<Desc>, out: &mut Snapshot) {
    out.clear();
    for (tenant, zone, value) in rows {
        let (tenant, zone) = (format!("t{tenant}"), format!("z{zone}"));
        let labels = [("tenant", tenant.as_str()), ("zone", zone.as_str())];
        let value = f64::from(*value);
        out.family(counter).sample(&labels, value);
        // Edges differ from tenant to tenant: all have the last.
        let edges = [
            if tenant.len() > 2 { 3.0 } else { 2.0 },
            10.0,
            f64::INFINITY,
        ];
        let buckets = edges.map(|le| Bucket { le, count: value });
        let observed = Histogram {
            buckets: buckets.into(),
            sum: Some(value),
            count: Some(value),
        };
        out.family(histogram).histogram(&labels, &observed);
    }
}

/// What each tenant should come to, first row of an identity only, as a snapshot keeps it.
fn naive(rows: &[Row], kept: &BoundedValues) -> BTreeMap<String, f64> {
    let mut seen = BTreeMap::new();
    for (tenant, zone, value) in rows {
        seen.entry((*tenant, *zone))
            .or_insert_with(|| f64::from(*value));
    }
    let mut sums = BTreeMap::new();
    for ((tenant, _), value) in seen {
        let tenant = format!("t{tenant}");
        let name = if kept.keeps(&tenant) {
            tenant
        } else {
            "other".to_owned()
        };
        *sums.entry(name).or_insert(0.0) += value;
    }
    sums
}

fn sums(out: &Snapshot, family: &str) -> BTreeMap<String, f64> {
    let mut sums = BTreeMap::new();
    for series in out
        .shape()
        .family(family)
        .into_iter()
        .flat_map(|family| family.series())
    {
        let Some(value) = out.get(series.count_slot()) else {
            continue;
        };
        let name = series.label("tenant").unwrap_or_default().to_owned();
        assert_eq!(series.labels().len(), 1, "the zone is gone");
        if let SeriesKind::Histogram(edges) = series.kind() {
            assert_eq!(edges.last(), Some(&f64::INFINITY));
            assert_eq!(out.get(series.sum_slot()), Some(value));
            for index in 0..edges.len() {
                assert_eq!(out.get(series.edge_slot(index)), Some(value));
            }
        }
        assert_eq!(sums.insert(name, value), None, "each series once");
    }
    sums
}

fn relabel(series: &mut FoldSeries<'_>, kept: &BoundedValues) -> bool {
    series.labels.retain(|(name, _)| name == "tenant");
    for (_, value) in &mut series.labels {
        if !kept.keeps(value) {
            *value = "other".into();
        }
    }
    true
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn folds_as_a_naive_one(readings in prop::collection::vec(rows(), 1..6), limit in 0..14_usize) {
        let counter = Arc::new(Desc::new("c_total", MetricType::Counter, Unit::None, "help"));
        let histogram = Arc::new(Desc::new("h", MetricType::Histogram, Unit::None, "help"));
        let mut kept = BoundedValues::new(limit);
        let (mut fold, mut page, mut out) = (Fold::new(), Snapshot::new(), Snapshot::new());
        for rows in &readings {
            write(rows, &counter, &histogram, &mut page);
            // Twice: planned and remembered.
            for _ in 0..2 {
                if !fold.knows(&[&page]) {
                    let shape = Arc::clone(page.shape());
                    let series = shape.families().flat_map(|family| family.series());
                    let weighed = series.filter_map(|series| Some((series.label("tenant")?, 1.0)));
                    kept.admit(weighed);
                    prop_assert!(kept.kept() <= limit);
                }
                fold.run(&[&page], &mut out, |series| relabel(series, &kept));
                let expected = naive(rows, &kept);
                prop_assert_eq!(&sums(&out, "c_total"), &expected);
                prop_assert_eq!(&sums(&out, "h"), &expected);
            }
        }
    }
}
