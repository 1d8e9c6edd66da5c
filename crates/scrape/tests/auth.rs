//! Credentials: they reach the target, and nothing else.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/fault_server.rs"]
mod fault_server;

use std::error::Error;
use std::fs;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokenpath_core::Reason;
use tokenpath_scrape::{Auth, Client, ClientOptions, Credential, Endpoint, Page, Secret};
use tokio::io::AsyncWriteExt;
use tokio::time::Instant;

use fault_server::{FaultServer, ok, read_request};

const PLENTY: Duration = Duration::from_secs(30);

/// A server that answers with these bytes, or closes where there are none; and the values of a
/// header that it saw.
async fn recorder(header: &'static str, answer: Vec<u8>) -> (FaultServer, Arc<Mutex<Vec<String>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let record = Arc::clone(&seen);
    let server = FaultServer::start(move |_, mut stream| {
        let (record, answer) = (Arc::clone(&record), answer.clone());
        async move {
            loop {
                let request = read_request(&mut stream).await;
                if request.is_empty() {
                    return;
                }
                for line in request.lines() {
                    if let Some((name, value)) = line.split_once(": ")
                        && name.eq_ignore_ascii_case(header)
                    {
                        record.lock().unwrap().push(value.to_owned());
                    }
                }
                if answer.is_empty() {
                    return;
                }
                let _ = stream.write_all(&answer).await;
            }
        }
    })
    .await;
    (server, seen)
}

fn bearer(credential: Credential) -> ClientOptions {
    ClientOptions {
        auth: Auth::Bearer(credential),
        ..ClientOptions::default()
    }
}

#[tokio::test]
async fn reads_the_token_file_anew_for_every_request() {
    let (server, seen) = recorder("authorization", ok("", b"a 1\n")).await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("token");
    let options = bearer(Credential::File(file.clone()));
    let client = Client::new(server.url().parse().unwrap(), options).unwrap();
    let mut page = Page::new();
    for token in ["one", "two\n", "three"] {
        fs::write(&file, token).unwrap();
        client
            .get(&mut page, Instant::now() + PLENTY)
            .await
            .unwrap();
    }
    assert_eq!(
        *seen.lock().unwrap(),
        ["Bearer one", "Bearer two", "Bearer three"]
    );
    assert_eq!(server.accepted(), 1);

    fs::remove_file(&file).unwrap();
    let error = client
        .get(&mut page, Instant::now() + PLENTY)
        .await
        .unwrap_err();
    assert_eq!(error.reason(), Reason::Unauthorized);
    assert!(
        error.to_string().contains(file.to_str().unwrap()),
        "{error}"
    );
    assert_eq!(
        seen.lock().unwrap().len(),
        3,
        "nothing is asked without credentials"
    );
}

#[tokio::test]
async fn sends_basic_auth_from_options_or_url() {
    let (server, seen) = recorder("authorization", ok("", b"a 1\n")).await;
    let basic = Auth::Basic {
        username: Secret::new("me"),
        password: Credential::Inline(Secret::new("pass")),
    };
    let options = ClientOptions {
        auth: basic,
        ..ClientOptions::default()
    };
    let in_url = format!("http://me:p%61ss@{}", server.address());
    let clients = [
        Client::new(server.url().parse().unwrap(), options.clone()).unwrap(),
        Client::new(in_url.parse().unwrap(), ClientOptions::default()).unwrap(),
    ];
    for client in &clients {
        client
            .get(&mut Page::new(), Instant::now() + PLENTY)
            .await
            .unwrap();
    }
    assert_eq!(
        *seen.lock().unwrap(),
        ["Basic bWU6cGFzcw==", "Basic bWU6cGFzcw=="]
    );
    let error = Client::new(in_url.parse().unwrap(), options).unwrap_err();
    assert!(error.to_string().contains("give them once"), "{error}");
}

#[tokio::test]
async fn sends_more_headers_but_none_that_are_its_own() {
    let (server, seen) = recorder("x-api-key", ok("", b"a 1\n")).await;
    let with = |name: &str, value: &str| ClientOptions {
        headers: vec![(name.to_owned(), Secret::new(value))],
        ..ClientOptions::default()
    };
    let endpoint: Endpoint = server.url().parse().unwrap();
    let client = Client::new(endpoint.clone(), with("X-API-Key", "k")).unwrap();
    client
        .get(&mut Page::new(), Instant::now() + PLENTY)
        .await
        .unwrap();
    assert_eq!(*seen.lock().unwrap(), ["k"]);
    for (name, value) in [
        ("Content-Length", "1"),
        ("connection", "close"),
        ("Transfer-Encoding", "chunked"),
        ("a b", "c"),
        ("x", "canary\r\ny: z"),
    ] {
        let error = Client::new(endpoint.clone(), with(name, value)).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("canary"), "{error}");
    }
}

/// Everything that could be logged about a client, a setup and an error, down to the last cause.
fn shown(parts: &[&dyn std::fmt::Debug], errors: &[&(dyn Error + 'static)]) -> String {
    let mut text = parts
        .iter()
        .map(|part| format!("{part:?} {part:#?}\n"))
        .collect::<String>();
    for error in errors {
        let mut next = Some(*error);
        while let Some(error) = next {
            text.push_str(&format!("{error} {error:?} {error:#?}\n"));
            next = error.source();
        }
    }
    text
}

#[tokio::test]
async fn no_secret_is_ever_shown() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("token");
    fs::write(&file, "canary").unwrap();
    let inline = || Credential::Inline(Secret::new("canary"));
    let auths = [
        Auth::Bearer(inline()),
        Auth::Bearer(Credential::File(file)),
        Auth::Basic {
            username: Secret::new("canary"),
            password: inline(),
        },
        Auth::None,
    ];
    let answers: [&[u8]; 6] = [
        b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: canary\r\nContent-Length: 6\r\n\r\ncanary",
        b"HTTP/1.1 403 canary\r\nContent-Length: 6\r\n\r\ncanary",
        b"HTTP/1.1 302 Found\r\nLocation: http://canary:canary@h/canary?canary\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: canary\r\n\r\ncanary",
        b"canary\r\n\r\n",
        b"",
    ];
    for auth in auths {
        for answer in answers {
            let (server, seen) = recorder("authorization", answer.to_vec()).await;
            let user = if matches!(auth, Auth::None) {
                "canary:canary@"
            } else {
                ""
            };
            let url = format!("http://{user}{}/metrics?key=canary", server.address());
            let endpoint: Endpoint = url.parse().unwrap();
            let options = ClientOptions {
                auth: auth.clone(),
                headers: vec![("x-api-key".to_owned(), Secret::new("canary"))],
                ..ClientOptions::default()
            };
            let client = Client::new(endpoint.clone(), options.clone()).unwrap();
            let error = client
                .get(&mut Page::new(), Instant::now() + PLENTY)
                .await
                .unwrap_err();
            assert_eq!(seen.lock().unwrap().len(), 1, "the secret was sent");
            let parts: [&dyn std::fmt::Debug; 5] =
                [&client, &options, &endpoint, &auth, &endpoint.to_string()];
            let text = shown(&parts, &[&error]);
            assert!(!text.contains("canary"), "{text}");
            assert!(!text.contains("Y2FuYXJ5"), "{text}");
        }
    }
}
