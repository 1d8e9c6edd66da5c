//! What does a page cost from the engine's text to ours?
//!
//! - *cold*: the first page of a target: parsed, classified, planned, translated, rendered.
//! - *warm*: two successive pages of one server in turn, translated into a snapshot.
//! - *warm+encode*: the same, and written in the text format: all that an exporter does besides HTTP.
//!
//! Real pages, each by itself: a small one (an old release), a typical and a large one.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput};
use tokenpath_benches::pages;
use tokenpath_core::exposition::{Encoder, Format, Part};
use tokenpath_core::translate::{TranslateOptions, Translator};
use tokenpath_core::{LabelSet, Snapshot};

fn translator() -> Translator {
    Translator::new(tokenpath_vllm::compiled(), TranslateOptions::default())
}

fn samples(page: &str) -> u64 {
    page.lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .count() as u64
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let labels = LabelSet::new([("backend", "vllm"), ("target", "10.0.0.7:8000")]);
    let cases = [
        ("small", pages::recorded("vllm/vllm-0.3.3-V0.txt")),
        ("typical", pages::typical()),
        ("large", pages::large()),
    ];
    for (name, page) in cases {
        let turns = [pages::later(&page, 1), page];
        for (what, throughput) in [
            ("bytes", Throughput::Bytes(turns[1].len() as u64)),
            ("samples", Throughput::Elements(samples(&turns[1]))),
        ] {
            let mut group = criterion.benchmark_group(format!("translate/{name}/{what}"));
            group.throughput(throughput);
            group.bench_function(BenchmarkId::from_parameter("cold"), |bencher| {
                bencher.iter(|| {
                    let mut snapshot = Snapshot::new();
                    let translated = translator().translate(
                        black_box(turns[1].as_bytes()),
                        Format::Text004,
                        &mut snapshot,
                    );
                    translated.expect("the page is valid");
                    snapshot
                });
            });
            let (mut warm, mut snapshot, mut turn) = (translator(), Snapshot::new(), 0);
            group.bench_function(BenchmarkId::from_parameter("warm"), |bencher| {
                bencher.iter(|| {
                    turn = 1 - turn;
                    let page = black_box(turns[turn].as_bytes());
                    warm.translate(page, Format::Text004, &mut snapshot)
                        .expect("the page is valid");
                });
            });
            let (mut encoder, mut out) = (Encoder::new(Format::Text004), Vec::new());
            group.bench_function(BenchmarkId::from_parameter("warm+encode"), |bencher| {
                bencher.iter(|| {
                    turn = 1 - turn;
                    let page = black_box(turns[turn].as_bytes());
                    warm.translate(page, Format::Text004, &mut snapshot)
                        .expect("the page is valid");
                    encoder.encode(
                        &[Part {
                            snapshot: &snapshot,
                            labels: &labels,
                        }],
                        &mut out,
                    );
                    black_box(out.len())
                });
            });
            group.finish();
        }
    }
    criterion.final_summary();
}
