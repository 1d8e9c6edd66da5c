//! Our containers: what they run, with which rights, and how they are asked whether they live.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::json::{list, text};

use super::super::programs::{HEALTH, Programs};
use super::super::texts;
use super::objects::{Build, port, title};

/// The containers of a pod that run our image.
pub(super) fn ours(pod: &Value) -> impl Iterator<Item = &Value> {
    list(pod, "/spec/containers")
        .iter()
        .filter(|container| text(container, "/image").split(':').next() == Some("tokenpath"))
}

/// What is wrong with pods of ours and their containers.
pub(super) fn containers(build: &Build, programs: &Programs) -> Vec<String> {
    let mut faults = Vec::new();
    for (workload, pod) in build.pods() {
        let spec = &pod["spec"];
        for key in ["hostNetwork", "hostPID", "hostIPC"] {
            if spec[key] == true {
                faults.push(format!("{}: {key}", title(workload)));
            }
        }
        for container in ours(pod) {
            let mut words = texts(container, "/command");
            if words.is_empty() {
                words.push("/usr/local/bin/tokenpath");
            }
            words.extend(texts(container, "/args"));
            let of_container = programs
                .faults(&words)
                .into_iter()
                .chain(rights(spec, container))
                .chain(resources(container))
                .chain(ways_in(container, &words))
                .chain(variables(container, &words));
            faults.extend(of_container.map(|fault| {
                format!("{}, {}: {fault}", title(workload), text(container, "/name"))
            }));
        }
    }
    faults
}

/// The user and the least rights, of the container or of its pod.
fn rights(pod: &Value, container: &Value) -> Vec<String> {
    let setting = |key: &str| {
        let own = &container["securityContext"][key];
        if own.is_null() {
            &pod["securityContext"][key]
        } else {
            own
        }
    };
    let keeps = texts(container, "/securityContext/capabilities/drop") != ["ALL"]
        || container
            .pointer("/securityContext/capabilities/add")
            .is_some();
    broken([
        (*setting("runAsNonRoot") == true, "runAsNonRoot is not true"),
        (
            *setting("runAsUser") == 65532,
            "its user is not the image's",
        ),
        (
            setting("seccompProfile")["type"] == "RuntimeDefault",
            "no seccomp profile",
        ),
        (
            *setting("allowPrivilegeEscalation") == false,
            "allowPrivilegeEscalation is not false",
        ),
        (
            *setting("readOnlyRootFilesystem") == true,
            "readOnlyRootFilesystem is not true",
        ),
        (setting("privileged").is_null(), "privileged is said"),
        (!keeps, "it keeps capabilities"),
    ])
}

/// The image's version, and what the container may use.
fn resources(container: &Value) -> Vec<String> {
    let image = format!("tokenpath:{}", env!("CARGO_PKG_VERSION"));
    let said = |pointer: &str| container.pointer(pointer).is_some();
    broken([
        (
            text(container, "/image") == image,
            "its image is of another version",
        ),
        (
            said("/resources/requests/cpu"),
            "/resources/requests/cpu is not said",
        ),
        (
            said("/resources/requests/memory"),
            "/resources/requests/memory is not said",
        ),
        (
            said("/resources/limits/memory"),
            "/resources/limits/memory is not said",
        ),
    ])
}

/// The port that it listens on, and the probes.
fn ways_in(container: &Value, words: &[&str]) -> Vec<String> {
    let ports: BTreeSet<String> = list(container, "/ports")
        .iter()
        .flat_map(|one| {
            [
                text(one, "/name").to_owned(),
                one["containerPort"].to_string(),
            ]
        })
        .collect();
    let mut faults = Vec::new();
    match Programs::port(words) {
        Ok(listens) if ports.contains(&listens.to_string()) => {}
        Ok(listens) => faults.push(format!(
            "it listens on {listens}, which is none of its ports"
        )),
        Err(error) => faults.push(error.to_string()),
    }
    if container.get("livenessProbe").is_none() {
        faults.push("there is no livenessProbe".to_owned());
    }
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        let Some(said) = container.get(probe) else {
            continue;
        };
        let Some(get) = said.get("httpGet") else {
            faults.push(format!("its {probe} asks for no page"));
            continue;
        };
        let path = text(get, "/path");
        if !HEALTH.contains(&path) {
            faults.push(format!("its {probe} asks for {path}"));
        }
        if !ports.contains(&port(&get["port"])) {
            faults.push(format!("its {probe} asks a port that it has not"));
        }
    }
    faults
}

/// Variables that its command line names, `$(NAME)`, and that it does not have.
fn variables(container: &Value, words: &[&str]) -> Vec<String> {
    let there: BTreeSet<&str> = list(container, "/env")
        .iter()
        .map(|variable| text(variable, "/name"))
        .collect();
    words
        .iter()
        .flat_map(|word| word.split("$(").skip(1))
        .filter_map(|rest| rest.split(')').next())
        .filter(|name| !there.contains(name))
        .map(|name| format!("there is no variable {name}"))
        .collect()
}

/// The names of what does not hold.
fn broken<const N: usize>(wanted: [(bool, &str); N]) -> Vec<String> {
    let broken = wanted.into_iter().filter(|(holds, _)| !holds);
    broken.map(|(_, what)| what.to_owned()).collect()
}

#[cfg(test)]
mod unit {
    use super::super::objects::build;
    use super::*;
    use serde_json::json;

    /// A pod with nothing wrong.
    fn pod() -> Value {
        json!({"spec": {
        "securityContext": {"runAsNonRoot": true, "runAsUser": 65532,
            "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [{
            "name": "c",
            "image": concat!("tokenpath:", env!("CARGO_PKG_VERSION")),
            "args": ["serve", "--label=node=$(NODE)"],
            "env": [{"name": "NODE"}],
            "ports": [{"name": "metrics", "containerPort": 9410}],
            "securityContext": {"allowPrivilegeEscalation": false,
                "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}},
            "resources": {"requests": {"cpu": "1m", "memory": "1Mi"},
                "limits": {"memory": "1Mi"}},
            "livenessProbe": {"httpGet": {"path": "/healthz", "port": "metrics"}},
        }]}})
    }

    fn faults(pod: &Value) -> Vec<String> {
        let help = "  --label <NAME=VALUE>\n";
        let programs = Programs::of_help([("tokenpath serve", help)]);
        let workload = json!([{"kind": "Deployment", "metadata": {"name": "d"},
            "spec": {"template": pod}}]);
        containers(&build(workload), &programs)
    }

    #[test]
    fn each_thing_that_is_wrong_with_a_container_is_found_alone() {
        assert_eq!(faults(&pod()), [""; 0]);
        let container = "/spec/containers/0";
        for (pointer, key, value, fault) in [
            ("/spec", "hostPID", json!(true), "hostPID"),
            (
                "/spec/securityContext",
                "runAsNonRoot",
                json!(false),
                "runAsNonRoot is not true",
            ),
            (
                "/spec/securityContext",
                "runAsUser",
                json!(0),
                "its user is not the image's",
            ),
            (
                "/spec/securityContext",
                "seccompProfile",
                json!({"type": "Unconfined"}),
                "no seccomp profile",
            ),
            (
                "/securityContext",
                "allowPrivilegeEscalation",
                json!(true),
                "allowPrivilegeEscalation is not false",
            ),
            (
                "/securityContext",
                "readOnlyRootFilesystem",
                Value::Null,
                "readOnlyRootFilesystem is not true",
            ),
            (
                "/securityContext",
                "privileged",
                json!(true),
                "privileged is said",
            ),
            (
                "/securityContext",
                "capabilities",
                json!({"drop": ["ALL"], "add": ["SYS_ADMIN"]}),
                "it keeps capabilities",
            ),
            (
                "",
                "image",
                json!("tokenpath:0.0.0"),
                "its image is of another version",
            ),
            (
                "/resources",
                "limits",
                json!({}),
                "/resources/limits/memory is not said",
            ),
            (
                "",
                "args",
                json!(["serve", "--lable=a"]),
                "`tokenpath serve` has no --lable",
            ),
            ("", "env", json!([]), "there is no variable NODE"),
            (
                "",
                "livenessProbe",
                json!({"exec": {}}),
                "its livenessProbe asks for no page",
            ),
            (
                "/livenessProbe/httpGet",
                "path",
                json!("/"),
                "its livenessProbe asks for /",
            ),
            (
                "/livenessProbe/httpGet",
                "port",
                json!(1),
                "its livenessProbe asks a port that it has not",
            ),
            (
                "/ports/0",
                "containerPort",
                json!(1),
                "it listens on 9410, which is none of its ports",
            ),
        ] {
            let mut pod = pod();
            let place = if pointer.starts_with("/spec") {
                pointer.to_owned()
            } else {
                format!("{container}{pointer}")
            };
            pod.pointer_mut(&place).unwrap()[key] = value;
            let found = faults(&pod);
            assert_eq!(found.len(), 1, "{fault}: {found:?}");
            assert!(found[0].ends_with(&format!(": {fault}")), "{found:?}");
        }
    }

    #[test]
    fn a_container_without_a_probe_is_found() {
        let mut pod = pod();
        let container = pod.pointer_mut("/spec/containers/0").unwrap();
        container.as_object_mut().unwrap().remove("livenessProbe");
        assert_eq!(faults(&pod), ["Deployment d, c: there is no livenessProbe"]);
    }
}
