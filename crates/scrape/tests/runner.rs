//! The runner: sources at the same time, one reading for all, one deadline, nothing stale.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokenpath_core::exposition::{Format, PageFormat, check};
use tokenpath_core::{
    BoxSource, CollectError, Desc, LabelSet, MetricType, Reason, Snapshot, Source, SourceId, Unit,
};
use tokenpath_scrape::runner::{Exporter, Selection, SourceOptions, own_families};
use tokio::time::Instant;

/// What a source does when it is read.
#[derive(Clone, Copy)]
enum Act {
    Say(f64),
    Fail(Reason),
    Hang,
    Panic,
    Slow(Duration),
    /// Succeeds, then fails, then succeeds …
    Flap,
}

struct Scripted {
    id: SourceId,
    descs: Vec<Arc<Desc>>,
    act: Act,
    reads: Arc<AtomicUsize>,
    at_once: AtomicUsize,
    at_once_max: Arc<AtomicUsize>,
}

impl Source for Scripted {
    fn id(&self) -> &SourceId {
        &self.id
    }

    fn describe(&self) -> &[Arc<Desc>] {
        &self.descs
    }

    async fn collect(&self, out: &mut Snapshot) -> Result<(), CollectError> {
        let read = self.reads.fetch_add(1, Ordering::SeqCst);
        let now = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
        self.at_once_max.fetch_max(now, Ordering::SeqCst);
        let value = match self.act {
            Act::Say(value) => value,
            Act::Slow(time) => {
                tokio::time::sleep(time).await;
                1.0
            }
            Act::Hang => std::future::pending().await,
            Act::Panic => panic!("planted"),
            Act::Flap if read % 2 == 1 => {
                return Err(CollectError::new(Reason::Connect, "planted"));
            }
            Act::Flap => 7.0,
            Act::Fail(reason) => {
                out.family(&self.descs[0])
                    .sample(&[("half", "written")], 1.0);
                return Err(CollectError::new(reason, "planted"));
            }
        };
        out.family(&self.descs[0])
            .sample(&[("model_name", "m")], value);
        out.family(&self.descs[1]).sample(&[], value);
        self.at_once.fetch_sub(1, Ordering::SeqCst);
        Ok(())
    }
}

struct Probe {
    reads: Arc<AtomicUsize>,
    at_once_max: Arc<AtomicUsize>,
}

fn scripted(target: &str, act: Act) -> (BoxSource, Probe) {
    let probe = Probe {
        reads: Arc::default(),
        at_once_max: Arc::default(),
    };
    let desc = |name| Arc::new(Desc::new(name, MetricType::Gauge, Unit::None, "A number."));
    let source = Scripted {
        id: SourceId::new("test", target),
        descs: vec![desc("test_value"), desc("test_other")],
        act,
        reads: Arc::clone(&probe.reads),
        at_once: AtomicUsize::new(0),
        at_once_max: Arc::clone(&probe.at_once_max),
    };
    (BoxSource::new(source), probe)
}

fn exporter(acts: &[Act]) -> (Arc<Exporter>, Vec<Probe>) {
    let mut exporter = Exporter::new();
    let mut probes = Vec::new();
    for (index, act) in acts.iter().enumerate() {
        let (source, probe) = scripted(&format!("t{index}"), *act);
        exporter.add(source, SourceOptions::new());
        probes.push(probe);
    }
    (Arc::new(exporter), probes)
}

async fn page_within(exporter: &Arc<Exporter>, time: Duration) -> String {
    let page = exporter.page(Format::Text004, Instant::now() + time).await;
    assert_eq!(
        check(&page, Format::Text004),
        [],
        "{}",
        String::from_utf8_lossy(&page)
    );
    String::from_utf8(page).unwrap()
}

fn has(page: &str, line: &str) -> bool {
    page.lines().any(|there| there == line)
}

#[tokio::test(start_paused = true)]
async fn sick_sources_cost_their_own_series_and_no_time() {
    let (exporter, _) = exporter(&[
        Act::Say(5.0),
        Act::Fail(Reason::Parse),
        Act::Hang,
        Act::Panic,
    ]);
    let begin = Instant::now();
    let page = page_within(&exporter, Duration::from_secs(3)).await;
    assert!(
        begin.elapsed() <= Duration::from_secs(3),
        "later than the deadline"
    );
    assert!(
        has(
            &page,
            r#"test_value{backend="test",model_name="m",target="t0"} 5"#
        ),
        "{page}"
    );
    assert!(has(
        &page,
        r#"tokenpath_source_up{backend="test",target="t0"} 1"#
    ));
    for (target, reason) in [("t1", "parse"), ("t2", "timeout"), ("t3", "internal")] {
        assert!(
            has(
                &page,
                &format!(r#"tokenpath_source_up{{backend="test",target="{target}"}} 0"#)
            ),
            "{page}"
        );
        assert!(!page.contains(&format!(
            r#"test_value{{backend="test",half="written",target="{target}"}}"#
        )));
        // The very page that lacks it says why, and how long that took.
        let errors = format!(
            r#"tokenpath_source_scrape_errors_total{{backend="test",reason="{reason}",target="{target}"}} 1"#
        );
        assert!(has(&page, &errors), "{errors}\n{page}");
        let took = format!(
            r#"tokenpath_source_scrape_duration_seconds{{backend="test",target="{target}"}} "#
        );
        assert!(page.contains(&took), "{took}\n{page}");
    }
}

#[tokio::test(start_paused = true)]
async fn scrapers_at_once_share_one_reading() {
    let (exporter, probes) = exporter(&[Act::Slow(Duration::from_secs(1))]);
    let pages = (0..8).map(|_| {
        let exporter = Arc::clone(&exporter);
        tokio::spawn(async move { page_within(&exporter, Duration::from_secs(5)).await })
    });
    for page in pages.collect::<Vec<_>>() {
        assert!(page.await.unwrap().contains("test_value{"));
    }
    assert_eq!(probes[0].reads.load(Ordering::SeqCst), 1);
    page_within(&exporter, Duration::from_secs(5)).await;
    assert_eq!(
        probes[0].reads.load(Ordering::SeqCst),
        2,
        "the next one reads anew"
    );
    assert_eq!(probes[0].at_once_max.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn an_impatient_scraper_does_not_end_the_reading_of_a_patient_one() {
    let (exporter, probes) = exporter(&[Act::Slow(Duration::from_secs(2))]);
    let patient = {
        let exporter = Arc::clone(&exporter);
        tokio::spawn(async move { page_within(&exporter, Duration::from_secs(5)).await })
    };
    tokio::time::sleep(Duration::from_millis(100)).await;
    let impatient = page_within(&exporter, Duration::from_secs(1)).await;
    assert!(has(
        &impatient,
        r#"tokenpath_source_up{backend="test",target="t0"} 0"#
    ));
    assert!(!impatient.contains("test_value{"));
    assert!(patient.await.unwrap().contains("test_value{"));
    assert_eq!(probes[0].reads.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_patient_scraper_gets_the_reading_that_an_impatient_one_began() {
    let (exporter, probes) = exporter(&[Act::Slow(Duration::from_secs(2))]);
    let impatient = {
        let exporter = Arc::clone(&exporter);
        tokio::spawn(async move { page_within(&exporter, Duration::from_secs(1)).await })
    };
    tokio::time::sleep(Duration::from_millis(100)).await;
    let begin = Instant::now();
    let patient = page_within(&exporter, Duration::from_secs(5)).await;
    assert!(has(
        &patient,
        r#"test_value{backend="test",model_name="m",target="t0"} 1"#
    ));
    assert_eq!(begin.elapsed(), Duration::from_millis(1900));
    assert_eq!(probes[0].reads.load(Ordering::SeqCst), 1);
    // It is late on one page only: the reading has succeeded, and nothing else is counted.
    let impatient = impatient.await.unwrap();
    for line in [
        r#"tokenpath_source_up{backend="test",target="t0"} 0"#,
        r#"tokenpath_source_scrape_duration_seconds{backend="test",target="t0"} 1"#,
    ] {
        assert!(has(&impatient, line), "{line}\n{impatient}");
    }
    assert!(!patient.contains("tokenpath_source_scrape_errors_total{"));
}

#[tokio::test(start_paused = true)]
async fn whoever_comes_as_a_reading_is_given_up_gets_one_of_their_own() {
    let (exporter, probes) = exporter(&[Act::Slow(Duration::from_secs(2))]);
    for round in 1..=3 {
        page_within(&exporter, Duration::from_secs(1)).await;
        assert_eq!(probes[0].reads.load(Ordering::SeqCst), round);
    }
    let patient = page_within(&exporter, Duration::from_secs(5)).await;
    assert!(patient.contains("test_value{"));
    let errors =
        r#"tokenpath_source_scrape_errors_total{backend="test",reason="timeout",target="t0"} 3"#;
    assert!(has(&patient, errors), "{patient}");
}

#[tokio::test(start_paused = true)]
async fn nothing_stale_is_served_after_a_failure() {
    let (exporter, _) = exporter(&[Act::Flap]);
    for round in 0..6 {
        let page = page_within(&exporter, Duration::from_secs(1)).await;
        let up = round % 2 == 0;
        assert_eq!(page.contains("test_value{"), up, "round {round}\n{page}");
        assert!(has(
            &page,
            &format!(
                r#"tokenpath_source_up{{backend="test",target="t0"}} {}"#,
                u8::from(up)
            )
        ));
    }
}

#[tokio::test]
async fn labels_of_the_operator_win_and_selections_and_limits_hold() {
    let mut exporter = Exporter::new();
    let labels = LabelSet::new([("model_name", "ours"), ("node", "a1")]);
    exporter.add(
        scripted("t0", Act::Say(1.0)).0,
        SourceOptions::new().labels(labels),
    );
    exporter.add(
        scripted("t1", Act::Say(2.0)).0,
        SourceOptions::new().selection(Selection::new(["test_*"], ["test_other"])),
    );
    exporter.add(
        scripted("t2", Act::Say(3.0)).0,
        SourceOptions::new().series_limit(1),
    );
    let page = page_within(&Arc::new(exporter), Duration::from_secs(5)).await;
    let line = r#"test_value{backend="test",exported_model_name="m",model_name="ours",node="a1",target="t0"} 1"#;
    assert!(has(&page, line), "{page}");
    assert!(!page.contains(r#"test_other{backend="test",target="t1"}"#));
    assert!(has(
        &page,
        r#"tokenpath_source_dropped_samples_total{backend="test",reason="filtered",target="t1"} 1"#
    ));
    assert!(page.contains(r#"test_value{backend="test",model_name="m",target="t2"}"#));
    assert!(!page.contains(r#"test_other{backend="test",target="t2"}"#));
    assert!(has(
        &page,
        r#"tokenpath_source_dropped_samples_total{backend="test",reason="series_limit",target="t2"} 1"#
    ));
}

#[tokio::test]
async fn two_sources_with_equal_labels_do_not_make_a_series_twice() {
    let mut exporter = Exporter::new();
    exporter.add(scripted("same", Act::Say(1.0)).0, SourceOptions::new());
    exporter.add(scripted("same", Act::Say(2.0)).0, SourceOptions::new());
    let page = page_within(&Arc::new(exporter), Duration::from_secs(5)).await;
    assert!(has(
        &page,
        r#"test_value{backend="test",model_name="m",target="same"} 1"#
    ));
}

#[tokio::test]
async fn status_is_that_of_the_last_reading() {
    let (exporter, _) = exporter(&[Act::Say(1.0), Act::Fail(Reason::Tls)]);
    assert!(exporter.status().iter().all(|status| status.up.is_none()));
    page_within(&exporter, Duration::from_secs(5)).await;
    let status = exporter.status();
    assert_eq!((status[0].up, status[0].error.as_str()), (Some(true), ""));
    assert_eq!(
        (status[1].up, status[1].error.as_str()),
        (Some(false), "tls: planted")
    );
    assert!(status[0].last_success.is_some() && status[1].last_success.is_none());
}

#[tokio::test]
async fn a_source_without_a_page_says_nothing_of_samples_on_it() {
    let (exporter, _) = exporter(&[Act::Say(1.0)]);
    let page = page_within(&exporter, Duration::from_secs(5)).await;
    assert!(has(
        &page,
        r#"tokenpath_source_up{backend="test",target="t0"} 1"#
    ));
    assert!(!page.contains("tokenpath_source_samples"), "{page}");
    assert!(
        !page.contains("tokenpath_source_unmapped_families"),
        "{page}"
    );
    assert_eq!(exporter.status()[0].samples, None);
}

#[tokio::test]
async fn every_format_is_valid_with_no_source_at_all() {
    let exporter = Arc::new(Exporter::new());
    for format in [Format::Text004, Format::OpenMetrics100] {
        let page = exporter
            .page(format, Instant::now() + Duration::from_secs(1))
            .await;
        assert_eq!(check(&page, format), []);
        assert!(
            String::from_utf8(page)
                .unwrap()
                .contains("tokenpath_build_info{version=\"")
        );
    }
    let deadline = Instant::now() + Duration::from_secs(1);
    let page = exporter.page(PageFormat::Protobuf, deadline).await;
    // The length of the first family, its name.
    let name = b"\x0a\x0fprocess_max_fds".as_slice();
    let names = [name, b"\x0a\x14tokenpath_build_info"];
    for name in names {
        let found = page.windows(name.len()).any(|bytes| bytes == name);
        assert!(found, "{}", page.escape_ascii());
    }
}

#[test]
fn the_families_of_our_own_state_follow_the_naming_rules() {
    for desc in own_families() {
        assert_eq!(tokenpath_core::lint::check(desc), [], "{}", desc.name());
    }
}
