//! What is said beside the file, and what holds for one kind alone.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::sync::Arc;

use tokenpath_config::{Config, Loader, Make, Overlay, Reading};

fn load(overlay: Overlay, text: &str) -> Result<Config, Vec<String>> {
    let loaded = Loader::new().overlay(overlay).parse("t.yaml", text);
    loaded.map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

fn reading(config: &Config, target: &str) -> Arc<Reading> {
    let found = config
        .sources
        .iter()
        .find(|source| source.endpoint.target() == target);
    Arc::clone(&found.unwrap().reading)
}

#[test]
fn flags_win_over_the_environment_and_the_environment_over_the_file() {
    let text = "
defaults: {interval: 30s, labels: {worker_id: file, node: a1}}
sources:
  - {kind: vllm, endpoint: file:8000}
  - {kind: tgi, endpoint: file:8080}
";
    let environment = || {
        Overlay::from_environment([
            ("VLLM_ENDPOINT", "environment:8000"),
            ("SCRAPE_INTERVAL", "5"),
            ("WORKER_ID", "environment"),
            ("MODEL_NAME", "m"),
        ])
    };
    let config = load(environment(), text).unwrap();
    assert_eq!(config.sources.len(), 2, "the file's TGI stays");
    let from_environment = reading(&config, "environment:8000");
    assert_eq!(from_environment.interval.unwrap().as_secs(), 5);
    let labels = from_environment.labels.to_string();
    assert_eq!(labels, r#"{node="a1",worker_id="environment"}"#);

    let mut flags = Overlay::new();
    flags.endpoints("--vllm.endpoint", "vllm", ["flag:8000"]);
    flags.set("--scrape.interval", "defaults.interval", "2s");
    flags.set_entry("--label", "defaults.labels", "worker_id", "flag");
    let config = load(flags.over(environment()), text).unwrap();
    let from_flag = reading(&config, "flag:8000");
    assert_eq!(from_flag.interval.unwrap().as_secs(), 2);
    assert_eq!(from_flag.labels.get("worker_id"), Some("flag"));
    assert_eq!(from_flag.fallback_labels.get("model_name"), Some("m"));
    let of = |kind| {
        from_flag
            .source(kind, &from_flag.labels)
            .fallback_labels
            .len()
    };
    assert_eq!(
        (of("vllm"), of("limitador"), of("gateway")),
        (1, 0, 0),
        "a limiter is no engine"
    );
}

#[test]
fn credentials_are_taken_as_a_whole_and_only_where_they_are_meant() {
    let text = "
defaults: {auth: {token_file: shared}, tls: {ca_file: ca.pem}}
sources:
  - {kind: vllm, endpoint: vllm:8000}
  - {kind: gateway, endpoint: gateway:9090}
discovery:
  - {files: t.yaml, kind: gateway}
";
    let mut flags = Overlay::new();
    flags.clear_of("--gateway.bearer-token-file", "gateway", "auth");
    flags.set_of(
        "--gateway.bearer-token-file",
        "gateway",
        "auth.token_file",
        "own",
    );
    flags.inherit_of("--gateway.server-name", "gateway", "tls");
    flags.set_of("--gateway.server-name", "gateway", "tls.server_name", "epp");
    let config = load(flags, text).unwrap();
    let options = |reading: &Reading| format!("{:?}", reading.page_source().client);
    let (vllm, gateway) = (
        reading(&config, "vllm:8000"),
        reading(&config, "gateway:9090"),
    );
    assert!(options(&vllm).contains("shared") && !options(&vllm).contains("epp"));
    for reading in [&gateway, &config.discovery[0].reading] {
        let options = options(reading);
        assert!(
            options.contains("own") && !options.contains("shared"),
            "{options}"
        );
        assert!(
            options.contains("epp") && options.contains("ca.pem"),
            "{options}"
        );
    }

    let mut flags = Overlay::new();
    flags.clear("--scrape.username", "defaults.auth");
    flags.set("--scrape.username", "defaults.auth.username", "me");
    flags.set("--scrape.password-file", "defaults.auth.password_file", "p");
    load(flags, text).unwrap();
}

#[test]
fn what_a_flag_says_wrong_is_told_by_its_name() {
    let mut flags = Overlay::new();
    flags.endpoints("--vllm.endpoint", "vllm", ["ftp://a", "b:8000", "b:8000"]);
    flags.set("--gpu.period", "gpu.period", "5ms");
    let errors = load(flags, "sources: [{kind: vlm, endpoint: c}]").unwrap_err();
    assert_eq!(errors.len(), 4, "{errors:#?}");
    for (error, says) in [
        (0, "--vllm.endpoint: "),
        (1, "--vllm.endpoint: http://b:8000/metrics is read already;"),
        (2, "--gpu.period: `5ms` must be from 100ms to 1h"),
        (3, "t.yaml:1:18: `vlm` is no kind of backend"),
    ] {
        assert!(errors[error].starts_with(says), "{errors:#?}");
    }
}

#[test]
fn what_holds_for_one_kind_makes_no_other_source_anew() {
    let text = |tenant: &str, limit: u32| {
        format!(
            "
defaults: {{limitador: {{tenant: {tenant}, keep: {{a.group: group}}}}, gateway: {{fairness_limit: 7}}}}
tenants: {{limit: {limit}, keep: vip}}
sources:
  - {{kind: vllm, endpoint: vllm:8000}}
  - {{kind: limitador, endpoint: limitador:8080, limitador: {{token_namespaces: '*', admin: false}}}}
  - {{kind: gateway, endpoint: gateway:9090}}
"
        )
    };
    let config = |tenant, limit| load(Overlay::new(), &text(tenant, limit)).unwrap();
    let before = config("user", 5);
    let limitador = &reading(&before, "limitador:8080").limitador;
    assert_eq!(limitador.tenant, ["user"]);
    assert_eq!(limitador.keep, [("a.group".to_owned(), "group".to_owned())]);
    assert_eq!(limitador.token_namespaces, ["*"]);
    assert!(limitador.no_admin);
    assert_eq!(
        (limitador.tenants.limit, &limitador.tenants.keep[..]),
        (5, &["vip".to_owned()][..])
    );
    assert_eq!(
        reading(&before, "gateway:9090").gateway.fairness_limit,
        Some(7)
    );
    for after in [config("userid", 5), config("user", 6)] {
        for (target, same) in [
            ("vllm:8000", true),
            ("gateway:9090", true),
            ("limitador:8080", false),
        ] {
            let fingerprint = |config: &Config| reading(config, target).fingerprint();
            assert_eq!(
                fingerprint(&before) == fingerprint(&after),
                same,
                "{target}"
            );
        }
    }
    let errors = load(
        Overlay::new(),
        "sources: [{kind: vllm, endpoint: a, limitador: {tenant: user}}]",
    );
    let says = "t.yaml:1:48: `limitador` says how a target of that kind is read; this is a `vllm`";
    assert_eq!(errors.unwrap_err(), [says]);
}

#[test]
fn gpus_are_read_where_they_are_named() {
    let config = |text| load(Overlay::new(), text).unwrap();
    assert_eq!(config("gpu:").gpu, None);
    let gpu = config("gpu: {}").gpu.unwrap();
    assert_eq!(
        (gpu.period.as_secs(), gpu.processes, gpu.mig),
        (1, true, true)
    );
    let gpu = config("gpu: {period: 500ms, mig: false, labels: {node: a1}}")
        .gpu
        .unwrap();
    assert_eq!(
        (gpu.period.as_millis(), gpu.mig, gpu.labels.get("node")),
        (500, false, Some("a1"))
    );
    let mut flags = Overlay::new();
    flags.section("--gpu", "gpu");
    assert!(load(flags.clone(), "").unwrap().gpu.is_some());
    assert!(
        load(flags, "gpu: {mig: false}")
            .unwrap()
            .gpu
            .is_some_and(|gpu| !gpu.mig)
    );
}

#[test]
fn probes_show_no_credentials_that_were_meant_for_others() {
    let make: Arc<Make> = Arc::new(|_, _| Err("none".into()));
    assert!(load(Overlay::new(), "").unwrap().probes(&make).is_none());
    let environment = |name: &str| (name == "KEY").then(|| "s3cr3t".to_owned());
    let config = Loader::new().environment(environment).parse(
        "t.yaml",
        "
defaults: {auth: {token_file: shared}, headers: {X-Key: '${KEY}'}, tls: {ca_file: ca.pem, cert_file: ours.pem, key_file: ours.key}, interval: 5s, timeout: 2s}
probe: {allow: 10.0.0.0/8, ports: [8000], hosts: '*.svc'}
",
    );
    let config = config.unwrap();
    let modules = &config.probe.as_ref().unwrap().modules;
    let names: Vec<&str> = modules.iter().map(|module| module.name.as_str()).collect();
    assert_eq!(names, ["vllm", "tgi", "limitador", "gateway"]);
    for module in modules {
        let options = format!("{:?}", module.reading.page_source().client);
        assert!(
            !options.contains("shared") && !options.contains("X-Key"),
            "{options}"
        );
        assert!(
            options.contains("ca.pem") && !options.contains("ours"),
            "a certificate of ours says who we are: {options}"
        );
        assert_eq!(
            (module.reading.interval, module.reading.timeout.as_secs()),
            (None, 2)
        );
    }
    let probes = config.probes(&make).unwrap();
    assert_eq!(probes.modules.len(), 4);
    assert!(probes.allow.allows("10.0.0.1:8000".parse().unwrap()));
    assert!(!probes.allow.allows("10.0.0.1:22".parse().unwrap()));
    assert!(probes.allow.allows_host("a.svc") && !probes.allow.allows_host("a.example"));

    let text = "
probe:
  allow: 10.0.0.0/8
  modules:
    - {name: own, kind: tgi, auth: {token_file: t}}
    - {name: own, kind: tgii}
";
    let errors = load(Overlay::new(), text).unwrap_err();
    assert_eq!(errors.len(), 2, "{errors:#?}");
    assert!(
        errors[0].contains("there are two modules `own`"),
        "{errors:#?}"
    );
    assert!(errors[1].contains("did you mean `tgi`?"), "{errors:#?}");
}

#[test]
fn roll_ups_of_flags_stand_for_those_of_the_file() {
    let mut flags = Overlay::new();
    flags.set_records("--rollup", "rollups", [("over", &["engine", "target"][..])]);
    let config = load(flags, "rollups: [{over: model_name}]").unwrap();
    assert_eq!(config.rollups.len(), 1);
    assert_eq!(config.rollups[0].over, ["engine", "target"]);
}

#[test]
fn paths_in_a_file_are_meant_from_its_folder() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.yaml");
    let text = "
gpu: {library: lib.so}
sources: [{kind: limitador, endpoint: a, limitador: {tenant_key_file: key}}]
probe: {allow: ::1, modules: [{name: m, kind: vllm, tls: {ca_file: ca.pem}}]}
";
    std::fs::write(&path, text).unwrap();
    let config = Loader::new().load(&path).unwrap();
    let within = |file: &str| dir.path().join(file);
    assert_eq!(
        config.gpu.unwrap().library.as_deref(),
        Some(&*within("lib.so"))
    );
    let key = &config.sources[0].reading.limitador.tenant_key_file;
    assert_eq!(key.as_deref(), Some(Path::new(&within("key"))));
    let options = format!(
        "{:?}",
        config.probe.unwrap().modules[0]
            .reading
            .page_source()
            .client
    );
    assert!(
        options.contains(&*within("ca.pem").to_string_lossy()),
        "{options}"
    );
}

#[test]
fn a_path_that_cannot_be_served_is_told_with_its_place() {
    for path in [
        "/probe", "/healthz", "/readyz", "/a{b", "/\\\"x", "/a?b", "//x", "x",
    ] {
        let text = format!("web:\n  telemetry_path: \"{path}\"\n");
        let errors = load(Overlay::new(), &text).unwrap_err();
        assert_eq!(errors.len(), 1, "{path}: {errors:?}");
        assert!(errors[0].starts_with("t.yaml:2:19: "), "{errors:?}");
        assert!(errors[0].ends_with("for instance /metrics"), "{errors:?}");
    }
    for path in ["/", "/metrics", "/a/b.c-d_e~f"] {
        let config = load(Overlay::new(), &format!("web: {{telemetry_path: {path}}}")).unwrap();
        assert_eq!(config.web.telemetry_path.as_deref(), Some(path));
    }
}

/// Files are checked on other machines than they are for.
#[test]
fn no_file_but_the_configuration_is_read_when_it_is_checked() {
    let text = "
defaults: {tls: {ca_file: /not/here, cert_file: /not/there, key_file: /nowhere}}
sources: [{kind: vllm, endpoint: 'https://a'}]
probe: {allow: '::1'}
discovery:
  - {kind: vllm, files: /not/here.yaml}
  - {kind: vllm, http: {url: 'https://a/sd', tls: {ca_file: /not/here}, auth: {token_file: /not/here}}}
  - {kind: vllm, kubernetes: {api: 'https://a', tls: {ca_file: /not/here}}}
";
    let text = if cfg!(feature = "kubernetes") {
        text.to_owned()
    } else {
        text.lines()
            .filter(|line| !line.contains("kubernetes"))
            .collect::<Vec<_>>()
            .join("\n")
    };
    load(Overlay::new(), &text).unwrap();
}

#[test]
fn labels_that_are_not_known_yet_tell_sources_apart() {
    let text = "
sources:
  - {kind: vllm, endpoint: 'a:1', labels: {n: '${ONE}'}}
  - {kind: vllm, endpoint: 'a:1/x', labels: {n: '${TWO}'}}
";
    let loaded = Loader::new().unset_is_fine().parse("t.yaml", text);
    assert_eq!(loaded.unwrap().sources.len(), 2);
}
