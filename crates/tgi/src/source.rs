//! A TGI server, read over HTTP.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokenpath_core::exposition::Format;
use tokenpath_core::translate::Report;
use tokenpath_core::{CollectError, Desc, Snapshot, Source, SourceId};
use tokenpath_scrape::{Client, ClientOptions, Endpoint, Page, SetupError, verdict};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use crate::{Info, TgiOptions, TgiTranslator};

/// How a server is read.
#[derive(Clone, Debug)]
pub struct TgiSourceOptions {
    /// How its pages are translated.
    pub tgi: TgiOptions,
    /// How requests are made.
    pub client: ClientOptions,
    /// Longest time for a page; 10 s by default. Whoever runs the source may end it sooner.
    pub timeout: Duration,
    /// How old what `/info` said may be before it is asked for again; 5 minutes by default.
    pub info_interval: Duration,
    /// Longest time for `/info`, which is asked for beside the page; 2 s by default.
    pub info_timeout: Duration,
    /// How long a page that is there waits for `/info`; a quarter of a second by default.
    pub info_grace: Duration,
    /// How long after a failure `/info` is left alone; 30 s by default.
    pub info_retry: Duration,
}

impl Default for TgiSourceOptions {
    fn default() -> Self {
        Self {
            tgi: TgiOptions::default(),
            client: ClientOptions::default(),
            timeout: Duration::from_secs(10),
            info_interval: Duration::from_secs(300),
            info_timeout: Duration::from_secs(2),
            info_grace: Duration::from_millis(250),
            info_retry: Duration::from_secs(30),
        }
    }
}

/// A TGI server as a [`Source`]: its page, with the model and the limits that `/info` says.
///
/// `/info` is asked for beside the page, now and then. That it fails never fails the page: series
/// keep the model that was last known, or have no `model_name` while there is none.
pub struct TgiSource {
    id: SourceId,
    client: Client,
    info_path: String,
    described: Vec<Arc<Desc>>,
    timeout: Duration,
    info_interval: Duration,
    info_timeout: Duration,
    info_grace: Duration,
    info_retry: Duration,
    state: Mutex<State>,
}

struct State {
    translator: TgiTranslator,
    page: Page,
    info_page: Page,
    /// When `/info` is to be asked for.
    info_due: Instant,
}

impl TgiSource {
    /// A source for the server whose page is at `endpoint`. No network I/O.
    ///
    /// # Errors
    ///
    /// Where the client cannot be set up with these options.
    pub fn new(endpoint: Endpoint, options: TgiSourceOptions) -> Result<Self, SetupError> {
        Ok(Self {
            id: SourceId::new("tgi", endpoint.target()),
            info_path: endpoint.beside("info"),
            described: TgiTranslator::describe(options.tgi.catalogue),
            client: Client::new(endpoint, options.client)?,
            timeout: options.timeout,
            info_interval: options.info_interval,
            info_timeout: options.info_timeout,
            info_grace: options.info_grace,
            info_retry: options.info_retry,
            state: Mutex::new(State {
                translator: TgiTranslator::new(options.tgi),
                page: Page::new(),
                info_page: Page::new(),
                info_due: Instant::now(),
            }),
        })
    }

    /// What `/info` says; `None` where it is not due, or does not say anything of use.
    async fn info(&self, page: &mut Page, due: Instant, now: Instant) -> Option<Option<Info>> {
        if now < due {
            return None;
        }
        let deadline = now + self.info_timeout.min(self.timeout);
        let read = self.client.get_path(&self.info_path, page, deadline).await;
        Some(match read {
            Ok(_) => Info::from_json(page.bytes()).ok(),
            Err(_) => None,
        })
    }
}

impl TgiSource {
    /// What became of each family of the newest page that had something new.
    pub async fn report(&self) -> Report {
        self.state.lock().await.translator.report().clone()
    }
}

impl Source for TgiSource {
    fn id(&self) -> &SourceId {
        &self.id
    }

    fn describe(&self) -> &[Arc<Desc>] {
        &self.described
    }

    async fn collect(&self, out: &mut Snapshot) -> Result<(), CollectError> {
        let mut state = self.state.lock().await;
        let State {
            translator,
            page,
            info_page,
            info_due,
        } = &mut *state;
        let now = Instant::now();
        let (read, info) = {
            let read = self.client.get(page, now + self.timeout);
            let info = self.info(info_page, *info_due, now);
            tokio::pin!(read, info);
            let both = tokio::select! {
                info = &mut info => (read.await, info),
                // The page does not wait for what it can do without.
                read = &mut read => {
                    (read, timeout(self.info_grace, info).await.unwrap_or(Some(None)))
                }
            };
            both
        };
        match info {
            Some(Some(info)) => {
                translator.set_info(&info);
                *info_due = now + self.info_interval;
            }
            Some(None) => *info_due = now + self.info_retry,
            None => {}
        }
        let meta = read.map_err(|error| CollectError::new(error.reason(), error))?;
        let format = Format::sniff(page.bytes(), meta.content_type());
        translator
            .translate(page.bytes(), format, out)
            .map_err(|error| verdict::unreadable(self.client.endpoint(), page.bytes(), error))?;
        out.tally_mut().certificate_expiry_seconds = meta.certificate_not_after();
        // Without a request yet the page is empty, which is no fault.
        if out.tally().samples == Some(0) {
            return Ok(());
        }
        verdict::judge(self.client.endpoint(), self.id.kind(), translator.report())
    }
}

impl fmt::Debug for TgiSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TgiSource").field(&self.id).finish()
    }
}
