//! Tests of the rules of objectives, for promtool: each alert of each objective, both ways and at the edge.

use super::super::promql;
use super::{Events, HEAD, Objective, RUNBOOKS, Slos, rounded, seconds};
use crate::report::{Result, ensure};

/// Events in each step of a test, so that shares of them are whole numbers.
const EVENTS: f64 = 10_000.0;

/// The value of a label that another value is kept out of.
const OTHER: &str = "other";

/// What happens to an objective in a test, in turn: how many steps, of how many events, how fast the
/// budget is spent by them.
type Course<'a> = &'a [(u64, f64, f64)];

/// Something that is looked at.
struct Look {
    minute: u64,
    alert: usize,
    /// How fast the budget is spent by then, where the alert fires.
    fires: Option<f64>,
}

pub(super) fn tests(slos: &Slos, judged: &[(&Objective, Events)]) -> Result<String> {
    ensure!(
        seconds(&slos.interval)? == 30,
        "tests are written for an interval of 30s, the rules have {}",
        slos.interval
    );
    let [fast, slow] = slos.alerts.as_slice() else {
        return Err("tests are written for two alerts, the faster one first".into());
    };
    let least = |alert: &super::Alert| {
        let rates = alert.any.iter().map(|burn| burn.rate);
        rates.fold(f64::INFINITY, f64::min)
    };
    let (fast_from, slow_from) = (least(fast), least(slow));
    let mut text = format!(
        "{HEAD}rule_files:\n  - ../rules/slo.yml\nevaluation_interval: 30s\n\
         group_eval_order: [slo-events, slo-budgets, slo-alerts]\ntests:\n"
    );
    for (objective, events) in judged {
        let fastest = rounded(1.0 / (1.0 - objective.share));
        for case in cases(events) {
            let mut test = |name: &str, course: Course, looks: &[Look], more: &str| {
                text.push_str(&format!(
                    "  - name: '{}{}: {name}'\n    interval: 30s\n    input_series:\n",
                    objective.name, case.title
                ));
                text.push_str(&case.series(objective, course));
                text.push_str("    alert_rule_test:\n");
                for look in looks {
                    text.push_str(&looked(slos, objective, &case, look));
                }
                text.push_str(more);
                text.push('\n');
            };
            let look = |minute, alert, fires| Look {
                minute,
                alert,
                fires,
            };
            test(
                "every event missed it: the fast alert, once it lasts, and not the slow one too",
                &[(320, EVENTS, fastest)],
                &[
                    look(1, 0, None),
                    look(10, 0, Some(fastest)),
                    look(10, 1, None),
                    look(150, 1, None),
                ],
                &recorded(slos, objective, &case, fastest),
            );
            let between = (fast_from + slow_from) / 2.0;
            test(
                "slower than the fast alert, faster than the slow one, once there is something to judge by",
                &[(320, EVENTS, between)],
                &[
                    look(110, 0, None),
                    look(110, 1, None),
                    look(150, 0, None),
                    look(150, 1, Some(between)),
                ],
                "",
            );
            test(
                "just under the edge of both: quiet",
                &[(800, EVENTS, slow_from * 0.99)],
                &[look(390, 0, None), look(390, 1, None)],
                "",
            );
            test(
                "just over the edge of the slow one",
                &[(800, EVENTS, slow_from * 1.01)],
                &[
                    look(390, 0, None),
                    look(340, 1, None),
                    look(390, 1, Some(slow_from * 1.01)),
                ],
                "",
            );
            let (over, under) = (fast_from * 1.01, fast_from * 0.99);
            test(
                "just over the edge of the fast alert",
                &[(320, EVENTS, over)],
                &[look(150, 0, Some(over)), look(150, 1, None)],
                "",
            );
            test(
                "just under it",
                &[(320, EVENTS, under)],
                &[look(150, 0, None), look(150, 1, Some(under))],
                "",
            );
            test(
                "over and well again: the fast alert ends, though the long windows remember",
                &[(60, EVENTS, fastest), (120, EVENTS, 0.0)],
                &[look(20, 0, Some(fastest)), look(75, 0, None)],
                "",
            );
            test(
                "little traffic: a few misses are no alert, however large their share",
                &[(4, 1.0, fastest), (316, 0.0, 0.0)],
                &[look(4, 0, None), look(30, 0, None), look(150, 1, None)],
                "",
            );
            test(
                "no traffic: nothing to say",
                &[(60, 0.0, 0.0)],
                &[look(20, 0, None), look(20, 1, None)],
                &silent(slos, objective),
            );
        }
    }
    while text.ends_with("\n\n") {
        text.pop();
    }
    Ok(text)
}

/// A kind of engine that an objective is tested with.
struct Case<'a> {
    title: String,
    backend: &'a str,
    /// The edge, where the events are observations.
    edge: Option<&'a str>,
    events: &'a Events<'a>,
}

fn cases<'a>(events: &'a Events) -> Vec<Case<'a>> {
    match events {
        Events::Within { edges, .. } => edges
            .iter()
            .map(|(backend, spellings)| Case {
                title: format!(" on {backend}"),
                backend,
                edge: spellings.first().map(String::as_str),
                events,
            })
            .collect(),
        Events::Counted { .. } => vec![Case {
            title: String::new(),
            backend: "engine",
            edge: None,
            events,
        }],
    }
}

impl Case<'_> {
    /// Counters that follow a course.
    fn series(&self, objective: &Objective, course: Course) -> String {
        let good = |events: f64, burn: f64| events - misses(objective, events, burn);
        let bad = |events: f64, burn: f64| misses(objective, events, burn);
        let all = |events: f64, _: f64| events;
        match self.events {
            Events::Within {
                family, matchers, ..
            } => {
                let edge = self.edge.unwrap_or_default();
                let bucket = |le: &str| {
                    let labels = format!("le=\"{le}\"{}", labels_for(matchers));
                    self.named(objective, &format!("{family}_bucket"), &labels)
                };
                let count = labels_for(matchers);
                let count = self.named(
                    objective,
                    &format!("{family}_count"),
                    count.trim_start_matches(','),
                );
                [
                    line(&bucket(edge), course, good),
                    line(&bucket("+Inf"), course, all),
                    line(&count, course, all),
                ]
                .concat()
            }
            Events::Counted {
                all: of, bad: but, ..
            } => {
                let name = |selector: &str| {
                    let (metric, matchers) = selector.split_once('{').unwrap_or((selector, ""));
                    let labels = labels_for(matchers.trim_end_matches('}'));
                    (
                        metric.to_owned(),
                        self.named(objective, metric, labels.trim_start_matches(',')),
                    )
                };
                let ((metric, whole), (part_of, part)) = (name(of), name(but));
                // Where failures are counted among the whole, the rest of it is good.
                let whole = if metric == part_of {
                    line(&whole, course, good)
                } else {
                    line(&whole, course, all)
                };
                whole + &line(&part, course, bad)
            }
        }
    }

    /// The leg that a series of the test is of, where the objective leaves one out.
    fn role(&self) -> Option<&'static str> {
        match self.events {
            Events::Within { matchers, .. } if matchers.contains("role!=") => Some(OTHER),
            _ => None,
        }
    }

    fn named(&self, objective: &Objective, metric: &str, labels: &str) -> String {
        let mut list = format!("backend=\"{}\",model_name=\"m\"", self.backend);
        if let Some(tenant) = &objective.tenant {
            list.push_str(&format!(",{tenant}=\"t\""));
        }
        if !labels.is_empty() {
            list.push_str(&format!(",{labels}"));
        }
        format!("{metric}{{{list}}}")
    }
}

/// Of so many events, how many miss the objective while its budget burns so fast.
fn misses(objective: &Objective, events: f64, burn: f64) -> f64 {
    rounded(events * burn * (1.0 - objective.share))
}

/// A series of a test: promtool's notation of what is added in each step.
fn line(series: &str, course: Course, each: impl Fn(f64, f64) -> f64) -> String {
    let mut from = 0.0;
    let mut values = Vec::new();
    for (steps, events, burn) in course {
        let step = each(*events, *burn);
        values.push(format!("{}+{step}x{}", rounded(from), steps - 1));
        // The next stretch begins a step later.
        #[expect(clippy::cast_precision_loss, reason = "a few hundred steps")]
        let steps = *steps as f64;
        from += step * steps;
    }
    format!(
        "      - series: '{series}'\n        values: '{}'\n",
        values.join(" ")
    )
}

/// Labels that matchers of this kind select, each with a comma before it.
fn labels_for(matchers: &str) -> String {
    let whole = format!("m{{{matchers}}}");
    let mut rest = matchers;
    let mut labels = String::new();
    for (label, operator) in promql::selectors(&whole)
        .into_iter()
        .flat_map(|selector| selector.matchers)
    {
        let value = rest.split('"').nth(1).unwrap_or_default();
        rest = rest.splitn(3, '"').nth(2).unwrap_or_default();
        let value = match operator.as_str() {
            "=" => value,
            "=~" => value.split('|').next().unwrap_or_default(),
            _ => OTHER,
        };
        labels.push_str(&format!(",{label}=\"{value}\""));
    }
    labels
}

fn looked(slos: &Slos, objective: &Objective, case: &Case, look: &Look) -> String {
    let alert = &slos.alerts[look.alert];
    let name = &alert.alert;
    let head = format!(
        "      - eval_time: {}m\n        alertname: {name}\n        exp_alerts:",
        look.minute
    );
    let Some(burn) = look.fires else {
        return format!("{head} []\n");
    };
    let slo = &objective.name;
    let (tenant, of_tenant) = match objective.tenant {
        Some(_) => ("              tenant: 't'\n", " for tenant t"),
        None => ("", ""),
    };
    let (role, of_role) = case.role().map_or_else(Default::default, |role| {
        (
            format!("              role: '{role}'\n"),
            format!(" ({role})"),
        )
    });
    format!(
        "{head}\n          - exp_labels:\n              backend: '{backend}'\n              model_name: 'm'\n{role}              \
         severity: '{severity}'\n              slo: '{slo}'\n{tenant}            exp_annotations:\n              \
         summary: 'm{of_role} misses its objective {slo}{of_tenant}'\n              \
         description: 'm{of_role} on {backend} misses the objective {slo}{of_tenant}: its error budget is spent \
         {burn:.1} times as fast as it may be.'\n              runbook_url: '{RUNBOOKS}{name}.md'\n",
        backend = case.backend,
        severity = alert.severity,
    )
}

/// What the recording rules say while the budget burns.
fn recorded(slos: &Slos, objective: &Objective, case: &Case, burn: f64) -> String {
    let slo = &objective.name;
    let tenant = match objective.tenant {
        Some(_) => ", tenant=\"t\"",
        None => "",
    };
    let role = case
        .role()
        .map_or_else(String::new, |role| format!(", role=\"{role}\""));
    let labels = format!(
        "{{backend=\"{}\", model_name=\"m\"{role}, slo=\"{slo}\"{tenant}}}",
        case.backend
    );
    let a_second = EVENTS / 30.0;
    let allowed = rounded(1.0 - objective.share);
    let mut text = String::from("    promql_expr_test:\n");
    let mut expect = |record: &str, value: f64| {
        text.push_str(&format!(
            "      - expr: 'round({record}{{slo=\"{slo}\"}}, 0.001)'\n        eval_time: 20m\n        exp_samples:\n          \
             - labels: '{labels}'\n            value: {}\n",
            (value * 1e3).round() / 1e3
        ));
    };
    expect("slo:events:rate5m", a_second);
    expect(
        "slo:bad_events:rate5m",
        misses(objective, EVENTS, burn) / 30.0,
    );
    expect("slo:allowed_events:rate5m", a_second * allowed);
    for window in slos.windows() {
        expect(&format!("slo:burn_rate:{window}"), burn);
    }
    expect("slo:error_budget:remaining", 1.0 - burn);
    text
}

/// What they say without traffic.
fn silent(slos: &Slos, objective: &Objective) -> String {
    let mut text = String::from("    promql_expr_test:\n");
    let windows = slos.windows();
    let burns = windows
        .iter()
        .map(|window| format!("slo:burn_rate:{window}"));
    let rates = ["events", "bad_events", "allowed_events"].map(|of| format!("slo:{of}:rate5m"));
    let all = rates
        .into_iter()
        .chain(burns)
        .chain(["slo:error_budget:remaining".to_owned()]);
    for record in all {
        text.push_str(&format!(
            "      - expr: '{record}{{slo=\"{}\"}} != 0'\n        eval_time: 20m\n        exp_samples: []\n",
            objective.name
        ));
    }
    text
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn matchers_become_labels_that_they_select() {
        assert_eq!(
            labels_for(r#"a="b", c=~"d|e", f!="g", h!~"i|j""#),
            r#",a="b",c="d",f="other",h="other""#
        );
        assert_eq!(labels_for(""), "");
    }

    #[test]
    fn a_course_is_added_up() {
        let steps = line("s", &[(3, 10.0, 1.0), (2, 0.0, 0.0)], |events, _| events);
        assert!(steps.contains("'0+10x2 30+0x1'"), "{steps}");
    }
}
