//! Page and admin API against recorded ones.

use std::collections::BTreeSet;

use super::*;
use crate::random::Random;
use crate::world::{World, WorldConfig};

fn world() -> World {
    let mut world = World::new(WorldConfig {
        limitador: Some(Limitador {
            namespaces: vec![
                Namespace {
                    name: "llm/requests".to_owned(),
                    counts: Counts::Requests,
                    limits: vec![Limit {
                        name: "requests-per-user".to_owned(),
                        max: 30,
                        seconds: 10,
                        group: None,
                    }],
                },
                Namespace {
                    name: "llm/chat".to_owned(),
                    counts: Counts::Tokens,
                    limits: vec![Limit {
                        name: "tokens-free".to_owned(),
                        max: 3_000,
                        seconds: 3_600,
                        group: Some("free".to_owned()),
                    }],
                },
            ],
        }),
        ..WorldConfig::default()
    })
    .unwrap();
    world.advance(40.0);
    world
}

/// A line without the values of its labels and its number, its labels sorted.
fn form(line: &str) -> String {
    let Some((name, rest)) = line.split_once('{') else {
        return line
            .rsplit_once(' ')
            .map_or(line, |(name, _)| name)
            .to_owned();
    };
    let mut keys: Vec<&str> = rest
        .split("=\"")
        .filter_map(|part| part.rsplit([',', '{']).next())
        .collect();
    keys.pop();
    keys.sort_unstable();
    format!("{name}{keys:?}")
}

#[test]
fn the_page_is_built_as_the_recorded_one() {
    let world = world();
    let truth = world.limitador().unwrap();
    let page = page(truth, &world.config().tenants, &mut Random::new(1, 1));
    let recorded = include_str!("../../tests/pages/limitador-2.4.0-dev-labels-t2-all.txt");
    // The recorded server has other labels in other namespaces, and one of all of them.
    let recorded: String = recorded
        .lines()
        .filter(|line| !line.contains('{') || line.contains("token-labs/gateway"))
        .map(|line| format!("{}\n", line.replace("site=\"lab-1\",", "")))
        .collect();
    let forms = |page: &str| -> BTreeSet<String> {
        page.lines()
            .map(|line| {
                if line.starts_with('#') {
                    line.to_owned()
                } else {
                    form(line)
                }
            })
            .collect()
    };
    assert_eq!(forms(&page), forms(&recorded));
}

#[test]
fn labels_stand_in_any_order() {
    let world = world();
    let truth = world.limitador().unwrap();
    let page = page(truth, &world.config().tenants, &mut Random::new(1, 1));
    assert!(page.contains("{user=") && page.contains("{group="));
    assert!(!page.contains("{limitador_namespace=\"llm/chat\",user"));
}

#[test]
fn counters_are_built_as_the_recorded_ones_and_wrap_below_zero() {
    let world = world();
    let truth = world.limitador().unwrap();
    let tenants = &world.config().tenants;
    let mut order = Random::new(1, 1);
    let got = admin::counters(truth, tenants, "llm/chat", world.now(), &mut order);
    let recorded = include_str!(
        "../../tests/pages/limitador-2.4.0-dev-labels-t2-all-counters-token-labs.json"
    );
    let first = |json: &str| json.split("},{\"limit\"").next().unwrap().to_owned();
    let keys = |json: &str| -> Vec<String> {
        let mut parts: Vec<&str> = json.split("\":").collect();
        // What follows the last key.
        parts.pop();
        let keys = parts.into_iter().filter_map(|part| part.rsplit('"').next());
        keys.map(str::to_owned).collect()
    };
    assert_eq!(
        keys(&first(&got)),
        keys(&first(recorded)),
        "{got}\n{recorded}"
    );
    // Someone overshot: what remains is a little less than 2^64.
    assert!(got.contains("\"remaining\":184467440737095"), "{got}");
    assert_eq!(
        admin::counters(truth, tenants, "no/such", world.now(), &mut order),
        "[]"
    );
    assert_eq!(admin::limits(truth, "no/such", &mut order), "[]");
    let limits = admin::limits(truth, "llm/chat", &mut order);
    assert!(limits.starts_with("[{\"id\":null,\"namespace\":\"llm/chat\",\"max_value\":3000,"));
}

#[test]
fn status_is_built_as_the_recorded_one() {
    let recorded = include_str!("../../tests/pages/limitador-2.4.0-dev-labels-t2-all-status.json");
    // 2026-11-22T02:47:21.
    let got = admin::status(1_795_315_641.0);
    assert_eq!(got.len(), recorded.trim_end().len());
    let second = |json: &str| json.split('.').next().unwrap().to_owned();
    assert_eq!(second(&got), second(recorded));
}

fn tenants() -> Vec<Tenant> {
    ["free", "paid"]
        .iter()
        .map(|group| Tenant {
            user: format!("user-{group}"),
            group: (*group).to_owned(),
            share: 1.0,
            priority: 0,
        })
        .collect()
}

fn truth(counts: Counts) -> LimitadorTruth {
    LimitadorTruth::new(Limitador {
        namespaces: vec![Namespace {
            name: "a/b".to_owned(),
            counts,
            limits: vec![Limit {
                name: "free".to_owned(),
                max: 10,
                seconds: 60,
                group: Some("free".to_owned()),
            }],
        }],
    })
}

#[test]
fn the_last_answer_overshoots_a_quota_of_tokens() {
    let (tenants, mut truth) = (tenants(), truth(Counts::Tokens));
    assert!(truth.check(0, &tenants, 0.0));
    truth.report(0, &tenants, 9, 1.0);
    assert!(truth.check(0, &tenants, 2.0));
    truth.report(0, &tenants, 5, 3.0);
    assert!(!truth.check(0, &tenants, 4.0));
    let windows: Vec<_> = truth.windows(4.0).collect();
    assert_eq!(
        windows,
        [(
            (0, 0, 0),
            Window {
                used: 14,
                ends: 61.0
            }
        )]
    );
    assert_eq!(truth.authorized_calls[&(0, 0)], 2);
    assert_eq!(truth.authorized_hits[&(0, 0)], 14);
    assert_eq!(truth.limited_calls[&(0, 0, 0)], 1);
    // The window is over: it is no longer listed, and all may be used again.
    assert_eq!(truth.windows(61.0).count(), 0);
    assert!(truth.check(0, &tenants, 61.0));
    // Others are under no limit, and are counted all the same.
    assert!(truth.check(1, &tenants, 4.0));
    truth.report(1, &tenants, 0, 5.0);
    assert_eq!(truth.authorized_hits[&(0, 1)], 1);
}

#[test]
fn requests_are_counted_when_they_come() {
    let (tenants, mut truth) = (tenants(), truth(Counts::Requests));
    let passed = (0..15).filter(|_| truth.check(0, &tenants, 0.0)).count();
    assert_eq!(passed, 10);
    assert_eq!(truth.authorized_calls[&(0, 0)], 10);
    assert_eq!(truth.authorized_hits[&(0, 0)], 10);
    assert_eq!(truth.limited_calls[&(0, 0, 0)], 5);
}
