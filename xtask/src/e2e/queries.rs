//! The queries of the documents that the dialects exist for: on one page that speaks all dialects at
//! once, read by a real Prometheus, each must give data.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokenpath_core::exposition::{Format, check};

use super::demo::{Demo, OPENMETRICS};
use super::page;
use super::prometheus::{Prometheus, Scrape};
use crate::cargo;
use crate::report::{Report, Result, Verdict, ensure, passed};
use crate::tests::Binaries;
use crate::tools;

const DIALECTS: [&str; 8] = [
    "llm",
    "vllm",
    "vllm-v0",
    "worker",
    "token-path",
    "documents",
    "dcgm",
    "otel",
];

/// Lets tenants run into their limits: until one does, nobody has counted a limited call.
const INCIDENT: &str = "tenant-flood";

/// A rate needs two scrapes; the rest is for machines that are busy.
const LIMIT: Duration = Duration::from_secs(120);

pub(crate) fn run(binaries: &Binaries, report: &mut Report) {
    report.heading("end to end: the queries of the documents");
    let mut started = None;
    report.check("`tokenpath demo` speaks all dialects at once", || {
        let names = DIALECTS.join(",");
        let (demo, _) = Demo::start(binaries, &["--dialect", &names, "--incident", INCIDENT])?;
        started = Some(demo);
        passed(names)
    });
    let Some(demo) = started else { return };
    let folder = cargo::root().join("testdata/dialects");
    report.check("our checker has nothing to say about the page", || {
        let text = demo.page("*/*")?;
        let openmetrics = demo.page(OPENMETRICS)?;
        let mut findings = Vec::new();
        for (page, format) in [
            (&text, Format::Text004),
            (&openmetrics, Format::OpenMetrics100),
        ] {
            findings.extend(
                check(page.as_bytes(), format)
                    .iter()
                    .map(ToString::to_string),
            );
        }
        ensure!(findings.is_empty(), "{}", findings.join("\n  "));
        passed(format!("{} samples", page::samples(&text)?.len()))
    });
    report.check("promtool says nothing but the committed lines", || {
        promtool(&demo, &folder)
    });
    report.check(
        "each query gives data in a real Prometheus, recorded ones recorded too",
        || match tools::prometheus() {
            Ok(()) => ask_all(&demo, &folder),
            Err(why) => Ok(Verdict::Skipped(why)),
        },
    );
}

/// What promtool says about names, against `testdata/dialects/*.lint`.
fn promtool(demo: &Demo, folder: &Path) -> Result<Verdict> {
    if let Err(why) = tools::prometheus() {
        return Ok(Verdict::Skipped(why));
    }
    let mut allowed = BTreeSet::new();
    for name in DIALECTS {
        let file = folder.join(format!("{name}.lint"));
        if file.exists() {
            allowed.extend(std::fs::read_to_string(file)?.lines().map(str::to_owned));
        }
    }
    let said = tools::promtool_check(&demo.page("*/*")?)?;
    let lines: BTreeSet<&str> = said.lines().collect();
    let others: Vec<_> = lines
        .iter()
        .filter(|line| !allowed.contains(**line))
        .copied()
        .collect();
    ensure!(others.is_empty(), "{}", others.join("\n  "));
    passed(format!("{} lines of {}", lines.len(), allowed.len()))
}

/// A query, and where it comes from.
struct Query {
    place: String,
    expression: String,
}

fn ask_all(demo: &Demo, folder: &Path) -> Result<Verdict> {
    let listed: Value =
        serde_json::from_str(&std::fs::read_to_string(folder.join("queries.json"))?)?;
    let (queries, rules) = read(&listed)?;
    let all = queries.len();
    let folder = cargo::target_folder().join("queries");
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join("documents.yml"), rules)?;
    let mut prometheus = Prometheus::start(&Scrape {
        name: "queries",
        target: demo.address,
        rules: Some(&folder),
    })?;
    let start = Instant::now();
    let mut open: Vec<(Query, String)> = queries
        .into_iter()
        .map(|query| (query, "not asked".to_owned()))
        .collect();
    loop {
        std::thread::sleep(Duration::from_secs(1));
        let mut still = Vec::new();
        for (query, _) in open {
            match prometheus.ask_once(&query.expression) {
                Ok(series) if series.iter().any(|one| one.value.is_finite()) => {}
                Ok(series) => {
                    let what = match series.first() {
                        None => "no series".to_owned(),
                        Some(one) => format!("no number for {}", one.labels()),
                    };
                    still.push((query, what));
                }
                Err(error) => still.push((query, error.to_string())),
            }
        }
        open = still;
        if open.is_empty() {
            return passed(format!("{all} queries"));
        }
        if start.elapsed() > LIMIT {
            let faults: Vec<_> = open
                .iter()
                .map(|(query, why)| format!("{}: {why}: {}", query.place, query.expression))
                .collect();
            return Err(format!(
                "{} of {all} gave no data within {LIMIT:?}:\n  {}",
                faults.len(),
                faults.join("\n  ")
            )
            .into());
        }
    }
}

/// All queries of the list, those that are recorded both as they are and under the recorded name; and
/// the rules that record them.
fn read(listed: &Value) -> Result<(Vec<Query>, String)> {
    let mut queries = Vec::new();
    let mut rules = String::from("groups:\n  - name: documents\n    rules:\n");
    for group in ["valid", "corrected"] {
        let entries = listed[group].as_array().ok_or("no list of queries")?;
        for entry in entries {
            let text = |key: &str| {
                entry[key]
                    .as_str()
                    .ok_or_else(|| format!("a query without {key}: {entry}"))
            };
            let (document, place, expression) = (text("document")?, text("where")?, text("query")?);
            let dialects = entry["dialects"].as_array().ok_or("no dialects")?;
            for dialect in dialects {
                ensure!(
                    dialect
                        .as_str()
                        .is_some_and(|name| DIALECTS.contains(&name)),
                    "{document}, {place}: no dialect {dialect}"
                );
            }
            let place = format!("document {document}, {place}");
            if let Some((_, name)) = place.split_once(", record ") {
                rules.push_str(&format!(
                    "      - record: {name}\n        expr: '{}'\n",
                    expression.replace('\'', "''")
                ));
                queries.push(Query {
                    place: format!("{place}, as recorded"),
                    expression: name.to_owned(),
                });
            }
            queries.push(Query {
                place,
                expression: expression.to_owned(),
            });
        }
    }
    Ok((queries, rules))
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn recorded_queries_are_asked_by_both_names() -> Result<()> {
        let listed = serde_json::json!({
            "valid": [{"document": "0", "where": "record a:b", "dialects": ["llm"], "query": "x{y='z'}"}],
            "corrected": [{"document": "0", "where": "panel", "dialects": ["otel"], "query": "c"}],
        });
        let (queries, rules) = read(&listed)?;
        let asked: Vec<_> = queries
            .iter()
            .map(|query| query.expression.as_str())
            .collect();
        assert_eq!(asked, ["a:b", "x{y='z'}", "c"]);
        assert!(rules.ends_with("- record: a:b\n        expr: 'x{y=''z''}'\n"));
        let unknown = serde_json::json!({
            "valid": [{"document": "0", "where": "p", "dialects": ["l"], "query": "c"}],
            "corrected": [],
        });
        assert!(read(&unknown).is_err());
        Ok(())
    }
}
