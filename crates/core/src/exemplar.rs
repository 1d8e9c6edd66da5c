//! Exemplars of a snapshot: single observations that went into a counter or a bucket, each with
//! labels that lead to where it came from (`trace_id`).
//!
//! They stand beside the values, by slot, and outside the shape: a page that has other exemplars than
//! the one before has the same shape. A snapshot without exemplars costs nothing for them.

use std::fmt::{self, Display, Write};
use std::ops::Range;

use crate::{Label, MetricType, SeriesKind, Shape, Slot, is_label_name};

/// The labels of an exemplar, names and values together, have at most so many characters
/// (OpenMetrics 1.0).
pub const EXEMPLAR_CHARACTERS: usize = 128;

/// One observation that went into a counter or a bucket.
///
/// Borrowed from a [`Snapshot`](crate::Snapshot). Its value is in the unit of the family.
#[derive(Clone, Copy, Debug)]
pub struct Exemplar<'a> {
    all: &'a Exemplars,
    row: &'a Row,
}

impl<'a> Exemplar<'a> {
    /// Its labels, in the order they were given. The names are legal, each stands once.
    pub fn labels(&self) -> impl ExactSizeIterator<Item = Label<'a>> + Clone + use<'a> {
        let (all, row) = (self.all, self.row);
        (row.labels.start as usize..row.labels.end as usize).map(move |index| all.label(row, index))
    }

    /// The observed value.
    #[must_use]
    pub const fn value(&self) -> f64 {
        self.row.value
    }

    /// When it was observed, in milliseconds since 1970.
    #[must_use]
    pub const fn timestamp_ms(&self) -> Option<i64> {
        self.row.timestamp_ms
    }
}

impl PartialEq for Exemplar<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.labels().eq(other.labels())
            && self.value().to_bits() == other.value().to_bits()
            && self.timestamp_ms() == other.timestamp_ms()
    }
}

/// Why an exemplar was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExemplarError {
    /// Only counters and buckets have exemplars.
    #[error("an exemplar belongs to a counter or a bucket")]
    NoPlace,
    /// The observation would have been counted in another bucket, or is not a number.
    #[error("the value is not one that the bucket counts")]
    OutsideBucket,
    /// More than [`EXEMPLAR_CHARACTERS`].
    #[error("the labels of an exemplar have at most {EXEMPLAR_CHARACTERS} characters")]
    TooLong,
    /// Two labels have the same name, once characters that cannot stand in one are underscores.
    #[error("two labels of the exemplar have the same name")]
    DuplicateLabel,
    /// A zero byte in a label value: Prometheus reads none there.
    #[error("a label of the exemplar has a zero byte")]
    ZeroByte,
}

#[derive(Clone, Debug)]
struct Row {
    slot: Slot,
    value: f64,
    timestamp_ms: Option<i64>,
    /// Where its text begins.
    text: u32,
    labels: Range<u32>,
}

/// The exemplars of a snapshot.
#[derive(Clone, Debug, Default)]
pub(crate) struct Exemplars {
    /// By slot, once settled.
    rows: Vec<Row>,
    /// Ends of the label names and values in `text`.
    labels: Vec<(u32, u32)>,
    text: String,
}

impl Exemplars {
    /// Forgets all, keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.rows.clear();
        self.labels.clear();
        self.text.clear();
    }

    /// Adds one. [`settle`](Self::settle) comes before the first look. Allocates only where there is
    /// not room left from before.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "limits keep a page far below 2^32 of anything"
    )]
    pub(crate) fn push<N: Display, V: Display>(
        &mut self,
        shape: &Shape,
        slot: Slot,
        labels: impl IntoIterator<Item = (N, V)>,
        value: f64,
        timestamp_ms: Option<i64>,
    ) -> Result<(), ExemplarError> {
        fits(shape, slot, value)?;
        let (first_label, first_text) = (self.labels.len(), self.text.len());
        let result = self.push_labels(labels, first_label, first_text);
        if let Err(error) = result {
            self.labels.truncate(first_label);
            self.text.truncate(first_text);
            return Err(error);
        }
        self.rows.push(Row {
            slot,
            value,
            timestamp_ms,
            text: first_text as u32,
            labels: first_label as u32..self.labels.len() as u32,
        });
        Ok(())
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "limits keep a page far below 2^32 of anything"
    )]
    fn push_labels<N: Display, V: Display>(
        &mut self,
        labels: impl IntoIterator<Item = (N, V)>,
        first_label: usize,
        first_text: usize,
    ) -> Result<(), ExemplarError> {
        for (name, value) in labels {
            let start = self.text.len();
            let mut legal = LegalName(&mut self.text, start);
            // Writing to a string does not fail.
            let _ = write!(legal, "{name}");
            legal.finish();
            let name_end = self.text.len();
            let _ = write!(self.text, "{value}");
            let value = self.text.as_bytes().get(name_end..).unwrap_or_default();
            if memchr::memchr(0, value).is_some() {
                return Err(ExemplarError::ZeroByte);
            }
            let characters = self.text.get(first_text..).unwrap_or_default().chars();
            if characters.count() > EXEMPLAR_CHARACTERS {
                return Err(ExemplarError::TooLong);
            }
            let is_known = {
                let name = self.text.get(start..name_end);
                let mut at = first_text;
                self.labels.iter().skip(first_label).any(|(end, next)| {
                    let known = self.text.get(at..*end as usize);
                    at = *next as usize;
                    known == name
                })
            };
            if is_known {
                return Err(ExemplarError::DuplicateLabel);
            }
            self.labels.push((name_end as u32, self.text.len() as u32));
        }
        Ok(())
    }

    /// Sorts by slot. Of several for one slot the newest stays; one without a time counts as the
    /// oldest.
    pub(crate) fn settle(&mut self) {
        let key = |row: &Row| (row.slot, std::cmp::Reverse(row.timestamp_ms));
        if !self.rows.is_sorted_by_key(key) {
            self.rows.sort_unstable_by_key(key);
        }
        self.rows.dedup_by_key(|row| row.slot);
    }

    /// Puts the one that was added last in its place; it replaces one of the same slot.
    pub(crate) fn keep_last(&mut self) {
        let Some(last) = self.rows.pop() else { return };
        match self.rows.binary_search_by_key(&last.slot, |row| row.slot) {
            Ok(at) => self.rows[at] = last,
            Err(at) => self.rows.insert(at, last),
        }
    }

    /// The exemplar of a slot.
    #[inline]
    pub(crate) fn get(&self, slot: Slot) -> Option<Exemplar<'_>> {
        if self.rows.is_empty() {
            return None;
        }
        let at = self.rows.binary_search_by_key(&slot, |row| row.slot).ok()?;
        let row = self.rows.get(at)?;
        Some(Exemplar { all: self, row })
    }

    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = (Slot, Exemplar<'_>)> {
        self.rows
            .iter()
            .map(|row| (row.slot, Exemplar { all: self, row }))
    }

    fn label(&self, row: &Row, index: usize) -> Label<'_> {
        let start = if index == row.labels.start as usize {
            row.text as usize
        } else {
            self.labels[index - 1].1 as usize
        };
        let (name_end, value_end) = self.labels[index];
        let name = self.text.get(start..name_end as usize);
        let value = self.text.get(name_end as usize..value_end as usize);
        (name.unwrap_or_default(), value.unwrap_or_default())
    }
}

/// Whether an observation can stand at a slot.
fn fits(shape: &Shape, slot: Slot, value: f64) -> Result<(), ExemplarError> {
    let (desc, series) = shape.at_slot(slot).ok_or(ExemplarError::NoPlace)?;
    let at = slot.index() - series.slot().index();
    match (desc.kind(), series.kind()) {
        (MetricType::Counter, SeriesKind::Value) if !value.is_nan() => Ok(()),
        (_, SeriesKind::Histogram(edges)) if at < edges.len() => {
            let is_above = at == 0 || value > edges[at - 1];
            if is_above && value <= edges[at] {
                Ok(())
            } else {
                Err(ExemplarError::OutsideBucket)
            }
        }
        (MetricType::Counter, SeriesKind::Value) => Err(ExemplarError::OutsideBucket),
        _ => Err(ExemplarError::NoPlace),
    }
}

/// Writes a label name with an underscore for each character that cannot stand in one.
struct LegalName<'t>(&'t mut String, usize);

impl Write for LegalName<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            let may_stand = c.is_ascii_alphanumeric() || c == '_';
            self.0.push(if may_stand { c } else { '_' });
        }
        Ok(())
    }
}

impl LegalName<'_> {
    /// A name that is empty or begins with a digit gets an underscore in front.
    fn finish(self) {
        let Self(text, start) = self;
        if !text.get(start..).is_some_and(is_label_name) {
            text.insert(start, '_');
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{Bucket, Desc, Histogram, Snapshot, Unit};

    fn snapshot() -> Snapshot {
        let desc = |name, kind| Arc::new(Desc::new(name, kind, Unit::None, "Help."));
        let mut snapshot = Snapshot::new();
        snapshot
            .family(&desc("a_total", MetricType::Counter))
            .sample(&[], 4.0);
        snapshot
            .family(&desc("b", MetricType::Gauge))
            .sample(&[], 4.0);
        let histogram = Histogram {
            buckets: [(0.5, 1.0), (1.0, 2.0), (f64::INFINITY, 3.0)]
                .map(|(le, count)| Bucket { le, count })
                .to_vec(),
            sum: Some(9.0),
            count: Some(3.0),
        };
        snapshot
            .family(&desc("c", MetricType::Histogram))
            .histogram(&[], &histogram);
        snapshot
    }

    fn texts(snapshot: &Snapshot) -> Vec<String> {
        let text = |(slot, exemplar): (Slot, Exemplar<'_>)| {
            let labels: Vec<_> = exemplar.labels().collect();
            let (value, time) = (exemplar.value(), exemplar.timestamp_ms());
            format!("{} {labels:?} {value} {time:?}", slot.index())
        };
        snapshot.exemplars().map(text).collect()
    }

    #[test]
    fn counters_and_buckets_have_them_and_nothing_else() {
        use ExemplarError::{NoPlace, OutsideBucket};
        let mut snapshot = snapshot();
        for (slot, value, want) in [
            (0, 1.0, Ok(())),
            (0, f64::NAN, Err(OutsideBucket)),
            (1, 1.0, Err(NoPlace)),
            (2, 0.5, Ok(())),
            (2, -7.0, Ok(())),
            (2, 0.51, Err(OutsideBucket)),
            (3, 0.5, Err(OutsideBucket)),
            (3, 0.75, Ok(())),
            (4, 1.0, Err(OutsideBucket)),
            (4, f64::INFINITY, Ok(())),
            (4, f64::NAN, Err(OutsideBucket)),
            (5, 1.0, Err(NoPlace)),
            (6, 1.0, Err(NoPlace)),
            (7, 1.0, Err(NoPlace)),
        ] {
            let taken = snapshot.set_exemplar(Slot(slot), [("trace_id", "x")], value, None);
            assert_eq!(taken, want, "{slot} {value}");
        }
        assert_eq!(
            texts(&snapshot),
            [
                r#"0 [("trace_id", "x")] 1 None"#,
                r#"2 [("trace_id", "x")] -7 None"#,
                r#"3 [("trace_id", "x")] 0.75 None"#,
                r#"4 [("trace_id", "x")] inf None"#,
            ]
        );
    }

    #[test]
    fn labels_are_legal_each_once_and_short() {
        let mut snapshot = snapshot();
        let long = "ü".repeat(EXEMPLAR_CHARACTERS - 1);
        let mut set = |labels: &[(&str, &str)]| {
            snapshot.set_exemplar(Slot(0), labels.iter().copied(), 1.0, Some(5))?;
            Ok(texts(&snapshot).concat())
        };
        for (labels, want) in [
            (&[][..], Ok("0 [] 1 Some(5)".to_owned())),
            (
                &[("trace.id", "1"), ("7", "ü"), ("", "")],
                Ok(r#"0 [("trace_id", "1"), ("_7", "ü"), ("_", "")] 1 Some(5)"#.to_owned()),
            ),
            (
                &[("a.b", "1"), ("a_b", "2")],
                Err(ExemplarError::DuplicateLabel),
            ),
            (&[("a", "1\0")], Err(ExemplarError::ZeroByte)),
            (
                &[("a", &long)],
                Ok(format!("0 [(\"a\", \"{long}\")] 1 Some(5)")),
            ),
            (&[("ab", &long)], Err(ExemplarError::TooLong)),
            (&[("a", "x"), ("b", &long)], Err(ExemplarError::TooLong)),
        ] {
            assert_eq!(set(labels), want, "{labels:?}");
        }
    }

    #[test]
    fn the_newest_of_a_slot_stays() {
        let snapshot = snapshot();
        let mut exemplars = Exemplars::default();
        for (slot, id, time) in [
            (3, "late", Some(9)),
            (0, "timeless", None),
            (3, "early", Some(-4)),
            (0, "timed", Some(1)),
            (3, "timeless", None),
        ] {
            exemplars
                .push(snapshot.shape(), Slot(slot), [("id", id)], 0.75, time)
                .unwrap();
        }
        exemplars.settle();
        let ids: Vec<_> = exemplars
            .iter()
            .map(|(slot, exemplar)| (slot.index(), exemplar.labels().next().unwrap().1))
            .collect();
        assert_eq!(ids, [(0, "timed"), (3, "late")]);
        assert_eq!(exemplars.get(Slot(2)), None);
    }

    #[test]
    fn clearing_the_snapshot_forgets_them() {
        let mut snapshot = snapshot();
        let labels = [("trace_id", "x")];
        snapshot.set_exemplar(Slot(0), labels, 1.0, None).unwrap();
        let copy = snapshot.clone();
        snapshot.clear();
        assert_eq!(snapshot.exemplars().len(), 0);
        assert_eq!(copy.exemplars().len(), 1);
    }
}
