//! One source under the runner: at most one reading at a time, shared by all who wait for it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokenpath_core::{
    BoxSource, CollectError, DropReason, LabelSet, Reason, Snapshot, Source, SourceId, Tally,
    in_full,
};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::SourceOptions;
use crate::Instance;

/// What the runner knows after a reading.
#[derive(Debug)]
pub struct Reading {
    /// What the source said; empty where the reading failed.
    pub snapshot: Snapshot,
    /// How long it took.
    pub elapsed: Duration,
    /// Whether it succeeded, and if not, why.
    pub result: Result<(), CollectError>,
}

/// How a source was when it was last read.
#[derive(Clone, Debug)]
pub struct SourceStatus {
    /// Who it is.
    pub id: SourceId,
    /// Whether the last reading succeeded; `None` before the first.
    pub up: Option<bool>,
    /// Why the last reading failed, in full; empty where it did not.
    pub error: String,
    /// How long the last reading took.
    pub elapsed: Duration,
    /// When a reading last succeeded.
    pub last_success: Option<SystemTime>,
    /// Samples on its last page.
    pub samples: u64,
    /// Families of its last page that no catalogue knows.
    pub unmapped_families: u64,
}

/// Counts over all readings of a source.
#[derive(Clone, Debug, Default)]
pub(super) struct Totals {
    pub(super) errors: [u64; Reason::ALL.len()],
    pub(super) dropped: [u64; DropReason::ALL.len()],
    /// Values folded, by label.
    pub(super) folded: Vec<(&'static str, u64)>,
    pub(super) skipped: u64,
    pub(super) last_success: Option<SystemTime>,
}

#[derive(Debug, Default)]
struct State {
    flight: Option<watch::Receiver<Option<Arc<Reading>>>>,
    last: Option<Arc<Reading>>,
    totals: Totals,
    logged: Option<(Reason, Instant)>,
}

/// A fault that lasts is logged again after this time.
const LOG_AGAIN_AFTER: Duration = Duration::from_secs(300);

#[derive(Debug)]
pub(super) struct Cell {
    source: Arc<BoxSource>,
    labels: LabelSet,
    options: SourceOptions,
    /// In whose name it is read.
    runner: Instance,
    state: Arc<Mutex<State>>,
}

impl Cell {
    pub(super) fn new(source: BoxSource, options: SourceOptions, runner: Instance) -> Self {
        let id = source.id().clone();
        let ours = [("backend", id.kind()), ("target", id.target())];
        let labels = LabelSet::new(ours.into_iter().chain(options.labels.iter()));
        Self {
            source: Arc::new(source),
            labels,
            options,
            runner,
            state: Arc::default(),
        }
    }

    pub(super) fn id(&self) -> &SourceId {
        self.source.id()
    }

    pub(super) fn source(&self) -> &BoxSource {
        &self.source
    }

    /// The constant labels of its series: who it is, and the operator's.
    pub(super) fn labels(&self) -> &LabelSet {
        &self.labels
    }

    pub(super) fn totals(&self) -> Totals {
        self.lock().totals.clone()
    }

    pub(super) fn status(&self) -> SourceStatus {
        let state = self.lock();
        let last = state.last.as_deref();
        let tally = last
            .map(|reading| *reading.snapshot.tally())
            .unwrap_or_default();
        SourceStatus {
            id: self.id().clone(),
            up: last.map(|reading| reading.result.is_ok()),
            error: last
                .and_then(|reading| reading.result.as_ref().err())
                .map(|error| in_full(error))
                .unwrap_or_default(),
            elapsed: last.map(|reading| reading.elapsed).unwrap_or_default(),
            last_success: state.totals.last_success,
            samples: tally.samples,
            unmapped_families: tally.unmapped_families,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Joins the reading that is under way, or starts one that ends at the deadline.
    pub(super) fn join_or_start(&self, deadline: Instant) -> Flight {
        let mut state = self.lock();
        if let Some(flight) = &state.flight {
            return Flight(flight.clone());
        }
        let (done, flight) = watch::channel(None);
        state.flight = Some(flight.clone());
        // The snapshot of the reading before is written again where no page holds it any more.
        let last = state.last.take().map(Arc::try_unwrap);
        let snapshot = match last {
            Some(Ok(reading)) => reading.snapshot,
            Some(Err(shared)) => {
                state.last = Some(shared);
                Snapshot::new()
            }
            None => Snapshot::new(),
        };
        drop(state);
        let source = Arc::clone(&self.source);
        let options = self.options.clone();
        let runner = self.runner;
        let state = Arc::clone(&self.state);
        tokio::spawn(async move {
            let reading = Arc::new(read(&source, &options, runner, snapshot, deadline).await);
            let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
            state.record(source.id(), &reading);
            state.flight = None;
            drop(state);
            // Nobody may be waiting any more: that is fine.
            _ = done.send(Some(reading));
        });
        Flight(flight)
    }
}

/// One reading, whatever the source does: returns, fails, hangs or panics.
async fn read(
    source: &Arc<BoxSource>,
    options: &SourceOptions,
    runner: Instance,
    mut snapshot: Snapshot,
    deadline: Instant,
) -> Reading {
    let start = Instant::now();
    let reader = Arc::clone(source);
    // A task of its own, so that a panic stays in it.
    let mut task = tokio::spawn(async move {
        snapshot.clear();
        let result = runner.reading(reader.collect(&mut snapshot)).await;
        (snapshot, result)
    });
    let (mut snapshot, result) = match timeout_at(deadline, &mut task).await {
        Ok(Ok(done)) => done,
        Ok(Err(panic)) => {
            let what = panic_text(panic);
            let message = format!(
                "reading {} panicked ({what}); this is a fault of the program: please report it",
                source.id()
            );
            (
                Snapshot::new(),
                Err(CollectError::new(Reason::Internal, message)),
            )
        }
        Err(_) => {
            task.abort();
            let message = format!("{} did not answer in {:.1?}", source.id(), start.elapsed());
            (
                Snapshot::new(),
                Err(CollectError::new(Reason::Timeout, message)),
            )
        }
    };
    match result {
        Ok(()) => {
            if !options.selection.is_everything() {
                snapshot.retain_families(|desc| options.selection.keeps(desc.name()));
            }
            snapshot.limit_series(options.series_limit);
        }
        Err(_) => {
            // Half a reading is none; what was counted stays.
            let tally: Tally = *snapshot.tally();
            snapshot.clear();
            *snapshot.tally_mut() = tally;
        }
    }
    Reading {
        snapshot,
        elapsed: start.elapsed(),
        result,
    }
}

fn panic_text(panic: tokio::task::JoinError) -> String {
    match panic.try_into_panic() {
        Ok(payload) => match payload.downcast::<String>() {
            Ok(text) => *text,
            Err(payload) => payload
                .downcast::<&str>()
                .map_or_else(|_| "no message".to_owned(), |text| (*text).to_owned()),
        },
        Err(_) => "the runtime is shutting down".to_owned(),
    }
}

impl State {
    fn record(&mut self, id: &SourceId, reading: &Arc<Reading>) {
        let tally = reading.snapshot.tally();
        for reason in DropReason::ALL {
            self.totals.dropped[reason as usize] += tally.dropped(reason);
        }
        for (label, values) in tally.folded() {
            match self
                .totals
                .folded
                .iter_mut()
                .find(|(known, _)| *known == label)
            {
                Some((_, total)) => *total += values,
                None => self.totals.folded.push((label, values)),
            }
        }
        match &reading.result {
            Ok(()) => {
                self.totals.last_success = Some(SystemTime::now());
                if self.logged.take().is_some() {
                    tracing::info!(source = %id, "the source can be read again");
                }
            }
            Err(error) => {
                let reason = error.reason();
                self.totals.errors[reason as usize] += 1;
                let again = self.logged.is_none_or(|(logged, when)| {
                    logged != reason || when.elapsed() >= LOG_AGAIN_AFTER
                });
                if again {
                    self.logged = Some((reason, Instant::now()));
                    tracing::warn!(source = %id, %reason, error = in_full(error), "a source cannot be read");
                }
            }
        }
        self.last = Some(Arc::clone(reading));
    }
}

/// A reading that is under way.
pub(super) struct Flight(watch::Receiver<Option<Arc<Reading>>>);

impl Flight {
    pub(super) async fn outcome(mut self, deadline: Instant) -> Outcome {
        let landed = timeout_at(deadline, self.0.wait_for(Option::is_some)).await;
        match landed {
            Ok(Ok(reading)) => Outcome(reading.clone()),
            // The deadline of this page, or a runtime that shuts down.
            _ => Outcome(None),
        }
    }
}

/// What a page knows of a source: its reading, or nothing in time.
pub(super) struct Outcome(Option<Arc<Reading>>);

impl Outcome {
    pub(super) fn reading(&self) -> Option<&Reading> {
        self.0.as_deref()
    }

    pub(super) fn is_up(&self) -> bool {
        self.reading().is_some_and(|reading| reading.result.is_ok())
    }

    pub(super) fn snapshot(&self) -> Option<&Snapshot> {
        self.reading()
            .filter(|reading| reading.result.is_ok())
            .map(|reading| &reading.snapshot)
    }
}

/// Seconds since the epoch.
pub(super) fn unix_seconds(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0.0, |since| since.as_secs_f64())
}
