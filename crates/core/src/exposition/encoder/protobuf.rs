//! The wire format of protobuf pages: `io.prometheus.client.MetricFamily`, each behind its length.
//!
//! The messages are few and old, so they are written by hand, field by field. What does not change
//! between pages (the head of a family, the labels of a series) is rendered once, as for text.

use super::page::Page;
use super::refused::Refused;
use super::series::{Edges, Series, Source, TAIL, Tail, Values, largest, scaled};
use crate::{Exemplar, Label, MetricType, Slot};

/// Bytes left for the length of a family: enough for 16 KiB.
pub(super) const FAMILY_LENGTH: usize = 2;

/// Number and wire type of each field, by message.
mod tag {
    /// A length and so many bytes.
    const BYTES: u8 = 2;
    /// Eight bytes.
    const DOUBLE: u8 = 1;

    const fn of(number: u8, wire: u8) -> u8 {
        number << 3 | wire
    }

    pub(super) const FAMILY_NAME: u8 = of(1, BYTES);
    pub(super) const FAMILY_HELP: u8 = of(2, BYTES);
    pub(super) const FAMILY_TYPE: u8 = of(3, 0);
    pub(super) const FAMILY_METRIC: u8 = of(4, BYTES);
    pub(super) const FAMILY_UNIT: u8 = of(5, BYTES);
    pub(super) const METRIC_LABEL: u8 = of(1, BYTES);
    pub(super) const METRIC_GAUGE: u8 = of(2, BYTES);
    pub(super) const METRIC_COUNTER: u8 = of(3, BYTES);
    pub(super) const METRIC_SUMMARY: u8 = of(4, BYTES);
    pub(super) const METRIC_UNTYPED: u8 = of(5, BYTES);
    pub(super) const METRIC_HISTOGRAM: u8 = of(7, BYTES);
    pub(super) const LABEL_NAME: u8 = of(1, BYTES);
    pub(super) const LABEL_VALUE: u8 = of(2, BYTES);
    /// Of a gauge, a counter and an untyped value.
    pub(super) const VALUE: u8 = of(1, DOUBLE);
    pub(super) const COUNTER_EXEMPLAR: u8 = of(2, BYTES);
    /// Of a histogram and a summary; of a bucket, its cumulative count.
    pub(super) const COUNT: u8 = of(1, 0);
    /// Of a histogram and a bucket.
    pub(super) const COUNT_FLOAT: u8 = of(4, DOUBLE);
    pub(super) const SUM: u8 = of(2, DOUBLE);
    /// A bucket of a histogram, a quantile of a summary.
    pub(super) const EDGE: u8 = of(3, BYTES);
    pub(super) const BUCKET_BOUND: u8 = of(2, DOUBLE);
    pub(super) const BUCKET_EXEMPLAR: u8 = of(3, BYTES);
    pub(super) const QUANTILE: u8 = of(1, DOUBLE);
    pub(super) const QUANTILE_VALUE: u8 = of(2, DOUBLE);
    pub(super) const EXEMPLAR_LABEL: u8 = of(1, BYTES);
    pub(super) const EXEMPLAR_VALUE: u8 = of(2, DOUBLE);
    pub(super) const EXEMPLAR_TIME: u8 = of(3, BYTES);
    pub(super) const TIME_SECONDS: u8 = of(1, 0);
    pub(super) const TIME_NANOS: u8 = of(2, 0);
}

/// The field of `Metric` that the values of a family are in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Field {
    tag: u8,
}

impl Field {
    /// The field of a type.
    pub(super) const fn of(kind: MetricType) -> Self {
        let tag = match kind {
            MetricType::Counter => tag::METRIC_COUNTER,
            MetricType::Gauge | MetricType::Info | MetricType::StateSet => tag::METRIC_GAUGE,
            MetricType::Unknown => tag::METRIC_UNTYPED,
            MetricType::Histogram | MetricType::GaugeHistogram => tag::METRIC_HISTOGRAM,
            MetricType::Summary => tag::METRIC_SUMMARY,
        };
        Self { tag }
    }
}

/// The number of a type in the enum `MetricType`.
const fn type_number(kind: MetricType) -> u8 {
    match kind {
        MetricType::Counter => 0,
        MetricType::Gauge | MetricType::Info | MetricType::StateSet => 1,
        MetricType::Summary => 2,
        MetricType::Unknown => 3,
        MetricType::Histogram => 4,
        MetricType::GaugeHistogram => 5,
    }
}

/// All fields of a family but its series.
pub(super) fn header(name: &str, help: &str, kind: MetricType, unit: Option<&str>) -> Vec<u8> {
    let mut header = Vec::new();
    let mut page = Page::over(&mut header, 0);
    page.string(tag::FAMILY_NAME, name);
    if !help.is_empty() {
        page.string(tag::FAMILY_HELP, help);
    }
    page.text(&[tag::FAMILY_TYPE, type_number(kind)]);
    if let Some(unit) = unit {
        page.string(tag::FAMILY_UNIT, unit);
    }
    page.finish();
    header
}

/// Labels as fields of a `Metric`.
pub(super) fn labels<'l>(labels: impl Iterator<Item = Label<'l>>) -> Vec<u8> {
    let mut rendered = Vec::new();
    let mut page = Page::over(&mut rendered, 0);
    for label in labels {
        page.label(tag::METRIC_LABEL, label);
    }
    page.finish();
    rendered
}

/// An edge as its bits.
pub(super) fn tail(edge: f64) -> Tail {
    let mut tail = [0; TAIL];
    tail[..8].copy_from_slice(&edge.to_le_bytes());
    tail
}

fn edge_of(tail: &Tail) -> f64 {
    let [a, b, c, d, e, f, g, h, ..] = *tail;
    f64::from_le_bytes([a, b, c, d, e, f, g, h])
}

/// A count as the integer it is, if it is one.
fn whole(count: f64) -> Option<u64> {
    const END: f64 = 9_223_372_036_854_775_808.0; // 2^63
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is within the range and has no fraction"
    )]
    ((0.0..END).contains(&count) && count.fract() == 0.0).then_some(count as u64)
}

impl Series {
    /// Writes the message of the values that are there.
    pub(super) fn write_protobuf(
        &self,
        source: Source<'_>,
        (values, field): (Values, Field),
        page: &mut Page<'_>,
        refused: &mut Refused,
    ) {
        let snapshot = source.snapshot;
        let (stem, value, example) = match self {
            Self::Value { stem, slot, factor } => {
                let value = snapshot.get(*slot).map(|value| scaled(value, *factor));
                let is_counter = field.tag == tag::METRIC_COUNTER;
                let example = snapshot.exemplar(*slot).filter(|_| is_counter);
                (*stem, value, example.map(|exemplar| (exemplar, *factor)))
            }
            Self::Pair { stem, .. } => (*stem, self.pair(snapshot), None),
            Self::Largest {
                stem,
                candidates,
                factor,
            } => {
                let number = largest(candidates, snapshot);
                (*stem, number.map(|number| scaled(number, *factor)), None)
            }
            Self::Edges(edges) if values == Values::Histogram => {
                return edges.histogram_message(source, page, refused);
            }
            Self::Edges(edges) => return edges.summary_message(source, page, refused),
        };
        let Some(value) = value else { return };
        if !values.allow(value) {
            refused.values += 1;
            return;
        }
        let labels = stem.of(source.text);
        if let Some((exemplar, factor)) = example {
            page.text(&[tag::FAMILY_METRIC]);
            let metric = page.begin(2);
            page.text(labels);
            page.text(&[field.tag]);
            let counter = page.begin(1);
            page.double(tag::VALUE, value);
            page.exemplar_message(tag::COUNTER_EXEMPLAR, exemplar, factor);
            page.end(counter);
            page.end(metric);
            return;
        }
        const DOUBLE: u8 = 9;
        page.text(&[tag::FAMILY_METRIC]);
        page.varint((labels.len() + 2) as u64 + u64::from(DOUBLE));
        page.text(labels);
        page.text(&[field.tag, DOUBLE]);
        page.double(tag::VALUE, value);
    }
}

impl Edges {
    /// Count, sum, buckets.
    fn histogram_message(&self, source: Source<'_>, page: &mut Page<'_>, refused: &mut Refused) {
        let snapshot = source.snapshot;
        let Some((infinity, count)) = self.totals(snapshot, refused) else {
            return;
        };
        let finite = self.finite();
        page.text(&[tag::FAMILY_METRIC]);
        let metric = page.begin(2);
        page.text(self.sum.of(source.text));
        page.text(&[tag::METRIC_HISTOGRAM]);
        let histogram = page.begin(2);
        page.count(count);
        page.double(tag::SUM, self.sum_value(source));
        let tails = &source.tails[self.tail as usize..][..finite + 1];
        for (index, tail) in tails[..finite].iter().enumerate() {
            let slot = self.first.offset(index);
            match snapshot.get(slot) {
                Some(value) if value >= 0.0 => {
                    self.bucket(edge_of(tail), value, Some(slot), source, page);
                }
                Some(_) => refused.values += 1,
                None => {}
            }
        }
        let slot = self.has_infinity.then(|| self.first.offset(finite));
        self.bucket(f64::INFINITY, infinity, slot, source, page);
        page.end(histogram);
        page.end(metric);
    }

    fn bucket(
        &self,
        edge: f64,
        count: f64,
        slot: Option<Slot>,
        source: Source<'_>,
        page: &mut Page<'_>,
    ) {
        page.text(&[tag::EDGE]);
        let bucket = page.begin(1);
        page.count(count);
        page.double(tag::BUCKET_BOUND, edge);
        if let Some(exemplar) = slot.and_then(|slot| source.snapshot.exemplar(slot)) {
            page.exemplar_message(tag::BUCKET_EXEMPLAR, exemplar, self.factor);
        }
        page.end(bucket);
    }

    /// Count, sum, quantiles.
    fn summary_message(&self, source: Source<'_>, page: &mut Page<'_>, refused: &mut Refused) {
        let snapshot = source.snapshot;
        let edges = self.edges as usize;
        let value = |offset: usize| snapshot.get(self.first.offset(offset));
        let Some(count) = value(edges + 1).and_then(whole) else {
            let there = (0..edges + 2).filter(|offset| value(*offset).is_some());
            refused.values += there.count() as u64;
            return;
        };
        page.text(&[tag::FAMILY_METRIC]);
        let metric = page.begin(2);
        page.text(self.sum.of(source.text));
        page.text(&[tag::METRIC_SUMMARY]);
        let summary = page.begin(2);
        page.text(&[tag::COUNT]);
        page.varint(count);
        page.double(tag::SUM, self.sum_value(source));
        let tails = &source.tails[self.tail as usize..][..edges];
        for (index, tail) in tails.iter().enumerate() {
            if let Some(value) = value(index) {
                const TWO_DOUBLES: u8 = 18;
                page.text(&[tag::EDGE, TWO_DOUBLES]);
                page.double(tag::QUANTILE, edge_of(tail));
                page.double(tag::QUANTILE_VALUE, scaled(value, self.factor));
            }
        }
        page.end(summary);
        page.end(metric);
    }

    /// The sum; NaN where there is none, which a reader would take for 0.
    fn sum_value(&self, source: Source<'_>) -> f64 {
        let sum = source.snapshot.get(self.first.offset(self.edges as usize));
        sum.map_or(f64::NAN, |sum| scaled(sum, self.factor))
    }
}

impl Page<'_> {
    fn string(&mut self, tag: u8, text: &str) {
        self.text(&[tag]);
        self.varint(text.len() as u64);
        self.text(text.as_bytes());
    }

    fn label(&mut self, tag: u8, (name, value): Label<'_>) {
        self.text(&[tag]);
        let label = self.begin(1);
        self.string(tag::LABEL_NAME, name);
        self.string(tag::LABEL_VALUE, value);
        self.end(label);
    }

    #[inline]
    fn count(&mut self, count: f64) {
        match whole(count) {
            Some(count) => {
                self.text(&[tag::COUNT]);
                self.varint(count);
            }
            None => self.double(tag::COUNT_FLOAT, count),
        }
    }

    #[cold]
    fn exemplar_message(&mut self, tag: u8, exemplar: Exemplar<'_>, factor: f64) {
        self.text(&[tag]);
        let message = self.begin(1);
        for label in exemplar.labels() {
            self.label(tag::EXEMPLAR_LABEL, label);
        }
        self.double(tag::EXEMPLAR_VALUE, scaled(exemplar.value(), factor));
        if let Some(ms) = exemplar.timestamp_ms() {
            self.text(&[tag::EXEMPLAR_TIME]);
            let time = self.begin(1);
            self.text(&[tag::TIME_SECONDS]);
            // Negative numbers are their two's complement.
            self.varint(ms.div_euclid(1000).cast_unsigned());
            self.text(&[tag::TIME_NANOS]);
            self.varint(ms.rem_euclid(1000).unsigned_abs() * 1_000_000);
            self.end(time);
        }
        self.end(message);
    }
}
