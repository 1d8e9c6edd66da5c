//! The files by themselves: every name exists, every rule is tested both ways, every alert has its page, every
//! dashboard is whole, and promtool is content.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::dashboards::check;
use super::pack::{self, Look, Rule};
use super::{Pack, RUNBOOKS, made, promql};
use crate::cargo;
use crate::report::{Report, Result, Verdict, ensure, passed};
use crate::tools;

/// Labels that any series may have: ours of each source, those of histograms and summaries, what
/// Prometheus adds at the scrape, and those that operators add.
const LABELS_OF_ALL: [&str; 9] = [
    "backend",
    "target",
    "le",
    "quantile",
    "job",
    "instance",
    // What operators give a source; see docs/configuration.md.
    "node",
    "worker_id",
    "role",
];

pub(super) fn run(pack: &Pack, report: &mut Report) -> Result<()> {
    let Pack {
        root,
        rule_files,
        test_files,
        rules,
        looks,
        ..
    } = pack;
    let runbooks = root.join("docs/runbooks");
    let known = Known::read(root, rules)?;
    table(rules, looks);
    report.heading("monitoring: rules");
    report.check(
        "each rule has a test that shows it and one that does not",
        || tested(rules, looks),
    );
    report.check("each series that a rule selects exists", || {
        let faults = rules.iter().flat_map(|rule| {
            let faults = known.faults(&rule.expression);
            faults
                .into_iter()
                .map(move |fault| format!("{}, {}: {fault}", rule.file, rule.name))
        });
        none(faults.collect(), &format!("{} rules", rules.len()))
    });
    report.check(
        "each alert says how bad it is, what it is and what to do",
        || annotated(rules, &runbooks),
    );
    report.heading("monitoring: runbooks");
    report.check("each runbook belongs to an alert", || {
        let pages = pack::files(&runbooks, "md")?;
        let strays = pages.iter().map(|page| pack::name_of(page)).filter(|page| {
            !rules
                .iter()
                .any(|rule| rule.is_alert && *page == format!("{}.md", rule.name))
        });
        none(strays.collect(), &format!("{} pages", pages.len()))
    });
    report.check("each series that a runbook selects exists", || {
        let mut faults = Vec::new();
        let mut seen = 0;
        for page in pack::files(&runbooks, "md")? {
            for query in pack::queries(&std::fs::read_to_string(&page)?) {
                seen += 1;
                let found = known.faults(query);
                faults.extend(
                    found
                        .into_iter()
                        .map(|fault| format!("{}: {fault}", pack::name_of(&page))),
                );
            }
        }
        ensure!(seen > 0, "there is not one query");
        none(faults, &format!("{seen} queries"))
    });

    report.check("links of runbooks lead somewhere", || links(&runbooks));

    report.heading("monitoring: dashboards");
    report.check(
        "dashboards and objectives are what they are made from",
        || {
            drift(
                made(&pack.dashboards, &pack.objectives),
                &pack::files(&root.join("monitoring/dashboards"), "json")?,
            )
        },
    );
    let mut asked = Vec::new();
    for file in pack::files(&root.join("monitoring/dashboards"), "json")? {
        report.check(&pack::name_of(&file), || {
            let dashboard = serde_json::from_str(&std::fs::read_to_string(&file)?)?;
            let queries = check::queries(&dashboard);
            let mut faults = check::faults(&dashboard);
            for query in &queries {
                let found = known.faults(&query.filled("5m"));
                faults.extend(
                    found
                        .into_iter()
                        .map(|fault| format!("{}: {fault}", query.place)),
                );
            }
            let seen = format!("{} queries", queries.len());
            asked.extend(queries.iter().map(|query| query.filled("5m")));
            none(faults, &seen)
        });
    }

    report.heading("monitoring: promtool");
    let promtool = tools::prometheus();
    let available = |body: &dyn Fn() -> Result<Verdict>| match &promtool {
        Ok(()) => body(),
        Err(why) => Ok(Verdict::Skipped(why.clone())),
    };
    for file in rule_files {
        let name = pack::name_of(file);
        report.check(&format!("promtool check rules {name}"), || {
            available(&|| check_rules(file, rules.iter().filter(|rule| rule.file == name).count()))
        });
    }
    for file in test_files {
        report.check(
            &format!("promtool test rules {}", pack::name_of(file)),
            || available(&|| promtool_says(&["test", "rules"], file).and_then(|_| passed(""))),
        );
    }
    for page in pack::files(&runbooks, "md")? {
        let text = std::fs::read_to_string(page)?;
        asked.extend(pack::queries(&text).into_iter().map(str::to_owned));
    }
    report.check(
        "promtool parses the queries of runbooks and dashboards",
        || available(&|| parse_queries(&asked)),
    );
    Ok(())
}

/// What there is and how it is tested, for people.
fn table(rules: &[Rule], looks: &[Look]) {
    println!(
        "{:<36} {:<9} {:>4}  {:>6} {:>5}  file",
        "rule", "severity", "for", "shown", "quiet"
    );
    for rule in rules {
        let field = |key: &str| rule.fields.get(key).map_or("", String::as_str);
        let (shown, quiet) = counts(rule, looks);
        println!(
            "{:<36} {:<9} {:>4}  {shown:>6} {quiet:>5}  {}",
            rule.name,
            if rule.is_alert {
                field("severity")
            } else {
                "recorded"
            },
            field("for"),
            rule.file
        );
    }
}

/// How many looks of the tests expect the rule to show, and how many do not.
fn counts(rule: &Rule, looks: &[Look]) -> (usize, usize) {
    let of_rule = |look: &&Look| {
        look.is_alert == rule.is_alert
            && if rule.is_alert {
                look.of == rule.name
            } else {
                promql::selectors(&look.of)
                    .iter()
                    .any(|selector| selector.metric == rule.name)
            }
    };
    let shown = looks.iter().filter(of_rule).filter(|look| look.shows);
    let quiet = looks.iter().filter(of_rule).filter(|look| !look.shows);
    (shown.count(), quiet.count())
}

fn tested(rules: &[Rule], looks: &[Look]) -> Result<Verdict> {
    ensure!(!rules.is_empty(), "there is not one rule");
    let mut faults = Vec::new();
    let mut names = BTreeSet::new();
    for rule in rules {
        let (shown, quiet) = counts(rule, looks);
        if shown == 0 {
            faults.push(format!("no test in which {} shows", rule.name));
        }
        if quiet == 0 {
            faults.push(format!("no test in which {} is quiet", rule.name));
        }
        // One record may be made of several rules, told apart by a label.
        if !names.insert((&rule.name, rule.fields.get("slo"))) {
            faults.push(format!("{} is there twice", rule.name));
        }
    }
    none(
        faults,
        &format!("{} rules, {} looks", rules.len(), looks.len()),
    )
}

fn annotated(rules: &[Rule], runbooks: &Path) -> Result<Verdict> {
    let mut faults = Vec::new();
    let mut alerts = 0;
    for rule in rules.iter().filter(|rule| rule.is_alert) {
        alerts += 1;
        let field = |key: &str| rule.fields.get(key).map_or("", String::as_str);
        if !["info", "warning", "critical"].contains(&field("severity")) {
            faults.push(format!("{}: severity {:?}", rule.name, field("severity")));
        }
        for key in ["summary", "description"] {
            if field(key).is_empty() {
                faults.push(format!("{} has no {key}", rule.name));
            }
        }
        let page = field("runbook_url").strip_prefix(RUNBOOKS);
        if page != Some(&format!("{}.md", rule.name)) {
            faults.push(format!(
                "{}: runbook_url is {:?}",
                rule.name,
                field("runbook_url")
            ));
        } else if !page.is_some_and(|page| runbooks.join(page).is_file()) {
            faults.push(format!("{} has no runbook", rule.name));
        }
    }
    ensure!(alerts > 0, "there is not one alert");
    none(faults, &format!("{alerts} alerts"))
}

/// The series that can exist, with their labels.
struct Known {
    /// `None` for what a rule records: its labels follow from its expression.
    labels: BTreeMap<String, Option<BTreeSet<String>>>,
}

impl Known {
    fn read(root: &Path, rules: &[Rule]) -> Result<Self> {
        let lock = std::fs::read_to_string(root.join("docs/metrics.lock"))?;
        let mut known = Self::from_lock(&lock)?;
        for rule in rules.iter().filter(|rule| !rule.is_alert) {
            known.labels.insert(rule.name.clone(), None);
        }
        // Prometheus' own: of the alerts that it evaluates, and of the targets that it scrapes.
        known.labels.insert("ALERTS".to_owned(), None);
        known.labels.insert("up".to_owned(), None);
        Ok(known)
    }

    /// Reads `name type {label,label}` lines.
    fn from_lock(lock: &str) -> Result<Self> {
        let mut labels = BTreeMap::new();
        for line in lock.lines() {
            let mut parts = line.split_whitespace();
            let (Some(name), Some(kind), Some(list)) = (parts.next(), parts.next(), parts.next())
            else {
                return Err(format!("docs/metrics.lock: {line:?}").into());
            };
            let list: BTreeSet<String> = list
                .trim_matches(['{', '}'])
                .split(',')
                .filter(|label| !label.is_empty())
                .map(str::to_owned)
                .collect();
            // A histogram has no sample under its own name.
            let suffixes: &[&str] = match kind {
                "histogram" => &["_bucket", "_sum", "_count"],
                "summary" => &["", "_sum", "_count"],
                _ => &[""],
            };
            for suffix in suffixes {
                labels.insert(format!("{name}{suffix}"), Some(list.clone()));
            }
        }
        Ok(Self { labels })
    }

    fn faults(&self, expression: &str) -> Vec<String> {
        let mut faults = Vec::new();
        let selectors = promql::selectors(expression);
        if selectors.is_empty() {
            faults.push(format!("selects nothing: {expression}"));
        }
        for selector in selectors {
            let Some(labels) = self.labels.get(&selector.metric) else {
                faults.push(format!("there is no {}", selector.metric));
                continue;
            };
            for (label, operator) in selector.matchers {
                if label == "le" && operator == "=" {
                    faults.push(format!(
                        "{}: an edge is spelled 5.0 or 5, by the version of Prometheus: use =~",
                        selector.metric
                    ));
                }
                let is_known = LABELS_OF_ALL.contains(&label.as_str())
                    || labels.as_ref().is_none_or(|labels| labels.contains(&label));
                if !is_known {
                    faults.push(format!("{} has no label {label}", selector.metric));
                }
            }
        }
        faults
    }
}

/// Committed files against what they are made from.
fn drift<'a>(
    made: impl Iterator<Item = (&'a Path, &'a str)>,
    committed: &[PathBuf],
) -> Result<Verdict> {
    let mut faults = Vec::new();
    let mut files = BTreeSet::new();
    for (file, text) in made {
        if std::fs::read_to_string(file).unwrap_or_default() != text {
            faults.push(format!("{} differs", pack::name_of(file)));
        }
        files.insert(file);
    }
    for file in committed {
        if !files.contains(file.as_path()) {
            faults.push(format!("{} is made from nothing", pack::name_of(file)));
        }
    }
    ensure!(
        faults.is_empty(),
        "{}\n  `cargo xtask monitoring --write` writes them",
        faults.join("\n  ")
    );
    passed(format!("{} files", files.len()))
}

fn none(faults: Vec<String>, seen: &str) -> Result<Verdict> {
    ensure!(faults.is_empty(), "{}", faults.join("\n  "));
    passed(seen)
}

/// What promtool says on standard output, if it is content.
fn promtool_says(command: &[&str], file: &Path) -> Result<String> {
    let output = Command::new("promtool").args(command).arg(file).output()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(
        output.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(said)
}

fn check_rules(file: &Path, ours: usize) -> Result<Verdict> {
    let said = promtool_says(&["check", "rules"], file)?;
    let theirs = said
        .split_once("SUCCESS: ")
        .and_then(|(_, rest)| rest.split(' ').next())
        .and_then(|count| count.parse::<usize>().ok());
    ensure!(
        theirs == Some(ours),
        "{ours} rules were read here, promtool says: {said}"
    );
    passed(format!("{ours} rules"))
}

/// A rule file made of all queries: promtool has no other way to parse a bare one.
fn parse_queries(queries: &[String]) -> Result<Verdict> {
    ensure!(!queries.is_empty(), "there is not one query");
    let mut file = String::from("groups:\n  - name: queries\n    rules:\n");
    for (number, query) in queries.iter().enumerate() {
        let quoted = query.replace('\'', "''");
        file.push_str(&format!(
            "      - record: q:{number}\n        expr: '{quoted}'\n"
        ));
    }
    let path = cargo::target_folder().join("monitoring-queries.yml");
    std::fs::write(&path, file)?;
    promtool_says(&["check", "rules"], &path)?;
    passed(format!("{} queries", queries.len()))
}

/// Relative links of the runbooks, to each other and to the rest of the documentation.
fn links(runbooks: &Path) -> Result<Verdict> {
    let mut faults = Vec::new();
    let mut seen = 0;
    for page in pack::files(runbooks, "md")? {
        let text = std::fs::read_to_string(&page)?;
        for target in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            seen += 1;
            if !page.with_file_name(target).exists() {
                faults.push(format!("{}: {target}", pack::name_of(&page)));
            }
        }
    }
    ensure!(seen > 0, "there is not one link");
    none(faults, &format!("{seen} links"))
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn unknown_names_labels_and_edges_are_found() -> Result<()> {
        let known = Known::from_lock("a_seconds histogram {engine}\nb_total counter {}\n")?;
        assert!(
            known
                .faults(r#"rate(a_seconds_bucket{engine="0", le=~"5(\\.0)?"}[5m])"#)
                .is_empty()
        );
        assert_eq!(known.faults("a_seconds"), ["there is no a_seconds"]);
        assert_eq!(
            known.faults(r#"b_total{backend="x", reason="y"}"#),
            ["b_total has no label reason"]
        );
        assert_eq!(known.faults(r#"a_seconds_bucket{le="5"}"#).len(), 1);
        assert_eq!(known.faults("1 + 1").len(), 1);
        assert!(Known::from_lock("half a-line\n").is_err());
        Ok(())
    }
}
