//! An [`Exporter`] gives the `/metrics` service its pages.

use bytes::Bytes;
use tokenpath_core::BoxSource;

use super::{Exporter, SourceOptions, SourceStatus};
use crate::Instance;
use crate::server::{Landing, LandingSource, PageError, PageProvider, PageRequest, SourceState};

impl PageProvider for Exporter {
    async fn page(&self, request: PageRequest) -> Result<Bytes, PageError> {
        Ok(self.page(request.format, request.deadline).await.into())
    }

    async fn probe(
        &self,
        source: BoxSource,
        options: SourceOptions,
        request: PageRequest,
    ) -> Result<Bytes, PageError> {
        let page = self.page_of(source, options, request.format, request.deadline);
        Ok(page.await.into())
    }

    fn landing(&self) -> Landing {
        Landing {
            name: "Tokenpath".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            sources: self.status().into_iter().map(landing_source).collect(),
        }
    }

    /// From the start: what is down is on the page, and no reason to keep scrapers away.
    fn ready(&self) -> bool {
        true
    }

    fn instance(&self) -> Option<Instance> {
        Some(self.instance)
    }
}

fn landing_source(status: SourceStatus) -> LandingSource {
    let (state, detail) = match status.up {
        None => (SourceState::Unread, String::new()),
        Some(false) => (SourceState::Down, status.error),
        Some(true) => {
            let unknown = match status.unmapped_families {
                0 => String::new(),
                families => format!(", {families} families unknown"),
            };
            let elapsed = status.elapsed;
            let samples = status
                .samples
                .map(|samples| format!("{samples} samples "))
                .unwrap_or_default();
            (
                SourceState::Up,
                format!("{samples}in {elapsed:.1?}{unknown}"),
            )
        }
    };
    LandingSource {
        backend: status.id.kind().to_owned(),
        target: status.id.target().to_owned(),
        state,
        detail,
    }
}
