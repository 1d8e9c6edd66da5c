//! What was encoded is what is read, whatever names, labels and values a snapshot has.
//!
//! Input: bytes that families, series and values are drawn from.

use std::collections::HashSet;
use std::sync::Arc;

use tokenpath_core::exposition::{
    Encoder, Entry, Format, Options, PageFormat, Parser, Part, Text, check as check_page,
    parse_value,
};
use tokenpath_core::{Bucket, Desc, Histogram, LabelSet, MetricType, Slot, Snapshot, Unit};

#[allow(clippy::unwrap_used, reason = "a check fails by panicking")]
#[path = "../../../../testdata/page.rs"]
mod page;
#[allow(clippy::unwrap_used, reason = "a check fails by panicking")]
#[path = "../../../../testdata/protobuf.rs"]
mod protobuf;

/// Bytes in turn; zeros when there are no more.
struct Draw<'a>(&'a [u8]);

impl<'a> Draw<'a> {
    fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *first
    }

    fn text(&mut self) -> String {
        let length = usize::from(self.byte() % 16).min(self.0.len());
        let (text, rest) = self.0.split_at(length);
        self.0 = rest;
        String::from_utf8_lossy(text).into_owned()
    }

    fn value(&mut self) -> f64 {
        let kind = self.byte();
        let bytes = std::array::from_fn(|_| self.byte());
        let bits = u64::from_le_bytes(bytes);
        match kind % 4 {
            0 => f64::from(u32::try_from(bits & 0xffff_ffff).unwrap_or_default()),
            1 => f64::from(u32::try_from(bits & 0xffff).unwrap_or_default()) / 1000.0,
            _ => f64::from_bits(bits),
        }
    }

    fn labels(&mut self) -> Vec<(String, String)> {
        (0..self.byte() % 4)
            .map(|_| (self.text(), self.text()))
            .collect()
    }
}

fn borrow(labels: &[(String, String)]) -> Vec<(&str, &str)> {
    labels
        .iter()
        .map(|(name, value)| (&**name, &**value))
        .collect()
}

/// Encodes in every format, and reads the pages back.
pub(crate) fn check(input: &[u8]) {
    let mut draw = Draw(input);
    let mut snapshot = Snapshot::new();
    let mut values = Vec::new();
    for _ in 0..draw.byte() % 6 {
        let kind = match draw.byte() % 5 {
            0 => MetricType::Counter,
            1 => MetricType::Histogram,
            2 => MetricType::Info,
            3 => MetricType::StateSet,
            _ => MetricType::Gauge,
        };
        let unit = [Unit::None, Unit::Seconds, Unit::Ratio][usize::from(draw.byte() % 3)];
        let desc = Arc::new(Desc::owned(draw.text(), kind, unit, draw.text()));
        for _ in 0..draw.byte() % 4 {
            let labels = draw.labels();
            if kind == MetricType::Histogram {
                let mut count = 0.0;
                let edges = [-1.5, 0.25, 1e6, f64::INFINITY];
                let buckets = edges[usize::from(draw.byte() % 4)..].iter().map(|le| {
                    count += f64::from(draw.byte());
                    Bucket { le: *le, count }
                });
                let histogram = Histogram {
                    buckets: buckets.collect(),
                    sum: Some(0.5),
                    count: Some(count),
                };
                snapshot
                    .family(&desc)
                    .histogram(&borrow(&labels), &histogram);
            } else {
                let value = draw.value();
                values.push(value.to_bits());
                snapshot.family(&desc).sample(&borrow(&labels), value);
            }
        }
    }
    let constants = LabelSet::new(draw.labels());
    exemplars(&mut draw, &mut snapshot);
    let mut text = None;
    for format in Format::ALL {
        let mut encoder = Encoder::new(format);
        let (mut cold, mut warm) = (Vec::new(), Vec::new());
        let part = Part {
            snapshot: &snapshot,
            labels: &constants,
        };
        encoder.encode(&[part], &mut cold);
        encoder.encode(&[part], &mut warm);
        assert_eq!(cold, warm);
        assert_eq!(check_page(&cold, format), [], "{}", cold.escape_ascii());
        if format == Format::Text004 {
            text = Some(cold.clone());
        }
        let mut seen = HashSet::new();
        for entry in Parser::new(&cold, Options::new(format)) {
            let entry = entry.unwrap_or_else(|error| panic!("{error}: {}", cold.escape_ascii()));
            if let Entry::Sample(sample) = entry {
                assert!(
                    seen.insert(sample.series().to_vec()),
                    "a series stands twice"
                );
                let is_plain =
                    sample.labels().get("le").is_none() && !histogram_part(&sample.name().to_str());
                let bits = sample.value().to_bits();
                assert!(
                    !is_plain || values.contains(&bits),
                    "{} is none of the values",
                    sample.value()
                );
            }
        }
    }
    let mut encoder = Encoder::new(PageFormat::Protobuf);
    let (mut cold, mut warm) = (Vec::new(), Vec::new());
    let part = Part {
        snapshot: &snapshot,
        labels: &constants,
    };
    encoder.encode(&[part], &mut cold);
    encoder.encode(&[part], &mut warm);
    assert_eq!(cold, warm);
    let text = numbers_of_text(&text.unwrap_or_default());
    page::compare("protobuf", &text, &protobuf::numbers(&cold));
}

/// Exemplars on some slots, wherever they are taken.
fn exemplars(draw: &mut Draw<'_>, snapshot: &mut Snapshot) {
    let shape = Arc::clone(snapshot.shape());
    let series = shape.families().flat_map(|family| family.series());
    let slots: Vec<Slot> = series
        .flat_map(|series| [series.slot(), series.edge_slot(1), series.sum_slot()])
        .filter(|slot| slot.index() < shape.slots())
        .collect();
    for _ in 0..draw.byte() % 8 {
        let Some(slot) = slots.get(usize::from(draw.byte()) % slots.len().max(1)) else {
            return;
        };
        let labels = draw.labels();
        let (value, time) = (draw.value(), i64::from(draw.byte()) * 1_234_567 - 9);
        let labels = borrow(&labels);
        let _ = snapshot.set_exemplar(*slot, labels, value, (time % 2 == 0).then_some(time));
    }
}

/// What Prometheus would make of a text page, read by our parser, which takes what pages by hand do
/// not.
fn numbers_of_text(text: &[u8]) -> page::Numbers {
    let mut numbers = page::Numbers::new();
    for entry in Parser::new(text, Options::new(Format::Text004)) {
        let Ok(Entry::Sample(sample)) = entry else {
            continue;
        };
        let label = |(name, value): (Text<'_>, Text<'_>)| {
            let edge = parse_value(value.to_str().as_bytes()).filter(|_| name == "le");
            let value = edge.map_or_else(|| value.to_string(), |edge| edge.to_string());
            (name.to_string(), value)
        };
        let labels = sample.labels().map(label).collect();
        page::put(
            &mut numbers,
            sample.name().to_string(),
            labels,
            sample.value(),
        );
    }
    numbers
}

fn histogram_part(name: &str) -> bool {
    name.ends_with("_sum") || name.ends_with("_count")
}
