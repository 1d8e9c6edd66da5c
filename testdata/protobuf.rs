//! A reader of protobuf pages that shares nothing with the code under test: the messages of
//! `io.prometheus.client` as prost decodes them.
//!
//! Included by tests beside `page.rs`, whose samples it gives.

#![allow(dead_code, reason = "each test binary uses a part")]

use prost::Message;

use super::page::{Labels, Numbers, put};

#[derive(Clone, PartialEq, Message)]
pub(crate) struct LabelPair {
    #[prost(string, optional, tag = "1")]
    pub(crate) name: Option<String>,
    #[prost(string, optional, tag = "2")]
    pub(crate) value: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Timestamp {
    #[prost(int64, tag = "1")]
    pub(crate) seconds: i64,
    #[prost(int32, tag = "2")]
    pub(crate) nanos: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Exemplar {
    #[prost(message, repeated, tag = "1")]
    pub(crate) label: Vec<LabelPair>,
    #[prost(double, optional, tag = "2")]
    pub(crate) value: Option<f64>,
    #[prost(message, optional, tag = "3")]
    pub(crate) timestamp: Option<Timestamp>,
}

/// A gauge or an untyped value.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Plain {
    #[prost(double, optional, tag = "1")]
    pub(crate) value: Option<f64>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Counter {
    #[prost(double, optional, tag = "1")]
    pub(crate) value: Option<f64>,
    #[prost(message, optional, tag = "2")]
    pub(crate) exemplar: Option<Exemplar>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Quantile {
    #[prost(double, optional, tag = "1")]
    pub(crate) quantile: Option<f64>,
    #[prost(double, optional, tag = "2")]
    pub(crate) value: Option<f64>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Summary {
    #[prost(uint64, optional, tag = "1")]
    pub(crate) sample_count: Option<u64>,
    #[prost(double, optional, tag = "2")]
    pub(crate) sample_sum: Option<f64>,
    #[prost(message, repeated, tag = "3")]
    pub(crate) quantile: Vec<Quantile>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Bucket {
    #[prost(uint64, optional, tag = "1")]
    pub(crate) cumulative_count: Option<u64>,
    #[prost(double, optional, tag = "4")]
    pub(crate) cumulative_count_float: Option<f64>,
    #[prost(double, optional, tag = "2")]
    pub(crate) upper_bound: Option<f64>,
    #[prost(message, optional, tag = "3")]
    pub(crate) exemplar: Option<Exemplar>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Histogram {
    #[prost(uint64, optional, tag = "1")]
    pub(crate) sample_count: Option<u64>,
    #[prost(double, optional, tag = "4")]
    pub(crate) sample_count_float: Option<f64>,
    #[prost(double, optional, tag = "2")]
    pub(crate) sample_sum: Option<f64>,
    #[prost(message, repeated, tag = "3")]
    pub(crate) bucket: Vec<Bucket>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Metric {
    #[prost(message, repeated, tag = "1")]
    pub(crate) label: Vec<LabelPair>,
    #[prost(message, optional, tag = "2")]
    pub(crate) gauge: Option<Plain>,
    #[prost(message, optional, tag = "3")]
    pub(crate) counter: Option<Counter>,
    #[prost(message, optional, tag = "4")]
    pub(crate) summary: Option<Summary>,
    #[prost(message, optional, tag = "5")]
    pub(crate) untyped: Option<Plain>,
    #[prost(message, optional, tag = "7")]
    pub(crate) histogram: Option<Histogram>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct MetricFamily {
    #[prost(string, optional, tag = "1")]
    pub(crate) name: Option<String>,
    #[prost(string, optional, tag = "2")]
    pub(crate) help: Option<String>,
    #[prost(int32, optional, tag = "3")]
    pub(crate) kind: Option<i32>,
    #[prost(message, repeated, tag = "4")]
    pub(crate) metric: Vec<Metric>,
    #[prost(string, optional, tag = "5")]
    pub(crate) unit: Option<String>,
}

impl MetricFamily {
    /// The type, by the word of text 0.0.4.
    pub(crate) fn text_type(&self) -> &'static str {
        [
            "counter",
            "gauge",
            "summary",
            "untyped",
            "histogram",
            "histogram",
        ][usize::try_from(self.kind.unwrap()).unwrap()]
    }
}

/// The families of a page.
pub(crate) fn families(mut page: &[u8]) -> Vec<MetricFamily> {
    let mut families = Vec::new();
    while !page.is_empty() {
        families.push(MetricFamily::decode_length_delimited(&mut page).unwrap());
    }
    families
}

fn labels(pairs: &[LabelPair]) -> Labels {
    let pair = |pair: &LabelPair| (pair.name.clone().unwrap(), pair.value.clone().unwrap());
    pairs.iter().map(pair).collect()
}

fn count(whole: Option<u64>, float: Option<f64>) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "text rounds it too")]
    float.unwrap_or_else(|| whole.unwrap() as f64)
}

/// The samples that Prometheus makes of a page, with edges in the shortest text. A sum that is NaN
/// stands for none.
pub(crate) fn numbers(page: &[u8]) -> Numbers {
    let mut numbers = Numbers::new();
    for family in families(page) {
        let name = family.name.clone().unwrap();
        for metric in &family.metric {
            let labels = labels(&metric.label);
            let mut edge = |suffix: &str, label: &str, edge: f64, value: f64| {
                let mut labels = labels.clone();
                labels.insert(label.to_owned(), edge.to_string());
                put(&mut numbers, format!("{name}{suffix}"), labels, value);
            };
            let ends = match (family.text_type(), metric) {
                ("counter", metric) => {
                    let value = metric.counter.as_ref().unwrap().value.unwrap();
                    put(&mut numbers, &name, labels, value);
                    continue;
                }
                ("gauge", metric) => {
                    let value = metric.gauge.as_ref().unwrap().value.unwrap();
                    put(&mut numbers, &name, labels, value);
                    continue;
                }
                ("untyped", metric) => {
                    let value = metric.untyped.as_ref().unwrap().value.unwrap();
                    put(&mut numbers, &name, labels, value);
                    continue;
                }
                ("summary", metric) => {
                    let summary = metric.summary.as_ref().unwrap();
                    for at in &summary.quantile {
                        edge("", "quantile", at.quantile.unwrap(), at.value.unwrap());
                    }
                    (summary.sample_sum, count(summary.sample_count, None))
                }
                (_, metric) => {
                    let histogram = metric.histogram.as_ref().unwrap();
                    for bucket in &histogram.bucket {
                        let value = count(bucket.cumulative_count, bucket.cumulative_count_float);
                        edge("_bucket", "le", bucket.upper_bound.unwrap(), value);
                    }
                    let total = count(histogram.sample_count, histogram.sample_count_float);
                    (histogram.sample_sum, total)
                }
            };
            let (sum, count) = ends;
            if let Some(sum) = sum.filter(|sum| !sum.is_nan()) {
                put(&mut numbers, format!("{name}_sum"), labels.clone(), sum);
            }
            put(&mut numbers, format!("{name}_count"), labels, count);
        }
    }
    numbers
}

/// The same of a text page.
pub(crate) fn numbers_of_text(page: &str) -> Numbers {
    let page = super::page::Page::read(page);
    let mut numbers = Numbers::new();
    for sample in &page.samples {
        let mut labels = sample.labels.clone();
        let (family, suffix) = page.family(sample);
        let kind = page.types[family].as_str();
        let edge = match (kind, suffix) {
            ("histogram", "_bucket") => Some("le"),
            ("summary", "") => Some("quantile"),
            _ => None,
        };
        if let Some(edge) = edge {
            let edge = labels.get_mut(edge).unwrap();
            *edge = edge.parse::<f64>().unwrap().to_string();
        }
        put(&mut numbers, &sample.name, labels, sample.value);
    }
    numbers
}
