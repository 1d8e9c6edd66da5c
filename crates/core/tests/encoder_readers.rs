//! Our pages before other readers: our own checker, promtool, and the parsers of the official Python
//! client. Where one is not installed, the test says so and passes; the toolchain of the repository installs them.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, its helpers too"
)]

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;

use tokenpath_core::exposition::{Encoder, Format, Part, check};
use tokenpath_core::{
    Bucket, Desc, Histogram, LabelSet, MetricType, QuantileValue, Snapshot, Summary, Unit,
};

fn page(format: Format) -> Vec<u8> {
    let desc = |name, kind, unit, help| Arc::new(Desc::new(name, kind, unit, help));
    let mut snapshot = Snapshot::new();
    let nasty = "back\\slash \"quote\" new\nline ünï {a=\"b\"} # 1";
    snapshot
        .family(&desc(
            "llm_tokens_total",
            MetricType::Counter,
            Unit::None,
            "Tokens, \\ and \"so\" on.",
        ))
        .sample(
            &[("model_name", nasty), ("le", "7")],
            9_007_199_254_740_991.0,
        )
        .sample(&[("model_name", "")], 0.1);
    snapshot
        .family(&desc(
            "llm_energy_joules_total",
            MetricType::Counter,
            Unit::Joules,
            "Energy.",
        ))
        .sample(&[], 1e300);
    snapshot
        .family(&desc(
            "llm_usage_ratio",
            MetricType::Gauge,
            Unit::Ratio,
            "Usage.",
        ))
        .sample(&[("x", "1")], f64::INFINITY)
        .sample(&[("x", "2")], f64::NEG_INFINITY)
        .sample(&[("x", "3")], -0.0)
        .sample(&[("x", "4")], 5e-324);
    snapshot
        .family(&desc(
            "llm_wait_seconds",
            MetricType::Histogram,
            Unit::Seconds,
            "Wait.",
        ))
        .histogram(
            &[("engine", "0")],
            &Histogram {
                buckets: [(0.005, 1.0), (1.0, 2.0), (2.5e6, 2.0), (f64::INFINITY, 3.0)]
                    .map(|(le, count)| Bucket { le, count })
                    .to_vec(),
                sum: Some(0.3),
                count: Some(3.0),
            },
        );
    snapshot
        .family(&desc(
            "llm_rpc_seconds",
            MetricType::Summary,
            Unit::Seconds,
            "Calls.",
        ))
        .summary(
            &[],
            &Summary {
                quantiles: vec![QuantileValue {
                    quantile: 0.5,
                    value: 0.25,
                }],
                sum: Some(8.0),
                count: Some(9.0),
            },
        );
    snapshot
        .family(&desc(
            "llm_engine_info",
            MetricType::Info,
            Unit::None,
            "Engine.",
        ))
        .sample(&[("version", "1.2")], 1.0);
    snapshot
        .family(&desc(
            "llm_bound",
            MetricType::StateSet,
            Unit::None,
            "Bound by.",
        ))
        .sample(&[("llm_bound", "compute")], 1.0)
        .sample(&[("llm_bound", "memory")], 0.0);
    let labels = LabelSet::new([("backend", "vllm"), ("target", "127.0.0.1:8000")]);
    let mut page = Vec::new();
    Encoder::new(format).encode(
        &[Part {
            snapshot: &snapshot,
            labels: &labels,
        }],
        &mut page,
    );
    page
}

/// Runs a program with the page on its standard input; `None` where the program is not there.
fn run(program: &str, arguments: &[&str], input: &[u8]) -> Option<(bool, String)> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .ok()?;
    // A program that ends early closes the pipe; its status tells.
    let _ = child.stdin.take().unwrap().write_all(input);
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    Some((
        output.status.success(),
        String::from_utf8_lossy(&said).into_owned(),
    ))
}

#[test]
fn our_own_checker_finds_nothing() {
    for format in Format::ALL {
        assert_eq!(check(&page(format), format), []);
    }
}

#[test]
fn promtool_finds_nothing() {
    match run("promtool", &["check", "metrics"], &page(Format::Text004)) {
        Some(verdict) => assert_eq!(verdict, (true, String::new())),
        None => eprintln!("skipped: promtool is not installed"),
    }
}

/// Prints every sample as the client's parser sees it, sorted.
const PYTHON: &str = "\
import sys
openmetrics = sys.argv[1] == 'openmetrics'
if openmetrics:
    from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse
else:
    from prometheus_client.parser import text_string_to_metric_families as parse
lines = []
for family in parse(sys.stdin.buffer.read().decode()):
    for s in family.samples:
        lines.append(repr((s.name, sorted(s.labels.items()), float(s.value))))
print('\\n'.join(sorted(lines)))
";

#[test]
fn the_python_client_reads_both_formats_alike() {
    let python = ["python3", "python"].into_iter().find(|python| {
        run(python, &["-c", "import prometheus_client"], b"").is_some_and(|(found, _)| found)
    });
    let Some(python) = python else {
        eprintln!("skipped: python3 has no prometheus_client");
        return;
    };
    let read = |format, name| {
        let (good, said) = run(python, &["-c", PYTHON, name], &page(format)).unwrap();
        assert!(good, "{said}");
        said
    };
    let text = read(Format::Text004, "text");
    let openmetrics = read(Format::OpenMetrics100, "openmetrics");
    assert_eq!(text, openmetrics);
    assert_eq!(text.lines().count(), 19, "{text}");
    let nasty = r#"('model_name', 'back\\slash "quote" new\nline ünï {a="b"} # 1')"#;
    assert!(text.contains(nasty), "{text}");
    assert!(
        text.contains("9007199254740991.0") && text.contains("5e-324"),
        "{text}"
    );
}
