//! What objects name, and whether it is there.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::json::{list, text};

use super::objects::{Build, port, ports, selects, title};

/// Names of things that are not there, and selectors that select nothing.
pub(super) fn references(build: &Build) -> Vec<String> {
    let mut faults = Vec::new();
    for of in [
        of_workloads,
        of_services,
        of_service_monitors,
        of_pod_monitors,
        of_network_policies,
        of_bindings,
    ] {
        of(build, &mut |object, what| {
            faults.push(format!("{}: {what}", title(object)));
        });
    }
    faults
}

/// Takes an object, and what is wrong with it.
type Fail<'f> = &'f mut dyn FnMut(&Value, String);

fn of_workloads(build: &Build, fail: Fail<'_>) {
    for (workload, pod) in build.pods() {
        let labels = pod.pointer("/metadata/labels");
        if !selects(workload.pointer("/spec/selector/matchLabels"), labels) {
            fail(workload, "its selector does not select its pods".to_owned());
        }
        let namespace = text(workload, "/metadata/namespace");
        let volumes = list(pod, "/spec/volumes");
        let named = [
            ("ServiceAccount", text(pod, "/spec/serviceAccountName")),
            ("Service", text(workload, "/spec/serviceName")),
        ];
        let maps = volumes
            .iter()
            .map(|volume| ("ConfigMap", text(volume, "/configMap/name")));
        for (kind, name) in named.into_iter().chain(maps) {
            if !name.is_empty() && !build.has(kind, name, namespace) {
                fail(workload, format!("there is no {kind} {name}"));
            }
        }
        let mounts = list(pod, "/spec/containers")
            .iter()
            .flat_map(|container| list(container, "/volumeMounts"));
        for mount in mounts {
            let name = text(mount, "/name");
            if !volumes.iter().any(|volume| text(volume, "/name") == name) {
                fail(workload, format!("there is no volume {name}"));
            }
        }
    }
}

fn of_services(build: &Build, fail: Fail<'_>) {
    for service in build.of_kind("Service") {
        let targets = list(service, "/spec/ports")
            .iter()
            .map(|one| port(&one["targetPort"]));
        pods_have(build, service, "/spec/selector", targets, fail);
    }
}

fn of_service_monitors(build: &Build, fail: Fail<'_>) {
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
}

fn of_pod_monitors(build: &Build, fail: Fail<'_>) {
    for monitor in build.of_kind("PodMonitor") {
        let names = list(monitor, "/spec/podMetricsEndpoints")
            .iter()
            .map(|endpoint| text(endpoint, "/port").to_owned());
        pods_have(build, monitor, "/spec/selector/matchLabels", names, fail);
    }
}

fn of_network_policies(build: &Build, fail: Fail<'_>) {
    for policy in build.of_kind("NetworkPolicy") {
        let open = list(policy, "/spec/ingress")
            .iter()
            .flat_map(|rule| list(rule, "/ports"))
            .map(|one| port(&one["port"]));
        pods_have(build, policy, "/spec/podSelector/matchLabels", open, fail);
    }
}

/// Fails where an object selects no pod, or one without one of the ports.
fn pods_have(
    build: &Build,
    object: &Value,
    selector: &str,
    names: impl Iterator<Item = String>,
    fail: Fail<'_>,
) {
    let pods = build.selected(object.pointer(selector));
    if pods.is_empty() {
        fail(object, "it selects no pod".to_owned());
    }
    for name in names {
        if !pods.iter().all(|pod| ports(pod).contains(&name)) {
            fail(object, format!("its pods have no port {name}"));
        }
    }
}

fn of_bindings(build: &Build, fail: Fail<'_>) {
    let bindings = ["ClusterRoleBinding", "RoleBinding"].map(|kind| build.of_kind(kind));
    for binding in bindings.into_iter().flatten() {
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

/// Ports that a discovery finds and that the reader's policy does not let it ask.
pub(super) fn walls(build: &Build, discovery: &[Value]) -> Vec<String> {
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

/// Discoveries that lose sight of a pod when it is sick. A pod that fails its readiness probe is the one
/// whose `tokenpath_source_up` must be 0; as no target it has none, and no alert fires. What has not begun
/// or has ended is another matter.
pub(super) fn out_of_sight(discovery: &[Value]) -> Vec<String> {
    let is_on = |filter: &Value, label: &str| {
        text(filter, "/label") == format!("__meta_kubernetes_pod_{label}")
    };
    let mut faults = Vec::new();
    for found in discovery {
        let name = text(found, "/kubernetes/selector");
        let kept = list(found, "/keep");
        if kept
            .iter()
            .chain(list(found, "/drop"))
            .any(|filter| is_on(filter, "ready"))
        {
            faults.push(format!("{name}: a pod that is not ready is no target"));
        }
        let runs = |filter: &Value| is_on(filter, "phase") && text(filter, "/matches") == "Running";
        if !kept.iter().any(runs) {
            faults.push(format!("{name}: a pod that does not run yet is a target"));
        }
    }
    faults
}

/// Without `honorLabels` a page's `namespace` or `pod` would be renamed by those of the scrape.
pub(super) fn honored(build: &Build) -> Vec<String> {
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

#[cfg(test)]
mod unit {
    use super::super::objects::build;
    use super::*;

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
            {"kind": "NetworkPolicy", "metadata": {"name": "p"},
                "spec": {"podSelector": {"matchLabels": {"a": "c"}},
                    "ingress": [{"ports": [{"port": "p"}, {"port": 1}, {"port": 2}]}]}},
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
                "NetworkPolicy p: its pods have no port 2",
                "RoleBinding b: there is no Role r",
                "RoleBinding b: there is no ServiceAccount s in its namespace",
            ]
        );
        assert_eq!(honored(&faulty), ["ServiceMonitor m", "PodMonitor m"]);
    }

    #[test]
    fn a_discovery_that_drops_sick_pods_or_keeps_pending_ones_is_found() {
        let of = |keep: Value| serde_json::json!([{"kubernetes": {"selector": "a"}, "keep": keep}]);
        let running =
            serde_json::json!({"label": "__meta_kubernetes_pod_phase", "matches": "Running"});
        let ready = serde_json::json!({"label": "__meta_kubernetes_pod_ready", "matches": "true"});
        let faults = |keep: Value| out_of_sight(list(&of(keep), ""));
        assert_eq!(faults(serde_json::json!([running])), [""; 0]);
        assert_eq!(
            faults(serde_json::json!([running, ready])),
            ["a: a pod that is not ready is no target"]
        );
        assert_eq!(
            faults(serde_json::json!([])),
            ["a: a pod that does not run yet is a target"]
        );
    }

    #[test]
    fn a_port_that_a_discovery_asks_and_a_policy_closes_is_found() {
        let policy = |ports: Value| {
            build(
                serde_json::json!([{"kind": "NetworkPolicy", "metadata": {"name": "p"},
                "spec": {"egress": [{"ports": ports}]}}]),
            )
        };
        let discovery = serde_json::json!([
            {"kubernetes": {"port": 8000}},
            {"kubernetes": {"port": "metrics"}},
        ]);
        let discovery = list(&discovery, "");
        let open = policy(serde_json::json!([{"port": 8000}, {"port": "metrics"}]));
        assert_eq!(walls(&open, discovery), [""; 0]);
        let closed = policy(serde_json::json!([{"port": 8000}]));
        assert_eq!(
            walls(&closed, discovery),
            ["NetworkPolicy p: metrics is closed"]
        );
    }
}
