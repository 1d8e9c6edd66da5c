//! Roll-ups on pages: what they replace, what stays, and sums that no overlap of scrapes can bend.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use tokenpath_core::exposition::{Format, check};
use tokenpath_core::rollup::Rollup;
use tokenpath_core::{
    BoxSource, CollectError, Desc, LabelSet, MetricType, Reason, Snapshot, Source, SourceId, Unit,
};
use tokenpath_scrape::runner::{Exporter, RollUpOptions, Selection, SourceOptions};
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// An engine with two data-parallel engines. Its counter says ten times how often it was read.
struct Engine {
    id: SourceId,
    descs: [Arc<Desc>; 3],
    state: Arc<State>,
}

struct State {
    reads: AtomicU32,
    down: AtomicBool,
    /// A reading takes one of these; none means that it waits.
    turns: Semaphore,
}

impl Source for Engine {
    fn id(&self) -> &SourceId {
        &self.id
    }

    fn describe(&self) -> &[Arc<Desc>] {
        &self.descs
    }

    async fn collect(&self, out: &mut Snapshot) -> Result<(), CollectError> {
        let read = self.state.reads.fetch_add(1, Ordering::SeqCst) + 1;
        self.state.turns.acquire().await.unwrap().forget();
        if self.state.down.load(Ordering::SeqCst) {
            return Err(CollectError::new(Reason::Connect, "planted"));
        }
        let [tokens, running, heat] = &self.descs;
        for engine in ["0", "1"] {
            let labels = [("engine", engine), ("model_name", "m")];
            out.family(tokens).sample(&labels, f64::from(read) * 10.0);
            out.family(running).sample(&labels, 2.0);
            out.family(heat).sample(&labels, 60.0);
        }
        out.family(running).sample(&[("model_name", "whole")], 1.0);
        Ok(())
    }
}

fn engine(target: &str, turns: usize) -> (BoxSource, Arc<State>) {
    let state = Arc::new(State {
        reads: AtomicU32::new(0),
        down: AtomicBool::new(false),
        turns: Semaphore::new(turns),
    });
    let desc = |name, kind, rule| Arc::new(Desc::new(name, kind, Unit::None, "Help.").rollup(rule));
    let source = Engine {
        id: SourceId::new("test", target),
        descs: [
            desc("test_tokens_total", MetricType::Counter, Rollup::Sum),
            desc("test_running", MetricType::Gauge, Rollup::Sum),
            desc("test_heat", MetricType::Gauge, Rollup::None),
        ],
        state: Arc::clone(&state),
    };
    (BoxSource::new(source), state)
}

const ALWAYS: usize = 1_000_000;

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

async fn page(exporter: &Exporter) -> Vec<String> {
    lines(&exporter.page(Format::Text004, soon()).await)
}

/// The lines of the sources and the roll-ups.
fn lines(page: &[u8]) -> Vec<String> {
    assert_eq!(check(page, Format::Text004), []);
    let page = str::from_utf8(page).unwrap();
    let ours = page.lines().filter(|line| line.starts_with("test_"));
    ours.map(str::to_owned).collect()
}

fn two_engines(roll_ups: &[RollUpOptions]) -> (Exporter, [Arc<State>; 2]) {
    let mut exporter = Exporter::new();
    let states = ["a", "b"].map(|target| {
        let (source, state) = engine(target, ALWAYS);
        let pod = LabelSet::new([("pod", format!("pod-{target}").as_str())]);
        exporter.add(source, SourceOptions::new().labels(pod));
        state
    });
    exporter.roll_up(roll_ups.iter().cloned());
    (exporter, states)
}

#[tokio::test]
async fn a_roll_up_stands_in_the_place_of_what_it_combines() {
    let (exporter, _) = two_engines(&[RollUpOptions::over(["engine", "target", "pod"])]);
    assert_eq!(
        page(&exporter).await,
        [
            // No rule, so nothing to combine it by.
            r#"test_heat{backend="test",engine="0",model_name="m",pod="pod-a",target="a"} 60"#,
            r#"test_heat{backend="test",engine="1",model_name="m",pod="pod-a",target="a"} 60"#,
            r#"test_heat{backend="test",engine="0",model_name="m",pod="pod-b",target="b"} 60"#,
            r#"test_heat{backend="test",engine="1",model_name="m",pod="pod-b",target="b"} 60"#,
            r#"test_running{backend="test",model_name="m"} 8"#,
            r#"test_running{backend="test",model_name="whole"} 2"#,
            r#"test_tokens_total{backend="test",model_name="m"} 40"#,
        ]
    );
    // Our own state is never rolled up.
    let whole = exporter.page(Format::OpenMetrics100, soon()).await;
    let whole = String::from_utf8(whole).unwrap();
    assert!(whole.contains(r#"tokenpath_source_up{backend="test",pod="pod-b",target="b"} 1"#));
}

#[tokio::test]
async fn several_roll_ups_stand_beside_what_all_of_them_keep() {
    let named = Selection::new(["test_running"], [""; 0]);
    let engines = RollUpOptions::over(["engine"]).families(named.clone());
    let all = RollUpOptions::over(["engine", "target", "pod"]).families(named);
    let (exporter, _) = two_engines(&[engines.clone().keep_parts(true), all]);
    let running = |lines: Vec<String>| -> Vec<String> {
        let of = |line: &String| line.starts_with("test_running");
        lines.into_iter().filter(of).collect()
    };
    // `all` does not keep what goes into it, `engines` are not asked then.
    assert_eq!(
        running(page(&exporter).await),
        [
            r#"test_running{backend="test",model_name="m",pod="pod-a",target="a"} 4"#,
            r#"test_running{backend="test",model_name="m",pod="pod-b",target="b"} 4"#,
            r#"test_running{backend="test",model_name="m"} 8"#,
            r#"test_running{backend="test",model_name="whole"} 2"#,
        ]
    );
    // From the next page on.
    exporter.roll_up([engines]);
    assert_eq!(
        running(page(&exporter).await),
        [
            r#"test_running{backend="test",model_name="whole",pod="pod-a",target="a"} 1"#,
            r#"test_running{backend="test",model_name="whole",pod="pod-b",target="b"} 1"#,
            r#"test_running{backend="test",model_name="m",pod="pod-a",target="a"} 4"#,
            r#"test_running{backend="test",model_name="m",pod="pod-b",target="b"} 4"#,
        ]
    );
    exporter.roll_up([]);
    assert_eq!(running(page(&exporter).await).len(), 6);
}

fn sum(lines: &[String]) -> Option<f64> {
    let line = lines
        .iter()
        .find(|line| line.starts_with(r#"test_tokens_total{backend="test",model_name="m"}"#))?;
    line.rsplit(' ').next()?.parse().ok()
}

#[tokio::test]
async fn a_source_that_is_down_takes_nothing_back() {
    let roll_up = RollUpOptions::over(["engine", "target", "pod"]);
    let (exporter, [a, b]) = two_engines(std::slice::from_ref(&roll_up));
    assert_eq!(sum(&page(&exporter).await), Some(40.0));
    b.down.store(true, Ordering::SeqCst);
    let lines = page(&exporter).await;
    assert_eq!(sum(&lines), Some(60.0), "20 each of a, 10 each of b");
    let running = r#"test_running{backend="test",model_name="m"} 4"#;
    assert!(lines.iter().any(|line| line == running), "{lines:?}");
    // A reload with the same roll-up forgets nothing.
    exporter.roll_up([roll_up, RollUpOptions::over(["engine"])]);
    assert_eq!(sum(&page(&exporter).await), Some(80.0));
    a.down.store(true, Ordering::SeqCst);
    assert_eq!(sum(&page(&exporter).await), None, "nobody says anything");
    a.down.store(false, Ordering::SeqCst);
    b.down.store(false, Ordering::SeqCst);
    assert_eq!(sum(&page(&exporter).await), Some(200.0));
}

#[tokio::test]
async fn scrapes_that_overlap_bend_no_sum() {
    let mut exporter = Exporter::new();
    let (quick, quick_state) = engine("quick", ALWAYS);
    let (slow, slow_state) = engine("slow", 1);
    exporter.add(quick, SourceOptions::new());
    exporter.add(slow, SourceOptions::new());
    exporter.roll_up([RollUpOptions::over(["engine", "target"])]);
    assert_eq!(sum(&page(&exporter).await), Some(40.0));

    // Two pages wait for the slow one; the second has a newer reading of the quick one.
    let begin = async |reads: u32| {
        while quick_state.reads.load(Ordering::SeqCst) < reads {
            tokio::task::yield_now().await;
        }
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    };
    let mut first = pin!(exporter.page(Format::Text004, soon()));
    tokio::select! {
        biased;
        _ = &mut first => panic!("the slow one has no turn"),
        () = begin(2) => {}
    }
    let mut second = pin!(exporter.page(Format::OpenMetrics100, soon()));
    tokio::select! {
        biased;
        _ = &mut second => panic!("the slow one has no turn"),
        () = begin(3) => {}
    }
    slow_state.turns.add_permits(1);
    let second = String::from_utf8(second.await).unwrap();
    // 30 each of the quick one, 20 each of the slow one.
    let expected = r#"test_tokens_total{backend="test",model_name="m"} 100"#;
    assert!(second.contains(expected), "{second}");
    // And now the first, whose reading is older.
    assert_eq!(sum(&lines(&first.await)), Some(100.0));
    slow_state.turns.add_permits(1);
    assert_eq!(sum(&page(&exporter).await), Some(140.0));

    // The same while a third reading is under way, so that the newest cannot be had.
    let mut first = pin!(exporter.page(Format::Text004, soon()));
    tokio::select! {
        biased;
        _ = &mut first => panic!("the slow one has no turn"),
        () = begin(5) => {}
    }
    {
        let mut second = pin!(exporter.page(Format::Text004, soon()));
        tokio::select! {
            biased;
            _ = &mut second => panic!("the slow one has no turn"),
            () = begin(6) => {}
        }
        slow_state.turns.add_permits(1);
        // 60 each of the quick one, 40 each of the slow one.
        assert_eq!(sum(&lines(&second.await)), Some(200.0));
    }
    quick_state.turns.forget_permits(ALWAYS);
    let mut third = pin!(exporter.page(Format::Text004, soon()));
    tokio::select! {
        biased;
        _ = &mut third => panic!("nobody has a turn"),
        () = begin(7) => {}
    }
    assert_eq!(sum(&lines(&first.await)), Some(200.0));
    quick_state.turns.add_permits(ALWAYS);
    slow_state.turns.add_permits(ALWAYS);
    // 70 each of the quick one, 50 each of the slow one.
    assert_eq!(sum(&lines(&third.await)), Some(240.0));
}

#[tokio::test]
async fn a_page_that_was_overtaken_sums_up_what_is_newest() {
    let mut exporter = Exporter::new();
    let (quick, quick_state) = engine("quick", ALWAYS);
    let (slow, slow_state) = engine("slow", 1);
    exporter.add(quick, SourceOptions::new());
    exporter.add(slow, SourceOptions::new());
    exporter.roll_up([RollUpOptions::over(["engine", "target"])]);
    page(&exporter).await;

    let mut patient = pin!(exporter.page(Format::Text004, soon()));
    tokio::select! {
        biased;
        _ = &mut patient => panic!("the slow one has no turn"),
        () = tokio::time::sleep(Duration::from_millis(20)) => {}
    }
    // This one does not wait for the slow one, and has a newer reading of the other.
    let impatient = Instant::now() + Duration::from_millis(200);
    let impatient = lines(&exporter.page(Format::Text004, impatient).await);
    assert_eq!(quick_state.reads.load(Ordering::SeqCst), 3);
    let running = |value: u32| format!(r#"test_running{{backend="test",model_name="m"}} {value}"#);
    assert!(impatient.contains(&running(4)), "{impatient:?}");
    slow_state.turns.add_permits(1);
    let patient = lines(&patient.await);
    assert!(patient.contains(&running(8)), "both are up: {patient:?}");
    // 30 each of the quick one, 20 each of the slow one.
    assert_eq!(sum(&patient), Some(100.0));
}
