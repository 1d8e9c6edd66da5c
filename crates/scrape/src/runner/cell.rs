//! One source under the runner: at most one reading at a time, shared by all who wait for it.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokenpath_core::{
    BoxSource, CollectError, DropReason, LabelSet, Reason, Shape, Snapshot, Source, SourceId,
    Tally, in_full,
};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout_at};

use super::SourceOptions;
use crate::Instance;
use crate::client::Progress;

/// What the runner knows after a reading.
#[derive(Debug)]
pub struct Reading {
    /// Which reading of its source it is, counted from 1.
    pub number: u64,
    /// What the source said; empty where the reading failed.
    pub snapshot: Snapshot,
    /// The constant labels of its series: who it is, the operator's, and those for which the source
    /// has no value of its own.
    pub labels: LabelSet,
    /// When it ended.
    pub finished: Instant,
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
    /// Samples on its last page; `None` where it has no page, as a device.
    pub samples: Option<u64>,
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

/// A reading that is under way.
#[derive(Debug)]
struct UnderWay {
    landed: watch::Receiver<Option<Arc<Reading>>>,
    started: Instant,
    /// When it is given up: what the most patient of those who wait for it leave it.
    ends: Instant,
}

#[derive(Debug, Default)]
struct State {
    flight: Option<UnderWay>,
    last: Option<Arc<Reading>>,
    /// The one before, for its memory; only where sources are read in the background.
    spare: Option<Arc<Reading>>,
    /// Readings begun.
    begun: u64,
    totals: Totals,
    logged: Option<(Reason, Instant)>,
}

/// A fault that lasts is logged again after this time.
const LOG_AGAIN_AFTER: Duration = Duration::from_secs(300);

/// A reading is given up this much before whoever waits for it, so that there is time to say why.
fn margin(time: Duration) -> Duration {
    (time / 20).min(Duration::from_millis(500))
}

/// When a reading ends for a page that must be there by the deadline.
fn end_for(deadline: Instant) -> Instant {
    deadline - margin(deadline.saturating_duration_since(Instant::now()))
}

/// A source and whatever is known of it. Dropping it ends its reading in the background.
#[derive(Debug)]
pub(super) struct Cell {
    reader: Arc<Reader>,
    background: Mutex<Option<AbortHandle>>,
}

/// What a reading needs, wherever it runs.
#[derive(Debug)]
struct Reader {
    source: BoxSource,
    labels: LabelSet,
    options: SourceOptions,
    /// In whose name it is read.
    runner: Instance,
    /// Whether its failures are logged for people to see.
    logged: bool,
    state: Mutex<State>,
    fallback: Mutex<Fallback>,
}

/// The labels for the shape that was read last: looked at again only for another one.
#[derive(Debug)]
struct Fallback {
    shape: Weak<Shape>,
    labels: LabelSet,
}

impl Drop for Cell {
    fn drop(&mut self) {
        let background = self.background.get_mut();
        if let Some(task) = background.unwrap_or_else(PoisonError::into_inner).take() {
            task.abort();
        }
    }
}

impl Cell {
    pub(super) fn new(source: BoxSource, options: SourceOptions, runner: Instance) -> Self {
        Self::with(source, options, runner, true)
    }

    /// One that is read for whoever asks, as often as they ask, and never in the background: its
    /// failures are told to them, and not to the log.
    pub(super) fn on_request(source: BoxSource, options: SourceOptions, runner: Instance) -> Self {
        let options = SourceOptions {
            interval: None,
            ..options
        };
        Self::with(source, options, runner, false)
    }

    fn with(source: BoxSource, options: SourceOptions, runner: Instance, logged: bool) -> Self {
        let id = source.id().clone();
        let ours = [("backend", id.kind()), ("target", id.target())];
        let labels = LabelSet::new(ours.into_iter().chain(options.labels.iter()));
        let fallback = Mutex::new(Fallback {
            shape: Weak::new(),
            labels: labels.clone(),
        });
        let cell = Self {
            reader: Arc::new(Reader {
                source,
                labels,
                options,
                runner,
                logged,
                state: Mutex::default(),
                fallback,
            }),
            background: Mutex::new(None),
        };
        cell.start();
        cell
    }

    /// Starts reading in the background, where that is wanted, not yet so, and there is a runtime.
    pub(super) fn start(&self) {
        let (Some(interval), Ok(runtime)) = (self.reader.options.interval, Handle::try_current())
        else {
            return;
        };
        let mut background = self
            .background
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if background.is_none() {
            let reader = Arc::clone(&self.reader);
            *background = Some(runtime.spawn(reader.in_background(interval)).abort_handle());
        }
    }

    pub(super) fn id(&self) -> &SourceId {
        self.reader.source.id()
    }

    pub(super) fn source(&self) -> &BoxSource {
        &self.reader.source
    }

    /// The constant labels of its series: who it is, and the operator's.
    pub(super) fn labels(&self) -> &LabelSet {
        &self.reader.labels
    }

    /// Puts the newest reading in the place of one that succeeded and that another page has overtaken.
    pub(super) fn renew(&self, outcome: &mut Outcome) {
        let Some(known) = outcome.success() else {
            return;
        };
        let state = self.reader.lock();
        if let Some(last) = &state.last
            && last.number > known.number
            && last.result.is_ok()
        {
            *outcome = Outcome::Landed(Arc::clone(last));
        }
    }

    pub(super) fn totals(&self) -> Totals {
        self.reader.lock().totals.clone()
    }

    pub(super) fn status(&self) -> SourceStatus {
        let state = self.reader.lock();
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

    /// What a page that ends at the deadline will know. In the background: what was read last, and
    /// nothing once two intervals have passed since. Else a reading that is joined or started.
    pub(super) fn for_page(&self, deadline: Instant) -> Flight {
        let ends = end_for(deadline);
        let Some(interval) = self.reader.options.interval else {
            return self.reader.join_or_start(ends);
        };
        self.start();
        let last = self.reader.lock().last.clone();
        match last {
            Some(last) if last.finished.elapsed() <= interval.saturating_mul(2) => {
                Flight::Over(Outcome::Landed(last))
            }
            Some(_) => Flight::Over(Outcome::Unknown),
            // Its first turn has not come: a page does not wait for that. Other pages will show what
            // is read now, so that it has all the time that a turn has.
            None => {
                let turn = self.reader.time_for_turn(interval);
                self.reader.join_or_start(ends.max(Instant::now() + turn))
            }
        }
    }
}

impl Reader {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads once an interval, for ever. Sources have their turns spread over the interval, each
    /// always at the same point of it.
    async fn in_background(self: Arc<Self>, interval: Duration) {
        let mut hasher = DefaultHasher::new();
        (self.source.id(), &self.labels).hash(&mut hasher);
        let share = f64::from(u32::try_from(hasher.finish() >> 32).unwrap_or(0)) / 4_294_967_296.0;
        let mut turns = interval_at(Instant::now() + interval.mul_f64(share), interval);
        turns.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            turns.tick().await;
            if self.lock().flight.is_some() {
                self.lock().totals.skipped += 1;
            } else {
                // It runs in a task of its own: the next turn comes whether or not it has ended.
                let ends = Instant::now() + self.time_for_turn(interval);
                drop(self.join_or_start(ends));
            }
        }
    }

    /// The longest time for a reading in the background. One that may take until the next turn ends
    /// a little before it: that turn would be skipped else.
    fn time_for_turn(&self, interval: Duration) -> Duration {
        let timeout = self.options.timeout;
        if timeout > interval {
            timeout
        } else {
            timeout.min(interval - margin(interval))
        }
    }

    /// Joins the reading that is under way, or starts one. It is not given up before `ends`: whoever
    /// waits for it in less time gives up alone.
    fn join_or_start(self: &Arc<Self>, ends: Instant) -> Flight {
        let mut state = self.lock();
        if let Some(flight) = &mut state.flight {
            flight.ends = flight.ends.max(ends);
            return Flight::UnderWay(flight.landed.clone(), flight.started);
        }
        let (done, landed) = watch::channel(None);
        let started = Instant::now();
        state.flight = Some(UnderWay {
            landed: landed.clone(),
            started,
            ends,
        });
        state.begun += 1;
        let number = state.begun;
        // The snapshot of a reading before is written again where no page holds it any more. In the
        // background the last one is still wanted, so it is the one before that.
        let snapshot = if self.options.interval.is_some() {
            let spare = state.spare.take().and_then(Arc::into_inner);
            spare.map_or_else(Snapshot::new, |reading| reading.snapshot)
        } else {
            match state.last.take().map(Arc::try_unwrap) {
                Some(Ok(reading)) => reading.snapshot,
                Some(Err(shared)) => {
                    state.last = Some(shared);
                    Snapshot::new()
                }
                None => Snapshot::new(),
            }
        };
        drop(state);
        let reader = Arc::clone(self);
        tokio::spawn(async move {
            let reading = Arc::new(reader.read(number, snapshot, started, ends).await);
            let mut state = reader.lock();
            state.record(&reader, &reading);
            // Where it was given up, another one may be under way already.
            if state.begun == number {
                state.flight = None;
            }
            drop(state);
            // Nobody may be waiting any more: that is fine.
            _ = done.send(Some(reading));
        });
        Flight::UnderWay(landed, started)
    }

    /// Gives the reading under way up, unless somebody more patient has joined it: then it is said
    /// until when it goes on. Nobody joins it any more afterwards.
    fn give_up(&self, ended: Instant) -> Option<Instant> {
        let mut state = self.lock();
        let ends = state.flight.as_ref().map(|flight| flight.ends);
        let on = ends.filter(|ends| *ends > ended);
        if on.is_none() {
            state.flight = None;
        }
        on
    }

    /// The constant labels of what was read: a fallback label stands where no series of the source
    /// has one of that name.
    fn labels_for(&self, snapshot: &Snapshot) -> LabelSet {
        if self.options.fallback_labels.is_empty() {
            return self.labels.clone();
        }
        let shape = snapshot.shape();
        let mut known = self.fallback.lock().unwrap_or_else(PoisonError::into_inner);
        if !std::ptr::eq(known.shape.as_ptr(), Arc::as_ptr(shape)) {
            let is_silent = |name: &str| {
                let mut series = shape.families().flat_map(|family| family.series());
                series.all(|series| series.label(name).is_none())
            };
            let fallback = self.options.fallback_labels.iter();
            let silent = fallback.filter(|(name, _)| is_silent(name));
            let labels = LabelSet::new(silent.chain(self.labels.iter()));
            // An equal set stays the same set, which pages know.
            if labels != known.labels {
                known.labels = labels;
            }
            known.shape = Arc::downgrade(shape);
        }
        known.labels.clone()
    }

    /// One reading, whatever the source does: returns, fails, hangs or panics.
    async fn read(
        self: &Arc<Self>,
        number: u64,
        mut snapshot: Snapshot,
        start: Instant,
        mut ends: Instant,
    ) -> Reading {
        let (source, options) = (&self.source, &self.options);
        let progress = Arc::new(Progress::new());
        let noted = Arc::clone(&progress);
        let reader = Arc::clone(self);
        // A task of its own, so that a panic stays in it.
        let mut task = tokio::spawn(async move {
            snapshot.clear();
            let reading = reader.source.collect(&mut snapshot);
            let result = reader.runner.reading(reading, noted).await;
            (snapshot, result)
        });
        let ended = loop {
            match timeout_at(ends, &mut task).await {
                Ok(ended) => break Some(ended),
                Err(_) => match self.give_up(ends) {
                    Some(later) => ends = later,
                    None => break None,
                },
            }
        };
        let (mut snapshot, result) = match ended {
            Some(Ok(done)) => done,
            Some(Err(panic)) => {
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
            None => {
                task.abort();
                let (id, elapsed) = (source.id(), start.elapsed());
                let message = match progress.waits_for() {
                    Some(what) => format!("{id}: no page within {elapsed:.1?}: {what}"),
                    None => format!("{id} did not answer in {elapsed:.1?}"),
                };
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
            number,
            labels: self.labels_for(&snapshot),
            snapshot,
            elapsed: start.elapsed(),
            finished: Instant::now(),
            result,
        }
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
    fn record(&mut self, reader: &Reader, reading: &Arc<Reading>) {
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
                    tracing::info!(source = %reader.source.id(), "the source can be read again");
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
                    let (id, error) = (reader.source.id(), in_full(error));
                    if reader.logged {
                        tracing::warn!(source = %id, %reason, error, "a source cannot be read");
                    } else {
                        tracing::debug!(source = %id, %reason, error, "a source cannot be read");
                    }
                }
            }
        }
        self.spare = self.last.replace(Arc::clone(reading));
    }
}

/// A reading that is under way, and since when, or what is known without one.
pub(super) enum Flight {
    UnderWay(watch::Receiver<Option<Arc<Reading>>>, Instant),
    Over(Outcome),
}

impl Flight {
    pub(super) async fn outcome(self, deadline: Instant) -> Outcome {
        let (mut landed, started) = match self {
            Self::UnderWay(landed, started) => (landed, started),
            Self::Over(outcome) => return outcome,
        };
        match timeout_at(deadline, landed.wait_for(Option::is_some)).await {
            Ok(Ok(reading)) => reading.clone().map_or(Outcome::Unknown, Outcome::Landed),
            // A runtime that shuts down.
            Ok(Err(_)) => Outcome::Unknown,
            Err(_) => Outcome::Late(started.elapsed()),
        }
    }
}

/// What a page knows of a source.
pub(super) enum Outcome {
    /// A reading that has ended.
    Landed(Arc<Reading>),
    /// It takes longer than this page could wait, and goes on for others: it has taken so long.
    Late(Duration),
    /// Nothing.
    Unknown,
}

impl Outcome {
    pub(super) fn reading(&self) -> Option<&Reading> {
        match self {
            Self::Landed(reading) => Some(reading),
            Self::Late(_) | Self::Unknown => None,
        }
    }

    /// How long the reading took, or has taken so far.
    pub(super) fn elapsed(&self) -> Option<Duration> {
        match self {
            Self::Landed(reading) => Some(reading.elapsed),
            Self::Late(elapsed) => Some(*elapsed),
            Self::Unknown => None,
        }
    }

    pub(super) fn is_up(&self) -> bool {
        self.success().is_some()
    }

    /// The reading, where it succeeded.
    pub(super) fn success(&self) -> Option<&Reading> {
        self.reading().filter(|reading| reading.result.is_ok())
    }
}

/// Seconds since the epoch.
pub(super) fn unix_seconds(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0.0, |since| since.as_secs_f64())
}
