//! A world over real sockets.
#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]
#![expect(
    clippy::cast_precision_loss,
    reason = "counts of a short run are exact"
)]

use std::net::SocketAddr;

use tokenpath_sim::gateway::{Gateway, Names};
use tokenpath_sim::{Incident, Part, RunningWorld, World, WorldConfig, WorldServer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

async fn frozen(config: WorldConfig, seconds: f64) -> RunningWorld {
    let mut world = World::new(config).unwrap();
    world.advance(seconds);
    WorldServer::new(world).speed(0.0).bind().await.unwrap()
}

/// Status, head and body of one request; all empty where the connection ends without an answer.
async fn ask(address: SocketAddr, path: &str, headers: &str) -> (String, String, String) {
    send("GET", address, path, headers).await
}

async fn send(
    method: &str,
    address: SocketAddr,
    path: &str,
    headers: &str,
) -> (String, String, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request =
        format!("{method} {path} HTTP/1.1\r\nhost: twin\r\n{headers}connection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    let (status, head) = head.split_once("\r\n").unwrap_or_default();
    let status = status.trim_start_matches("HTTP/1.1 ").to_owned();
    (status, head.to_lowercase(), body.to_owned())
}

fn bearer(token: &str) -> String {
    format!("authorization: Bearer {token}\r\n")
}

#[tokio::test]
async fn each_part_speaks_its_own_page() {
    let running = frozen(WorldConfig::default(), 20.0).await;
    let parts: Vec<Part> = running.addresses().map(|(part, _)| part).collect();
    assert_eq!(parts.len(), 6);
    let at = |part| running.address(part).unwrap();

    let (_, _, page) = ask(at(Part::Server(0)), "/metrics", "").await;
    assert!(page.contains("vllm:kv_cache_usage_perc{"));
    let (_, _, page) = ask(at(Part::Server(1)), "/metrics", "").await;
    assert!(page.contains("source=\"external_kv_transfer\"}"));

    let (status, head, page) = ask(at(Part::Server(3)), "/metrics", "").await;
    assert_eq!(status, "200 OK");
    assert!(head.contains("content-type: text/plain; charset=utf-8"));
    assert!(page.contains("tgi_request_count ") && !page.contains("tgi_batch_max_total_tokens"));
    let (_, head, info) = ask(at(Part::Server(3)), "/info", "").await;
    assert!(
        head.contains("content-type: application/json")
            && info.contains("\"max_input_tokens\":2048")
    );

    let limitador = at(Part::Limitador);
    let (_, _, page) = ask(limitador, "/metrics", "").await;
    assert!(page.contains("limitador_up 1\n") && page.contains("authorized_hits{"));
    let (status, _, counters) = ask(limitador, "/counters/llm%2Fchat", "").await;
    assert_eq!(status, "200 OK");
    assert!(counters.starts_with("[{\"limit\":{\"id\":null,\"namespace\":\"llm/chat\""));
    assert_eq!(ask(limitador, "/limits/no%2Fsuch", "").await.2, "[]");
    assert_eq!(
        ask(limitador, "/limits/llm/chat", "").await.0,
        "404 Not Found"
    );
    let (_, _, status) = ask(limitador, "/status", "").await;
    assert!(status.starts_with("{\"started_at\":\"2026-"));

    let (_, _, truth) = ask(limitador, "/debug/truth", "").await;
    for key in [
        "\"servers\":[",
        "\"tenants\":[",
        "\"gateway\":{",
        "\"gpus\":[{",
    ] {
        assert!(truth.contains(key), "{key}");
    }
    let (_, _, truth) = ask(at(Part::Server(0)), "/debug/truth", "").await;
    assert!(truth.starts_with("{\"seconds\":20.0,\"engines\":["));
    running.stop().await;
}

#[tokio::test]
async fn a_router_that_was_never_used_has_an_empty_page() {
    let running = frozen(WorldConfig::default(), 0.0).await;
    let address = running.address(Part::Server(3)).unwrap();
    let (status, _, page) = ask(address, "/metrics", "").await;
    assert_eq!((status.as_str(), page.as_str()), ("200 OK", ""));
    running.stop().await;
}

#[tokio::test]
async fn the_gateway_asks_for_a_token() {
    let running = frozen(WorldConfig::default(), 5.0).await;
    let address = running.address(Part::Gateway).unwrap();
    let good = bearer("sim-gateway-token");
    let status = async |headers: &str| ask(address, "/metrics", headers).await.0;
    assert_eq!(status("").await, "401 Unauthorized");
    assert_eq!(status(&bearer("guess")).await, "401 Unauthorized");
    assert_eq!(
        status(&bearer("sim-token-without-rights")).await,
        "403 Forbidden"
    );
    assert_eq!(status(&good).await, "200 OK");
    for (incident, want) in [
        (Incident::GatewayUnauthorized, "401 Unauthorized"),
        (Incident::GatewayForbidden, "403 Forbidden"),
        (Incident::GatewayDown, ""),
    ] {
        running.with_world(|world| world.incident(incident));
        assert_eq!(status(&good).await, want);
        running.with_world(|world| world.end_incident(incident));
        assert_eq!(status(&good).await, "200 OK");
    }
    running.stop().await;
}

#[tokio::test]
async fn the_gateway_speaks_each_generation() {
    // Of each generation a family that it has, and those of the others that it has not.
    let names = [
        "inference_model_request_total{",
        "inference_objective_request_total{",
        "llm_d_epp_request_total{",
    ];
    for (generation, has) in [
        (Names::InferenceModel, [true, false, false]),
        (Names::InferenceObjective, [false, true, false]),
        (Names::LlmD, [false, false, true]),
        (Names::LlmDWithTwins, [false, true, true]),
    ] {
        let config = WorldConfig {
            gateway: Some(Gateway {
                names: generation,
                token: None,
                ..Gateway::default()
            }),
            ..WorldConfig::default()
        };
        let running = frozen(config, 10.0).await;
        let address = running.address(Part::Gateway).unwrap();
        let (_, _, page) = ask(address, "/metrics", "").await;
        for (name, has) in names.iter().zip(has) {
            assert_eq!(page.contains(name), has, "{generation:?}: {name}");
        }
        // All generations that are spoken say the same sum, and it is the truth.
        let want: u64 = running.with_world(|world| {
            let requests = world.gateway().unwrap().requests.values();
            requests.map(|r| r.requests).sum()
        });
        for (name, _) in names.iter().zip(has).filter(|(_, has)| *has) {
            let lines = page.lines().filter(|line| line.starts_with(name));
            let values = lines.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap());
            assert_eq!(
                values.sum::<f64>().to_bits(),
                (want as f64).to_bits(),
                "{name}"
            );
        }
        // Each family once, each series once.
        let mut seen = std::collections::HashSet::new();
        for line in page.lines() {
            let key = match line.strip_prefix("# TYPE ") {
                Some(family) => family,
                None if line.starts_with('#') => continue,
                None => line.rsplit_once(' ').unwrap().0,
            };
            assert!(seen.insert(key.to_owned()), "{generation:?}: {key} twice");
        }
        running.stop().await;
    }
}

#[tokio::test]
async fn a_dead_server_does_not_answer() {
    let running = frozen(WorldConfig::default(), 5.0).await;
    let dead = running.with_world(|world| {
        world.incident(Incident::EngineDown);
        world.servers().iter().position(|s| s.is_down()).unwrap()
    });
    let address = running.address(Part::Server(dead)).unwrap();
    assert_eq!(ask(address, "/metrics", "").await.0, "");
    running.with_world(|world| {
        world.end_incident(Incident::EngineDown);
        world.advance(1.0);
    });
    assert_eq!(ask(address, "/metrics", "").await.0, "200 OK");
    running.with_world(|world| world.incident(Incident::LimitadorDown));
    let limitador = running.address(Part::Limitador).unwrap();
    assert_eq!(ask(limitador, "/metrics", "").await.0, "");
    running.stop().await;
}

#[tokio::test]
async fn ports_may_be_chosen_and_a_taken_one_is_no_obstacle() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    // The next one is free where nobody else of this machine has it.
    let first = taken.local_addr().unwrap().port();
    let Some(second) = first.checked_add(1) else {
        return;
    };
    let free = TcpStream::connect(("127.0.0.1", second)).await.is_err();
    let server = WorldServer::new(World::new(WorldConfig::default()).unwrap()).speed(0.0);
    let running = server.port(first).bind().await.unwrap();
    let ports: Vec<u16> = running
        .addresses()
        .map(|(_, address)| address.port())
        .collect();
    assert_eq!(ports.len(), 6);
    assert_ne!(ports[0], first, "it was taken");
    if free {
        assert_eq!(ports[1], second);
    }
    running.stop().await;
}

#[tokio::test]
async fn whoever_follows_has_followed_when_a_step_is_answered() {
    let world = World::new(WorldConfig::default()).unwrap();
    let (sender, steps) = std::sync::mpsc::channel();
    let server = WorldServer::new(world).speed(0.0);
    let server = server.after_advance(move |world| sender.send(world.now()).unwrap());
    let running = server.bind().await.unwrap();
    for (number, (_, address)) in running.addresses().enumerate() {
        ask(address, "/metrics", "").await;
        assert!(steps.try_recv().is_err(), "nothing has passed");
        send("POST", address, "/debug/advance?seconds=15", "").await;
        assert_eq!(steps.try_recv(), Ok(15.0 * (number + 1) as f64));
    }
    running.stop().await;
}

#[tokio::test]
async fn time_that_stands_still_is_let_pass() {
    let running = frozen(WorldConfig::default(), 5.0).await;
    let now = || running.with_world(|world| world.now());
    let before = now();
    for (_, address) in running.addresses() {
        let (status, _, _) = send("POST", address, "/debug/advance?seconds=15", "").await;
        assert_eq!(status, "204 No Content");
    }
    let parts = running.addresses().count();
    #[expect(clippy::cast_precision_loss, reason = "a handful")]
    let passed = 15.0 * parts as f64;
    assert!((now() - before - passed).abs() < 1e-6);
    let address = running.address(Part::Server(0)).unwrap();
    for wrong in ["", "?seconds=", "?seconds=-1", "?seconds=inf", "?minutes=1"] {
        let path = format!("/debug/advance{wrong}");
        let (status, _, _) = send("POST", address, &path, "").await;
        assert_eq!(status, "400 Bad Request", "{wrong}");
    }
    let (status, _, _) = ask(address, "/debug/advance?seconds=15", "").await;
    assert_eq!(status, "404 Not Found");
    assert!((now() - before - passed).abs() < 1e-6);
    running.stop().await;
}
