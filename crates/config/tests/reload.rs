//! A reload of many targets: at once, and nobody is forgotten meanwhile.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokenpath_config::{Config, ConfigFile, Equip, Follower, Loader, Make};
use tokenpath_core::{BoxSource, CollectError, Desc, MetricType, Snapshot, Source, SourceId, Unit};
use tokenpath_scrape::runner::Exporter;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

const TARGETS: usize = 10_000;
const CHANGED: usize = TARGETS / 100;
const INTERVAL: Duration = Duration::from_secs(10);
const ROUNDS: u32 = 4;

/// When each target was read, by its name and in order.
type Reads = Arc<Mutex<HashMap<String, Vec<Instant>>>>;

struct Counted {
    id: SourceId,
    desc: [Arc<Desc>; 1],
    reads: Reads,
}

impl Source for Counted {
    fn id(&self) -> &SourceId {
        &self.id
    }

    fn describe(&self) -> &[Arc<Desc>] {
        &self.desc
    }

    async fn collect(&self, out: &mut Snapshot) -> Result<(), CollectError> {
        let mut reads = self.reads.lock().unwrap();
        let target = self.id.target().to_owned();
        reads.entry(target).or_default().push(Instant::now());
        out.family(&self.desc[0]).sample(&[], 1.0);
        Ok(())
    }
}

fn equip(reads: &Reads, made: &Arc<AtomicUsize>) -> Arc<Equip> {
    let (reads, made) = (Arc::clone(reads), Arc::clone(made));
    let desc = Desc::new("test_there", MetricType::Gauge, Unit::None, "There.");
    let desc = [Arc::new(desc)];
    let make: Arc<Make> = Arc::new(move |target, kind| {
        made.fetch_add(1, Ordering::Relaxed);
        Ok(BoxSource::new(Counted {
            id: SourceId::new(kind, target.endpoint.target()),
            desc: desc.clone(),
            reads: Arc::clone(&reads),
        }))
    });
    Arc::new(move |_: &Config| (Vec::new(), Arc::clone(&make)))
}

/// All targets, of which the first hundredth is others in each round.
fn write_targets(path: &Path, round: usize) {
    let mut text = String::from("[");
    for n in 0..TARGETS {
        let name = if n < CHANGED { n + round * TARGETS } else { n };
        let comma = if n == 0 { "" } else { "," };
        write!(
            text,
            r#"{comma}{{"targets":["t{name}:8000"],"labels":{{"team":"red"}}}}"#
        )
        .unwrap();
    }
    text.push(']');
    fs::write(path, text).unwrap();
}

/// Time stands still but for waiting, so a reading is late only where the code makes it late.
#[tokio::test(start_paused = true)]
async fn ten_thousand_targets_are_reloaded_in_a_second_and_no_read_is_missed() {
    let dir = tempfile::tempdir().unwrap();
    let targets = dir.path().join("targets.json");
    write_targets(&targets, 0);
    let path = dir.path().join("tokenpath.yaml");
    let text = |speak: &str| {
        let discovery = "[{files: targets.json, kind: vllm, interval: 10s}]";
        format!("discovery: {discovery}\ndialects: {{speak: [{speak}]}}\n")
    };
    fs::write(&path, text("llm")).unwrap();
    let mut file = ConfigFile::new(&path, Loader::new());
    let config = file.load().unwrap();
    let exporter = Arc::new(Exporter::new());
    let (reads, made) = (Reads::default(), Arc::default());
    let (follower, change) = Follower::start(
        Arc::clone(&exporter),
        &config,
        Some(file),
        equip(&reads, &made),
    )
    .await;
    assert_eq!((change.added, change.refused.len()), (TARGETS, 0));
    let (hup, signals) = mpsc::channel(1);
    let following = tokio::spawn(follower.run(signals));
    let mut longest = Duration::ZERO;
    for round in 1..=ROUNDS {
        sleep(INTERVAL).await;
        write_targets(&targets, round as usize);
        fs::write(
            &path,
            text(if round % 2 == 0 { "llm" } else { "llm, vllm" }),
        )
        .unwrap();
        let begin = std::time::Instant::now();
        hup.send(()).await.unwrap();
        let newest = SourceId::new("vllm", &format!("t{}:8000", round as usize * TARGETS));
        // Not by sleeping: that would let time pass.
        while !exporter.sources().contains(&newest) {
            tokio::task::yield_now().await;
        }
        longest = longest.max(begin.elapsed());
    }
    sleep(INTERVAL).await;
    following.abort();
    // A goal of one second for a release build on a free machine; others are slower.
    eprintln!("reloads of {TARGETS} targets, {CHANGED} of them new: {longest:?} at most");
    assert!(longest < Duration::from_secs(20), "{longest:?}");

    let made = made.load(Ordering::Relaxed);
    assert_eq!(
        made,
        TARGETS + ROUNDS as usize * CHANGED,
        "others were made anew"
    );
    let reads = reads.lock().unwrap();
    let mut counted = 0;
    for n in CHANGED..TARGETS {
        let times = &reads[&format!("t{n}:8000")];
        let gaps: Vec<Duration> = times.windows(2).map(|two| two[1] - two[0]).collect();
        assert!(
            gaps.iter()
                .all(|gap| gap.abs_diff(INTERVAL) <= Duration::from_millis(5)),
            "t{n}: {gaps:?}"
        );
        assert!(
            times.len() >= ROUNDS as usize,
            "t{n}: {} reads",
            times.len()
        );
        counted += times.len();
    }
    eprintln!(
        "{counted} reads of {} targets that stayed, none missed",
        TARGETS - CHANGED
    );
    assert_eq!(exporter.sources().len(), TARGETS);
}
