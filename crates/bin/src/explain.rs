//! The table of `translate --explain`: every family of a page, and what became of it.

use std::io::{self, Write};

use tokenpath_core::translate::{FamilyReport, Report, Verdict};
use tokenpath_core::{DropReason, Snapshot};

/// Writes a section for each kind of verdict, then the counts.
///
/// # Errors
///
/// Where `out` cannot be written.
pub fn write(report: &Report, snapshot: &Snapshot, out: &mut impl Write) -> io::Result<()> {
    let mapped = |family: &FamilyReport| match &family.verdict {
        Verdict::Mapped(to) => Some(to.join(", ")),
        _ => None,
    };
    let superseded = |family: &FamilyReport| match &family.verdict {
        Verdict::Superseded(by) => Some(format!("{by} on this page says the same, better")),
        _ => None,
    };
    let left_out = |family: &FamilyReport| match &family.verdict {
        Verdict::LeftOut(why) => Some(why.clone()),
        _ => None,
    };
    let clash = |family: &FamilyReport| match &family.verdict {
        Verdict::TypeClash(expected) => {
            let expected: Vec<String> = expected.iter().map(ToString::to_string).collect();
            Some(format!(
                "is a {}, known as a {}",
                family.kind,
                expected.join(" or a ")
            ))
        }
        _ => None,
    };
    let unknown = |family: &FamilyReport| {
        let what = match &family.verdict {
            Verdict::Unmapped => "no row of the catalogue",
            Verdict::Passed => "no row of the catalogue; passed through",
            Verdict::NameClash => "no row of the catalogue; its name is taken",
            _ => return None,
        };
        Some(what.to_owned())
    };
    section(out, "mapped", report, mapped)?;
    section(out, "superseded", report, superseded)?;
    section(out, "left out on purpose", report, left_out)?;
    section(out, "another type than known", report, clash)?;
    section(out, "unknown", report, unknown)?;
    totals(report, snapshot, out)
}

fn section(
    out: &mut impl Write,
    title: &str,
    report: &Report,
    text: impl Fn(&FamilyReport) -> Option<String>,
) -> io::Result<()> {
    let rows: Vec<(&FamilyReport, String)> = report
        .families
        .iter()
        .filter_map(|family| Some((family, text(family)?)))
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    writeln!(out, "{title} ({})", rows.len())?;
    let width = rows
        .iter()
        .map(|(family, _)| family.name.len())
        .max()
        .unwrap_or(0);
    for (family, text) in rows {
        let FamilyReport {
            name,
            kind,
            samples,
            releases,
            note,
            ..
        } = family;
        write!(out, "  {name:width$}  {kind:9}  {samples:>5}  {text}")?;
        if !releases.is_empty() {
            write!(out, "  [{releases}]")?;
        }
        writeln!(out)?;
        if !note.is_empty() {
            writeln!(out, "  {:width$}  note: {note}", "")?;
        }
    }
    writeln!(out)
}

fn totals(report: &Report, snapshot: &Snapshot, out: &mut impl Write) -> io::Result<()> {
    let tally = snapshot.tally();
    let lines: usize = report.families.iter().map(|family| family.samples).sum();
    writeln!(
        out,
        "{} families, {lines} samples on the page",
        report.families.len()
    )?;
    for reason in DropReason::ALL
        .into_iter()
        .filter(|reason| tally.dropped(*reason) > 0)
    {
        writeln!(
            out,
            "  {:>5} samples dropped: {}",
            tally.dropped(reason),
            reason.as_str()
        )?;
    }
    Ok(())
}
