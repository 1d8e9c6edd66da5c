//! From an engine's page to the model, by a catalogue.
//!
//! Two speeds. A page with lines that were not there before is *planned*: every line is classified
//! by the page's own metadata, looked up in the catalogue, and its value is given a slot in a shape.
//! A page with the lines of the page before is only *run*: values are decoded by the layout memory
//! and copied into their slots, without a look at any label and without an allocation.

mod classify;
#[cfg(test)]
mod pass_tests;
mod plan;
mod report;
mod row;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

pub use report::{FamilyReport, Report, Verdict};

use crate::catalogue::Compiled;
use crate::exposition::{Entry, Format, Fresh, Layout, Limits, Mode, Options, ParseError, Sample};
use crate::{DropReason, MetricType, Snapshot};
use plan::{Plan, Planner};

/// How pages are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TranslateOptions {
    /// Whether a bad line fails the page (the default, as Prometheus does) or is skipped and counted.
    pub mode: Mode,
    /// The limits on a page.
    pub limits: Limits,
    /// Whether families that no row of the catalogue knows are passed through, under their own names
    /// and with their own labels; off by default. They count as unmapped in the tally all the same.
    pub pass_unknown: bool,
}

/// Translates the pages of one target, one after another.
///
/// ```
/// use std::sync::Arc;
/// use tokenpath_core::catalogue::{Catalogue, Compiled, Families, Row};
/// use tokenpath_core::exposition::Format;
/// use tokenpath_core::translate::{TranslateOptions, Translator};
/// use tokenpath_core::{Desc, MetricType, Snapshot, Unit};
///
/// let running = Desc::new("llm_requests_running", MetricType::Gauge, Unit::None, "In the batch.");
/// let families = Families::new([Arc::new(running)]);
/// let rows = [Row::new("num_requests_running", MetricType::Gauge).to("llm_requests_running")];
/// let catalogue = Catalogue::new("vllm").prefixes(["vllm:"]).rows(rows);
/// let compiled = Compiled::new(catalogue, &families).unwrap();
///
/// let mut translator = Translator::new(Arc::new(compiled), TranslateOptions::default());
/// let mut snapshot = Snapshot::new();
/// let page = b"# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running{engine=\"0\"} 4.0\n";
/// translator.translate(page, Format::Text004, &mut snapshot)?;
/// assert_eq!(snapshot.value("llm_requests_running", &[("engine", "0")]), Some(4.0));
/// # Ok::<(), tokenpath_core::exposition::ParseError>(())
/// ```
#[derive(Debug)]
pub struct Translator {
    options: TranslateOptions,
    layout: Layout,
    page: PageLines,
    planner: Planner,
    plan: Plan,
}

impl Translator {
    /// A translator for one target.
    #[must_use]
    pub fn new(catalogue: Arc<Compiled>, options: TranslateOptions) -> Self {
        Self {
            options,
            layout: Layout::new(),
            page: PageLines {
                catalogue: Arc::clone(&catalogue),
                types: HashMap::new(),
                types_changed: false,
                help: options.pass_unknown.then(HashMap::new),
                lines: Vec::new(),
            },
            planner: Planner::new(catalogue, options.pass_unknown),
            plan: Plan::default(),
        }
    }

    /// Reads a page into `out`, whatever was in it.
    ///
    /// # Errors
    ///
    /// Where the page is not valid; `out` is then empty.
    pub fn translate(
        &mut self,
        page: &[u8],
        format: Format,
        out: &mut Snapshot,
    ) -> Result<(), ParseError> {
        let options = Options {
            format,
            mode: self.options.mode,
            limits: self.options.limits,
        };
        let read = match self.layout.read(page, options, &mut self.page) {
            Ok(read) => read,
            Err(error) => {
                out.clear();
                return Err(error);
            }
        };
        // Servers that keep their series in hash maps write them in another order each time: the plan
        // is for a set of lines, whatever their order.
        let planned = read.unchanged || self.plan.is_of(&self.layout, read.samples);
        if !planned || self.page.types_changed {
            self.page.types_changed = false;
            self.plan = self.planner.plan(&self.page, &self.layout);
        }
        self.plan.run(&self.layout, out);
        out.tally_mut().samples = Some(read.samples as u64);
        out.tally_mut()
            .drop_samples(DropReason::InvalidLine, read.skipped_lines);
        Ok(())
    }

    /// What became of each family of the newest page that had something new.
    #[must_use]
    pub fn report(&self) -> &Report {
        self.plan.report()
    }
}

/// A sample line as it stands on the page, unescaped.
#[derive(Clone, Debug)]
struct Line {
    name: Box<str>,
    labels: Vec<(Box<str>, Box<str>)>,
}

impl Line {
    fn label(&self, name: &str) -> Option<&str> {
        self.labels
            .iter()
            .find(|(known, _)| &**known == name)
            .map(|(_, value)| &**value)
    }
}

/// What is known of a target's lines, by id, and of its families' types.
#[derive(Debug)]
struct PageLines {
    catalogue: Arc<Compiled>,
    /// Types by family name without the engine's prefix, because newer Python clients write
    /// `vllm:x` in the metadata and `vllm_x` in the samples of one page.
    types: HashMap<Box<str>, MetricType>,
    /// Whether a type is another than when the plan was made.
    types_changed: bool,
    /// What families are, by the same names; only where it is passed on.
    help: Option<HashMap<Box<str>, Box<str>>>,
    lines: Vec<Line>,
}

impl PageLines {
    /// What the page says a family is, by its name without prefix; empty where it says nothing.
    fn help_of(&self, family: &str) -> &str {
        // OpenMetrics leaves these off in the metadata.
        let bare = ["_total", "_info"].map(|suffix| family.strip_suffix(suffix));
        let mut names = [Some(family)].into_iter().chain(bare).flatten();
        let help = self.help.as_ref();
        let found = help.and_then(|help| names.find_map(|name| help.get(name)));
        found.map_or("", |help| help)
    }
}

impl Fresh for PageLines {
    fn restart(&mut self) {
        self.types.clear();
        self.help.iter_mut().for_each(HashMap::clear);
        self.lines.clear();
    }

    fn metadata(&mut self, entry: &Entry<'_>) {
        if let (Entry::Help { name, help }, Some(known)) = (entry, &mut self.help) {
            let name = name.to_str();
            let key = self.catalogue.catalogue().strip(&name).unwrap_or(&name);
            if !known.contains_key(key) {
                known.insert(key.into(), help.to_str().into());
            }
        }
        if let Entry::Type { name, kind } = entry {
            let name = name.to_str();
            let key = self.catalogue.catalogue().strip(&name).unwrap_or(&name);
            match self.types.get_mut(key) {
                Some(known) if known == kind => {}
                Some(known) => {
                    *known = *kind;
                    self.types_changed = true;
                }
                None => {
                    self.types.insert(key.into(), *kind);
                    self.types_changed = true;
                }
            }
        }
    }

    fn sample(&mut self, id: u32, sample: &Sample<'_>) {
        debug_assert_eq!(id as usize, self.lines.len(), "ids are given in order");
        let labels = sample.labels();
        self.lines.push(Line {
            name: sample.name().to_str().into(),
            labels: labels
                .map(|(name, value)| (name.to_str().into(), value.to_str().into()))
                .collect(),
        });
    }
}
