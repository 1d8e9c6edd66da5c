//! The names of one page.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use tokenpath_core::exposition::{Entry, Format, Options, ParseError, Parser, parse_value};
use tokenpath_core::{MetricType, Unit};

use super::{Family, Measure, Names, Standing, split};

/// What of a family has been seen so far.
#[derive(Default)]
struct Seen {
    labels: BTreeSet<String>,
    edges: Vec<f64>,
    short_edges: bool,
}

pub(super) fn names(page: &[u8], known: &Names) -> Result<Names, ParseError> {
    let options = Options::new(Format::sniff(page, None));
    let mut types: HashMap<String, MetricType> = HashMap::new();
    let mut seen: HashMap<String, Seen> = HashMap::new();
    for entry in Parser::new(page, options) {
        match entry? {
            Entry::Type { name, kind } => {
                types.insert(name.to_string(), kind);
            }
            Entry::Sample(sample) => {
                let name = sample.name().to_string();
                let family = family_of(&name, &types);
                let seen = seen.entry(family).or_default();
                for (label, value) in sample.labels() {
                    let (label, value) = (label.to_string(), value.to_string());
                    if label == "le" && name.ends_with("_bucket") {
                        seen.edges.extend(parse_value(value.as_bytes()));
                        seen.short_edges |= value.bytes().all(|byte| byte.is_ascii_digit());
                    }
                    seen.labels.insert(label);
                }
            }
            _ => {}
        }
    }
    let mut names = Names {
        closed: true,
        prefixes: known.prefixes.clone(),
        missing: known.missing.clone(),
        ..Names::default()
    };
    for (name, mut seen) in seen {
        seen.edges.retain(|edge| edge.is_finite());
        seen.edges.sort_by(f64::total_cmp);
        seen.edges.dedup();
        // OpenMetrics names a counter's family without the `_total` of its samples.
        let family = types
            .get(&name)
            .or_else(|| types.get(name.strip_suffix("_total")?));
        let kind = family.copied().unwrap_or(MetricType::Unknown);
        let known = known.families.get(&name);
        seen.labels.remove("le");
        seen.labels.remove("quantile");
        let family = Family {
            measure: known.map_or_else(|| by_name(&name), |known| known.measure),
            backends: known
                .map(|known| known.backends.clone())
                .unwrap_or_default(),
            is_canonical: known.is_some_and(|known| known.is_canonical),
            name: name.clone(),
            kind,
            labels: Some(seen.labels),
            edges: seen.edges,
            short_edges: seen.short_edges,
            standing: Standing::Current,
        };
        names.families.insert(name, Arc::new(family));
    }
    Ok(names)
}

/// The family of a sample, by what the page says of types.
fn family_of(name: &str, types: &HashMap<String, MetricType>) -> String {
    if types.contains_key(name) {
        return name.to_owned();
    }
    let (base, _) = split(name);
    let compound = |kind: &MetricType| {
        matches!(
            kind,
            MetricType::Histogram | MetricType::Summary | MetricType::GaugeHistogram
        )
    };
    if types.get(base).is_some_and(compound) {
        return base.to_owned();
    }
    name.to_owned()
}

/// The unit that a name of good custom says.
fn by_name(name: &str) -> Option<Measure> {
    let name = name.strip_suffix("_total").unwrap_or(name);
    let units = [
        Unit::Seconds,
        Unit::Bytes,
        Unit::Ratio,
        Unit::Celsius,
        Unit::Watts,
    ];
    let unit = units
        .into_iter()
        .find(|unit| name.ends_with(unit.suffix()))?;
    Some(Measure { unit, factor: 1.0 })
}
