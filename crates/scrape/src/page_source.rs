//! A source that is a page of text: fetch, translate, and a verdict that helps.

use std::sync::Arc;
use std::time::Duration;

use tokenpath_core::catalogue::Compiled;
use tokenpath_core::exposition::Format;
use tokenpath_core::translate::{Report, TranslateOptions, Translator};
use tokenpath_core::{CollectError, Desc, Snapshot, Source, SourceId};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::{Client, ClientOptions, Endpoint, Page, SetupError, verdict};

/// How a page is fetched and read.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PageSourceOptions {
    /// How the target is asked.
    pub client: ClientOptions,
    /// How the page is read, and whether families that the catalogue does not know are passed through
    /// ([`TranslateOptions::pass_unknown`]). [`describe`](Source::describe) does not name those: they
    /// are known when they are read.
    pub translate: TranslateOptions,
    /// The longest time for one reading; 10 s. Whoever runs the source may end it earlier.
    pub timeout: Duration,
    /// Whether a page without samples is fine: a server that was not used yet. Otherwise it is a
    /// fault.
    pub empty_is_fine: bool,
}

impl Default for PageSourceOptions {
    fn default() -> Self {
        Self {
            client: ClientOptions::default(),
            translate: TranslateOptions::default(),
            timeout: Duration::from_secs(10),
            empty_is_fine: false,
        }
    }
}

/// Reads one target's metrics page by a catalogue.
///
/// Keeps one connection, one buffer and the memory of the page's layout, so that a page like the one
/// before costs a comparison and its numbers.
#[derive(Debug)]
pub struct PageSource {
    id: SourceId,
    client: Client,
    catalogue: Arc<Compiled>,
    timeout: Duration,
    empty_is_fine: bool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    page: Page,
    translator: Translator,
}

impl PageSource {
    /// A source of the catalogue's kind. No I/O but the reading of certificates.
    ///
    /// # Errors
    ///
    /// Where TLS or the credentials are not set up right.
    pub fn new(
        endpoint: Endpoint,
        catalogue: Arc<Compiled>,
        options: PageSourceOptions,
    ) -> Result<Self, SetupError> {
        let id = SourceId::new(&catalogue.catalogue().backend, endpoint.target());
        let client = Client::new(endpoint, options.client)?;
        let translator = Translator::new(Arc::clone(&catalogue), options.translate);
        Ok(Self {
            id,
            client,
            catalogue,
            timeout: options.timeout,
            empty_is_fine: options.empty_is_fine,
            state: Mutex::new(State {
                page: Page::new(),
                translator,
            }),
        })
    }

    /// What became of each family of the newest page that had something new.
    pub async fn report(&self) -> Report {
        self.state.lock().await.translator.report().clone()
    }
}

impl Source for PageSource {
    fn id(&self) -> &SourceId {
        &self.id
    }

    fn describe(&self) -> &[Arc<Desc>] {
        self.catalogue.describe()
    }

    async fn collect(&self, out: &mut Snapshot) -> Result<(), CollectError> {
        let mut state = self.state.lock().await;
        let State { page, translator } = &mut *state;
        let fetched = self.client.get(page, Instant::now() + self.timeout).await;
        let meta = match fetched {
            Ok(meta) => meta,
            Err(error) => {
                // Most wanted when the certificate is why nothing could be read.
                out.tally_mut().certificate_expiry_seconds = error.certificate_not_after();
                return Err(error.into());
            }
        };
        let format = Format::sniff(page.bytes(), meta.content_type());
        let translated = translator.translate(page.bytes(), format, out);
        out.tally_mut().certificate_expiry_seconds = meta.certificate_not_after();
        let endpoint = self.client.endpoint();
        translated.map_err(|error| verdict::unreadable(endpoint, page.bytes(), error))?;
        if out.tally().samples == Some(0) && self.empty_is_fine {
            return Ok(());
        }
        verdict::judge(endpoint, self.id.kind(), translator.report())
    }
}
