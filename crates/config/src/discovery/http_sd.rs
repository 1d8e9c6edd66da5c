//! A URL that answers with targets, as Prometheus asks it.

use std::time::Duration;

use tokenpath_scrape::{Client, ClientOptions, Endpoint, Page, SetupError};
use tokio::time::Instant;

use super::{Discovered, list};

/// A URL that answers with a JSON list of target groups.
#[derive(Debug)]
pub struct HttpSd {
    client: Client,
    refresh: Duration,
}

/// Longest time for an answer.
const TIMEOUT: Duration = Duration::from_secs(10);

impl HttpSd {
    pub(crate) fn new(
        endpoint: Endpoint,
        mut options: ClientOptions,
        refresh: Duration,
    ) -> Result<Self, SetupError> {
        options.accept = "application/json".into();
        options.body_limit = list::BYTES_MAX;
        Ok(Self {
            client: Client::new(endpoint, options)?,
            refresh,
        })
    }

    /// How often to ask.
    pub(crate) const fn refresh(&self) -> Duration {
        self.refresh
    }

    /// Asks once.
    pub(crate) async fn ask(&self, page: &mut Page) -> Result<Vec<Discovered>, String> {
        let deadline = Instant::now() + TIMEOUT;
        let fetched = self.client.get(page, deadline).await;
        fetched.map_err(|error| tokenpath_core::in_full(&error))?;
        let url = self.client.endpoint().to_string();
        let mut found = list::from_json(page.bytes()).map_err(|flaw| flaw.to_string())?;
        for found in &mut found {
            found.insert("__meta_url".to_owned(), url.clone());
        }
        Ok(found)
    }

    /// What is asked, for messages.
    pub(crate) fn url(&self) -> String {
        self.client.endpoint().to_string()
    }
}
