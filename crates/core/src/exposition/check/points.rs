//! Histograms and summaries: what their samples say taken together.

use std::collections::BTreeMap;

use super::family::Role;
use super::{Finding, FindingKind, Series};
use crate::MetricType;
use crate::exposition::entry::Sample;

/// Samples of one histogram or summary, so all that share a family and the labels but `le` and
/// `quantile`.
#[derive(Debug, Default)]
struct Point {
    summary: bool,
    /// The line of its first sample.
    line: u64,
    /// `le`, cumulative count, line; in the order of the page.
    buckets: Vec<(f64, f64, u64)>,
    sum: Option<u64>,
    count: Option<(f64, u64)>,
}

/// Every histogram and summary of a page. An OpenMetrics page may have several points of one series:
/// those are told apart by their timestamps.
#[derive(Debug, Default)]
pub(super) struct Points(BTreeMap<(Series, Option<i64>), Point>);

impl Points {
    /// Takes a sample in, if it belongs to a histogram or summary.
    pub(super) fn add(
        &mut self,
        family: &str,
        kind: MetricType,
        role: Role,
        sample: &Sample<'_>,
        line: u64,
        findings: &mut Vec<Finding>,
    ) {
        let summary = match kind {
            MetricType::Summary => true,
            MetricType::Histogram | MetricType::GaugeHistogram => false,
            _ => return,
        };
        if matches!(role, Role::Created | Role::Foreign) {
            return;
        }
        let special = if summary { "quantile" } else { "le" };
        let mut labels: Vec<_> = sample
            .labels()
            .filter(|(n, _)| *n != *special)
            .map(|(n, v)| (n.to_str().into_owned(), v.to_str().into_owned()))
            .collect();
        labels.sort();
        let key = ((family.to_owned(), labels), sample.timestamp_ms());
        let point = self.0.entry(key).or_insert_with(|| Point {
            summary,
            line,
            ..Point::default()
        });
        let number = sample
            .labels()
            .get(special)
            .and_then(|text| crate::exposition::number::value(text.to_str().as_bytes()).ok());
        let mut find = |kind, what: &str| {
            let series = String::from_utf8_lossy(sample.series());
            findings.push(Finding {
                line,
                kind,
                message: format!("{series}: {what}"),
            });
        };
        match role {
            Role::Bucket => match number.filter(|le| !le.is_nan()) {
                Some(le) => point.buckets.push((le, sample.value(), line)),
                None => find(
                    FindingKind::BadLe,
                    "a bucket without a `le` that is a number",
                ),
            },
            Role::Value if summary && !number.is_some_and(|q| (0.0..=1.0).contains(&q)) => {
                find(FindingKind::BadQuantile, "no `quantile` from 0 to 1");
            }
            Role::Sum => point.sum = Some(line),
            Role::Count => point.count = Some((sample.value(), line)),
            _ => {}
        }
    }

    /// Says what is wrong with each point, now that all its samples are known.
    pub(super) fn finish(self, openmetrics: bool, findings: &mut Vec<Finding>) {
        for (((family, labels), _), mut point) in self.0 {
            let mut series = family;
            if !labels.is_empty() {
                let labels: Vec<_> = labels.iter().map(|(n, v)| format!("{n}={v:?}")).collect();
                series = format!("{series}{{{}}}", labels.join(","));
            }
            point.finish(openmetrics, &mut |line, kind, what| {
                findings.push(Finding {
                    line,
                    kind,
                    message: format!("{series}: {what}"),
                });
            });
        }
    }
}

impl Point {
    fn finish(&mut self, openmetrics: bool, find: &mut impl FnMut(u64, FindingKind, String)) {
        if !self.summary {
            self.finish_buckets(find);
        }
        // OpenMetrics lets a summary go without, and a histogram without both; negative buckets
        // forbid a sum there.
        let negative = self.buckets.iter().any(|(le, ..)| *le < 0.0);
        let (sum, count) = (self.sum.is_some(), self.count.is_some());
        let wants = |other: bool| {
            if openmetrics {
                other && !self.summary
            } else {
                true
            }
        };
        if !sum && wants(count) && !(openmetrics && negative) {
            find(self.line, FindingKind::MissingSum, "no `_sum`".to_owned());
        }
        if !count && wants(sum) {
            find(
                self.line,
                FindingKind::MissingCount,
                "no `_count`".to_owned(),
            );
        }
    }

    fn finish_buckets(&mut self, find: &mut impl FnMut(u64, FindingKind, String)) {
        for pair in self.buckets.windows(2) {
            if let [(a, ..), (b, _, line)] = pair
                && b <= a
            {
                let what = format!("the bucket of {b} behind that of {a}");
                find(*line, FindingKind::UnorderedBuckets, what);
            }
        }
        self.buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        for pair in self.buckets.windows(2) {
            if let [(_, a, _), (le, b, line)] = pair
                && b < a
            {
                let what = format!("the count falls from {a} to {b} at the bucket of {le}");
                find(*line, FindingKind::FallingBuckets, what);
            }
        }
        match (self.buckets.last(), self.count) {
            #[expect(
                clippy::float_cmp,
                reason = "two spellings of one count are equal or wrong"
            )]
            (Some(&(le, total, _)), Some((count, line)))
                if le == f64::INFINITY && total != count =>
            {
                let what = format!("`_count` is {count}, the +Inf bucket {total}");
                find(line, FindingKind::WrongCount, what);
            }
            (Some(&(le, ..)), _) if le == f64::INFINITY => {}
            (last, _) => {
                let line = last.map_or(self.line, |(_, _, line)| *line);
                find(
                    line,
                    FindingKind::MissingInf,
                    "no bucket of +Inf".to_owned(),
                );
            }
        }
    }
}
