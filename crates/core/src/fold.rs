//! Several snapshots as one, under other labels, with label values that are bounded.
//!
//! Tenants, API keys and fairness ids come from outside and have no end. [`BoundedValues`] decides
//! which of them keep a series of their own; [`Fold`] rewrites the labels of a snapshot and combines
//! the series that have become the same: the rest of the tenants under one name, by the rule of
//! each family.
//!
//! Like a translator, a [`Fold`] works labels out once for each shape it meets. After that a reading
//! copies and adds values, and allocates nothing.
//!
//! ```
//! use std::borrow::Cow;
//! use std::sync::Arc;
//! use tokenpath_core::fold::{BoundedValues, Fold};
//! use tokenpath_core::{Desc, MetricType, Snapshot, Unit};
//!
//! let calls = Arc::new(Desc::new("calls_total", MetricType::Counter, Unit::None, "Calls."));
//! let mut page = Snapshot::new();
//! for (user, value) in [("ann", 7.0), ("bob", 2.0), ("cid", 1.0)] {
//!     page.family(&calls).sample(&[("user", user)], value);
//! }
//!
//! let mut users = BoundedValues::new(1);
//! users.admit([("ann", 7.0), ("bob", 2.0), ("cid", 1.0)]);
//! let mut out = Snapshot::new();
//! Fold::new().run(&[&page], &mut out, |series| {
//!     for (_, user) in &mut series.labels {
//!         if !users.keeps(user) {
//!             *user = Cow::Borrowed("other");
//!         }
//!     }
//!     true
//! });
//! assert_eq!(out.value("calls_total", &[("user", "ann")]), Some(7.0));
//! assert_eq!(out.value("calls_total", &[("user", "other")]), Some(3.0));
//! ```

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::combine::{Join, Member, Step, combine, edges_of, identity};
use crate::rollup::Rollup;
use crate::{Desc, DropReason, Shape, ShapeId, Slot, Snapshot};

/// A series on its way: the family and labels may be changed.
#[derive(Clone, Debug)]
pub struct FoldSeries<'a> {
    /// The family. Another one must have the same type.
    pub desc: Arc<Desc>,
    /// Names and values, in the order written; each name once. An empty value means the same as no
    /// label.
    pub labels: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

impl FoldSeries<'_> {
    /// The value of a label.
    #[must_use]
    pub fn label(&self, name: &str) -> Option<&str> {
        let found = self.labels.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| &**value)
    }
}

/// Rewrites the labels of snapshots, and combines series that become the same.
///
/// What is combined adds up where the family's [`Rollup`] says so, or is the largest; histograms on
/// the edges that all of them have; of summaries only sum and count can be added. A family that may
/// not be combined keeps its first series, and the others are counted as
/// [`DropReason::Duplicate`]. Series that stay alone keep their exemplars.
#[derive(Clone, Debug, Default)]
pub struct Fold {
    shapes: Vec<ShapeId>,
    shape: Arc<Shape>,
    steps: Vec<Step>,
    /// Slots of series that could not be combined, to be counted where they hold a value.
    refused: Vec<(u32, Slot)>,
}

impl Fold {
    /// A fold that has met no shape yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether the labels of these parts are worked out already: then [`run`](Self::run) does not
    /// ask for any.
    #[must_use]
    pub fn knows(&self, parts: &[&Snapshot]) -> bool {
        let shapes = parts.iter().map(|part| part.shape().id());
        shapes.eq(self.shapes.iter().copied())
    }

    /// Whether the part of this number has the shape it had when labels were last worked out.
    #[must_use]
    pub fn knows_part(&self, number: usize, part: &Snapshot) -> bool {
        self.shapes.get(number) == Some(&part.shape().id())
    }

    /// Forgets what was worked out: `relabel` will be asked again.
    pub fn forget(&mut self) {
        self.shapes.clear();
    }

    /// Folds `parts` into `out`, whatever was in it. The tally is that of the first part.
    ///
    /// `relabel` is asked once for each series of a new shape, and says `false` for one that is to
    /// be left out.
    pub fn run(
        &mut self,
        parts: &[&Snapshot],
        out: &mut Snapshot,
        relabel: impl FnMut(&mut FoldSeries<'_>) -> bool,
    ) {
        if !self.knows(parts) {
            self.plan(parts, relabel);
        }
        out.reset_to(&self.shape);
        if let Some(first) = parts.first() {
            *out.tally_mut() = *first.tally();
        }
        for step in &self.steps {
            step.run(parts[step.part()], out);
        }
        if parts.iter().any(|part| part.exemplars().len() > 0) {
            self.exemplars(parts, out);
        }
        let lost = |(part, slot): &&(u32, Slot)| parts[*part as usize].get(*slot).is_some();
        let lost = self.refused.iter().filter(lost).count();
        out.tally_mut()
            .drop_samples(DropReason::Duplicate, lost as u64);
    }

    #[cold]
    fn exemplars(&self, parts: &[&Snapshot], out: &mut Snapshot) {
        let (shape, exemplars) = out.exemplars_mut();
        for step in &self.steps {
            let Some((from, to)) = step.alone() else {
                continue;
            };
            if let Some(exemplar) = parts[step.part()].exemplar(from) {
                let (value, time) = (exemplar.value(), exemplar.timestamp_ms());
                // It stands on the same bucket, or on a wider one.
                let _ = exemplars.push(shape, to, exemplar.labels(), value, time);
            }
        }
        exemplars.settle();
    }

    fn plan(&mut self, parts: &[&Snapshot], mut relabel: impl FnMut(&mut FoldSeries<'_>) -> bool) {
        let mut groups: Vec<Group<'_>> = Vec::new();
        let mut by_identity: HashMap<(usize, String), usize> = HashMap::new();
        let mut descs: Vec<Arc<Desc>> = Vec::new();
        for (part, snapshot) in (0u32..).zip(parts) {
            for family in snapshot.shape().families() {
                for found in family.series() {
                    let mut series = FoldSeries {
                        desc: Arc::clone(family.desc()),
                        labels: found
                            .labels()
                            .map(|(name, value)| (Cow::Borrowed(name), Cow::Borrowed(value)))
                            .collect(),
                    };
                    if !relabel(&mut series) {
                        continue;
                    }
                    series.labels.retain(|(_, value)| !value.is_empty());
                    let known = descs
                        .iter()
                        .position(|known| known.name() == series.desc.name());
                    let desc = known.unwrap_or_else(|| {
                        descs.push(Arc::clone(&series.desc));
                        descs.len() - 1
                    });
                    // In an order of their own: as written, they stay.
                    let mut sorted = series.labels.clone();
                    sorted.sort();
                    let at = *by_identity
                        .entry((desc, identity(&sorted)))
                        .or_insert_with(|| {
                            groups.push(Group {
                                series,
                                members: Vec::new(),
                            });
                            groups.len() - 1
                        });
                    groups[at].members.push(Member {
                        part,
                        series: found,
                    });
                }
            }
        }
        let mut target = Snapshot::new();
        self.steps.clear();
        self.refused.clear();
        // Family by family, so that each stands in one piece.
        groups.sort_by_key(|group| {
            descs
                .iter()
                .position(|desc| desc.name() == group.series.desc.name())
        });
        for group in groups.into_iter().flat_map(Group::lives) {
            group.plan(&mut target, &mut self.steps, &mut self.refused);
        }
        self.shape = Arc::clone(target.shape());
        self.shapes = parts.iter().map(|part| part.shape().id()).collect();
    }
}

/// Series that have become one.
struct Group<'a> {
    series: FoldSeries<'a>,
    members: Vec<Member<'a>>,
}

impl Group<'_> {
    /// The group once for each set of edges, where one of its series had other edges before: a shape
    /// keeps both, and a page has only what is there now, which must not shrink to the edges that it
    /// has in common with what it was. Parts may differ in edges at one time, so a group of several
    /// stays together.
    fn lives(self) -> Vec<Self> {
        let edges = |member: &Member<'_>| -> Vec<u64> {
            let edges = edges_of(member.series.kind()).iter();
            edges.map(|edge| edge.to_bits()).collect()
        };
        let differ = |pair: &[Member<'_>]| edges(&pair[0]) != edges(&pair[1]);
        let alike = !self.members.windows(2).any(differ);
        let mut names = HashSet::new();
        let mut is_new = |member: &Member<'_>| {
            let labels = member.series.labels();
            let mut labels: Vec<_> = labels
                .map(|(name, value)| (Cow::Borrowed(name), Cow::Borrowed(value)))
                .collect();
            labels.sort();
            names.insert(identity(&labels))
        };
        let mut pairs = self.members.windows(2);
        let of_several = pairs.any(|pair| pair[0].part != pair[1].part);
        if alike || of_several || self.members.iter().all(&mut is_new) {
            return vec![self];
        }
        let mut lives: Vec<(Vec<u64>, Self)> = Vec::new();
        for member in self.members {
            let edges = edges(&member);
            match lives.iter_mut().find(|(known, _)| *known == edges) {
                Some((_, life)) => life.members.push(member),
                None => lives.push((
                    edges,
                    Group {
                        series: self.series.clone(),
                        members: vec![member],
                    },
                )),
            }
        }
        lives.into_iter().map(|(_, life)| life).collect()
    }

    fn plan(self, target: &mut Snapshot, steps: &mut Vec<Step>, refused: &mut Vec<(u32, Slot)>) {
        let Some(first) = self.members.first().map(|member| member.series.kind()) else {
            return;
        };
        let rule = match self.series.desc.rollup_rule() {
            Rollup::Sum => Some(Join::Add),
            Rollup::Max => Some(Join::Max),
            _ => None,
        };
        // One that is alone stays as it is, quantiles and all.
        let join = rule.filter(|_| self.members.len() > 1);
        let fits = |member: &Member<'_>| {
            std::mem::discriminant(&member.series.kind()) == std::mem::discriminant(&first)
        };
        let (mut members, mut others): (Vec<_>, Vec<_>) =
            self.members.iter().partition(|m| fits(m));
        if join.is_none() {
            others.extend(members.drain(1..));
        }
        let series = (&self.series.desc, &*self.series.labels);
        let join = join.unwrap_or(Join::First);
        if !combine(series, &members, join, target, steps) {
            others.extend(members);
        }
        let slots = others.iter().flat_map(|Member { part, series }| {
            (0..series.slots()).map(|offset| (*part, series.slot().offset(offset)))
        });
        refused.extend(slots);
    }
}

/// Which values of a label keep a series of their own, up to a limit.
///
/// A value that was let in stays as long as it is there, and one that was folded stays folded as
/// long as it is there: a counter that changed sides would look like a restart of both. A place
/// becomes free when its value is gone; among newcomers the weightiest go first, then the order of
/// the alphabet, so that two readers of one page agree.
#[derive(Clone, Debug)]
pub struct BoundedValues {
    limit: usize,
    always: HashSet<Box<str>>,
    kept: HashSet<Box<str>>,
    folded: HashSet<Box<str>>,
}

impl BoundedValues {
    /// Keeps at most `limit` values apart.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            always: HashSet::new(),
            kept: HashSet::new(),
            folded: HashSet::new(),
        }
    }

    /// Sets values that are kept whatever the limit. They take none of its places.
    #[must_use]
    pub fn always<V: Into<Box<str>>>(mut self, values: impl IntoIterator<Item = V>) -> Self {
        self.always = values.into_iter().map(Into::into).collect();
        self
    }

    /// Says which values are there now, and their weights (what they count, for instance); a value
    /// that is told more than once has the sum. Gives how many are folded that were not before.
    pub fn admit<'v>(&mut self, present: impl IntoIterator<Item = (&'v str, f64)>) -> u64 {
        let mut weights: HashMap<&str, f64> = HashMap::new();
        for (value, weight) in present {
            *weights.entry(value).or_default() += weight;
        }
        self.kept.retain(|value| weights.contains_key(&**value));
        self.folded.retain(|value| weights.contains_key(&**value));
        let newcomers = weights
            .into_iter()
            .filter(|(value, _)| !self.kept.contains(*value) && !self.folded.contains(*value));
        let (always, mut newcomers): (Vec<_>, Vec<(&str, f64)>) =
            newcomers.partition(|(value, _)| self.always.contains(*value));
        newcomers.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(b.0)));
        let bounded = self.kept.iter().filter(|kept| !self.always.contains(*kept));
        let room = self.limit.saturating_sub(bounded.count());
        let (welcome, rest) = newcomers.split_at(room.min(newcomers.len()));
        let welcome = welcome.iter().chain(&always);
        self.kept
            .extend(welcome.map(|(value, _)| Box::from(*value)));
        self.folded
            .extend(rest.iter().map(|(value, _)| Box::from(*value)));
        rest.len() as u64
    }

    /// Whether a value keeps its own series.
    #[must_use]
    pub fn keeps(&self, value: &str) -> bool {
        self.kept.contains(value)
    }

    /// Whether it was decided about a value, one way or the other.
    #[must_use]
    pub fn knows(&self, value: &str) -> bool {
        self.kept.contains(value) || self.folded.contains(value)
    }

    /// How many values have their own series.
    #[must_use]
    pub fn kept(&self) -> usize {
        self.kept.len()
    }

    /// How many values share one.
    #[must_use]
    pub fn folded(&self) -> usize {
        self.folded.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Bucket, Histogram, MetricType, QuantileValue, Summary, Unit};

    fn desc(name: &'static str, kind: MetricType) -> Arc<Desc> {
        Arc::new(Desc::new(name, kind, Unit::None, "help"))
    }

    fn without_user(series: &mut FoldSeries<'_>) -> bool {
        series.labels.retain(|(name, _)| name != "user");
        true
    }

    fn histogram(edges: &[(f64, f64)], sum: f64) -> Histogram {
        Histogram {
            buckets: edges
                .iter()
                .map(|&(le, count)| Bucket { le, count })
                .collect(),
            sum: Some(sum),
            count: edges.last().map(|(_, count)| *count),
        }
    }

    #[test]
    fn series_that_become_the_same_are_combined_by_the_rule_of_their_family() {
        let calls = desc("calls_total", MetricType::Counter);
        let age =
            Arc::new(Desc::new("age", MetricType::Gauge, Unit::None, "help").rollup(Rollup::Max));
        let mood = desc("mood", MetricType::Gauge);
        let mut page = Snapshot::new();
        for (user, value) in [("a", 1.0), ("b", 2.0), ("c", 4.0)] {
            for family in [&calls, &age, &mood] {
                page.family(family)
                    .sample(&[("user", user), ("k", "v")], value);
            }
        }
        let (mut fold, mut out) = (Fold::new(), Snapshot::new());
        fold.run(&[&page], &mut out, without_user);
        assert_eq!(out.value("calls_total", &[("k", "v")]), Some(7.0));
        assert_eq!(out.value("age", &[("k", "v")]), Some(4.0));
        assert_eq!(out.value("mood", &[("k", "v")]), Some(1.0));
        assert_eq!(out.tally().dropped(DropReason::Duplicate), 2);
        fold.run(&[&page], &mut out, |_| panic!("the shape is known"));
        assert_eq!(out.value("calls_total", &[("k", "v")]), Some(7.0));
        assert_eq!(out.tally().dropped(DropReason::Duplicate), 2);
    }

    #[test]
    fn histograms_add_up_on_the_edges_that_all_have() {
        let h = desc("h", MetricType::Histogram);
        let mut page = Snapshot::new();
        let inf = f64::INFINITY;
        page.family(&h)
            .histogram(
                &[("user", "a")],
                &histogram(&[(1.0, 1.0), (2.0, 3.0), (inf, 4.0)], 9.0),
            )
            .histogram(
                &[("user", "b")],
                &histogram(&[(2.0, 5.0), (3.0, 6.0), (inf, 7.0)], 1.0),
            );
        let mut out = Snapshot::new();
        Fold::new().run(&[&page], &mut out, without_user);
        let expected = histogram(&[(2.0, 8.0), (inf, 11.0)], 10.0);
        assert_eq!(out.histogram("h", &[]), Some(expected));
    }

    /// A server that is updated under a reader that stays: its shape has both sets of edges.
    #[test]
    fn a_series_keeps_its_edges_when_it_had_others_before() {
        let h = desc("h", MetricType::Histogram);
        let inf = f64::INFINITY;
        let before = histogram(&[(1.0, 1.0), (2.0, 3.0), (inf, 4.0)], 9.0);
        let after = histogram(&[(2.0, 5.0), (3.0, 6.0), (inf, 7.0)], 1.0);
        let (mut fold, mut page, mut out) = (Fold::new(), Snapshot::new(), Snapshot::new());
        for now in [&before, &after, &after, &before] {
            page.clear();
            for user in ["a", "b"] {
                page.family(&h).histogram(&[("user", user)], now);
            }
            // Each on its own, and both as one.
            fold.forget();
            fold.run(&[&page], &mut out, |_| true);
            assert_eq!(there(&out), [now.clone(), now.clone()]);
            fold.forget();
            fold.run(&[&page], &mut out, without_user);
            let twice = |count: f64| 2.0 * count;
            let buckets = now.buckets.iter();
            let both: Vec<_> = buckets.map(|b| (b.le, twice(b.count))).collect();
            let both = histogram(&both, twice(now.sum.unwrap()));
            assert_eq!(there(&out), [both]);
        }
    }

    /// The histograms that have values.
    fn there(snapshot: &Snapshot) -> Vec<Histogram> {
        let shape = Arc::clone(snapshot.shape());
        let mut found = Vec::new();
        for series in shape.families().flat_map(|family| family.series()) {
            let edges = edges_of(series.kind());
            let bucket = |(index, le): (usize, &f64)| {
                let count = snapshot.get(series.edge_slot(index))?;
                Some(Bucket { le: *le, count })
            };
            let buckets: Vec<_> = edges.iter().enumerate().filter_map(bucket).collect();
            if !buckets.is_empty() {
                assert_eq!(buckets.len(), edges.len());
                found.push(Histogram {
                    buckets,
                    sum: snapshot.get(series.sum_slot()),
                    count: snapshot.get(series.count_slot()),
                });
            }
        }
        found
    }

    #[test]
    fn summaries_keep_their_quantiles_only_alone() {
        let s = Desc::new("s", MetricType::Summary, Unit::None, "help");
        let s = Arc::new(s.rollup(Rollup::Sum));
        let summary = Summary {
            quantiles: vec![QuantileValue {
                quantile: 0.5,
                value: 3.0,
            }],
            sum: Some(6.0),
            count: Some(2.0),
        };
        let mut page = Snapshot::new();
        page.family(&s).summary(&[("user", "a")], &summary);
        let (mut fold, mut out) = (Fold::new(), Snapshot::new());
        fold.run(&[&page], &mut out, without_user);
        let slots = |out: &Snapshot| {
            let shape = Arc::clone(out.shape());
            let series = shape.family("s").unwrap().series().next().unwrap();
            (0..series.slots())
                .map(|offset| out.get(series.slot().offset(offset)))
                .collect::<Vec<_>>()
        };
        assert_eq!(slots(&out), [Some(3.0), Some(6.0), Some(2.0)]);
        page.family(&s).summary(&[("user", "b")], &summary);
        fold.run(&[&page], &mut out, without_user);
        assert_eq!(slots(&out), [Some(12.0), Some(4.0)]);
    }

    #[test]
    fn parts_join_and_absent_values_stay_absent() {
        let (a, b) = (desc("a", MetricType::Gauge), desc("b", MetricType::Gauge));
        let (mut one, mut two) = (Snapshot::new(), Snapshot::new());
        one.family(&a).sample(&[], 1.0);
        two.family(&b).sample(&[("x", "")], 2.0);
        let (mut fold, mut out) = (Fold::new(), Snapshot::new());
        fold.run(&[&one, &two], &mut out, |_| true);
        assert_eq!(
            (out.value("a", &[]), out.value("b", &[])),
            (Some(1.0), Some(2.0))
        );
        two.clear();
        fold.run(&[&one, &two], &mut out, |_| panic!("the shapes are known"));
        assert_eq!(
            (out.value("a", &[]), out.value("b", &[])),
            (Some(1.0), None)
        );
        assert!(fold.knows_part(1, &two) && !fold.knows_part(1, &one));
        fold.forget();
        assert!(!fold.knows_part(1, &two));
        fold.run(&[&one, &two], &mut out, |series| series.desc.name() == "b");
        assert_eq!(out.value("a", &[]), None);
    }

    #[test]
    fn the_weightiest_newcomers_are_let_in_and_nobody_changes_sides() {
        let mut values = BoundedValues::new(2);
        assert_eq!(
            values.admit([("a", 1.0), ("b", 3.0), ("c", 1.0), ("d", 2.0)]),
            2
        );
        assert_eq!((values.keeps("b"), values.keeps("d")), (true, true));
        assert_eq!((values.knows("a"), values.knows("x")), (true, false));
        // `a` outweighs the others now, and stays folded: it is in the sum of the others.
        assert_eq!(
            values.admit([("a", 9.0), ("b", 3.0), ("c", 1.0), ("d", 2.0)]),
            0
        );
        assert!(!values.keeps("a"));
        // `d` is gone: its place is for somebody new.
        assert_eq!(values.admit([("a", 9.0), ("b", 3.0), ("e", 0.0)]), 0);
        assert_eq!((values.keeps("e"), values.keeps("a")), (true, false));
        assert_eq!((values.kept(), values.folded()), (2, 1));
        // After a restart everybody is new.
        assert_eq!(values.admit([]), 0);
        assert_eq!(values.admit([("a", 0.0), ("z", 0.0), ("b", 0.0)]), 1);
        assert_eq!(
            (values.keeps("a"), values.keeps("b"), values.keeps("z")),
            (true, true, false)
        );
        let mut none = BoundedValues::new(0);
        assert_eq!(none.admit([("a", 1.0)]), 1);
        assert!(!none.keeps("a"));
    }

    #[test]
    fn some_are_kept_whatever_the_limit_and_take_no_place() {
        let mut values = BoundedValues::new(1).always(["vip"]);
        assert_eq!(values.admit([("a", 2.0), ("b", 1.0)]), 1);
        assert_eq!(values.admit([("a", 2.0), ("b", 1.0), ("vip", 0.0)]), 0);
        assert_eq!((values.keeps("vip"), values.keeps("a")), (true, true));
        assert_eq!(values.admit([("vip", 0.0), ("c", 1.0), ("d", 2.0)]), 1);
        assert_eq!((values.keeps("d"), values.keeps("c")), (true, false));
    }

    #[test]
    fn series_that_stay_alone_keep_their_exemplars() {
        let calls = Arc::new(Desc::new(
            "calls_total",
            MetricType::Counter,
            Unit::None,
            "Calls.",
        ));
        let mut page = Snapshot::new();
        for user in ["ann", "bob", "cid"] {
            page.family(&calls).sample(&[("user", user)], 1.0);
        }
        let slots: Vec<Slot> = page
            .shape()
            .families()
            .flat_map(|family| family.series())
            .map(|series| series.slot())
            .collect();
        for slot in slots {
            page.set_exemplar(slot, [("trace_id", "x")], 1.0, None)
                .unwrap();
        }
        let (mut fold, mut out) = (Fold::new(), Snapshot::new());
        for _ in 0..2 {
            fold.run(&[&page], &mut out, |series| {
                let user = &mut series.labels[0].1;
                if user != "ann" {
                    *user = Cow::Borrowed("other");
                }
                true
            });
            assert_eq!(out.value("calls_total", &[("user", "other")]), Some(2.0));
            let kept: Vec<_> = out.exemplars().map(|(slot, _)| slot).collect();
            let ann = out.shape().family("calls_total").unwrap().series().next();
            assert_eq!(kept, [ann.unwrap().slot()]);
        }
    }
}
