//! What is read stays read: over reloads, over broken files, over silent servers, and once.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokenpath_config::discovery::{Target, Watch, known_targets};
use tokenpath_config::{Config, ConfigFile, Equip, Fleet, Follower, Loader, Make};
use tokenpath_core::{BoxSource, CollectError, Desc, Snapshot, Source, SourceId};
use tokenpath_scrape::runner::Exporter;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

/// A source that says nothing, for tests that are about which sources there are.
struct Mute(SourceId);

impl Source for Mute {
    fn id(&self) -> &SourceId {
        &self.0
    }

    fn describe(&self) -> &[Arc<Desc>] {
        &[]
    }

    async fn collect(&self, _: &mut Snapshot) -> Result<(), CollectError> {
        Ok(())
    }
}

fn mute() -> Arc<Make> {
    Arc::new(|target, kind| {
        let id = SourceId::new(kind, target.endpoint.target());
        Ok(BoxSource::new(Mute(id)))
    })
}

/// As [`mute`], once the file is there.
fn mute_once(there: &Path) -> Arc<Make> {
    let there = there.to_owned();
    let make = mute();
    Arc::new(move |target, kind| {
        fs::metadata(&there)?;
        make(target, kind)
    })
}

fn equip(make: Arc<Make>) -> Arc<Equip> {
    Arc::new(move |_: &Config| (vec![tokenpath_vllm::compiled().into()], Arc::clone(&make)))
}

/// Accepts, and never answers.
async fn silent() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            kept.push(stream);
        }
    });
    address
}

/// Answers every request with this list of targets after a while.
async fn answering(list: &'static str, after: Duration) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = [0; 4096];
                _ = stream.read(&mut request).await;
                sleep(after).await;
                let length = list.len();
                let answer = format!(
                    "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{list}"
                );
                _ = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
    address
}

fn config(text: &str) -> Config {
    Loader::new().parse("t", text).unwrap()
}

fn names(list: &[Target]) -> Vec<String> {
    list.iter()
        .map(|target| target.endpoint.to_string())
        .collect()
}

/// The list that a watch has once nothing more comes.
async fn settled(watch: &mut Watch) -> Vec<String> {
    let mut last = Vec::new();
    while let Ok(list) = timeout(Duration::from_secs(2), watch.changed()).await {
        last = names(&list);
    }
    last
}

#[test]
fn two_sources_that_would_be_one_on_the_page_are_refused() {
    let errors = |text: &str| {
        let errors = Loader::new().parse("t.yaml", text).err();
        let errors = errors.unwrap_or_default();
        errors.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let refused = errors(
        "
sources:
  - {kind: vllm, endpoint: http://a:8000/metrics}
  - {kind: vllm, endpoint: http://a:8000/prefix/metrics}
",
    );
    assert_eq!(
        refused,
        [
            "t.yaml:4:28: http://a:8000/prefix/metrics would have the same series as http://a:8000/metrics at 3:28: \
             both are `vllm` at a:8000 with the same labels; give one of them another label"
        ]
    );
    let unsaid = errors("sources: [{endpoint: 'a:1/x'}, {endpoint: 'a:1/y'}]");
    assert_eq!(
        unsaid,
        [
            "t.yaml:1:43: http://a:1/y would have the same series as http://a:1/x at 1:22: of neither the kind is \
             said, both are at a:1 with the same labels; give one of them another label, or say their kinds"
        ]
    );
    let defaults = "
defaults: {labels: {node: a1}}
sources:
  - {kind: vllm, endpoint: https://a:443/metrics, labels: {node: a1}}
  - {kind: vllm, endpoint: 'http://a:443'}
  - {kind: vllm, endpoint: 'http://a:443/x?model=1'}
";
    assert_eq!(errors(defaults).len(), 2, "{:?}", errors(defaults));
    for fine in [
        "sources: [{kind: vllm, endpoint: 'a:1'}, {kind: tgi, endpoint: 'a:1/tgi'}]",
        "sources: [{kind: vllm, endpoint: 'a:1', labels: {n: x}}, {kind: vllm, endpoint: 'a:1/b', labels: {n: y}}]",
        "sources: [{kind: vllm, endpoint: 'a:1'}, {kind: vllm, endpoint: 'a:2'}]",
    ] {
        assert_eq!(errors(fine), [""; 0], "{fine}");
    }
}

#[tokio::test]
async fn what_is_found_twice_is_read_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.yaml");
    fs::write(
        dir.path().join("targets.yaml"),
        "
- targets: ['a:8000', 'http://a:8000', 'A:8000', 'http://b:8000/metrics', 'http://b:8000/other', 'http://c:80/x', 'http://c/x']
- targets: ['b:8000']
  labels: {team: red}
- targets: ['d:8000']
  labels: {__backend__: vllm}
- targets: ['d:8000', 'e:8000']
- targets: ['e:8000']
  labels: {__backend__: vllm}
",
    )
    .unwrap();
    fs::write(
        &path,
        "
sources: [{kind: vllm, endpoint: 'http://a:8000/metrics'}]
discovery: [{files: targets.yaml, timeout: 3s}]
",
    )
    .unwrap();
    let config = Loader::new().load(&path).unwrap();
    let list = Watch::start(&config).changed().await;
    let said: Vec<_> = list
        .iter()
        .map(|target| {
            (
                target.kind.as_deref().unwrap_or("-"),
                target.endpoint.to_string(),
                target.labels.get("team").unwrap_or(""),
            )
        })
        .collect();
    let said: Vec<_> = said
        .iter()
        .map(|(kind, url, team)| (*kind, url.as_str(), *team))
        .collect();
    assert_eq!(
        said,
        [
            ("vllm", "http://a:8000/metrics", ""),
            ("-", "http://b:8000/metrics", ""),
            ("-", "http://c/x", ""),
            ("-", "http://b:8000/metrics", "red"),
            ("vllm", "http://d:8000/metrics", ""),
            ("vllm", "http://e:8000/metrics", ""),
        ]
    );
}

/// What a page tells may be what another target is already.
#[tokio::test]
async fn a_page_that_tells_a_kind_does_not_double_a_target() {
    let page = "# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running 3\n";
    let address = answering(page, Duration::ZERO).await;
    let text = format!(
        "sources: [{{kind: vllm, endpoint: \"{address}/a\"}}, {{endpoint: \"{address}/b\"}}]"
    );
    let exporter = Arc::new(Exporter::new());
    let kinds = vec![tokenpath_vllm::compiled().into()];
    let mut fleet = Fleet::new(Arc::clone(&exporter), kinds, mute());
    assert_eq!(fleet.apply(&known_targets(&config(&text))).added, 2);
    timeout(Duration::from_secs(20), fleet.told())
        .await
        .unwrap();
    let status = exporter.status();
    let up: Vec<_> = status.iter().map(|one| one.id.to_string()).collect();
    assert_eq!(
        up,
        [format!("vllm {address}"), format!("unknown {address}")]
    );
}

#[tokio::test]
async fn a_broken_target_file_keeps_its_targets_over_a_reload() {
    let dir = tempfile::tempdir().unwrap();
    let (path, targets) = (dir.path().join("t.yaml"), dir.path().join("targets.yaml"));
    fs::write(&targets, "- targets: ['10.0.0.1:8000']\n").unwrap();
    fs::write(&path, "discovery: [{files: targets.yaml, kind: vllm}]").unwrap();
    let mut file = ConfigFile::new(&path, Loader::new());
    let mut watch = Watch::start(&file.load().unwrap());
    assert_eq!(watch.changed().await.len(), 1);
    fs::write(&targets, "- targets: ['10.0.0.1:8000'").unwrap();
    let mut watch = watch.succeed(&file.load().unwrap());
    assert_eq!(settled(&mut watch).await, ["http://10.0.0.1:8000/metrics"]);
    // Another entry is not another file.
    fs::write(
        &path,
        "discovery: [{files: [more.yaml, 'target*.yaml'], kind: vllm}]",
    )
    .unwrap();
    let mut watch = watch.succeed(&file.load().unwrap());
    assert_eq!(settled(&mut watch).await, ["http://10.0.0.1:8000/metrics"]);
    // One that is gone takes them with it all the same.
    fs::remove_file(&targets).unwrap();
    let mut watch = watch.succeed(&file.load().unwrap());
    assert_eq!(settled(&mut watch).await, [""; 0]);
}

#[tokio::test]
async fn one_bad_target_that_was_found_is_down_and_does_not_refuse_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let (path, there) = (dir.path().join("t.yaml"), dir.path().join("there"));
    fs::write(
        dir.path().join("targets.yaml"),
        "- targets: ['10.0.0.1:8000']\n",
    )
    .unwrap();
    fs::write(&path, "discovery: [{files: targets.yaml, kind: vllm}]").unwrap();
    let mut file = ConfigFile::new(&path, Loader::new());
    let config = file.load().unwrap();
    let exporter = Arc::new(Exporter::new());
    let equip = equip(mute_once(&there));
    let (follower, change) =
        Follower::start(Arc::clone(&exporter), &config, Some(file), equip).await;
    assert_eq!((change.added, change.refused), (1, Vec::new()));
    assert_eq!(exporter.status().len(), 1);
    let (_hup, signals) = mpsc::channel(1);
    let following = tokio::spawn(follower.run(signals));
    let up = || async {
        let deadline = Instant::now() + Duration::from_secs(5);
        let page = exporter.page(tokenpath_core::exposition::Format::Text004, deadline);
        let page = String::from_utf8(page.await).unwrap();
        page.contains("tokenpath_source_up{backend=\"vllm\",target=\"10.0.0.1:8000\"} 1\n")
    };
    assert!(!up().await);
    fs::write(&there, "").unwrap();
    for _ in 0..60 {
        if up().await {
            following.abort();
            return;
        }
        sleep(Duration::from_millis(500)).await;
    }
    panic!("it never healed");
}

/// Lists come all the time: that neither hurries nor puts off the next attempt, nor says it all again.
#[tokio::test(start_paused = true)]
async fn what_cannot_be_made_is_tried_again_whatever_lists_come() {
    let dir = tempfile::tempdir().unwrap();
    let there = dir.path().join("there");
    let exporter = Arc::new(Exporter::new());
    let mut fleet = Fleet::new(Arc::clone(&exporter), Vec::new(), mute_once(&there));
    let list = |round: u32| {
        let text = format!(
            "sources: [{{kind: vllm, endpoint: 'a:1'}}, {{kind: vllm, endpoint: 'b:1', labels: {{r: r{round}}}}}]"
        );
        known_targets(&config(&text))
    };
    assert_eq!(fleet.apply(&list(0)).refused.len(), 2);
    for round in 1..=4 {
        let wait = timeout(Duration::from_secs(2), fleet.told()).await;
        assert!(wait.is_err());
        let change = fleet.apply(&list(round));
        assert_eq!((change.kept, change.refused.len()), (1, 1));
    }
    fs::write(&there, "").unwrap();
    let healed = timeout(Duration::from_secs(3), fleet.told()).await;
    assert!(healed.is_ok());
    let down = exporter.status();
    assert_eq!(down.len(), 2);
    assert_eq!(fleet.apply(&list(4)).kept, 2);
    let more = timeout(Duration::from_secs(60), fleet.told()).await;
    assert!(more.is_err(), "there is nothing more to try");
}

#[tokio::test]
async fn what_is_known_is_applied_while_a_new_provider_is_silent() {
    let url = silent().await;
    let mut watch = Watch::start(&config("sources: [{kind: vllm, endpoint: 'a:1'}]"));
    assert_eq!(watch.changed().await.len(), 1);
    let text = format!(
        "
sources: [{{kind: vllm, endpoint: 'a:1', labels: {{n: new}}}}, {{kind: vllm, endpoint: 'b:1'}}]
discovery: [{{kind: vllm, http: {{url: 'http://{url}/sd'}}}}]
"
    );
    let mut watch = watch.succeed(&config(&text));
    let list = timeout(Duration::from_secs(2), watch.changed())
        .await
        .expect("known at once");
    assert_eq!(
        names(&list),
        ["http://a:1/metrics", "http://b:1/metrics"],
        "one that has other labels is no other target"
    );
}

#[tokio::test]
async fn a_target_that_moves_to_another_provider_is_not_lost_in_between() {
    let list = r#"[{"targets": ["a:1"]}]"#;
    let url = answering(list, Duration::from_secs(2)).await;
    let before = config("sources: [{kind: vllm, endpoint: 'a:1'}, {kind: vllm, endpoint: 'b:1'}]");
    let mut watch = Watch::start(&before);
    assert_eq!(watch.changed().await.len(), 2);
    let text = format!(
        "
sources: [{{kind: vllm, endpoint: 'c:1'}}]
discovery: [{{kind: vllm, http: {{url: 'http://{url}/sd'}}}}]
"
    );
    let mut watch = watch.succeed(&config(&text));
    let mut lists = Vec::new();
    while let Ok(list) = timeout(Duration::from_secs(4), watch.changed()).await {
        lists.push(names(&list));
    }
    let a = "http://a:1/metrics".to_owned();
    assert!(lists.iter().all(|list| list.contains(&a)), "{lists:?}");
    let last = lists.last().unwrap();
    assert_eq!(*last, ["http://c:1/metrics", "http://a:1/metrics"]);
}
