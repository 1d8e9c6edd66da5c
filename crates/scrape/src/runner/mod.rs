//! The runner: reads sources at the same time, once for all who ask at once, within one deadline,
//! and writes what they said, and how they are, as one page.
//!
//! One sick source costs its own series and nothing else: it is `tokenpath_source_up 0` with a
//! reason, the others are on the page, and the page is there before the scraper gives up.

mod cell;
mod families;
mod own;
mod process;
mod provider;
mod rollups;

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

pub use tokenpath_core::Selection;
use tokenpath_core::dialect::Spoken;
use tokenpath_core::exposition::{Encoder, PageFormat, Part};
use tokenpath_core::{BoxSource, Desc, LabelSet, Snapshot, Source, SourceId};
use tokio::time::Instant;

use crate::Instance;
use cell::{Cell, Outcome};
pub use cell::{Reading, SourceStatus};
pub use families::{build_info_name, own_families};
pub use rollups::RollUpOptions;
use rollups::{RollUps, part};

/// How one source is read, and what its series carry.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct SourceOptions {
    /// Labels from the operator: they win over upstream's, whose become `exported_…`.
    pub labels: LabelSet,
    /// Labels for a source whose series have none of that name: what the operator knows where the
    /// source is silent.
    pub fallback_labels: LabelSet,
    /// Which families are kept; all by default.
    pub selection: Selection,
    /// At most so many lines of this source are on the page; what is over is dropped and counted.
    pub series_limit: usize,
    /// Read in the background, once in this time; for each page where there is none.
    pub interval: Option<Duration>,
    /// Longest time for a reading in the background; a page brings its own deadline.
    pub timeout: Duration,
}

/// The default of [`SourceOptions::timeout`].
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// The default of [`SourceOptions::series_limit`].
pub const DEFAULT_SERIES_LIMIT: usize = 100_000;

impl SourceOptions {
    /// The defaults: no labels, all families, [`DEFAULT_SERIES_LIMIT`].
    #[must_use]
    pub fn new() -> Self {
        Self {
            labels: LabelSet::default(),
            fallback_labels: LabelSet::default(),
            selection: Selection::default(),
            series_limit: DEFAULT_SERIES_LIMIT,
            interval: None,
            timeout: DEFAULT_TIMEOUT,
        }
    }

    /// Sets the operator's labels.
    #[must_use]
    pub fn labels(mut self, labels: LabelSet) -> Self {
        self.labels = labels;
        self
    }

    /// Sets the labels for a silent source.
    #[must_use]
    pub fn fallback_labels(mut self, labels: LabelSet) -> Self {
        self.fallback_labels = labels;
        self
    }

    /// Reads in the background, once in this time. A page shows what was read last, and nothing
    /// once two intervals have passed since.
    #[must_use]
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = Some(interval.max(Duration::from_millis(1)));
        self
    }

    /// Sets the longest time for a reading in the background.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets which families are kept.
    #[must_use]
    pub fn selection(mut self, selection: Selection) -> Self {
        self.selection = selection;
        self
    }

    /// Sets the cap on lines.
    #[must_use]
    pub fn series_limit(mut self, limit: usize) -> Self {
        self.series_limit = limit;
        self
    }
}

/// Reads a set of sources and speaks the result.
///
/// Shared by all who serve it; needs a tokio runtime when a page is asked for.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
/// use tokenpath_core::exposition::Format;
/// use tokenpath_core::{BoxSource, CollectError, Desc, MetricType, Snapshot, Source, SourceId, Unit};
/// use tokenpath_scrape::runner::{Exporter, SourceOptions};
///
/// struct Shop(SourceId, Arc<Desc>);
/// impl Source for Shop {
///     fn id(&self) -> &SourceId { &self.0 }
///     fn describe(&self) -> &[Arc<Desc>] { std::slice::from_ref(&self.1) }
///     async fn collect(&self, out: &mut Snapshot) -> Result<(), CollectError> {
///         out.family(&self.1).sample(&[], 3.0);
///         Ok(())
///     }
/// }
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
/// # runtime.block_on(async {
/// let queue = Arc::new(Desc::new("shop_queue", MetricType::Gauge, Unit::None, "People waiting."));
/// let mut exporter = Exporter::new();
/// exporter.add(BoxSource::new(Shop(SourceId::new("shop", "till-1"), queue)), SourceOptions::new());
/// let page = exporter.page(Format::Text004, tokio::time::Instant::now() + Duration::from_secs(5)).await;
/// let page = String::from_utf8(page).unwrap();
/// assert!(page.contains("shop_queue{backend=\"shop\",target=\"till-1\"} 3\n"));
/// assert!(page.contains("tokenpath_source_up{backend=\"shop\",target=\"till-1\"} 1\n"));
/// # });
/// ```
#[derive(Debug)]
pub struct Exporter {
    cells: RwLock<Cells>,
    keys: AtomicU64,
    spoken: RwLock<Spoken>,
    speakers: [Mutex<Speaker>; PageFormat::ALL.len()],
    started: SystemTime,
    instance: Instance,
    reload: Mutex<Option<Reload>>,
    roll_ups: Mutex<RollUps>,
}

/// The sources at one moment, shared with the pages that are made of them.
type Cells = Arc<[Member]>;
type Member = (SourceKey, Arc<Cell>);

/// A source of an [`Exporter`], for taking it out again. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SourceKey(u64);

/// How the configuration was when it was last read.
#[derive(Clone, Copy, Debug)]
struct Reload {
    successful: bool,
    last_success: Option<SystemTime>,
}

/// What one format's pages are made with, kept from page to page.
#[derive(Debug)]
struct Speaker {
    encoder: Encoder,
    own: Snapshot,
    page: Vec<u8>,
    /// Families that were not on the page before: logged when there are more.
    refused: u64,
}

impl Default for Exporter {
    fn default() -> Self {
        Self::new()
    }
}

impl Exporter {
    /// An exporter without sources that speaks the canonical names.
    #[must_use]
    pub fn new() -> Self {
        Self::speaking(Spoken::canonical())
    }

    /// An exporter without sources that speaks these dialects.
    #[must_use]
    pub fn speaking(spoken: Spoken) -> Self {
        Self {
            cells: RwLock::new(Arc::from([])),
            keys: AtomicU64::new(0),
            speakers: speakers(&spoken),
            spoken: RwLock::new(spoken),
            started: SystemTime::now(),
            instance: Instance::fresh(),
            reload: Mutex::new(None),
            roll_ups: Mutex::default(),
        }
    }

    /// Adds a source.
    ///
    /// One with an interval is read in the background from now on where there is a tokio runtime,
    /// and else from the first page on.
    pub fn add(&mut self, source: BoxSource, options: SourceOptions) {
        self.change(&[], [(source, options)]);
    }

    /// Takes sources out and adds others, at once: a page has all of them or none. Sources that are
    /// neither are not touched: their readings, connections and counts go on. Returns the keys of
    /// those added.
    ///
    /// A reading under way of one that is taken out ends by its own deadline and is not seen.
    pub fn change(
        &self,
        remove: &[SourceKey],
        add: impl IntoIterator<Item = (BoxSource, SourceOptions)>,
    ) -> Vec<SourceKey> {
        let added: Vec<_> = add
            .into_iter()
            .map(|(source, options)| {
                let key = SourceKey(self.keys.fetch_add(1, Ordering::Relaxed));
                (key, Arc::new(Cell::new(source, options, self.instance)))
            })
            .collect();
        let keys = added.iter().map(|(key, _)| *key).collect();
        let remove: HashSet<_> = remove.iter().collect();
        let mut cells = self.cells.write().unwrap_or_else(PoisonError::into_inner);
        let kept = cells
            .iter()
            .filter(|(key, _)| !remove.contains(key))
            .cloned();
        let changed = kept.chain(added).collect();
        let before = std::mem::replace(&mut *cells, changed);
        drop(cells);
        // Outside the lock: this may be the last of many sources.
        drop(before);
        keys
    }

    fn cells(&self) -> Cells {
        Arc::clone(&self.cells.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The sources, in the order they were added.
    #[must_use]
    pub fn sources(&self) -> Vec<SourceId> {
        self.cells()
            .iter()
            .map(|(_, cell)| cell.id().clone())
            .collect()
    }

    /// Speaks these dialects from the next page on.
    pub fn speak_as(&self, spoken: Spoken) {
        let fresh = speakers(&spoken);
        *self.spoken.write().unwrap_or_else(PoisonError::into_inner) = spoken;
        for (speaker, fresh) in self.speakers.iter().zip(fresh) {
            let fresh = fresh.into_inner().unwrap_or_else(PoisonError::into_inner);
            *speaker.lock().unwrap_or_else(PoisonError::into_inner) = fresh;
        }
    }

    /// Rolls up in these ways from the next page on, over the sources alone. A roll-up that was there
    /// before goes on: its sums do not begin anew. One that is given twice counts once.
    pub fn roll_up(&self, roll_ups: impl IntoIterator<Item = RollUpOptions>) {
        self.lock_roll_ups().set(roll_ups);
    }

    fn lock_roll_ups(&self) -> MutexGuard<'_, RollUps> {
        self.roll_ups.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of how the configuration was read: `tokenpath_config_last_reload_successful` and
    /// the time of the last success. Without this, pages have neither.
    pub fn reloaded(&self, successful: bool) {
        let mut reload = self.reload.lock().unwrap_or_else(PoisonError::into_inner);
        let before = reload.and_then(|reload| reload.last_success);
        *reload = Some(Reload {
            successful,
            last_success: if successful {
                Some(SystemTime::now())
            } else {
                before
            },
        });
    }

    /// All families that a page may have under canonical names.
    #[must_use]
    pub fn describe(&self) -> Vec<Arc<Desc>> {
        let cells = self.cells();
        let sources = cells.iter().flat_map(|(_, cell)| cell.source().describe());
        let mut names = HashSet::new();
        own_families()
            .iter()
            .chain(sources)
            .filter(|desc| names.insert(desc.name()))
            .cloned()
            .collect()
    }

    /// The dialects that are spoken.
    #[must_use]
    pub fn spoken(&self) -> Spoken {
        self.spoken
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// How each source was when it was last read.
    #[must_use]
    pub fn status(&self) -> Vec<SourceStatus> {
        self.cells().iter().map(|(_, cell)| cell.status()).collect()
    }

    /// Reads all sources and writes a page. Sources that are not done by `deadline` are not on it.
    ///
    /// A reading is given up a little before the deadline, by a twentieth of the time and at most half
    /// a second, so that the page can say why. One that pages with several deadlines wait for goes on
    /// for the most patient of them; the others show the source as down, and no failure is counted
    /// where the reading then succeeds.
    ///
    /// Text 1.0.0 is written as 0.0.4, which says the same for names without quotes.
    ///
    /// Dropping the future leaves the readings running to their own deadlines: another scraper may
    /// wait for them.
    pub async fn page(&self, format: impl Into<PageFormat>, deadline: Instant) -> Vec<u8> {
        // All are started before any is waited for.
        let cells = self.cells();
        let flights: Vec<_> = cells
            .iter()
            .map(|(_, cell)| cell.for_page(deadline))
            .collect();
        let mut outcomes = Vec::with_capacity(flights.len());
        for flight in flights {
            outcomes.push(flight.outcome(deadline).await);
        }
        self.speak(format.into(), &cells, &mut outcomes)
    }

    /// Reads a source that is not one of the exporter's, once, and writes a page of it alone: what it
    /// said and how it is, in the same dialects. Counters of our own state begin with this reading;
    /// roll-ups are over the exporter's sources and not here.
    pub async fn page_of(
        &self,
        source: BoxSource,
        options: SourceOptions,
        format: impl Into<PageFormat>,
        deadline: Instant,
    ) -> Vec<u8> {
        let cell = Cell::on_request(source, options, self.instance);
        let outcome = cell.for_page(deadline).outcome(deadline).await;
        let mut own = Snapshot::new();
        own::write_one(&mut own, &cell, &outcome);
        let nothing = LabelSet::default();
        let mut parts = Vec::with_capacity(2);
        parts.extend(outcome.success().map(part));
        parts.push(Part {
            snapshot: &own,
            labels: &nothing,
        });
        let mut page = Vec::new();
        Encoder::with_dialects(format, self.spoken()).encode(&parts, &mut page);
        page
    }

    fn speak(&self, format: PageFormat, cells: &Cells, outcomes: &mut [Outcome]) -> Vec<u8> {
        let reload = *self.reload.lock().unwrap_or_else(PoisonError::into_inner);
        // Held until the page is written: the next page writes other sums.
        let mut roll_ups = Some(self.lock_roll_ups()).filter(|roll_ups| !roll_ups.is_empty());
        if let Some(roll_ups) = &mut roll_ups {
            roll_ups.renew(cells, outcomes);
        }
        let speaker = PageFormat::ALL.iter().position(|known| *known == format);
        let speaker = &self.speakers[speaker.unwrap_or_default()];
        let mut speaker = speaker.lock().unwrap_or_else(PoisonError::into_inner);
        let Speaker {
            encoder,
            own,
            page,
            refused,
        } = &mut *speaker;
        own.clear();
        own::write(own, cells, outcomes, self.started, reload);
        let nothing = LabelSet::default();
        let ours = Part {
            snapshot: own,
            labels: &nothing,
        };
        if let Some(roll_ups) = &mut roll_ups {
            roll_ups.run(outcomes, ours, |parts| encoder.encode(parts, page));
        } else {
            let mut parts = Vec::with_capacity(outcomes.len() + 1);
            parts.extend(outcomes.iter().filter_map(Outcome::success).map(part));
            parts.push(ours);
            encoder.encode(&parts, page);
        }
        let families = encoder.refused().families;
        if families > std::mem::replace(refused, families) {
            tracing::warn!(
                families,
                "families of sources are not on the page: another one has their name, and another type or meaning"
            );
        }
        page.clone()
    }
}

fn speakers(spoken: &Spoken) -> [Mutex<Speaker>; PageFormat::ALL.len()] {
    PageFormat::ALL.map(|format| {
        Mutex::new(Speaker {
            encoder: Encoder::with_dialects(format, spoken.clone()),
            own: Snapshot::new(),
            page: Vec::new(),
            refused: 0,
        })
    })
}
