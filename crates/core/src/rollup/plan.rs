//! Where every value of the parts goes.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::total::Total;
use super::{Rollup, Scope};
use crate::combine::{self, Join, Member, Step, combine};
use crate::exposition::{Part, SeriesLabels};
use crate::{Desc, LabelSet, MetricType, SeriesKind, SeriesShape, Shape, ShapeId, Slot, Snapshot};

/// What a set of shapes becomes, and what is remembered of the counters that went into it.
#[derive(Debug, Default)]
pub(super) struct Plan {
    parts: Vec<(ShapeId, LabelSet)>,
    shape: Arc<Shape>,
    steps: Vec<Step>,
    means: Vec<Mean>,
    totals: Vec<Total>,
    left_out: BTreeSet<Box<str>>,
    /// How often it was made.
    made: u64,
}

/// Totals nobody counts towards that are still known; of more, those that are gone longest are
/// forgotten.
const TOTALS_KEPT: usize = 4096;

/// A place that is the mean of several values.
#[derive(Debug)]
struct Mean {
    to: Slot,
    members: Vec<Weighted>,
}

/// A value and its weight, from one part.
#[derive(Clone, Copy, Debug)]
struct Weighted {
    part: usize,
    value: Slot,
    weight: Option<Slot>,
}

/// Names and values in order of the names.
type Sorted<'a> = Vec<(Cow<'a, str>, Cow<'a, str>)>;

/// Series that become one.
struct Group<'a> {
    desc: Arc<Desc>,
    labels: Sorted<'a>,
    members: Vec<Source<'a>>,
}

/// A series of a part.
struct Source<'a> {
    member: Member<'a>,
    labels: Sorted<'a>,
}

impl Source<'_> {
    const fn part(&self) -> usize {
        self.member.part as usize
    }
}

/// Groups in the order of their first series.
#[derive(Default)]
struct Groups<'a> {
    all: Vec<(Box<str>, Group<'a>)>,
    by_key: HashMap<Box<str>, usize>,
}

impl<'a> Groups<'a> {
    fn add(&mut self, desc: &Arc<Desc>, labels: Sorted<'a>, source: Source<'a>) {
        let key = identity(desc.name(), &labels);
        let index = *self.by_key.entry(key.clone()).or_insert_with(|| {
            let group = Group {
                desc: Arc::clone(desc),
                labels,
                members: Vec::new(),
            };
            self.all.push((key, group));
            self.all.len() - 1
        });
        self.all[index].1.members.push(source);
    }
}

impl Plan {
    /// Whether it was made for such parts.
    pub(super) fn fits(&self, parts: &[Part<'_>]) -> bool {
        self.parts.len() == parts.len()
            && self.parts.iter().zip(parts).all(|((shape, labels), part)| {
                *shape == part.snapshot.shape().id()
                    && (labels.same(part.labels) || labels == part.labels)
            })
    }

    pub(super) fn left_out(&self) -> impl ExactSizeIterator<Item = &str> {
        self.left_out.iter().map(|name| &**name)
    }

    /// Adds everything up.
    pub(super) fn run(&mut self, parts: &[Part<'_>], out: &mut Snapshot) {
        out.reset_to(&self.shape);
        for step in &self.steps {
            step.run(parts[step.part()].snapshot, out);
        }
        for mean in &self.means {
            if let Some(value) = mean.value(parts) {
                out.set(mean.to, value);
            }
        }
        for total in &mut self.totals {
            total.run(|part| parts[part].snapshot, out);
        }
    }

    /// Works out where everything goes. What counters have counted is taken over.
    #[cold]
    pub(super) fn make(&mut self, scope: &Scope, parts: &[Part<'_>]) {
        self.made += 1;
        self.steps.clear();
        self.means.clear();
        self.left_out.clear();
        self.parts = parts
            .iter()
            .map(|part| (part.snapshot.shape().id(), part.labels.clone()))
            .collect();
        let (combined, alone) = self.groups(scope, parts);
        let mut totals: HashMap<Box<str>, Total> = HashMap::new();
        for mut total in self.totals.drain(..) {
            total.gather();
            totals.insert(total.key.clone(), total);
        }
        let mut target = Snapshot::new();
        for (_, group) in &alone.all {
            self.keep(group, &mut target);
        }
        let to_combine = combined.all.iter();
        for (key, group) in to_combine.filter(|(_, group)| !group.members.is_empty()) {
            match group.desc.rollup_rule() {
                Rollup::Sum if is_cumulative(group.desc.kind()) => {
                    let known = totals.remove(key);
                    let total = known.unwrap_or_else(|| Total::new(key.clone()));
                    self.total(group, total, &mut target);
                }
                Rollup::Sum => self.combine(group, Join::Add, &mut target),
                Rollup::Max => self.combine(group, Join::Max, &mut target),
                Rollup::MeanWeightedBy(weight) => self.mean(group, weight, parts, &mut target),
                Rollup::None => {}
            }
        }
        // Those that nobody counts towards now are kept: somebody may come back.
        let mut idle: Vec<Total> = totals.into_values().collect();
        idle.sort_by_key(|total| std::cmp::Reverse(total.settled));
        idle.truncate(TOTALS_KEPT);
        self.totals.extend(idle);
        self.shape = Arc::clone(target.shape());
    }

    /// The series that lose a label, and those that do not.
    fn groups<'a>(&mut self, scope: &Scope, parts: &[Part<'a>]) -> (Groups<'a>, Groups<'a>) {
        let (mut combined, mut alone) = (Groups::default(), Groups::default());
        let mut untouched = Vec::new();
        // Combined series that a source says itself.
        let mut spoken_for = Vec::new();
        for (part, said) in (0u32..).zip(parts) {
            for family in said.snapshot.shape().families() {
                let desc = family.desc();
                for series in family.series() {
                    let merged = SeriesLabels::merge(said.labels, series.labels());
                    let mut labels: Sorted<'a> = merged.into_pairs();
                    labels.retain(|(_, value)| !value.is_empty());
                    labels.sort();
                    let mut kept = labels.clone();
                    if scope.families.keeps(desc.name()) {
                        kept.retain(|(name, value)| !scope.drops((name, value)));
                    }
                    let loses = kept.len() < labels.len();
                    let source = Source {
                        member: Member { part, series },
                        labels,
                    };
                    if !loses {
                        untouched.push((desc, kept, source));
                    } else if desc.rollup_rule() == Rollup::None {
                        self.left_out.insert(desc.name().into());
                    } else {
                        combined.add(desc, kept, source);
                    }
                }
            }
        }
        for (desc, kept, source) in untouched {
            // It would stand twice, or be added to a sum that it may be in already.
            let combined_too = combined.by_key.get(&identity(desc.name(), &kept));
            match combined_too {
                Some(group) if scope.only_combined => spoken_for.push(*group),
                Some(_) => _ = self.left_out.insert(desc.name().into()),
                None if scope.only_combined => {}
                None => alone.add(desc, kept, source),
            }
        }
        for group in spoken_for {
            let group = &mut combined.all[group].1;
            self.left_out.insert(group.desc.name().into());
            group.members.clear();
        }
        (combined, alone)
    }

    /// A series that loses nothing. Of several that are equal, the first that has a value counts, as
    /// on a page.
    fn keep(&mut self, group: &Group<'_>, target: &mut Snapshot) {
        let kind = group.members[0].member.series.kind();
        let same = group.members.iter().map(|source| source.member);
        let same: Vec<_> = same.filter(|member| member.series.kind() == kind).collect();
        self.join(group, &same, Join::First, target);
    }

    /// Values of the moment: added up, or the largest.
    fn combine(&mut self, group: &Group<'_>, join: Join, target: &mut Snapshot) {
        let fitting: Vec<_> = group.fitting().iter().map(|source| source.member).collect();
        self.join(group, &fitting, join, target);
    }

    fn join(
        &mut self,
        group: &Group<'_>,
        members: &[Member<'_>],
        join: Join,
        target: &mut Snapshot,
    ) {
        let series = (&group.desc, &*group.labels);
        if !combine(series, members, join, target, &mut self.steps) {
            self.left_out.insert(group.desc.name().into());
        }
    }

    fn mean(&mut self, group: &Group<'_>, weight: &str, parts: &[Part<'_>], target: &mut Snapshot) {
        let Some(to) = group.declare(target, SeriesKind::Value) else {
            self.left_out.insert(group.desc.name().into());
            return;
        };
        let weighted = |member: &&Source<'_>| Weighted {
            part: member.part(),
            value: member.member.series.slot(),
            weight: weight_of(member, weight, &parts[member.part()]),
        };
        self.means.push(Mean {
            to,
            members: group.fitting().iter().map(weighted).collect(),
        });
    }

    fn total(&mut self, group: &Group<'_>, mut total: Total, target: &mut Snapshot) {
        for member in group.fitting() {
            let key = identity(group.desc.name(), &member.labels);
            let series = member.member.series;
            let kind = series.kind();
            let (edges, first) = match kind {
                SeriesKind::Histogram(edges) => (edges, series.slot()),
                // Quantiles go up and down; what is behind them only rises.
                SeriesKind::Summary(_) => (&[][..], series.sum_slot()),
                SeriesKind::Value => (&[][..], series.slot()),
            };
            let is_plain = kind == SeriesKind::Value;
            total.join(&key, is_plain, edges, (member.part(), first));
        }
        total.settle(self.made);
        let kind = match group.desc.kind() {
            MetricType::Counter => SeriesKind::Value,
            MetricType::Summary => SeriesKind::Summary(&[]),
            _ => SeriesKind::Histogram(&total.edges),
        };
        match group.declare(target, kind) {
            Some(to) if total.is_live() => {
                total.to = to;
                self.totals.push(total);
            }
            _ => {
                self.left_out.insert(group.desc.name().into());
            }
        }
    }
}

impl<'a> Group<'a> {
    /// Members that hold what the family's type says; another type of the same name does not.
    fn fitting(&self) -> Vec<&Source<'a>> {
        let fits = |member: &&Source<'a>| {
            matches!(
                (self.desc.kind(), member.member.series.kind()),
                (
                    MetricType::Histogram | MetricType::GaugeHistogram,
                    SeriesKind::Histogram(_)
                ) | (MetricType::Summary, SeriesKind::Summary(_))
            ) || (!has_edges(self.desc.kind()) && member.member.series.kind() == SeriesKind::Value)
        };
        self.members.iter().filter(fits).collect()
    }

    fn declare(&self, target: &mut Snapshot, kind: SeriesKind<'_>) -> Option<Slot> {
        combine::declare(target, &self.desc, &self.labels, kind)
    }
}

impl Mean {
    /// `None` where a weight is missing, or nothing weighs anything.
    fn value(&self, parts: &[Part<'_>]) -> Option<f64> {
        let (mut sum, mut weights) = (0.0, 0.0);
        for member in &self.members {
            let snapshot = parts[member.part].snapshot;
            if let Some(value) = snapshot.get(member.value) {
                let weight = snapshot.get(member.weight?)?;
                sum += value * weight;
                weights += weight;
            }
        }
        (weights > 0.0).then(|| sum / weights)
    }
}

/// The series of the weighing family that agrees with this one in all labels it has.
fn weight_of(member: &Source<'_>, weight: &str, part: &Part<'_>) -> Option<Slot> {
    let agrees = |series: &SeriesShape<'_>| {
        series.kind() == SeriesKind::Value
            && SeriesLabels::merge(part.labels, series.labels())
                .iter()
                .filter(|(_, value)| !value.is_empty())
                .all(|(name, value)| {
                    let same = |(n, v): &(Cow<'_, str>, Cow<'_, str>)| n == name && v == value;
                    member.labels.iter().any(same)
                })
    };
    let family = part.snapshot.shape().family(weight)?;
    let most = |series: &SeriesShape<'_>| series.labels().len();
    let best = family.series().filter(agrees).max_by_key(most)?;
    Some(best.slot())
}

const fn is_cumulative(kind: MetricType) -> bool {
    matches!(
        kind,
        MetricType::Counter | MetricType::Histogram | MetricType::Summary
    )
}

const fn has_edges(kind: MetricType) -> bool {
    matches!(
        kind,
        MetricType::Histogram | MetricType::GaugeHistogram | MetricType::Summary
    )
}

/// A family and its labels as one text.
fn identity(family: &str, labels: &Sorted<'_>) -> Box<str> {
    // No name of a family has a blank.
    format!("{family} {}", combine::identity(labels)).into()
}
