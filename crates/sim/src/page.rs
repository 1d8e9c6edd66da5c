//! Pages of the two libraries, besides Python's, that the backends write with: the Rust crate
//! `metrics-exporter-prometheus` (Text Generation Inference, Limitador) and Go's `client_golang` (the
//! gateways).
//!
//! The first knows no order: families and series come out of hash maps, so they stand otherwise on
//! every page; a blank line ends each family, a counter gets no `_total`, a family without a
//! description no `HELP`. The second sorts families, series and labels, with `le` last.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt::Write as _;

use crate::number::{Nature, Style};
use crate::observed::Observed;
use crate::random::Random;
use crate::truth::float;

/// The quantiles of a summary of `metrics-exporter-prometheus`.
const QUANTILES: [f64; 7] = [0.0, 0.5, 0.9, 0.95, 0.99, 0.999, 1.0];

/// A family about to be written.
#[derive(Clone, Debug)]
pub(crate) struct Family<'a> {
    pub(crate) name: &'static str,
    pub(crate) help: Option<&'static str>,
    pub(crate) kind: Kind,
    pub(crate) series: Vec<Series<'a>>,
}

/// The kind of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Counter,
    Gauge,
    Histogram,
    Summary,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Summary => "summary",
        }
    }
}

/// A series: its labels, in the order of the page, and its value.
#[derive(Clone, Debug)]
pub(crate) struct Series<'a> {
    pub(crate) labels: Vec<(&'static str, String)>,
    pub(crate) value: Value<'a>,
}

/// A value: one number, or observations.
#[derive(Clone, Debug)]
pub(crate) enum Value<'a> {
    Number(f64),
    Observed(Cow<'a, Observed>),
}

impl<'a> Value<'a> {
    pub(crate) fn count(count: u64) -> Self {
        Self::Number(float(count))
    }

    pub(crate) fn of(observed: &'a Observed) -> Self {
        Self::Observed(Cow::Borrowed(observed))
    }

    /// Adds another value of the same kind.
    pub(crate) fn add(&mut self, other: &Self) {
        match (self, other) {
            (Self::Number(mine), Self::Number(theirs)) => *mine += theirs,
            (Self::Observed(mine), Self::Observed(theirs)) => mine.to_mut().add(theirs),
            (Self::Number(_), Self::Observed(_)) | (Self::Observed(_), Self::Number(_)) => {
                debug_assert!(false, "values of one family are of one kind");
            }
        }
    }
}

/// Writes `families` as `metrics-exporter-prometheus` does; `order` decides what stands where.
pub(crate) fn rust_page(mut families: Vec<Family<'_>>, order: &mut Random) -> String {
    let mut out = String::with_capacity(16 << 10);
    order.shuffle(&mut families);
    // Counters, then gauges, then what is distributed.
    families.sort_by_key(|family| match family.kind {
        Kind::Counter => 0,
        Kind::Gauge => 1,
        Kind::Histogram | Kind::Summary => 2,
    });
    for mut family in families {
        if family.series.is_empty() {
            continue;
        }
        order.shuffle(&mut family.series);
        family_text(&family, Style::Display, &mut out);
        out.push('\n');
    }
    out
}

/// Writes `families` as `client_golang` does.
pub(crate) fn go_page(mut families: Vec<Family<'_>>) -> String {
    let mut out = String::with_capacity(64 << 10);
    families.sort_by_key(|family| family.name);
    for mut family in families {
        if family.series.is_empty() {
            continue;
        }
        for series in &mut family.series {
            series.labels.sort_by_key(|(name, _)| *name);
        }
        family
            .series
            .sort_by(|a, b| by_values(&a.labels, &b.labels));
        family_text(&family, Style::Go, &mut out);
    }
    out
}

fn by_values(a: &[(&'static str, String)], b: &[(&'static str, String)]) -> Ordering {
    let values = |labels: &[(&'static str, String)]| -> Vec<String> {
        labels.iter().map(|(_, value)| value.clone()).collect()
    };
    values(a).cmp(&values(b))
}

fn family_text(family: &Family<'_>, style: Style, out: &mut String) {
    // Writing to a string does not fail.
    if let Some(help) = family.help {
        let _ = writeln!(out, "# HELP {} {help}", family.name);
    }
    let _ = writeln!(out, "# TYPE {} {}", family.name, family.kind.as_str());
    let mut line = |suffix: &str, series: &Series<'_>, extra: Option<(&str, f64)>, value: f64| {
        out.push_str(family.name);
        out.push_str(suffix);
        let mut open = '{';
        for (name, value) in &series.labels {
            out.push(open);
            let _ = write!(out, "{name}=\"{}\"", escape(value));
            open = ',';
        }
        if let Some((name, value)) = extra {
            out.push(open);
            let _ = write!(out, "{name}=\"");
            style.write(out, value, Nature::Float);
            out.push('"');
            open = ',';
        }
        out.push_str(if open == ',' { "} " } else { " " });
        style.write(out, value, Nature::Float);
        out.push('\n');
    };
    for series in &family.series {
        match &series.value {
            Value::Number(value) => line("", series, None, *value),
            Value::Observed(observed) => {
                if family.kind == Kind::Summary {
                    for q in QUANTILES {
                        let value = observed.quantile(q).unwrap_or(0.0);
                        line("", series, Some(("quantile", q)), value);
                    }
                } else {
                    for (edge, count) in observed.buckets() {
                        line("_bucket", series, Some(("le", edge)), float(count));
                    }
                    let all = float(observed.count());
                    line("_bucket", series, Some(("le", f64::INFINITY)), all);
                }
                line("_sum", series, None, observed.sum());
                line("_count", series, None, float(observed.count()));
            }
        }
    }
}

fn escape(value: &str) -> Cow<'_, str> {
    if value.contains(['\\', '"', '\n']) {
        let value = value.replace('\\', "\\\\").replace('"', "\\\"");
        Cow::Owned(value.replace('\n', "\\n"))
    } else {
        Cow::Borrowed(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn families() -> Vec<Family<'static>> {
        let mut observed = Observed::at(vec![0.1, 1.0]);
        observed.record(0.5);
        let series = |value| {
            vec![Series {
                labels: vec![("b", "x\"y".to_owned()), ("a", "1".to_owned())],
                value,
            }]
        };
        vec![
            Family {
                name: "z_seconds",
                help: None,
                kind: Kind::Histogram,
                series: series(Value::Observed(Cow::Owned(observed))),
            },
            Family {
                name: "calls",
                help: Some("Calls"),
                kind: Kind::Counter,
                series: series(Value::count(3)),
            },
        ]
    }

    #[test]
    fn a_page_of_the_rust_exporter() {
        assert_eq!(
            rust_page(families(), &mut Random::new(1, 1)),
            "# HELP calls Calls\n# TYPE calls counter\ncalls{b=\"x\\\"y\",a=\"1\"} 3\n\n\
             # TYPE z_seconds histogram\n\
             z_seconds_bucket{b=\"x\\\"y\",a=\"1\",le=\"0.1\"} 0\n\
             z_seconds_bucket{b=\"x\\\"y\",a=\"1\",le=\"1\"} 1\n\
             z_seconds_bucket{b=\"x\\\"y\",a=\"1\",le=\"+Inf\"} 1\n\
             z_seconds_sum{b=\"x\\\"y\",a=\"1\"} 0.5\nz_seconds_count{b=\"x\\\"y\",a=\"1\"} 1\n\n"
        );
    }

    #[test]
    fn a_page_of_the_go_client() {
        let page = go_page(families());
        assert!(page.starts_with("# HELP calls Calls\n# TYPE calls counter\ncalls{a=\"1\","));
        assert!(page.ends_with("z_seconds_count{a=\"1\",b=\"x\\\"y\"} 1\n"));
    }
}
