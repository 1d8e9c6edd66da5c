//! Snapshots to bytes.
//!
//! An [`Encoder`] renders everything but the values once: the names, the labels, the escapes, the
//! headers, in the order of the page. That is its *plan*. While the shapes of the snapshots and the
//! labels of their sources stay, a page is the rendered text with numbers in between: nothing is
//! allocated, no label is looked at, no name compared. A part whose shape changed is rendered anew;
//! the others keep their text.
//!
//! What must not be on a page is settled when the plan is made: names and labels are legal, a label
//! stands once in a series, a series once on the page, a name means one family.

mod escape;
mod labels;
mod page;
mod page_plan;
mod part_plan;
mod protobuf;
mod refused;
mod series;

use std::collections::HashMap;

use self::page::Page;
use self::page_plan::{At, Family, PagePlan, series_at};
use self::part_plan::{Identities, PartPlan};
use super::PageFormat;
use crate::dialect::Spoken;
use crate::{LabelSet, ShapeId, Snapshot};

pub(crate) use labels::{Labels as SeriesLabels, legal_metric_name};
pub use refused::Refused;

/// A help text as OpenMetrics has it.
#[cfg(feature = "prometheus-client")]
pub(crate) fn escape_help(text: &str) -> std::borrow::Cow<'_, str> {
    escape::help(text, true)
}

/// What one source says, with the labels that all its series get.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    /// Families, series, values.
    pub snapshot: &'a Snapshot,
    /// The labels of the source: backend, target, and what the operator added. They win over labels
    /// of the same name that came from outside, which become `exported_…`.
    pub labels: &'a LabelSet,
}

/// Writes pages of one format in one or several dialects.
///
/// # What a text page looks like
///
/// - Families stand in order of their names, each once, whatever number of parts have it; the series of
///   the parts follow one another in the order of the parts. So a page does not depend on which source
///   answered first, nor on the order of an upstream page. The first help text of a family stays.
/// - Labels are sorted by name, `le` and `quantile` come last, spelled as Prometheus spells them
///   (`1.0`, `1e+06`, `+Inf`). Names that cannot stand get underscores; `le`, `quantile` and names with
///   two leading underscores become `exported_…`.
/// - Values have the shortest text that reads back as the same bits.
/// - Absent values are not written, and a family without values has no header.
/// - A histogram's `+Inf` bucket and its count are one number: where one is absent, the other stands
///   for it. OpenMetrics pages have a count only beside a sum, as its grammar wants.
/// - In OpenMetrics, `# UNIT` follows where the name ends in the unit, a counter whose name lacks
///   `_total` is `unknown`, an info whose name lacks `_info` a gauge, and a state set without a label
///   of its own name a gauge.
///
/// - In OpenMetrics, exemplars stand behind counters and buckets; text 0.0.4 has none.
///
/// A text 1.0.0 page has the same text as 0.0.4: names are made legal rather than quoted.
///
/// # What a protobuf page looks like
///
/// The same families, series and values, names as in text 0.0.4, with units and exemplars as in
/// OpenMetrics. What its messages cannot say:
///
/// - A histogram without a sum has the sum NaN, because a reader takes a missing one for 0. So has a
///   summary; one without a count is refused.
/// - Infos and state sets are gauges.
/// - Counts that are not whole are doubles, which older readers take for 0.
///
/// # Costs
///
/// A page of a known plan: no allocation, about 20 ns a line. Rendering a part that is new or has
/// another shape: about a microsecond a series. Memory: the rendered names and labels, once a plain
/// series and three times a histogram however many buckets it has ([`memory`](Self::memory)).
///
/// ```
/// use std::sync::Arc;
/// use tokenpath_core::exposition::{Encoder, Format, Part};
/// use tokenpath_core::{Desc, LabelSet, MetricType, Snapshot, Unit};
///
/// let running = Arc::new(Desc::new(
///     "llm_requests_running", MetricType::Gauge, Unit::None, "Requests in the batch.",
/// ));
/// let mut snapshot = Snapshot::new();
/// snapshot.family(&running).sample(&[("model_name", "qwen \"2\"")], 4.0);
/// let labels = LabelSet::new([("backend", "vllm"), ("target", "10.0.0.7:8000")]);
///
/// let mut encoder = Encoder::new(Format::Text004);
/// let mut page = Vec::new();
/// encoder.encode(&[Part { snapshot: &snapshot, labels: &labels }], &mut page);
/// assert_eq!(
///     String::from_utf8(page).unwrap(),
///     r#"# HELP llm_requests_running Requests in the batch.
/// ## TYPE llm_requests_running gauge
/// llm_requests_running{backend="vllm",model_name="qwen \"2\"",target="10.0.0.7:8000"} 4
/// "#
/// );
/// assert!(encoder.refused().is_none());
/// ```
#[derive(Debug)]
pub struct Encoder {
    format: PageFormat,
    spoken: Spoken,
    identities: Identities,
    parts: Vec<PartPlan>,
    plan: PagePlan,
    refused: Refused,
    length: usize,
}

impl Encoder {
    /// An encoder of the canonical dialect.
    #[must_use]
    pub fn new(format: impl Into<PageFormat>) -> Self {
        Self::with_dialects(format, Spoken::canonical())
    }

    /// An encoder of the given dialects.
    #[must_use]
    pub fn with_dialects(format: impl Into<PageFormat>, spoken: Spoken) -> Self {
        Self {
            format: format.into(),
            spoken,
            identities: Identities::default(),
            parts: Vec::new(),
            plan: PagePlan::default(),
            refused: Refused::default(),
            length: 0,
        }
    }

    /// The format of the pages.
    #[must_use]
    pub const fn format(&self) -> PageFormat {
        self.format
    }

    /// Writes a page over what is in `page`.
    ///
    /// Hand in the same vector again and again, and do not clear it: what it holds is overwritten, and
    /// a vector that is long enough is not touched twice.
    pub fn encode(&mut self, parts: &[Part<'_>], page: &mut Vec<u8>) {
        if !self.fits(parts) {
            self.make_plan(parts);
        }
        self.refused = Refused {
            families: self.plan.refused_families,
            ..Refused::default()
        };
        let mut page = Page::over(page, self.length);
        let delimited = self.format == PageFormat::Protobuf;
        for family in &self.plan.families {
            let before = page.at();
            let message = delimited.then(|| page.begin(protobuf::FAMILY_LENGTH));
            page.text(&family.header);
            let header_end = page.at();
            for at in &family.blocks {
                if family.twins.is_empty() {
                    write_block(
                        *at,
                        &self.parts,
                        family,
                        parts,
                        &mut page,
                        &mut self.refused,
                    );
                } else {
                    write_without_twins(
                        *at,
                        &self.parts,
                        family,
                        parts,
                        &mut page,
                        &mut self.refused,
                    );
                }
            }
            if page.at() == header_end {
                page.back_to(before);
            } else if let Some(message) = message {
                page.end(message);
            }
        }
        if self.format == PageFormat::OpenMetrics100 {
            page.text(b"# EOF\n");
        }
        self.length = page.finish();
    }

    /// What the last page left out because it could not stand there.
    #[must_use]
    pub const fn refused(&self) -> Refused {
        self.refused
    }

    /// Bytes on the heap that the plan takes, roughly.
    #[must_use]
    pub fn memory(&self) -> usize {
        let headers = self.plan.families.iter().map(|family| {
            family.header.capacity()
                + family.blocks.capacity() * size_of::<At>()
                + size_of::<Family>()
        });
        self.parts.iter().map(PartPlan::memory).sum::<usize>() + headers.sum::<usize>()
    }

    fn fits(&self, parts: &[Part<'_>]) -> bool {
        self.parts.len() == parts.len()
            && self
                .parts
                .iter()
                .zip(parts)
                .all(|(plan, part)| plan.fits(part.snapshot.shape().id(), part.labels))
    }

    /// Renders what is new, keeps what is not, and puts it together.
    #[cold]
    fn make_plan(&mut self, parts: &[Part<'_>]) {
        let mut known: HashMap<ShapeId, Vec<PartPlan>> = HashMap::new();
        for plan in self.parts.drain(..) {
            known.entry(plan.shape()).or_default().push(plan);
        }
        for part in parts {
            let shape = part.snapshot.shape();
            let kept = known.get_mut(&shape.id()).and_then(|plans| {
                let index = plans
                    .iter()
                    .position(|plan| plan.fits(shape.id(), part.labels))?;
                Some(plans.swap_remove(index))
            });
            self.parts.push(kept.unwrap_or_else(|| {
                PartPlan::render(
                    shape,
                    part.labels,
                    self.format,
                    &self.spoken,
                    &self.identities,
                )
            }));
        }
        self.plan = PagePlan::assemble(&self.parts, self.format);
    }
}

fn write_block(
    at: At,
    plans: &[PartPlan],
    family: &Family,
    parts: &[Part<'_>],
    page: &mut Page<'_>,
    refused: &mut Refused,
) {
    let plan = &plans[at.part];
    let source = plan.source(parts[at.part].snapshot);
    for series in &plan.families[at.block].series {
        series.write(source, family.rules, page, refused);
    }
}

/// As [`write_block`], for families in which two series are equal: the first one that has values wins.
#[cold]
fn write_without_twins(
    at: At,
    plans: &[PartPlan],
    family: &Family,
    parts: &[Part<'_>],
    page: &mut Page<'_>,
    refused: &mut Refused,
) {
    let plan = &plans[at.part];
    let source = plan.source(parts[at.part].snapshot);
    for (index, series) in plan.families[at.block].series.iter().enumerate() {
        let is_there = |twin| {
            let (At { part, .. }, _) = twin;
            series_at(plans, twin).is_there(parts[part].snapshot, family.rules)
        };
        if !family.has_twin((at, index), is_there) {
            series.write(source, family.rules, page, refused);
        } else if plan.families[at.block].rank == 0
            && series.is_there(source.snapshot, family.rules)
        {
            // What stands in for something else is not missed where that is there.
            refused.duplicates += 1;
        }
    }
}
