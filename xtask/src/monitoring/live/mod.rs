//! End to end, with `tokenpath demo` and nothing simulated of Prometheus.
//!
//! A real Prometheus with our rules reads the demo, and every panel and variable of every dashboard is asked.
//! Beside it each incident happens in the demo's own time: its page is recorded every half minute of that time,
//! and Prometheus' rule engine (promtool) is given what was recorded, with the rules as committed. So an alert that
//! waits for an hour is seen to wait for an hour, in a minute, on a busy machine too.

mod panels;
mod recording;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use serde::Deserialize;

use self::recording::Recorder;
use super::pack::Rule;
use super::{Pack, yaml};
use crate::report::{Report, Result, Verdict, ensure, passed};
use crate::tools;

/// Incidents that happen at a time.
const AT_A_TIME: usize = 2;

/// What the demo without any incident is called.
const HEALTHY: &str = "healthy";

/// `monitoring/incidents.yaml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Incidents {
    incidents: BTreeMap<String, Expected>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    /// Of the demo's time.
    minutes: u64,
    fires: BTreeSet<String>,
}

pub(super) fn run(pack: &Pack, report: &mut Report) -> Result<()> {
    report.heading("monitoring: live");
    let incidents: Incidents = yaml::read(&pack.root.join("monitoring/incidents.yaml"))?;
    if let Err(why) = tools::prometheus() {
        report.check("a real Prometheus", || Ok(Verdict::Skipped(why)));
        return Ok(());
    }
    let Some(tokenpath) = crate::tests::release_tokenpath(report) else {
        return Ok(());
    };
    report.check("every incident that the demo knows is expected", || {
        known(&tokenpath, &incidents, &pack.rules)
    });
    let recorder = Recorder::new(&tokenpath, pack);
    let seen = Mutex::new(BTreeMap::new());
    // The longest first, so that none is left alone at the end.
    let mut queue: Vec<(&String, &Expected)> = incidents.incidents.iter().collect();
    queue.sort_by_key(|(_, expected)| std::cmp::Reverse(expected.minutes));
    let queue = Mutex::new(VecDeque::from(queue));
    let mut asked = None;
    std::thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                loop {
                    let next = queue
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .pop_front();
                    let Some((name, expected)) = next else {
                        return;
                    };
                    let incident = (name != HEALTHY).then_some(name.as_str());
                    // An error is only printed, and does not pass from thread to thread.
                    let outcome = recorder
                        .watch(incident, expected.minutes, &expected.fires)
                        .map_err(|error| error.to_string());
                    seen.lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .insert(name.clone(), outcome);
                }
            });
        }
        asked = Some(panels::ask(&tokenpath, pack));
    });
    let mut seen = seen.into_inner().unwrap_or_else(PoisonError::into_inner);

    if let Some(asked) = asked {
        panels::report(asked, pack, report);
    }
    for (name, expected) in &incidents.incidents {
        report.check(&format!("{name}: exactly these alerts fire"), || {
            let samples = seen.remove(name).ok_or("it did not run")??;
            let names: Vec<&str> = expected.fires.iter().map(String::as_str).collect();
            passed(format!(
                "{} ({} min, {samples} samples)",
                if names.is_empty() {
                    "none".to_owned()
                } else {
                    names.join(", ")
                },
                expected.minutes
            ))
        });
    }
    table(&pack.rules, &incidents);
    Ok(())
}

/// The incidents of the demo are those of the file, and alerts that the file names exist.
fn known(tokenpath: &Path, incidents: &Incidents, rules: &[Rule]) -> Result<Verdict> {
    let output = Command::new(tokenpath)
        .args(["demo", "--incident", "?"])
        .output()?;
    // It refuses, and lists what there is: `  name: what happens`.
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let there: BTreeSet<&str> = said
        .lines()
        .filter_map(|line| line.strip_prefix("  ")?.split_once(": "))
        .map(|(name, _)| name.trim())
        .filter(|name| !name.contains(' '))
        .collect();
    ensure!(!there.is_empty(), "the demo lists no incidents: {said}");
    let mut faults = Vec::new();
    for name in incidents.incidents.keys().filter(|name| *name != HEALTHY) {
        if !there.contains(name.as_str()) {
            faults.push(format!("the demo has no incident {name}"));
        }
    }
    for name in there {
        if !incidents.incidents.contains_key(name) {
            faults.push(format!("nobody expects {name}"));
        }
    }
    ensure!(
        incidents.incidents.contains_key(HEALTHY),
        "nobody expects a healthy world"
    );
    for alert in incidents
        .incidents
        .values()
        .flat_map(|expected| &expected.fires)
    {
        if !rules
            .iter()
            .any(|rule| rule.is_alert && rule.name == *alert)
        {
            faults.push(format!("there is no alert {alert}"));
        }
    }
    ensure!(faults.is_empty(), "{}", faults.join("\n  "));
    passed(format!("{} incidents", incidents.incidents.len()))
}

/// Which incidents make which alert fire.
fn table(rules: &[Rule], incidents: &Incidents) {
    println!("\n{:<28} fires in", "alert");
    for rule in rules.iter().filter(|rule| rule.is_alert) {
        let by: Vec<&str> = incidents
            .incidents
            .iter()
            .filter(|(_, expected)| expected.fires.contains(&rule.name))
            .map(|(name, _)| name.as_str())
            .collect();
        let by = if by.is_empty() {
            "no incident; its tests alone".to_owned()
        } else {
            by.join(", ")
        };
        println!("{:<28} {by}", rule.name);
    }
}
