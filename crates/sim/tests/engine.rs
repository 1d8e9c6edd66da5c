//! What must hold in any twin, whatever its traffic.
#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

use tokenpath_sim::{
    Config, FinishReason, Length, Lora, Quantity, Routing, Speculation, Traffic, Truth, Twin,
};

fn busy() -> Traffic {
    Traffic {
        arrivals_per_second: 30.0,
        ..Traffic::default()
    }
}

/// Twins that together reach every corner of the engine.
fn twins() -> Vec<(&'static str, Config)> {
    let base = Config::default;
    vec![
        ("default", base()),
        (
            "a cache that is too small",
            Config {
                traffic: busy(),
                kv_blocks: 512,
                ..base()
            },
        ),
        (
            "more than it can do",
            Config {
                traffic: Traffic {
                    arrivals_per_second: 200.0,
                    patience_seconds: 5.0,
                    ..Traffic::default()
                },
                queue_limit: Some(300),
                ..base()
            },
        ),
        (
            "adapters and drafts",
            Config {
                traffic: busy(),
                lora: Some(Lora {
                    adapters: vec!["a".to_owned(), "b".to_owned(), "c".to_owned()],
                    max_loras: 1,
                    share: 0.8,
                }),
                speculation: Some(Speculation {
                    draft_tokens: 4,
                    acceptance: 0.7,
                }),
                kv_blocks: 700,
                ..base()
            },
        ),
        (
            "three engines",
            Config {
                engines: 3,
                routing: Routing::RoundRobin,
                traffic: Traffic {
                    parallel_share: 0.3,
                    hang_up_share: 0.3,
                    arrivals_per_second: 60.0,
                    ..Traffic::default()
                },
                ..base()
            },
        ),
        (
            "no cache of prefixes, odd sizes",
            Config {
                prefix_caching: false,
                block_size: 7,
                max_batched_tokens: 130,
                max_sequences: 130,
                kv_blocks: 900,
                ..base()
            },
        ),
        (
            "tiny requests",
            Config {
                traffic: Traffic {
                    prompt_tokens: Length {
                        median: 1.0,
                        sigma: 0.0,
                        min: 1,
                        max: 1,
                    },
                    output_tokens: Length {
                        median: 1.0,
                        sigma: 0.0,
                        min: 1,
                        max: 1,
                    },
                    ..busy()
                },
                ..base()
            },
        ),
    ]
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-6 * a.abs().max(b.abs()).max(1.0)
}

fn check(name: &str, truth: &Truth) {
    for (index, engine) in truth.engines.iter().enumerate() {
        let name = format!("{name}, engine {index} at {}", truth.now);
        let sum = |quantity| engine.observed(quantity).sum();
        let count = |quantity| engine.observed(quantity).count();

        assert!((0.0..=1.0).contains(&engine.kv_usage()), "{name}");
        assert!(
            engine.running <= u64::from(truth.config.max_sequences),
            "{name}"
        );
        assert!(engine.deferred <= engine.waiting, "{name}");
        assert!(engine.prefix_hits <= engine.prefix_queries, "{name}");
        assert_eq!(
            engine.prefix_hits,
            engine.prefix_hit_blocks * u64::from(truth.config.block_size),
            "{name}"
        );
        assert!(
            engine.prompt_tokens_cached <= engine.prompt_tokens,
            "{name}"
        );

        // What ends is observed once in everything.
        let ended: u64 = FinishReason::ALL.iter().map(|&r| engine.finished(r)).sum();
        for quantity in [
            Quantity::EndToEnd,
            Quantity::Queue,
            Quantity::Prefill,
            Quantity::Decode,
            Quantity::Inference,
            Quantity::PerOutputToken,
            Quantity::PromptTokens,
            Quantity::GenerationTokens,
            Quantity::MaxTokens,
            Quantity::Preemptions,
            Quantity::ComputedPromptTokens,
        ] {
            assert_eq!(count(quantity), ended, "{name}: {quantity:?}");
        }
        // A first token comes before the end; a hang-up may keep the end away.
        assert!(count(Quantity::TimeToFirstToken) >= ended, "{name}");
        assert!(count(Quantity::Sequences) <= ended, "{name}");
        // A request of which one sequence has ended and another has not is in neither sum yet.
        assert!(
            sum(Quantity::Sequences) <= sum(Quantity::GenerationTokens),
            "{name}"
        );

        // The phases add up.
        let (prefill, decode) = (sum(Quantity::Prefill), sum(Quantity::Decode));
        assert!(close(prefill + decode, sum(Quantity::Inference)), "{name}");
        let phases = sum(Quantity::Queue) + sum(Quantity::Inference);
        assert!(close(phases, sum(Quantity::EndToEnd)), "{name}");

        // Tokens of steps are prompt tokens computed and tokens generated.
        let computed = engine.prompt_tokens - engine.prompt_tokens_cached;
        #[expect(clippy::cast_precision_loss, reason = "small counts")]
        let tokens = (computed + engine.generation_tokens) as f64;
        assert!(close(sum(Quantity::IterationTokens), tokens), "{name}");
        if truth.config.speculation.is_none() {
            assert_eq!(
                count(Quantity::InterToken) + count(Quantity::TimeToFirstToken),
                engine.generation_tokens,
                "{name}"
            );
        }
        let drafts = &engine.speculation;
        assert!(drafts.accepted_tokens <= drafts.draft_tokens, "{name}");
        assert_eq!(
            drafts.accepted_by_position.iter().sum::<u64>(),
            drafts.accepted_tokens,
            "{name}"
        );
        assert!(
            drafts.accepted_by_position.is_sorted_by(|a, b| a >= b),
            "{name}"
        );

        for quantity in Quantity::ALL {
            let observed = engine.observed(quantity);
            let cumulative: Vec<u64> = [0.001, 0.01, 0.3, 1.0, 2.5, 5.0, 10.0, 20.0, f64::INFINITY]
                .into_iter()
                .filter_map(|edge| observed.cumulative(edge))
                .collect();
            assert!(
                cumulative.len() >= 5 && cumulative.is_sorted(),
                "{name}: {quantity:?}"
            );
            assert_eq!(
                *cumulative.last().unwrap(),
                observed.count(),
                "{name}: {quantity:?}"
            );
        }
    }
    // Every answered request came from an engine or was refused at the door.
    let answered: u64 = truth
        .http
        .iter()
        .flat_map(|p| &p.answers)
        .map(|a| a.count)
        .sum();
    let done: u64 = truth
        .engines
        .iter()
        .map(|e| e.observed(Quantity::Sequences).count())
        .sum();
    assert!(answered >= done + truth.rejected, "{name}");
}

#[test]
fn invariants_hold_at_every_moment() {
    for (name, config) in twins() {
        for seed in [1, 2] {
            let mut twin = Twin::new(Config {
                seed,
                ..config.clone()
            })
            .unwrap();
            for _ in 0..40 {
                twin.advance(1.3);
                check(name, twin.truth());
            }
            let ended = twin.truth().engines[0].finished(FinishReason::Stop);
            assert!(ended > 50, "{name}: {ended}");
        }
    }
}

#[test]
fn everything_drains() {
    for (name, config) in twins() {
        let mut twin = Twin::new(config).unwrap();
        twin.advance(30.0);
        twin.set_arrivals_per_second(0.0).unwrap();
        twin.advance(600.0);
        for engine in &twin.truth().engines {
            assert_eq!(
                (engine.running, engine.waiting, engine.kv_blocks_used),
                (0, 0, 0),
                "{name}: nothing is forgotten, no block leaks"
            );
        }
        check(name, twin.truth());
    }
}

#[test]
fn equal_seeds_give_equal_twins_however_time_is_cut() {
    for (name, config) in twins() {
        let mut whole = Twin::new(config.clone()).unwrap();
        whole.advance_to(20.0);
        let mut cut = Twin::new(config.clone()).unwrap();
        for tick in 1..=1000 {
            cut.advance_to(f64::from(tick) * 0.02);
        }
        assert!(whole.truth() == cut.truth(), "{name}");

        let mut other = Twin::new(Config { seed: 99, ..config }).unwrap();
        other.advance_to(20.0);
        assert!(whole.truth().engines != other.truth().engines, "{name}");
    }
}

#[test]
fn corners_are_reached() {
    let mut seen = [false; 6];
    for (_, config) in twins() {
        let mut twin = Twin::new(config).unwrap();
        for _ in 0..30 {
            twin.advance(1.0);
            for engine in &twin.truth().engines {
                seen[0] |= engine.preemptions > 0;
                seen[1] |= engine.hang_ups > 0;
                seen[2] |= engine.deferred > 0;
                seen[3] |= engine.speculation.accepted_tokens > 0;
                seen[4] |= engine.prefix_hits > 0;
            }
            seen[5] |= twin.truth().rejected > 0;
        }
    }
    assert_eq!(
        seen, [true; 6],
        "preemption, hang-up, deferral, draft, prefix hit, rejection"
    );
}

#[test]
fn a_shared_prefix_is_worth_its_tokens() {
    let share = |share| {
        let mut twin = Twin::new(Config {
            traffic: Traffic {
                shared_prefix_share: share,
                ..Traffic::default()
            },
            ..Config::default()
        })
        .unwrap();
        twin.advance(60.0);
        let engine = &twin.truth().engines[0];
        (engine.prefix_hits, engine.prompt_tokens)
    };
    assert_eq!(share(0.0).0, 0);
    let (hits, tokens) = share(1.0);
    assert!(hits * 5 > 2 * tokens, "{hits} of {tokens}");
}

#[test]
fn load_is_shared_out() {
    for routing in [Routing::LeastLoaded, Routing::RoundRobin] {
        let mut twin = Twin::new(Config {
            engines: 4,
            routing,
            traffic: busy(),
            ..Config::default()
        })
        .unwrap();
        twin.advance(60.0);
        let done: Vec<u64> = twin
            .truth()
            .engines
            .iter()
            .map(|e| e.observed(Quantity::EndToEnd).count())
            .collect();
        let (least, most) = (*done.iter().min().unwrap(), *done.iter().max().unwrap());
        assert!(least > 100 && most < 2 * least, "{routing:?}: {done:?}");
    }
}

#[test]
fn incidents_show() {
    let mut twin = Twin::new(Config::default()).unwrap();
    twin.advance(60.0);
    let median = |before: &Truth, after: &Truth, quantity| {
        let (before, after) = (&before.engines[0], &after.engines[0]);
        after
            .observed(quantity)
            .since(before.observed(quantity))
            .quantile(0.5)
            .unwrap()
    };
    let start = Truth::clone(twin.truth());
    twin.advance(60.0);
    let healthy = Truth::clone(twin.truth());
    twin.slow_prefill(6.0).unwrap();
    twin.advance(60.0);
    let slow = Truth::clone(twin.truth());
    let ttft = Quantity::TimeToFirstToken;
    assert!(median(&healthy, &slow, ttft) > 1.5 * median(&start, &healthy, ttft));

    twin.slow_prefill(1.0).unwrap();
    twin.slow_decode(3.0).unwrap();
    twin.advance(60.0);
    let itl = Quantity::InterToken;
    assert!(median(&slow, twin.truth(), itl) > 1.5 * median(&start, &healthy, itl));

    twin.slow_decode(1.0).unwrap();
    twin.set_kv_blocks(0, 300).unwrap();
    twin.advance(60.0);
    let engine = &twin.truth().engines[0];
    assert_eq!(engine.kv_blocks, 300);
    assert!(engine.preemptions > slow.engines[0].preemptions);
    assert!(engine.kv_usage() > 0.5);

    twin.stop_engine(0).unwrap();
    twin.advance(1.0);
    let stopped = Truth::clone(twin.truth());
    twin.advance(30.0);
    let hung = &twin.truth().engines[0];
    assert!(hung.stopped && hung.waiting > stopped.engines[0].waiting);
    assert_eq!(hung.generation_tokens, stopped.engines[0].generation_tokens);
    twin.start_engine(0).unwrap();
    twin.advance(30.0);
    assert!(twin.truth().engines[0].generation_tokens > stopped.engines[0].generation_tokens);
    check("after all that", twin.truth());
}

#[test]
fn refuses_what_makes_no_sense() {
    let mut twin = Twin::new(Config::default()).unwrap();
    assert!(twin.set_arrivals_per_second(-1.0).is_err());
    assert!(twin.slow_prefill(0.0).is_err());
    assert!(twin.slow_decode(f64::NAN).is_err());
    assert!(twin.set_kv_blocks(0, 1).is_err());
    assert!(twin.set_kv_blocks(1, 4096).is_err());
    assert!(twin.stop_engine(7).is_err());
    twin.advance(f64::NAN);
    twin.advance(-5.0);
    twin.advance_to(f64::NAN);
    assert!(twin.now() == 0.0);
}
