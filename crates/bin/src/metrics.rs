//! `tokenpath metrics`: every family we speak, and where each comes from in each engine and release.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::sync::Arc;

use clap::{Args, ValueEnum};
use serde::Serialize;
use tokenpath_core::catalogue::{Output, Row};
use tokenpath_core::dialect::Dialect;
use tokenpath_core::{Desc, MetricType, tokenpath};

use crate::backends;
use crate::run::Failure;

/// List the families that are spoken, and where each comes from.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  tokenpath metrics | grep cache
  tokenpath metrics --format json
  tokenpath metrics --dialect dcgm")]
pub struct Arguments {
    /// How the list is written.
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    format: Form,
    /// Instead: what a dialect says, from which family, and what it cannot say.
    #[arg(long, value_name = "NAME", value_parser = dialect, conflicts_with = "format")]
    dialect: Option<Dialect>,
}

/// A dialect by its name.
pub(crate) fn dialect(name: &str) -> Result<Dialect, String> {
    Dialect::builtin(name).ok_or_else(|| {
        let names: Vec<String> = Dialect::builtins()
            .map(|dialect| dialect.name().to_owned())
            .collect();
        format!("no such dialect; there are: {}", names.join(", "))
    })
}

/// The forms of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// A line for each family and each place it comes from.
    Table,
    /// An array of objects.
    Json,
    /// The reference page of the documentation.
    Markdown,
}

/// Runs the command.
///
/// # Errors
///
/// Where the output cannot be written.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let text = match arguments.format {
        _ if arguments.dialect.is_some() => arguments
            .dialect
            .as_ref()
            .map(of_dialect)
            .unwrap_or_default(),
        Form::Table => table(),
        Form::Json => serde_json::to_string_pretty(&reference()).map_err(Failure::runtime)? + "\n",
        Form::Markdown => markdown(),
    };
    io::stdout()
        .lock()
        .write_all(text.as_bytes())
        .map_err(Failure::runtime)
}

/// One of our families.
#[derive(Debug, Serialize)]
struct Family {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    unit: &'static str,
    labels: Vec<&'static str>,
    help: String,
    sources: Vec<Origin>,
}

/// Where a family comes from in one engine.
#[derive(Debug, Serialize)]
struct Origin {
    backend: &'static str,
    upstream: String,
    releases: Vec<String>,
    how: String,
    note: String,
}

/// All families: the shared ones, then those of each backend, then our own state.
pub(crate) fn descs() -> Vec<Arc<Desc>> {
    let mut all: Vec<Arc<Desc>> = tokenpath::families().to_vec();
    all.extend(
        backends::ALL
            .iter()
            .flat_map(|backend| (backend.describe)()),
    );
    all.extend(tokenpath_scrape::runner::own_families().iter().cloned());
    let mut seen = std::collections::HashSet::new();
    all.retain(|desc| seen.insert(desc.name().to_owned()));
    all
}

fn reference() -> Vec<Family> {
    let compiled: Vec<_> = backends::ALL
        .iter()
        .filter_map(|backend| Some((backend, (backend.page?.compiled)())))
        .collect();
    let origins = |desc: &Desc| {
        let rows = compiled.iter().flat_map(|(backend, compiled)| {
            let catalogue = compiled.catalogue();
            // The shortest is the engine's own; the others are those of wrappers.
            let prefix = catalogue.prefixes.iter().min_by_key(|prefix| prefix.len());
            let prefix = prefix.map_or("", |prefix| prefix);
            let rows = catalogue
                .rows
                .iter()
                .filter(|row| row.output.family() == Some(desc.name()));
            rows.map(move |row| Origin {
                backend: backend.kind,
                upstream: format!("{prefix}{}", row.upstream),
                releases: row.releases.iter().map(ToString::to_string).collect(),
                how: how(row),
                note: row.note.to_string(),
            })
        });
        rows.collect()
    };
    let family = |desc: &Arc<Desc>| Family {
        name: desc.name().to_owned(),
        kind: desc.kind().to_string(),
        unit: desc.unit().suffix(),
        labels: desc.label_names().to_vec(),
        help: desc.help().to_owned(),
        sources: origins(desc),
    };
    descs().iter().map(family).collect()
}

/// What a row does, where it does more than give a name.
fn how(row: &Row) -> String {
    let mut how = match &row.output {
        Output::Sum(_) => "its sum".to_owned(),
        Output::Count(_) => "its count".to_owned(),
        Output::LabelNumber {
            label,
            shared_by: Some(sharer),
            ..
        } => format!("the number in label `{label}`, shared out among the values of `{sharer}`"),
        Output::LabelNumber { label, .. } => format!("the number in label `{label}`"),
        Output::LabelCount { label, .. } => format!("how many items label `{label}` lists"),
        Output::LabelItems { label, .. } => format!("a series for each item of label `{label}`"),
        Output::Facts(_) => "its labels".to_owned(),
        _ => String::new(),
    };
    if !row.superseded_by.is_empty() {
        let separator = if how.is_empty() { "" } else { "; " };
        _ = write!(
            how,
            "{separator}unless `{}` is there",
            row.superseded_by.join("` or `")
        );
    }
    how
}

/// A line for each name of a dialect, and one for each that it cannot derive.
fn of_dialect(dialect: &Dialect) -> String {
    let mut text = String::new();
    if dialect.is_canonical() {
        text.push_str("every family under its own name; see `tokenpath metrics`\n");
    }
    let names = || {
        dialect
            .rows()
            .iter()
            .map(tokenpath_core::dialect::Row::name)
            .chain(dialect.missing().iter().map(|missing| missing.name()))
    };
    let width = names().map(str::len).max().unwrap_or(0);
    for row in dialect.rows() {
        let quantities: Vec<String> = row.quantities().map(ToString::to_string).collect();
        _ = write!(
            text,
            "{:width$}  {:9}  {}",
            row.name(),
            row.kind().to_string(),
            quantities.join(", else ")
        );
        for matcher in row.matchers() {
            _ = write!(text, "  {matcher}");
        }
        if row.scale() < 1.0 || row.scale() > 1.0 {
            _ = write!(text, "  times {}", row.scale());
        }
        text.push('\n');
    }
    for missing in dialect.missing() {
        _ = writeln!(
            text,
            "{:width$}  cannot be derived: {}",
            missing.name(),
            missing.why()
        );
    }
    text
}

fn table() -> String {
    let reference = reference();
    let width = reference
        .iter()
        .map(|family| family.name.len())
        .max()
        .unwrap_or(0);
    let mut text = String::new();
    for family in &reference {
        _ = writeln!(
            text,
            "{:width$}  {:9}  {}",
            family.name, family.kind, family.help
        );
        for origin in &family.sources {
            _ = writeln!(
                text,
                "{:width$}    {}: {}  [{}]",
                "",
                origin.backend,
                origin.upstream,
                origin.releases.join(", ")
            );
        }
    }
    text
}

/// The reference page: `docs/metrics.md`.
#[must_use]
pub fn markdown() -> String {
    let mut text = String::from(
        "# Metrics\n\n\
         Every family that Tokenpath speaks under its canonical name, and where it comes from. Made by\n\
         `tokenpath metrics --format markdown`; a test keeps it true.\n\n\
         Every series of a source also has `backend` and `target`, and the labels that the operator set.\n\
         What a release does not measure is absent. Open ranges are still there in the newest release that\n\
         was read.\n",
    );
    for family in reference() {
        _ = write!(
            text,
            "\n## `{}`\n\n{} ({}",
            family.name, family.help, family.kind
        );
        if !family.unit.is_empty() {
            _ = write!(text, ", {}", family.unit);
        }
        text.push_str(")\n");
        if !family.labels.is_empty() {
            _ = write!(text, "\nLabels: `{}`\n", family.labels.join("`, `"));
        }
        if family.sources.is_empty() {
            continue;
        }
        text.push_str("\n| backend | upstream | releases | how |\n| --- | --- | --- | --- |\n");
        for origin in &family.sources {
            let separator = if origin.how.is_empty() || origin.note.is_empty() {
                ""
            } else {
                ". "
            };
            let how = format!("{}{separator}{}", origin.how, origin.note).replace('|', "\\|");
            _ = writeln!(
                text,
                "| {} | `{}` | {} | {how} |",
                origin.backend,
                origin.upstream,
                origin.releases.join(", ")
            );
        }
    }
    text
}

/// The lock file of canonical names: a line for each family with type and labels. A name here is a
/// contract.
#[must_use]
pub fn lock() -> String {
    let mut lines: Vec<String> = descs()
        .iter()
        .map(|desc| {
            let kind = match desc.kind() {
                MetricType::Info => "info",
                kind => kind.openmetrics_name(),
            };
            format!(
                "{} {kind} {{{}}}\n",
                desc.name(),
                desc.label_names().join(",")
            )
        })
        .collect();
    lines.sort();
    lines.concat()
}
