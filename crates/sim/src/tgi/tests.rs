//! The page against a recorded one.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::config::{Config, Length, Traffic};
use crate::world::{Role, ServerConfig, ServerKind, World, WorldConfig};

/// What is the same on any page of a router launched so: by family its lines of `HELP` and `TYPE`,
/// and its series without values.
fn structure(page: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut families: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut name = String::new();
    for block in page.split_terminator("\n\n") {
        for line in block.lines() {
            let entry = match line.strip_prefix("# ") {
                Some(_) => {
                    name = line.split(' ').nth(2).unwrap().to_owned();
                    line
                }
                None => line.rsplit_once(' ').unwrap().0,
            };
            families
                .entry(name.clone())
                .or_default()
                .insert(entry.to_owned());
        }
    }
    families
}

fn world(traffic: Traffic) -> World {
    let server = ServerConfig {
        name: "tgi".to_owned(),
        kind: ServerKind::Tgi(Launch {
            max_concurrent_requests: 60,
            ..Launch::default()
        }),
        role: Role::Direct,
        engine: Config {
            // Fewer sequences than requests: some wait.
            max_sequences: 48,
            kv_blocks: 6000,
            ..Config::default()
        },
    };
    World::new(WorldConfig {
        traffic,
        servers: vec![server],
        limitador: None,
        gateway: None,
        gpus: None,
        ..WorldConfig::default()
    })
    .unwrap()
}

fn eventful() -> Traffic {
    Traffic {
        arrivals_per_second: 40.0,
        error_share: 0.05,
        hang_up_share: 0.05,
        bad_request_share: 0.05,
        ..Traffic::default()
    }
}

#[test]
fn the_page_is_built_as_the_recorded_one() {
    let mut world = world(Traffic {
        // Many answers end, and fail, with their first token.
        output_tokens: Length {
            median: 30.0,
            sigma: 2.0,
            min: 1,
            max: 1000,
        },
        ..eventful()
    });
    world.advance(60.0);
    let server = &world.servers()[0];
    let counters = server.tgi().unwrap();
    let page = page(counters, &server.truth().engines[0], &mut Random::new(1, 1));
    let recorded = include_str!("../../tests/pages/tgi-3.3.7-t4-after.txt");
    let mut want = structure(recorded);
    // The simulated clients send no templates.
    let template = "tgi_request_failure{err=\"template\"}";
    assert!(
        want.get_mut("tgi_request_failure")
            .unwrap()
            .remove(template)
    );
    let got = structure(&page);
    for (name, family) in &want {
        assert_eq!(got.get(name), Some(family), "{name}");
    }
    assert_eq!(got.len(), want.len());
    assert!(page.ends_with("\n\n") && recorded.ends_with("\n\n"));
}

#[test]
fn an_idle_router_says_nothing() {
    let world = world(Traffic::default());
    let server = &world.servers()[0];
    let engine = &server.truth().engines[0];
    let page = page(server.tgi().unwrap(), engine, &mut Random::new(1, 1));
    assert_eq!(page, "");
}

#[test]
fn the_order_changes_and_nothing_else() {
    let mut world = world(eventful());
    world.advance(20.0);
    let server = &world.servers()[0];
    let engine = &server.truth().engines[0];
    let mut order = Random::new(1, 1);
    let first = page(server.tgi().unwrap(), engine, &mut order);
    let second = page(server.tgi().unwrap(), engine, &mut order);
    assert_ne!(first, second);
    let sorted = |page: &str| {
        let mut lines: Vec<String> = page.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(&first), sorted(&second));
}

#[test]
fn requests_are_counted_as_the_router_counts_them() {
    let mut world = world(eventful());
    world.advance(60.0);
    world.end_traffic();
    world.advance(300.0);
    let (_, tenant) = world
        .tenants()
        .fold((0, 0), |(_, n), (_, t)| (0, n + t.requests));
    let server = &world.servers()[0];
    let counters = server.tgi().unwrap();
    let failures: u64 = counters.failures.values().sum();
    assert_eq!(counters.successes + failures, tenant);
    assert!(counters.entries > tenant && counters.entries < 2 * tenant);
    assert_eq!(counters.failures.len(), 4, "{:?}", counters.failures);
    assert_eq!(counters.duration.count(), counters.successes);
    let refused = counters.failures[&Failure::Overloaded] + counters.failures[&Failure::Validation];
    assert_eq!(counters.input.count(), tenant - refused);
    // The engine's own book says the same.
    let engine = &server.truth().engines[0];
    let ended: u64 = FinishReason::ALL.iter().map(|&r| engine.finished(r)).sum();
    let generation = counters.failures[&Failure::Generation];
    assert_eq!(counters.successes + generation, ended);
    assert_eq!(counters.failures[&Failure::Dropped], engine.hang_ups);
}

#[test]
fn a_long_generation_is_scheduled_again_for_each_1024_tokens() {
    let long = |tokens: f64| Length {
        median: tokens,
        sigma: 0.0,
        min: 1,
        max: 4000,
    };
    let mut world = world(Traffic {
        arrivals_per_second: 0.5,
        swing: 0.0,
        prompt_tokens: long(10.0),
        output_tokens: long(1300.0),
        shared_prefix_share: 0.0,
        length_share: 1.0,
        abort_share: 0.0,
        error_share: 0.0,
        repetition_share: 0.0,
        hang_up_share: 0.0,
        bad_request_share: 0.0,
        ..Traffic::default()
    });
    world.advance(60.0);
    world.end_traffic();
    world.advance(300.0);
    let counters = world.servers()[0].tgi().unwrap();
    let n = counters.successes;
    assert!(n > 10);
    // Asked for 1,300, got 2,048; two schedulings, of 10 and of 1,034 tokens.
    assert_eq!(
        counters.generated.sum().to_bits(),
        (2048.0 * n as f64).to_bits()
    );
    assert_eq!(counters.input.count(), 2 * n);
    assert_eq!(
        counters.input.sum().to_bits(),
        (1044.0 * n as f64).to_bits()
    );
    assert_eq!(
        counters.max_new.sum().to_bits(),
        (2048.0 * n as f64).to_bits()
    );
}

#[test]
fn info_is_built_as_the_recorded_one() {
    let world = world(Traffic::default());
    let truth = world.servers()[0].truth();
    let launch = Launch {
        max_concurrent_requests: 24,
        ..Launch::default()
    };
    let got = api::info(truth, &launch).replace(&truth.config.model_name, "tiny/tiny-llama");
    let recorded = include_str!("../../tests/pages/tgi-3.3.7-t0-idle-info.json");
    assert_eq!(got, recorded.trim_end());
}
