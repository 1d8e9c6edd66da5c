//! The queries of dashboards, rules and guides, against the dialects that have their names; and the
//! documentation that is made of them and of the dialects. `UPDATE=1` writes it.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, its helpers too"
)]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use tokenpath_core::dialect::Dialect;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn text(file: &str) -> String {
    let path = root().join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A query and the dialects whose names it has.
struct Query {
    document: String,
    place: String,
    dialects: Vec<String>,
    query: String,
    /// What was written, and why that is wrong, where it was.
    wrong: Option<(String, String)>,
}

fn queries() -> Vec<Query> {
    let all: Value = serde_json::from_str(&text("testdata/dialects/queries.json")).unwrap();
    let of = |group: &str| all[group].as_array().unwrap().clone();
    let read = |entry: Value| {
        let say = |field: &str| entry[field].as_str().map(str::to_owned);
        Query {
            document: say("document").unwrap(),
            place: say("where").unwrap(),
            dialects: entry["dialects"]
                .as_array()
                .unwrap()
                .iter()
                .map(|name| name.as_str().unwrap().to_owned())
                .collect(),
            query: say("query").unwrap(),
            wrong: say("written").map(|written| (written, say("why").unwrap())),
        }
    };
    let all = [of("valid"), of("corrected")].concat();
    all.into_iter().map(read).collect()
}

/// Words of a query that can only be metric names: they have an underscore and no parenthesis, and
/// stand neither in quotes nor in braces.
fn metric_names(query: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let (mut word, mut depth, mut in_by) = (String::new(), 0, false);
    for c in query.chars().chain([' ']) {
        if c.is_ascii_alphanumeric() || c == '_' || c == ':' {
            word.push(c);
            continue;
        }
        let is_name = depth == 0 && !in_by && c != '(' && word.contains('_');
        let is_number = word.starts_with(|first: char| first.is_ascii_digit());
        if is_name && !is_number {
            names.insert(word.clone());
        }
        in_by = (in_by || word == "by") && c != ')';
        match c {
            '{' | '[' => depth += 1,
            '}' | ']' => depth -= 1,
            _ => {}
        }
        word.clear();
    }
    names
}

#[test]
fn names_are_told_from_the_rest_of_a_query() {
    let query =
        r#"sum by (le, model_name) (rate(a_b_bucket{x_y="c_d"}[5m])) / on (z) vllm:e_f > 2"#;
    let names: Vec<String> = metric_names(query).into_iter().collect();
    assert_eq!(names, ["a_b_bucket", "vllm:e_f"]);
}

#[test]
fn every_query_finds_its_names_in_its_dialects() {
    let queries = queries();
    assert!(queries.iter().filter(|query| query.wrong.is_none()).count() > 80);
    for query in &queries {
        let mut series = BTreeSet::new();
        for name in &query.dialects {
            assert!(Dialect::builtin(name).is_some(), "{name}");
            let page = text(&format!("testdata/dialects/{name}.txt"));
            let lines = page.lines().filter(|line| !line.starts_with('#'));
            series.extend(lines.map(|line| {
                let end = line.find(['{', ' ']).unwrap();
                line.split_at(end).0.to_owned()
            }));
        }
        let names = metric_names(&query.query);
        assert!(!names.is_empty(), "{}", query.query);
        for name in names {
            // Of the exporter itself, which no dialect renames.
            let is_our_own = name.starts_with("tokenpath_") && query.dialects == ["llm"];
            assert!(
                series.contains(&name) || is_our_own,
                "{} {}: {name}",
                query.document,
                query.place
            );
        }
    }
}

#[test]
fn prometheus_takes_every_query() {
    let mut rules = String::from("groups:\n- name: queries\n  rules:\n");
    for (index, query) in queries().iter().enumerate() {
        let expression = query.query.replace('\'', "''");
        _ = write!(
            rules,
            "  - record: query:{index}\n    expr: '{expression}'\n"
        );
    }
    let file = std::env::temp_dir().join(format!("queries-{}.yml", std::process::id()));
    fs::write(&file, rules).unwrap();
    let output = Command::new("promtool")
        .args(["check", "rules"])
        .arg(&file)
        .output();
    fs::remove_file(&file).unwrap();
    match output {
        Ok(output) => {
            let said = [output.stdout, output.stderr].concat();
            assert!(
                output.status.success(),
                "{}",
                String::from_utf8_lossy(&said)
            );
        }
        Err(_) => eprintln!("skipped: promtool is not installed"),
    }
}

/// Puts `made` between the two lines of a page that mark its place.
fn committed(file: &str, place: &str, made: &str) {
    let page = text(file);
    let (begin, end) = (
        format!("<!-- {place}: made by a test, UPDATE=1 writes it -->\n"),
        format!("<!-- end of {place} -->\n"),
    );
    let (before, rest) = page.split_once(&begin).unwrap();
    let (there, after) = rest.split_once(&end).unwrap();
    if std::env::var_os("UPDATE").is_some() {
        fs::write(
            root().join(file),
            format!("{before}{begin}{made}{end}{after}"),
        )
        .unwrap();
    } else {
        assert!(there == made, "{file}: {place} is not up to date");
    }
}

#[test]
fn the_tables_of_the_dialects_are_up_to_date() {
    let sections: Vec<String> = Dialect::builtins()
        .map(|dialect| dialect.markdown())
        .collect();
    committed(
        "docs/dialects.md",
        "tables",
        &format!("\n{}\n", sections.join("\n")),
    );
}

#[test]
fn the_coverage_of_the_queries_is_up_to_date() {
    let cell = |query: &str| format!("`{}`", query.replace('|', "\\|"));
    let (mut right, mut wrong) = (String::new(), String::new());
    for query in queries() {
        let dialects = query.dialects.join(", ");
        let (document, place) = (&query.document, &query.place);
        match &query.wrong {
            None => {
                _ = writeln!(
                    right,
                    "| {document} | {place} | {dialects} | {} |",
                    cell(&query.query)
                );
            }
            Some((written, why)) => {
                _ = writeln!(
                    wrong,
                    "| {document} | {place} | {} | {why} | {dialects} | {} |",
                    cell(written),
                    cell(&query.query)
                );
            }
        }
    }
    let made = format!(
        "\n### Wrong as written\n\n\
         | document | where | written | why it is wrong | dialect | instead |\n\
         | --- | --- | --- | --- | --- | --- |\n{wrong}\n\
         ### Right as meant\n\n\
         | document | where | dialect | query |\n| --- | --- | --- | --- |\n{right}\n"
    );
    committed("docs/coverage.md", "queries", &made);
}
