//! The page of a demo in which something goes wrong, recorded in the demo's own time, and what Prometheus' rule engine
//! makes of it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::super::pack::{Rule, name_of};
use super::super::{Pack, promql};
use crate::cargo;
use crate::guard::Program;
use crate::http;
use crate::report::{Result, ensure};

/// Seconds of the demo's time between two readings and two evaluations; the interval of the rules of objectives.
const STEP: u64 = 30;

/// How to record and to judge.
pub(super) struct Recorder<'a> {
    tokenpath: &'a Path,
    rule_files: &'a [PathBuf],
    /// Metrics that rules select; the others would only be carried about.
    wanted: BTreeSet<String>,
    /// In the order in which they are to be evaluated.
    groups: Vec<String>,
    /// A free port is looked for by one at a time.
    starting: Mutex<()>,
}

/// Series as they stand on the page, with a value for each reading.
type Recorded = BTreeMap<String, Vec<Option<f64>>>;

impl<'a> Recorder<'a> {
    pub(super) fn new(tokenpath: &'a Path, pack: &'a Pack) -> Self {
        let wanted = pack
            .rules
            .iter()
            .flat_map(|rule: &Rule| promql::selectors(&rule.expression))
            .map(|selector| selector.metric)
            .collect();
        Self {
            tokenpath,
            rule_files: &pack.rule_files,
            wanted,
            groups: groups(&pack.rule_files),
            starting: Mutex::new(()),
        }
    }

    /// Lets it happen for so long, and fails unless exactly these alerts fired. Returns how many samples there were.
    pub(super) fn watch(
        &self,
        incident: Option<&str>,
        minutes: u64,
        fires: &BTreeSet<String>,
    ) -> Result<usize> {
        let recorded = self.record(incident, minutes)?;
        let samples = recorded.values().flatten().flatten().count();
        ensure!(samples > 0, "nothing was recorded");
        let name = incident.unwrap_or("healthy");
        let file = cargo::target_folder().join(format!("incident-{name}.yml"));
        std::fs::write(&file, self.test(&recorded, minutes, fires))?;
        let output = Command::new("promtool")
            .args(["test", "rules"])
            .arg(&file)
            .output()?;
        let said = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        ensure!(
            output.status.success(),
            "{}\n  (what was recorded is in {})",
            difference(&said, fires),
            name_of(&file)
        );
        std::fs::remove_file(&file)?;
        Ok(samples)
    }

    fn record(&self, incident: Option<&str>, minutes: u64) -> Result<Recorded> {
        let (mut demo, page, twin) = self.start(incident)?;
        let mut recorded = Recorded::new();
        let steps = minutes * 60 / STEP;
        let mut readings = Vec::new();
        for step in 0..=steps {
            let answer = http::get(page, "/metrics", &[])?;
            ensure!(answer.status == 200, "{}: {}", answer.status, answer.body);
            readings.push(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64());
            let at = usize::try_from(step)?;
            for (series, value) in self.samples(&answer.body) {
                let value = if series.contains("_timestamp_seconds{") {
                    in_steps(value, &readings)
                } else {
                    value
                };
                let values = recorded.entry(series).or_default();
                values.resize(at, None);
                values.push(Some(value));
            }
            let passed = http::post(twin, &format!("/debug/advance?seconds={STEP}"))?;
            ensure!(passed.status == 204, "{}: {}", passed.status, passed.body);
            demo.is_alive()?;
        }
        demo.terminate(Duration::from_secs(30))?;
        Ok(recorded)
    }

    /// A demo whose time stands still but for us: its page, and where its time is let pass.
    fn start(&self, incident: Option<&str>) -> Result<(Program, SocketAddr, SocketAddr)> {
        let _turn = self
            .starting
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let page = http::free_address()?;
        let mut command = Command::new(self.tokenpath);
        command
            .args(["demo", "--speed", "0"])
            .args(["--web.listen-address", &page.to_string()]);
        if let Some(incident) = incident {
            command.args(["--incident", incident]);
        }
        let mut demo = Program::start(&mut command)?;
        let limit = Duration::from_secs(60);
        demo.wait_for("page", limit, || http::get(page, "/metrics", &[]).ok())?;
        let twin = demo
            .stdout()
            .split_whitespace()
            .find_map(|word| word.strip_prefix("twin=http://")?.parse().ok())
            .ok_or("the demo does not say where its twins are")?;
        Ok((demo, page, twin))
    }

    /// Samples of a page that rules look at.
    fn samples<'b>(&self, page: &'b str) -> impl Iterator<Item = (String, f64)> + use<'_, 'b, 'a> {
        page.lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| {
                let (series, value) = line.rsplit_once(' ')?;
                let name = series.split('{').next()?;
                self.wanted
                    .contains(name)
                    .then(|| Some((series.to_owned(), value.parse().ok()?)))?
            })
    }

    /// A test for promtool: all that was recorded, and the alerts that may have fired by its end.
    fn test(&self, recorded: &Recorded, minutes: u64, fires: &BTreeSet<String>) -> String {
        let mut text = String::from("rule_files:\n");
        for file in self.rule_files {
            text.push_str(&format!("  - '{}'\n", file.display()));
        }
        text.push_str(&format!(
            "evaluation_interval: {STEP}s\ngroup_eval_order: [{}]\ntests:\n  - interval: {STEP}s\n    input_series:\n",
            self.groups.join(", ")
        ));
        for (series, values) in recorded {
            let values: Vec<String> = values
                .iter()
                .map(|value| value.map_or("_".to_owned(), |value| value.to_string()))
                .collect();
            text.push_str(&format!(
                "      - series: '{}'\n        values: '{}'\n",
                series.replace('\'', "''"),
                values.join(" ")
            ));
        }
        text.push_str(&format!(
            "    promql_expr_test:\n      - expr: 'group by (alertname) (max_over_time(ALERTS{{alertstate=\"firing\"}}[{minutes}m]))'\n        \
             eval_time: {minutes}m\n        exp_samples:{}\n",
            if fires.is_empty() { " []" } else { "" }
        ));
        for alert in fires {
            text.push_str(&format!(
                "          - labels: '{{alertname=\"{alert}\"}}'\n            value: 1\n"
            ));
        }
        text
    }
}

/// A moment of the exporter's clock in the demo's time, which promtool's clock follows: that of the first reading
/// that can have known it. What lies ahead is as far ahead of the last one.
fn in_steps(moment: f64, readings: &[f64]) -> f64 {
    let step = readings.partition_point(|reading| *reading < moment);
    let ahead = readings.last().map_or(0.0, |last| (moment - last).max(0.0));
    #[expect(clippy::cast_precision_loss, reason = "an hour or two in seconds")]
    let at = (step.min(readings.len().saturating_sub(1)) as u64 * STEP) as f64;
    at + ahead
}

/// The groups of rule files: those that record before those that read what was recorded.
fn groups(files: &[PathBuf]) -> Vec<String> {
    let mut files: Vec<&PathBuf> = files.iter().collect();
    files.sort_by_key(|file| (name_of(file) != "recording.yml", name_of(file) != "slo.yml"));
    files
        .iter()
        .filter_map(|file| std::fs::read_to_string(file).ok())
        .flat_map(|text| {
            text.lines()
                .filter_map(|line| line.strip_prefix("  - name: ").map(str::to_owned))
                .collect::<Vec<_>>()
        })
        .collect()
}

/// What promtool says, as alerts that are missing and alerts that nobody meant; all of it where it is no such answer.
fn difference(said: &str, fires: &BTreeSet<String>) -> String {
    let Some((_, got)) = said.split_once("got:") else {
        return said.trim().to_owned();
    };
    let got: BTreeSet<&str> = got
        .split("alertname=\"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .collect();
    let missing = fires.iter().filter(|alert| !got.contains(alert.as_str()));
    let missing = missing.map(|alert| format!("{alert} did not fire"));
    let others = got.iter().filter(|alert| !fires.contains(**alert));
    let others = others.map(|alert| format!("{alert} fired"));
    missing.chain(others).collect::<Vec<_>>().join("\n  ")
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn moments_are_those_of_the_reading_that_first_knew_them() {
        let readings = [1000.0, 1000.5, 1001.5];
        for (moment, at) in [
            (7.0, 0.0),
            (1000.0, 0.0),
            (1000.1, 30.0),
            (1000.5, 30.0),
            (1001.0, 60.0),
            (1101.5, 160.0),
        ] {
            assert!((in_steps(moment, &readings) - at).abs() < 1e-9, "{moment}");
        }
    }

    #[test]
    fn what_differs_is_told_in_words() {
        let fires = BTreeSet::from(["A".to_owned(), "B".to_owned()]);
        let said = "exp: {alertname=\"A\"} {alertname=\"B\"}\n got:{alertname=\"B\"} 1, {alertname=\"C\"} 1";
        assert_eq!(difference(said, &fires), "A did not fire\n  C fired");
        assert_eq!(difference(" broken \n", &fires), "broken");
    }
}
