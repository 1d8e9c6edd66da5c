//! The truth of a whole world as JSON: what the gateway's and Limitador's ports answer at
//! `/debug/truth`. An engine server's port answers with the truth of that server.

use std::fmt::Write as _;

use super::World;
use crate::gateway::GatewayTruth;
use crate::limitador::LimitadorTruth;
use crate::truth_json::{json_text, observed_json, truth_json};

/// `{"seconds":…,"incidents":[…],"servers":[…],"tenants":[…],"limitador":…,"gateway":…,"gpus":[…]}`;
/// `null` for what the world has not. A server is what its own port tells, under `truth`, with its
/// name, kind and role.
pub(super) fn world_json(world: &World) -> String {
    let list = |items: Vec<String>| format!("[{}]", items.join(","));
    let incidents = world.incidents().map(|i| json_text(i.name())).collect();
    let servers = world
        .servers
        .iter()
        .map(|server| {
            format!(
                "{{\"name\":{},\"kind\":\"{}\",\"role\":\"{}\",\"down\":{},\"truth\":{}}}",
                json_text(server.name()),
                server.kind().name(),
                server.role().name(),
                server.down,
                truth_json(server.truth()),
            )
        })
        .collect();
    let tenants = world
        .tenants()
        .map(|(tenant, truth)| {
            format!(
                "{{\"user\":{},\"group\":{},\"requests\":{},\"limited\":{},\"completed\":{},\
                 \"failed\":{},\"hung_up\":{},\"prompt_tokens\":{},\"completion_tokens\":{}}}",
                json_text(&tenant.user),
                json_text(&tenant.group),
                truth.requests,
                truth.limited,
                truth.completed,
                truth.failed,
                truth.hung_up,
                truth.prompt_tokens,
                truth.completion_tokens,
            )
        })
        .collect();
    let none = || "null".to_owned();
    let limitador = world.limitador().map(|l| limitador_json(world, l));
    let gateway = world.gateway().map(|g| gateway_json(world, g));
    let gpus = world
        .gpus()
        .iter()
        .flat_map(|gpus| gpus.gpus())
        .map(|gpu| {
            format!(
                "{{\"uuid\":{},\"lost\":{},\"vram_used_bytes\":{},\"utilization\":{:?},\
                 \"dram_active\":{:?},\"tensor_active\":{:?},\"power_watts\":{:?},\
                 \"energy_joules\":{:?},\"temperature_celsius\":{:?},\"thermal_throttle\":{},\
                 \"xids\":{}}}",
                json_text(&gpu.uuid),
                gpu.lost,
                gpu.vram_used_bytes,
                gpu.utilization,
                gpu.dram_active,
                gpu.tensor_active,
                gpu.power_watts,
                gpu.energy_joules,
                gpu.temperature_celsius,
                gpu.thermal_throttle,
                list(gpu.xids.iter().map(|xid| xid.code.to_string()).collect()),
            )
        })
        .collect();
    format!(
        "{{\"seconds\":{:?},\"incidents\":{},\"servers\":{},\"tenants\":{},\"limitador\":{},\
         \"gateway\":{},\"gpus\":{}}}",
        world.now(),
        list(incidents),
        list(servers),
        list(tenants),
        limitador.unwrap_or_else(none),
        gateway.unwrap_or_else(none),
        list(gpus),
    )
}

fn limitador_json(world: &World, truth: &LimitadorTruth) -> String {
    let namespaces: Vec<String> = truth
        .config
        .namespaces
        .iter()
        .enumerate()
        .map(|(index, namespace)| {
            let sum = |counts: &std::collections::BTreeMap<(usize, usize), u64>| -> u64 {
                let here = counts.iter().filter(|((n, _), _)| *n == index);
                here.map(|(_, count)| count).sum()
            };
            let limited = truth.limited_calls.iter();
            let limited: u64 = limited
                .filter(|((n, ..), _)| *n == index)
                .map(|(_, count)| count)
                .sum();
            let windows = truth.windows(world.now());
            format!(
                "{{\"name\":{},\"authorized_calls\":{},\"authorized_hits\":{},\
                 \"limited_calls\":{limited},\"windows\":{}}}",
                json_text(&namespace.name),
                sum(&truth.authorized_calls),
                sum(&truth.authorized_hits),
                windows.filter(|((n, ..), _)| *n == index).count(),
            )
        })
        .collect();
    format!("[{}]", namespaces.join(","))
}

fn gateway_json(world: &World, truth: &GatewayTruth) -> String {
    let users: Vec<String> = truth
        .requests
        .iter()
        .map(|(&user, requests)| {
            let mut json = String::new();
            // Writing to a string does not fail.
            _ = write!(
                json,
                "{{\"user\":{},\"requests\":{},\"errors\":{},\"running\":{}",
                json_text(&world.config.tenants[user].user),
                requests.requests,
                requests.errors.values().sum::<u64>(),
                requests.running,
            );
            for (name, observed) in [
                ("duration_seconds", &requests.duration),
                ("time_to_first_token_seconds", &requests.first_token),
                ("input_tokens", &requests.input),
                ("output_tokens", &requests.output),
            ] {
                _ = write!(json, ",\"{name}\":");
                observed_json(observed, &mut json);
            }
            json.push('}');
            json
        })
        .collect();
    let decisions: Vec<String> = truth
        .decisions
        .iter()
        .map(|(decision, n)| format!("{}:{n}", json_text(decision.as_str())))
        .collect();
    format!(
        "{{\"saturation\":{:?},\"queued\":{},\"ready\":{},\"decisions\":{{{}}},\"users\":[{}]}}",
        truth.saturation(),
        truth.queued.values().sum::<u64>(),
        truth.ready().count(),
        decisions.join(","),
        users.join(","),
    )
}
