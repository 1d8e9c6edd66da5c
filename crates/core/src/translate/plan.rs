//! The plan of a page: which line's value goes into which slot of which shape.
//!
//! Made anew whenever a page has other lines than the page before; the shape it fills only grows, so
//! a line that comes and goes costs a plan, not a new shape.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::classify::{Class, Part, classify};
use super::report::{FamilyReport, Report, Verdict};
use super::row::RowPlanner;
use super::{Line, PageLines};
use crate::catalogue::{Compiled, Output, Reduce, Row, Scale};
use crate::exposition::{Layout, legal_metric_name};
use crate::lint;
use crate::{Desc, DropReason, MetricType, Shape, Slot, Snapshot, Tally};

/// What is done with the value of one line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub(super) line: u32,
    pub(super) slot: Slot,
    pub(super) action: Action,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Action {
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
pub(super) struct Newest {
    pub(super) candidates: Vec<(u32, Vec<Step>)>,
    /// Whether it counts the others as outdated: one of several rows of a family does.
    pub(super) counts: bool,
}

/// Steps in the order of a page's lines.
#[derive(Clone, Debug, Default)]
pub(super) struct Plan {
    /// The lines it was made for.
    lines: Vec<u32>,
    shape: Arc<Shape>,
    pub(super) steps: Vec<Step>,
    pub(super) newest: Vec<Newest>,
    /// The scale of what was observed, by the lines of buckets: where it is not one, as that of the
    /// counts.
    pub(super) observed: HashMap<u32, Scale>,
    /// What is dropped whatever the values are.
    pub(super) tally: Tally,
    report: Report,
}

impl Plan {
    pub(super) fn report(&self) -> &Report {
        &self.report
    }

    /// Whether the newest page, of so many lines, has just the lines that were planned.
    pub(super) fn is_of(&self, layout: &Layout, lines: usize) -> bool {
        lines == self.lines.len() && self.lines.iter().all(|line| layout.value(*line).is_some())
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
        if layout.has_exemplars() {
            self.exemplars(layout, out);
        }
    }

    /// Puts the exemplars of a page beside the values that their lines went into. One that cannot
    /// stand there is left out: it would not be an example of what is beside it.
    #[cold]
    fn exemplars(&self, layout: &Layout, out: &mut Snapshot) {
        let (shape, exemplars) = out.exemplars_mut();
        for (line, exemplar) in layout.exemplars() {
            let first = self.steps.partition_point(|step| step.line < line);
            let steps = self.steps[first..].iter();
            for step in steps.take_while(|step| step.line == line) {
                let scale = match step.action {
                    Action::Store => Scale::ONE,
                    Action::Adjust { scale, .. } => scale,
                    Action::Fact(_) => continue,
                };
                let scale = self.observed.get(&line).copied().unwrap_or(scale);
                let value = scale.apply(exemplar.value());
                // What does not fit into 64 bits is no time.
                let time = exemplar.timestamp_ms().filter(|time| *time != i64::MIN);
                let _ = exemplars.push(shape, step.slot, exemplar.labels(), value, time);
            }
        }
        exemplars.settle();
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
        if self.counts {
            let outdated = self.candidates.len() as u64 - 1;
            out.tally_mut().drop_samples(DropReason::Outdated, outdated);
        }
    }
}

/// Makes plans, and keeps the shape that they fill.
#[derive(Debug)]
pub(super) struct Planner {
    catalogue: Arc<Compiled>,
    /// Holds the shape only: a value marks a series of the newest plan.
    shape: Snapshot,
    /// Whether what no row knows is passed through.
    passes: bool,
    /// Families that were passed through, by name.
    passed: HashMap<Box<str>, Arc<Desc>>,
}

impl Planner {
    pub(super) fn new(catalogue: Arc<Compiled>, passes: bool) -> Self {
        Self {
            catalogue,
            shape: Snapshot::new(),
            passes,
            passed: HashMap::new(),
        }
    }

    /// Plans the lines that the newest page has.
    pub(super) fn plan(&mut self, page: &PageLines, layout: &Layout) -> Plan {
        self.shape.clear();
        let families = self.classify(page, layout);
        self.forget_other_types(&families);
        let present: HashSet<&str> = families
            .iter()
            .filter(|family| family.ours)
            .map(|family| family.key)
            .collect();
        let mut plan = Plan::default();
        let mut names = HashSet::new();
        for family in &families {
            let verdict = self.plan_family(family, page, &present, &mut names, &mut plan);
            plan.tally.unmapped_families += u64::from(verdict.is_unknown());
            plan.report.families.push(self.report(family, verdict));
        }
        plan.lines = families
            .iter()
            .flat_map(|family| &family.lines)
            .map(|line| line.id)
            .collect();
        plan.steps.sort_by_key(|step| step.line);
        plan.shape = Arc::clone(self.shape.shape());
        plan
    }

    /// The families of the newest page in order of their first lines.
    fn classify<'p>(&self, page: &'p PageLines, layout: &Layout) -> Vec<PageFamily<'p>> {
        let catalogue = self.catalogue.catalogue();
        let mut families: Vec<PageFamily<'p>> = Vec::new();
        let mut by_name: HashMap<(&str, bool, bool), usize> = HashMap::new();
        for (id, line) in (0u32..).zip(&page.lines) {
            if layout.value(id).is_none() {
                continue;
            }
            let stripped = catalogue.strip(&line.name);
            let name = stripped.unwrap_or(&line.name);
            let quantile = line.label("quantile").is_some();
            let Class { family, kind, part } =
                classify(name, quantile, &page.types, &self.catalogue);
            // A name without the engine's prefix is somebody else's, whatever it is.
            let ours = stripped.is_some() || catalogue.prefixes.is_empty();
            let at = *by_name
                .entry((family, ours, part == Part::Created))
                .or_insert_with(|| {
                    let prefix = line.name.len() - name.len();
                    families.push(PageFamily {
                        key: family,
                        ours,
                        name: line.name.get(..prefix + family.len()).unwrap_or(family),
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
        names: &mut HashSet<Box<str>>,
        plan: &mut Plan,
    ) -> Verdict {
        let count = family.lines.len() as u64;
        if family.lines.iter().all(|line| line.part == Part::Created) {
            plan.tally.drop_samples(DropReason::LeftOut, count);
            return Verdict::LeftOut("the time its series were made, not data".to_owned());
        }
        let catalogue = Arc::clone(&page.catalogue);
        let rows = family.rows(&catalogue);
        if rows.is_empty() {
            let left_out = catalogue.catalogue().left_out.iter();
            let mut left_out =
                left_out.filter(|entry| entry.matches(family.name) || entry.matches(family.key));
            return if let Some(entry) = left_out.next() {
                plan.tally.drop_samples(DropReason::LeftOut, count);
                Verdict::LeftOut(entry.why.to_string())
            } else if self.passes {
                self.pass(family, page, names, plan)
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
                        first: mapped.is_empty(),
                        passes: false,
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

    /// A family of another type than before begins anew.
    fn forget_other_types(&mut self, families: &[PageFamily<'_>]) {
        let is_other = |family: &PageFamily<'_>| {
            let known = self.passed.get(family.name);
            known.is_some_and(|known| known.kind() != family.kind)
        };
        if families.iter().any(is_other) {
            self.passed.clear();
            self.shape = Snapshot::new();
        }
    }

    /// Passes a family through, as it is on the page.
    fn pass(
        &mut self,
        family: &PageFamily<'_>,
        page: &PageLines,
        names: &mut HashSet<Box<str>>,
        plan: &mut Plan,
    ) -> Verdict {
        let on_page = legal_metric_name(family.name);
        let mut ours = self.catalogue.describe().iter();
        let is_ours = lint::PREFIXES.iter().any(|ours| on_page.starts_with(ours))
            || ours.any(|desc| desc.name() == on_page);
        if is_ours || !names.insert(on_page.into()) {
            let count = family.lines.len() as u64;
            plan.tally.drop_samples(DropReason::NameClash, count);
            return Verdict::NameClash;
        }
        let known = self.passed.entry(family.name.into());
        let desc = known.or_insert_with(|| {
            let help = page.help_of(family.key).to_owned();
            Arc::new(Desc::foreign(family.name.to_owned(), family.kind, help))
        });
        let row = Row::new(family.key.to_owned(), family.kind).to(family.name.to_owned());
        RowPlanner {
            row: &row,
            desc,
            shape: &mut self.shape,
            plan,
            first: true,
            passes: true,
        }
        .run(family);
        Verdict::Passed
    }

    fn report(&self, family: &PageFamily<'_>, verdict: Verdict) -> FamilyReport {
        let rows = family.rows(&self.catalogue).iter();
        let row = rows
            .map(|row| self.catalogue.row(*row).0)
            .reduce(|best, next| {
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
            name: family.name.to_owned(),
            kind: family.kind,
            samples: family.lines.len(),
            verdict,
            releases,
            note: row.map_or_else(String::new, |row| row.note.to_string()),
        }
    }
}

/// A family of the page with its lines.
pub(super) struct PageFamily<'p> {
    /// The name without the engine's prefix.
    key: &'p str,
    /// Whether it had the prefix, where the engine has one.
    ours: bool,
    /// The name as on the page, without what makes a sample a part.
    name: &'p str,
    kind: MetricType,
    pub(super) lines: Vec<PageLine<'p>>,
}

impl PageFamily<'_> {
    fn rows<'c>(&self, catalogue: &'c Compiled) -> &'c [usize] {
        if self.ours {
            catalogue.rows(self.key)
        } else {
            &[]
        }
    }
}

pub(super) struct PageLine<'p> {
    pub(super) id: u32,
    pub(super) line: &'p Line,
    pub(super) part: Part,
}

/// Whether a row of one type means a family that the page gives another.
fn same_type(row: MetricType, page: MetricType) -> bool {
    use MetricType::{Gauge, Info, StateSet, Unknown};
    row == page
        || page == Unknown
        || (matches!(row, Gauge | Info | StateSet) && matches!(page, Gauge | Info | StateSet))
}
