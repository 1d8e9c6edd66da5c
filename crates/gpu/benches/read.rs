//! What eight GPUs with all their families cost us.
//!
//! `sample` is one sweep of the sampling thread over the fake driver library: about 1,500 calls. What
//! the fake needs to look a number up is in it, and what a real driver needs is not, so it is an upper
//! bound of our own time. `page` is what a scrape pays: the newest sample copied into a warm
//! snapshot. `cold page` builds the shape of that snapshot too.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tokenpath_core::Snapshot;
use tokenpath_fake_nvml::Fake;
use tokenpath_gpu::{GpuSource, Options};

fn read(c: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let fake = Fake::install(folder.path()).expect("the fake library is built");
    fake.control("count 8\nstatic\n");
    let mut options = Options::default();
    options.library = Some(fake.library().to_owned());
    options.period = Duration::from_millis(100);
    // Everything in every sample.
    options.standing_period = Duration::ZERO;
    let source = GpuSource::spawn("bench", options).expect("options are fine");
    let mut page = Snapshot::new();
    while page.shape().family("gpu_sm_active_ratio").is_none() {
        std::thread::sleep(Duration::from_millis(20));
        page.clear();
        let _ = source.copy_newest(&mut page);
    }
    let series = u64::try_from(page.shape().series_count()).expect("few");

    let mut group = c.benchmark_group("8 GPUs");
    group.throughput(Throughput::Elements(series));
    group.bench_function("page", |b| {
        b.iter(|| {
            page.clear();
            source.copy_newest(black_box(&mut page)).expect("a page");
        });
    });
    group.bench_function("cold page", |b| {
        b.iter(|| {
            let mut page = Snapshot::new();
            source.copy_newest(black_box(&mut page)).expect("a page");
            page
        });
    });
    // The sampling thread times itself; a bench cannot run it, so it watches.
    group
        .sample_size(10)
        .warm_up_time(Duration::from_millis(100));
    group.bench_function("sample", |b| {
        b.iter_custom(|samples| {
            let mut spent = Duration::ZERO;
            for _ in 0..samples {
                spent += next_sample(&source, &mut page);
            }
            spent
        });
    });
    group.finish();
}

/// Waits for the next sample and gives the time it took.
fn next_sample(source: &GpuSource, page: &mut Snapshot) -> Duration {
    let started = Instant::now();
    loop {
        std::thread::sleep(Duration::from_millis(5));
        page.clear();
        if source.copy_newest(page).is_err() {
            continue;
        }
        let value = |family| page.value(family, &[]).unwrap_or(f64::MAX);
        let age = Duration::from_secs_f64(value("gpu_sample_age_seconds").min(1e6));
        if age < started.elapsed() {
            return Duration::from_secs_f64(value("gpu_sample_duration_seconds").min(1e6));
        }
    }
}

criterion_group!(benches, read);
criterion_main!(benches);
