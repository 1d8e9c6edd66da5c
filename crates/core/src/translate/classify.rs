//! Which family a sample belongs to, and which part of it the sample is.
//!
//! The page's own `# TYPE` decides, not the suffix: there are histograms called `…_total` and
//! counters called `…_count`.

use std::collections::HashMap;

use crate::MetricType;
use crate::catalogue::Compiled;

/// Which part of its family a sample is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// The value of a counter, gauge or unknown.
    Value,
    /// A cumulative bucket, labelled `le`.
    Bucket,
    /// A value at a quantile, labelled `quantile`.
    Quantile,
    /// The sum.
    Sum,
    /// The count.
    Count,
    /// The time a series was made: never data.
    Created,
}

/// The family of a sample, by the name without the engine's prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Class<'n> {
    pub(super) family: &'n str,
    pub(super) kind: MetricType,
    pub(super) part: Part,
}

/// Classifies a sample by its name without prefix.
pub(super) fn classify<'n>(
    name: &'n str,
    has_quantile: bool,
    types: &HashMap<Box<str>, MetricType>,
    catalogue: &Compiled,
) -> Class<'n> {
    let class = |family, kind, part| Class { family, kind, part };
    if let Some(&kind) = types.get(name) {
        let part = match kind {
            MetricType::Summary if has_quantile => Part::Quantile,
            MetricType::Gauge if is_creation_time(name, types) => Part::Created,
            _ => Part::Value,
        };
        return class(name, kind, part);
    }
    // OpenMetrics names the family in the metadata and adds a suffix to the sample.
    for (suffix, part) in PARTS {
        let Some(family) = name.strip_suffix(suffix) else {
            continue;
        };
        match (types.get(family), part) {
            (Some(kind @ (MetricType::Histogram | MetricType::GaugeHistogram)), _) => {
                return class(family, *kind, part);
            }
            (Some(MetricType::Summary), Part::Sum | Part::Count) => {
                return class(family, MetricType::Summary, part);
            }
            _ => {}
        }
    }
    for (suffix, kind) in [("_total", MetricType::Counter), ("_info", MetricType::Info)] {
        if name
            .strip_suffix(suffix)
            .and_then(|family| types.get(family))
            == Some(&kind)
        {
            return class(name, kind, Part::Value);
        }
    }
    if name
        .strip_suffix("_created")
        .is_some_and(|family| types.contains_key(family))
    {
        return class(name, MetricType::Unknown, Part::Created);
    }
    // No metadata: the catalogue knows what it should have been.
    if catalogue.rows(name).is_empty() {
        for (suffix, part) in PARTS {
            let Some(family) = name.strip_suffix(suffix) else {
                continue;
            };
            let cumulative = |row: &usize| match catalogue.row(*row).0.kind {
                MetricType::Histogram => true,
                MetricType::Summary => part != Part::Bucket,
                _ => false,
            };
            if catalogue.rows(family).iter().any(cumulative) {
                return class(family, MetricType::Unknown, part);
            }
        }
    }
    class(
        name,
        MetricType::Unknown,
        if has_quantile {
            Part::Quantile
        } else {
            Part::Value
        },
    )
}

const PARTS: [(&str, Part); 5] = [
    ("_bucket", Part::Bucket),
    ("_sum", Part::Sum),
    ("_count", Part::Count),
    ("_gsum", Part::Sum),
    ("_gcount", Part::Count),
];

/// The Python client writes creation times into the classic format as gauges of their own, named
/// after the family with a counter's `_total` taken off.
fn is_creation_time(name: &str, types: &HashMap<Box<str>, MetricType>) -> bool {
    let Some(family) = name.strip_suffix("_created") else {
        return false;
    };
    let counter = |kind: Option<&MetricType>| kind == Some(&MetricType::Counter);
    matches!(
        types.get(family),
        Some(MetricType::Histogram | MetricType::Summary | MetricType::Counter)
    ) || counter(types.get(format!("{family}_total").as_str()))
}
