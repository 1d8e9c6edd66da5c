//! What is wrong with a page that a parser alone does not see.
//!
//! Parsers, Prometheus's own among them, read a page line by line; `promtool check metrics` looks at
//! names and help. Neither sees a histogram whose buckets fall, a series that is there twice, or a
//! family in two places. This checker does. It is made for tests and for `lint`-like commands: it
//! allocates freely and keeps the whole page's series in memory.

mod family;
mod points;

use std::collections::{BTreeSet, HashMap};
use std::fmt;

use self::family::{Family, Role, resolve};
use self::points::Points;
use super::entry::{Entry, Sample};
use super::error::ParseErrorKind;
use super::format::{Format, Limits, Options};
use super::parser::Parser;
use crate::MetricType;

/// One thing that is wrong with a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The line it was seen on, from 1.
    pub line: u64,
    /// What kind of fault it is.
    pub kind: FindingKind,
    /// Which family or series, and what about it.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

/// The faults that [`check`](fn@check) knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FindingKind {
    /// The line is not of the format; the rest of the page is checked all the same. A missing
    /// `# EOF` and a unit that is no suffix are here too.
    Syntax(ParseErrorKind),
    /// A series is there twice: same name and same labels, in whatever order. In OpenMetrics,
    /// points of one series with rising timestamps are fine.
    DuplicateSeries,
    /// Samples of a family stand in more than one place.
    SplitFamily,
    /// `# HELP`, `# TYPE` or `# UNIT` behind the first sample of its family.
    MetadataAfterSamples,
    /// A second `# HELP`, `# TYPE` or `# UNIT` of one family.
    DuplicateMetadata,
    /// Samples whose family has no `# TYPE`.
    MissingType,
    /// A sample whose name does not go with the type of its family: a histogram's without
    /// `_bucket`, `_sum` or `_count`; in OpenMetrics a counter's without `_total`.
    WrongSuffix,
    /// A counter, a bucket or a count that is negative or NaN.
    NegativeCounter,
    /// `_bucket` without a `le` label, or one that is no number.
    BadLe,
    /// Buckets whose `le` does not rise.
    UnorderedBuckets,
    /// A cumulative count that falls from one bucket to the next.
    FallingBuckets,
    /// A histogram without a `+Inf` bucket.
    MissingInf,
    /// `_count` differs from the `+Inf` bucket.
    WrongCount,
    /// A histogram or summary without its `_sum`.
    MissingSum,
    /// A histogram or summary without its `_count`.
    MissingCount,
    /// A summary's sample without a `quantile` label from 0 to 1.
    BadQuantile,
    /// An info metric that is not 1.
    WrongInfo,
    /// A state set that is neither 0 nor 1, or lacks the label named like its family.
    WrongStateSet,
    /// A unit on an info metric or a state set.
    UnitNotAllowed,
    /// An exemplar on something that is neither a counter's total nor a bucket.
    ExemplarNotAllowed,
    /// An exemplar whose label names and values have more than 128 characters.
    ExemplarTooLong,
}

/// Everything that is wrong with `page`, in the order of its lines. An empty list is a good page.
///
/// The limits of [`Limits`] are off: this is not for hostile pages.
///
/// ```
/// use tokenpath_core::exposition::{FindingKind, Format, check};
///
/// let page = concat!(
///     "# TYPE ttft_seconds histogram\n",
///     "ttft_seconds_bucket{le=\"0.1\"} 5\n",
///     "ttft_seconds_bucket{le=\"+Inf\"} 4\n",
///     "ttft_seconds_sum 1\n",
///     "ttft_seconds_count 4\n",
/// );
/// let findings = check(page.as_bytes(), Format::Text004);
/// assert_eq!(findings.len(), 1);
/// assert_eq!(findings[0].kind, FindingKind::FallingBuckets);
/// assert_eq!(findings[0].line, 3);
/// ```
#[must_use]
pub fn check(page: &[u8], format: Format) -> Vec<Finding> {
    let mut checker = Checker::new(format);
    let mut parser = Parser::new(page, Options::new(format).limits(Limits::NONE));
    let mut counted = 0;
    while let Some(step) = parser.step() {
        let upto = match step {
            Ok(_) => parser.entry_offset(),
            Err(fault) => fault.at,
        };
        let between = page.get(counted..upto).unwrap_or_default();
        checker.line += memchr::memchr_iter(b'\n', between).count() as u64;
        counted = counted.max(upto);
        match step {
            Ok(entry) => checker.entry(&entry),
            Err(fault) => {
                checker.find(FindingKind::Syntax(fault.kind), fault.kind.to_string());
                if !parser.skip_line() {
                    break;
                }
            }
        }
        if parser.is_done() {
            break;
        }
    }
    checker.finish()
}

/// A name, and labels sorted by theirs; unescaped.
type Series = (String, Vec<(String, String)>);

/// What is known of the page so far.
struct Checker {
    format: Format,
    line: u64,
    families: HashMap<String, Family>,
    /// The family that the lines just read belong to.
    current: Option<String>,
    /// Each series with the timestamp of its last point.
    series: HashMap<Series, Option<i64>>,
    /// Families already reported as split or untyped, so that each is reported once.
    reported: BTreeSet<(&'static str, String)>,
    points: Points,
    findings: Vec<Finding>,
}

impl Checker {
    fn new(format: Format) -> Self {
        Self {
            format,
            line: 1,
            families: HashMap::new(),
            current: None,
            series: HashMap::new(),
            reported: BTreeSet::new(),
            points: Points::default(),
            findings: Vec::new(),
        }
    }

    fn openmetrics(&self) -> bool {
        self.format == Format::OpenMetrics100
    }

    fn find(&mut self, kind: FindingKind, message: String) {
        self.findings.push(Finding {
            line: self.line,
            kind,
            message,
        });
    }

    fn entry(&mut self, entry: &Entry<'_>) {
        match entry {
            Entry::Help { name, .. } => self.metadata(&name.to_str(), "HELP", |f| &mut f.help),
            Entry::Type { name, kind } => {
                let name = name.to_str();
                self.metadata(&name, "TYPE", |f| &mut f.typed);
                self.family(&name).kind = Some(*kind);
                self.type_after_samples(&name, *kind);
            }
            Entry::Unit { name, unit } => {
                let name = name.to_str();
                self.metadata(&name, "UNIT", |f| &mut f.unit);
                let kind = self.family(&name).kind;
                if matches!(kind, Some(MetricType::Info | MetricType::StateSet)) && unit.raw() != ""
                {
                    self.find(
                        FindingKind::UnitNotAllowed,
                        format!("{name} is of a type that has no unit"),
                    );
                }
            }
            Entry::Sample(sample) => self.sample(sample),
            Entry::Comment(_) | Entry::Eof => {}
        }
    }

    fn family(&mut self, name: &str) -> &mut Family {
        self.families.entry(name.to_owned()).or_default()
    }

    fn metadata(&mut self, name: &str, keyword: &str, seen: impl Fn(&mut Family) -> &mut bool) {
        let family = self.family(name);
        let again = std::mem::replace(seen(family), true);
        let late = family.samples;
        if again {
            self.find(
                FindingKind::DuplicateMetadata,
                format!("a second {keyword} of {name}"),
            );
        } else if late {
            self.find(
                FindingKind::MetadataAfterSamples,
                format!("{keyword} of {name} after its samples"),
            );
        }
        self.current = Some(name.to_owned());
    }

    /// A `# TYPE` makes samples its own that stood before it under names with a suffix.
    fn type_after_samples(&mut self, name: &str, kind: MetricType) {
        let late = family::suffixes(kind, self.format)
            .iter()
            .filter(|s| !s.is_empty())
            .any(|suffix| {
                self.families
                    .get(&format!("{name}{suffix}"))
                    .is_some_and(|f| f.samples && f.kind.is_none())
            });
        if late {
            self.find(
                FindingKind::MetadataAfterSamples,
                format!("TYPE of {name} after its samples"),
            );
        }
    }

    /// Reports a fault once a family.
    fn find_once(&mut self, what: &'static str, family: &str, kind: FindingKind, message: String) {
        if self.reported.insert((what, family.to_owned())) {
            self.find(kind, message);
        }
    }

    fn sample(&mut self, sample: &Sample<'_>) {
        let name = sample.name().to_str().into_owned();
        let (stem, role) = resolve(&name, &self.families, self.format);
        if self.current.as_deref() != Some(&stem) && self.family(&stem).samples {
            let message = format!("samples of {stem} stand in more than one place");
            self.find_once("split", &stem, FindingKind::SplitFamily, message);
        }
        let family = self.family(&stem);
        family.samples = true;
        let kind = family.kind;
        self.current = Some(stem.clone());
        match (kind, role) {
            (None, _) => {
                let message = format!("samples of {stem} without a TYPE");
                self.find_once("type", &stem, FindingKind::MissingType, message);
            }
            (Some(kind), Role::Foreign) => {
                let message = format!("{name} is no name for a sample of the {kind} {stem}");
                self.find(FindingKind::WrongSuffix, message);
            }
            (Some(_), _) => {}
        }
        self.duplicate(&name, sample);
        self.value(&name, &stem, kind, role, sample);
        self.exemplar(&name, kind, role, sample);
        if let Some(kind) = kind {
            let line = self.line;
            self.points
                .add(&stem, kind, role, sample, line, &mut self.findings);
        }
    }

    fn duplicate(&mut self, name: &str, sample: &Sample<'_>) {
        let mut labels: Vec<_> = sample
            .labels()
            .map(|(n, v)| (n.to_str().into_owned(), v.to_str().into_owned()))
            .collect();
        labels.sort();
        let before = self
            .series
            .insert((name.to_owned(), labels), sample.timestamp_ms());
        let Some(before) = before else { return };
        let rising = matches!((before, sample.timestamp_ms()), (Some(a), Some(b)) if a < b);
        if !(self.openmetrics() && rising) {
            let series = String::from_utf8_lossy(sample.series()).into_owned();
            self.find(
                FindingKind::DuplicateSeries,
                format!("{series} is there twice"),
            );
        }
    }

    fn value(
        &mut self,
        name: &str,
        stem: &str,
        kind: Option<MetricType>,
        role: Role,
        sample: &Sample<'_>,
    ) {
        let value = sample.value();
        let counts = match kind {
            Some(MetricType::Counter) => role == Role::Value,
            Some(MetricType::Histogram | MetricType::GaugeHistogram) => {
                matches!(role, Role::Bucket | Role::Count)
            }
            Some(MetricType::Summary) => role == Role::Count,
            _ => false,
        };
        if counts && (value.is_nan() || value < 0.0) {
            self.find(
                FindingKind::NegativeCounter,
                format!("{name} counts, and is {value}"),
            );
        }
        match kind {
            #[expect(clippy::float_cmp, reason = "the format wants exactly 1")]
            Some(MetricType::Info) if value != 1.0 => {
                self.find(
                    FindingKind::WrongInfo,
                    format!("{name} is an info metric, and is {value}"),
                );
            }
            #[expect(clippy::float_cmp, reason = "the format wants exactly 0 or 1")]
            Some(MetricType::StateSet) if value != 0.0 && value != 1.0 => {
                self.find(
                    FindingKind::WrongStateSet,
                    format!("{name} is a state, and is {value}"),
                );
            }
            Some(MetricType::StateSet) if sample.labels().get(stem).is_none() => {
                self.find(
                    FindingKind::WrongStateSet,
                    format!("{name} lacks the label {stem}"),
                );
            }
            _ => {}
        }
    }

    fn exemplar(&mut self, name: &str, kind: Option<MetricType>, role: Role, sample: &Sample<'_>) {
        let Some(exemplar) = sample.exemplar() else {
            return;
        };
        let allowed = match kind {
            Some(MetricType::Counter) => role == Role::Value,
            Some(MetricType::Histogram | MetricType::GaugeHistogram) => role == Role::Bucket,
            _ => false,
        };
        if !allowed {
            self.find(
                FindingKind::ExemplarNotAllowed,
                format!("{name} may have no exemplar"),
            );
        }
        let characters: usize = exemplar
            .labels()
            .map(|(n, v)| n.to_str().chars().count() + v.to_str().chars().count())
            .sum();
        if characters > 128 {
            let message =
                format!("the exemplar of {name} has {characters} characters, 128 are allowed");
            self.find(FindingKind::ExemplarTooLong, message);
        }
    }

    fn finish(mut self) -> Vec<Finding> {
        let openmetrics = self.openmetrics();
        self.points.finish(openmetrics, &mut self.findings);
        self.findings.sort_by_key(|f| f.line);
        self.findings
    }
}

#[cfg(test)]
mod tests;
