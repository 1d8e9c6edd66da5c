//! The source against a limiter on loopback that says what a real one said.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokenpath_core::exposition::Format;
use tokenpath_core::{Reason, Snapshot, Source};
use tokenpath_limitador::{LimitadorSource, LimitadorSourceOptions, TokenNamespaces};

use crate::http::{Answer, Server};
use crate::page::recorded;
use crate::written::{compare, encoded};

const RECORDED: &str = "limitador-2.4.0-dev-labels-t2-all";

fn file(name: &str) -> Answer {
    (200, recorded("limitador", name).into_bytes())
}

fn limiter(path: &str) -> Answer {
    match path {
        "/metrics" => file(&format!("{RECORDED}.txt")),
        "/status" => file(&format!("{RECORDED}-status.json")),
        "/counters/acme" => file(&format!("{RECORDED}-counters-acme.json")),
        "/counters/token-labs%2Fgateway" => file(&format!("{RECORDED}-counters-token-labs.json")),
        "/limits/acme" => file("limitador-2.4.0-dev-limits-acme.json"),
        "/limits/token-labs%2Fgateway" => file("limitador-2.4.0-dev-limits-token-labs.json"),
        path if path.starts_with("/counters/") || path.starts_with("/limits/") => {
            (200, b"[]".to_vec())
        }
        _ => (404, Vec::new()),
    }
}

fn options() -> LimitadorSourceOptions {
    let mut options = LimitadorSourceOptions::default();
    let names = ["user", "api_key", "auth.identity.userid"];
    options.limitador.tenants.names = names.map(str::to_owned).into();
    options.limitador.tokens = TokenNamespaces::Only(["token-labs/gateway".to_owned()].into());
    // However busy the machine is.
    options.admin.timeout = Duration::from_secs(60);
    options.admin.limits_interval = Duration::from_secs(3600);
    options
}

fn source(server: &Server, options: LimitadorSourceOptions) -> LimitadorSource {
    LimitadorSource::new(server.url().parse().unwrap(), options).unwrap()
}

fn up(out: &Snapshot, resource: &str, namespace: &str) -> Option<f64> {
    let mut labels = vec![("resource", resource)];
    if !namespace.is_empty() {
        labels.push(("namespace", namespace));
    }
    out.value("llm_limitador_admin_up", &labels)
}

fn bob(out: &Snapshot, family: &str) -> Option<f64> {
    let labels = [
        ("namespace", "token-labs/gateway"),
        ("tenant", "bob"),
        ("limit", "tokens-free"),
        ("window_seconds", "3600"),
    ];
    out.value(&format!("llm_tenant_quota_{family}"), &labels)
}

#[tokio::test]
async fn page_and_admin_api_become_one_snapshot() {
    let server = Server::start(|request| limiter(&request.path));
    let source = source(&server, options());
    let mut out = Snapshot::new();
    for _ in 0..3 {
        source.collect(&mut out).await.unwrap();
        let ours = encoded(&out, "limitador", "10.0.0.7:8080", Format::Text004);
        compare("whole", &ours);
    }
    assert_eq!(bob(&out, "limit"), Some(1000.0));
    assert_eq!(bob(&out, "used"), Some(1080.0));
    assert_eq!(bob(&out, "remaining"), Some(-80.0));
    assert_eq!(bob(&out, "utilization_ratio"), Some(1.08));
    assert_eq!(bob(&out, "reset_seconds"), Some(3599.0));
    let tokens = [("namespace", "token-labs/gateway"), ("tenant", "bob")];
    assert_eq!(out.value("llm_tenant_tokens_total", &tokens), Some(1092.0));
    let started = out.value("llm_limitador_start_timestamp_seconds", &[]);
    assert_eq!(started.map(f64::trunc), Some(1_795_315_641.0));
    // key-1 has a window for each of two models, which look alike without the model.
    let labels = [
        ("namespace", "acme"),
        ("tenant", "key-1"),
        ("window_seconds", "3600"),
    ];
    assert_eq!(out.value("llm_tenant_quota_remaining", &labels), Some(0.0));
    let configured = [("namespace", "acme"), ("window_seconds", "3600")];
    assert_eq!(out.value("llm_tenant_limit_max", &configured), Some(10.0));
    let paths = server.paths();
    let asked = |path: &str| paths.iter().filter(|asked| *asked == path).count();
    assert_eq!(asked("/counters/http%2Fdemo"), 3);
    assert_eq!(
        asked("/limits/http%2Fdemo"),
        1,
        "limits are kept for a while"
    );
    for family in out.shape().families() {
        assert!(source.describe().contains(family.desc()));
    }
}

#[tokio::test]
async fn what_the_admin_api_does_not_answer_is_missing_and_says_so() {
    let sick = Arc::new(AtomicBool::new(true));
    let state = Arc::clone(&sick);
    let server =
        Server::start(
            move |request| match (request.path.as_str(), state.load(Ordering::SeqCst)) {
                ("/counters/token-labs%2Fgateway", true) => {
                    (500, b"Internal server error".to_vec())
                }
                ("/limits/acme", true) => (200, b"[{\"namespace\":\"canary\"}]".to_vec()),
                ("/status", true) => (200, b"null".to_vec()),
                (path, _) => limiter(path),
            },
        );
    let mut options = options();
    options.admin.namespaces = vec!["unknown/one".into(), "..".into(), "acme".into()];
    let source = source(&server, options);
    let mut out = Snapshot::new();
    source.collect(&mut out).await.unwrap();
    assert_eq!(up(&out, "counters", "token-labs/gateway"), Some(0.0));
    assert_eq!(up(&out, "limits", "acme"), Some(0.0));
    assert_eq!(up(&out, "counters", ".."), Some(0.0));
    assert_eq!(up(&out, "counters", "acme"), Some(1.0));
    assert_eq!(
        up(&out, "counters", "unknown/one"),
        Some(1.0),
        "it answers with an empty list"
    );
    assert_eq!(
        up(&out, "status", ""),
        Some(1.0),
        "releases up to 2.0 say null"
    );
    assert_eq!(
        out.value("llm_limitador_start_timestamp_seconds", &[]),
        None
    );
    assert_eq!(bob(&out, "remaining"), None);
    let tokens = [("namespace", "token-labs/gateway"), ("tenant", "bob")];
    assert_eq!(
        out.value("llm_tenant_tokens_total", &tokens),
        Some(1092.0),
        "the page is whole"
    );
    sick.store(false, Ordering::SeqCst);
    source.collect(&mut out).await.unwrap();
    assert_eq!(up(&out, "counters", "token-labs/gateway"), Some(1.0));
    assert_eq!(bob(&out, "remaining"), Some(-80.0));
}

#[tokio::test]
async fn a_slow_admin_api_costs_its_own_time_only() {
    let server = Server::start(|request| {
        if request.path != "/metrics" {
            std::thread::sleep(Duration::from_secs(5));
        }
        limiter(&request.path)
    });
    let mut options = options();
    options.admin.timeout = Duration::from_millis(200);
    let source = source(&server, options);
    let mut out = Snapshot::new();
    source.collect(&mut out).await.unwrap();
    assert_eq!(out.value("llm_limitador_up", &[]), Some(1.0));
    for namespace in ["acme", "http/demo", "no/limits", "token-labs/gateway"] {
        assert_eq!(up(&out, "counters", namespace), Some(0.0), "{namespace}");
    }
}

#[tokio::test]
async fn without_the_admin_api_nothing_but_the_page_is_asked_for() {
    let server = Server::start(|request| limiter(&request.path));
    let mut options = options();
    options.admin.enabled = false;
    let mut out = Snapshot::new();
    source(&server, options).collect(&mut out).await.unwrap();
    assert_eq!(server.paths(), ["/metrics"]);
    assert_eq!(bob(&out, "remaining"), None);
}

#[tokio::test]
async fn the_number_of_namespaces_is_bounded() {
    let server = Server::start(|request| limiter(&request.path));
    let mut options = options();
    options.admin.namespaces_max = 2;
    options.admin.namespaces = vec!["token-labs/gateway".into()];
    let mut out = Snapshot::new();
    source(&server, options).collect(&mut out).await.unwrap();
    let paths = server.paths();
    let counters = paths.iter().filter(|path| path.starts_with("/counters/"));
    assert_eq!(
        counters.collect::<Vec<_>>(),
        ["/counters/token-labs%2Fgateway", "/counters/acme"]
    );
}

#[tokio::test]
async fn a_page_that_cannot_be_read_fails_the_reading() {
    for (body, status, reason) in [
        ("", 200, Reason::Empty),
        (
            "# TYPE tgi_queue_size gauge\ntgi_queue_size 1\n",
            200,
            Reason::WrongBackend,
        ),
        ("{}", 200, Reason::Parse),
        ("", 500, Reason::ServerError),
    ] {
        let server = Server::start(move |_| (status, body.as_bytes().to_vec()));
        let source = source(&server, options());
        let error = source.collect(&mut Snapshot::new()).await.unwrap_err();
        assert_eq!(error.reason(), reason, "{error}");
        assert!(server.paths().iter().all(|path| path == "/metrics"));
    }
}

#[tokio::test]
async fn a_hundred_thousand_windows_are_read_within_bounds() {
    let mut counters = Vec::from(*b"[");
    for tenant in 0..100_000 {
        if tenant > 0 {
            counters.push(b',');
        }
        let counter = format!(
            r#"{{"limit":{{"id":null,"namespace":"acme","max_value":10,"seconds":60,"name":"n","conditions":["descriptors[0].tier == \"x\""],"variables":["descriptors[0].userid"]}},"set_variables":{{"descriptors[0].userid":"canary-{tenant}"}},"remaining":{},"expires_in_seconds":5}}"#,
            tenant % 10
        );
        counters.extend_from_slice(counter.as_bytes());
    }
    counters.push(b']');
    let server = Server::start(move |request| match request.path.as_str() {
        "/counters/acme" => (200, counters.clone()),
        path => limiter(path),
    });
    let mut options = options();
    options.limitador.tenants.names = vec!["userid".into()];
    options.limitador.tenants.limit = 50;
    options.admin.timeout = Duration::from_secs(60);
    let source = source(&server, options);
    let mut out = Snapshot::new();
    source.collect(&mut out).await.unwrap();
    let quotas = out.shape().family("llm_tenant_quota_remaining").unwrap();
    let tenants: BTreeSet<_> = quotas
        .series()
        .filter_map(|series| series.label("tenant"))
        .collect();
    assert_eq!(tenants.len(), 50);
    // Those who use most keep their series: bob of the recorded windows, and who has nothing left.
    assert!(tenants.contains("bob") && tenants.contains("canary-0"));
    assert!(!tenants.contains("canary-9"));
    assert!(!format!("{source:?}").contains("canary"));
}
