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
mod selection;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use tokenpath_core::dialect::Spoken;
use tokenpath_core::exposition::{Encoder, Format, Part};
use tokenpath_core::{BoxSource, Desc, LabelSet, Snapshot, Source, SourceId};
use tokio::time::Instant;

use crate::Instance;
use cell::{Cell, Outcome};
pub use cell::{Reading, SourceStatus};
pub use families::{build_info_name, own_families};
pub use selection::Selection;

/// How one source is read, and what its series carry.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct SourceOptions {
    /// Labels from the operator: they win over upstream's, whose become `exported_…`.
    pub labels: LabelSet,
    /// Which families are kept; all by default.
    pub selection: Selection,
    /// At most so many lines of this source are on the page; what is over is dropped and counted.
    pub series_limit: usize,
}

/// The default of [`SourceOptions::series_limit`].
pub const DEFAULT_SERIES_LIMIT: usize = 100_000;

impl SourceOptions {
    /// The defaults: no labels, all families, [`DEFAULT_SERIES_LIMIT`].
    #[must_use]
    pub fn new() -> Self {
        Self {
            labels: LabelSet::default(),
            selection: Selection::default(),
            series_limit: DEFAULT_SERIES_LIMIT,
        }
    }

    /// Sets the operator's labels.
    #[must_use]
    pub fn labels(mut self, labels: LabelSet) -> Self {
        self.labels = labels;
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
    cells: Vec<Arc<Cell>>,
    spoken: Spoken,
    speakers: [Mutex<Speaker>; 2],
    started: SystemTime,
    instance: Instance,
}

/// What one format's pages are made with, kept from page to page.
#[derive(Debug)]
struct Speaker {
    encoder: Encoder,
    own: Snapshot,
    page: Vec<u8>,
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
        let speaker = |format| {
            let encoder = Encoder::with_dialects(format, spoken.clone());
            Mutex::new(Speaker {
                encoder,
                own: Snapshot::new(),
                page: Vec::new(),
            })
        };
        let speakers = [speaker(Format::Text004), speaker(Format::OpenMetrics100)];
        Self {
            cells: Vec::new(),
            spoken,
            speakers,
            started: SystemTime::now(),
            instance: Instance::fresh(),
        }
    }

    /// Adds a source.
    pub fn add(&mut self, source: BoxSource, options: SourceOptions) {
        self.cells
            .push(Arc::new(Cell::new(source, options, self.instance)));
    }

    /// The sources, in the order they were added.
    pub fn sources(&self) -> impl ExactSizeIterator<Item = &SourceId> {
        self.cells.iter().map(|cell| cell.id())
    }

    /// All families that a page may have under canonical names.
    #[must_use]
    pub fn describe(&self) -> Vec<Arc<Desc>> {
        let mut all: Vec<Arc<Desc>> = own_families().to_vec();
        for desc in self.cells.iter().flat_map(|cell| cell.source().describe()) {
            if !all.iter().any(|known| known.name() == desc.name()) {
                all.push(Arc::clone(desc));
            }
        }
        all
    }

    /// The dialects that are spoken.
    #[must_use]
    pub fn spoken(&self) -> &Spoken {
        &self.spoken
    }

    /// How each source was when it was last read.
    #[must_use]
    pub fn status(&self) -> Vec<SourceStatus> {
        self.cells.iter().map(|cell| cell.status()).collect()
    }

    /// Reads all sources and writes a page. Sources that are not done by `deadline` are not on it.
    ///
    /// Text 1.0.0 is written as 0.0.4, which says the same for names without quotes.
    ///
    /// Dropping the future leaves the readings running to their own deadlines: another scraper may
    /// wait for them.
    pub async fn page(&self, format: Format, deadline: Instant) -> Vec<u8> {
        // All are started before any is waited for.
        let flights: Vec<_> = self
            .cells
            .iter()
            .map(|cell| cell.join_or_start(deadline))
            .collect();
        let mut outcomes = Vec::with_capacity(flights.len());
        for flight in flights {
            outcomes.push(flight.outcome(deadline).await);
        }
        self.speak(format, &outcomes)
    }

    fn speak(&self, format: Format, outcomes: &[Outcome]) -> Vec<u8> {
        let speaker = &self.speakers[usize::from(format == Format::OpenMetrics100)];
        let mut speaker = speaker.lock().unwrap_or_else(PoisonError::into_inner);
        let Speaker { encoder, own, page } = &mut *speaker;
        own.clear();
        own::write(own, &self.cells, outcomes, self.started);
        let nothing = LabelSet::default();
        let mut parts = Vec::with_capacity(outcomes.len() + 1);
        for (cell, outcome) in self.cells.iter().zip(outcomes) {
            if let Some(snapshot) = outcome.snapshot() {
                parts.push(Part {
                    snapshot,
                    labels: cell.labels(),
                });
            }
        }
        parts.push(Part {
            snapshot: own,
            labels: &nothing,
        });
        encoder.encode(&parts, page);
        page.clone()
    }
}
