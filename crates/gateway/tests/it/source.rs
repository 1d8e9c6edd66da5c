//! The source against a gateway on loopback, with and without the right to read it.

use std::fs;
use std::time::Duration;

use tokenpath_core::exposition::Format;
use tokenpath_core::{BoxSource, Reason, Snapshot, Source};
use tokenpath_gateway::{GatewaySource, GatewaySourceOptions};
use tokenpath_scrape::runner::{Exporter, SourceOptions};
use tokenpath_scrape::{Auth, ClientOptions, Credential, Secret};
use tokio::time::Instant;

use crate::http::{Answer, Request, Server};
use crate::page::recorded;

const TOKEN: &str = "canary-token-1";

fn guarded(request: &Request) -> Answer {
    match request.header("authorization") {
        None => (401, b"Unauthorized".to_vec()),
        Some(header) if header == format!("Bearer {TOKEN}") => (
            200,
            recorded("epp", "gen3-llm-d-router-0.10.txt").into_bytes(),
        ),
        Some("Bearer canary-no-reviews") => (500, b"Authentication failed".to_vec()),
        Some(_) => (403, b"Authorization denied".to_vec()),
    }
}

fn source(server: &Server, auth: Auth) -> GatewaySource {
    let options = GatewaySourceOptions {
        client: ClientOptions {
            auth,
            ..ClientOptions::default()
        },
        ..GatewaySourceOptions::default()
    };
    GatewaySource::new(server.url().parse().unwrap(), options).unwrap()
}

fn bearer(token: &str) -> Auth {
    Auth::Bearer(Credential::Inline(Secret::new(token)))
}

#[tokio::test]
async fn a_refusal_says_what_is_missing_and_shows_no_token() {
    let server = Server::start(guarded);
    for (auth, reason, hints) in [
        (
            Auth::None,
            Reason::Unauthorized,
            ["401", "ServiceAccount", "/var/run/secrets/kubernetes.io"],
        ),
        (
            bearer("canary-other"),
            Reason::Forbidden,
            ["403", "nonResourceURLs: [\"/metrics\"]", "verbs: [\"get\"]"],
        ),
        (
            bearer("canary-no-reviews"),
            Reason::ServerError,
            ["500", "tokenreviews", "subjectaccessreviews"],
        ),
    ] {
        let source = source(&server, auth);
        let mut out = Snapshot::new();
        let error = source.collect(&mut out).await.unwrap_err();
        assert_eq!(error.reason(), reason);
        let text = format!("{error} {error:?} {source:?}");
        for hint in hints {
            assert!(error.to_string().contains(hint), "{text}");
        }
        assert!(!text.contains("canary"), "{text}");
    }
}

#[tokio::test]
async fn a_rotated_token_file_is_read_anew() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    let server = Server::start(guarded);
    let source = source(&server, Auth::Bearer(Credential::File(file.clone())));
    let mut out = Snapshot::new();
    let error = source.collect(&mut out).await.unwrap_err();
    assert_eq!(error.reason(), Reason::Unauthorized, "{error}");
    fs::write(&file, "canary-old\n").unwrap();
    let error = source.collect(&mut out).await.unwrap_err();
    assert_eq!(error.reason(), Reason::Forbidden);
    fs::write(&file, format!("{TOKEN}\n")).unwrap();
    source.collect(&mut out).await.unwrap();
    assert!(out.shape().family("llm_gateway_requests_total").is_some());
    for family in out.shape().families() {
        assert!(source.describe().contains(family.desc()));
    }
}

#[tokio::test]
async fn an_idle_controller_is_up_and_others_are_not_gateways() {
    let idle = recorded("epp", "idle.txt");
    let other = format!("{idle}# TYPE cert_manager_x gauge\ncert_manager_x 1\n");
    for (text, reason) in [
        (idle, None),
        (other, Some(Reason::WrongBackend)),
        (String::new(), Some(Reason::Empty)),
        (
            "# TYPE tgi_queue_size gauge\ntgi_queue_size 1\n".to_owned(),
            Some(Reason::WrongBackend),
        ),
        ("<html>".to_owned(), Some(Reason::Parse)),
    ] {
        let body = text.clone().into_bytes();
        let server = Server::start(move |_| (200, body.clone()));
        let result = source(&server, Auth::None)
            .collect(&mut Snapshot::new())
            .await;
        assert_eq!(result.err().map(|error| error.reason()), reason, "{text}");
    }
}

/// What the runner makes of it: the count of folded values, over readings.
#[tokio::test]
async fn folded_ids_are_counted_on_the_page() {
    let server = Server::start(|_| {
        (
            200,
            recorded("epp", "gen3-llm-d-router-0.10.txt").into_bytes(),
        )
    });
    let mut options = GatewaySourceOptions::default();
    options.gateway.fairness_limit = 1;
    let source = GatewaySource::new(server.url().parse().unwrap(), options).unwrap();
    let target = source.id().target().to_owned();
    let mut exporter = Exporter::new();
    exporter.add(BoxSource::new(source), SourceOptions::new());
    for _ in 0..2 {
        let deadline = Instant::now() + Duration::from_secs(30);
        let page = exporter.page(Format::Text004, deadline).await;
        let page = String::from_utf8(page).unwrap();
        let line = format!(
            "tokenpath_labels_folded_total{{backend=\"gateway\",label=\"fairness_id\",target=\"{target}\"}} 2"
        );
        assert!(page.contains(&line), "{page}");
    }
}
