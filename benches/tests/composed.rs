//! The page of a whole stack is one valid page: what the bench measures is what a scraper takes.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

#[path = "../../testdata/page.rs"]
mod page;

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use page::Page;
use tokenpath_benches::composed::{CONTROL, Composed, GPUS, TENANTS, soon};
use tokenpath_core::exposition::{Format, check};
use tokenpath_fake_nvml::Fake;

/// Values of a label in a family.
fn values<'p>(page: &'p Page, family: &str, label: &str) -> BTreeSet<&'p str> {
    page.samples
        .iter()
        .filter(|sample| sample.name == family)
        .filter_map(|sample| sample.labels.get(label))
        .map(String::as_str)
        .collect()
}

/// The fake driver with the GPUs of the stack.
fn driver(folder: &Path) -> PathBuf {
    let fake = Fake::install(folder).unwrap();
    fake.control(CONTROL);
    fake.library().to_owned()
}

/// What promtool says; `None` where it is not installed.
fn promtool(page: &[u8]) -> Option<String> {
    let mut child = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .ok()?;
    let mut input = child.stdin.take().unwrap();
    let page = page.to_vec();
    let writer = std::thread::spawn(move || input.write_all(&page));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    let said = [output.stdout, output.stderr].concat();
    Some(String::from_utf8_lossy(&said).into_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_whole_stack_is_one_valid_page() {
    let composed = Composed::start(driver).await;
    // The GPUs' rates need two samples; the picker's and limiter's pages come in turn.
    let start = Instant::now();
    let text = loop {
        let text = composed.exporter.page(Format::Text004, soon()).await;
        let page = String::from_utf8(text.clone()).unwrap();
        if page.contains("\ngpu_sm_active_ratio{") {
            break text;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "no GPM rates");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    for _ in 0..5 {
        let again = composed.exporter.page(Format::Text004, soon()).await;
        assert!(again.len() > text.len() / 2);
    }

    // A family declared twice is a finding of ours, which promtool is silent about.
    let findings: Vec<String> = check(&text, Format::Text004)
        .iter()
        .map(ToString::to_string)
        .collect();
    assert!(findings.is_empty(), "{findings:#?}");
    let shown = String::from_utf8(text.clone()).unwrap();
    let declared: Vec<&str> = shown
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .collect();
    let families: BTreeSet<&str> = declared.iter().copied().collect();
    assert_eq!(declared.len(), families.len());
    match promtool(&text) {
        Some(said) => assert_eq!(said, ""),
        None => eprintln!("skipped: promtool is not installed"),
    }
    let openmetrics = composed.exporter.page(Format::OpenMetrics100, soon()).await;
    assert_eq!(check(&openmetrics, Format::OpenMetrics100), []);

    // All of it is there.
    let page = Page::read(&shown);
    let up = values(&page, "tokenpath_source_up", "backend");
    assert_eq!(
        up,
        BTreeSet::from(["gateway", "gpu", "limitador", "tgi", "vllm"])
    );
    for sample in &page.samples {
        if sample.name == "tokenpath_source_up" {
            assert!(sample.value.eq(&1.0), "{sample:?}");
        }
    }
    let ttft = "llm_time_to_first_token_seconds_count";
    assert_eq!(values(&page, ttft, "target").len(), 2, "two vLLM servers");
    assert_eq!(values(&page, "gpu_vram_used_bytes", "uuid").len(), GPUS);
    for family in ["llm_tenant_requests_total", "llm_tenant_tokens_total"] {
        assert_eq!(values(&page, family, "tenant").len(), TENANTS, "{family}");
    }
    assert!(!values(&page, "llm_gateway_requests_total", "target").is_empty());
    assert!(families.len() > 150, "{}", families.len());
}
