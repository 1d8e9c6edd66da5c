//! The plan of one upstream family by one row of the catalogue.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::Line;
use super::classify::Part;
use super::plan::{Action, Newest, PageFamily, PageLine, Plan, Step};
use crate::catalogue::{LabelRule, Output, Reduce, Row, Scale};
use crate::exposition::parse_value;
use crate::{Desc, DropReason, MetricType, SeriesKind, Slot, Snapshot};

type Labels<'p> = Vec<(Cow<'p, str>, Cow<'p, str>)>;

/// Plans the lines of one family by one row.
pub(super) struct RowPlanner<'a> {
    pub(super) row: &'a Row,
    pub(super) desc: &'a Arc<Desc>,
    pub(super) shape: &'a mut Snapshot,
    pub(super) plan: &'a mut Plan,
    /// Whether no other row was planned for the family before.
    pub(super) first: bool,
    /// Whether labels stay as they are: the family is somebody else's.
    pub(super) passes: bool,
}

impl RowPlanner<'_> {
    pub(super) fn run(mut self, family: &PageFamily<'_>) {
        if self.row.newest {
            return self.newest(family);
        }
        match &self.row.output {
            Output::Family(_) if is_cumulative(self.desc.kind()) => self.cumulative(family),
            Output::Family(_) => {
                for line in &family.lines {
                    self.value(line);
                }
            }
            Output::Sum(_) | Output::Count(_) => {
                let part = if matches!(self.row.output, Output::Sum(_)) {
                    Part::Sum
                } else {
                    Part::Count
                };
                for line in family.lines.iter().filter(|line| line.part == part) {
                    self.value(line);
                }
            }
            _ => {
                for line in &family.lines {
                    let steps = self.facts(line, family);
                    self.plan.steps.extend(steps);
                }
            }
        }
    }

    /// A line whose value is the value.
    fn value(&mut self, line: &PageLine<'_>) {
        let labels = labels(self.row, line.line, line.part, self.passes);
        let process = !self.passes && line.line.label("pid").is_some();
        let Some((slot, known)) = self.slot(&labels, SeriesKind::Value) else {
            return;
        };
        if known && !process {
            return self.plan.tally.drop_sample(DropReason::Duplicate);
        }
        let combine = process.then_some(self.row.processes);
        self.step(line.id, slot, self.row.scale, combine);
    }

    /// The slot of a series, and whether this plan had given it out before.
    fn slot(&mut self, labels: &Labels<'_>, kind: SeriesKind<'_>) -> Option<(Slot, bool)> {
        let labels: Vec<(&str, &str)> = labels
            .iter()
            .map(|(name, value)| (&**name, &**value))
            .collect();
        let duplicates = self.shape.tally().dropped(DropReason::Duplicate);
        if let Some(slot) = self.shape.family(self.desc).declare(&labels, kind) {
            let series = kind_slots(kind);
            // Any value marks the series as given out.
            self.shape.set(slot.offset(series - 1), 0.0);
            return Some((slot, false));
        }
        if self.shape.tally().dropped(DropReason::Duplicate) > duplicates {
            let family = self.shape.shape().family(self.desc.name())?;
            let same = |series: &crate::SeriesShape<'_>| {
                series.labels().len() == labels.len()
                    && labels
                        .iter()
                        .all(|(name, value)| series.label(name) == Some(value))
            };
            let slot = family.series().filter(same).last()?.slot();
            return Some((slot, true));
        }
        self.plan.tally.drop_sample(DropReason::TypeClash);
        None
    }

    fn step(&mut self, line: u32, slot: Slot, scale: Scale, combine: Option<Reduce>) {
        let sentinel = self.row.sentinel;
        let action = if scale.is_one() && sentinel.is_none() && combine.is_none() {
            Action::Store
        } else {
            Action::Adjust {
                scale,
                sentinel,
                combine,
            }
        };
        self.plan.steps.push(Step { line, slot, action });
    }

    /// The lines of a histogram or summary, brought together series by series.
    fn cumulative(&mut self, family: &PageFamily<'_>) {
        let mut order: Vec<Cumulative<'_>> = Vec::new();
        let mut by_labels: HashMap<Labels<'_>, usize> = HashMap::new();
        for line in &family.lines {
            let labels = labels(self.row, line.line, line.part, self.passes);
            let at = *by_labels.entry(labels).or_insert_with_key(|labels| {
                order.push(Cumulative {
                    labels: labels.clone(),
                    edges: Vec::new(),
                    sum: None,
                    count: None,
                });
                order.len() - 1
            });
            let series = &mut order[at];
            let taken = match line.part {
                Part::Bucket | Part::Quantile => {
                    let edge = line.line.label(if line.part == Part::Bucket {
                        "le"
                    } else {
                        "quantile"
                    });
                    let edge = edge
                        .and_then(|edge| parse_value(edge.as_bytes()))
                        .filter(|edge| !edge.is_nan());
                    let Some(edge) = edge else {
                        self.plan.tally.drop_sample(DropReason::InvalidLine);
                        continue;
                    };
                    let edge = if line.part == Part::Bucket {
                        self.row.scale.apply(edge)
                    } else {
                        edge
                    };
                    let at = series.edges.partition_point(|(known, _)| *known < edge);
                    #[expect(clippy::float_cmp, reason = "equal edges are the same bucket")]
                    let taken = series
                        .edges
                        .get(at)
                        .is_some_and(|(known, _)| *known == edge);
                    if !taken {
                        series.edges.insert(at, (edge, line.id));
                    }
                    taken
                }
                Part::Sum => series.sum.replace(line.id).is_some(),
                Part::Count => series.count.replace(line.id).is_some(),
                Part::Value | Part::Created => {
                    self.plan.tally.drop_sample(DropReason::TypeClash);
                    continue;
                }
            };
            if taken {
                self.plan.tally.drop_sample(DropReason::Duplicate);
            }
        }
        for series in order {
            self.cumulative_series(series);
        }
    }

    fn cumulative_series(&mut self, mut series: Cumulative<'_>) {
        let summary = self.desc.kind() == MetricType::Summary;
        // The last bucket and the count say the same: where a page lacks one, the other is it.
        let total = series
            .edges
            .last()
            .filter(|(edge, _)| !summary && *edge == f64::INFINITY)
            .map(|(_, line)| *line);
        if let (false, None, Some(count)) = (summary, total, series.count) {
            series.edges.push((f64::INFINITY, count));
        }
        let count = series.count.or(total);
        let edges: Vec<f64> = series.edges.iter().map(|(edge, _)| *edge).collect();
        let kind = if summary {
            SeriesKind::Summary(&edges)
        } else {
            SeriesKind::Histogram(&edges)
        };
        let Some((slot, known)) = self.slot(&series.labels, kind) else {
            return;
        };
        if known {
            let lines = series.edges.len()
                + usize::from(series.sum.is_some())
                + usize::from(series.count.is_some());
            return self
                .plan
                .tally
                .drop_samples(DropReason::Duplicate, lines as u64);
        }
        let bucket_scale = if summary { self.row.scale } else { Scale::ONE };
        for (index, (_, line)) in series.edges.iter().enumerate() {
            self.step(*line, slot.offset(index), bucket_scale, None);
            if !summary && !self.row.scale.is_one() {
                self.plan.observed.insert(*line, self.row.scale);
            }
        }
        if let Some(sum) = series.sum {
            self.step(sum, slot.offset(edges.len()), self.row.scale, None);
        }
        if let Some(count) = count {
            self.step(count, slot.offset(edges.len() + 1), Scale::ONE, None);
        }
    }

    /// Facts that a line's labels say.
    fn facts(&mut self, line: &PageLine<'_>, family: &PageFamily<'_>) -> Vec<Step> {
        let labels = labels(self.row, line.line, line.part, self.passes);
        let mut facts: Vec<(Labels<'_>, f64)> = Vec::new();
        match &self.row.output {
            Output::LabelNumber {
                label, shared_by, ..
            } => {
                let number = line
                    .line
                    .label(label)
                    .and_then(|text| parse_value(text.as_bytes()))
                    .filter(|number| number.is_finite());
                let part = match shared_by {
                    Some(sharer) => number.and_then(|all| part(all, line, family, label, sharer)),
                    None => number,
                };
                facts.extend(part.map(|number| (labels, number)));
            }
            Output::LabelCount { label, .. } => {
                let items = line.line.label(label).map(|text| list(text).count());
                #[expect(
                    clippy::cast_precision_loss,
                    reason = "a label has far fewer than 2^53 items"
                )]
                facts.extend(items.map(|items| (labels, items as f64)));
            }
            Output::LabelItems { label, item, .. } => {
                let text = line.line.label(label).unwrap_or_default();
                facts.extend(list(text).map(|name| {
                    let mut labels = labels.clone();
                    labels.push((Cow::Owned(item.to_string()), Cow::Borrowed(name)));
                    (labels, 1.0)
                }));
            }
            _ => facts.push((labels, 1.0)),
        }
        let mut steps = Vec::new();
        for (labels, fact) in facts {
            match self.slot(&labels, SeriesKind::Value) {
                // A fact that several processes, or several candidates for the newest, tell alike.
                Some((slot, _)) => steps.push(Step {
                    line: line.id,
                    slot,
                    action: Action::Fact(self.row.scale.apply(fact)),
                }),
                None => continue,
            }
        }
        steps
    }

    fn newest(&mut self, family: &PageFamily<'_>) {
        let mut candidates = Vec::new();
        for line in &family.lines {
            let steps = match self.row.output {
                Output::Family(_) => {
                    let before = self.plan.steps.len();
                    self.value(line);
                    self.plan.steps.split_off(before)
                }
                _ => self.facts(line, family),
            };
            candidates.push((line.id, steps));
        }
        self.plan.newest.push(Newest {
            candidates,
            counts: self.first,
        });
    }
}

/// The lines of one histogram or summary series.
struct Cumulative<'p> {
    labels: Labels<'p>,
    /// Edges in order, with the line of each.
    edges: Vec<(f64, u32)>,
    sum: Option<u32>,
    count: Option<u32>,
}

fn is_cumulative(kind: MetricType) -> bool {
    matches!(
        kind,
        MetricType::Histogram | MetricType::GaugeHistogram | MetricType::Summary
    )
}

fn kind_slots(kind: SeriesKind<'_>) -> usize {
    match kind {
        SeriesKind::Value => 1,
        SeriesKind::Histogram(edges) | SeriesKind::Summary(edges) => edges.len() + 2,
    }
}

/// What one line has of a number that is the sum over all lines that repeat it, told apart by the
/// label `sharer`. `None` where it is not known how many share, or they cannot have equal parts.
fn part(
    all: f64,
    line: &PageLine<'_>,
    family: &PageFamily<'_>,
    label: &str,
    sharer: &str,
) -> Option<f64> {
    let repeats = |other: &&PageLine<'_>| other.line.label(label) == line.line.label(label);
    let sharers: HashSet<&str> = family
        .lines
        .iter()
        .filter(repeats)
        .map(|other| other.line.label(sharer).unwrap_or_default())
        .collect();
    if sharers.len() > 1 && sharers.contains("") {
        return None;
    }
    #[expect(
        clippy::cast_precision_loss,
        reason = "a page has far fewer than 2^53 lines"
    )]
    let part = all / sharers.len() as f64;
    (sharers.len() == 1 || part.fract() == 0.0).then_some(part)
}

/// The items of a comma-separated list; an empty text has none.
fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
}

/// A line's labels after the row's rules. The process label, where the family is not passed through,
/// and empty ones, which mean the same as none, are gone.
fn labels<'p>(row: &'p Row, line: &'p Line, part: Part, passes: bool) -> Labels<'p> {
    let part_label = match part {
        // Without a type, nothing says that the label is a part.
        _ if passes && !is_cumulative(row.kind) => "",
        Part::Bucket => "le",
        Part::Quantile => "quantile",
        _ => "",
    };
    let mut labels: Labels<'p> = line
        .labels
        .iter()
        .filter(|(name, _)| (passes || &**name != "pid") && &**name != part_label)
        .map(|(name, value)| (Cow::Borrowed(&**name), Cow::Borrowed(&**value)))
        .collect();
    for rule in &row.labels {
        apply(rule, &mut labels);
    }
    labels.retain(|(_, value)| !value.is_empty());
    labels
}

fn apply<'p>(rule: &'p LabelRule, labels: &mut Labels<'p>) {
    let at = |labels: &Labels<'p>, name: &str| labels.iter().position(|(known, _)| known == name);
    match rule {
        LabelRule::Rename { from, to } => {
            if let Some(at) = at(labels, from) {
                labels[at].0 = Cow::Borrowed(to);
            }
        }
        LabelRule::Drop(name) => labels.retain(|(known, _)| known != name),
        LabelRule::Keep(names) => {
            labels.retain(|(known, _)| names.iter().any(|name| name == known))
        }
        LabelRule::MapValue { label, from, to } => {
            if let Some(at) = at(labels, label).filter(|at| labels[*at].1 == *from) {
                labels[at].1 = Cow::Borrowed(to);
            }
        }
        LabelRule::Constant { label, value } => {
            labels.retain(|(known, _)| known != label);
            labels.push((Cow::Borrowed(label), Cow::Borrowed(value)));
        }
        LabelRule::Default { label, value } => match at(labels, label) {
            Some(at) if labels[at].1.is_empty() => labels[at].1 = Cow::Borrowed(value),
            Some(_) => {}
            None => labels.push((Cow::Borrowed(label), Cow::Borrowed(value))),
        },
    }
}
