//! What was encoded is what is read: random families, names, labels and values, bit for bit.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, its helpers too"
)]

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use tokenpath_core::exposition::{Encoder, Entry, Format, Options, Parser, Part, check};
use tokenpath_core::{Bucket, Desc, Histogram, LabelSet, MetricType, Snapshot, Unit};

/// Name with suffix, sorted labels with `le`, bits of the value.
type Series = (String, BTreeMap<String, String>);
type Read = BTreeMap<Series, u64>;

fn read(
    page: &[u8],
    format: Format,
) -> (Read, BTreeMap<String, MetricType>, BTreeMap<String, String>) {
    let (mut samples, mut types, mut helps) = (Read::new(), BTreeMap::new(), BTreeMap::new());
    for entry in Parser::new(page, Options::new(format)) {
        match entry.unwrap() {
            Entry::Sample(sample) => {
                let owned = |text: tokenpath_core::exposition::Text<'_>| text.to_str().into_owned();
                let labels = sample
                    .labels()
                    .map(|(name, value)| (owned(name), owned(value)));
                let series = (owned(sample.name()), labels.collect());
                let known = samples.insert(series, sample.value().to_bits());
                assert_eq!(known, None, "a series stands twice");
            }
            Entry::Type { name, kind } => {
                assert!(
                    types.insert(name.to_str().into_owned(), kind).is_none(),
                    "a family stands twice"
                );
            }
            Entry::Help { name, help } => {
                helps.insert(name.to_str().into_owned(), help.to_str().into_owned());
            }
            _ => {}
        }
    }
    (samples, types, helps)
}

#[derive(Clone, Debug)]
struct Family {
    kind: MetricType,
    help: String,
    series: BTreeMap<BTreeMap<String, String>, Vec<f64>>,
}

/// Any bits, with the whole numbers and the special ones often enough.
fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<u64>().prop_map(f64::from_bits),
        any::<i32>().prop_map(f64::from),
        (any::<u32>(), 0u8..20).prop_map(|(n, shift)| f64::from(n) * f64::from(1u32 << shift)),
        (any::<i32>(), 1u16..1000).prop_map(|(n, d)| f64::from(n) / f64::from(d)),
        prop_oneof![
            Just(0.0),
            Just(-0.0),
            Just(f64::INFINITY),
            Just(f64::MAX),
            Just(5e-324)
        ],
    ]
    .prop_filter("a snapshot has no NaN", |value| !value.is_nan())
}

fn family() -> impl Strategy<Value = Family> {
    let kind = prop_oneof![
        Just(MetricType::Counter),
        Just(MetricType::Gauge),
        Just(MetricType::Unknown),
        Just(MetricType::Histogram),
    ];
    let labels = proptest::collection::btree_map("[a-d_][a-z0-9_]{0,3}", any::<String>(), 0..4);
    let labels = labels.prop_filter("reserved names change", |labels| {
        labels
            .keys()
            .all(|name| !name.starts_with("__") && name != "le")
    });
    let series =
        proptest::collection::btree_map(labels, proptest::collection::vec(value(), 6), 1..5);
    (kind, any::<String>(), series).prop_map(|(kind, help, series)| Family { kind, help, series })
}

fn snapshot_of(families: &BTreeMap<String, Family>) -> (Snapshot, Read) {
    let mut snapshot = Snapshot::new();
    let mut want = Read::new();
    for (name, family) in families {
        let desc = Arc::new(Desc::owned(
            name.clone(),
            family.kind,
            Unit::None,
            family.help.clone(),
        ));
        let mut identities = std::collections::BTreeSet::new();
        for (labels, values) in &family.series {
            // Series that differ in empty labels only are one series to Prometheus.
            let identity: Vec<_> = labels
                .iter()
                .filter(|(_, value)| !value.is_empty())
                .collect();
            if !identities.insert(identity) {
                continue;
            }
            let borrowed: Vec<_> = labels
                .iter()
                .map(|(n, v)| (n.as_str(), v.as_str()))
                .collect();
            let mut expect = |suffix: &str, le: Option<&str>, value: f64| {
                let mut labels = labels.clone();
                labels.extend(le.map(|le| ("le".to_owned(), le.to_owned())));
                want.insert((format!("{name}{suffix}"), labels), value.to_bits());
            };
            if family.kind == MetricType::Histogram {
                let counts: Vec<f64> = values.iter().map(|value| value.abs()).collect();
                let edges = [-2.0, 0.25, 1.0, f64::INFINITY];
                let histogram = Histogram {
                    buckets: edges
                        .iter()
                        .zip(&counts)
                        .map(|(&le, &count)| Bucket { le, count })
                        .collect(),
                    sum: Some(values[4]),
                    count: Some(counts[5]),
                };
                snapshot.family(&desc).histogram(&borrowed, &histogram);
                for (le, count) in ["-2.0", "0.25", "1.0", "+Inf"].iter().zip(&counts) {
                    expect("_bucket", Some(le), *count);
                }
                expect("_sum", None, values[4]);
                expect("_count", None, counts[5]);
            } else {
                let value = if family.kind == MetricType::Counter {
                    values[0].abs()
                } else {
                    values[0]
                };
                snapshot.family(&desc).sample(&borrowed, value);
                expect("", None, value);
            }
        }
    }
    (snapshot, want)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn text_comes_back_as_it_was(
        families in proptest::collection::btree_map("[a-z]{2,8}", family(), 0..5),
    ) {
        let (snapshot, want) = snapshot_of(&families);
        let labels = LabelSet::default();
        let mut page = Vec::new();
        let mut encoder = Encoder::new(Format::Text004);
        for _ in 0..2 {
            encoder.encode(&[Part { snapshot: &snapshot, labels: &labels }], &mut page);
            let (samples, types, helps) = read(&page, Format::Text004);
            prop_assert_eq!(&samples, &want);
            prop_assert!(encoder.refused().is_none());
            for (name, family) in &families {
                prop_assert_eq!(types[name], family.kind);
                if !family.help.is_empty() {
                    prop_assert_eq!(&helps[name].trim_start(), &family.help.trim_start());
                }
            }
        }
    }

    #[test]
    fn openmetrics_has_the_same_values(
        families in proptest::collection::btree_map("[a-z]{2,8}", family(), 0..5),
    ) {
        let (snapshot, want) = snapshot_of(&families);
        let labels = LabelSet::default();
        let mut page = Vec::new();
        Encoder::new(Format::OpenMetrics100)
            .encode(&[Part { snapshot: &snapshot, labels: &labels }], &mut page);
        let (samples, _, _) = read(&page, Format::OpenMetrics100);
        // The edges go below zero, so sums may fall: OpenMetrics has none then, and no counts.
        let histogram = |name: &str| {
            let family = name.strip_suffix("_sum").or_else(|| name.strip_suffix("_count"));
            family.is_some_and(|family| families.contains_key(family))
        };
        let want: Read = want.into_iter().filter(|((name, _), _)| !histogram(name)).collect();
        prop_assert_eq!(samples, want);
    }

    #[test]
    fn any_names_give_a_page_that_parses_and_loses_no_series(
        names in proptest::collection::btree_set(any::<String>(), 1..4),
        labels in proptest::collection::vec((any::<String>(), any::<String>()), 0..5),
        constants in proptest::collection::vec((any::<String>(), any::<String>()), 0..5),
    ) {
        let mut snapshot = Snapshot::new();
        let borrowed: Vec<_> = labels.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        for name in &names {
            let desc = Arc::new(Desc::owned(name.clone(), MetricType::Gauge, Unit::None, String::new()));
            snapshot.family(&desc).sample(&borrowed, 1.5);
        }
        let constants = LabelSet::new(constants);
        for format in Format::ALL {
            let mut page = Vec::new();
            let mut encoder = Encoder::new(format);
            encoder.encode(&[Part { snapshot: &snapshot, labels: &constants }], &mut page);
            let (samples, _, _) = read(&page, format);
            prop_assert_eq!(check(&page, format), []);
            let refused = usize::try_from(encoder.refused().families).unwrap();
            prop_assert_eq!(samples.len() + refused, names.len());
            for (_, written) in samples.keys() {
                prop_assert_eq!(written.len(), labels.len() + constants.len());
            }
        }
    }
}
