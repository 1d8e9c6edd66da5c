//! What one source said at one moment: a shared shape and a flat vector of values.
//!
//! A snapshot is written again and again. As long as the same series come in the same order, a
//! write compares its labels with the shape and stores a number: nothing is allocated. A series
//! that was not there before makes the shape grow, which gives it another [`ShapeId`]; one that
//! stays away is absent, and its place is given up when most of the shape is.
//!
//! [`ShapeId`]: crate::ShapeId

use std::sync::Arc;

use crate::exemplar::Exemplars;
use crate::shape::SeriesIndex;
use crate::tally::{DropReason, Tally};
use crate::{
    Desc, Exemplar, ExemplarError, Histogram, Label, MetricType, SeriesKind, SeriesShape, Shape,
    Slot, Summary,
};

/// Owned, reusable set of families and values from one source at one moment.
///
/// ```
/// use std::sync::Arc;
/// use tokenpath_core::{Desc, MetricType, Snapshot, Unit};
///
/// let running = Arc::new(Desc::new("llm_requests_running", MetricType::Gauge, Unit::None, "In the batch."));
/// let mut snapshot = Snapshot::new();
/// snapshot.family(&running).sample(&[("engine", "0")], 4.0).sample(&[("engine", "1")], 3.0);
/// assert_eq!(snapshot.value("llm_requests_running", &[("engine", "1")]), Some(3.0));
///
/// let shape = snapshot.shape().id();
/// snapshot.clear();
/// snapshot.family(&running).sample(&[("engine", "0")], 5.0);
/// assert_eq!(snapshot.value("llm_requests_running", &[("engine", "1")]), None, "missing is not zero");
/// assert_eq!(snapshot.shape().id(), shape, "and the shape is kept");
/// ```
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    shape: Arc<Shape>,
    values: Vec<f64>,
    /// One bit a slot: whether it holds a value.
    present: Vec<u64>,
    /// The series that is expected next.
    cursor: usize,
    index: Option<SeriesIndex>,
    exemplars: Exemplars,
    tally: Tally,
}

/// A shape is compacted when it has this many series that a reading did not have, and more of them
/// than it had.
const ABSENT_SERIES_KEPT: usize = 64;

impl Snapshot {
    /// An empty snapshot.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets all values, exemplars and the tally; keeps the shape and all memory.
    pub fn clear(&mut self) {
        self.give_up_absent_series();
        self.present.fill(0);
        self.exemplars.clear();
        self.cursor = 0;
        self.tally = Tally::default();
    }

    /// As [`clear`](Self::clear), and takes on the given shape. Costs a pointer comparison where it
    /// has that shape already.
    pub fn reset_to(&mut self, shape: &Arc<Shape>) {
        if !Arc::ptr_eq(&self.shape, shape) {
            self.shape = Arc::clone(shape);
            self.index = None;
            self.values.resize(shape.slots(), 0.0);
            self.present.resize(shape.slots().div_ceil(64), 0);
        }
        self.present.fill(0);
        self.exemplars.clear();
        self.cursor = 0;
        self.tally = Tally::default();
    }

    /// The shape: families, series, slots.
    #[must_use]
    pub fn shape(&self) -> &Arc<Shape> {
        &self.shape
    }

    /// The value in a slot; `None` where the backend did not say one.
    #[must_use]
    #[inline]
    pub fn get(&self, slot: Slot) -> Option<f64> {
        let (word, bit) = (slot.index() / 64, slot.index() % 64);
        let present = self
            .present
            .get(word)
            .is_some_and(|bits| bits >> bit & 1 == 1);
        if present {
            self.values.get(slot.index()).copied()
        } else {
            None
        }
    }

    /// Puts a value into a slot of the shape.
    ///
    /// # Panics
    ///
    /// If the slot is of another, larger shape.
    #[inline]
    pub fn set(&mut self, slot: Slot, value: f64) {
        self.values[slot.index()] = value;
        self.present[slot.index() / 64] |= 1 << (slot.index() % 64);
    }

    /// Adds to a slot: sets it where it is absent.
    ///
    /// # Panics
    ///
    /// As [`set`](Self::set).
    pub fn add(&mut self, slot: Slot, value: f64) {
        self.set(slot, self.get(slot).map_or(value, |before| before + value));
    }

    /// Raises a slot to a value: sets it where it is absent.
    ///
    /// # Panics
    ///
    /// As [`set`](Self::set).
    pub fn raise(&mut self, slot: Slot, value: f64) {
        self.set(
            slot,
            self.get(slot).map_or(value, |before| before.max(value)),
        );
    }

    /// Sets the exemplar of a counter's value or of a bucket, with its labels, value and time in
    /// milliseconds since 1970; one that was there is replaced. It goes out with the value, where
    /// there is one and the format has exemplars. Characters that cannot stand in a label name become
    /// underscores.
    ///
    /// # Errors
    ///
    /// Where an exemplar cannot stand there; what was there before stays.
    pub fn set_exemplar<'l>(
        &mut self,
        slot: Slot,
        labels: impl IntoIterator<Item = Label<'l>>,
        value: f64,
        timestamp_ms: Option<i64>,
    ) -> Result<(), ExemplarError> {
        self.exemplars
            .push(&self.shape, slot, labels, value, timestamp_ms)?;
        self.exemplars.keep_last();
        Ok(())
    }

    /// Forgets all exemplars, and keeps the values.
    pub fn clear_exemplars(&mut self) {
        self.exemplars.clear();
    }

    /// The exemplar that stands on a slot.
    #[must_use]
    #[inline]
    pub fn exemplar(&self, slot: Slot) -> Option<Exemplar<'_>> {
        self.exemplars.get(slot)
    }

    /// All exemplars, in the order of their slots.
    pub fn exemplars(&self) -> impl ExactSizeIterator<Item = (Slot, Exemplar<'_>)> {
        self.exemplars.iter()
    }

    /// The shape, and the exemplars to fill.
    pub(crate) fn exemplars_mut(&mut self) -> (&Shape, &mut Exemplars) {
        (&self.shape, &mut self.exemplars)
    }

    /// Whether any slot of the series holds a value.
    #[must_use]
    pub fn has(&self, series: SeriesShape<'_>) -> bool {
        (0..series.slots()).any(|offset| self.get(series.slot().offset(offset)).is_some())
    }

    /// What was counted while this was written.
    #[must_use]
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// As [`tally`](Self::tally), to count on.
    pub fn tally_mut(&mut self) -> &mut Tally {
        &mut self.tally
    }

    /// Makes absent every family that `keep` says no to, and counts what was there as
    /// [`DropReason::Filtered`].
    pub fn retain_families(&mut self, keep: impl Fn(&Desc) -> bool) {
        let shape = Arc::clone(&self.shape);
        for family in shape.families().filter(|family| !keep(family.desc())) {
            for series in family.series() {
                self.make_absent(series, DropReason::Filtered);
            }
        }
    }

    /// Makes absent every series after the first `limit` that hold a value, and counts them as
    /// [`DropReason::SeriesLimit`]. Families count in their order; a histogram is one series a line.
    pub fn limit_series(&mut self, limit: usize) {
        if self.shape.slots() <= limit {
            return;
        }
        let shape = Arc::clone(&self.shape);
        let mut lines = 0;
        for series in shape.families().flat_map(|family| family.series()) {
            let present = self.present_slots(series);
            if lines + present > limit {
                self.make_absent(series, DropReason::SeriesLimit);
            } else {
                lines += present;
            }
        }
    }

    /// How many slots of the series hold a value.
    fn present_slots(&self, series: SeriesShape<'_>) -> usize {
        (0..series.slots())
            .filter(|offset| self.get(series.slot().offset(*offset)).is_some())
            .count()
    }

    fn make_absent(&mut self, series: SeriesShape<'_>, reason: DropReason) {
        let present = self.present_slots(series);
        self.tally.drop_samples(reason, present as u64);
        for offset in 0..series.slots() {
            let slot = series.slot().offset(offset).index();
            self.present[slot / 64] &= !(1 << (slot % 64));
        }
    }

    /// Starts or continues a family. A family of the same name and another type is refused: what is
    /// written to it is counted and dropped.
    pub fn family<'s>(&'s mut self, desc: &Arc<Desc>) -> FamilyWriter<'s> {
        let expected = (self.cursor < self.shape.series_count())
            .then(|| self.shape.family_of_series(self.cursor))
            .filter(|family| Arc::ptr_eq(self.shape.family_desc(*family), desc));
        let family = match expected.or_else(|| self.shape.find_family(desc)) {
            Some(family) if self.shape.family_desc(family).kind() == desc.kind() => Some(family),
            Some(_) => None,
            None => Some(Arc::make_mut(&mut self.shape).push_family(desc)),
        };
        FamilyWriter {
            snapshot: self,
            family,
        }
    }

    /// The value of a series of plain values by name and labels (in any order, all of them).
    /// For tests and occasional looks: it searches.
    #[must_use]
    pub fn value(&self, family: &str, labels: &[Label<'_>]) -> Option<f64> {
        self.get(self.find(family, labels)?.slot())
    }

    /// The histogram of a series by name and labels (in any order, all of them), with the buckets,
    /// sum and count that are present. It searches and allocates.
    #[must_use]
    pub fn histogram(&self, family: &str, labels: &[Label<'_>]) -> Option<Histogram> {
        let series = self.find(family, labels)?;
        let SeriesKind::Histogram(edges) = series.kind() else {
            return None;
        };
        if !self.has(series) {
            return None;
        }
        let bucket = |(index, le): (usize, &f64)| {
            Some(crate::Bucket {
                le: *le,
                count: self.get(series.edge_slot(index))?,
            })
        };
        Some(Histogram {
            buckets: edges.iter().enumerate().filter_map(bucket).collect(),
            sum: self.get(series.sum_slot()),
            count: self.get(series.count_slot()),
        })
    }

    fn find(&self, family: &str, labels: &[Label<'_>]) -> Option<SeriesShape<'_>> {
        self.shape.family(family)?.series().find(|series| {
            series.labels().len() == labels.len()
                && labels
                    .iter()
                    .all(|(name, value)| series.label(name) == Some(*value))
                && self.has(*series)
        })
    }

    /// Finds or makes a series; gives its index and whether it was there.
    fn series(&mut self, family: usize, labels: &[Label<'_>], kind: SeriesKind<'_>) -> usize {
        if self.cursor < self.shape.series_count()
            && self.shape.family_of_series(self.cursor) == family
            && self.shape.series_at(self.cursor).is(labels, kind)
        {
            self.cursor += 1;
            return self.cursor - 1;
        }
        let index = self
            .index
            .get_or_insert_with(|| SeriesIndex::of(&self.shape));
        if let Some(found) = index.find(&self.shape, family, labels)
            && self.shape.series_at(found).kind() == kind
        {
            self.cursor = found + 1;
            return found;
        }
        let shape = Arc::make_mut(&mut self.shape);
        let made = shape.push_series(family, labels.iter().copied(), kind);
        index.insert(shape, family, labels, made);
        self.values.resize(shape.slots(), 0.0);
        self.present.resize(shape.slots().div_ceil(64), 0);
        self.cursor = made + 1;
        made
    }

    fn give_up_absent_series(&mut self) {
        let total = self.shape.series_count();
        if total < ABSENT_SERIES_KEPT {
            return;
        }
        let live = (0..total)
            .filter(|index| self.has(self.shape.series_at(*index)))
            .count();
        if live == 0 || total - live < ABSENT_SERIES_KEPT || total - live <= live {
            return;
        }
        let mut kept = Shape::new();
        for index in 0..total {
            let series = self.shape.series_at(index);
            if self.has(series) {
                let desc = self.shape.family_desc(self.shape.family_of_series(index));
                let family = kept
                    .find_family(desc)
                    .unwrap_or_else(|| kept.push_family(desc));
                kept.push_series(family, series.labels(), series.kind());
            }
        }
        self.values.truncate(kept.slots());
        self.present.truncate(kept.slots().div_ceil(64));
        self.shape = Arc::new(kept);
        self.index = None;
    }
}

/// Writes the series of one family into a [`Snapshot`].
#[derive(Debug)]
pub struct FamilyWriter<'s> {
    snapshot: &'s mut Snapshot,
    /// `None` where the family clashed with one of another type.
    family: Option<usize>,
}

impl FamilyWriter<'_> {
    /// A series with one value. NaN is dropped and counted; so is a series that was written before.
    pub fn sample(&mut self, labels: &[Label<'_>], value: f64) -> &mut Self {
        if let Some(slot) = self.declare(labels, SeriesKind::Value) {
            self.put(slot, value);
        }
        self
    }

    /// A series with buckets, sum and count.
    pub fn histogram(&mut self, labels: &[Label<'_>], histogram: &Histogram) -> &mut Self {
        // Edges are compared on the stack for the usual sizes, so that a warm write allocates nothing.
        let edges: SmallEdges = histogram.buckets.iter().map(|bucket| bucket.le).collect();
        if let Some(slot) = self.declare(labels, SeriesKind::Histogram(edges.as_slice())) {
            for (index, bucket) in histogram.buckets.iter().enumerate() {
                self.put(slot.offset(index), bucket.count);
            }
            self.put_ends(
                slot.offset(histogram.buckets.len()),
                histogram.sum,
                histogram.count,
            );
        }
        self
    }

    /// A series with quantiles, sum and count.
    pub fn summary(&mut self, labels: &[Label<'_>], summary: &Summary) -> &mut Self {
        let edges: SmallEdges = summary.quantiles.iter().map(|at| at.quantile).collect();
        if let Some(slot) = self.declare(labels, SeriesKind::Summary(edges.as_slice())) {
            for (index, at) in summary.quantiles.iter().enumerate() {
                self.put(slot.offset(index), at.value);
            }
            self.put_ends(
                slot.offset(summary.quantiles.len()),
                summary.sum,
                summary.count,
            );
        }
        self
    }

    /// Makes room for a series and gives its first slot, to be filled by [`Snapshot::set`]. `None`
    /// where the family was refused, the kind does not fit the family's type, or the series already
    /// holds a value; this is counted.
    pub fn declare(&mut self, labels: &[Label<'_>], kind: SeriesKind<'_>) -> Option<Slot> {
        let Some(family) = self.family else {
            self.snapshot.tally.drop_sample(DropReason::TypeClash);
            return None;
        };
        let fits = match self.snapshot.shape.family_desc(family).kind() {
            MetricType::Histogram | MetricType::GaugeHistogram => {
                matches!(kind, SeriesKind::Histogram(_))
            }
            MetricType::Summary => matches!(kind, SeriesKind::Summary(_)),
            _ => matches!(kind, SeriesKind::Value),
        };
        if !fits {
            self.snapshot.tally.drop_sample(DropReason::TypeClash);
            return None;
        }
        let series = self.snapshot.series(family, labels, kind);
        let series = self.snapshot.shape.series_at(series);
        if self.snapshot.has(series) {
            self.snapshot.tally.drop_sample(DropReason::Duplicate);
            return None;
        }
        Some(series.slot())
    }

    fn put(&mut self, slot: Slot, value: f64) {
        if value.is_nan() {
            self.snapshot.tally.drop_sample(DropReason::NotANumber);
        } else {
            self.snapshot.set(slot, value);
        }
    }

    fn put_ends(&mut self, slot: Slot, sum: Option<f64>, count: Option<f64>) {
        if let Some(sum) = sum {
            self.put(slot, sum);
        }
        if let Some(count) = count {
            self.put(slot.offset(1), count);
        }
    }
}

/// Edges on the stack up to a usual number of buckets, on the heap beyond.
#[expect(
    clippy::large_enum_variant,
    reason = "it lives on the stack only, and that is its point"
)]
enum SmallEdges {
    Stack([f64; Self::ON_STACK], usize),
    Heap(Vec<f64>),
}

impl SmallEdges {
    const ON_STACK: usize = 64;

    fn as_slice(&self) -> &[f64] {
        match self {
            Self::Stack(edges, len) => &edges[..*len],
            Self::Heap(edges) => edges,
        }
    }
}

impl FromIterator<f64> for SmallEdges {
    fn from_iter<I: IntoIterator<Item = f64>>(edges: I) -> Self {
        let mut edges = edges.into_iter();
        let mut stack = [0.0; Self::ON_STACK];
        let mut len = 0;
        for edge in edges.by_ref() {
            if len == Self::ON_STACK {
                let mut heap = stack.to_vec();
                heap.push(edge);
                heap.extend(edges);
                return Self::Heap(heap);
            }
            stack[len] = edge;
            len += 1;
        }
        Self::Stack(stack, len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Bucket, QuantileValue, Unit};

    fn gauge(name: &str) -> Arc<Desc> {
        Arc::new(Desc::owned(
            name.into(),
            MetricType::Gauge,
            Unit::None,
            "help".into(),
        ))
    }

    #[test]
    fn the_same_series_in_the_same_order_keep_the_shape() {
        let (a, b) = (gauge("a"), gauge("b"));
        let mut snapshot = Snapshot::new();
        let write = |snapshot: &mut Snapshot, value: f64| {
            snapshot.clear();
            snapshot
                .family(&a)
                .sample(&[("x", "1")], value)
                .sample(&[("x", "2")], value + 1.0);
            snapshot.family(&b).sample(&[], value + 2.0);
            snapshot.shape().id()
        };
        let first = write(&mut snapshot, 1.0);
        assert_eq!(write(&mut snapshot, 5.0), first);
        assert_eq!(snapshot.value("a", &[("x", "2")]), Some(6.0));
        assert_eq!(snapshot.value("b", &[]), Some(7.0));
    }

    #[test]
    fn another_order_of_series_and_labels_finds_the_same_slots() {
        let a = gauge("a");
        let mut snapshot = Snapshot::new();
        snapshot
            .family(&a)
            .sample(&[("x", "1"), ("y", "1")], 1.0)
            .sample(&[("x", "2"), ("y", "2")], 2.0);
        let shape = snapshot.shape().id();
        snapshot.clear();
        snapshot
            .family(&a)
            .sample(&[("y", "2"), ("x", "2")], 20.0)
            .sample(&[("y", "1"), ("x", "1")], 10.0);
        assert_eq!(snapshot.shape().id(), shape);
        assert_eq!(snapshot.value("a", &[("x", "1"), ("y", "1")]), Some(10.0));
    }

    #[test]
    fn a_series_written_twice_keeps_its_first_value_and_is_counted() {
        let a = gauge("a");
        let mut snapshot = Snapshot::new();
        snapshot.family(&a).sample(&[], 1.0).sample(&[], 2.0);
        assert_eq!(snapshot.value("a", &[]), Some(1.0));
        assert_eq!(snapshot.tally().dropped(DropReason::Duplicate), 1);
    }

    #[test]
    fn a_family_of_another_type_is_refused_and_counted() {
        let a = gauge("a");
        let clash = Arc::new(Desc::new("a", MetricType::Counter, Unit::None, "help"));
        let mut snapshot = Snapshot::new();
        snapshot.family(&a).sample(&[], 1.0);
        snapshot.family(&clash).sample(&[("x", "1")], 2.0);
        assert_eq!(snapshot.tally().dropped(DropReason::TypeClash), 1);
        assert_eq!(snapshot.value("a", &[("x", "1")]), None);
    }

    #[test]
    fn not_a_number_is_absent_and_counted() {
        let a = gauge("a");
        let mut snapshot = Snapshot::new();
        snapshot.family(&a).sample(&[], f64::NAN);
        assert_eq!(snapshot.value("a", &[]), None);
        assert_eq!(snapshot.tally().dropped(DropReason::NotANumber), 1);
    }

    #[test]
    fn histograms_and_summaries_come_back_as_written() {
        let h = Arc::new(Desc::new("h", MetricType::Histogram, Unit::None, "help"));
        let s = Arc::new(Desc::new("s", MetricType::Summary, Unit::None, "help"));
        let many = |edges: u32| Histogram {
            buckets: (0..edges)
                .map(|edge| Bucket {
                    le: f64::from(edge),
                    count: f64::from(edge),
                })
                .chain([Bucket {
                    le: f64::INFINITY,
                    count: 1000.0,
                }])
                .collect(),
            sum: Some(7.5),
            count: None,
        };
        for edges in [0, 3, 63, 64, 200] {
            let mut snapshot = Snapshot::new();
            let histogram = many(edges);
            snapshot.family(&h).histogram(&[("m", "x")], &histogram);
            assert_eq!(
                snapshot.histogram("h", &[("m", "x")]),
                Some(histogram.clone())
            );
            let shape = snapshot.shape().id();
            snapshot.clear();
            snapshot.family(&h).histogram(&[("m", "x")], &histogram);
            assert_eq!(snapshot.shape().id(), shape);
        }
        let mut snapshot = Snapshot::new();
        let summary = Summary {
            quantiles: vec![QuantileValue {
                quantile: 0.5,
                value: 2.0,
            }],
            sum: Some(9.0),
            count: Some(3.0),
        };
        snapshot.family(&s).summary(&[], &summary);
        let series = snapshot
            .shape()
            .family("s")
            .unwrap()
            .series()
            .next()
            .unwrap();
        assert_eq!(series.kind(), SeriesKind::Summary(&[0.5]));
        assert_eq!(snapshot.get(series.edge_slot(0)), Some(2.0));
        assert_eq!(snapshot.get(series.sum_slot()), Some(9.0));
        assert_eq!(snapshot.get(series.count_slot()), Some(3.0));
    }

    #[test]
    fn other_edges_replace_a_histogram() {
        let h = Arc::new(Desc::new("h", MetricType::Histogram, Unit::None, "help"));
        let with = |le: f64| Histogram {
            buckets: vec![Bucket { le, count: 1.0 }],
            sum: None,
            count: None,
        };
        let mut snapshot = Snapshot::new();
        snapshot.family(&h).histogram(&[], &with(1.0));
        snapshot.clear();
        snapshot.family(&h).histogram(&[], &with(2.0));
        assert_eq!(snapshot.histogram("h", &[]), Some(with(2.0)));
        snapshot.clear();
        snapshot.family(&h).histogram(&[], &with(2.0));
        assert_eq!(snapshot.histogram("h", &[]), Some(with(2.0)));
        assert_eq!(snapshot.tally().dropped(DropReason::Duplicate), 0);
    }

    #[test]
    fn filtered_families_and_series_over_the_limit_are_absent_and_counted() {
        let (a, b) = (gauge("a"), gauge("b"));
        let mut snapshot = Snapshot::new();
        snapshot
            .family(&a)
            .sample(&[("x", "1")], 1.0)
            .sample(&[("x", "2")], 2.0)
            .sample(&[("x", "3")], 3.0);
        snapshot.family(&b).sample(&[], 4.0);
        snapshot.retain_families(|desc| desc.name() == "a");
        assert_eq!(snapshot.value("b", &[]), None);
        assert_eq!(snapshot.tally().dropped(DropReason::Filtered), 1);
        snapshot.limit_series(2);
        assert_eq!(snapshot.value("a", &[("x", "2")]), Some(2.0));
        assert_eq!(snapshot.value("a", &[("x", "3")]), None);
        assert_eq!(snapshot.tally().dropped(DropReason::SeriesLimit), 1);
    }

    #[test]
    fn places_of_series_that_went_away_are_given_up() {
        let a = gauge("a");
        let mut snapshot = Snapshot::new();
        for round in 0..1000 {
            snapshot.clear();
            snapshot
                .family(&a)
                .sample(&[("user", &round.to_string())], 1.0);
        }
        assert!(
            snapshot.shape().series_count() <= 2 * ABSENT_SERIES_KEPT,
            "{}",
            snapshot.shape().series_count()
        );
        assert_eq!(snapshot.value("a", &[("user", "999")]), Some(1.0));
    }
}
