//! What must hold in any world: the same requests counted the same by users, quotas, gateway and
//! engines.
#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]
#![expect(
    clippy::cast_precision_loss,
    reason = "counts of a short run are exact"
)]

use tokenpath_sim::gateway::{Decision, Gateway, Names, Outcome};
use tokenpath_sim::limitador::Counts;
use tokenpath_sim::{
    Config, FinishReason, GpuConfig, Incident, Quantity, Role, World, WorldConfig,
};

fn world(config: WorldConfig) -> World {
    World::new(config).unwrap()
}

/// Runs a world for a while, then until nothing is under way.
fn run_dry(world: &mut World, seconds: f64) {
    world.advance(seconds);
    world.end_traffic();
    for _ in 0..60 {
        if world.under_way() == (0, 0) {
            return;
        }
        world.advance(30.0);
    }
    panic!("{:?} still under way", world.under_way());
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-6 * a.abs().max(b.abs()).max(1.0)
}

/// The books of a world in which nothing is under way.
fn check(world: &World) {
    let mut sent = 0;
    for (index, (tenant, truth)) in world.tenants().enumerate() {
        let ended = truth.limited + truth.completed + truth.failed + truth.hung_up;
        assert_eq!(truth.requests, ended, "{}", tenant.user);
        sent += truth.requests - truth.limited;

        // Quotas count what the user did.
        if let Some(limitador) = world.limitador() {
            let limited = limitador.limited_calls.iter();
            let limited = limited.filter(|((_, user, _), _)| *user == index);
            assert_eq!(limited.map(|(_, n)| n).sum::<u64>(), truth.limited);
            for (namespace, n) in limitador.config.namespaces.iter().enumerate() {
                let of = |counts: &std::collections::BTreeMap<(usize, usize), u64>| {
                    counts.get(&(namespace, index)).copied().unwrap_or(0)
                };
                if n.counts == Counts::Tokens {
                    let tokens = truth.prompt_tokens + truth.completion_tokens;
                    assert_eq!(of(&limitador.authorized_hits), tokens);
                    let calls = of(&limitador.authorized_calls);
                    assert_eq!(calls, truth.requests - truth.limited);
                }
            }
        }

        // The gateway counts what went to the pool.
        if let Some(requests) = world.gateway().and_then(|g| g.requests.get(&index)) {
            assert_eq!(requests.running, 0);
            let complete = requests.duration.count();
            assert!(complete <= truth.completed);
            assert_eq!(requests.output.count(), complete);
            let streamed = complete - requests.whole_answer.count();
            assert!(requests.first_token.count() >= streamed);
            assert!(requests.errors.values().sum::<u64>() <= truth.failed);
        }
    }

    let pooled = |role: Role| role != Role::Direct;
    let mut ended = 0;
    let mut completed_by_engines = 0;
    for server in world.servers() {
        for engine in &server.truth().engines {
            assert_eq!(
                (engine.running, engine.waiting),
                (0, 0),
                "{}",
                server.name()
            );
            if server.role() == Role::Prefill {
                continue;
            }
            // A request of several answers ends once.
            ended += engine.observed(Quantity::Sequences).count() + engine.hang_ups;
            completed_by_engines += engine.observed(Quantity::Sequences).count();
        }
    }
    let failed: u64 = world.tenants().map(|(_, t)| t.failed).sum();
    let completed: u64 = world.tenants().map(|(_, t)| t.completed).sum();
    assert!(
        ended <= sent && sent <= ended + failed,
        "{ended} {sent} {failed}"
    );
    assert!(completed <= completed_by_engines);

    // What the pool's engines generated for whole answers, the gateway saw.
    if let Some(gateway) = world.gateway() {
        let answered: f64 = gateway.requests.values().map(|r| r.output.sum()).sum();
        let complete: u64 = gateway.requests.values().map(|r| r.output.count()).sum();
        let servers = world.servers().iter();
        let servers = servers.filter(|s| pooled(s.role()) && s.role() != Role::Prefill);
        let engines = servers.flat_map(|s| &s.truth().engines);
        let generated: f64 = engines
            .map(|e| e.observed(Quantity::GenerationTokens).sum())
            .sum();
        assert!(complete > 0 && answered > 0.0);
        assert!(answered <= generated, "{answered} {generated}");
        assert_eq!(gateway.queued.values().sum::<u64>(), 0);
        assert_eq!(gateway.under_way.values().sum::<u64>(), 0);
        let bytes: u64 = gateway.queued_bytes.values().sum();
        assert_eq!(bytes, 0);
    }
}

/// A world in which nothing but the count of requests can differ between the parties.
fn calm() -> WorldConfig {
    let mut config = WorldConfig::default();
    let traffic = &mut config.traffic;
    traffic.arrivals_per_second = 12.0;
    traffic.parallel_share = 0.0;
    traffic.abort_share = 0.0;
    traffic.error_share = 0.0;
    traffic.hang_up_share = 0.0;
    traffic.bad_request_share = 0.0;
    config
}

#[test]
fn all_parties_count_the_same_requests() {
    let mut world = world(calm());
    run_dry(&mut world, 60.0);
    check(&world);
    let gateway = world.gateway().unwrap();
    let sum = |of: fn(&tokenpath_sim::gateway::Requests) -> f64| -> f64 {
        gateway.requests.values().map(of).sum()
    };
    let decoders: Vec<_> = world
        .servers()
        .iter()
        .filter(|s| s.role() == Role::Decode)
        .flat_map(|s| &s.truth().engines)
        .collect();
    let engines = |of: &dyn Fn(&tokenpath_sim::EngineTruth) -> f64| -> f64 {
        decoders.iter().map(|e| of(e)).sum()
    };
    let requests = sum(|r| r.requests as f64);
    assert!(requests > 300.0);
    assert!(close(
        requests,
        engines(&|e| e.observed(Quantity::EndToEnd).count() as f64)
    ));
    assert!(close(
        sum(|r| r.output.sum()),
        engines(&|e| e.observed(Quantity::GenerationTokens).sum())
    ));
    assert!(close(
        sum(|r| r.input.sum()),
        engines(&|e| e.observed(Quantity::PromptTokens).sum())
    ));
    // The gateway sees each gap of a streamed answer, the engine those of all.
    let gaps = sum(|r| r.between_tokens.count() as f64);
    let all = engines(&|e| e.observed(Quantity::InterToken).count() as f64);
    assert!(gaps > 0.3 * all && gaps < 0.7 * all);
    // From the gateway's door to the end is longer than on any engine.
    assert!(sum(|r| r.duration.sum()) >= engines(&|e| e.observed(Quantity::EndToEnd).sum()));

    let completed: u64 = world.tenants().map(|(_, t)| t.completed).sum();
    let tgi = world.servers()[3].tgi().unwrap();
    assert!(tgi.successes > 50);
    assert!(close(completed as f64, requests + tgi.successes as f64));
}

#[test]
fn prompts_are_computed_on_one_engine_and_answered_on_another() {
    let mut world = world(calm());
    run_dry(&mut world, 60.0);
    let gateway = world.gateway().unwrap();
    let split = gateway.decisions[&Decision::PrefillDecode];
    assert!(split > 100 && gateway.decisions[&Decision::DecodeOnly] > 0);
    let prefill = &world.servers()[0].truth().engines[0];
    assert_eq!(prefill.finished(FinishReason::Length), split);
    assert_eq!(prefill.generation_tokens, split);
    let decoders = || {
        world.servers()[1..3]
            .iter()
            .flat_map(|s| &s.truth().engines)
    };
    let received: u64 = decoders().map(|e| e.prompt_tokens_received).sum();
    // Of each prompt all that the decode engine had not cached, but its last token.
    let prompts = prefill.observed(Quantity::PromptTokens).sum();
    assert!(received as f64 > 0.3 * prompts && (received as f64) < prompts);
    for engine in decoders() {
        assert!(engine.prompt_tokens_received <= engine.prompt_tokens_cached);
        assert!(engine.prompt_tokens_cached < engine.prompt_tokens);
        assert_eq!(engine.received_hits, engine.prompt_tokens_received);
        assert!(engine.received_hits < engine.received_queries);
    }
    // Keys and values went over the links: prefill's GPUs sent what the others received.
    let gpus = world.gpus().unwrap().gpus();
    let sent: f64 = gpus.iter().map(|g| g.nvlink_sent_bytes).sum();
    let got: f64 = gpus.iter().map(|g| g.nvlink_received_bytes).sum();
    assert!(sent > 0.0 && close(sent, got));
}

#[test]
fn a_world_is_the_same_however_its_time_is_cut() {
    let run = |step: f64| {
        let mut world = world(WorldConfig::default());
        while world.now() < 30.0 {
            world.advance_to((world.now() + step).min(30.0));
        }
        world
    };
    let (whole, cut) = (run(30.0), run(0.07));
    assert_eq!(whole.gateway(), cut.gateway());
    assert_eq!(whole.limitador(), cut.limitador());
    assert_eq!(whole.gpus().unwrap().gpus(), cut.gpus().unwrap().gpus());
    for (a, b) in whole.servers().iter().zip(cut.servers()) {
        assert_eq!(a.truth(), b.truth());
    }
    let other = {
        let mut other = world(WorldConfig {
            seed: 2,
            ..WorldConfig::default()
        });
        other.advance(30.0);
        other
    };
    assert_ne!(whole.gateway(), other.gateway());
}

#[test]
fn books_balance_after_every_incident() {
    for incident in Incident::ALL {
        let mut world = world(WorldConfig::default());
        world.advance(5.0);
        world.incident(incident);
        world.incident(incident);
        assert_eq!(world.incidents().collect::<Vec<_>>(), [incident]);
        world.advance(6.0);
        world.end_incident(incident);
        world.end_incident(incident);
        assert_eq!(world.incidents().count(), 0);
        run_dry(&mut world, 4.0);
        for (tenant, truth) in world.tenants() {
            let ended = truth.limited + truth.completed + truth.failed + truth.hung_up;
            assert_eq!(
                truth.requests,
                ended,
                "{}: {}",
                incident.name(),
                tenant.user
            );
        }
        let gateway = world.gateway().unwrap();
        assert_eq!(
            gateway.under_way.values().sum::<u64>(),
            0,
            "{}",
            incident.name()
        );
        assert_eq!(gateway.requests.values().map(|r| r.running).sum::<u64>(), 0);
    }
}

#[test]
fn incidents_have_names() {
    for incident in Incident::ALL {
        assert_eq!(Incident::find(incident.name()), Some(incident));
        assert!(!incident.description().contains('\n') && !incident.description().is_empty());
    }
    assert_eq!(Incident::find("no-such"), None);
}

/// The same world with and without an incident, from 20 s on.
fn compare(incident: Incident, seconds: f64) -> (World, World) {
    let run = |hit: bool| {
        let mut world = world(WorldConfig::default());
        world.advance(20.0);
        if hit {
            world.incident(incident);
        }
        world.advance(seconds);
        world
    };
    (run(false), run(true))
}

fn engines(world: &World, of: impl Fn(&tokenpath_sim::EngineTruth) -> f64) -> f64 {
    let servers = world.servers().iter();
    servers.flat_map(|s| &s.truth().engines).map(of).sum()
}

#[test]
fn a_queue_storm_makes_requests_wait_in_engines_and_gateway() {
    let (quiet, storm) = compare(Incident::QueueStorm, 40.0);
    let p95 = |world: &World| {
        world.servers()[3]
            .tgi()
            .unwrap()
            .queue
            .quantile(0.95)
            .unwrap()
    };
    assert!(p95(&storm) > 4.0 * p95(&quiet));
    let saturated = |world: &World| world.gateway().unwrap().saturation();
    assert!(saturated(&storm) >= 0.5, "{}", saturated(&storm));
    let waited = |world: &World| -> f64 {
        let queue = world.gateway().unwrap().queue.iter();
        queue
            .filter(|((_, outcome), _)| *outcome == Outcome::Dispatched)
            .map(|(_, observed)| observed.sum())
            .sum()
    };
    assert!(waited(&storm) > 10.0 * waited(&quiet).max(1.0));
}

#[test]
fn thrashing_caches_hit_nothing_and_preempt() {
    let (quiet, thrash) = compare(Incident::CacheThrash, 40.0);
    let hits = |world: &World| engines(world, |e| e.prefix_hits as f64);
    let preemptions = |world: &World| engines(world, |e| e.preemptions as f64);
    assert!(hits(&thrash) < 0.6 * hits(&quiet));
    assert!(preemptions(&thrash) > 10.0 + preemptions(&quiet));
}

#[test]
fn a_flood_is_limited_and_the_others_are_served() {
    let (quiet, flood) = compare(Incident::TenantFlood, 60.0);
    let of = |world: &World, user: &str| {
        let mut tenants = world.tenants();
        tenants
            .find(|(t, _)| t.user == user)
            .map(|(_, t)| t.clone())
            .unwrap()
    };
    assert_eq!(of(&quiet, "hooli").limited, 0);
    let hooli = of(&flood, "hooli");
    assert!(hooli.limited > 500, "{hooli:?}");
    for user in ["acme", "globex", "initech"] {
        assert_eq!(of(&flood, user).limited, 0);
        let (before, after) = (of(&quiet, user).completed, of(&flood, user).completed);
        assert!(after * 2 > before, "{user}: {before} then {after}");
    }
}

#[test]
fn a_hot_gpu_throttles_and_slows_its_engine() {
    let (quiet, hot) = compare(Incident::GpuHot, 100.0);
    let first = |world: &World| world.gpus().unwrap().gpus()[0].clone();
    assert!(!first(&quiet).thermal_throttle);
    assert!(
        first(&hot).thermal_throttle_seconds > 20.0,
        "{:?}",
        first(&hot)
    );
    assert!(first(&hot).temperature_celsius > first(&quiet).temperature_celsius + 20.0);
    let prefill = |world: &World| {
        let engine = &world.servers()[0].truth().engines[0];
        engine.observed(Quantity::Prefill).sum() / engine.observed(Quantity::Prefill).count() as f64
    };
    assert!(prefill(&hot) > 1.02 * prefill(&quiet));
}

#[test]
fn slow_phases_are_slow() {
    let mean = |world: &World, quantity| {
        let sum = engines(world, |e| e.observed(quantity).sum());
        sum / engines(world, |e| e.observed(quantity).count() as f64)
    };
    let (quiet, slow) = compare(Incident::SlowPrefill, 30.0);
    assert!(mean(&slow, Quantity::Prefill) > 2.0 * mean(&quiet, Quantity::Prefill));
    let (quiet, slow) = compare(Incident::SlowDecode, 30.0);
    assert!(mean(&slow, Quantity::InterToken) > 2.0 * mean(&quiet, Quantity::InterToken));
    let (_, crawling) = compare(Incident::DecodeCrawl, 30.0);
    let gaps = |world: &World| engines(world, |e| e.observed(Quantity::InterToken).count() as f64);
    assert!(gaps(&crawling) < 0.6 * gaps(&slow));
}

#[test]
fn a_power_limit_slows_prompts_and_hardly_what_waits_for_memory() {
    let mean = |world: &World, index: usize, quantity| {
        let engine = &world.servers()[index].truth().engines[0];
        engine.observed(quantity).sum() / engine.observed(quantity).count() as f64
    };
    let (quiet, capped) = compare(Incident::GpuPowerCap, 60.0);
    let gpus = capped.gpus().unwrap();
    assert!(gpus.gpus().iter().all(|gpu| gpu.power_watts < 410.0));
    let held = |world: &World| world.gpus().unwrap().gpus()[2].power_throttle_seconds;
    assert!(held(&capped) > 40.0 && held(&quiet) < 1.0);
    assert!(gpus.gpus()[2].power_watts > 0.95 * gpus.gpus()[2].power_limit_watts);
    let gap = |world: &World| mean(world, 1, Quantity::InterToken);
    assert!(gap(&capped) < 1.05 * gap(&quiet));
    let prompt = |world: &World| mean(world, 0, Quantity::Prefill);
    assert!(prompt(&capped) > prompt(&quiet));
}

#[test]
fn xids_are_reported_once() {
    let codes = |incident| -> Vec<u64> {
        let (_, world) = compare(incident, 5.0);
        let gpus = world.gpus().unwrap();
        gpus.gpus()[0].xids.iter().map(|xid| xid.code).collect()
    };
    assert_eq!(codes(Incident::Xid), [94]);
    assert_eq!(codes(Incident::GpuLost), [79]);
    let (_, world) = compare(Incident::GpuLost, 5.0);
    assert!(world.gpus().unwrap().gpus()[0].lost && !world.gpus().unwrap().gpus()[1].lost);
    assert!(world.servers()[0].truth().engines[0].stopped);
}

#[test]
fn a_dead_server_comes_back_empty() {
    let (_, mut world) = compare(Incident::EngineDown, 10.0);
    let dead = world.servers().iter().position(|s| s.is_down()).unwrap();
    let gateway = world.gateway().unwrap();
    assert_eq!(
        gateway.ready().count(),
        2,
        "the prefill server and the other decode server"
    );
    let before = world.servers()[dead].truth().clone();
    world.end_incident(Incident::EngineDown);
    world.advance(20.0);
    let after = world.servers()[dead].truth();
    assert!(after.started > before.started);
    assert!(after.engines[0].generation_tokens > 0);
    let gateway = world.gateway().unwrap();
    assert_eq!(gateway.ready().count(), 3);
    let errors: u64 = gateway
        .requests
        .values()
        .flat_map(|r| r.errors.values())
        .sum();
    assert!(errors > 0, "what was on it failed");
}

#[test]
fn requests_wait_in_the_engines_where_the_gateway_holds_none() {
    let mut config = WorldConfig::default();
    config.traffic.arrivals_per_second = 120.0;
    config.gateway = Some(Gateway {
        flow_control: false,
        names: Names::InferenceModel,
        ..Gateway::default()
    });
    let mut world = world(config);
    world.advance(20.0);
    assert_eq!(world.under_way().1, 0);
    assert!(world.gateway().unwrap().saturation() > 2.0);
}

#[test]
fn gpus_follow_their_engines() {
    let mut world = world(WorldConfig::default());
    world.advance(90.0);
    let gpus = world.gpus().unwrap();
    assert_eq!(gpus.gpus().len(), 8);
    for gpu in gpus.gpus() {
        assert!(gpu.utilization > 0.0 && gpu.power_watts > 100.0, "{gpu:?}");
        assert!(gpu.vram_used_bytes < gpu.vram_total_bytes);
        assert!(gpu.energy_joules > 72.0 * 80.0);
    }
    // The prefill engine's tensor cores work more, for what its memory does, than a decode engine's.
    let ratio = |index: usize| gpus.gpus()[index].tensor_active / gpus.gpus()[index].dram_active;
    assert!(ratio(0) > 1.3 * ratio(2), "{} {}", ratio(0), ratio(2));
}

#[test]
fn says_what_is_wrong_with_a_world() {
    type Break = fn(&mut WorldConfig);
    let cases: [(&str, Break); 7] = [
        ("servers", |c| c.servers.clear()),
        ("servers", |c| c.servers[1].name = c.servers[0].name.clone()),
        ("servers", |c| c.servers[3].engine.engines = 2),
        ("servers", |c| c.servers.retain(|s| s.role != Role::Decode)),
        ("tenants", |c| c.tenants.clear()),
        ("direct_share", |c| c.direct_share = 1.5),
        ("kv_blocks", |c| {
            c.servers[0].engine = Config {
                kv_blocks: 1,
                ..Config::default()
            }
        }),
    ];
    for (field, break_it) in cases {
        let mut config = WorldConfig::default();
        break_it(&mut config);
        assert_eq!(World::new(config).unwrap_err().field(), field);
    }
}

#[test]
fn a_world_without_gateway_quotas_and_gpus_serves_too() {
    let mut config = calm();
    (config.gateway, config.limitador, config.gpus) = (None, None, None::<GpuConfig>);
    config.tenants = WorldConfig::many_tenants(500);
    let mut world = world(config);
    for incident in Incident::ALL {
        world.incident(incident);
        world.end_incident(incident);
    }
    run_dry(&mut world, 20.0);
    let completed: u64 = world.tenants().map(|(_, t)| t.completed).sum();
    assert!(completed > 100);
}
