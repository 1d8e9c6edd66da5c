//! The compose stack: read by docker-compose itself, and what its files say held against each other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::generated::{files, name_of};
use super::programs::{HEALTH, Programs};
use super::{Checkers, none, said, texts};
use crate::cargo;
use crate::json::text;
use crate::report::{Report, Result, Verdict, ensure, passed};
use crate::tools;

/// Variables that people know from other stacks of this kind, with the values they know.
const KNOWN: [(&str, &str); 3] = [
    ("PROMETHEUS_PORT", "9090"),
    ("GRAFANA_PORT", "3000"),
    ("SCRAPE_INTERVAL", "15s"),
];

pub(super) fn run(programs: &Programs, checkers: Checkers<'_>, report: &mut Report) {
    report.heading("deploy: compose");
    let folder = cargo::root().join("deploy/compose");
    let mut read = None;
    report.check("docker-compose takes the file, with every profile", || {
        let checkers = match checkers {
            Ok(folder) => folder,
            Err(why) => return Ok(Verdict::Skipped(why)),
        };
        let mut config = Command::new(checkers.join("docker-compose"));
        config
            .current_dir(&folder)
            .args(["--env-file", ".env.example", "--profile", "*", "config"])
            .args(["--format", "json"]);
        let stack: Value = serde_json::from_str(&said(&mut config)?)?;
        let services = stack["services"]
            .as_object()
            .map_or(0, serde_json::Map::len);
        read = Some(stack);
        passed(format!("{services} services"))
    });
    let Some(stack) = read else { return };
    let services: BTreeMap<&str, &Value> = stack["services"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, service)| (name.as_str(), service))
        .collect();
    report.check(".env.example has each variable, with its default", || {
        variables(&folder, &services)
    });
    report.check(
        "our services run our programs, with no more than they need",
        || {
            let mut seen = 0;
            let mut faults = Vec::new();
            for (name, service) in services.iter().filter(|(_, service)| is_ours(service)) {
                seen += 1;
                let found = our_faults(service, programs)?;
                faults.extend(found.into_iter().map(|fault| format!("{name}: {fault}")));
            }
            ensure!(seen > 0, "there is not one service of ours");
            none(faults, format!("{seen} services"))
        },
    );
    report.check(
        "images have versions, ports differ, what is mounted is there",
        || others(&services),
    );
    report.check("Prometheus asks each exporter where it listens", || {
        targets(&folder, &services)
    });
    report.check("Prometheus keeps what the rules look back to", || {
        retention(&services)
    });
    report.check(
        "promtool takes Prometheus' configuration, with what .env says in it",
        || match tools::prometheus() {
            Ok(()) => prometheus(&services),
            Err(why) => Ok(Verdict::Skipped(why)),
        },
    );
    super::alertmanager::run(&folder, report);
    report.check("Grafana finds its data source and dashboards", || {
        grafana(&folder, &services)
    });
}

fn is_ours(service: &Value) -> bool {
    text(service, "/image").starts_with("tokenpath:")
}

/// `${NAME:-default}` of the compose file against `NAME=default` of the example, and profiles.
fn variables(folder: &Path, services: &BTreeMap<&str, &Value>) -> Result<Verdict> {
    let compose = std::fs::read_to_string(folder.join("compose.yaml"))?;
    let example = std::fs::read_to_string(folder.join(".env.example"))?;
    let mut asked: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for inside in compose
        .split("${")
        .skip(1)
        .filter_map(|rest| rest.split('}').next())
    {
        let (name, default) = inside
            .split_once(":-")
            .ok_or_else(|| format!("${{{inside}}} has no default"))?;
        // The example starts something; without it nothing is.
        if name == "COMPOSE_PROFILES" && default.is_empty() {
            continue;
        }
        asked.entry(name).or_default().insert(default);
    }
    let said: BTreeMap<&str, &str> = example
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once('='))
        .collect();
    let mut faults = Vec::new();
    for (name, defaults) in &asked {
        let of_example = said.get(name).map(|value| BTreeSet::from([*value]));
        if of_example.as_ref() != Some(defaults) {
            faults.push(format!(
                "{name}: {defaults:?} there, {of_example:?} in the example"
            ));
        }
    }
    for name in said.keys() {
        if *name != "COMPOSE_PROFILES" && !asked.contains_key(name) {
            faults.push(format!("nothing asks for {name}"));
        }
    }
    for (name, value) in KNOWN {
        if said.get(name) != Some(&value) {
            faults.push(format!("{name} is not {value}"));
        }
    }
    let profiles: BTreeSet<&str> = services
        .values()
        .flat_map(|service| texts(service, "/profiles"))
        .collect();
    for profile in said.get("COMPOSE_PROFILES").unwrap_or(&"").split(',') {
        if !profiles.contains(profile) {
            faults.push(format!("there is no profile {profile:?}"));
        }
    }
    for profile in &profiles {
        let is_told = example.lines().any(|line| {
            line.starts_with("#   ") && line.split([' ', ',']).any(|word| word == *profile)
        });
        if !is_told {
            faults.push(format!(
                "the example does not tell of the profile {profile}"
            ));
        }
    }
    none(
        faults,
        format!("{} variables, {} profiles", said.len(), profiles.len()),
    )
}

/// The program and arguments of a service of ours.
fn command(service: &Value) -> Vec<&str> {
    let mut words = texts(service, "/entrypoint");
    if words.is_empty() {
        words.push("/usr/local/bin/tokenpath");
    }
    words.extend(texts(service, "/command"));
    words
}

fn our_faults(service: &Value, programs: &Programs) -> Result<Vec<String>> {
    let words = command(service);
    let mut faults = programs.faults(&words);
    let port = Programs::port(&words)?;
    let mut want = |holds: bool, what: String| {
        if !holds {
            faults.push(what);
        }
    };
    let image = format!("tokenpath:{}", env!("CARGO_PKG_VERSION"));
    want(
        text(service, "/image") == image,
        format!("its image is not {image}"),
    );
    want(
        service["read_only"] == true,
        "read_only is not true".to_owned(),
    );
    want(
        texts(service, "/cap_drop") == ["ALL"] && service.get("cap_add").is_none(),
        "it keeps capabilities".to_owned(),
    );
    want(
        texts(service, "/security_opt") == ["no-new-privileges:true"],
        "it may gain privileges".to_owned(),
    );
    want(service.get("privileged").is_none(), "privileged".to_owned());
    want(
        service.get("network_mode").is_none(),
        "network_mode".to_owned(),
    );
    want(
        service.get("mem_limit").is_some(),
        "its memory has no limit".to_owned(),
    );
    let test = texts(service, "/healthcheck/test");
    let url = test.last().copied().unwrap_or_default();
    let is_asked = HEALTH
        .iter()
        .any(|path| url == format!("http://127.0.0.1:{port}{path}"));
    want(
        is_asked && test.get(1) == Some(&"/usr/bin/wget"),
        format!("its health check asks {url:?}, it listens on {port}"),
    );
    for name in service["environment"]
        .as_object()
        .into_iter()
        .flat_map(serde_json::Map::keys)
    {
        want(
            programs.has_variable(&words, name),
            format!("its program does not read {name}"),
        );
    }
    let dockerfile =
        Path::new(text(service, "/build/context")).join(text(service, "/build/dockerfile"));
    want(
        dockerfile.is_file(),
        format!("there is no {}", dockerfile.display()),
    );
    Ok(faults)
}

fn others(services: &BTreeMap<&str, &Value>) -> Result<Verdict> {
    let mut faults = Vec::new();
    let mut published = BTreeSet::new();
    let mut mounts = 0;
    for (name, service) in services {
        let version = text(service, "/image")
            .rsplit_once(':')
            .map_or("", |(_, tag)| tag);
        if !version.contains('.') {
            faults.push(format!("{name}: the image has no version"));
        }
        if service.pointer("/healthcheck/test").is_none() {
            faults.push(format!("{name}: there is no health check"));
        }
        for port in super::list(service, "/ports") {
            if !published.insert(text(port, "/published")) {
                faults.push(format!("{name}: its port is another's too"));
            }
            if text(port, "/host_ip") != "127.0.0.1" {
                faults.push(format!("{name}: its port is open to others by default"));
            }
        }
        for volume in super::list(service, "/volumes") {
            if text(volume, "/type") == "bind" {
                mounts += 1;
                let source = text(volume, "/source");
                if !Path::new(source).exists() {
                    faults.push(format!("{name}: there is no {source}"));
                }
                if volume["read_only"] != true {
                    faults.push(format!("{name}: {source} may be written"));
                }
            }
        }
    }
    ensure!(mounts > 0, "nothing is mounted");
    none(
        faults,
        format!("{} services, {mounts} mounts", services.len()),
    )
}

/// `names: [x], type: A, port: N` of Prometheus against the command lines, and the targets of profiles
/// against both: an exporter that has crashed has no name, and must be a target still.
fn targets(folder: &Path, services: &BTreeMap<&str, &Value>) -> Result<Verdict> {
    let config = std::fs::read_to_string(folder.join("prometheus/prometheus.yml"))?;
    let mut asked = BTreeMap::new();
    for line in config.lines() {
        let Some(rest) = line.trim().strip_prefix("- {names: [") else {
            continue;
        };
        let (name, rest) = rest.split_once(']').ok_or("a list without an end")?;
        let port = rest
            .split_once("port: ")
            .and_then(|(_, port)| port.split([',', '}']).next())
            .ok_or("a name without a port")?;
        asked.insert(name, port.parse::<u64>()?);
    }
    let listening: BTreeMap<&str, u64> = services
        .iter()
        .filter(|(_, service)| is_ours(service))
        .map(|(name, service)| Ok((*name, Programs::port(&command(service))?)))
        .collect::<Result<_>>()?;
    ensure!(
        asked == listening,
        "it asks {asked:?}; there are {listening:?}"
    );
    let told = std::fs::read_to_string(folder.join("prometheus/targets.yml"))?;
    let told: BTreeSet<&str> = told.lines().filter(|line| !line.starts_with('#')).collect();
    let mut wanted = BTreeSet::new();
    for (name, port) in &listening {
        for profile in texts(services[name], "/profiles") {
            wanted.insert(format!(
                "- targets: [\"{name}:{port}\"] # profile {profile}"
            ));
        }
    }
    ensure!(
        told == wanted.iter().map(String::as_str).collect(),
        "targets.yml has {told:?}; there are {wanted:?}"
    );
    let jobs = config.matches("dns_sd_configs:").count();
    ensure!(
        config.matches("honor_labels: true").count() == jobs,
        "a job renames labels of the page"
    );
    passed(format!("{} names", asked.len()))
}

/// Runs what the container runs before Prometheus, with paths of this machine.
fn prometheus(services: &BTreeMap<&str, &Value>) -> Result<Verdict> {
    let service = services.get("prometheus").ok_or("no service prometheus")?;
    let script = texts(service, "/command").concat();
    let (before, _) = script
        .split_once("exec prometheus")
        .ok_or("it does not end in `exec prometheus`")?;
    let folder = cargo::target_folder().join("deploy/prometheus");
    std::fs::create_dir_all(&folder)?;
    let made = folder.join("prometheus.yml");
    let root = cargo::root();
    let of_stack = root.join("deploy/compose/prometheus");
    let here = |text: &str| {
        text.replace(
            "/etc/prometheus/rules",
            &root.join("monitoring/rules").to_string_lossy(),
        )
        .replace("/etc/prometheus", &of_stack.to_string_lossy())
        .replace("/tmp", &folder.to_string_lossy())
    };
    // `config` prints a dollar as two.
    said(
        Command::new("sh")
            .args(["-euc", &here(&before.replace("$$", "$"))])
            .env("SCRAPE_INTERVAL", "7s")
            .env("PROFILES", "vllm,gpu"),
    )?;
    let targets = std::fs::read_to_string(folder.join("targets.yml"))?;
    ensure!(
        targets.lines().count() == 2 && targets.contains("gpu-exporter:"),
        "of the profiles vllm and gpu come the targets\n{targets}"
    );
    let config = here(&std::fs::read_to_string(&made)?);
    ensure!(
        config.matches("interval: 7s").count() == 2 && !config.contains("interval: 15s\n  e"),
        "SCRAPE_INTERVAL did not come in:\n{config}"
    );
    std::fs::write(&made, config)?;
    let told = said(
        Command::new("promtool")
            .args(["check", "config"])
            .arg(&made),
    )?;
    let rules = files(&root.join("monitoring/rules"), "yml")?.len();
    ensure!(
        told.matches("rules found").count() == rules,
        "not all of {rules} rule files were found:\n{told}"
    );
    passed(format!("{rules} rule files"))
}

/// The default of `PROMETHEUS_RETENTION` against the longest `[Nd]` of a rule.
fn retention(services: &BTreeMap<&str, &Value>) -> Result<Verdict> {
    let prometheus = services.get("prometheus").ok_or("no service prometheus")?;
    let kept = text(prometheus, "/environment/RETENTION");
    let kept: u64 = kept
        .strip_suffix('d')
        .ok_or_else(|| format!("{kept:?} are not days"))?
        .parse()?;
    let mut longest = 0;
    for rules in files(&cargo::root().join("monitoring/rules"), "yml")? {
        longest = longest.max(days_back(&std::fs::read_to_string(rules)?));
    }
    ensure!(longest > 0, "no rule looks back a day");
    ensure!(
        kept > longest,
        "{kept} days are kept, a rule looks {longest} days back"
    );
    passed(format!("{kept} days, for {longest}"))
}

/// The longest range of days in expressions.
fn days_back(rules: &str) -> u64 {
    rules
        .split('[')
        .filter_map(|rest| rest.split_once("d]")?.0.parse().ok())
        .max()
        .unwrap_or_default()
}

fn grafana(folder: &Path, services: &BTreeMap<&str, &Value>) -> Result<Verdict> {
    let grafana = services.get("grafana").ok_or("no service grafana")?;
    let provisioning = folder.join("grafana/provisioning");
    let source = std::fs::read_to_string(provisioning.join("datasources/prometheus.yml"))?;
    ensure!(
        source.contains("url: http://prometheus:9090\n") && services.contains_key("prometheus"),
        "its data source is not the service prometheus"
    );
    // What `$__rate_interval` is made of; Grafana puts its environment in.
    ensure!(
        source.contains("timeInterval: $SCRAPE_INTERVAL\n")
            && grafana.pointer("/environment/SCRAPE_INTERVAL").is_some(),
        "its data source does not know how often Prometheus reads"
    );
    let provider = std::fs::read_to_string(provisioning.join("dashboards/tokenpath.yml"))?;
    let path = provider
        .lines()
        .find_map(|line| line.trim().strip_prefix("path: "))
        .ok_or("no path of dashboards")?;
    let mounted = super::list(grafana, "/volumes")
        .iter()
        .find(|volume| text(volume, "/target") == path)
        .map(|volume| text(volume, "/source"))
        .ok_or_else(|| format!("nothing is mounted at {path}"))?;
    let dashboards = files(Path::new(mounted), "json")?;
    let home = text(
        grafana,
        "/environment/GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH",
    );
    let is_there = dashboards
        .iter()
        .any(|file| format!("{path}/{}", name_of(file)) == home);
    ensure!(is_there, "there is no {home}");
    passed(format!("{} dashboards", dashboards.len()))
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn the_longest_range_is_found() {
        assert_eq!(days_back("a[5m] / b[3d]\n- c[30d] and d[6h] e[ad]"), 30);
        assert_eq!(days_back("a[5m]"), 0);
    }
}
