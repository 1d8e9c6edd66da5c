//! Every dialect over every family: what goes out, what promtool says about it, and that nothing is
//! lost or made up. `UPDATE=1` writes the pages.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, its helpers too"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

use tokenpath_core::dialect::{Dialect, Spoken};
use tokenpath_core::exposition::{
    Encoder, Entry, Format, Options, Parser, Part, Refused, Text, check,
};
use tokenpath_core::{
    Bucket, Desc, Histogram, LabelSet, MetricType, QuantileValue, Snapshot, Summary, Unit,
};

/// What the pages are made of: a file of canonical names, and the labels of its source.
const SOURCES: [(&str, &[(&str, &str)]); 6] = [
    (
        "vllm",
        &[
            ("backend", "vllm"),
            ("target", "10.0.0.7:8000"),
            ("worker_id", "worker-1"),
        ],
    ),
    (
        "vllm-0.8",
        &[("backend", "vllm"), ("target", "10.0.0.8:8000")],
    ),
    ("tgi", &[("backend", "tgi"), ("target", "10.0.0.9:8080")]),
    (
        "gpu",
        &[("backend", "gpu"), ("target", "local"), ("node", "rack-1")],
    ),
    (
        "limitador",
        &[("backend", "limitador"), ("target", "limitador:8080")],
    ),
    ("gateway", &[("backend", "gateway"), ("target", "epp:9090")]),
];

/// Dialects that follow Prometheus's own naming rules.
const SILENT: [&str; 3] = ["llm", "worker", "otel"];

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testdata/dialects")
}

fn owned(text: Text<'_>) -> String {
    text.to_str().into_owned()
}

struct Family {
    kind: MetricType,
    help: String,
    /// Labels without `le` and `quantile`, and the lines that have them.
    series: Vec<(OwnLabels, Vec<Point>)>,
}

type OwnLabels = Vec<(String, String)>;

/// Suffix of the name, edge, value.
type Point = (String, f64, f64);

/// Reads a page of canonical names: what is typed there is what the families are.
fn read(name: &str) -> (Snapshot, Vec<Arc<Desc>>) {
    let path = folder().join("model").join(format!("{name}.txt"));
    let page = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut families: Vec<(String, Family)> = Vec::new();
    let mut helps = BTreeMap::new();
    for entry in Parser::new(&page, Options::new(Format::Text004)) {
        match entry.unwrap() {
            Entry::Help { name, help } => {
                helps.insert(owned(name), owned(help));
            }
            Entry::Type { name, kind } => {
                let name = owned(name);
                let kind = match kind {
                    MetricType::Gauge if name.ends_with("_info") => MetricType::Info,
                    kind => kind,
                };
                let family = Family {
                    kind,
                    help: helps.remove(&name).unwrap_or_default(),
                    series: Vec::new(),
                };
                families.push((name, family));
            }
            Entry::Sample(sample) => {
                let (name, family) = families.last_mut().unwrap();
                let sample_name = owned(sample.name());
                let suffix = sample_name.strip_prefix(name.as_str()).unwrap();
                let mut edge = f64::NAN;
                let mut labels = Vec::new();
                for (label, value) in sample.labels() {
                    match &*owned(label) {
                        "le" | "quantile" => edge = owned(value).parse().unwrap(),
                        label => labels.push((label.to_owned(), owned(value))),
                    }
                }
                let point = (suffix.to_owned(), edge, sample.value());
                match family.series.last_mut() {
                    Some((known, points)) if *known == labels && !suffix.is_empty() => {
                        points.push(point);
                    }
                    _ => family.series.push((labels, vec![point])),
                }
            }
            _ => {}
        }
    }
    let mut snapshot = Snapshot::new();
    let mut descs = Vec::new();
    for (name, family) in families {
        let desc = Desc::owned(name, family.kind, Unit::None, family.help);
        let desc = Arc::new(desc);
        for (labels, points) in &family.series {
            let labels: Vec<(&str, &str)> = labels.iter().map(|(n, v)| (&**n, &**v)).collect();
            let at = |wanted: &str| {
                let found = points.iter().find(|(suffix, ..)| suffix == wanted);
                found.map(|(.., value)| *value)
            };
            let mut family = snapshot.family(&desc);
            match desc.kind() {
                MetricType::Histogram => {
                    let buckets = points.iter().filter(|(suffix, ..)| suffix == "_bucket");
                    family.histogram(
                        &labels,
                        &Histogram {
                            buckets: buckets
                                .map(|(_, le, count)| Bucket {
                                    le: *le,
                                    count: *count,
                                })
                                .collect(),
                            sum: at("_sum"),
                            count: at("_count"),
                        },
                    );
                }
                MetricType::Summary => {
                    let quantiles = points.iter().filter(|(suffix, ..)| suffix.is_empty());
                    family.summary(
                        &labels,
                        &Summary {
                            quantiles: quantiles
                                .map(|(_, quantile, value)| QuantileValue {
                                    quantile: *quantile,
                                    value: *value,
                                })
                                .collect(),
                            sum: at("_sum"),
                            count: at("_count"),
                        },
                    );
                }
                _ => {
                    family.sample(&labels, points[0].2);
                }
            }
        }
        descs.push(desc);
    }
    (snapshot, descs)
}

fn speak(dialects: &[Dialect], format: Format) -> (String, Refused) {
    let read: Vec<_> = SOURCES.iter().map(|(name, _)| read(name)).collect();
    let labels: Vec<LabelSet> = SOURCES
        .iter()
        .map(|(_, labels)| LabelSet::new(labels.iter().copied()))
        .collect();
    let mut families: Vec<Arc<Desc>> = Vec::new();
    for desc in read.iter().flat_map(|(_, descs)| descs) {
        if !families.iter().any(|known| known.name() == desc.name()) {
            families.push(Arc::clone(desc));
        }
    }
    let spoken = Spoken::new(dialects, &families).unwrap_or_else(|error| panic!("{error}"));
    let mut encoder = Encoder::with_dialects(format, spoken);
    let parts: Vec<Part<'_>> = read
        .iter()
        .zip(&labels)
        .map(|((snapshot, _), labels)| Part { snapshot, labels })
        .collect();
    let mut page = Vec::new();
    encoder.encode(&parts, &mut page);
    (String::from_utf8(page).unwrap(), encoder.refused())
}

fn committed(file: &str, made: &str) {
    let path = folder().join(file);
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, made).unwrap();
    }
    let there = fs::read_to_string(&path).unwrap_or_default();
    for (number, (there, made)) in there.lines().zip(made.lines()).enumerate() {
        assert_eq!(there, made, "{file}, line {}", number + 1);
    }
    assert_eq!(there.lines().count(), made.lines().count(), "{file}");
}

/// What promtool says about a page, sorted; `None` where it is not installed.
fn promtool(page: &str) -> Option<String> {
    let mut child = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .ok()?;
    child
        .stdin
        .take()
        .unwrap()
        .write_all(page.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    let lines: BTreeSet<&str> = said.lines().collect();
    Some(lines.iter().map(|line| format!("{line}\n")).collect())
}

fn lint_file(dialect: &str) -> String {
    format!("{dialect}.lint")
}

#[test]
fn each_dialect_speaks_its_page() {
    for dialect in Dialect::builtins() {
        let (page, refused) = speak(std::slice::from_ref(&dialect), Format::Text004);
        assert!(refused.is_none(), "{}: {refused:?}", dialect.name());
        assert_eq!(check(page.as_bytes(), Format::Text004), []);
        committed(&format!("{}.txt", dialect.name()), &page);
    }
}

#[test]
fn every_row_of_every_dialect_has_something_to_say() {
    for dialect in Dialect::builtins() {
        let (page, _) = speak(std::slice::from_ref(&dialect), Format::Text004);
        let silent: Vec<&str> = dialect
            .rows()
            .iter()
            .map(|row| row.name())
            .filter(|name| !page.contains(&format!("# TYPE {name} ")))
            .collect();
        assert!(silent.is_empty(), "{}: {silent:#?}", dialect.name());
    }
}

#[test]
fn all_dialects_at_once_are_one_valid_page() {
    let dialects: Vec<Dialect> = Dialect::builtins().collect();
    for format in Format::ALL {
        let (page, refused) = speak(&dialects, format);
        assert!(refused.is_none(), "{format}: {refused:?}");
        assert_eq!(check(page.as_bytes(), format), [], "{format}");
    }
    let (page, _) = speak(&dialects, Format::Text004);
    for dialect in &dialects {
        let (alone, _) = speak(std::slice::from_ref(dialect), Format::Text004);
        for line in alone.lines().filter(|line| line.starts_with("# TYPE")) {
            assert!(page.contains(line), "{line} is lost beside the others");
        }
    }
}

#[test]
fn promtool_says_what_is_committed_and_nothing_else() {
    let mut together = BTreeSet::new();
    for dialect in Dialect::builtins() {
        let (page, _) = speak(std::slice::from_ref(&dialect), Format::Text004);
        let Some(said) = promtool(&page) else {
            eprintln!("skipped: promtool is not installed");
            return;
        };
        if SILENT.contains(&dialect.name()) {
            assert_eq!(said, "", "{}", dialect.name());
        } else {
            committed(&lint_file(dialect.name()), &said);
        }
        together.extend(said.lines().map(str::to_owned));
    }
    let dialects: Vec<Dialect> = Dialect::builtins().collect();
    let (page, _) = speak(&dialects, Format::Text004);
    let said = promtool(&page).unwrap();
    let said: BTreeSet<String> = said.lines().map(str::to_owned).collect();
    assert_eq!(said, together);
}

#[test]
fn committed_lint_lines_are_about_names_of_their_dialect() {
    for dialect in Dialect::builtins() {
        let path = folder().join(lint_file(dialect.name()));
        assert_eq!(
            path.exists(),
            !SILENT.contains(&dialect.name()),
            "{}",
            path.display()
        );
        let lines = fs::read_to_string(path).unwrap_or_default();
        for line in lines.lines() {
            let name = line.split(' ').next().unwrap();
            assert!(
                dialect.rows().iter().any(|row| row.name() == name),
                "{line}"
            );
        }
    }
}
