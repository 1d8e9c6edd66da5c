//! Asks a real Prometheus everything that dashboards ask.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use super::super::Pack;
use super::super::dashboards::check;
use super::super::pack::name_of;
use crate::e2e::prometheus::{Prometheus, Scrape};
use crate::guard::Program;
use crate::http;
use crate::report::{Report, Result, Verdict, ensure, passed};

/// Something of which there is a panel that a healthy world leaves empty: one XID error, and nothing else.
const INCIDENT: &str = "xid";
/// Its alert, which waits for nothing.
const ITS_ALERT: &str = "GPUXidError";

/// Rules of objectives are evaluated every half minute, and build on each other; and machines that test are busy.
const LIMIT: Duration = Duration::from_secs(240);

/// What was asked.
pub(super) struct Asked {
    answers: Vec<Answer>,
    /// Alerts that fire.
    alerts: BTreeSet<String>,
    seconds: f64,
}

/// What a query of a dashboard gave.
struct Answer {
    dashboard: String,
    panel: String,
    place: String,
    expression: String,
    /// Why a demo has no answer, where that is so.
    absent: Option<String>,
    /// Series with a number.
    series: usize,
}

/// Starts a demo and a Prometheus with our rules, and asks until all has been answered.
pub(super) fn ask(tokenpath: &Path, pack: &Pack) -> Result<Asked> {
    let start = Instant::now();
    let target = http::free_address()?;
    let mut demo = Program::start(Command::new(tokenpath).args([
        "demo",
        "--incident",
        INCIDENT,
        "--web.listen-address",
        &target.to_string(),
    ]))?;
    demo.wait_for("page", Duration::from_secs(60), || {
        http::get(target, "/metrics", &[]).ok()
    })?;
    let mut prometheus = Prometheus::start(&Scrape {
        name: "panels",
        target,
        rules: Some(&pack.root.join("monitoring/rules")),
    })?;
    prometheus.ask("up", Duration::from_secs(60), |up| !up.is_empty())?;
    let mut answers = queries(pack);
    ensure!(!answers.is_empty(), "there is not one query");
    while start.elapsed() < LIMIT {
        std::thread::sleep(Duration::from_secs(5));
        let mut left = 0;
        for answer in answers.iter_mut().filter(|answer| answer.series == 0) {
            let found = prometheus
                .ask(&answer.expression, Duration::from_secs(30), |_| true)
                .map_err(|error| format!("{}: {error}", answer.place))?;
            answer.series = found.iter().filter(|one| !one.value.is_nan()).count();
            left += usize::from(answer.series == 0 && answer.absent.is_none());
        }
        if left == 0 {
            break;
        }
    }
    let firing = prometheus.ask(
        "ALERTS{alertstate=\"firing\"}",
        Duration::from_secs(60),
        |firing| !firing.is_empty(),
    )?;
    let alerts = firing
        .iter()
        .filter_map(|series| series.label("alertname").map(str::to_owned))
        .collect();
    demo.terminate(Duration::from_secs(30))?;
    Ok(Asked {
        answers,
        alerts,
        seconds: start.elapsed().as_secs_f64(),
    })
}

/// All queries of all dashboards, not asked yet.
fn queries(pack: &Pack) -> Vec<Answer> {
    let mut answers = Vec::new();
    for made in &pack.dashboards {
        for query in check::queries(&made.json) {
            let absent = made
                .absent
                .iter()
                .find(|(place, _)| *place == query.place)
                .map(|(_, why)| why.clone());
            answers.push(Answer {
                dashboard: name_of(&made.file),
                expression: query.filled("1m"),
                panel: query.panel,
                place: query.place,
                absent,
                series: 0,
            });
        }
    }
    answers
}

/// Says what was seen.
pub(super) fn report(asked: Result<Asked>, pack: &Pack, report: &mut Report) {
    let asked = match asked {
        Ok(asked) => asked,
        Err(error) => return report.check("a real Prometheus reads the demo", || Err(error)),
    };
    report.check(
        "a real Prometheus fires the alert of an incident, and no other",
        || {
            ensure!(
                asked.alerts == BTreeSet::from([ITS_ALERT.to_owned()]),
                "{INCIDENT} is to fire {ITS_ALERT}, and these fire: {:?}",
                asked.alerts
            );
            passed(format!("{ITS_ALERT}, by {INCIDENT}"))
        },
    );
    report.check("every panel and every variable has data", || {
        verdict(&asked, pack)
    });
}

fn verdict(asked: &Asked, pack: &Pack) -> Result<Verdict> {
    let mut faults = Vec::new();
    let mut panels: BTreeMap<(&str, &str), (usize, usize)> = BTreeMap::new();
    for answer in &asked.answers {
        let sums = panels
            .entry((&answer.dashboard, &answer.panel))
            .or_default();
        sums.0 += 1;
        sums.1 += answer.series;
        match (&answer.absent, answer.series) {
            (None, 0) => faults.push(format!(
                "{}, {}: no data: {}",
                answer.dashboard, answer.place, answer.expression
            )),
            (Some(why), 1..) => faults.push(format!(
                "{}, {}: there is data, though {why}",
                answer.dashboard, answer.place
            )),
            _ => {}
        }
    }
    println!(
        "\n{:<36} {:<36} {:>7} {:>6}",
        "dashboard", "panel", "queries", "series"
    );
    for ((dashboard, panel), (queries, series)) in &panels {
        println!("{dashboard:<36} {panel:<36} {queries:>7} {series:>6}");
        if *series == 0 {
            faults.push(format!("{dashboard}, {panel}: all of it is empty"));
        }
    }
    ensure!(faults.is_empty(), "{}", faults.join("\n  "));
    let absent = asked
        .answers
        .iter()
        .filter(|answer| answer.absent.is_some());
    passed(format!(
        "{} dashboards, {} panels and variables, {} queries, of which {} only other set-ups answer ({:.0} s)",
        pack.dashboards.len(),
        panels.len(),
        asked.answers.len(),
        absent.count(),
        asked.seconds
    ))
}
