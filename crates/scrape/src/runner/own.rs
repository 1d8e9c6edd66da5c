//! Writes our own state: how each source is, and how we are.

use std::sync::Arc;
use std::time::SystemTime;

use tokenpath_core::{DropReason, Label, Reason, Snapshot};

use super::cell::{Cell, Outcome, unix_seconds};
use super::families::{
    BUILD_INFO, CERTIFICATE, CONFIG_SUCCESS_TIME, CONFIG_SUCCESSFUL, DROPPED, DURATION, ERRORS,
    FOLDED, LAST_SUCCESS, PROCESS_CPU, PROCESS_MAX_FDS, PROCESS_OPEN_FDS, PROCESS_RESIDENT,
    PROCESS_START, PROCESS_THREADS, PROCESS_VIRTUAL, SAMPLES, SKIPPED, UNMAPPED, UP,
};
use super::process;
use super::{Reload, SourceKey};

/// Fills a cleared snapshot.
pub(super) fn write(
    out: &mut Snapshot,
    cells: &[(SourceKey, Arc<Cell>)],
    outcomes: &[Outcome],
    started: SystemTime,
    reload: Option<Reload>,
) {
    write_build(out);
    if let Some(reload) = reload {
        out.family(&CONFIG_SUCCESSFUL)
            .sample(&[], f64::from(reload.successful));
        if let Some(success) = reload.last_success {
            out.family(&CONFIG_SUCCESS_TIME)
                .sample(&[], unix_seconds(success));
        }
    }
    for ((_, cell), outcome) in cells.iter().zip(outcomes) {
        write_source(out, cell, outcome);
    }
    write_process(out, started);
}

/// Fills a cleared snapshot with what is known of one source, and who says so.
pub(super) fn write_one(out: &mut Snapshot, cell: &Cell, outcome: &Outcome) {
    write_build(out);
    write_source(out, cell, outcome);
}

fn write_build(out: &mut Snapshot) {
    out.family(&BUILD_INFO)
        .sample(&[("version", env!("CARGO_PKG_VERSION"))], 1.0);
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts are exact up to 2^53, as the model says"
)]
fn write_source(out: &mut Snapshot, cell: &Cell, outcome: &Outcome) {
    let labels: &[Label<'_>] = &cell.labels().iter().collect::<Vec<_>>();
    let totals = cell.totals();
    out.family(&UP).sample(labels, f64::from(outcome.is_up()));
    if let Some(elapsed) = outcome.elapsed() {
        out.family(&DURATION).sample(labels, elapsed.as_secs_f64());
    }
    if let Some(reading) = outcome.reading() {
        let tally = reading.snapshot.tally();
        if outcome.is_up() {
            // A device has no page, so nothing on it was read or unknown.
            if let Some(samples) = tally.samples {
                out.family(&SAMPLES).sample(labels, samples as f64);
                out.family(&UNMAPPED)
                    .sample(labels, tally.unmapped_families as f64);
            }
        }
        if let Some(expiry) = tally.certificate_expiry_seconds {
            out.family(&CERTIFICATE).sample(labels, expiry as f64);
        }
    }
    if let Some(success) = totals.last_success {
        out.family(&LAST_SUCCESS)
            .sample(labels, unix_seconds(success));
    }
    out.family(&SKIPPED).sample(labels, totals.skipped as f64);
    for (label, folded) in &totals.folded {
        let mut folding = labels.to_vec();
        folding.push(("label", label));
        out.family(&FOLDED).sample(&folding, *folded as f64);
    }
    let mut reasoned = labels.to_vec();
    reasoned.push(("reason", ""));
    let last = reasoned.len() - 1;
    // A reason has a series from its first time on: thousands of zeros would help nobody.
    for reason in Reason::ALL
        .into_iter()
        .filter(|reason| totals.errors[*reason as usize] > 0)
    {
        reasoned[last].1 = reason.as_str();
        out.family(&ERRORS)
            .sample(&reasoned, totals.errors[reason as usize] as f64);
    }
    for reason in DropReason::ALL
        .into_iter()
        .filter(|reason| totals.dropped[*reason as usize] > 0)
    {
        reasoned[last].1 = reason.as_str();
        out.family(&DROPPED)
            .sample(&reasoned, totals.dropped[reason as usize] as f64);
    }
}

fn write_process(out: &mut Snapshot, started: SystemTime) {
    out.family(&PROCESS_START)
        .sample(&[], unix_seconds(started));
    let Some(usage) = process::usage() else {
        return;
    };
    out.family(&PROCESS_CPU).sample(&[], usage.cpu_seconds);
    out.family(&PROCESS_RESIDENT)
        .sample(&[], usage.resident_bytes);
    out.family(&PROCESS_VIRTUAL)
        .sample(&[], usage.virtual_bytes);
    out.family(&PROCESS_THREADS).sample(&[], usage.threads);
    if let Some(open) = usage.open_fds {
        out.family(&PROCESS_OPEN_FDS).sample(&[], open);
    }
    if let Some(max) = usage.max_fds {
        out.family(&PROCESS_MAX_FDS).sample(&[], max);
    }
}
