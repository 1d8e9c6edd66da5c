//! Limitador's page. Families and series come out of hash maps, in another order each time. So do the
//! labels that the telemetry policy names, when a series is made: it keeps their order from then on.

use super::LimitadorTruth;
use crate::page::{Family, Kind, Series, Value, rust_page};
use crate::random::Random;
use crate::world::Tenant;

/// The page; `order` decides which family and series stands where.
pub(crate) fn page(truth: &LimitadorTruth, tenants: &[Tenant], order: &mut Random) -> String {
    let labels = |family: &str, namespace: usize, user: usize| {
        let tenant = &tenants[user];
        let mut labels = vec![
            ("user", tenant.user.clone()),
            ("group", tenant.group.clone()),
        ];
        // Whichever way, the same way for ever.
        if (family.len() + namespace + user) % 2 == 1 {
            labels.reverse();
        }
        let namespace = &truth.config.namespaces[namespace];
        labels.push(("limitador_namespace", namespace.name.clone()));
        labels
    };
    let by_user = |name, help, counts: &std::collections::BTreeMap<(usize, usize), u64>| {
        let series = counts.iter().map(|(&(namespace, user), &n)| Series {
            labels: labels(name, namespace, user),
            value: Value::count(n),
        });
        Family {
            name,
            help,
            kind: Kind::Counter,
            series: series.collect(),
        }
    };
    let calls = by_user(
        "authorized_calls",
        Some("Authorized calls"),
        &truth.authorized_calls,
    );
    let hits = by_user("authorized_hits", None, &truth.authorized_hits);
    let limited = truth
        .limited_calls
        .iter()
        .map(|(&(namespace, user, limit), &n)| {
            let mut labels = labels("limited_calls", namespace, user);
            let limit = &truth.config.namespaces[namespace].limits[limit];
            labels.push(("limit_name", limit.name.clone()));
            Series {
                labels,
                value: Value::count(n),
            }
        })
        .collect();
    let gauge = |name, help, value| Family {
        name,
        help: Some(help),
        kind: Kind::Gauge,
        series: vec![Series {
            labels: Vec::new(),
            value: Value::Number(value),
        }],
    };
    let families = vec![
        calls,
        hits,
        Family {
            name: "limited_calls",
            help: Some("Limited calls"),
            kind: Kind::Counter,
            series: limited,
        },
        gauge("limitador_up", "Limitador is running", 1.0),
        gauge(
            "datastore_partitioned",
            "Limitador is partitioned from backing datastore",
            0.0,
        ),
    ];
    rust_page(families, order)
}
