//! What went wrong is said once, and not each time it is tried again.

use std::time::Duration;

use tokio::time::Instant;

/// A fault that lasts is logged again after this time.
const AGAIN_AFTER: Duration = Duration::from_secs(300);

/// The last fault that was logged of one thing.
#[derive(Debug, Default)]
pub(crate) struct Said(Option<(String, Instant)>);

impl Said {
    /// Whether this fault is to be logged now.
    pub(crate) fn is_news(&mut self, fault: &str) -> bool {
        let said = self
            .0
            .as_ref()
            .is_some_and(|(last, when)| last == fault && when.elapsed() < AGAIN_AFTER);
        if !said {
            self.0 = Some((fault.to_owned(), Instant::now()));
        }
        !said
    }

    /// Whether there was a fault, which is over now.
    pub(crate) fn is_over(&mut self) -> bool {
        self.0.take().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_fault_that_lasts_is_said_every_five_minutes() {
        let mut said = Said::default();
        assert!(!said.is_over());
        assert!(said.is_news("a"));
        assert!(!said.is_news("a"));
        assert!(said.is_news("b"), "another one");
        tokio::time::advance(Duration::from_secs(301)).await;
        assert!(said.is_news("b"));
        assert!(said.is_over());
        assert!(said.is_news("b"));
    }
}
