//! What one source contributes to a page, rendered up to the values.
//!
//! Made once for a shape and a set of constant labels, and kept for as long as both stay.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use super::escape;
use super::labels::{Labels, legal_metric_name};
use super::protobuf;
use super::series::{Edges, Pairing, Series, Source, Stem, TAIL, Tail, scaled};
use crate::dialect::{LabelRule, Quantity, Spoken, Target, Voice};
use crate::exposition::{PageFormat, float_text};
use crate::{
    Desc, FamilyShape, LabelSet, MetricType, SeriesKind, SeriesShape, Shape, ShapeId, Slot,
    Snapshot, Unit,
};

/// The identity of a series on the page: two independent keyed hashes of its labels. Whoever does not
/// know the keys cannot make two series collide, and 128 bits do not collide by accident.
pub(super) type Identity = u128;

/// The keys of [`Identity`], one pair for the life of an encoder.
#[derive(Clone, Debug, Default)]
pub(super) struct Identities([RandomState; 2]);

impl Identities {
    /// Labels with an empty value do not count: to Prometheus they are not there.
    fn of(&self, labels: &Labels<'_>) -> Identity {
        let labels: Vec<_> = labels
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .collect();
        let [high, low] = &self.0;
        u128::from(high.hash_one(&labels)) << 64 | u128::from(low.hash_one(&labels))
    }
}

/// A part of the page, rendered up to the values.
#[derive(Debug)]
pub(super) struct PartPlan {
    shape: ShapeId,
    labels: LabelSet,
    pub(super) text: Vec<u8>,
    pub(super) tails: Vec<Tail>,
    pub(super) families: Vec<Block>,
    /// Families that have another type than a dialect can speak.
    pub(super) refused_families: u64,
}

/// The series of one family on the page, from one part.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) name: Box<str>,
    pub(super) kind: MetricType,
    /// Empty where the name does not end in it or the values are not in it.
    pub(super) unit: Unit,
    pub(super) help: Box<str>,
    /// Whether the name is the canonical one: then it wins over what a dialect says.
    pub(super) is_own_name: bool,
    /// Whether the name is upstream's: then everyone else who has it wins.
    pub(super) is_foreign: bool,
    /// Which quantity of several this is; those of a higher rank stand in for it.
    pub(super) rank: usize,
    /// The quantity of the lowest rank: what the family is known by.
    quantity: Quantity,
    factor: f64,
    pub(super) series: Vec<Series>,
    pub(super) identities: Vec<Identity>,
    /// Whether every series has a label of the family's name, as a state set must.
    pub(super) has_states: bool,
}

impl Block {
    /// Whether both are the same family: the same quantity in the same unit as the same type.
    pub(super) fn is_same_family(&self, other: &Self) -> bool {
        self.kind == other.kind
            && self.quantity == other.quantity
            && self.factor.to_bits() == other.factor.to_bits()
    }
}

impl PartPlan {
    /// Whether this was made for such a part.
    #[inline]
    pub(super) fn fits(&self, shape: ShapeId, labels: &LabelSet) -> bool {
        self.shape == shape && (self.labels.same(labels) || self.labels == *labels)
    }

    pub(super) const fn shape(&self) -> ShapeId {
        self.shape
    }

    /// What is rendered, beside the values of now.
    #[inline]
    pub(super) fn source<'a>(&'a self, snapshot: &'a Snapshot) -> Source<'a> {
        Source {
            text: &self.text,
            tails: &self.tails,
            snapshot,
        }
    }

    /// Renders a part.
    pub(super) fn render(
        shape: &Shape,
        labels: &LabelSet,
        format: PageFormat,
        spoken: &Spoken,
        identities: &Identities,
    ) -> Self {
        let mut render = Render {
            shape,
            labels,
            format,
            identities,
            tails_of: HashMap::new(),
            plan: Self {
                shape: shape.id(),
                labels: labels.clone(),
                text: Vec::new(),
                tails: Vec::new(),
                families: Vec::new(),
                refused_families: 0,
            },
        };
        for family in shape.families() {
            let desc = family.desc();
            let mut has_own_name = false;
            for (target, rank) in spoken.targets_of(desc.name()) {
                has_own_name |= spoken.is_canonical() && target.is_own_name();
                render.target(family, target, rank);
            }
            if (spoken.is_canonical() || desc.is_foreign()) && !has_own_name {
                render.canonical(family);
            }
        }
        render.plan
    }

    /// Bytes on the heap, roughly.
    pub(super) fn memory(&self) -> usize {
        let families = self.families.iter().map(|block| {
            block.series.capacity() * size_of::<Series>()
                + block.identities.capacity() * size_of::<Identity>()
                + block.help.len()
                + block.name.len()
                + size_of::<Block>()
        });
        self.text.capacity() + self.tails.capacity() * TAIL + families.sum::<usize>()
    }
}

struct Render<'a> {
    shape: &'a Shape,
    labels: &'a LabelSet,
    format: PageFormat,
    identities: &'a Identities,
    /// The first tail of edges that were rendered before, by their bits.
    tails_of: HashMap<Vec<u64>, u32>,
    plan: PartPlan,
}

/// Where the value of a line with one value comes from.
#[derive(Clone, Copy)]
enum Operand {
    One(Slot),
    Two([Slot; 2], Pairing),
}

impl<'a> Render<'a> {
    fn canonical(&mut self, family: FamilyShape<'a>) {
        let desc = family.desc();
        let quantity = Quantity::Family(Cow::Owned(desc.name().to_owned()));
        let mut block = self.block(desc, desc.name(), desc.kind(), quantity, 1.0, desc.help());
        block.is_own_name = !desc.is_foreign();
        block.is_foreign = desc.is_foreign();
        for series in family.series() {
            self.series(&mut block, series, &[Voice::default()], None);
        }
        self.push_block(block);
    }

    fn push_block(&mut self, block: Block) {
        if !block.series.is_empty() {
            self.plan.families.push(block);
        }
    }

    fn target(&mut self, family: FamilyShape<'a>, target: &Target, rank: usize) {
        let desc = family.desc();
        let quantity = &target.quantities[rank];
        let is_family = matches!(quantity, Quantity::Family(_));
        let fits = |desc: &Desc| {
            slots(desc.kind()) == slots(target.kind)
                && (is_family || slots(desc.kind()) == Slots::One)
        };
        let help = target.help.as_deref().unwrap_or_else(|| desc.help());
        let mut block = self.block(
            desc,
            &target.name,
            target.kind,
            target.quantities[0].clone(),
            target.factor,
            help,
        );
        block.rank = rank;
        block.is_own_name = target.is_own_name();
        if !is_family {
            block.unit = Unit::None;
        }
        let pairing = match quantity {
            Quantity::Ratio(..) => Pairing::Ratio,
            Quantity::Sum(..) => Pairing::Sum,
            _ => Pairing::Diff,
        };
        let second = match quantity.second() {
            None => None,
            Some(second) => match self.shape.family(second) {
                Some(second) => Some(second),
                // Nothing to divide by, or to take away: absent.
                None => return,
            },
        };
        if !fits(desc) || second.is_some_and(|second| !fits(second.desc())) {
            self.plan.refused_families += 1;
            return;
        }
        if let Quantity::LabelOfLargest(_, label) = quantity {
            for series in family.series() {
                self.candidate(&mut block, series, label, &target.voices);
            }
            self.push_block(block);
            return;
        }
        let partners = second.map(|second| self.by_identity(second));
        for series in family.series() {
            let partner = match &partners {
                None => None,
                Some(partners) => {
                    let merged = Labels::merge(self.labels, series.labels());
                    match partners.get(&self.identity(&merged)) {
                        Some(slot) => Some((*slot, pairing)),
                        None => continue,
                    }
                }
            };
            self.series(&mut block, series, &target.voices, partner);
        }
        self.push_block(block);
    }

    fn block(
        &self,
        desc: &Desc,
        name: &str,
        kind: MetricType,
        quantity: Quantity,
        factor: f64,
        help: &str,
    ) -> Block {
        let is_scaled = factor.to_bits() != 1.0_f64.to_bits();
        Block {
            name: legal_metric_name(name).into(),
            kind,
            unit: if is_scaled { Unit::None } else { desc.unit() },
            help: help.into(),
            is_own_name: false,
            is_foreign: false,
            rank: 0,
            quantity,
            factor,
            series: Vec::new(),
            identities: Vec::new(),
            has_states: true,
        }
    }

    fn identity(&self, merged: &Labels<'_>) -> Identity {
        let canonical = [Voice::default()];
        let sorted = merged.spoken(&canonical, &|_, _| None);
        self.identities.of(&sorted.unwrap_or_default())
    }

    /// The value slots of a family by the labels of the model.
    fn by_identity(&self, family: FamilyShape<'a>) -> HashMap<Identity, Slot> {
        family
            .series()
            .map(|series| {
                let merged = Labels::merge(self.labels, series.labels());
                (self.identity(&merged), series.slot())
            })
            .collect()
    }

    fn series(
        &mut self,
        block: &mut Block,
        series: SeriesShape<'a>,
        voices: &[Voice],
        partner: Option<(Slot, Pairing)>,
    ) {
        let merged = Labels::merge(self.labels, series.labels());
        let joined = |labels: &Labels<'_>, rule: &LabelRule| self.joined(labels, rule);
        let Some(labels) = merged.spoken(voices, &joined) else {
            return;
        };
        let text = self.rendered(&labels);
        block.has_states &= labels.value(&block.name).is_some();
        block.identities.push(self.identities.of(&labels));
        let series = match series.kind() {
            SeriesKind::Value => {
                let operand = match partner {
                    Some((second, how)) => Operand::Two([series.slot(), second], how),
                    None => Operand::One(series.slot()),
                };
                self.value(block, &text, operand)
            }
            SeriesKind::Histogram(edges) => self.edges(block, &text, series.slot(), edges, true),
            SeriesKind::Summary(edges) => self.edges(block, &text, series.slot(), edges, false),
        };
        block.series.push(series);
    }

    /// One of several series that are one but for a label.
    fn candidate(
        &mut self,
        block: &mut Block,
        series: SeriesShape<'a>,
        label: &str,
        voices: &[Voice],
    ) {
        let number = series.label(label).and_then(|text| text.parse().ok());
        let Some(number) = number.filter(|number: &f64| number.is_finite()) else {
            return;
        };
        let others = series.labels().filter(|(name, _)| *name != label);
        let merged = Labels::merge(self.labels, others);
        let joined = |labels: &Labels<'_>, rule: &LabelRule| self.joined(labels, rule);
        let Some(labels) = merged.spoken(voices, &joined) else {
            return;
        };
        let identity = self.identities.of(&labels);
        let known = block.identities.iter().position(|known| *known == identity);
        if let Some(Series::Largest { candidates, .. }) =
            known.and_then(|index| block.series.get_mut(index))
        {
            candidates.push((series.slot(), number));
            return;
        }
        let text = self.rendered(&labels);
        block.identities.push(identity);
        let stem = self.stem(&block.name, "", &text);
        block.series.push(Series::Largest {
            stem,
            candidates: vec![(series.slot(), number)],
            factor: block.factor,
        });
    }

    /// What a rule takes from the series of another family that agrees in a label. Of several that
    /// do, the one that was written last: the others are of an earlier life of the same thing.
    fn joined(&self, labels: &Labels<'_>, rule: &LabelRule) -> Option<Cow<'a, str>> {
        let LabelRule::Join {
            family, on, label, ..
        } = rule
        else {
            return None;
        };
        let value = labels.value(on)?;
        let agreeing = self.shape.family(family)?.series();
        let newest = agreeing
            .filter(|series| series.label(on) == Some(value))
            .last()?;
        newest.label(label).map(Cow::Borrowed)
    }

    fn value(&mut self, block: &Block, labels: &[u8], operand: Operand) -> Series {
        let stem = self.stem(&block.name, "", labels);
        let factor = block.factor;
        match operand {
            Operand::One(slot) => Series::Value { stem, slot, factor },
            Operand::Two(slots, how) => Series::Pair {
                stem,
                slots,
                how,
                factor,
            },
        }
    }

    fn edges(
        &mut self,
        block: &Block,
        labels: &[u8],
        first: Slot,
        edges: &[f64],
        is_histogram: bool,
    ) -> Series {
        let openmetrics = self.format == PageFormat::OpenMetrics100;
        let (label, bucket, factor) = if is_histogram {
            ("le", "_bucket", block.factor)
        } else {
            // The factor of a summary is for its values, the quantiles are fractions.
            ("quantile", "", 1.0)
        };
        let (sum, count) = if openmetrics && block.kind == MetricType::GaugeHistogram {
            ("_gsum", "_gcount")
        } else {
            ("_sum", "_count")
        };
        let comma: &[u8] = if labels.is_empty() { b"" } else { b"," };
        let (name, bucket, label) = (block.name.as_bytes(), bucket.as_bytes(), label.as_bytes());
        let edge = match self.format {
            // One message holds all edges: what is before them stands once.
            PageFormat::Protobuf => self.push(&[]),
            _ => self.push(&[name, bucket, b"{", labels, comma, label, b"=\""]),
        };
        let sum = self.stem(&block.name, sum, labels);
        let count = self.stem(&block.name, count, labels);
        let has_infinity = edges.last().is_some_and(|last| is_infinity(*last));
        let added = (is_histogram && !has_infinity).then_some(f64::INFINITY);
        let scaled = edges.iter().map(|edge| scaled(*edge, factor));
        let tail = self.tails(scaled.chain(added));
        Series::Edges(Edges {
            edge,
            sum,
            count,
            first,
            edges: small(edges.len()),
            tail,
            has_infinity,
            has_negative: edges.iter().any(|edge| *edge < 0.0),
            factor: block.factor,
        })
    }

    fn stem(&mut self, name: &str, suffix: &str, labels: &[u8]) -> Stem {
        let (name, suffix) = (name.as_bytes(), suffix.as_bytes());
        match self.format {
            // The name is the family's, whatever of it this is; count and sum are in one message.
            PageFormat::Protobuf if suffix == b"_count" => self.push(&[]),
            PageFormat::Protobuf => self.push(&[labels]),
            _ if labels.is_empty() => self.push(&[name, suffix, b" "]),
            _ => self.push(&[name, suffix, b"{", labels, b"} "]),
        }
    }

    /// Labels as they stand between braces, or as the fields of a message.
    fn rendered(&self, labels: &Labels<'_>) -> Vec<u8> {
        match self.format {
            PageFormat::Protobuf => protobuf::labels(labels.iter()),
            _ => rendered(labels).into_bytes(),
        }
    }

    fn push(&mut self, pieces: &[&[u8]]) -> Stem {
        let start = small(self.plan.text.len());
        for piece in pieces {
            self.plan.text.extend_from_slice(piece);
        }
        let end = small(self.plan.text.len());
        Stem { start, end }
    }

    fn tails(&mut self, edges: impl Iterator<Item = f64> + Clone) -> u32 {
        let bits: Vec<u64> = edges.clone().map(f64::to_bits).collect();
        let (format, tails) = (self.format, &mut self.plan.tails);
        *self.tails_of.entry(bits).or_insert_with(|| {
            let first = small(tails.len());
            match format {
                PageFormat::Protobuf => tails.extend(edges.map(protobuf::tail)),
                _ => tails.extend(edges.map(tail)),
            }
            first
        })
    }
}

/// Labels as they stand between braces.
fn rendered(labels: &Labels<'_>) -> String {
    let mut text = String::new();
    for (name, value) in labels.iter() {
        let comma = if text.is_empty() { "" } else { "," };
        text.push_str(comma);
        text.push_str(name);
        text.push_str("=\"");
        text.push_str(&escape::label_value(value));
        text.push('"');
    }
    text
}

fn tail(edge: f64) -> Tail {
    let mut text = String::new();
    float_text::push_edge(edge, &mut text);
    text.push_str("\"} ");
    let mut tail = [0; TAIL];
    // The longest edge has 24 characters.
    tail[..text.len()].copy_from_slice(text.as_bytes());
    tail[TAIL - 1] = u8::try_from(text.len()).unwrap_or_default();
    tail
}

const fn is_infinity(edge: f64) -> bool {
    edge.to_bits() == f64::INFINITY.to_bits()
}

/// What the slots of a family's series hold.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Slots {
    One,
    Buckets,
    Quantiles,
}

const fn slots(kind: MetricType) -> Slots {
    match kind {
        MetricType::Histogram | MetricType::GaugeHistogram => Slots::Buckets,
        MetricType::Summary => Slots::Quantiles,
        _ => Slots::One,
    }
}

/// # Panics
///
/// Past 4 GiB of rendered text for one source.
fn small(number: usize) -> u32 {
    u32::try_from(number).expect("one source renders to less than 4 GiB")
}
