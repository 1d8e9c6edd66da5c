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
pub(super) mod tests {
    use std::fmt::{Debug, Write};
    use std::sync::{Arc, Mutex};

    use tracing::field::{Field, Visit};
    use tracing::span::{Attributes, Id, Record};
    use tracing::{Event, Metadata, Subscriber};

    use super::*;

    /// Hears what is logged.
    #[derive(Clone, Default)]
    pub(in super::super) struct Heard(Arc<Mutex<Vec<String>>>);

    impl Heard {
        /// In how many events these words were.
        pub(in super::super) fn said(&self, words: &str) -> usize {
            let events = self.0.lock().unwrap();
            events.iter().filter(|event| event.contains(words)).count()
        }
    }

    struct Text(String);

    impl Visit for Text {
        fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
            write!(self.0, "{field}={value:?} ").unwrap();
        }
    }

    impl Subscriber for Heard {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }

        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }

        fn record(&self, _: &Id, _: &Record<'_>) {}

        fn record_follows_from(&self, _: &Id, _: &Id) {}

        fn event(&self, event: &Event<'_>) {
            let mut text = Text(String::new());
            event.record(&mut text);
            self.0.lock().unwrap().push(text.0);
        }

        fn enter(&self, _: &Id) {}

        fn exit(&self, _: &Id) {}
    }

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
