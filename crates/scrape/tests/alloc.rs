//! What a page costs in allocations: counted, not claimed.
//!
//! A page of a runner is not free of them: each source has a task, and the page is copied for whoever
//! serves it. But they are so many for a source, whatever it says, and roll-ups and dialects add none.

#![expect(
    unsafe_code,
    reason = "an allocator that counts is the only witness, and its trait is unsafe to implement"
)]

#[path = "../../../testdata/counting.rs"]
mod counting;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use counting::allocations;
use tokenpath_core::dialect::{Dialect, Spoken};
use tokenpath_core::exposition::Format;
use tokenpath_core::rollup::Rollup;
use tokenpath_core::{BoxSource, CollectError, Desc, MetricType, Snapshot, Source, SourceId, Unit};
use tokenpath_scrape::runner::{Exporter, RollUpOptions, SourceOptions};
use tokio::time::Instant;

struct Engine {
    id: SourceId,
    descs: [Arc<Desc>; 2],
    models: Vec<String>,
    reads: AtomicU32,
}

impl Source for Engine {
    fn id(&self) -> &SourceId {
        &self.id
    }

    fn describe(&self) -> &[Arc<Desc>] {
        &self.descs
    }

    async fn collect(&self, out: &mut Snapshot) -> Result<(), CollectError> {
        let read = f64::from(self.reads.fetch_add(1, Ordering::SeqCst));
        for desc in &self.descs {
            for model in &self.models {
                for engine in ["0", "1"] {
                    let labels = [("engine", engine), ("model_name", model.as_str())];
                    out.family(desc).sample(&labels, 1_000_000.0 + read);
                }
            }
        }
        Ok(())
    }
}

fn exporter(models: usize, dialects: &[&str], roll_ups: &[RollUpOptions]) -> Exporter {
    let desc =
        |name, kind| Arc::new(Desc::new(name, kind, Unit::None, "Help.").rollup(Rollup::Sum));
    let descs = [
        desc("llm_generation_tokens_total", MetricType::Counter),
        desc("llm_requests_running", MetricType::Gauge),
    ];
    let dialects = dialects
        .iter()
        .map(|name| Dialect::builtin(name).expect("a dialect"));
    let dialects: Vec<Dialect> = dialects.collect();
    let mut exporter =
        Exporter::speaking(Spoken::new(&dialects, &descs).expect("they go together"));
    for target in ["a", "b", "c"] {
        let engine = Engine {
            id: SourceId::new("vllm", target),
            descs: descs.clone(),
            models: (0..models).map(|model| format!("model-{model}")).collect(),
            reads: AtomicU32::new(0),
        };
        exporter.add(BoxSource::new(engine), SourceOptions::new());
    }
    exporter.roll_up(roll_ups.iter().cloned());
    exporter
}

/// The allocations of a page in the steady state. The least of many: reading the state of the process
/// takes one more now and then.
fn of_a_page(exporter: &Exporter) -> usize {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_time().build().expect("a runtime");
    let page = || {
        allocations(|| {
            let deadline = Instant::now() + Duration::from_secs(30);
            let page = runtime.block_on(exporter.page(Format::Text004, deadline));
            assert!(page.len() > 1000);
        })
    };
    for _ in 0..5 {
        page();
    }
    (0..50).map(|_| page()).min().expect("pages")
}

#[test]
fn a_page_costs_no_more_for_what_it_says_nor_for_roll_ups_and_dialects() {
    let plain = of_a_page(&exporter(3, &["llm"], &[]));
    // It was 60: for three sources, and for what the state of the process takes.
    assert!((10..200).contains(&plain), "{plain}");
    assert_eq!(of_a_page(&exporter(300, &["llm"], &[])), plain);
    let roll_ups = [
        RollUpOptions::over(["engine"]),
        RollUpOptions::over(["engine", "target"]).keep_parts(true),
    ];
    for models in [3, 300] {
        let with_all = exporter(models, &["llm", "vllm", "worker"], &roll_ups);
        assert_eq!(of_a_page(&with_all), plain, "{models} models");
    }
}
