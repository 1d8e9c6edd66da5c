//! What becomes of each family on a gateway's page.
//!
//! One meaning has up to three upstream names, one a generation:
//!
//! 1. `inference_model_*`, `inference_pool_*`, `inference_extension_*`: Gateway API Inference
//!    Extension 0.1 to 1.0;
//! 2. `inference_objective_*` and the same as before: Inference Extension 1.1 to 1.5, llm-d's
//!    inference scheduler;
//! 3. `llm_d_epp_*`: llm-d-router since 0.9; its index of KV blocks is `kvcache_*` and, in 0.10 alone,
//!    `llm_d_router_epp_*`.
//!
//! The releases of a row are those whose tags have the name in pkg/epp/metrics, of either repository.
//!
//! llm-d-router writes the second and the third at once, each request in both. So every meaning is a
//! list of names, best first, and each name gives way to the better ones where they are on the page.

mod flow_control;
mod kv_index;
mod latency;
mod pool;
mod process;
mod requests;
mod scheduler;

use tokenpath_core::MetricType;
use tokenpath_core::catalogue::{Catalogue, Output, Releases, Row};

/// One upstream name of a meaning, and where it is found.
#[derive(Clone, Debug)]
struct Name {
    name: &'static str,
    releases: Vec<Releases>,
}

fn releases(line: &'static str, since: &'static str, until: Option<&'static str>) -> Releases {
    Releases {
        line: line.into(),
        since: since.into(),
        until: until.map(Into::into),
        hidden: false,
    }
}

/// First generation, from a release of the Inference Extension on.
fn first(name: &'static str, since: &'static str) -> Name {
    first_until(name, since, "1.0")
}

fn first_until(name: &'static str, since: &'static str, until: &'static str) -> Name {
    let releases = vec![releases("GIE", since, Some(until))];
    Name { name, releases }
}

/// First generation, in no release: builds of a branch said it, and upstream's recorded pages of 1.5.0 still
/// do. In the Inference Extension's `pkg/epp/metrics/metrics.go` the meaning begins as an objective.
fn first_of_no_release(name: &'static str) -> Name {
    let releases = vec![releases("GIE (its test pages only)", "1.5", Some("1.5"))];
    Name { name, releases }
}

/// Second generation, from a release of the Inference Extension on.
fn second(name: &'static str, since: &'static str) -> Name {
    let releases = vec![
        releases("GIE", since, Some("1.5")),
        releases("llm-d-router (deprecated)", "0.9", None),
    ];
    Name { name, releases }
}

/// Second generation, from llm-d's own scheduler.
fn inference_scheduler(name: &'static str, since: &'static str) -> Name {
    let releases = vec![releases("llm-d-inference-scheduler", since, None)];
    Name { name, releases }
}

/// Names that llm-d-router took over from llm-d's own scheduler, although that never had them.
fn deprecated(name: &'static str, since: &'static str) -> Name {
    let releases = vec![releases("llm-d-router (deprecated)", since, None)];
    Name { name, releases }
}

/// Third generation.
fn third(name: &'static str) -> Name {
    third_since(name, "0.9")
}

fn third_since(name: &'static str, since: &'static str) -> Name {
    let releases = vec![releases("llm-d-router", since, None)];
    Name { name, releases }
}

/// Third generation, in llm-d-router's source after 0.10 and in no release yet.
fn unreleased(name: &'static str) -> Name {
    const AFTER: &str = "after 0.10";
    let releases = vec![releases("llm-d-router", AFTER, Some(AFTER))];
    Name { name, releases }
}

/// The rows of one meaning: a row a name, best name first.
fn meaning(kind: MetricType, output: &Output, names: &[Name]) -> Vec<Row> {
    let row = |(index, name): (usize, &Name)| {
        let mut row = Row::new(name.name, kind).output(output.clone());
        for better in &names[..index] {
            row = row.superseded_by(better.name);
        }
        for releases in &name.releases {
            row = row.releases(releases.clone());
        }
        // Labels whose names belong to others, or differ from generation to generation.
        for (from, to) in [
            ("type", "kind"),
            ("inference_pool", "pool"),
            ("model_server_pod", "model_server"),
            ("model_server_endpoint", "model_server"),
            ("pod_name", "model_server"),
            ("endpoint_name", "model_server"),
            ("endpoint", "model_server"),
        ] {
            row = row.rename_label(from, to);
        }
        row
    };
    names.iter().enumerate().map(row).collect()
}

/// The rows of a meaning that goes over as it is.
fn family(kind: MetricType, family: &'static str, names: &[Name]) -> Vec<Row> {
    meaning(kind, &Output::Family(family.into()), names)
}

/// Families that are not of the token path: of the runtime, of libraries, of what stands beside it.
const LEFT_OUT: [(&str, &str); 13] = [
    ("go_*", "the Go runtime's own"),
    (
        "process_*",
        "the process, which its node or container reports",
    ),
    ("promhttp_*", "the metrics handler's own"),
    ("controller_runtime_*", "the controller library's own"),
    ("rest_client_*", "the client of the Kubernetes API"),
    ("workqueue_*", "the controller library's queues"),
    ("certwatcher_*", "the watcher of certificate files"),
    (
        "leader_election_*",
        "the election among replicas of the controller",
    ),
    (
        "llm_d_epp_kv_cache_events_*",
        "the subscriptions to the engines' KV events, which feed the index: not the token path",
    ),
    (
        "llm_d_router_epp_kv_cache_events_*",
        "the subscriptions to the engines' KV events, which feed the index: not the token path",
    ),
    (
        "llm_d_epp_program_aware_*",
        "averages of one fairness policy by program_id, which clients choose and nothing bounds",
    ),
    (
        "llm_d_epp_disaggregatedset_*",
        "how far the rollout of a DisaggregatedSet has come: not the token path",
    ),
    (
        "moriio_dns_*",
        "name look-ups of the sidecar's MoRI-IO connector: not the token path",
    ),
];

/// The table. Data only: [`compiled`](crate::compiled) checks it and makes it fit for look-ups.
#[must_use]
pub fn catalogue() -> Catalogue {
    let rows = [
        requests::rows(),
        latency::rows(),
        pool::rows(),
        scheduler::rows(),
        flow_control::rows(),
        kv_index::rows(),
        process::rows(),
    ]
    .concat();
    let catalogue = Catalogue::new("gateway").rows(rows);
    LEFT_OUT
        .iter()
        .fold(catalogue, |catalogue, (pattern, why)| {
            catalogue.left_out(*pattern, *why)
        })
}
