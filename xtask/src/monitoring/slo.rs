//! Service level objectives: rules and their tests from `monitoring/slo.yaml`.
//!
//! Events are added up before they are divided, so that a quiet night has the weight of its requests.
//! Good events are counted where somebody counted them: at an edge of the engine's own histogram.

mod edges;
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use self::edges::Edges;
use super::{RUNBOOKS, yaml};
use crate::report::{Result, ensure};

/// The file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Slos {
    window: String,
    interval: String,
    least_bad_events: u64,
    alerts: Vec<Alert>,
    objectives: Vec<Objective>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Alert {
    alert: String,
    severity: String,
    #[serde(rename = "for")]
    lasts: String,
    /// The long window must hold as much as the short one is long.
    #[serde(default)]
    settled: bool,
    /// An alert before this one, which says the same and more.
    unless: Option<String>,
    any: Vec<Burn>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Burn {
    rate: f64,
    long: String,
    short: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Objective {
    name: String,
    share: f64,
    /// The label in which the tenant is, where it is per tenant.
    tenant: Option<String>,
    of: Option<String>,
    #[serde(rename = "where", default)]
    matchers: String,
    #[serde(default)]
    within: BTreeMap<String, f64>,
    all: Option<String>,
    bad: Option<String>,
    /// Those of `bad` that were turned away before they were counted among `all`.
    refused: Option<String>,
}

/// What an objective counts.
enum Events<'a> {
    /// Observations of a histogram, good up to an edge of each kind of engine: what it is called on pages.
    Within {
        family: &'a str,
        matchers: &'a str,
        edges: Vec<(&'a str, Vec<String>)>,
    },
    /// Counters.
    Counted {
        all: &'a str,
        bad: &'a str,
        refused: Option<&'a str>,
    },
}

/// A file that is made.
pub(super) struct Made {
    pub(super) file: PathBuf,
    pub(super) text: String,
}

/// The rules and their tests.
pub(super) fn make(root: &Path) -> Result<Vec<Made>> {
    let monitoring = root.join("monitoring");
    let slos: Slos = yaml::read(&monitoring.join("slo.yaml"))?;
    let edges = Edges::read(root)?;
    let (rules, tests) = slos
        .made(&edges)
        .map_err(|error| format!("slo.yaml: {error}"))?;
    Ok(vec![
        Made {
            file: monitoring.join("rules/slo.yml"),
            text: rules,
        },
        Made {
            file: monitoring.join("tests/slo_test.yml"),
            text: tests,
        },
    ])
}

const HEAD: &str = "\
# Made from monitoring/slo.yaml by `cargo xtask monitoring --write`; change that file.
";

impl Slos {
    fn made(&self, edges: &Edges) -> Result<(String, String)> {
        self.check()?;
        let mut judged = Vec::new();
        for objective in &self.objectives {
            let events = objective
                .events(edges)
                .map_err(|error| format!("{}: {error}", objective.name))?;
            judged.push((objective, events));
        }
        Ok((self.rules(&judged), tests::tests(self, &judged)?))
    }

    fn check(&self) -> Result<()> {
        ensure!(!self.objectives.is_empty(), "there is not one objective");
        ensure!(!self.alerts.is_empty(), "there is not one alert");
        seconds(&self.interval)?;
        seconds(&self.window)?;
        let burns = || self.alerts.iter().flat_map(|alert| &alert.any);
        for burn in burns() {
            ensure!(
                seconds(&burn.short)? < seconds(&burn.long)?,
                "the short window {} is not below the long one, {}",
                burn.short,
                burn.long
            );
        }
        for (index, alert) in self.alerts.iter().enumerate() {
            if let Some(other) = &alert.unless {
                let is_before = self.alerts[..index].iter().any(|it| it.alert == *other);
                ensure!(is_before, "{}: there is no {other} before it", alert.alert);
            }
        }
        for (index, objective) in self.objectives.iter().enumerate() {
            let name = &objective.name;
            let twice = self.objectives[..index]
                .iter()
                .any(|other| other.name == *name);
            ensure!(!twice, "{name} is there twice");
            ensure!(
                objective.share > 0.0 && objective.share < 1.0,
                "{name}: share is {}, and must be between 0 and 1: 99 % is 0.99",
                objective.share
            );
            // Where all events are bad, the budget burns 1 / (1 - share) times as fast.
            let fastest = 1.0 / (1.0 - objective.share);
            for burn in burns() {
                ensure!(
                    burn.rate < fastest,
                    "{name}: a budget of {:.3} never burns {} times as fast: at {fastest:.1} all events are bad",
                    1.0 - objective.share,
                    burn.rate
                );
            }
        }
        Ok(())
    }

    /// All windows of the alerts, in the order of their length.
    fn windows(&self) -> Vec<&str> {
        let burns = self.alerts.iter().flat_map(|alert| &alert.any);
        let mut windows: Vec<&str> = burns
            .flat_map(|burn| [burn.long.as_str(), burn.short.as_str()])
            .collect();
        windows.sort_by_key(|window| seconds(window).unwrap_or(0));
        windows.dedup();
        windows
    }

    fn rules(&self, judged: &[(&Objective, Events)]) -> String {
        let mut text = format!("{HEAD}groups:\n");
        self.group(&mut text, "slo-events");
        for (objective, events) in judged {
            let slo = &objective.name;
            for (record, expression) in [
                ("slo:events:rate5m", objective.all(events)),
                ("slo:bad_events:rate5m", objective.bad(events)),
                (
                    // Of so many, that none missed the objective too often.
                    "slo:allowed_events:rate5m",
                    format!(
                        "slo:events:rate5m{{slo=\"{slo}\"}} * {}",
                        rounded(1.0 - objective.share)
                    ),
                ),
            ] {
                text.push_str(&format!(
                    "      - record: {record}\n        expr: |\n{}        labels:\n          slo: {slo}\n",
                    indented(&expression)
                ));
            }
        }
        self.group(&mut text, "slo-budgets");
        let spent = |window: &str| {
            format!(
                "sum_over_time(slo:bad_events:rate5m[{window}])\n\
                 / (sum_over_time(slo:allowed_events:rate5m[{window}]) > 0)"
            )
        };
        text.push_str("      # How fast the budget is spent: at 1 it lasts exactly its window.\n");
        for window in self.windows() {
            text.push_str(&format!(
                "      - record: slo:burn_rate:{window}\n        expr: |\n{}",
                indented(&spent(window))
            ));
        }
        text.push_str(&format!(
            "      # What is left of it over {}: 1 is all, 0 none, below 0 overdrawn.\n      \
             - record: slo:error_budget:remaining\n        expr: |\n{}",
            self.window,
            indented(&format!("1 - {}", spent(&self.window)))
        ));
        self.group(&mut text, "slo-alerts");
        for alert in &self.alerts {
            let name = &alert.alert;
            text.push_str(&format!(
                "      - alert: {name}\n        expr: |\n{}        for: {}\n        labels:\n          \
                 severity: {}\n        annotations:\n          summary: \"{SUMMARY}\"\n          \
                 description: '{DESCRIPTION}'\n          runbook_url: {RUNBOOKS}{name}.md\n",
                indented(&self.burning(alert)),
                alert.lasts,
                alert.severity,
            ));
        }
        text
    }

    fn group(&self, text: &mut String, name: &str) {
        text.push_str(&format!(
            "  - name: {name}\n    interval: {}\n    rules:\n",
            self.interval
        ));
    }

    fn burning(&self, alert: &Alert) -> String {
        let other = self
            .alerts
            .iter()
            .find(|other| alert.unless.as_ref() == Some(&other.alert));
        match other {
            Some(other) => format!(
                "(\n{}\n)\nunless\n(\n{}\n)",
                self.any(alert),
                self.any(other)
            ),
            None => self.any(alert),
        }
    }

    fn any(&self, alert: &Alert) -> String {
        let each = seconds(&self.interval).unwrap_or(0);
        let any: Vec<String> = alert
            .any
            .iter()
            .map(|Burn { rate, long, short }| {
                let settled = if alert.settled {
                    format!(
                        "\n  and count_over_time(slo:bad_events:rate5m[{long}]) * {each} >= {}",
                        seconds(short).unwrap_or(0)
                    )
                } else {
                    String::new()
                };
                format!(
                    "(\n  slo:burn_rate:{long} > {rate}\n  and slo:burn_rate:{short} > {rate}\n  \
                     and sum_over_time(slo:bad_events:rate5m[{long}]) * {each} >= {}{settled}\n)",
                    self.least_bad_events
                )
            })
            .collect();
        any.join("\nor\n")
    }
}

const SUMMARY: &str = "{{ $labels.model_name }}{{ with $labels.role }} ({{ . }}){{ end }} misses its objective {{ $labels.slo }}\
    {{ with $labels.tenant }} for tenant {{ . }}{{ end }}";
const DESCRIPTION: &str = "{{ $labels.model_name }}{{ with $labels.role }} ({{ . }}){{ end }} on \
    {{ $labels.backend }} misses the objective \
    {{ $labels.slo }}{{ with $labels.tenant }} for tenant {{ . }}{{ end }}: its error budget is spent \
    {{ printf \"%.1f\" $value }} times as fast as it may be.";

impl Objective {
    fn events(&self, edges: &Edges) -> Result<Events<'_>> {
        match (&self.of, &self.all, &self.bad) {
            (Some(family), None, None) => {
                ensure!(!self.within.is_empty(), "`of` without `within`");
                let mut found = Vec::new();
                for (backend, within) in &self.within {
                    found.push((backend.as_str(), edges.spelled(backend, family, *within)?));
                }
                Ok(Events::Within {
                    family,
                    matchers: &self.matchers,
                    edges: found,
                })
            }
            (None, Some(all), Some(bad)) => {
                ensure!(
                    self.within.is_empty() && self.matchers.is_empty(),
                    "`within` and `where` are for `of`; counters have none"
                );
                Ok(Events::Counted {
                    all,
                    bad,
                    refused: self.refused.as_deref(),
                })
            }
            _ => Err("needs either `of` and `within`, or `all` and `bad`".into()),
        }
    }

    /// Labels of the series, as the engine or the gateway has them. Of engines, prefill and decode are judged apart.
    fn by(&self) -> String {
        let last = self.tenant.as_deref().unwrap_or("role");
        format!("cluster, engine_namespace, backend, model_name, {last}")
    }

    fn summed(&self, selector: &str) -> String {
        let sum = format!("sum by ({}) (rate({selector}[5m]))", self.by());
        match &self.tenant {
            Some(label) => format!(
                "sum without ({label}) (label_replace({sum}, \"tenant\", \"$1\", \"{label}\", \"(.+)\"))"
            ),
            None => sum,
        }
    }

    fn all(&self, events: &Events) -> String {
        match events {
            // Only of engines that have the edge: of others nobody knows which were good.
            Events::Within { family, edges, .. } => {
                let each: Vec<String> = edges
                    .iter()
                    .map(|(backend, spellings)| {
                        format!(
                            "(\n  {}\n  and\n  {}\n)",
                            self.summed(&self.selected(family, "_count", backend, None)),
                            self.summed(&self.selected(
                                family,
                                "_bucket",
                                backend,
                                Some(spellings)
                            ))
                        )
                    })
                    .collect();
                each.join("\nor\n")
            }
            Events::Counted {
                all, refused: None, ..
            } => self.summed(all),
            // While nothing is taken there is no series of what was, or none that grows.
            Events::Counted {
                all,
                refused: Some(refused),
                ..
            } => {
                let (all, refused) = (self.summed(all), self.summed(refused));
                format!("{all}\n+\n{refused}\nor\n{all}\nor\n{refused}")
            }
        }
    }

    fn bad(&self, events: &Events) -> String {
        let slo = &self.name;
        let all = format!("slo:events:rate5m{{slo=\"{slo}\"}}");
        match events {
            Events::Within { family, edges, .. } => {
                let good: Vec<String> = edges
                    .iter()
                    .map(|(backend, spellings)| {
                        self.summed(&self.selected(family, "_bucket", backend, Some(spellings)))
                    })
                    .collect();
                // Two rates of the same events may differ in the last bit.
                format!(
                    "clamp_min(\n  {all}\n  - ignoring (slo) (\n    {}\n  ),\n  0\n)",
                    good.join("\n    or\n    ")
                )
            }
            // No series of failures is no failure, while there are events.
            Events::Counted { bad, .. } => format!(
                "{} and ignoring (slo) {all}\nor ignoring (slo)\n0 * {all}",
                self.summed(bad)
            ),
        }
    }

    fn selected(
        &self,
        family: &str,
        suffix: &str,
        backend: &str,
        spellings: Option<&[String]>,
    ) -> String {
        let mut matchers = vec![format!("backend=\"{backend}\"")];
        if !self.matchers.is_empty() {
            matchers.push(self.matchers.clone());
        }
        if let Some(spellings) = spellings {
            matchers.push(format!("le=~\"{}\"", edges::pattern(spellings)));
        }
        format!("{family}{suffix}{{{}}}", matchers.join(", "))
    }
}

/// Without what adding and subtracting leaves behind.
fn rounded(number: f64) -> f64 {
    (number * 1e9).round() / 1e9
}

/// `30s`, `5m`, `6h`, `3d`.
pub(super) fn seconds(duration: &str) -> Result<u64> {
    let wrong = || format!("{duration:?} is no duration like 30s, 5m, 6h or 3d");
    let unit = duration.chars().last().ok_or_else(wrong)?;
    let number: u64 = duration
        .trim_end_matches(unit)
        .parse()
        .map_err(|_| wrong())?;
    let of_unit = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return Err(wrong().into()),
    };
    Ok(number * of_unit)
}

/// As the block of an `expr: |`.
fn indented(expression: &str) -> String {
    expression
        .lines()
        .map(|line| format!("          {line}\n"))
        .collect()
}

#[cfg(test)]
mod unit {
    use super::*;

    fn slos(objective: &str) -> Result<(String, String)> {
        let text = format!(
            "window: 30d\ninterval: 30s\nleast_bad_events: 10\nalerts:\n  - alert: A\n    severity: critical\n    \
             for: 2m\n    any: [{{rate: 14.4, long: 1h, short: 5m}}]\n  - alert: B\n    severity: warning\n    for: 15m\n    \
             any: [{{rate: 3, long: 1d, short: 2h}}]\nobjectives:\n  - {objective}\n"
        );
        let folder = std::env::temp_dir().join(format!("slo-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let file = folder.join(format!("{}.yaml", objective.len()));
        std::fs::write(&file, text)?;
        let read: Slos = yaml::read(&file)?;
        std::fs::remove_file(&file)?;
        read.made(&Edges::of("vllm", "a_seconds", &["1.0", "2.5"]))
    }

    #[test]
    fn a_threshold_is_an_edge_or_refused_with_its_neighbours() {
        let (rules, _) = slos("{name: a, share: 0.99, of: a_seconds, within: {vllm: 1}}").unwrap();
        assert!(rules.contains(r#"le=~"1(\\.0)?""#), "{rules}");
        let error = slos("{name: a, share: 0.99, of: a_seconds, within: {vllm: 2}}").unwrap_err();
        assert_eq!(
            error.to_string(),
            "a: 2 is no edge of a_seconds on vllm; the next are 1.0 and 2.5"
        );
        let beyond = slos("{name: a, share: 0.99, of: a_seconds, within: {vllm: 30}}");
        assert!(beyond.unwrap_err().to_string().contains("the last is 2.5"));
        for (wrong, says) in [
            (
                "{name: a, share: 99, of: a_seconds, within: {vllm: 1}}",
                "0.99",
            ),
            (
                "{name: a, share: 0.9, of: a_seconds, within: {vllm: 1}}",
                "never burns",
            ),
            (
                "{name: a, share: 0.99, of: a_seconds, within: {tgi: 1}}",
                "no page of tgi",
            ),
            ("{name: a, share: 0.99, of: a_seconds}", "without `within`"),
            ("{name: a, share: 0.99, all: b}", "needs either"),
            ("{name: a, share: 0.99, al: b}", "al"),
        ] {
            let error = slos(wrong).unwrap_err().to_string();
            assert!(error.contains(says), "{wrong}: {error}");
        }
    }

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(seconds("90s").unwrap(), 90);
        assert_eq!(seconds("3d").unwrap(), 259_200);
        for wrong in ["", "5", "m", "5 m", "-1m", "1y"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
