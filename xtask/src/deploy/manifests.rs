//! The Kubernetes manifests: built by kustomize, held against schemas, and against each other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::generated::{files, name_of};
use super::programs::{HEALTH, Programs};
use super::{Checkers, none, said, texts};
use crate::cargo;
use crate::json::{list, text};
use crate::report::{Report, Result, Verdict, ensure, passed};
use crate::tools;

/// What somebody may apply.
const BUILDS: [&str; 8] = [
    "base",
    "gpu",
    "rules",
    "dashboards",
    "sidecar",
    "overlays/kube-prometheus-stack",
    "overlays/annotations",
    "overlays/sharded",
];

/// The oldest version of Kubernetes that everything here works with, and the newest with a schema.
const VERSIONS: &str = "1.28,1.37";

/// `kubectl apply` keeps a copy of what it applied in an annotation, which may not be larger.
const APPLIED_BYTES_MAX: usize = 262_144;

/// A build: the objects of a folder.
struct Build {
    name: &'static str,
    objects: Vec<Value>,
}

pub(super) fn run(programs: &Programs, checkers: Checkers<'_>, report: &mut Report) {
    report.heading("deploy: Kubernetes");
    let mut built = None;
    report.check("kustomize builds each folder", || {
        if let Err(why) = tools::kubectl() {
            return Ok(Verdict::Skipped(why));
        }
        let files = build()?;
        let seen = format!("{} folders", files.len());
        built = Some(files);
        passed(seen)
    });
    let Some(built) = built else { return };
    let config = cargo::root().join("deploy/kubernetes/base/tokenpath.yaml");
    let mut builds = Vec::new();
    let mut discovery = Vec::new();
    report.check("the objects are as their schemas want them", || {
        let checkers = match &checkers {
            Ok(folder) => folder,
            Err(why) => return Ok(Verdict::Skipped(why.clone())),
        };
        let answer = schemas(&checkers.join("python3"), &built, &config)?;
        let (read, faults) = split(&answer, &built)?;
        builds = read;
        let configured = &answer[config.to_string_lossy().as_ref()];
        discovery = list(configured, "/documents/0/discovery").to_vec();
        let objects: usize = builds.iter().map(|build| build.objects.len()).sum();
        none(faults, format!("{objects} objects, Kubernetes {VERSIONS}"))
    });
    if builds.is_empty() {
        return;
    }
    let each = |of: &dyn Fn(&Build) -> Vec<String>| -> Vec<String> {
        builds
            .iter()
            .flat_map(|build| {
                of(build)
                    .into_iter()
                    .map(|fault| format!("{}: {fault}", build.name))
            })
            .collect()
    };
    report.check("what an object names is there", || {
        none(each(&references), format!("{} builds", builds.len()))
    });
    report.check(
        "our containers run our programs, with no more than they need",
        || {
            let mut seen = 0;
            for build in &builds {
                seen += build
                    .pods()
                    .map(|(_, pod)| ours(pod).count())
                    .sum::<usize>();
            }
            ensure!(seen > 0, "there is not one container of ours");
            let faults = each(&|build| containers(build, programs));
            none(faults, format!("{seen} containers"))
        },
    );
    report.check("every scrape takes the page's own labels", || {
        none(each(&honored), "honorLabels, everywhere")
    });
    report.check(
        "each rule and each dashboard is there, to the letter",
        || complete(&builds),
    );
    report.check("nothing is too large for `kubectl apply`", || {
        let mut largest = 0;
        let mut faults = Vec::new();
        for object in builds.iter().flat_map(|build| &build.objects) {
            let size = object.to_string().len();
            largest = largest.max(size);
            if size > APPLIED_BYTES_MAX {
                faults.push(format!("{} has {size} bytes", title(object)));
            }
        }
        none(faults, format!("the largest has {largest} bytes"))
    });
    report.check(
        "the network lets the fleet reader go where it looks",
        || {
            ensure!(!discovery.is_empty(), "it looks nowhere");
            none(each(&|build| walls(build, &discovery)), "")
        },
    );
    report.check("the fleet reader's configuration is valid", || {
        said(
            Command::new(programs.folder.join("tokenpath"))
                .arg("check-config")
                .arg(&config),
        )?;
        passed("")
    });
}

/// Each folder by kustomize, to a file under `target/`.
fn build() -> Result<BTreeMap<PathBuf, &'static str>> {
    let folder = cargo::target_folder().join("deploy");
    std::fs::create_dir_all(&folder)?;
    let mut built = BTreeMap::new();
    for name in BUILDS {
        let source = cargo::root().join("deploy/kubernetes").join(name);
        let yaml = said(Command::new("kubectl").arg("kustomize").arg(source))?;
        let file = folder.join(format!("{}.yaml", name.replace('/', "-")));
        std::fs::write(&file, yaml)?;
        built.insert(file, name);
    }
    Ok(built)
}

/// What `schemas.py` says of each build and of the fleet reader's configuration, by file.
fn schemas(python: &Path, built: &BTreeMap<PathBuf, &str>, config: &Path) -> Result<Value> {
    let answer = said(
        Command::new(python)
            .arg("-c")
            .arg(include_str!("schemas.py"))
            .arg(VERSIONS)
            .args(built.keys())
            .arg(config),
    )?;
    Ok(serde_json::from_str(&answer)?)
}

/// The builds of an answer, and the faults of all.
fn split(
    answer: &Value,
    built: &BTreeMap<PathBuf, &'static str>,
) -> Result<(Vec<Build>, Vec<String>)> {
    let mut builds = Vec::new();
    let mut faults = Vec::new();
    for (file, name) in built {
        let said = &answer[file.to_string_lossy().as_ref()];
        let objects = list(said, "/documents").to_vec();
        ensure!(!objects.is_empty(), "{name}: there is not one object");
        builds.push(Build { name, objects });
        let found = texts(said, "/faults").into_iter();
        faults.extend(found.map(|fault| format!("{name}: {fault}")));
    }
    Ok((builds, faults))
}

impl Build {
    fn of_kind(&self, kind: &str) -> impl Iterator<Item = &Value> {
        self.objects
            .iter()
            .filter(move |object| text(object, "/kind") == kind)
    }

    fn has(&self, kind: &str, name: &str, namespace: &str) -> bool {
        self.of_kind(kind).any(|object| {
            text(object, "/metadata/name") == name
                && text(object, "/metadata/namespace") == namespace
        })
    }

    /// The templates of the pods that a selector chooses.
    fn selected(&self, selector: Option<&Value>) -> Vec<&Value> {
        self.pods()
            .map(|(_, pod)| pod)
            .filter(|pod| selects(selector, pod.pointer("/metadata/labels")))
            .collect()
    }

    /// Workloads, each with the template of its pods.
    fn pods(&self) -> impl Iterator<Item = (&Value, &Value)> {
        self.objects
            .iter()
            .filter_map(|object| Some((object, object.pointer("/spec/template")?)))
    }
}

fn title(object: &Value) -> String {
    format!(
        "{} {}",
        text(object, "/kind"),
        text(object, "/metadata/name")
    )
}

/// Whether labels have all that a selector asks for; an empty selector is refused.
fn selects(selector: Option<&Value>, labels: Option<&Value>) -> bool {
    let (Some(Value::Object(wanted)), Some(labels)) = (selector, labels) else {
        return false;
    };
    !wanted.is_empty()
        && wanted
            .iter()
            .all(|(key, value)| labels.get(key) == Some(value))
}

/// The names and numbers of a pod's ports.
fn ports(pod: &Value) -> BTreeSet<String> {
    list(pod, "/spec/containers")
        .iter()
        .flat_map(|container| list(container, "/ports"))
        .flat_map(|port| {
            [
                text(port, "/name").to_owned(),
                port["containerPort"].to_string(),
            ]
        })
        .collect()
}

/// A port as a name, or as a number's digits.
fn port(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

fn references(build: &Build) -> Vec<String> {
    let mut faults = Vec::new();
    let mut fail = |object: &Value, what: String| faults.push(format!("{}: {what}", title(object)));
    for (workload, pod) in build.pods() {
        let labels = pod.pointer("/metadata/labels");
        if !selects(workload.pointer("/spec/selector/matchLabels"), labels) {
            fail(workload, "its selector does not select its pods".to_owned());
        }
        let namespace = text(workload, "/metadata/namespace");
        let account = text(pod, "/spec/serviceAccountName");
        if !account.is_empty() && !build.has("ServiceAccount", account, namespace) {
            fail(workload, format!("there is no ServiceAccount {account}"));
        }
        let service = text(workload, "/spec/serviceName");
        if !service.is_empty() && !build.has("Service", service, namespace) {
            fail(workload, format!("there is no Service {service}"));
        }
        let volumes = list(pod, "/spec/volumes");
        for volume in volumes {
            let map = text(volume, "/configMap/name");
            if !map.is_empty() && !build.has("ConfigMap", map, namespace) {
                fail(workload, format!("there is no ConfigMap {map}"));
            }
        }
        for container in list(pod, "/spec/containers") {
            for mount in list(container, "/volumeMounts") {
                let name = text(mount, "/name");
                if !volumes.iter().any(|volume| text(volume, "/name") == name) {
                    fail(workload, format!("there is no volume {name}"));
                }
            }
        }
    }
    for service in build.of_kind("Service") {
        let selector = service.pointer("/spec/selector");
        let pods = build.selected(selector);
        if pods.is_empty() {
            fail(service, "it selects no pod".to_owned());
        }
        for pod in pods {
            for one in list(service, "/spec/ports") {
                let target = port(&one["targetPort"]);
                if !ports(pod).contains(&target) {
                    fail(service, format!("its pods have no port {target}"));
                }
            }
        }
    }
    for monitor in build.of_kind("ServiceMonitor") {
        let selector = monitor.pointer("/spec/selector/matchLabels");
        let services: Vec<_> = build
            .of_kind("Service")
            .filter(|service| selects(selector, service.pointer("/metadata/labels")))
            .collect();
        if services.is_empty() {
            fail(monitor, "it selects no Service".to_owned());
        }
        for endpoint in list(monitor, "/spec/endpoints") {
            let name = text(endpoint, "/port");
            let is_there = |service: &&Value| {
                list(service, "/spec/ports")
                    .iter()
                    .any(|one| text(one, "/name") == name)
            };
            if !services.iter().all(is_there) {
                fail(monitor, format!("its Service has no port {name}"));
            }
        }
    }
    for monitor in build.of_kind("PodMonitor") {
        let selector = monitor.pointer("/spec/selector/matchLabels");
        let pods = build.selected(selector);
        if pods.is_empty() {
            fail(monitor, "it selects no pod".to_owned());
        }
        for endpoint in list(monitor, "/spec/podMetricsEndpoints") {
            let name = text(endpoint, "/port");
            if !pods.iter().all(|pod| ports(pod).contains(name)) {
                fail(monitor, format!("its pods have no port {name}"));
            }
        }
    }
    for policy in build.of_kind("NetworkPolicy") {
        let selector = policy.pointer("/spec/podSelector/matchLabels");
        let pods = build.selected(selector);
        if pods.is_empty() {
            fail(policy, "it selects no pod".to_owned());
        }
        for one in list(policy, "/spec/ingress")
            .iter()
            .flat_map(|rule| list(rule, "/ports"))
        {
            let name = port(&one["port"]);
            if !pods.iter().all(|pod| ports(pod).contains(&name)) {
                fail(policy, format!("its pods have no port {name}"));
            }
        }
    }
    for kind in ["ClusterRoleBinding", "RoleBinding"] {
        for binding in build.of_kind(kind) {
            let (role, name) = (
                text(binding, "/roleRef/kind"),
                text(binding, "/roleRef/name"),
            );
            if !build.has(role, name, text(binding, "/metadata/namespace")) {
                fail(binding, format!("there is no {role} {name}"));
            }
            for subject in list(binding, "/subjects") {
                let (kind, name) = (text(subject, "/kind"), text(subject, "/name"));
                if !build.has(kind, name, text(subject, "/namespace")) {
                    fail(
                        binding,
                        format!("there is no {kind} {name} in its namespace"),
                    );
                }
            }
        }
    }
    faults
}

/// Ports that a discovery finds and that the reader's policy does not let it ask.
fn walls(build: &Build, discovery: &[Value]) -> Vec<String> {
    let mut faults = Vec::new();
    for policy in build.of_kind("NetworkPolicy") {
        let open: BTreeSet<String> = list(policy, "/spec/egress")
            .iter()
            .flat_map(|rule| list(rule, "/ports"))
            .map(|one| port(&one["port"]))
            .collect();
        for found in discovery {
            let wanted = port(&found["kubernetes"]["port"]);
            if !open.contains(&wanted) {
                faults.push(format!("{}: {wanted} is closed", title(policy)));
            }
        }
    }
    faults
}

/// The containers of a pod that run our image.
fn ours(pod: &Value) -> impl Iterator<Item = &Value> {
    list(pod, "/spec/containers")
        .iter()
        .filter(|container| text(container, "/image").split(':').next() == Some("tokenpath"))
}

fn containers(build: &Build, programs: &Programs) -> Vec<String> {
    let mut faults = Vec::new();
    for (workload, pod) in build.pods() {
        let spec = &pod["spec"];
        for key in ["hostNetwork", "hostPID", "hostIPC"] {
            if spec[key] == true {
                faults.push(format!("{}: {key}", title(workload)));
            }
        }
        for container in ours(pod) {
            let of_container = container_faults(spec, container, programs);
            faults.extend(of_container.into_iter().map(|fault| {
                format!("{}, {}: {fault}", title(workload), text(container, "/name"))
            }));
        }
    }
    faults
}

fn container_faults(pod: &Value, container: &Value, programs: &Programs) -> Vec<String> {
    let mut words = texts(container, "/command");
    if words.is_empty() {
        words.push("/usr/local/bin/tokenpath");
    }
    words.extend(texts(container, "/args"));
    let mut faults = programs.faults(&words);
    let mut want = |holds: bool, what: &str| {
        if !holds {
            faults.push(what.to_owned());
        }
    };

    let image = format!("tokenpath:{}", env!("CARGO_PKG_VERSION"));
    want(
        text(container, "/image") == image,
        "its image is of another version",
    );
    let setting = |key: &str| {
        let own = &container["securityContext"][key];
        if own.is_null() {
            &pod["securityContext"][key]
        } else {
            own
        }
    };
    want(*setting("runAsNonRoot") == true, "runAsNonRoot is not true");
    want(
        *setting("runAsUser") == 65532,
        "its user is not the image's",
    );
    want(
        setting("seccompProfile")["type"] == "RuntimeDefault",
        "no seccomp profile",
    );
    want(
        *setting("allowPrivilegeEscalation") == false,
        "allowPrivilegeEscalation is not false",
    );
    want(
        *setting("readOnlyRootFilesystem") == true,
        "readOnlyRootFilesystem is not true",
    );
    want(setting("privileged").is_null(), "privileged is said");
    want(
        texts(container, "/securityContext/capabilities/drop") == ["ALL"]
            && container
                .pointer("/securityContext/capabilities/add")
                .is_none(),
        "it keeps capabilities",
    );
    for pointer in [
        "/resources/requests/cpu",
        "/resources/requests/memory",
        "/resources/limits/memory",
    ] {
        want(
            container.pointer(pointer).is_some(),
            &format!("{pointer} is not said"),
        );
    }

    let there: BTreeSet<String> = list(container, "/ports")
        .iter()
        .flat_map(|one| {
            [
                text(one, "/name").to_owned(),
                one["containerPort"].to_string(),
            ]
        })
        .collect();
    match Programs::port(&words) {
        Ok(listens) => want(
            there.contains(&listens.to_string()),
            &format!("it listens on {listens}, which is none of its ports"),
        ),
        Err(error) => want(false, &error.to_string()),
    }
    want(
        container.get("livenessProbe").is_some(),
        "there is no livenessProbe",
    );
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        let Some(get) = container.pointer(&format!("/{probe}/httpGet")) else {
            want(
                container.get(probe).is_none(),
                &format!("its {probe} asks for no page"),
            );
            continue;
        };
        want(
            HEALTH.contains(&text(get, "/path")),
            &format!("its {probe} asks for {}", text(get, "/path")),
        );
        want(
            there.contains(&port(&get["port"])),
            &format!("its {probe} asks a port that it has not"),
        );
    }

    let variables: BTreeSet<&str> = list(container, "/env")
        .iter()
        .map(|variable| text(variable, "/name"))
        .collect();
    for word in &words {
        for name in word
            .split("$(")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            want(
                variables.contains(name),
                &format!("there is no variable {name}"),
            );
        }
    }
    faults
}

/// Without `honorLabels` a page's `namespace` or `pod` would be renamed by those of the scrape.
fn honored(build: &Build) -> Vec<String> {
    let mut faults = Vec::new();
    for (kind, pointer) in [
        ("ServiceMonitor", "/spec/endpoints"),
        ("PodMonitor", "/spec/podMetricsEndpoints"),
    ] {
        for monitor in build.of_kind(kind) {
            let endpoints = list(monitor, pointer);
            let is_honored = |endpoint: &Value| endpoint["honorLabels"] == true;
            if endpoints.is_empty() || !endpoints.iter().all(is_honored) {
                faults.push(title(monitor));
            }
        }
    }
    faults
}

/// The build that has all of it against the files of `monitoring/`.
fn complete(builds: &[Build]) -> Result<Verdict> {
    let all = builds
        .iter()
        .find(|build| build.name == "overlays/kube-prometheus-stack")
        .ok_or("no build with all of it")?;
    let mut faults = Vec::new();
    let dashboards = files(&cargo::root().join("monitoring/dashboards"), "json")?;
    for file in &dashboards {
        let wanted = std::fs::read_to_string(file)?;
        let name = name_of(file);
        let is_there = all
            .of_kind("ConfigMap")
            .any(|map| map["data"][&name].as_str() == Some(&wanted));
        if !is_there {
            faults.push(format!("{name} is in no ConfigMap as it is"));
        }
    }
    let rules = files(&cargo::root().join("monitoring/rules"), "yml")?;
    for file in &rules {
        let wanted = count(&std::fs::read_to_string(file)?);
        let stem = name_of(file).replace(".yml", "");
        let there: usize = all
            .of_kind("PrometheusRule")
            .filter(|rule| text(rule, "/metadata/name") == format!("tokenpath-{stem}"))
            .flat_map(|rule| list(rule, "/spec/groups"))
            .map(|group| list(group, "/rules").len())
            .sum();
        if wanted != there {
            faults.push(format!("{stem}: {there} rules of {wanted}"));
        }
    }
    for kind in ["ServiceMonitor", "PodMonitor", "PrometheusRule"] {
        for object in all.of_kind(kind) {
            if text(object, "/metadata/labels/release").is_empty() {
                faults.push(format!("{} has no label `release`", title(object)));
            }
        }
    }
    none(
        faults,
        format!(
            "{} dashboards, {} rule files",
            dashboards.len(),
            rules.len()
        ),
    )
}

/// How many rules a file has, by its lines.
fn count(rules: &str) -> usize {
    rules
        .lines()
        .map(|line| line.trim_start().trim_start_matches("- "))
        .filter(|line| line.starts_with("alert: ") || line.starts_with("record: "))
        .count()
}

#[cfg(test)]
mod unit {
    use super::*;

    fn build(objects: Value) -> Build {
        Build {
            name: "test",
            objects: list(&objects, "").to_vec(),
        }
    }

    #[test]
    fn what_is_named_and_not_there_is_found() {
        let faulty = build(serde_json::json!([
            {"kind": "Deployment", "metadata": {"name": "d", "namespace": "n"}, "spec": {
                "selector": {"matchLabels": {"a": "b"}},
                "template": {"metadata": {"labels": {"a": "c"}}, "spec": {
                    "serviceAccountName": "s",
                    "containers": [{"name": "x", "ports": [{"name": "p", "containerPort": 1}],
                        "volumeMounts": [{"name": "v"}]}],
                    "volumes": [{"name": "w", "configMap": {"name": "m"}}]}}}},
            {"kind": "Service", "metadata": {"name": "s", "labels": {"l": "1"}},
                "spec": {"selector": {"a": "c"}, "ports": [{"name": "p", "targetPort": "q"}]}},
            {"kind": "Service", "metadata": {"name": "t"}, "spec": {"selector": {}}},
            {"kind": "ServiceMonitor", "metadata": {"name": "m"},
                "spec": {"selector": {"matchLabels": {"l": "1"}}, "endpoints": [{"port": "r"}]}},
            {"kind": "PodMonitor", "metadata": {"name": "m"},
                "spec": {"selector": {"matchLabels": {"a": "d"}}}},
            {"kind": "RoleBinding", "metadata": {"name": "b"},
                "roleRef": {"kind": "Role", "name": "r"},
                "subjects": [{"kind": "ServiceAccount", "name": "s"}]},
        ]));
        assert_eq!(
            references(&faulty),
            [
                "Deployment d: its selector does not select its pods",
                "Deployment d: there is no ServiceAccount s",
                "Deployment d: there is no ConfigMap m",
                "Deployment d: there is no volume v",
                "Service s: its pods have no port q",
                "Service t: it selects no pod",
                "ServiceMonitor m: its Service has no port r",
                "PodMonitor m: it selects no pod",
                "RoleBinding b: there is no Role r",
                "RoleBinding b: there is no ServiceAccount s in its namespace",
            ]
        );
        assert_eq!(honored(&faulty), ["ServiceMonitor m", "PodMonitor m"]);
    }

    #[test]
    fn rules_are_counted_by_their_lines() {
        assert_eq!(
            count("groups:\n  - rules:\n    - alert: A\n    - record: b\n      expr: c\n"),
            2
        );
    }
}
