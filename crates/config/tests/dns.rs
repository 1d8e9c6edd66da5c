//! DNS discovery against a name server on loopback that the test itself is.

#![cfg(feature = "dns")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokenpath_config::Loader;
use tokenpath_config::discovery::{Target, Watch};
use tokio::net::UdpSocket;
use tokio::time::timeout;

/// Type and data of the records that are answered with; `None` for no answer at all.
type Records = Arc<Mutex<Option<Vec<(u16, Vec<u8>)>>>>;

const A: u16 = 1;
const SRV: u16 = 33;

/// Answers every question of a type with the records of that type, for `ttl` seconds; NXDOMAIN where
/// there is no record at all; nothing where the name begins with `silent`.
async fn name_server(records: Records, ttl: u32) -> SocketAddr {
    name_server_that_may_be_silent(records, ttl, Arc::default()).await
}

/// One that says nothing of names that begin with `changing` either, from when it is told to.
async fn name_server_that_may_be_silent(
    records: Records,
    ttl: u32,
    silent: Arc<AtomicBool>,
) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 1500];
        loop {
            let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
            let asked = &buffer[..length];
            let name_end = 12 + asked[12..].iter().position(|byte| *byte == 0).unwrap() + 1;
            let kind = u16::from_be_bytes([asked[name_end], asked[name_end + 1]]);
            let question = &asked[12..name_end + 4];
            let changing = question[1..].starts_with(b"changing");
            if question[1..].starts_with(b"silent") || changing && silent.load(Ordering::Relaxed) {
                continue;
            }
            let Some(all) = records.lock().unwrap().clone() else {
                continue;
            };
            let rows: Vec<_> = all.iter().filter(|(of, _)| *of == kind).collect();
            let mut answer = asked[..2].to_vec();
            let code = if all.is_empty() { 0x83 } else { 0x80 };
            answer.extend([
                0x85,
                code,
                0,
                1,
                0,
                u8::try_from(rows.len()).unwrap(),
                0,
                0,
                0,
                0,
            ]);
            answer.extend(question);
            for (kind, data) in rows {
                answer.extend([0xc0, 0x0c]);
                answer.extend(kind.to_be_bytes());
                answer.extend([0, 1]);
                answer.extend(ttl.to_be_bytes());
                answer.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
                answer.extend(data);
            }
            socket.send_to(&answer, from).await.unwrap();
        }
    });
    address
}

fn targets(list: &[Target]) -> Vec<String> {
    list.iter()
        .map(|target| target.endpoint.to_string())
        .collect()
}

async fn until(watch: &mut Watch, wanted: &[&str]) {
    let begin = Instant::now();
    let mut last = Vec::new();
    while begin.elapsed() < Duration::from_secs(30) {
        if let Ok(list) = timeout(Duration::from_secs(30), watch.changed()).await {
            last = targets(&list);
            if last == wanted {
                return;
            }
        }
    }
    panic!("wanted {wanted:?}, last {last:?}");
}

fn watch(server: SocketAddr, rest: &str) -> Watch {
    let text = format!(
        "discovery: [{{kind: vllm, dns: {{names: vllm.test., server: \"{server}\", {rest}}}}}]"
    );
    Watch::start(&Loader::new().parse("t", &text).unwrap())
}

#[tokio::test]
async fn addresses_are_followed_by_their_time_to_live() {
    let records: Records = Arc::new(Mutex::new(Some(vec![
        (A, vec![10, 0, 0, 2]),
        (A, vec![10, 0, 0, 1]),
    ])));
    let server = name_server(Arc::clone(&records), 1).await;
    let mut watch = watch(server, "type: a, port: 8000, refresh: 1h");
    until(
        &mut watch,
        &[
            "http://10.0.0.1:8000/metrics",
            "http://10.0.0.2:8000/metrics",
        ],
    )
    .await;
    *records.lock().unwrap() = Some(vec![(A, vec![10, 0, 0, 3])]);
    until(&mut watch, &["http://10.0.0.3:8000/metrics"]).await;
    *records.lock().unwrap() = None;
    let silent = timeout(Duration::from_secs(3), watch.changed()).await;
    assert!(silent.is_err(), "no answer keeps the last one");
    *records.lock().unwrap() = Some(Vec::new());
    until(&mut watch, &[]).await;
}

#[tokio::test]
async fn services_bring_their_port() {
    let mut data = vec![0, 0, 0, 0];
    data.extend(8001_u16.to_be_bytes());
    data.extend(b"\x05pod-0\x04vllm\x04test\x00");
    let records: Records = Arc::new(Mutex::new(Some(vec![(SRV, data)])));
    let server = name_server(records, 30).await;
    let mut watch = watch(server, "type: srv, scheme: https, path: /m");
    until(&mut watch, &["https://pod-0.vllm.test:8001/m"]).await;
}

/// Each silent name takes its time, and costs the others none of it.
#[tokio::test]
async fn silent_names_hold_up_no_other() {
    let records: Records = Arc::new(Mutex::new(Some(vec![(A, vec![10, 0, 0, 1])])));
    let server = name_server(records, 30).await;
    let text = format!(
        "discovery: [{{kind: vllm, dns: {{names: [silent-a.test., silent-b.test., silent-c.test., silent-d.test., vllm.test.], server: \"{server}\", type: a, port: 8000}}}}]"
    );
    let mut watch = Watch::start(&Loader::new().parse("t", &text).unwrap());
    let begin = Instant::now();
    until(&mut watch, &["http://10.0.0.1:8000/metrics"]).await;
    assert!(
        begin.elapsed() < Duration::from_secs(3),
        "{:?}",
        begin.elapsed()
    );
}

/// A name that is silent when the configuration is read again keeps what it said, whatever the others do.
#[tokio::test]
async fn a_reload_keeps_what_a_silent_name_said() {
    let records: Records = Arc::new(Mutex::new(Some(vec![(A, vec![10, 0, 0, 1])])));
    let silent = Arc::new(AtomicBool::new(false));
    let server = name_server_that_may_be_silent(records, 1, Arc::clone(&silent)).await;
    let config = |names: &str, refresh: u32| {
        let text = format!(
            "discovery: [{{kind: vllm, dns: {{names: [{names}], server: \"{server}\", type: a, port: 8000, refresh: {refresh}s}}, map_labels: {{__meta_dns_name: name}}}}]"
        );
        Loader::new().parse("t", &text).unwrap()
    };
    let mut before = Watch::start(&config("changing.test., vllm.test.", 2));
    let both = ["http://10.0.0.1:8000/metrics"; 2];
    until(&mut before, &both).await;
    silent.store(true, Ordering::Relaxed);
    let mut after = before.succeed(&config("changing.test., vllm.test.", 3));
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(4) {
        if let Ok(list) = timeout(Duration::from_secs(1), after.changed()).await {
            assert_eq!(targets(&list), both);
        }
    }
    // With other names beside it.
    let mut after = after.succeed(&config("silent.test., changing.test.", 2));
    let begin = Instant::now();
    let mut last = Vec::new();
    while begin.elapsed() < Duration::from_secs(12) {
        if let Ok(list) = timeout(Duration::from_secs(1), after.changed()).await {
            last = targets(&list);
        }
    }
    assert_eq!(last, ["http://10.0.0.1:8000/metrics"]);
}
