//! The Kubernetes manifests: built by kustomize, held against schemas, and against each other.

mod complete;
mod containers;
mod objects;
mod references;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::programs::Programs;
use super::{Checkers, none, said, texts};
use crate::cargo;
use crate::json::list;
use crate::report::{Report, Result, Verdict, ensure, passed};
use crate::tools;

use complete::complete;
use containers::{containers, ours};
use objects::{Build, title};
use references::{honored, out_of_sight, references, walls};

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
    report.check("a pod that falls sick stays a target", || {
        let seen = format!("{} discoveries", discovery.len());
        none(out_of_sight(&discovery), seen)
    });
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
            .arg(include_str!("../schemas.py"))
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
