//! Catalogues and dialects of the file: their names against those that are known, their rows one by
//! one, and then all together.

use std::collections::HashSet;
use std::sync::Arc;

use tokenpath_core::catalogue::{Catalogue, CatalogueError, Compiled, Families};
use tokenpath_core::dialect::{Dialect, DialectError, Spoken};
use tokenpath_core::{Desc, lint};

use super::Resolver;
use crate::config::Engine;
use crate::nearest::nearest;
use crate::{raw, tables};

impl Resolver<'_> {
    /// The engines, and all families that are known with theirs.
    pub(super) fn catalogues(&mut self, raw: &[raw::Catalogue]) -> (Vec<Engine>, Vec<Arc<Desc>>) {
        let mut families = self.vocabulary.families.clone();
        for (index, catalogue) in raw.iter().enumerate() {
            self.families(catalogue, &format!("/catalogues/{index}"), &mut families);
        }
        let known = Families::new(families.iter().cloned());
        let mut backends = HashSet::new();
        let mut engines = Vec::new();
        for (index, catalogue) in raw.iter().enumerate() {
            let pointer = format!("/catalogues/{index}");
            let backend = catalogue.backend.as_str();
            if self.vocabulary.kinds.iter().any(|kind| kind == backend) {
                let what = format!(
                    "`{backend}` is built in: a catalogue of the file has a name of its own"
                );
                self.flaw(&format!("{pointer}/backend"), what);
                continue;
            }
            if !backends.insert(backend) {
                let what = format!("there are two catalogues for `{backend}`");
                self.flaw(&format!("{pointer}/backend"), what);
                continue;
            }
            let rows = self.rows(catalogue, &pointer, &known);
            let table = tables::catalogue(catalogue).rows(rows);
            match Compiled::new(table, &known) {
                Ok(compiled) => engines.push(Engine {
                    catalogue: Arc::new(compiled),
                    empty_is_fine: catalogue.empty_is_fine,
                }),
                Err(errors) => {
                    for error in errors {
                        self.flaw(&pointer, error.to_string());
                    }
                }
            }
        }
        (engines, families)
    }

    fn families(&mut self, raw: &raw::Catalogue, pointer: &str, known: &mut Vec<Arc<Desc>>) {
        for (at, family) in raw.families.iter().enumerate() {
            let pointer = format!("{pointer}/families/{at}");
            let desc = tables::family(family);
            // The prefix is the house's own rule: an engine's families may have the engine's.
            let findings = lint::check(&desc);
            let findings = findings
                .iter()
                .filter(|finding| finding.rule() != lint::Rule::Prefix);
            for finding in findings {
                self.flaw(
                    &format!("{pointer}/name"),
                    format!("`{}`: {}", family.name, finding.rule().message()),
                );
            }
            match known.iter().find(|known| known.name() == desc.name()) {
                Some(other) => {
                    let what = format!(
                        "`{}` is there already, as {} in {}",
                        desc.name(),
                        other.kind(),
                        unit(other)
                    );
                    self.flaw(&format!("{pointer}/name"), what);
                }
                None => known.push(Arc::new(desc)),
            }
        }
    }

    /// The rows that can work, each tried alone so that an error has its row's place.
    fn rows(
        &mut self,
        raw: &raw::Catalogue,
        pointer: &str,
        known: &Families,
    ) -> Vec<tokenpath_core::catalogue::Row> {
        let mut rows = Vec::new();
        for (at, raw_row) in raw.rows.iter().enumerate() {
            let pointer = format!("{pointer}/rows/{at}");
            for (key, factor) in [("multiply", raw_row.multiply), ("divide", raw_row.divide)] {
                if factor.is_some_and(|factor| factor <= 0.0) {
                    self.flaw(
                        &format!("{pointer}/{key}"),
                        format!("`{key}` must be above 0"),
                    );
                }
            }
            let row = tables::row(raw_row);
            let family = family_pointer(raw_row, &pointer);
            let alone = Catalogue::new(raw.backend.clone()).rows([row.clone()]);
            match Compiled::new(alone, known) {
                Ok(_) => rows.push(row),
                Err(errors) => {
                    for error in errors {
                        self.row_error(&error, &family, known);
                    }
                }
            }
        }
        rows
    }

    fn row_error(&mut self, error: &CatalogueError, pointer: &str, known: &Families) {
        match error {
            CatalogueError::UnknownFamily { family, .. } => {
                let near = nearest(family, known.list().iter().map(|desc| desc.name()));
                let what =
                    format!("`{family}` is no known family; new ones stand under `families`");
                self.flaw_or(pointer, what, near);
            }
            CatalogueError::WrongType {
                upstream_kind,
                family,
                kind,
                ..
            } => {
                let what = format!("a {upstream_kind} cannot become `{family}`, which is a {kind}");
                self.flaw(pointer, what);
            }
            other => self.flaw(pointer, other.to_string()),
        }
    }

    /// The dialects that are spoken.
    pub(super) fn dialects(
        &mut self,
        raw: &raw::Dialects,
        families: &[Arc<Desc>],
        passes_unknown: bool,
    ) -> (Vec<Dialect>, Spoken) {
        let mut known = self.vocabulary.dialects.clone();
        let mut broken = Vec::new();
        for (index, dialect) in raw.define.iter().enumerate() {
            let pointer = format!("/dialects/define/{index}");
            if known.iter().any(|other| other.name() == dialect.name) {
                let what = format!("there is a dialect `{}` already", dialect.name);
                self.flaw(&format!("{pointer}/name"), what);
                continue;
            }
            let before = self.flaws.len();
            let rows = self.dialect_rows(dialect, &pointer, families, passes_unknown);
            let dialect = tables::dialect(&dialect.name, rows);
            if self.flaws.len() > before {
                broken.push(dialect.name().to_owned());
            } else if let Err(error) = Spoken::new([&dialect], families) {
                self.flaw(&format!("{pointer}/rows"), error.to_string());
                broken.push(dialect.name().to_owned());
            }
            known.push(dialect);
        }
        let mut spoken: Vec<Dialect> = Vec::new();
        for (at, name) in raw.speak.iter().enumerate() {
            let pointer = format!("/dialects/speak/{at}");
            match known.iter().find(|dialect| dialect.name() == name) {
                Some(dialect) if spoken.iter().any(|other| other.name() == dialect.name()) => {
                    self.flaw(&pointer, format!("`{name}` is said twice"));
                }
                Some(dialect) => spoken.push(dialect.clone()),
                None => {
                    let names = known.iter().map(Dialect::name);
                    let near = nearest(name, names.clone());
                    let all: Vec<_> = names.collect();
                    let what = format!("`{name}` is no dialect: there are {}", all.join(", "));
                    self.flaw_or(&pointer, what, near);
                }
            }
        }
        if spoken.is_empty() {
            spoken.push(Dialect::llm());
        }
        // One that is broken alone was told of already.
        let whole = spoken
            .iter()
            .filter(|dialect| !broken.iter().any(|name| name == dialect.name()));
        let together = match Spoken::new(whole, families) {
            Ok(together) => together,
            Err(error) => {
                self.flaw("/dialects/speak", error.to_string());
                Spoken::canonical()
            }
        };
        (spoken, together)
    }

    fn dialect_rows(
        &mut self,
        raw: &raw::Dialect,
        pointer: &str,
        families: &[Arc<Desc>],
        passes_unknown: bool,
    ) -> Vec<tokenpath_core::dialect::Row> {
        let mut rows = Vec::new();
        for (at, raw_row) in raw.rows.iter().enumerate() {
            let pointer = format!("{pointer}/rows/{at}");
            let (key, of_two) = quantity_key(raw_row);
            let Some(row) = tables::dialect_row(raw_row) else {
                self.flaw(
                    &format!("{pointer}/{key}"),
                    format!("`{key}` is of two families"),
                );
                continue;
            };
            let first = (
                if of_two {
                    format!("{key}/0")
                } else {
                    key.to_owned()
                },
                row.quantity().first(),
            );
            let second = row
                .quantity()
                .second()
                .map(|second| (format!("{key}/1"), second));
            for (key, name) in [first].into_iter().chain(second) {
                // What is passed through is known when it is read.
                if !passes_unknown && !families.iter().any(|desc| desc.name() == name) {
                    let near = nearest(name, families.iter().map(|desc| desc.name()));
                    let what = format!("`{name}` is no known family");
                    self.flaw_or(&format!("{pointer}/{key}"), what, near);
                }
            }
            let alone = tables::dialect(&raw.name, vec![row.clone()]);
            match Spoken::new([&alone], families) {
                Ok(_) => rows.push(row),
                Err(error) => {
                    let key = match error {
                        DialectError::InvalidFactor { .. } => "factor",
                        DialectError::Type { .. } => "type",
                        _ => "name",
                    };
                    self.flaw(&format!("{pointer}/{key}"), error.to_string());
                }
            }
        }
        rows
    }
}

fn unit(desc: &Desc) -> &'static str {
    match desc.unit().suffix() {
        "" => "plain numbers",
        unit => unit,
    }
}

/// Where a row names its family.
fn family_pointer(row: &raw::Row, pointer: &str) -> String {
    let key = if row.family.is_some() {
        "family"
    } else if row.sum.is_some() {
        "sum"
    } else if row.count.is_some() {
        "count"
    } else if row.facts.is_some() {
        "facts"
    } else if row.label_number.is_some() {
        "label_number/family"
    } else if row.label_count.is_some() {
        "label_count/family"
    } else {
        "label_items/family"
    };
    format!("{pointer}/{key}")
}

/// Where a row of a dialect says what it speaks about, and whether that is of two families.
fn quantity_key(row: &raw::DialectRow) -> (&'static str, bool) {
    if row.family.is_some() {
        ("family", false)
    } else if row.ratio.is_some() {
        ("ratio", true)
    } else if row.diff.is_some() {
        ("diff", true)
    } else {
        ("sum", true)
    }
}
