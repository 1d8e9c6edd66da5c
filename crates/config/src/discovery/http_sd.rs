//! A URL that answers with targets, as Prometheus asks it.

use std::time::Duration;

use tokenpath_core::in_full;
use tokenpath_scrape::{Client, ClientOptions, Endpoint, Page};
use tokio::time::Instant;

use super::{Discovered, list};

/// A URL that answers with a JSON list of target groups.
#[derive(Debug)]
pub struct HttpSd {
    endpoint: Endpoint,
    options: ClientOptions,
    refresh: Duration,
}

/// What asks, once the files that it needs could be read.
#[derive(Debug, Default)]
pub(crate) struct Asking {
    client: Option<Client>,
    page: Page,
}

/// Longest time for an answer.
const TIMEOUT: Duration = Duration::from_secs(10);

impl HttpSd {
    /// Reads nothing yet: a configuration is checked on other machines than it is for.
    pub(crate) fn new(endpoint: Endpoint, mut options: ClientOptions, refresh: Duration) -> Self {
        options.accept = "application/json".into();
        options.body_limit = list::BYTES_MAX;
        Self {
            endpoint,
            options,
            refresh,
        }
    }

    /// How often to ask.
    pub(crate) const fn refresh(&self) -> Duration {
        self.refresh
    }

    /// Asks once.
    pub(crate) async fn ask(&self, with: &mut Asking) -> Result<Vec<Discovered>, String> {
        let Asking { client, page } = with;
        let client = match client {
            Some(client) => client,
            None => {
                let made = Client::new(self.endpoint.clone(), self.options.clone());
                client.insert(made.map_err(|error| in_full(&error))?)
            }
        };
        let deadline = Instant::now() + TIMEOUT;
        let fetched = client.get(page, deadline).await;
        fetched.map_err(|error| in_full(&error))?;
        let url = self.endpoint.to_string();
        let mut found = list::from_json(page.bytes()).map_err(|flaw| flaw.to_string())?;
        for found in &mut found {
            found.insert("__meta_url".to_owned(), url.clone());
        }
        Ok(found)
    }

    /// What is asked, for messages.
    pub(crate) fn url(&self) -> String {
        self.endpoint.to_string()
    }
}
