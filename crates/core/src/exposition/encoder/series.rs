//! One series as it was rendered, and how its values are put behind the rendered text.

use super::page::Page;
use super::protobuf::Field;
use super::refused::Refused;
use crate::{Slot, Snapshot};

/// The end of a bucket's or quantile's line before the value: `0.005"} `. The text comes first, its
/// length stands in the last byte; a fixed size makes the copy a few instructions.
pub(super) type Tail = [u8; TAIL];
pub(super) const TAIL: usize = 32;

/// Text before a value: a piece of the part's rendered text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stem {
    pub(super) start: u32,
    pub(super) end: u32,
}

impl Stem {
    #[inline]
    pub(super) fn of(self, text: &[u8]) -> &[u8] {
        &text[self.start as usize..self.end as usize]
    }
}

/// How the lines of a series come from the slots of a snapshot.
#[derive(Clone, Debug)]
pub(super) enum Series {
    /// One line of one slot.
    Value { stem: Stem, slot: Slot, factor: f64 },
    /// One line made of two slots.
    Pair {
        stem: Stem,
        slots: [Slot; 2],
        how: Pairing,
        factor: f64,
    },
    /// One line with the number that stands beside the slot with the largest value.
    Largest {
        stem: Stem,
        candidates: Vec<(Slot, f64)>,
        factor: f64,
    },
    /// Edges, then sum, then count.
    Edges(Edges),
}

/// Two values made one.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pairing {
    Ratio,
    Diff,
    Sum,
}

/// A histogram or summary: a stem for all edges, and one each for the sum and the count.
#[derive(Clone, Debug)]
pub(super) struct Edges {
    pub(super) edge: Stem,
    pub(super) sum: Stem,
    pub(super) count: Stem,
    pub(super) first: Slot,
    /// Edges in the model.
    pub(super) edges: u32,
    /// The first tail. A histogram without a `+Inf` edge has one tail more than edges, for it.
    pub(super) tail: u32,
    pub(super) has_infinity: bool,
    pub(super) has_negative: bool,
    pub(super) factor: f64,
}

/// What the lines of a family may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rules {
    pub(super) values: Values,
    pub(super) wire: Wire,
}

/// How values are put on the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wire {
    /// Lines.
    Text,
    /// Lines with rules about sums and quantiles that text 0.0.4 does not have, and with exemplars on
    /// the types that may have some.
    OpenMetrics { has_exemplars: bool },
    /// Messages.
    Protobuf(Field),
}

impl Rules {
    #[inline]
    const fn is_openmetrics(self) -> bool {
        matches!(self.wire, Wire::OpenMetrics { .. })
    }

    #[inline]
    const fn has_exemplars(self) -> bool {
        matches!(
            self.wire,
            Wire::OpenMetrics {
                has_exemplars: true
            }
        )
    }
}

/// The values that a type can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Values {
    Any,
    /// Counters.
    NotNegative,
    /// States of a state set.
    ZeroOrOne,
    /// Facts.
    One,
    /// Cumulative counts, a sum, a count.
    Histogram,
    /// Values at quantiles, a sum, a count.
    Summary,
}

impl Values {
    #[inline]
    pub(super) fn allow(self, value: f64) -> bool {
        match self {
            Self::NotNegative | Self::Histogram => value >= 0.0,
            Self::Any | Self::Summary => true,
            Self::ZeroOrOne => is(value, 0.0) || is(value, 1.0),
            Self::One => is(value, 1.0),
        }
    }
}

/// A value in the unit of the page. A product that is a whole number but for its last bit is that
/// whole number: the noise comes from a fraction such as 0.29 that stood for 29 hundredths.
#[inline]
pub(super) fn scaled(value: f64, factor: f64) -> f64 {
    const NOISE: f64 = 2.0 * f64::EPSILON;
    if is(factor, 1.0) {
        return value;
    }
    let product = value * factor;
    let whole = product.round();
    if (product - whole).abs() <= whole.abs() * NOISE {
        whole
    } else {
        product
    }
}

const fn is(value: f64, whole: f64) -> bool {
    value.to_bits() == whole.to_bits()
}

/// A part's rendered text beside its values of now.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) text: &'a [u8],
    pub(super) tails: &'a [Tail],
    pub(super) snapshot: &'a Snapshot,
}

impl Series {
    /// Writes the lines of the values that are there.
    #[inline]
    pub(super) fn write(
        &self,
        source: Source<'_>,
        rules: Rules,
        page: &mut Page<'_>,
        refused: &mut Refused,
    ) {
        if let Wire::Protobuf(field) = rules.wire {
            return self.write_protobuf(source, (rules.values, field), page, refused);
        }
        match self {
            Self::Value { stem, slot, factor } => {
                if let Some(value) = source.snapshot.get(*slot) {
                    let value = scaled(value, *factor);
                    if write_value(value, *stem, source, rules, page, refused)
                        && rules.has_exemplars()
                        && let Some(exemplar) = source.snapshot.exemplar(*slot)
                    {
                        page.exemplar(exemplar, *factor);
                    }
                }
            }
            Self::Pair { stem, .. } => {
                if let Some(value) = self.pair(source.snapshot) {
                    let _ = write_value(value, *stem, source, rules, page, refused);
                }
            }
            Self::Largest {
                stem,
                candidates,
                factor,
            } => {
                if let Some(number) = largest(candidates, source.snapshot) {
                    let number = scaled(number, *factor);
                    let _ = write_value(number, *stem, source, rules, page, refused);
                }
            }
            Self::Edges(edges) if rules.values == Values::Histogram => {
                edges.write_histogram(source, rules, page, refused);
            }
            Self::Edges(edges) => edges.write_summary(source, rules, page, refused),
        }
    }

    /// Whether [`write`](Self::write) would write a line.
    pub(super) fn is_there(&self, snapshot: &Snapshot, rules: Rules) -> bool {
        match self {
            Self::Value { slot, factor, .. } => snapshot
                .get(*slot)
                .is_some_and(|value| rules.values.allow(scaled(value, *factor))),
            Self::Pair { .. } => self
                .pair(snapshot)
                .is_some_and(|value| rules.values.allow(value)),
            Self::Largest {
                candidates, factor, ..
            } => largest(candidates, snapshot)
                .is_some_and(|number| rules.values.allow(scaled(number, *factor))),
            Self::Edges(edges) => edges.is_there(snapshot, rules),
        }
    }

    pub(super) fn pair(&self, snapshot: &Snapshot) -> Option<f64> {
        let Self::Pair {
            slots, how, factor, ..
        } = self
        else {
            return None;
        };
        let (first, second) = (snapshot.get(slots[0])?, snapshot.get(slots[1])?);
        let value = match how {
            Pairing::Ratio if second == 0.0 => return None,
            Pairing::Ratio => first / second,
            Pairing::Diff => first - second,
            Pairing::Sum => first + second,
        };
        let value = scaled(value, *factor);
        // Infinity over infinity, infinity less infinity: not derivable.
        (!value.is_nan()).then_some(value)
    }
}

/// The number beside the largest value that is there.
pub(super) fn largest(candidates: &[(Slot, f64)], snapshot: &Snapshot) -> Option<f64> {
    let there = candidates
        .iter()
        .filter_map(|(slot, number)| Some((snapshot.get(*slot)?, *number)));
    let newest = there.max_by(|(a, _), (b, _)| a.total_cmp(b))?;
    Some(newest.1)
}

/// Whether the line could be written.
#[inline]
fn write_value(
    value: f64,
    stem: Stem,
    source: Source<'_>,
    rules: Rules,
    page: &mut Page<'_>,
    refused: &mut Refused,
) -> bool {
    let may_stand = rules.values.allow(value);
    if may_stand {
        page.line(stem.of(source.text), value);
    } else {
        refused.values += 1;
    }
    may_stand
}

impl Edges {
    fn is_there(&self, snapshot: &Snapshot, rules: Rules) -> bool {
        let edges = self.edges as usize;
        let has = |offset: usize| snapshot.get(self.first.offset(offset)).is_some();
        if rules.values == Values::Histogram {
            has(edges + 1) || (self.has_infinity && has(edges - 1))
        } else {
            (0..edges + 2).any(has)
        }
    }

    /// How many buckets have a finite edge.
    #[inline]
    pub(super) fn finite(&self) -> usize {
        self.edges as usize - usize::from(self.has_infinity)
    }

    /// The `+Inf` bucket and the count. Where one is missing it is the other, because they are one
    /// number by definition. `None` where the histogram cannot be written.
    #[inline]
    pub(super) fn totals(&self, snapshot: &Snapshot, refused: &mut Refused) -> Option<(f64, f64)> {
        let edges = self.edges as usize;
        let count = snapshot.get(self.first.offset(edges + 1));
        let infinity = if self.has_infinity {
            snapshot.get(self.first.offset(self.finite()))
        } else {
            None
        };
        let (Some(infinity), Some(count)) = (infinity.or(count), count.or(infinity)) else {
            let orphans = (0..=edges).filter(|at| snapshot.get(self.first.offset(*at)).is_some());
            refused.values += orphans.count() as u64;
            return None;
        };
        if !(infinity >= 0.0 && count >= 0.0) {
            refused.values += 1;
            return None;
        }
        Some((infinity, count))
    }

    /// Buckets, sum, count.
    fn write_histogram(
        &self,
        source: Source<'_>,
        rules: Rules,
        page: &mut Page<'_>,
        refused: &mut Refused,
    ) {
        let snapshot = source.snapshot;
        let Some((infinity, count)) = self.totals(snapshot, refused) else {
            return;
        };
        let (edges, finite) = (self.edges as usize, self.finite());
        let sum = snapshot.get(self.first.offset(edges));
        let tails = &source.tails[self.tail as usize..][..finite + 1];
        let stem = self.edge.of(source.text);
        for (index, tail) in tails[..finite].iter().enumerate() {
            if let Some(value) = snapshot.get(self.first.offset(index)) {
                if value >= 0.0 {
                    page.edge_line(stem, tail, value);
                    self.exemplar(index, source, rules, page);
                } else {
                    refused.values += 1;
                }
            }
        }
        page.edge_line(stem, &tails[finite], infinity);
        if self.has_infinity {
            self.exemplar(finite, source, rules, page);
        }
        let mut sum = sum.map(|sum| scaled(sum, self.factor));
        let may_fall = |sum: f64| self.has_negative || sum.is_nan() || sum < 0.0;
        if rules.is_openmetrics() && sum.is_some_and(may_fall) {
            // Such a sum may fall, and OpenMetrics wants none that can.
            refused.values += 1;
            sum = None;
        }
        if let Some(sum) = sum {
            page.line(self.sum.of(source.text), sum);
        }
        // OpenMetrics: a count if and only if there is a sum.
        if sum.is_some() || !rules.is_openmetrics() {
            page.line(self.count.of(source.text), count);
        }
    }

    /// The exemplar of a bucket, behind its line.
    #[inline]
    fn exemplar(&self, bucket: usize, source: Source<'_>, rules: Rules, page: &mut Page<'_>) {
        if rules.has_exemplars()
            && let Some(exemplar) = source.snapshot.exemplar(self.first.offset(bucket))
        {
            page.exemplar(exemplar, self.factor);
        }
    }

    fn write_summary(
        &self,
        source: Source<'_>,
        rules: Rules,
        page: &mut Page<'_>,
        refused: &mut Refused,
    ) {
        let snapshot = source.snapshot;
        let edges = self.edges as usize;
        let tails = &source.tails[self.tail as usize..][..edges];
        for (index, tail) in tails.iter().enumerate() {
            if let Some(value) = snapshot.get(self.first.offset(index)) {
                let value = scaled(value, self.factor);
                if rules.is_openmetrics() && value < 0.0 {
                    refused.values += 1;
                } else {
                    page.edge_line(self.edge.of(source.text), tail, value);
                }
            }
        }
        let sum = snapshot
            .get(self.first.offset(edges))
            .map(|sum| scaled(sum, self.factor));
        let count = snapshot.get(self.first.offset(edges + 1));
        for (stem, value, may_be_any) in [
            (self.sum, sum, !rules.is_openmetrics()),
            (self.count, count, false),
        ] {
            if let Some(value) = value {
                if may_be_any || value >= 0.0 {
                    page.line(stem.of(source.text), value);
                } else {
                    refused.values += 1;
                }
            }
        }
    }
}
