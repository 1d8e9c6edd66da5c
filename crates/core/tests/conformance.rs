//! Pages and what must come of them: the cases in `testdata/conformance`, and a larger corpus where
//! the variable `TOKENPATH_CORPUS` names its folder.

#![expect(
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    reason = "a test fails by panicking; counts are small"
)]

mod parser_common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use parser_common::render;
use serde_json::Value;
use tokenpath_core::exposition::{Entry, Format, Labels, Options, Parser, Sample};

fn cases(kind: &str) -> Vec<(PathBuf, Format)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../testdata/conformance")
        .join(kind);
    let mut cases: Vec<_> = fs::read_dir(&folder)
        .unwrap_or_else(|e| panic!("{}: {e}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .filter_map(|path| match path.extension()?.to_str()? {
            "prom" => Some((path, Format::Text004)),
            "om" => Some((path, Format::OpenMetrics100)),
            _ => None,
        })
        .collect();
    cases.sort_by(|a, b| a.0.cmp(&b.0));
    assert!(
        cases.len() > 10,
        "{}: only {} cases",
        folder.display(),
        cases.len()
    );
    cases
}

fn beside(path: &Path, extension: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(extension);
    name.into()
}

#[test]
fn valid_pages_give_their_entries() {
    let update = std::env::var_os("UPDATE").is_some();
    for (path, format) in cases("valid") {
        let page = fs::read(&path).unwrap();
        let mut got = String::new();
        for entry in Parser::new(&page, format.into()) {
            let entry = entry.unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            got.push_str(&render(&entry));
            got.push('\n');
        }
        let golden = beside(&path, ".entries");
        if update {
            fs::write(&golden, got).unwrap();
        } else {
            let want =
                fs::read_to_string(&golden).unwrap_or_else(|e| panic!("{}: {e}", golden.display()));
            assert_eq!(got, want, "{}", path.display());
        }
        if format == Format::Text004 {
            let again: Vec<_> = Parser::new(&page, Format::Text100.into()).collect();
            assert!(
                again.iter().all(Result::is_ok),
                "{}: not in text 1.0.0",
                path.display()
            );
        }
    }
}

#[test]
fn invalid_pages_are_refused_where_they_are_wrong() {
    let mut wrong = String::new();
    for (path, format) in cases("invalid") {
        let page = fs::read(&path).unwrap();
        let golden = beside(&path, ".error");
        let want =
            fs::read_to_string(&golden).unwrap_or_else(|e| panic!("{}: {e}", golden.display()));
        let name = path.display();
        match Parser::new(&page, format.into()).find_map(Result::err) {
            None => wrong += &format!("{name}: was taken\n"),
            Some(error) => {
                let got = format!("{:?} {} {}", error.kind(), error.line(), error.column());
                if got != want.trim_end() {
                    let excerpt = error.excerpt(&page);
                    wrong += &format!("{name}: {got}, not {want}{error}\n{excerpt}\n");
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

/// The folder of the larger corpus, if one was named.
fn corpus() -> Option<PathBuf> {
    let folder = PathBuf::from(std::env::var_os("TOKENPATH_CORPUS")?);
    assert!(
        folder.is_dir(),
        "TOKENPATH_CORPUS is {}, which is no folder",
        folder.display()
    );
    Some(folder)
}

#[test]
fn the_larger_corpus_is_read_as_its_references_read_it() {
    let Some(folder) = corpus() else {
        eprintln!("TOKENPATH_CORPUS is not set: only the repository's own cases were read");
        return;
    };
    let rows = fs::read_to_string(folder.join("conformance/cases.jsonl")).unwrap();
    let rows: Vec<Value> = rows
        .lines()
        .map(|row| serde_json::from_str(row).unwrap())
        .collect();
    assert!(rows.len() > 1000);
    for (profile, at_least) in [("expect", 1.0), ("scrape", 0.99)] {
        let mut failures = BTreeMap::new();
        let mut judged = 0.0;
        for row in &rows {
            match judge(row, profile) {
                None => {}
                Some(Ok(())) => judged += 1.0,
                Some(Err(why)) => {
                    judged += 1.0;
                    failures.insert(row["id"].to_string(), why);
                }
            }
        }
        let passed = 1.0 - failures.len() as f64 / judged;
        eprintln!(
            "{profile}: {judged} judged, {} failed: {failures:#?}",
            failures.len()
        );
        assert!(passed >= at_least, "{profile}: {passed}");
    }
}

/// What a row of the corpus says of our reading of it; `None` where it has no opinion.
fn judge(row: &Value, profile: &str) -> Option<Result<(), String>> {
    let want_ok = match row[profile].as_str()? {
        "ok" => true,
        "error" => false,
        _ => return None,
    };
    let page = match row.get("input") {
        Some(text) => text.as_str()?.as_bytes().to_vec(),
        None => unbase64(row["input_b64"].as_str()?),
    };
    let format: Format = row["format"].as_str()?.parse().ok()?;
    let entries: Result<Vec<_>, _> = Parser::new(&page, format.into()).collect();
    Some(match (entries, want_ok) {
        (Ok(entries), true) => agree(row, &entries, format),
        (Err(_), false) => Ok(()),
        (Ok(_), false) => Err("was taken".to_owned()),
        (Err(e), true) => Err(e.to_string()),
    })
}

fn unbase64(text: &str) -> Vec<u8> {
    let digit = |b: u8| match b {
        b'A'..=b'Z' => b - b'A',
        b'a'..=b'z' => b - b'a' + 26,
        b'0'..=b'9' => b - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let digits: Vec<u32> = text
        .bytes()
        .filter(|b| *b != b'=')
        .map(|b| u32::from(digit(b)))
        .collect();
    let mut out = Vec::new();
    for four in digits.chunks(4) {
        let bits = four
            .iter()
            .enumerate()
            .fold(0, |bits, (n, d)| bits | d << (18 - 6 * n));
        out.extend_from_slice(&bits.to_be_bytes()[1..four.len()]);
    }
    out
}

/// A sample in a form that both sides can be brought to and sorted by.
#[derive(Debug, PartialEq, PartialOrd)]
struct Flat {
    name: String,
    labels: Vec<(String, String)>,
    value: String,
    timestamp: Option<i64>,
    exemplar: Option<FlatExemplar>,
}

/// Labels, value, timestamp.
type FlatExemplar = (Vec<(String, String)>, String, Option<i64>);

fn number(text: &str) -> String {
    match text.parse::<f64>() {
        Ok(0.0) => "0".to_owned(),
        Ok(value) => format!("{value:?}"),
        Err(_) => text.to_owned(),
    }
}

fn flat_labels(labels: impl Iterator<Item = (String, String)>) -> Vec<(String, String)> {
    let mut labels: Vec<_> = labels
        .map(|(name, value)| {
            let numeric = matches!(name.as_str(), "le" | "quantile") && !value.contains('_');
            let value = if numeric { number(&value) } else { value };
            (name, value)
        })
        .collect();
    labels.sort();
    labels
}

fn ours(sample: &Sample<'_>) -> Flat {
    let labels =
        |labels: Labels<'_>| flat_labels(labels.map(|(n, v)| (n.to_string(), v.to_string())));
    Flat {
        name: sample.name().to_string(),
        labels: labels(sample.labels()),
        value: number(&sample.value().to_string()),
        timestamp: sample.timestamp_ms(),
        exemplar: sample.exemplar().map(|e| {
            (
                labels(e.labels()),
                number(&e.value().to_string()),
                e.timestamp_ms(),
            )
        }),
    }
}

fn theirs(sample: &Value, exemplar: Option<&Value>) -> Flat {
    let labels = |value: &Value| {
        let pairs = value["labels"].as_array().unwrap();
        flat_labels(pairs.iter().map(|p| {
            (
                p[0].as_str().unwrap().to_owned(),
                p[1].as_str().unwrap().to_owned(),
            )
        }))
    };
    let value = |value: &Value| number(value["value"].as_str().unwrap());
    Flat {
        name: sample["name"].as_str().unwrap().to_owned(),
        labels: labels(sample),
        value: value(sample),
        timestamp: sample["timestamp_ms"].as_i64(),
        exemplar: exemplar.map(|e| (labels(e), value(e), e["timestamp_ms"].as_i64())),
    }
}

/// Seconds with a fraction become milliseconds by rounding or by cutting: both are right.
fn close(a: Option<i64>, b: Option<i64>, format: Format) -> bool {
    match (a, b) {
        (Some(a), Some(b)) if format == Format::OpenMetrics100 => {
            a.abs_diff(b) <= (a.unsigned_abs() / 1_000_000_000).max(1)
        }
        _ => a == b,
    }
}

fn agree(row: &Value, entries: &[Entry<'_>], format: Format) -> Result<(), String> {
    let Some(samples) = row.get("samples").and_then(Value::as_array) else {
        return Ok(());
    };
    let exemplars = row["exemplars"].as_array().cloned().unwrap_or_default();
    let mut want: Vec<_> = samples
        .iter()
        .enumerate()
        .map(|(n, s)| theirs(s, exemplars.iter().find(|e| e["sample"] == n)))
        .collect();
    let mut got: Vec<_> = entries
        .iter()
        .filter_map(|e| match e {
            Entry::Sample(sample) => Some(ours(sample)),
            _ => None,
        })
        .collect();
    want.sort_by(|a, b| a.partial_cmp(b).unwrap());
    got.sort_by(|a, b| a.partial_cmp(b).unwrap());
    if want.len() != got.len() {
        return Err(format!("{} samples, not {}", got.len(), want.len()));
    }
    for (want, got) in want.iter().zip(&got) {
        let exemplar = match (&want.exemplar, &got.exemplar) {
            (Some(w), Some(g)) => (&w.0, &w.1) == (&g.0, &g.1) && close(w.2, g.2, format),
            (w, g) => w.is_some() == g.is_some(),
        };
        let same = (&want.name, &want.labels, &want.value) == (&got.name, &got.labels, &got.value)
            && close(want.timestamp, got.timestamp, format)
            && exemplar;
        if !same {
            return Err(format!("{got:?}, not {want:?}"));
        }
    }
    if row["metadata_agreed"] == true {
        agree_on_metadata(row, entries)
    } else {
        Ok(())
    }
}

fn agree_on_metadata(row: &Value, entries: &[Entry<'_>]) -> Result<(), String> {
    let mut got: BTreeMap<String, [Option<String>; 3]> = BTreeMap::new();
    for entry in entries {
        let (name, slot, text) = match entry {
            Entry::Type { name, kind } => (name, 0, kind.to_string()),
            Entry::Help { name, help } => (name, 1, help.to_string()),
            Entry::Unit { name, unit } => (name, 2, unit.to_string()),
            _ => continue,
        };
        got.entry(name.to_string()).or_default()[slot] = Some(text);
    }
    for want in row["metadata"].as_array().into_iter().flatten() {
        let name = want["name"].as_str().unwrap();
        let Some(got) = got.get(name) else {
            return Err(format!("no metadata of {name}"));
        };
        let kind = |text: Option<&str>| match text {
            None | Some("" | "untyped" | "unknown") => "unknown".to_owned(),
            Some(text) => text.to_owned(),
        };
        let same = kind(want["type"].as_str()) == kind(got[0].as_deref())
            && want["help"].as_str().unwrap_or_default() == got[1].as_deref().unwrap_or_default()
            && want["unit"].as_str().unwrap_or_default() == got[2].as_deref().unwrap_or_default();
        if !same {
            return Err(format!("metadata {got:?}, not {want}"));
        }
    }
    Ok(())
}

#[test]
fn every_page_of_the_larger_corpus_parses() {
    let Some(folder) = corpus() else {
        eprintln!("TOKENPATH_CORPUS is not set: only the repository's own pages were read");
        return;
    };
    let mut pages = 0;
    let mut folders = vec![folder.join("fixtures")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            // Query output and a list of names are no pages.
            if !name.ends_with(".txt")
                || name.starts_with("nvidia-smi")
                || name.starts_with("families_")
            {
                continue;
            }
            let page = fs::read(&path).unwrap();
            let options = Options::new(Format::sniff(&page, None));
            for entry in Parser::new(&page, options) {
                entry.unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            }
            pages += 1;
        }
    }
    assert!(pages > 50, "only {pages} pages");
}
