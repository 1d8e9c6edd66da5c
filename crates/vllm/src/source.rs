//! A vLLM server as a [`Source`].

use std::sync::Arc;

use tokenpath_core::translate::Report;
use tokenpath_core::{CollectError, Desc, Snapshot, Source, SourceId};
use tokenpath_scrape::{Endpoint, PageSource, PageSourceOptions, SetupError};

/// One vLLM server, read over HTTP.
///
/// It keeps a connection, the buffer of the page and what it learned of the page's layout, so that a
/// reading of a known page costs no allocation beyond what HTTP takes. Readings of one source follow
/// one another; read several servers with several sources.
///
/// A vLLM server always has samples to show: a page without is a fault
/// ([`Reason::Empty`](tokenpath_core::Reason::Empty)), whatever
/// [`empty_is_fine`](PageSourceOptions::empty_is_fine) says.
///
/// ```no_run
/// use tokenpath_core::{Snapshot, Source};
/// use tokenpath_scrape::PageSourceOptions;
/// use tokenpath_vllm::VllmSource;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let source = VllmSource::new("localhost:8000".parse()?, PageSourceOptions::default())?;
/// let mut snapshot = Snapshot::new();
/// source.collect(&mut snapshot).await?;
/// let labels = [("engine", "0"), ("model_name", "qwen")];
/// println!("{:?}", snapshot.value("llm_requests_running", &labels));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct VllmSource(PageSource);

impl VllmSource {
    /// Prepares to read a server. No network I/O.
    ///
    /// # Errors
    ///
    /// Where the options do not go together or a file they name cannot be used.
    pub fn new(endpoint: Endpoint, mut options: PageSourceOptions) -> Result<Self, SetupError> {
        options.empty_is_fine = false;
        PageSource::new(endpoint, crate::compiled(), options).map(Self)
    }

    /// What became of each family of the newest page that had something new.
    pub async fn report(&self) -> Report {
        self.0.report().await
    }
}

impl Source for VllmSource {
    fn id(&self) -> &SourceId {
        self.0.id()
    }

    fn describe(&self) -> &[Arc<Desc>] {
        self.0.describe()
    }

    /// Cancel safe: a reading that is dropped closes its connection and leaves nothing behind.
    async fn collect(&self, out: &mut Snapshot) -> Result<(), CollectError> {
        self.0.collect(out).await
    }
}
