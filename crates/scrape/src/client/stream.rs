//! An answer that comes bit by bit and has no end of its own: a watch.

use std::pin::Pin;

use http_body_util::BodyExt;
use hyper::StatusCode;
use tokenpath_core::Reason;
use tokio::time::{Instant, timeout_at};

use super::connection::Connection;
use super::error::Failure;
use super::progress::{Phase, Progress};
use super::{Client, FetchError, framing_and_coding};
use crate::body::{BodyError, Coding};

impl Client {
    /// Asks the endpoint with this query instead of its own, and hands over the body as it comes,
    /// until it ends, `each` says `false`, or the deadline is over. Nothing is kept: whoever listens
    /// sets the limit. It opens a connection of its own and closes it afterwards.
    ///
    /// Set [`gzip`](super::ClientOptions::gzip) to `false`: a packed answer is refused here.
    ///
    /// Dropping the future ends it.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get) has them. The end of the deadline is one.
    pub async fn stream(
        &self,
        query: Option<&str>,
        deadline: Instant,
        each: impl FnMut(&[u8]) -> bool,
    ) -> Result<(), FetchError> {
        let progress = Progress::new();
        let reading = self.stream_once(query, deadline, each, &progress);
        let result = timeout_at(deadline, reading).await.unwrap_or_else(|_| {
            let what = format!("the answer did not end in time: {}", progress.describe(0));
            Err(Failure::new(Reason::Timeout, what))
        });
        result.map_err(|failure| failure.at(self.endpoint.shared_target()))
    }

    async fn stream_once(
        &self,
        query: Option<&str>,
        deadline: Instant,
        mut each: impl FnMut(&[u8]) -> bool,
        progress: &Progress,
    ) -> Result<(), Failure> {
        let mut url = self.endpoint.url().clone();
        url.set_query(query);
        let tls = self.tls.as_ref();
        let open = Connection::open(&self.resolver, tls, self.head_limits, deadline, progress);
        let mut connection = open.await?;
        progress.enter(Phase::Head);
        let answer = connection.send(self.build(&url, deadline)?).await;
        let answer = answer.map_err(Failure::head)?;
        if answer.status() != StatusCode::OK {
            return Err(Failure::status(answer.status()));
        }
        if framing_and_coding(answer.headers())? != Coding::Identity {
            return Err(Failure::new(Reason::Http, "the answer is packed"));
        }
        let mut body = answer.into_body();
        progress.enter(Phase::Body);
        while let Some(frame) = connection.driver.run(Pin::new(&mut body).frame()).await {
            let frame = frame.map_err(|error| Failure::body(BodyError::Transport(error)))?;
            if frame.data_ref().is_some_and(|data| !each(data)) {
                break;
            }
        }
        Ok(())
    }
}
