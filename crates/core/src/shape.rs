//! The shape of a snapshot: which series there are, without their values.
//!
//! A shape is shared and immutable once handed out; its [`ShapeId`] is unique in the process, so
//! whoever derives something from a shape (the encoder its rendered prefixes, a roll-up its plan)
//! keeps the result by that id and compares one number at the next reading.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::{Desc, Label};

/// The identity of a [`Shape`], unique in the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShapeId(u64);

impl ShapeId {
    fn fresh() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// The place of one value in a snapshot of a shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot(pub(crate) u32);

impl Slot {
    /// The index into the flat vector of values.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// The slot `offset` places on, within the slots of one series.
    #[must_use]
    pub(crate) const fn offset(self, offset: usize) -> Self {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a series has far fewer than 2^32 slots"
        )]
        Self(self.0 + offset as u32)
    }
}

/// What the slots of a series hold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SeriesKind<'a> {
    /// One value.
    Value,
    /// A cumulative count for each of these edges, then the sum, then the count.
    Histogram(&'a [f64]),
    /// A value for each of these quantiles, then the sum, then the count.
    Summary(&'a [f64]),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Value,
    Histogram,
    Summary,
}

impl SeriesKind<'_> {
    const fn kind(&self) -> Kind {
        match self {
            Self::Value => Kind::Value,
            Self::Histogram(_) => Kind::Histogram,
            Self::Summary(_) => Kind::Summary,
        }
    }

    const fn edges(&self) -> &[f64] {
        match self {
            Self::Value => &[],
            Self::Histogram(edges) | Self::Summary(edges) => edges,
        }
    }

    const fn slots(&self) -> usize {
        match self {
            Self::Value => 1,
            Self::Histogram(edges) | Self::Summary(edges) => edges.len() + 2,
        }
    }
}

#[derive(Clone, Debug)]
struct FamilyRow {
    desc: Arc<Desc>,
    series: Vec<u32>,
}

#[derive(Clone, Debug)]
struct SeriesRow {
    family: u32,
    kind: Kind,
    labels: Range<u32>,
    edges: Range<u32>,
    slot: Slot,
}

/// Which families, series, labels and slots a snapshot has.
#[derive(Clone, Debug)]
pub struct Shape {
    id: ShapeId,
    families: Vec<FamilyRow>,
    series: Vec<SeriesRow>,
    /// Ends of the label names and values in `text`: name, value, name, value …
    labels: Vec<(u32, u32)>,
    edges: Vec<f64>,
    text: String,
    slots: usize,
}

impl Default for Shape {
    fn default() -> Self {
        Self::new()
    }
}

impl Shape {
    /// A shape without series.
    #[must_use]
    pub fn new() -> Self {
        Self {
            id: ShapeId::fresh(),
            families: Vec::new(),
            series: Vec::new(),
            labels: Vec::new(),
            edges: Vec::new(),
            text: String::new(),
            slots: 0,
        }
    }

    /// The identity: equal ids mean the same series in the same slots.
    #[must_use]
    pub const fn id(&self) -> ShapeId {
        self.id
    }

    /// How many values a snapshot of this shape can hold.
    #[must_use]
    pub const fn slots(&self) -> usize {
        self.slots
    }

    /// How many series there are.
    #[must_use]
    pub fn series_count(&self) -> usize {
        self.series.len()
    }

    /// The families in order of their first series.
    pub fn families(&self) -> impl ExactSizeIterator<Item = FamilyShape<'_>> {
        self.families
            .iter()
            .map(move |row| FamilyShape { shape: self, row })
    }

    /// The family of a name.
    #[must_use]
    pub fn family(&self, name: &str) -> Option<FamilyShape<'_>> {
        self.families().find(|family| family.desc().name() == name)
    }

    /// Bytes on the heap that this shape keeps, roughly.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.text.capacity()
            + self.labels.capacity() * size_of::<(u32, u32)>()
            + self.edges.capacity() * size_of::<f64>()
            + self.series.capacity() * size_of::<SeriesRow>()
            + self
                .families
                .iter()
                .map(|row| size_of::<FamilyRow>() + row.series.capacity() * size_of::<u32>())
                .sum::<usize>()
    }

    pub(crate) fn series_at(&self, index: usize) -> SeriesShape<'_> {
        SeriesShape {
            shape: self,
            row: &self.series[index],
        }
    }

    pub(crate) fn family_of_series(&self, index: usize) -> usize {
        self.series[index].family as usize
    }

    pub(crate) fn find_family(&self, desc: &Arc<Desc>) -> Option<usize> {
        self.families
            .iter()
            .position(|row| Arc::ptr_eq(&row.desc, desc) || row.desc.name() == desc.name())
    }

    pub(crate) fn family_desc(&self, family: usize) -> &Arc<Desc> {
        &self.families[family].desc
    }

    pub(crate) fn push_family(&mut self, desc: &Arc<Desc>) -> usize {
        self.id = ShapeId::fresh();
        self.families.push(FamilyRow {
            desc: Arc::clone(desc),
            series: Vec::new(),
        });
        self.families.len() - 1
    }

    /// Adds a series without looking whether it is there; gives its index.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "limits keep a page far below 2^32 of anything"
    )]
    pub(crate) fn push_series<'l>(
        &mut self,
        family: usize,
        labels: impl Iterator<Item = Label<'l>>,
        kind: SeriesKind<'_>,
    ) -> usize {
        self.id = ShapeId::fresh();
        let first_label = self.labels.len() as u32;
        for (name, value) in labels {
            self.text.push_str(name);
            let name_end = self.text.len() as u32;
            self.text.push_str(value);
            self.labels.push((name_end, self.text.len() as u32));
        }
        let first_edge = self.edges.len() as u32;
        self.edges.extend_from_slice(kind.edges());
        let index = self.series.len();
        self.series.push(SeriesRow {
            family: family as u32,
            kind: kind.kind(),
            labels: first_label..self.labels.len() as u32,
            edges: first_edge..self.edges.len() as u32,
            slot: Slot(self.slots as u32),
        });
        self.slots += kind.slots();
        self.families[family].series.push(index as u32);
        index
    }

    /// The family and series that a slot belongs to.
    pub(crate) fn at_slot(&self, slot: Slot) -> Option<(&Arc<Desc>, SeriesShape<'_>)> {
        // Series have their slots in the order they were made.
        let behind = self.series.partition_point(|row| row.slot <= slot);
        let series = self.series_at(behind.checked_sub(1)?);
        (slot.index() < series.slot().index() + series.slots())
            .then(|| (self.family_desc(series.row.family as usize), series))
    }

    fn label_at(&self, index: usize) -> Label<'_> {
        let start = index
            .checked_sub(1)
            .map_or(0, |before| self.labels[before].1 as usize);
        let (name_end, value_end) = self.labels[index];
        let name = self.text.get(start..name_end as usize);
        let value = self.text.get(name_end as usize..value_end as usize);
        (name.unwrap_or_default(), value.unwrap_or_default())
    }
}

/// One family of a [`Shape`].
#[derive(Clone, Copy, Debug)]
pub struct FamilyShape<'a> {
    shape: &'a Shape,
    row: &'a FamilyRow,
}

impl<'a> FamilyShape<'a> {
    /// Its description.
    #[must_use]
    pub fn desc(&self) -> &'a Arc<Desc> {
        &self.row.desc
    }

    /// Its series in the order they were first written.
    pub fn series(&self) -> impl ExactSizeIterator<Item = SeriesShape<'a>> + use<'a> {
        let shape = self.shape;
        self.row
            .series
            .iter()
            .map(move |&index| shape.series_at(index as usize))
    }
}

/// One series of a [`Shape`].
#[derive(Clone, Copy, Debug)]
pub struct SeriesShape<'a> {
    shape: &'a Shape,
    row: &'a SeriesRow,
}

impl<'a> SeriesShape<'a> {
    /// Its labels in the order they were written, without `le` and `quantile`.
    pub fn labels(&self) -> impl ExactSizeIterator<Item = Label<'a>> + Clone + use<'a> {
        let shape = self.shape;
        (self.row.labels.start as usize..self.row.labels.end as usize)
            .map(move |index| shape.label_at(index))
    }

    /// The value of one label.
    #[must_use]
    pub fn label(&self, name: &str) -> Option<&'a str> {
        self.labels()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value)
    }

    /// What its slots hold.
    #[must_use]
    pub fn kind(&self) -> SeriesKind<'a> {
        let edges = &self.shape.edges[self.row.edges.start as usize..self.row.edges.end as usize];
        match self.row.kind {
            Kind::Value => SeriesKind::Value,
            Kind::Histogram => SeriesKind::Histogram(edges),
            Kind::Summary => SeriesKind::Summary(edges),
        }
    }

    /// Its first slot: the value, or the first bucket or quantile.
    #[must_use]
    pub fn slot(&self) -> Slot {
        self.row.slot
    }

    /// The slot of the bucket or quantile `index`.
    #[must_use]
    pub fn edge_slot(&self, index: usize) -> Slot {
        self.row.slot.offset(index)
    }

    /// The slot of the sum. For a plain value, that of the value.
    #[must_use]
    pub fn sum_slot(&self) -> Slot {
        self.row.slot.offset(self.row.edges.len())
    }

    /// The slot of the count. For a plain value, that of the value.
    #[must_use]
    pub fn count_slot(&self) -> Slot {
        let offset = match self.row.kind {
            Kind::Value => 0,
            Kind::Histogram | Kind::Summary => self.row.edges.len() + 1,
        };
        self.row.slot.offset(offset)
    }

    /// How many slots it has.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.kind().slots()
    }

    pub(crate) fn is(&self, labels: &[Label<'_>], kind: SeriesKind<'_>) -> bool {
        self.kind() == kind && self.labels().eq(labels.iter().copied())
    }

    fn same_labels(&self, labels: &[Label<'_>]) -> bool {
        self.row.labels.len() == labels.len()
            && labels
                .iter()
                .all(|(name, value)| self.label(name) == Some(*value))
    }
}

/// Finds series of a shape by family and labels, whatever the order of the labels.
///
/// Apart from the shape because only a shape that still grows needs it.
#[derive(Clone, Debug, Default)]
pub(crate) struct SeriesIndex {
    hasher: RandomState,
    /// The newest series of each identity, by its hash; a full collision falls to `collided`.
    newest: HashMap<u64, u32>,
    collided: Vec<u32>,
}

impl SeriesIndex {
    pub(crate) fn of(shape: &Shape) -> Self {
        let mut index = Self::default();
        let mut labels = Vec::new();
        for series in 0..shape.series.len() {
            labels.clear();
            labels.extend(shape.series_at(series).labels());
            index.insert(shape, shape.family_of_series(series), &labels, series);
        }
        index
    }

    fn hash(&self, family: usize, labels: &[Label<'_>]) -> u64 {
        // A sum, so that the order of the labels does not matter.
        labels
            .iter()
            .map(|label| self.hasher.hash_one(label))
            .fold(self.hasher.hash_one(family), u64::wrapping_add)
    }

    pub(crate) fn find(&self, shape: &Shape, family: usize, labels: &[Label<'_>]) -> Option<usize> {
        let matches = |index: &u32| {
            shape.family_of_series(*index as usize) == family
                && shape.series_at(*index as usize).same_labels(labels)
        };
        let newest = self
            .newest
            .get(&self.hash(family, labels))
            .filter(|index| matches(index));
        let found = newest.or_else(|| self.collided.iter().rev().find(|index| matches(index)));
        found.map(|index| *index as usize)
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "limits keep a page far below 2^32 series"
    )]
    pub(crate) fn insert(
        &mut self,
        shape: &Shape,
        family: usize,
        labels: &[Label<'_>],
        series: usize,
    ) {
        let known = self.find(shape, family, labels);
        let replaced = self.newest.insert(self.hash(family, labels), series as u32);
        if let Some(replaced) = replaced.filter(|replaced| Some(*replaced as usize) != known) {
            self.collided.push(replaced);
        }
    }
}
