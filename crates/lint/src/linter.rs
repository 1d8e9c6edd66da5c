//! Files in, findings out; and files out, where findings can be mended.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use tokenpath_core::exposition::ParseError;
use tokenpath_text::{Lines, Place};

use crate::finding::Finding;
use crate::input::{self, Directives, Document, Query, Role};
use crate::meaning::{Meaning, Records, World};
use crate::names::{Known, Names};
use crate::promql::{PLACEHOLDER, Reader};
use crate::rules::{self, Check, Context, PanelContext, RULES, Rule};

/// A file and its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its name, for messages; the ending says what it is.
    pub name: String,
    /// What stands in it.
    pub text: String,
    /// Whether it was asked for by name. A file that a folder was searched for may be none of ours.
    pub named: bool,
}

impl File {
    /// A file that was asked for by name.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            text: text.into(),
            named: true,
        }
    }
}

/// The linter: what is known, and what is asked.
#[derive(Debug)]
pub struct Linter<'k> {
    known: Known<'k>,
    page: Option<Names>,
    labels: BTreeSet<String>,
    reader: Reader,
    /// The names with the dialects that files say they speak.
    names: Mutex<HashMap<BTreeSet<String>, Arc<Names>>>,
}

/// A finding and how to mend it: parts of the file and what to write there.
struct Inspected {
    finding: Finding,
    edits: Vec<Edit>,
}

#[derive(Clone, Debug)]
struct Edit {
    /// In the file.
    at: Range<usize>,
    new: String,
    /// In the decoded query: which, where, what.
    query: usize,
    within: Range<usize>,
    plain: String,
}

/// Mending may uncover the next fault; it never takes more rounds than this.
const ROUNDS_MAX: usize = 8;

impl<'k> Linter<'k> {
    /// A linter against what is known.
    #[must_use]
    pub fn new(known: Known<'k>) -> Self {
        Self {
            known,
            page: None,
            labels: BTreeSet::new(),
            reader: Reader::default(),
            names: Mutex::default(),
        }
    }

    /// Against a page: what is not on it does not exist.
    ///
    /// # Errors
    ///
    /// Where the page cannot be read: line and column.
    pub fn against_page(mut self, page: &[u8]) -> Result<Self, ParseError> {
        let known = Names::new(&self.known);
        self.page = Some(Names::of_page(page, &known)?);
        Ok(self)
    }

    /// With labels that the operator's scrape configuration adds.
    #[must_use]
    pub fn labels(mut self, labels: impl IntoIterator<Item = String>) -> Self {
        self.labels.extend(labels);
        self
    }

    /// What is wrong with the files, in the order of the files and of their lines. What rules in any of
    /// them record is known in all of them.
    #[must_use]
    pub fn lint(&self, files: &[File]) -> Vec<Finding> {
        let (documents, records) = self.read(files);
        let mut findings: Vec<Finding> = Vec::new();
        for (file, document) in files.iter().zip(&documents) {
            let mut found: Vec<Finding> = self
                .inspect(file, document, &records)
                .into_iter()
                .map(|inspected| inspected.finding)
                .collect();
            found.sort_by_key(|finding| (finding.start, finding.end, finding.rule));
            found.dedup();
            findings.extend(found);
        }
        findings
    }

    /// Rewrites what is safe, and leaves every other byte as it is. How many findings were mended.
    pub fn fix(&self, files: &mut [File]) -> usize {
        let mut mended = 0;
        for _ in 0..ROUNDS_MAX {
            let (documents, records) = self.read(files);
            let mut round = 0;
            for (file, document) in files.iter_mut().zip(&documents) {
                let found = self.inspect(file, document, &records);
                let groups: Vec<Vec<Edit>> = found
                    .into_iter()
                    .map(|inspected| inspected.edits)
                    .filter(|edits| !edits.is_empty())
                    .collect();
                round += mend(&self.reader, file, document, groups);
            }
            mended += round;
            if round == 0 {
                break;
            }
        }
        mended
    }

    fn read(&self, files: &[File]) -> (Vec<Document>, Records) {
        let documents: Vec<Document> = files
            .iter()
            .map(|file| input::read(&self.reader, &file.name, &file.text, file.named))
            .collect();
        let records = self.records(&documents);
        (documents, records)
    }

    /// What the rules record. A record may be made of others, in any order of the files.
    fn records(&self, documents: &[Document]) -> Records {
        let mut records = Records::new();
        for document in documents {
            for query in &document.queries {
                if let Role::Record(name) = &query.role {
                    records.insert(name.clone(), Meaning::default());
                }
            }
        }
        for _ in 0..ROUNDS_MAX {
            let before = records.clone();
            for document in documents {
                let names = self.names(&document.directives);
                for query in &document.queries {
                    let (Role::Record(name), Some(tree)) = (&query.role, &query.reading.tree)
                    else {
                        continue;
                    };
                    let world = World {
                        names: &names,
                        records: &before,
                        labels: &self.labels,
                    };
                    let mut meaning = world.meaning(&query.reading.expanded.text, tree);
                    // A rule may add labels, and somebody else may record the same name.
                    meaning.labels = None;
                    records.insert(name.clone(), meaning);
                }
            }
            if records == before {
                break;
            }
        }
        records
    }

    fn names(&self, directives: &Directives) -> Arc<Names> {
        let key = if self.page.is_some() {
            BTreeSet::new()
        } else {
            directives.dialects.clone()
        };
        let mut cache = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let made = cache.entry(key).or_insert_with(|| {
            if let Some(page) = &self.page {
                return Arc::new(page.clone());
            }
            let more = directives.dialects.iter().map(|dialect| &**dialect);
            let known = Known {
                families: self.known.families.clone(),
                upstream: self.known.upstream.clone(),
                dialects: self.known.dialects.iter().copied().chain(more).collect(),
            };
            Arc::new(Names::new(&known))
        });
        Arc::clone(made)
    }

    fn inspect(&self, file: &File, document: &Document, records: &Records) -> Vec<Inspected> {
        let lines = Lines::new(&file.text);
        let names = self.names(&document.directives);
        let world = World {
            names: &names,
            records,
            labels: &self.labels,
        };
        let mut found = Vec::new();
        let is_allowed = |rule: &Rule, own: &Directives| {
            own.allowed.contains(rule.id) || document.directives.allowed.contains(rule.id)
        };
        for trouble in &document.flaws {
            let Some(rule) = rules::rule(trouble.rule) else {
                continue;
            };
            if !is_allowed(rule, &Directives::default()) {
                let place = trouble.flaw.place;
                let message = trouble.flaw.message.clone();
                let advice = advice(rule.id).to_owned();
                found.push(inspected(
                    file,
                    rule,
                    place..place,
                    message,
                    advice,
                    String::new(),
                ));
            }
        }
        for (index, query) in document.queries.iter().enumerate() {
            let context = Context {
                world,
                expanded: &query.reading.expanded,
                original: &query.text,
                text: &query.reading.expanded.text,
                tree: query.reading.tree.as_ref(),
                faults: &query.reading.faults,
                role: &query.role,
            };
            for rule in RULES {
                let Check::Query(check) = rule.check else {
                    continue;
                };
                if is_allowed(rule, &query.allowed) {
                    continue;
                }
                let mut hits = Vec::new();
                check(&context, &mut hits);
                for hit in hits {
                    let place = place(&lines, query, &hit.span);
                    let of = query.role.words();
                    let mut one = inspected(file, rule, place, hit.message, hit.advice, of);
                    one.edits = edits(query, index, hit.edits);
                    one.finding.fixable = !one.edits.is_empty();
                    found.push(one);
                }
            }
        }
        for panel in &document.panels {
            let queries = document
                .queries
                .get(panel.queries.clone())
                .unwrap_or_default();
            let meaning = |query: &Query| {
                let tree = query.reading.tree.as_ref();
                tree.map(|tree| world.meaning(&query.reading.expanded.text, tree))
                    .unwrap_or_default()
            };
            let context = PanelContext {
                unit: panel.unit.as_ref(),
                thresholds: &panel.thresholds,
                queries: queries.iter().map(meaning).collect(),
            };
            for rule in RULES {
                let Check::Panel(check) = rule.check else {
                    continue;
                };
                if is_allowed(rule, &panel.allowed) {
                    continue;
                }
                let mut hits = Vec::new();
                check(&context, &mut hits);
                let of = format!("panel {}", panel.title);
                found.extend(hits.into_iter().map(|hit| {
                    inspected(file, rule, hit.place, hit.message, hit.advice, of.clone())
                }));
            }
        }
        found
    }
}

fn inspected(
    file: &File,
    rule: &'static Rule,
    place: Range<Place>,
    message: String,
    advice: String,
    of: String,
) -> Inspected {
    Inspected {
        finding: Finding {
            file: file.name.clone(),
            start: place.start,
            end: place.end,
            rule: rule.id,
            severity: rule.severity,
            message,
            advice,
            of,
            fixable: false,
        },
        edits: Vec::new(),
    }
}

/// What to do about faults of the file itself.
fn advice(rule: &str) -> &'static str {
    match rule {
        "bad-file" => "mend the file; the rest of it is read all the same",
        "unknown-schema" => "say so where it should be known; what is known of it is read",
        _ => "`tokenpath lint --rules` lists the rules",
    }
}

fn place(lines: &Lines<'_>, query: &Query, span: &Range<usize>) -> Range<Place> {
    let span = query.reading.expanded.original(span);
    match &query.spelling {
        Some(spelling) => {
            let at = spelling.place(&span);
            lines.place(at.start)..lines.place(at.end)
        }
        None => query.place..query.place,
    }
}

/// The edits of a finding, in the file; none, where one of them cannot be made.
fn edits(query: &Query, index: usize, wanted: Vec<(Range<usize>, String)>) -> Vec<Edit> {
    let expanded = &query.reading.expanded;
    let Some(spelling) = &query.spelling else {
        return Vec::new();
    };
    if wanted.iter().any(|(_, new)| new.contains(PLACEHOLDER)) {
        return Vec::new();
    }
    let edit = |(span, plain): (Range<usize>, String)| {
        let within = expanded.original(&span);
        Edit {
            at: spelling.place(&within),
            new: spelling.spelled(&plain),
            query: index,
            within,
            plain,
        }
    };
    wanted.into_iter().map(edit).collect()
}

/// Makes the edits of as many findings as go together, and keeps them where the file then says what it
/// should. How many findings that were.
fn mend(reader: &Reader, file: &mut File, document: &Document, groups: Vec<Vec<Edit>>) -> usize {
    let mut taken: Vec<Edit> = Vec::new();
    let mut count = 0;
    let mut alone = Vec::new();
    for group in groups {
        let clashes = |edit: &Edit| {
            taken.iter().any(|other| {
                let apart = edit.at.end < other.at.start || other.at.end < edit.at.start;
                !apart
            })
        };
        if group.iter().any(clashes) {
            continue;
        }
        alone.push(group.clone());
        taken.extend(group);
        count += 1;
    }
    if taken.is_empty() {
        return 0;
    }
    if let Some(text) = applied(reader, file, document, &taken) {
        file.text = text;
        return count;
    }
    // Something does not fit: all that do, one after the other.
    let (mut fitting, mut best) = (Vec::new(), None);
    count = 0;
    for group in alone {
        let mut more = fitting.clone();
        more.extend(group);
        if let Some(text) = applied(reader, file, document, &more) {
            (fitting, best) = (more, Some(text));
            count += 1;
        }
    }
    if let Some(text) = best {
        file.text = text;
    }
    count
}

/// The text with the edits, if reading it gives what was meant and nothing else.
fn applied(reader: &Reader, file: &File, document: &Document, edits: &[Edit]) -> Option<String> {
    let write = |text: &str, mut pieces: Vec<(Range<usize>, &str)>| -> Option<String> {
        pieces.sort_by_key(|(at, _)| std::cmp::Reverse((at.start, at.end)));
        let mut text = text.to_owned();
        for (at, new) in pieces {
            if !text.is_char_boundary(at.start) || !text.is_char_boundary(at.end) {
                return None;
            }
            text.replace_range(at, new);
        }
        Some(text)
    };
    let whole = edits.iter().map(|edit| (edit.at.clone(), &*edit.new));
    let text = write(&file.text, whole.collect())?;
    let read = input::read(reader, &file.name, &text, file.named);
    if read.queries.len() != document.queries.len() || read.flaws.len() != document.flaws.len() {
        return None;
    }
    for (index, (now, before)) in read.queries.iter().zip(&document.queries).enumerate() {
        let own = edits.iter().filter(|edit| edit.query == index);
        let meant = write(
            &before.text,
            own.map(|edit| (edit.within.clone(), &*edit.plain))
                .collect(),
        )?;
        if now.text != meant {
            return None;
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_known_and_nothing_is_said() {
        let linter = Linter::new(Known::default());
        let text = "groups:\n- name: a\n  rules:\n  - {record: a:b, expr: \"rate(node_x[5m])\"}\n";
        assert_eq!(linter.lint(&[File::new("a.yml", text)]), []);
    }
}
