//! Which family a sample belongs to, and as what.

use std::collections::HashMap;

use crate::MetricType;
use crate::exposition::Format;

/// What the page has said of a family so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Family {
    pub(super) kind: Option<MetricType>,
    pub(super) help: bool,
    pub(super) typed: bool,
    pub(super) unit: bool,
    pub(super) samples: bool,
}

/// What a sample is within its family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// The value itself: a gauge, a counter's total, a quantile, an info, a state.
    Value,
    Bucket,
    Sum,
    Count,
    /// When the series began.
    Created,
    /// The family's name, with a suffix that its type does not have.
    Foreign,
}

/// The suffixes that sample names of a type have.
pub(super) const fn suffixes(kind: MetricType, format: Format) -> &'static [&'static str] {
    match (kind, format) {
        (MetricType::Histogram, Format::OpenMetrics100) => {
            &["_bucket", "_sum", "_count", "_created"]
        }
        (MetricType::Summary, Format::OpenMetrics100) => &["", "_sum", "_count", "_created"],
        (MetricType::Counter, Format::OpenMetrics100) => &["_total", "_created"],
        (MetricType::GaugeHistogram, _) => &["_bucket", "_gsum", "_gcount"],
        (MetricType::Info, Format::OpenMetrics100) => &["_info"],
        (MetricType::Histogram, _) => &["_bucket", "_sum", "_count"],
        (MetricType::Summary, _) => &["", "_sum", "_count"],
        _ => &[""],
    }
}

fn role(suffix: &str) -> Role {
    match suffix {
        "_bucket" => Role::Bucket,
        "_sum" | "_gsum" => Role::Sum,
        "_count" | "_gcount" => Role::Count,
        "_created" => Role::Created,
        _ => Role::Value,
    }
}

/// The family that a sample called `name` belongs to. A family that takes the name by its type goes
/// before one that merely has the name; a name nobody claims is a family of its own.
pub(super) fn resolve(
    name: &str,
    families: &HashMap<String, Family>,
    format: Format,
) -> (String, Role) {
    const ALL: [&str; 9] = [
        "", "_bucket", "_sum", "_count", "_total", "_created", "_info", "_gsum", "_gcount",
    ];
    for suffix in ALL {
        let Some(stem) = name.strip_suffix(suffix) else {
            continue;
        };
        let kind = families.get(stem).and_then(|f| f.kind);
        if kind.is_some_and(|kind| suffixes(kind, format).contains(&suffix)) {
            return (stem.to_owned(), role(suffix));
        }
    }
    let typed = families.get(name).is_some_and(|f| f.kind.is_some());
    (
        name.to_owned(),
        if typed { Role::Foreign } else { Role::Value },
    )
}
