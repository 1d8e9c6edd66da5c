//! Pods against a list and watch stand-in on loopback: it speaks what the API server of Kubernetes
//! is documented to speak, and is not one.

#![cfg(feature = "kubernetes")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokenpath_config::Loader;
use tokenpath_config::discovery::{Target, Watch};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::broadcast;
use tokio::time::timeout;

/// What the stand-in lists, what it was asked, and the events it sends to all who watch.
#[derive(Clone)]
struct StandIn {
    items: Arc<Mutex<Vec<String>>>,
    asked: Arc<Mutex<Vec<String>>>,
    events: broadcast::Sender<String>,
    /// Whether each list says that there is more.
    endless: Arc<AtomicBool>,
    url: String,
}

async fn stand_in() -> StandIn {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stand_in = StandIn {
        items: Arc::default(),
        asked: Arc::default(),
        events: broadcast::channel(100).0,
        endless: Arc::default(),
        url: format!("http://{}", listener.local_addr().unwrap()),
    };
    let own = stand_in.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let StandIn {
                items,
                asked,
                events,
                endless,
                ..
            } = own.clone();
            tokio::spawn(async move {
                let mut events = events.subscribe();
                let mut request = vec![0; 8192];
                let length = stream.read(&mut request).await.unwrap();
                let request = String::from_utf8_lossy(&request[..length]).into_owned();
                asked.lock().unwrap().push(request.clone());
                if !request.contains("watch=1") {
                    let items = items.lock().unwrap().join(",");
                    let more = if endless.load(Ordering::Relaxed) {
                        "x"
                    } else {
                        ""
                    };
                    let body = format!(
                        r#"{{"metadata":{{"resourceVersion":"7","continue":"{more}"}},"items":[{items}]}}"#
                    );
                    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
                    stream
                        .write_all(format!("{head}{body}").as_bytes())
                        .await
                        .unwrap();
                    return;
                }
                stream
                    .write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
                    .await
                    .unwrap();
                while let Ok(event) = events.recv().await {
                    if event == "END" {
                        _ = stream.write_all(b"0\r\n\r\n").await;
                        return;
                    }
                    // Cut in the middle, as a network may.
                    let event = format!("{event}\n");
                    let (first, second) = event.split_at(event.len() / 2);
                    for part in [first, second] {
                        let chunk = format!("{:x}\r\n{part}\r\n", part.len());
                        if stream.write_all(chunk.as_bytes()).await.is_err() {
                            return;
                        }
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                }
            });
        }
    });
    stand_in
}

fn pod(name: &str, ip: &str, role: &str) -> String {
    format!(
        r#"{{"metadata":{{"name":"{name}","namespace":"llm","resourceVersion":"8","labels":{{"llm-d.ai/role":"{role}","inference.networking.k8s.io/engine-type":"vllm"}}}},"spec":{{"nodeName":"n1","containers":[{{"name":"side","ports":[{{"containerPort":15020}}]}},{{"name":"vllm","ports":[{{"name":"http","containerPort":8000}}]}}]}},"status":{{"phase":"Running","podIP":"{ip}","conditions":[{{"type":"Ready","status":"True"}}]}}}}"#
    )
}

fn event(kind: &str, pod: &str) -> String {
    format!(r#"{{"type":"{kind}","object":{pod}}}"#)
}

impl StandIn {
    /// Waits until so many watches were asked for.
    async fn watched(&self, times: usize) {
        for _ in 0..600 {
            let asked = self
                .asked
                .lock()
                .unwrap()
                .iter()
                .filter(|request| request.contains("watch=1"))
                .count();
            if asked >= times && self.events.receiver_count() > 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{:?}", self.asked.lock().unwrap());
    }
}

async fn until(watch: &mut Watch, wanted: &[&str]) -> Arc<[Target]> {
    let mut last = Vec::new();
    for _ in 0..20 {
        let Ok(list) = timeout(Duration::from_secs(30), watch.changed()).await else {
            break;
        };
        last = list
            .iter()
            .map(|target| target.endpoint.target().to_owned())
            .collect();
        if last == wanted {
            return list;
        }
    }
    panic!("wanted {wanted:?}, last {last:?}");
}

#[tokio::test]
async fn pods_are_listed_and_followed() {
    let api = stand_in().await;
    api.items
        .lock()
        .unwrap()
        .push(pod("a", "10.0.0.1", "prefill"));
    let text = format!(
        "discovery:\n  - kubernetes: {{api: \"{}\", namespaces: llm, selector: app=vllm, port: http}}\n    map_labels: {{__meta_kubernetes_pod_node_name: node}}\n",
        api.url
    );
    let mut watch = Watch::start(&Loader::new().parse("t", &text).unwrap());
    let list = until(&mut watch, &["10.0.0.1:8000"]).await;
    assert_eq!(list[0].kind.as_deref(), Some("vllm"));
    assert_eq!(list[0].labels.to_string(), r#"{node="n1",role="prefill"}"#);
    {
        let asked = api.asked.lock().unwrap();
        assert!(
            asked[0]
                .starts_with("GET /api/v1/namespaces/llm/pods?labelSelector=app%3Dvllm&limit=500 "),
            "{asked:?}"
        );
    }

    api.watched(1).await;
    api.events
        .send(event("ADDED", &pod("b", "10.0.0.2", "decode")))
        .unwrap();
    until(&mut watch, &["10.0.0.1:8000", "10.0.0.2:8000"]).await;
    api.events
        .send(event("MODIFIED", &pod("b", "10.0.0.3", "decode")))
        .unwrap();
    until(&mut watch, &["10.0.0.1:8000", "10.0.0.3:8000"]).await;
    api.events
        .send(event("DELETED", &pod("a", "10.0.0.1", "prefill")))
        .unwrap();
    until(&mut watch, &["10.0.0.3:8000"]).await;

    // A watch that ends is taken up again from where it was.
    api.events.send("END".to_owned()).unwrap();
    api.watched(2).await;
    assert!(
        api.asked
            .lock()
            .unwrap()
            .last()
            .unwrap()
            .contains("resourceVersion=8")
    );
    api.events
        .send(event("ADDED", &pod("c", "10.0.0.4", "decode")))
        .unwrap();
    until(&mut watch, &["10.0.0.3:8000", "10.0.0.4:8000"]).await;

    // One that the server does not know any more begins with a new list.
    *api.items.lock().unwrap() = vec![pod("d", "10.0.0.5", "decode")];
    let gone = r#"{"type":"ERROR","object":{"kind":"Status","code":410,"message":"too old resource version"}}"#;
    api.events.send(gone.to_owned()).unwrap();
    until(&mut watch, &["10.0.0.5:8000"]).await;
}

/// It is given up, and asked again after a while.
#[tokio::test]
async fn a_list_without_an_end_is_no_list() {
    let api = stand_in().await;
    api.endless.store(true, Ordering::Relaxed);
    let text = format!("discovery: [{{kubernetes: {{api: \"{}\"}}}}]", api.url);
    let _watch = Watch::start(&Loader::new().parse("t", &text).unwrap());
    let rounds = || {
        let asked = api.asked.lock().unwrap();
        let first = asked
            .iter()
            .filter(|request| !request.contains("continue="));
        (first.count(), asked.len())
    };
    for _ in 0..400 {
        if rounds().0 >= 2 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("one list in so many pages: {:?}", rounds());
}
