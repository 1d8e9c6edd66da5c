//! The plan of a page: which line's value goes into which slot of which shape.
//!
//! Made anew whenever a page has other lines than the page before; the shape it fills only grows, so
//! a line that comes and goes costs a plan, not a new shape.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::classify::{Class, Part, classify};
use super::report::{FamilyReport, Report, Verdict};
use super::{Line, PageLines};
use crate::catalogue::{Compiled, LabelRule, Output, Reduce, Row, Scale};
use crate::exposition::{Layout, parse_value};
use crate::{Desc, DropReason, MetricType, SeriesKind, Shape, Slot, Snapshot, Tally};

/// What is done with the value of one line.
#[derive(Clone, Copy, Debug)]
struct Step {
    line: u32,
    slot: Slot,
    action: Action,
}

#[derive(Clone, Copy, Debug)]
enum Action {
    /// Stores it.
    Store,
    /// Scales it, drops a sentinel, combines it with what is there.
    Adjust {
        scale: Scale,
        sentinel: Option<f64>,
        combine: Option<Reduce>,
    },
    /// Stores this instead: the line stands for a fact in its labels.
    Fact(f64),
}

/// Lines of which only the one with the largest value counts, with the steps of each.
#[derive(Clone, Debug, Default)]
struct Newest {
    candidates: Vec<(u32, Vec<Step>)>,
}

/// Steps in the order of a page's lines.
#[derive(Clone, Debug, Default)]
pub(super) struct Plan {
    shape: Arc<Shape>,
    steps: Vec<Step>,
    newest: Vec<Newest>,
    /// What is dropped whatever the values are.
    tally: Tally,
    report: Report,
}

impl Plan {
    pub(super) fn report(&self) -> &Report {
        &self.report
    }

    /// Fills a snapshot from the values of a page. Allocates nothing once `out` has the shape.
    pub(super) fn run(&self, layout: &Layout, out: &mut Snapshot) {
        out.reset_to(&self.shape);
        *out.tally_mut() = self.tally;
        for step in &self.steps {
            step.run(layout, out);
        }
        for newest in &self.newest {
            newest.run(layout, out);
        }
    }
}

impl Step {
    fn run(&self, layout: &Layout, out: &mut Snapshot) {
        let Some(value) = layout.value(self.line) else {
            return;
        };
        if value.is_nan() {
            return out.tally_mut().drop_sample(DropReason::NotANumber);
        }
        match self.action {
            Action::Store => out.set(self.slot, value),
            Action::Fact(fact) => out.set(self.slot, fact),
            Action::Adjust {
                scale,
                sentinel,
                combine,
            } => {
                if sentinel == Some(value) {
                    return out.tally_mut().drop_sample(DropReason::Sentinel);
                }
                let value = scale.apply(value);
                match combine {
                    None => out.set(self.slot, value),
                    Some(Reduce::Sum) => out.add(self.slot, value),
                    Some(Reduce::Max) => out.raise(self.slot, value),
                }
            }
        }
    }
}

impl Newest {
    fn run(&self, layout: &Layout, out: &mut Snapshot) {
        let value = |line: u32| layout.value(line).filter(|value| !value.is_nan());
        let newest = self
            .candidates
            .iter()
            .filter_map(|(line, steps)| Some((value(*line)?, steps)))
            .reduce(|best, next| if next.0 > best.0 { next } else { best });
        let Some((_, steps)) = newest else { return };
        for step in steps {
            step.run(layout, out);
        }
        out.tally_mut()
            .drop_samples(DropReason::Outdated, self.candidates.len() as u64 - 1);
    }
}

/// Makes plans, and keeps the shape that they fill.
#[derive(Debug)]
pub(super) struct Planner {
    catalogue: Arc<Compiled>,
    /// Holds the shape only: a value marks a series of the newest plan.
    shape: Snapshot,
}

impl Planner {
    pub(super) fn new(catalogue: Arc<Compiled>) -> Self {
        Self {
            catalogue,
            shape: Snapshot::new(),
        }
    }

    /// Plans the lines that the newest page has.
    pub(super) fn plan(&mut self, page: &PageLines, layout: &Layout) -> Plan {
        self.shape.clear();
        let families = self.classify(page, layout);
        let present: HashSet<&str> = families.iter().map(|family| family.key).collect();
        let mut plan = Plan::default();
        for family in &families {
            let verdict = self.plan_family(family, page, &present, &mut plan);
            plan.tally.unmapped_families += u64::from(verdict == Verdict::Unmapped);
            plan.report
                .families
                .push(self.report(family, page, verdict));
        }
        plan.steps.sort_by_key(|step| step.line);
        plan.shape = Arc::clone(self.shape.shape());
        plan
    }

    /// The families of the newest page in order of their first lines.
    fn classify<'p>(&self, page: &'p PageLines, layout: &Layout) -> Vec<PageFamily<'p>> {
        let mut families: Vec<PageFamily<'p>> = Vec::new();
        let mut by_key: HashMap<(&str, bool), usize> = HashMap::new();
        for (id, line) in (0u32..).zip(&page.lines) {
            if layout.value(id).is_none() {
                continue;
            }
            let name = self
                .catalogue
                .catalogue()
                .strip(&line.name)
                .unwrap_or(&line.name);
            let Class { family, kind, part } = classify(
                name,
                line.label("quantile").is_some(),
                &page.types,
                &self.catalogue,
            );
            let at = *by_key
                .entry((family, part == Part::Created))
                .or_insert_with(|| {
                    families.push(PageFamily {
                        key: family,
                        kind,
                        lines: Vec::new(),
                    });
                    families.len() - 1
                });
            families[at].lines.push(PageLine { id, line, part });
        }
        families
    }

    fn plan_family(
        &mut self,
        family: &PageFamily<'_>,
        page: &PageLines,
        present: &HashSet<&str>,
        plan: &mut Plan,
    ) -> Verdict {
        let count = family.lines.len() as u64;
        if family.lines.iter().all(|line| line.part == Part::Created) {
            plan.tally.drop_samples(DropReason::LeftOut, count);
            return Verdict::LeftOut("the time its series were made, not data".to_owned());
        }
        let catalogue = Arc::clone(&page.catalogue);
        let rows = catalogue.rows(family.key);
        if rows.is_empty() {
            let full = family.full_name();
            let left_out = catalogue.catalogue().left_out.iter();
            let mut left_out =
                left_out.filter(|entry| entry.matches(full) || entry.matches(family.key));
            return if let Some(entry) = left_out.next() {
                plan.tally.drop_samples(DropReason::LeftOut, count);
                Verdict::LeftOut(entry.why.to_string())
            } else {
                plan.tally.drop_samples(DropReason::Unmapped, count);
                Verdict::Unmapped
            };
        }
        let mut mapped = Vec::new();
        let mut otherwise = None;
        for (row, desc) in rows.iter().map(|row| catalogue.row(*row)) {
            if !same_type(row.kind, family.kind) {
                continue;
            }
            if let Some(better) = row
                .superseded_by
                .iter()
                .find(|better| present.contains(&***better))
            {
                otherwise = Some((
                    DropReason::Superseded,
                    Verdict::Superseded(better.to_string()),
                ));
                continue;
            }
            match (&row.output, desc) {
                (Output::Drop(why), _) => {
                    otherwise = Some((DropReason::LeftOut, Verdict::LeftOut(why.to_string())));
                }
                (_, None) => {}
                (_, Some(desc)) => {
                    RowPlanner {
                        row,
                        desc,
                        shape: &mut self.shape,
                        plan,
                    }
                    .run(family);
                    mapped.push(desc.name().to_owned());
                }
            }
        }
        if !mapped.is_empty() {
            return Verdict::Mapped(mapped);
        }
        let (reason, verdict) = otherwise.unwrap_or_else(|| {
            let expected = rows.iter().map(|row| catalogue.row(*row).0.kind).collect();
            (DropReason::TypeClash, Verdict::TypeClash(expected))
        });
        plan.tally.drop_samples(reason, count);
        verdict
    }

    fn report(&self, family: &PageFamily<'_>, page: &PageLines, verdict: Verdict) -> FamilyReport {
        let row = page
            .catalogue
            .rows(family.key)
            .iter()
            .map(|row| self.catalogue.row(*row).0);
        let row = row.reduce(|best, next| {
            if same_type(best.kind, family.kind) {
                best
            } else {
                next
            }
        });
        let releases = row.map_or_else(String::new, |row| {
            let all: Vec<String> = row.releases.iter().map(ToString::to_string).collect();
            all.join(", ")
        });
        FamilyReport {
            name: family.full_name().to_owned(),
            kind: family.kind,
            samples: family.lines.len(),
            verdict,
            releases,
            note: row.map_or_else(String::new, |row| row.note.to_string()),
        }
    }
}

/// A family of the page with its lines.
struct PageFamily<'p> {
    key: &'p str,
    kind: MetricType,
    lines: Vec<PageLine<'p>>,
}

struct PageLine<'p> {
    id: u32,
    line: &'p Line,
    part: Part,
}

impl<'p> PageFamily<'p> {
    /// The name as on the page: the first sample's, without what makes it a part.
    fn full_name(&self) -> &'p str {
        let Some(first) = self.lines.first() else {
            return self.key;
        };
        let name: &'p str = &first.line.name;
        let prefix = name.find(self.key).unwrap_or(0);
        name.get(..prefix + self.key.len()).unwrap_or(name)
    }
}

impl Line {
    fn label(&self, name: &str) -> Option<&str> {
        self.labels
            .iter()
            .find(|(known, _)| &**known == name)
            .map(|(_, value)| &**value)
    }
}

/// Whether a row of one type means a family that the page gives another.
fn same_type(row: MetricType, page: MetricType) -> bool {
    use MetricType::{Gauge, Info, StateSet, Unknown};
    row == page
        || page == Unknown
        || (matches!(row, Gauge | Info | StateSet) && matches!(page, Gauge | Info | StateSet))
}

type Labels<'p> = Vec<(Cow<'p, str>, Cow<'p, str>)>;

/// Plans the lines of one family by one row.
struct RowPlanner<'a> {
    row: &'a Row,
    desc: &'a Arc<Desc>,
    shape: &'a mut Snapshot,
    plan: &'a mut Plan,
}

impl RowPlanner<'_> {
    fn run(mut self, family: &PageFamily<'_>) {
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
                    let steps = self.facts(line);
                    self.plan.steps.extend(steps);
                }
            }
        }
    }

    /// A line whose value is the value.
    fn value(&mut self, line: &PageLine<'_>) {
        let labels = labels(self.row, line.line, line.part);
        let process = line.line.label("pid").is_some();
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
            let labels = labels(self.row, line.line, line.part);
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
        }
        if let Some(sum) = series.sum {
            self.step(sum, slot.offset(edges.len()), self.row.scale, None);
        }
        if let Some(count) = count {
            self.step(count, slot.offset(edges.len() + 1), Scale::ONE, None);
        }
    }

    /// Facts that a line's labels say.
    fn facts(&mut self, line: &PageLine<'_>) -> Vec<Step> {
        let labels = labels(self.row, line.line, line.part);
        let mut facts: Vec<(Labels<'_>, f64)> = Vec::new();
        match &self.row.output {
            Output::LabelNumber { label, .. } => {
                let number = line
                    .line
                    .label(label)
                    .and_then(|text| parse_value(text.as_bytes()));
                facts.extend(
                    number
                        .filter(|number| number.is_finite())
                        .map(|number| (labels, number)),
                );
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
                _ => self.facts(line),
            };
            candidates.push((line.id, steps));
        }
        self.plan.newest.push(Newest { candidates });
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

/// The items of a comma-separated list; an empty text has none.
fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
}

/// A line's labels after the row's rules. The process label and empty ones, which mean the same as
/// none, are gone.
fn labels<'p>(row: &'p Row, line: &'p Line, part: Part) -> Labels<'p> {
    let part_label = match part {
        Part::Bucket => "le",
        Part::Quantile => "quantile",
        _ => "",
    };
    let mut labels: Labels<'p> = line
        .labels
        .iter()
        .filter(|(name, _)| &**name != "pid" && &**name != part_label)
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
