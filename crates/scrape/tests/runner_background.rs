//! Sources that come and go, and sources that are read in the background.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokenpath_core::exposition::{Format, check};
use tokenpath_core::{
    BoxSource, CollectError, Desc, LabelSet, MetricType, Reason, Snapshot, Source, SourceId, Unit,
};
use tokenpath_scrape::runner::{Exporter, SourceOptions};
use tokio::time::{Instant, sleep};

/// Counts its readings and says the count; how long one takes and whether it fails can be set.
struct Counting {
    id: SourceId,
    desc: Vec<Arc<Desc>>,
    model: bool,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    reads: AtomicUsize,
    under_way: AtomicUsize,
    under_way_max: AtomicUsize,
    takes_millis: AtomicU64,
    fails: AtomicUsize,
}

impl Source for Counting {
    fn id(&self) -> &SourceId {
        &self.id
    }

    fn describe(&self) -> &[Arc<Desc>] {
        &self.desc
    }

    async fn collect(&self, out: &mut Snapshot) -> Result<(), CollectError> {
        let read = self.state.reads.fetch_add(1, Ordering::SeqCst) + 1;
        let now = self.state.under_way.fetch_add(1, Ordering::SeqCst) + 1;
        self.state.under_way_max.fetch_max(now, Ordering::SeqCst);
        sleep(Duration::from_millis(
            self.state.takes_millis.load(Ordering::SeqCst),
        ))
        .await;
        self.state.under_way.fetch_sub(1, Ordering::SeqCst);
        if self.state.fails.load(Ordering::SeqCst) > 0 {
            return Err(CollectError::new(Reason::Connect, "planted"));
        }
        let labels: &[_] = if self.model {
            &[("model_name", "own")]
        } else {
            &[]
        };
        let read = u32::try_from(read).unwrap();
        out.family(&self.desc[0]).sample(labels, f64::from(read));
        Ok(())
    }
}

fn counting(target: &str, model: bool) -> (BoxSource, Arc<State>) {
    let state = Arc::new(State::default());
    let desc = Desc::new("test_reads", MetricType::Gauge, Unit::None, "Readings.");
    let source = Counting {
        id: SourceId::new("test", target),
        desc: vec![Arc::new(desc)],
        model,
        state: Arc::clone(&state),
    };
    (BoxSource::new(source), state)
}

async fn page(exporter: &Exporter) -> String {
    let deadline = Instant::now() + Duration::from_secs(3);
    let page = exporter.page(Format::Text004, deadline).await;
    assert_eq!(check(&page, Format::Text004), []);
    String::from_utf8(page).unwrap()
}

fn value(page: &str, line: &str) -> Option<f64> {
    page.lines()
        .find_map(|there| there.strip_prefix(line)?.trim().parse().ok())
}

const READS: &str = r#"test_reads{backend="test",target="t"}"#;
const UP: &str = r#"tokenpath_source_up{backend="test",target="t"}"#;
const SKIPPED: &str = r#"tokenpath_source_skipped_reads_total{backend="test",target="t"}"#;

fn every(seconds: u64) -> SourceOptions {
    SourceOptions::new()
        .interval(Duration::from_secs(seconds))
        .timeout(Duration::from_secs(seconds))
}

#[tokio::test(start_paused = true)]
async fn a_page_shows_what_was_read_last_and_reads_nothing_itself() {
    let exporter = Exporter::new();
    let (source, state) = counting("t", false);
    exporter.change(&[], [(source, every(10))]);
    sleep(Duration::from_secs(101)).await;
    let reads = state.reads.load(Ordering::SeqCst);
    assert!((10..=11).contains(&reads), "{reads}");
    for _ in 0..5 {
        let page = page(&exporter).await;
        assert_eq!(
            value(&page, READS),
            Some(f64::from(u32::try_from(reads).unwrap()))
        );
        assert_eq!(value(&page, UP), Some(1.0));
    }
    assert_eq!(state.reads.load(Ordering::SeqCst), reads);
}

#[tokio::test(start_paused = true)]
async fn the_first_page_does_not_wait_for_the_first_turn() {
    let exporter = Exporter::new();
    let (source, _) = counting("t", false);
    exporter.change(&[], [(source, every(3600))]);
    assert_eq!(value(&page(&exporter).await, UP), Some(1.0));
}

#[tokio::test(start_paused = true)]
async fn a_failure_removes_the_series_at_once() {
    let exporter = Exporter::new();
    let (source, state) = counting("t", false);
    exporter.change(&[], [(source, every(10))]);
    sleep(Duration::from_secs(11)).await;
    assert!(value(&page(&exporter).await, READS).is_some());
    state.fails.store(1, Ordering::SeqCst);
    sleep(Duration::from_secs(10)).await;
    let page = page(&exporter).await;
    assert_eq!((value(&page, READS), value(&page, UP)), (None, Some(0.0)));
}

#[tokio::test(start_paused = true)]
async fn never_two_at_once_and_what_was_skipped_is_counted() {
    let exporter = Exporter::new();
    let (source, state) = counting("t", false);
    state.takes_millis.store(25_000, Ordering::SeqCst);
    let options = every(10).timeout(Duration::from_secs(60));
    exporter.change(&[], [(source, options)]);
    sleep(Duration::from_secs(300)).await;
    assert_eq!(state.under_way_max.load(Ordering::SeqCst), 1);
    let skipped = value(&page(&exporter).await, SKIPPED).unwrap();
    assert!((18.0..=20.0).contains(&skipped), "{skipped}");
}

#[tokio::test(start_paused = true)]
async fn a_reading_that_takes_its_whole_interval_does_not_cost_the_next_turn() {
    let exporter = Exporter::new();
    let (source, state) = counting("t", false);
    state.takes_millis.store(3_600_000, Ordering::SeqCst);
    exporter.change(&[], [(source, every(10))]);
    sleep(Duration::from_secs(101)).await;
    let reads = state.reads.load(Ordering::SeqCst);
    assert!((10..=11).contains(&reads), "{reads}");
    assert_eq!(value(&page(&exporter).await, SKIPPED), Some(0.0));
}

#[tokio::test(start_paused = true)]
async fn an_impatient_first_page_does_not_end_what_others_will_be_shown() {
    let exporter = Exporter::new();
    let (source, state) = counting("t", false);
    state.takes_millis.store(2_000, Ordering::SeqCst);
    exporter.change(
        &[],
        [(source, every(3600).timeout(Duration::from_secs(10)))],
    );
    let soon = Instant::now() + Duration::from_millis(100);
    let first = exporter.page(Format::Text004, soon).await;
    assert_eq!(value(str::from_utf8(&first).unwrap(), UP), Some(0.0));
    sleep(Duration::from_secs(3)).await;
    assert_eq!(value(&page(&exporter).await, UP), Some(1.0));
    assert_eq!(state.reads.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_overdue_is_not_shown() {
    let exporter = Exporter::new();
    let (source, state) = counting("t", false);
    exporter.change(
        &[],
        [(source, every(10).timeout(Duration::from_secs(3600)))],
    );
    sleep(Duration::from_secs(11)).await;
    assert!(value(&page(&exporter).await, READS).is_some());
    state.takes_millis.store(3_000_000, Ordering::SeqCst);
    sleep(Duration::from_secs(9)).await;
    assert!(
        value(&page(&exporter).await, READS).is_some(),
        "one turn late is not overdue"
    );
    sleep(Duration::from_secs(15)).await;
    let page = page(&exporter).await;
    assert_eq!((value(&page, READS), value(&page, UP)), (None, Some(0.0)));
}

#[tokio::test(start_paused = true)]
async fn turns_are_spread_over_the_interval() {
    let exporter = Exporter::new();
    let mut states = Vec::new();
    let sources = (0..1000).map(|n| {
        let (source, state) = counting(&format!("t{n}"), false);
        states.push(state);
        (source, every(10))
    });
    exporter.change(&[], sources.collect::<Vec<_>>());
    let mut before = 0;
    for second in 1..=10 {
        sleep(Duration::from_secs(1)).await;
        let reads: usize = states
            .iter()
            .map(|state| state.reads.load(Ordering::SeqCst))
            .sum();
        assert!(
            (60..=140).contains(&(reads - before)),
            "second {second}: {}",
            reads - before
        );
        before = reads;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_taken_out_is_gone_and_the_others_are_not_touched() {
    let exporter = Exporter::new();
    let (stays, stays_state) = counting("t", false);
    let (goes, goes_state) = counting("goes", false);
    let keys = exporter.change(&[], [(stays, every(10)), (goes, every(10))]);
    sleep(Duration::from_secs(25)).await;
    let (comes, _) = counting("comes", false);
    exporter.change(&[keys[1]], [(comes, SourceOptions::new())]);
    let reads = goes_state.reads.load(Ordering::SeqCst);
    let shown = page(&exporter).await;
    assert!(!shown.contains("target=\"goes\""), "{shown}");
    assert!(shown.contains(r#"test_reads{backend="test",target="comes"} 1"#));
    sleep(Duration::from_secs(100)).await;
    assert_eq!(
        goes_state.reads.load(Ordering::SeqCst),
        reads,
        "no task is left behind"
    );
    assert!((12..=13).contains(&stays_state.reads.load(Ordering::SeqCst)));
    assert_eq!(exporter.sources().len(), 2);
    assert_eq!(
        exporter.change(&[keys[1]], []),
        [],
        "a key that is gone is nothing"
    );
    assert_eq!(exporter.sources().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_changes_leave_nothing_behind() {
    let exporter = Exporter::new();
    let mut last = Vec::new();
    let mut states = Vec::new();
    for n in 0..1000 {
        let (source, state) = counting(&format!("t{n}"), false);
        last = exporter.change(&last, [(source, every(1))]);
        states.push(state);
        sleep(Duration::from_millis(100)).await;
    }
    let page = page(&exporter).await;
    assert_eq!(page.matches("tokenpath_source_up{").count(), 1);
    sleep(Duration::from_secs(5)).await;
    for state in states.iter().take(999) {
        // The test's own handle is the only one: source, reader and task are dropped.
        assert_eq!(Arc::strong_count(state), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_fallback_label_stands_only_where_the_source_is_silent() {
    let exporter = Exporter::new();
    let fallback = LabelSet::new([("model_name", "told")]);
    for (target, model) in [("silent", false), ("says", true)] {
        let (source, _) = counting(target, model);
        let options = SourceOptions::new().fallback_labels(fallback.clone());
        exporter.change(&[], [(source, options)]);
    }
    for _ in 0..2 {
        let page = page(&exporter).await;
        assert!(
            page.contains(r#"test_reads{backend="test",model_name="told",target="silent"}"#),
            "{page}"
        );
        assert!(
            page.contains(r#"test_reads{backend="test",model_name="own",target="says"}"#),
            "{page}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn how_the_configuration_was_read_is_on_the_page() {
    let exporter = Exporter::new();
    let shown = page(&exporter).await;
    assert!(!shown.contains("tokenpath_config_"));
    exporter.reloaded(true);
    let shown = page(&exporter).await;
    assert_eq!(
        value(&shown, "tokenpath_config_last_reload_successful"),
        Some(1.0)
    );
    let at = value(
        &shown,
        "tokenpath_config_last_reload_success_timestamp_seconds",
    );
    assert!(at.unwrap() > 1e9);
    exporter.reloaded(false);
    let shown = page(&exporter).await;
    assert_eq!(
        value(&shown, "tokenpath_config_last_reload_successful"),
        Some(0.0)
    );
    assert_eq!(
        value(
            &shown,
            "tokenpath_config_last_reload_success_timestamp_seconds"
        ),
        at
    );
}
