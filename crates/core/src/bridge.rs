//! The bridge to the [prometheus-client](https://docs.rs/prometheus-client) crate, for services that
//! have a registry already. Feature `prometheus-client`; needs 0.25.2 or newer, because older ones do
//! not escape label values.
//!
//! Two ways, for two kinds of services:
//!
//! - [`SnapshotCollector`] is one more collector of the registry, which stays in charge of the page.
//! - [`encode_registry`] puts what the registry has onto a page of ours, which stays in charge: it
//!   speaks any dialect, and has what a registry cannot say (summaries, state sets, exemplars).
//!
//! ```
//! use std::sync::Arc;
//! use prometheus_client::encoding::text::encode;
//! use prometheus_client::metrics::counter::Counter;
//! use prometheus_client::registry::Registry;
//! use tokenpath_core::bridge::SnapshotCollector;
//! use tokenpath_core::{Desc, LabelSet, MetricType, Snapshot, Unit};
//!
//! // What the service has already.
//! let mut registry = Registry::default();
//! let served: Counter = Counter::default();
//! registry.register("served", "Requests that were answered", served.clone());
//! served.inc();
//!
//! // What is added.
//! let collector = SnapshotCollector::new();
//! registry.register_collector(Box::new(collector.clone()));
//!
//! let tokens = Desc::new("llm_prompt_tokens_total", MetricType::Counter, Unit::None, "Prompt tokens.");
//! let mut snapshot = Snapshot::new();
//! snapshot.family(&Arc::new(tokens)).sample(&[("model_name", "qwen")], 81_920.0);
//! collector.publish(LabelSet::new([("target", "10.0.0.7:8000")]), snapshot);
//!
//! let mut page = String::new();
//! encode(&mut page, &registry)?;
//! assert!(page.contains("served_total 1\n"));
//! assert!(page.contains(
//!     "llm_prompt_tokens_total{model_name=\"qwen\",target=\"10.0.0.7:8000\"} 81920.0\n"
//! ));
//! # Ok::<(), std::fmt::Error>(())
//! ```

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType as TheirType;
use prometheus_client::metrics::exemplar::Exemplar;
use prometheus_client::registry::{Registry, Unit as TheirUnit};

use crate::exposition::{Part, escape_help, legal_metric_name};
use crate::rollup::RollUp;
use crate::{
    CollectError, Desc, Label, LabelSet, MetricType, SeriesKind, SeriesShape, Snapshot, Source,
    Unit,
};

/// Snapshots as a collector of a prometheus-client registry.
///
/// A registry is asked for its metrics without waiting, so whoever serves the page publishes what the
/// sources said first, by [`read`](Self::read) or [`publish`](Self::publish). What was published
/// stays until it is replaced or withdrawn: read before each page, and nothing on it is stale.
///
/// Families have their canonical names, behind the prefix of the registry if it has one: register on a
/// registry without, and give your own metrics a sub-registry. Series get the labels they were published with, by the rules
/// of our pages, and stand in the order of publishing. Clones share what is published: one is
/// registered, another is kept.
///
/// What a registry cannot say is left out, and told by [`left_out`](Self::left_out): summaries,
/// histograms without a sum, counts that are not whole. State sets become gauges, and there are no
/// exemplars. Where two sources have the same series, the one that was published first counts.
///
/// Costs an allocation a series and page, as anything does in that crate.
#[derive(Clone, Debug)]
pub struct SnapshotCollector {
    published: Arc<Mutex<Published>>,
}

#[derive(Debug)]
struct Published {
    parts: Vec<Held>,
    /// Puts the labels of the parts on their series, each once.
    merge: RollUp,
    merged: Snapshot,
    left_out: Vec<LeftOut>,
}

/// What is held of one source.
#[derive(Debug)]
struct Held {
    labels: LabelSet,
    snapshot: Option<Arc<Snapshot>>,
    /// One from before, for its memory.
    spare: Option<Snapshot>,
}

impl Published {
    fn of(&mut self, labels: &LabelSet) -> &mut Held {
        let known = self.parts.iter().position(|held| held.labels == *labels);
        let at = known.unwrap_or_else(|| {
            self.parts.push(Held {
                labels: labels.clone(),
                snapshot: None,
                spare: None,
            });
            self.parts.len() - 1
        });
        &mut self.parts[at]
    }
}

/// A family that is not, or not wholly, on the newest page of a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// Its canonical name.
    pub family: String,
    /// Why.
    pub why: WhyLeftOut,
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.family, self.why)
    }
}

/// Why a family is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum WhyLeftOut {
    /// prometheus-client knows counters, gauges, histograms and infos.
    #[error("prometheus-client has no metrics of this type")]
    Type,
    /// Its histograms have a sum that only rises.
    #[error("a histogram without a sum, or with one that may fall, cannot be said")]
    Sum,
    /// Its counts are whole numbers, each at least as large as that of the bucket below.
    #[error("counts that are not whole or not cumulative cannot be said")]
    Count,
    /// A value that the type cannot have: a counter below zero, an info other than 1.
    #[error("a value that is none of its type")]
    Value,
    /// A sample of another family has one of its names.
    #[error("its name is taken")]
    Name,
}

impl Default for SnapshotCollector {
    fn default() -> Self {
        Self::new()
    }
}

impl SnapshotCollector {
    /// A collector with nothing published.
    #[must_use]
    pub fn new() -> Self {
        Self {
            published: Arc::new(Mutex::new(Published {
                parts: Vec::new(),
                merge: RollUp::over([""; 0]),
                merged: Snapshot::new(),
                left_out: Vec::new(),
            })),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Published> {
        self.published
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Publishes what one source said, in place of what was published under the same labels.
    pub fn publish(&self, labels: LabelSet, snapshot: impl Into<Arc<Snapshot>>) {
        let mut published = self.lock();
        let held = published.of(&labels);
        let before = held.snapshot.replace(snapshot.into());
        if let Some(before) = before.and_then(Arc::into_inner) {
            held.spare = Some(before);
        }
    }

    /// Takes back what was published under these labels, and forgets them. Gives it, if there was any.
    pub fn withdraw(&self, labels: &LabelSet) -> Option<Arc<Snapshot>> {
        let mut published = self.lock();
        let at = published
            .parts
            .iter()
            .position(|held| held.labels == *labels)?;
        published.parts.remove(at).snapshot
    }

    /// Reads a source once and publishes what it says under the labels `backend` and `target`. The
    /// memory of an earlier reading is used again.
    ///
    /// There is no deadline but the source's own: put a timeout around it. A reading that fails, or
    /// whose future is dropped, takes back what the source said before: it would be stale.
    ///
    /// # Errors
    ///
    /// Where the source cannot be read.
    pub async fn read<S: Source>(&self, source: &S) -> Result<(), CollectError> {
        let id = source.id();
        let labels = LabelSet::new([("backend", id.kind()), ("target", id.target())]);
        let spare = self.lock().of(&labels).spare.take();
        let mut snapshot = spare.unwrap_or_default();
        snapshot.clear();
        let unread = Unread {
            collector: self,
            labels: &labels,
        };
        source.collect(&mut snapshot).await?;
        std::mem::forget(unread);
        self.publish(labels, snapshot);
        Ok(())
    }

    /// What the newest page does not say, family by family.
    #[must_use]
    pub fn left_out(&self) -> Vec<LeftOut> {
        self.lock().left_out.clone()
    }
}

/// A reading that has not succeeded: dropping it takes back the one before.
struct Unread<'a> {
    collector: &'a SnapshotCollector,
    labels: &'a LabelSet,
}

impl Drop for Unread<'_> {
    fn drop(&mut self) {
        self.collector.lock().of(self.labels).snapshot = None;
    }
}

impl Collector for SnapshotCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut published = self.lock();
        let Published {
            parts,
            merge,
            merged,
            left_out,
        } = &mut *published;
        let parts: Vec<Part<'_>> = parts
            .iter()
            .filter_map(|held| {
                Some(Part {
                    snapshot: held.snapshot.as_deref()?,
                    labels: &held.labels,
                })
            })
            .collect();
        merge.run(&parts, merged);
        left_out.clear();
        let mut taken = HashSet::new();
        let mut families: Vec<_> = merged.shape().families().collect();
        families.sort_by(|a, b| a.desc().name().cmp(b.desc().name()));
        for family in families {
            let mut said = Family::new(family.desc());
            for series in family.series().filter(|series| merged.has(*series)) {
                match said.point(merged, series) {
                    Ok(point) => said.points.push((series, point)),
                    Err(why) => said.leave_out(why, left_out),
                }
            }
            if said.points.is_empty() {
                continue;
            }
            let names = sample_names(&said.full_name(), said.word());
            if names.iter().any(|name| taken.contains(name)) {
                said.leave_out(WhyLeftOut::Name, left_out);
                continue;
            }
            taken.extend(names);
            said.encode(&mut encoder)?;
        }
        Ok(())
    }
}

/// A family as prometheus-client says it.
struct Family<'a> {
    desc: &'a Desc,
    /// Without the suffixes that its encoder puts on.
    name: String,
    unit: Option<TheirUnit>,
    /// `None` where it has no such type.
    kind: Option<TheirType>,
    points: Vec<(SeriesShape<'a>, Point)>,
}

enum Point {
    Value(f64),
    Histogram {
        sum: f64,
        count: u64,
        /// Not cumulative.
        buckets: Vec<(f64, u64)>,
    },
}

impl<'a> Family<'a> {
    fn new(desc: &'a Desc) -> Self {
        let full = legal_metric_name(desc.name());
        let (name, kind) = match desc.kind() {
            MetricType::Counter => match full.strip_suffix("_total") {
                Some(name) => (name, Some(TheirType::Counter)),
                // The suffix is part of the type; without it the type cannot be said.
                None => (&*full, Some(TheirType::Unknown)),
            },
            MetricType::Info => match full.strip_suffix("_info") {
                Some(name) => (name, Some(TheirType::Info)),
                None => (&*full, Some(TheirType::Gauge)),
            },
            MetricType::Gauge | MetricType::StateSet => (&*full, Some(TheirType::Gauge)),
            MetricType::Unknown => (&*full, Some(TheirType::Unknown)),
            MetricType::Histogram => (&*full, Some(TheirType::Histogram)),
            MetricType::Summary | MetricType::GaugeHistogram => (&*full, None),
        };
        let may_have_unit = desc.unit() != Unit::None && !matches!(kind, Some(TheirType::Info));
        let suffix = desc.unit().suffix();
        let base = name
            .strip_suffix(suffix)
            .and_then(|name| name.strip_suffix('_'))
            .filter(|base| may_have_unit && !base.is_empty());
        Self {
            desc,
            name: base.unwrap_or(name).to_owned(),
            unit: base.map(|_| TheirUnit::Other(suffix.to_owned())),
            kind,
            points: Vec::new(),
        }
    }

    /// The name in `# TYPE`.
    fn full_name(&self) -> String {
        match &self.unit {
            Some(unit) => format!("{}_{}", self.name, unit.as_str()),
            None => self.name.clone(),
        }
    }

    fn word(&self) -> &str {
        self.kind.as_ref().map_or("", TheirType::as_str)
    }

    fn leave_out(&self, why: WhyLeftOut, left_out: &mut Vec<LeftOut>) {
        let entry = LeftOut {
            family: self.desc.name().to_owned(),
            why,
        };
        if !left_out.contains(&entry) {
            left_out.push(entry);
        }
    }

    fn point(&self, said: &Snapshot, series: SeriesShape<'_>) -> Result<Point, WhyLeftOut> {
        match (self.kind, series.kind()) {
            (Some(TheirType::Histogram), SeriesKind::Histogram(edges)) => {
                histogram(said, series, edges)
            }
            (Some(kind), SeriesKind::Value) => {
                let value = said.get(series.slot()).ok_or(WhyLeftOut::Value)?;
                let is_counter = self.desc.kind() == MetricType::Counter;
                let may_stand = match kind {
                    TheirType::Info => value.to_bits() == 1.0_f64.to_bits(),
                    _ if is_counter => value >= 0.0,
                    _ => true,
                };
                may_stand
                    .then_some(Point::Value(value))
                    .ok_or(WhyLeftOut::Value)
            }
            _ => Err(WhyLeftOut::Type),
        }
    }

    fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let Some(kind) = self.kind else { return Ok(()) };
        // That encoder writes help texts as they are.
        let help = escape_help(self.desc.help());
        let mut metric = encoder.encode_descriptor(&self.name, &help, self.unit.as_ref(), kind)?;
        for (series, point) in &self.points {
            let labels: Vec<Label<'_>> = series.labels().collect();
            if matches!(kind, TheirType::Info) {
                metric.encode_info(&labels)?;
            } else if labels.is_empty() {
                point.encode(kind, &mut metric)?;
            } else {
                point.encode(kind, &mut metric.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}

impl Point {
    fn encode(&self, kind: TheirType, metric: &mut MetricEncoder<'_>) -> fmt::Result {
        match self {
            Self::Value(value) if matches!(kind, TheirType::Counter) => {
                metric.encode_counter(value, None::<&Exemplar<NoLabelSet, f64>>)
            }
            Self::Value(value) => metric.encode_gauge(value),
            Self::Histogram {
                sum,
                count,
                buckets,
            } => metric.encode_histogram::<NoLabelSet>(*sum, *count, buckets, None),
        }
    }
}

/// A histogram with its buckets apart, as prometheus-client wants them.
fn histogram(said: &Snapshot, series: SeriesShape<'_>, edges: &[f64]) -> Result<Point, WhyLeftOut> {
    let sum = said.get(series.sum_slot()).ok_or(WhyLeftOut::Sum)?;
    let may_fall = edges.iter().any(|edge| *edge < 0.0) || sum < 0.0 || sum.is_nan();
    if may_fall {
        return Err(WhyLeftOut::Sum);
    }
    let mut buckets = Vec::with_capacity(edges.len() + 1);
    let mut below = 0;
    let mut bucket = |edge: f64, cumulative: f64| {
        let cumulative = whole(cumulative).ok_or(WhyLeftOut::Count)?;
        let own = cumulative.checked_sub(below).ok_or(WhyLeftOut::Count)?;
        below = cumulative;
        buckets.push((edge, own));
        Ok(cumulative)
    };
    let mut last = None;
    for (index, edge) in edges.iter().enumerate() {
        if let Some(count) = said.get(series.edge_slot(index)) {
            let cumulative = bucket(*edge, count)?;
            last = (*edge == f64::INFINITY).then_some(cumulative);
        }
    }
    // The `+Inf` bucket and the count are one number: where one is missing, it is the other.
    let count = match (said.get(series.count_slot()), last) {
        (Some(count), Some(_)) => whole(count).ok_or(WhyLeftOut::Count)?,
        (Some(count), None) => bucket(f64::INFINITY, count)?,
        (None, Some(last)) => last,
        (None, None) => return Err(WhyLeftOut::Count),
    };
    Ok(Point::Histogram {
        sum,
        count,
        buckets,
    })
}

fn whole(count: f64) -> Option<u64> {
    /// 2^53: beyond, a float does not count by ones.
    const END: f64 = 9_007_199_254_740_992.0;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is within the range and has no fraction"
    )]
    ((0.0..=END).contains(&count) && count.fract() == 0.0).then_some(count as u64)
}

/// Why a page and a registry could not be joined.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// The page does not end in `# EOF`: only OpenMetrics pages can be joined with a registry's.
    #[error("the page does not end in `# EOF`: encode it with Format::OpenMetrics100")]
    NotOpenMetrics,
    /// Both have a sample of this name, and a page may have it once.
    #[error("both the page and the registry have `{0}`: give the registry a prefix")]
    NameTaken(String),
    /// A metric or collector of the registry gave an error.
    #[error("the registry cannot be encoded")]
    Registry(#[from] fmt::Error),
}

/// Puts what a registry has onto an OpenMetrics page of ours, in front of its one `# EOF`.
///
/// ```
/// use prometheus_client::metrics::counter::Counter;
/// use prometheus_client::registry::Registry;
/// use tokenpath_core::bridge::encode_registry;
///
/// let mut registry = Registry::default();
/// registry.register("served", "Requests that were answered", <Counter>::default());
///
/// // Of an `Encoder`, or an exporter.
/// let mut page = b"# TYPE llm_requests_running gauge\nllm_requests_running 4\n# EOF\n".to_vec();
/// encode_registry(&registry, &mut page)?;
/// let page = String::from_utf8(page).unwrap();
/// assert!(page.starts_with("# TYPE llm_requests_running gauge\n"));
/// assert!(page.ends_with("served_total 0\n# EOF\n"));
/// # Ok::<(), tokenpath_core::bridge::JoinError>(())
/// ```
///
/// # Errors
///
/// Where the page is not OpenMetrics, both have a name, or the registry fails; the page is then as it
/// was.
pub fn encode_registry(registry: &Registry, page: &mut Vec<u8>) -> Result<(), JoinError> {
    const EOF: &[u8] = b"# EOF\n";
    let Some(body) = page
        .strip_suffix(EOF)
        .filter(|body| body.is_empty() || body.ends_with(b"\n"))
    else {
        return Err(JoinError::NotOpenMetrics);
    };
    let mut theirs = String::new();
    text::encode_registry(&mut theirs, registry)?;
    let ours: HashSet<String> = declared(&String::from_utf8_lossy(body)).collect();
    if let Some(name) = declared(&theirs).find(|name| ours.contains(name)) {
        return Err(JoinError::NameTaken(name));
    }
    page.truncate(page.len() - EOF.len());
    page.extend_from_slice(theirs.as_bytes());
    page.extend_from_slice(EOF);
    Ok(())
}

/// All names that the families of an OpenMetrics page take.
fn declared(page: &str) -> impl Iterator<Item = String> {
    let types = page.lines().filter_map(|line| {
        let (name, kind) = line.strip_prefix("# TYPE ")?.split_once(' ')?;
        Some(sample_names(name, kind))
    });
    types.flatten()
}

/// The names that a family of a type reserves for itself and its samples.
fn sample_names(name: &str, kind: &str) -> Vec<String> {
    let suffixes: &[&str] = match kind {
        "counter" => &["", "_total", "_created"],
        "info" => &["", "_info"],
        "histogram" => &["", "_bucket", "_sum", "_count", "_created"],
        "gaugehistogram" => &["", "_bucket", "_gsum", "_gcount"],
        "summary" => &["", "_sum", "_count", "_created"],
        _ => &[""],
    };
    let names = suffixes.iter().map(|suffix| format!("{name}{suffix}"));
    names.collect()
}
