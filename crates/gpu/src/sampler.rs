//! The one thread that talks to the driver.
//!
//! A driver call may block for ever, and nothing can take a thread back out of it. So all calls are
//! made by one thread per source, which hands over complete samples; whoever serves a page takes the
//! newest one and never waits. While the driver hangs that thread is stuck, and no other is started:
//! readers see the sample grow old. When the driver answers again the thread goes on. Who knows that
//! something has changed can ask for a sample out of turn, and waits for it as long as it likes.
//!
//! The driver lives on the stack of that thread. A source that is dropped asks the thread to stop and
//! waits a moment; a thread that is stuck stays behind with its driver, which nobody shuts down or
//! frees from outside.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::Options;
use crate::device::{Driver, DriverError, Session};
use crate::sample::{End, Sample, Tracker};

/// How long a source that is dropped waits for its thread.
const STOP_GRACE: Duration = Duration::from_millis(500);

/// What the thread has to tell.
#[derive(Clone, Debug)]
pub(crate) enum Latest {
    /// Nothing yet: the driver is being opened, or the first sample is under way.
    Starting,
    /// The newest sample, however old.
    Sample(Arc<Sample>),
    /// The driver cannot be opened, or went away.
    Failed(Arc<DriverError>),
    /// The thread ended by a panic.
    Panicked,
}

#[derive(Debug)]
struct State {
    latest: Latest,
    /// When `latest` was set.
    since: Instant,
    /// How many samples were asked for out of turn.
    asked: u64,
    /// Of these, how many were asked for before the newest sample was begun.
    answered: u64,
    stop: bool,
    ended: bool,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    /// No code that holds the lock can panic half-way, so a poisoned lock guards a good state.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, latest: Latest) {
        self.tell_in(&mut self.lock(), latest);
    }

    /// Tells a sample, which answers so many of those who asked for one.
    fn tell_sample(&self, sample: Sample, answered: u64) {
        let mut state = self.lock();
        state.answered = answered;
        self.tell_in(&mut state, Latest::Sample(Arc::new(sample)));
    }

    fn tell_in(&self, state: &mut State, latest: Latest) {
        state.latest = latest;
        state.since = Instant::now();
        self.changed.notify_all();
    }

    /// Waits until the given moment; false if the thread shall stop.
    fn wait_until(&self, moment: Instant) -> bool {
        self.wait(moment, |_| false).is_some()
    }

    /// Waits until the given moment, or until somebody asks for a sample.
    fn wait_turn(&self, moment: Instant) -> Option<Turn> {
        let state = self.wait(moment, |state| state.asked > state.answered)?;
        Some(Turn {
            asked: state.asked,
            out_of_turn: state.asked > state.answered,
        })
    }

    /// Waits until the given moment or a condition; nothing if the thread shall stop.
    fn wait(
        &self,
        moment: Instant,
        condition: impl Fn(&State) -> bool,
    ) -> Option<MutexGuard<'_, State>> {
        let mut state = self.lock();
        while !state.stop {
            let left = moment.saturating_duration_since(Instant::now());
            if left.is_zero() || condition(&state) {
                return Some(state);
            }
            state = self
                .changed
                .wait_timeout(state, left)
                .map_or_else(|poisoned| poisoned.into_inner().0, |(state, _)| state);
        }
        None
    }
}

/// A sample to be taken.
struct Turn {
    /// How many samples had been asked for when it was begun.
    asked: u64,
    /// Whether somebody waits for it.
    out_of_turn: bool,
}

/// A handle of the sampling thread. Dropping it stops the thread, if the driver lets go of it.
#[derive(Debug)]
pub(crate) struct Sampler {
    shared: Arc<Shared>,
}

impl Sampler {
    pub(crate) fn spawn(options: Options, driver: Box<dyn Driver>) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                latest: Latest::Starting,
                since: Instant::now(),
                asked: 0,
                answered: 0,
                stop: false,
                ended: false,
            }),
            changed: Condvar::new(),
        });
        let of_thread = Arc::clone(&shared);
        thread::Builder::new()
            .name("tokenpath-gpu".into())
            .spawn(move || run(&of_thread, options, driver))?;
        Ok(Self { shared })
    }

    /// What is newest, and since when. Costs a lock that is held for moments only.
    pub(crate) fn latest(&self) -> (Latest, Instant) {
        let state = self.shared.lock();
        (state.latest.clone(), state.since)
    }

    /// Waits until there is something to tell, at most so long; true if there is.
    pub(crate) fn wait_first(&self, timeout: Duration) -> bool {
        self.wait_while(timeout, |state| matches!(state.latest, Latest::Starting))
    }

    /// Asks for a sample and waits for it, at most so long; true if there is one that was begun after
    /// this call. Of a driver that has failed there is none, and nobody waits.
    pub(crate) fn sample_now(&self, timeout: Duration) -> bool {
        let mine = {
            let mut state = self.shared.lock();
            state.asked += 1;
            state.asked
        };
        self.shared.changed.notify_all();
        let failed = |state: &State| matches!(state.latest, Latest::Failed(_) | Latest::Panicked);
        self.wait_while(timeout, |state| state.answered < mine && !failed(state))
            && self.shared.lock().answered >= mine
    }

    /// Waits while a condition holds, at most so long; true if it does not hold any more.
    fn wait_while(&self, timeout: Duration, condition: impl Fn(&State) -> bool) -> bool {
        let waited = self
            .shared
            .changed
            .wait_timeout_while(self.shared.lock(), timeout, |state| condition(state));
        waited.is_ok_and(|(_, result)| !result.timed_out())
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.shared.lock().stop = true;
        self.shared.changed.notify_all();
        if !self.wait_while(STOP_GRACE, |state| !state.ended) {
            tracing::warn!("the GPU driver does not answer: its thread is left behind");
        }
    }
}

fn run(shared: &Shared, options: Options, mut driver: Box<dyn Driver>) {
    let sampling = catch_unwind(AssertUnwindSafe(|| {
        let mut thread = Thread {
            shared,
            tracker: Tracker::new(options.clone()),
            wait: options.retry_min,
            wait_anew: options.retry_max,
            options,
        };
        while thread.open(&mut *driver) {}
    }));
    if sampling.is_err() {
        tracing::error!("the GPU sampling thread panicked");
        shared.tell(Latest::Panicked);
    }
    // A driver that panics while it is given up harms nobody any more.
    drop(catch_unwind(AssertUnwindSafe(|| drop(driver))));
    shared.lock().ended = true;
    shared.changed.notify_all();
}

struct Thread<'s> {
    shared: &'s Shared,
    options: Options,
    tracker: Tracker,
    /// Before the next attempt to open the driver.
    wait: Duration,
    /// How long a GPU may be down before the driver is opened anew for it. Doubled each time: one
    /// that is gone for good must not cost the others a gap in their counters every minute.
    wait_anew: Duration,
}

/// The longest wait before the driver is opened anew, in the shortest.
const ANEW_MAX: u32 = 64;

/// Why a session was over.
enum Over {
    Stop,
    Gone(DriverError),
    /// A GPU is lost; the driver may find it again when it is opened anew.
    OpenAnew,
}

impl Thread<'_> {
    /// Opens the driver and samples until it goes away; false when the thread shall stop.
    fn open(&mut self, driver: &mut dyn Driver) -> bool {
        let mut over = Over::Stop;
        let opened = driver.open(&mut |session| over = self.sample(session));
        let error = match (opened, over) {
            (Ok(()), Over::Stop) => return false,
            (Ok(()), Over::OpenAnew) => return true,
            (Ok(()), Over::Gone(error)) | (Err(error), _) => error,
        };
        let news = match self.shared.lock().latest {
            Latest::Failed(ref known) => **known != error,
            _ => true,
        };
        if news {
            tracing::warn!(%error, retry_in = ?self.wait, "no GPU driver");
        }
        self.shared.tell(Latest::Failed(Arc::new(error)));
        let retry = Instant::now() + self.wait;
        self.wait = (self.wait * 2).min(self.options.retry_max);
        self.shared.wait_until(retry)
    }

    fn sample(&mut self, session: &mut dyn Session) -> Over {
        let mut down_since = None;
        self.tracker.begin_session(session);
        let mut next = Instant::now();
        loop {
            let Some(turn) = self.shared.wait_turn(next) else {
                return Over::Stop;
            };
            if turn.out_of_turn {
                self.tracker.expire_standing();
            }
            // From now, not from `next`: after a hang there is nothing to catch up on.
            next = Instant::now() + self.options.period;
            match self.tracker.sample(session) {
                Ok(sample) => self.shared.tell_sample(sample, turn.asked),
                Err(End::Gone(error)) => return Over::Gone(DriverError::Gone(error)),
            }
            self.wait = self.options.retry_min;
            if !self.tracker.any_down() {
                down_since = None;
                self.wait_anew = self.options.retry_max;
            } else if down_since.get_or_insert_with(Instant::now).elapsed() >= self.wait_anew {
                let longest = self.options.retry_max.saturating_mul(ANEW_MAX);
                self.wait_anew = self.wait_anew.saturating_mul(2).min(longest);
                return Over::OpenAnew;
            }
        }
    }
}
