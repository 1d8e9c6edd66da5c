//! How parts make a page: each family once, in order of the names, with the series of all parts.

use std::collections::HashMap;
use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};

use super::escape;
use super::part_plan::{Block, Identity, PartPlan};
use super::protobuf;
use super::series::{Rules, Series, Values, Wire};
use crate::exposition::PageFormat;
use crate::{MetricType, Unit};

/// The families of a page.
#[derive(Debug, Default)]
pub(super) struct PagePlan {
    pub(super) families: Vec<Family>,
    /// Families of single parts that cannot be on this page.
    pub(super) refused_families: u64,
}

/// One family of a page.
#[derive(Debug)]
pub(super) struct Family {
    /// `# HELP` and so on.
    pub(super) header: Vec<u8>,
    pub(super) rules: Rules,
    /// Which block of which part, in the order of the parts.
    pub(super) blocks: Vec<At>,
    /// Series that are equal to an earlier one of the family. Usually none.
    pub(super) twins: HashMap<SeriesAt, Vec<SeriesAt>>,
}

/// A block of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct At {
    pub(super) part: usize,
    pub(super) block: usize,
}

/// A series of a block.
pub(super) type SeriesAt = (At, usize);

impl PagePlan {
    /// Puts the parts together.
    pub(super) fn assemble(parts: &[PartPlan], format: PageFormat) -> Self {
        let mut order: Vec<At> = (0..parts.len())
            .flat_map(|part| (0..parts[part].families.len()).map(move |block| At { part, block }))
            .collect();
        let block = |at: &At| &parts[at.part].families[at.block];
        // The sort is stable: parts stay in their order, and the canonical owner of a name comes first.
        order.sort_by(|a, b| {
            // In a part, what stands in for something comes behind it.
            let key = |at: &At| {
                let block = block(at);
                let giver = (!block.is_own_name, block.is_foreign);
                (&*block.name, giver, at.part, block.rank)
            };
            key(a).cmp(&key(b))
        });
        let mut plan = Self {
            families: Vec::new(),
            refused_families: parts.iter().map(|part| part.refused_families).sum(),
        };
        let mut taken = HashSet::new();
        for same_name in order.chunk_by(|a, b| block(a).name == block(b).name) {
            let (blocks, refused): (Vec<At>, Vec<At>) = same_name
                .iter()
                .partition(|at| block(at).is_same_family(block(&same_name[0])));
            let names = sample_names(block(&same_name[0]), format);
            if names.iter().any(|name| taken.contains(name)) {
                plan.refused_families += same_name.len() as u64;
            } else {
                taken.extend(names);
                plan.refused_families += refused.len() as u64;
                plan.families.push(Family::of(blocks, parts, format));
            }
        }
        plan
    }
}

impl Family {
    fn of(blocks: Vec<At>, parts: &[PartPlan], format: PageFormat) -> Self {
        let block = |at: &At| &parts[at.part].families[at.block];
        let first = block(&blocks[0]);
        let has_states = blocks.iter().all(|at| block(at).has_states);
        let openmetrics = format == PageFormat::OpenMetrics100;
        let kind = spoken_kind(first, has_states, openmetrics);
        let values = match kind {
            MetricType::Counter => Values::NotNegative,
            // A counter stays one, whatever it must be called.
            MetricType::Unknown if first.kind == MetricType::Counter => Values::NotNegative,
            MetricType::Gauge | MetricType::Unknown => Values::Any,
            MetricType::Info if openmetrics => Values::One,
            MetricType::StateSet if openmetrics => Values::ZeroOrOne,
            MetricType::Info | MetricType::StateSet => Values::Any,
            MetricType::Histogram | MetricType::GaugeHistogram => Values::Histogram,
            MetricType::Summary => Values::Summary,
        };
        let all = blocks.iter().flat_map(|at| {
            let identities = block(at).identities.iter().enumerate();
            identities.map(|(series, identity)| ((*at, series), *identity))
        });
        let has_exemplars = matches!(
            kind,
            MetricType::Counter | MetricType::Histogram | MetricType::GaugeHistogram
        );
        let (header, wire) = match format {
            PageFormat::Text004 => (header(first, kind, false), Wire::Text),
            PageFormat::OpenMetrics100 => (
                header(first, kind, true),
                Wire::OpenMetrics { has_exemplars },
            ),
            PageFormat::Protobuf => (
                protobuf::header(&first.name, &first.help, kind, spoken_unit(first, kind)),
                Wire::Protobuf(protobuf::Field::of(kind)),
            ),
        };
        Self {
            header,
            rules: Rules { values, wire },
            twins: twins(all),
            blocks,
        }
    }

    /// Whether a series is on the page already: an earlier twin of it has values.
    #[cold]
    pub(super) fn has_twin(&self, at: SeriesAt, is_there: impl Fn(SeriesAt) -> bool) -> bool {
        let twins = self.twins.get(&at).map_or(&[][..], Vec::as_slice);
        twins.iter().any(|twin| is_there(*twin))
    }
}

/// The type under which a family goes out.
fn spoken_kind(block: &Block, has_states: bool, openmetrics: bool) -> MetricType {
    match block.kind {
        kind if !openmetrics => kind,
        // These names are part of the types; without them the types cannot be said.
        MetricType::Counter if !block.name.ends_with("_total") => MetricType::Unknown,
        MetricType::Info if !block.name.ends_with("_info") => MetricType::Gauge,
        MetricType::StateSet if !has_states => MetricType::Gauge,
        kind => kind,
    }
}

/// The name in `# TYPE`: OpenMetrics takes the suffix of counters and infos off.
fn metadata_name(name: &str, kind: MetricType, openmetrics: bool) -> &str {
    let suffix = match kind {
        MetricType::Counter => "_total",
        MetricType::Info => "_info",
        _ => "",
    };
    let stripped = name.strip_suffix(suffix).filter(|_| openmetrics);
    stripped.unwrap_or(name)
}

fn header(block: &Block, kind: MetricType, openmetrics: bool) -> Vec<u8> {
    let name = metadata_name(&block.name, kind, openmetrics);
    let mut header = String::new();
    if !block.help.is_empty() {
        let help = escape::help(&block.help, openmetrics);
        header.push_str(&format!("# HELP {name} {help}\n"));
    }
    let kind_name = if openmetrics {
        kind.openmetrics_name()
    } else {
        kind.text_name()
    };
    header.push_str(&format!("# TYPE {name} {kind_name}\n"));
    if let Some(unit) = spoken_unit(block, kind).filter(|_| openmetrics) {
        header.push_str(&format!("# UNIT {name} {unit}\n"));
    }
    header.into_bytes()
}

/// The unit, where the format may say it: the name ends in it.
fn spoken_unit(block: &Block, kind: MetricType) -> Option<&'static str> {
    let unit = block.unit.suffix();
    let may_have_unit = !matches!(kind, MetricType::Info | MetricType::StateSet);
    let ends_in_unit = metadata_name(&block.name, kind, true)
        .strip_suffix(unit)
        .is_some_and(|rest| rest.ends_with('_'));
    (block.unit != Unit::None && may_have_unit && ends_in_unit).then_some(unit)
}

/// All names that the family and its samples take on the page. OpenMetrics reserves those that the
/// type could have, not only those that are written.
fn sample_names(block: &Block, format: PageFormat) -> Vec<String> {
    let openmetrics = format == PageFormat::OpenMetrics100;
    let kind = spoken_kind(block, block.has_states, openmetrics);
    let suffixes: &[&str] = match (kind, openmetrics) {
        (MetricType::Counter, true) => &["", "_total", "_created"],
        (MetricType::Info, true) => &["", "_info"],
        (MetricType::Histogram, true) => &["", "_bucket", "_sum", "_count", "_created"],
        (MetricType::GaugeHistogram, true) => &["", "_bucket", "_gsum", "_gcount"],
        (MetricType::Summary, true) => &["", "_sum", "_count", "_created"],
        (MetricType::Histogram | MetricType::GaugeHistogram, false) => {
            &["", "_bucket", "_sum", "_count"]
        }
        (MetricType::Summary, false) => &["", "_sum", "_count"],
        _ => &[""],
    };
    let name = metadata_name(&block.name, kind, openmetrics);
    suffixes
        .iter()
        .map(|suffix| format!("{name}{suffix}"))
        .collect()
}

fn twins(series: impl Iterator<Item = (SeriesAt, Identity)>) -> HashMap<SeriesAt, Vec<SeriesAt>> {
    let mut first: HashMap<Identity, SeriesAt, BuildHasherDefault<AlreadyHashed>> =
        HashMap::default();
    let mut groups: HashMap<SeriesAt, Vec<SeriesAt>> = HashMap::new();
    let mut twins = HashMap::new();
    for (at, identity) in series {
        let known = *first.entry(identity).or_insert(at);
        if known != at {
            let group = groups.entry(known).or_insert_with(|| vec![known]);
            twins.insert(at, group.clone());
            group.push(at);
        }
    }
    twins
}

/// Identities are keyed hashes already.
#[derive(Debug, Default)]
struct AlreadyHashed(u64);

impl Hasher for AlreadyHashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.0 ^= u64::from_ne_bytes(word);
        }
    }
}

/// The series of a block at a place.
pub(super) fn series_at(parts: &[PartPlan], (at, series): SeriesAt) -> &Series {
    &parts[at.part].families[at.block].series[series]
}
