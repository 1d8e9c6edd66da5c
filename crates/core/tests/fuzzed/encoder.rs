//! What was encoded is what is read, whatever names, labels and values a snapshot has.
//!
//! Input: bytes that families, series and values are drawn from.

use std::collections::HashSet;
use std::sync::Arc;

use tokenpath_core::exposition::{
    Encoder, Entry, Format, Options, Parser, Part, check as check_page,
};
use tokenpath_core::{Bucket, Desc, Histogram, LabelSet, MetricType, Snapshot, Unit};

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
}

fn histogram_part(name: &str) -> bool {
    name.ends_with("_sum") || name.ends_with("_count")
}
