//! What `cargo metadata` says, as far as the checks need it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::Value;

use crate::cargo;
use crate::report::Result;

/// A package of the dependency graph.
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) licence: Option<String>,
    /// `None` for members of the workspace.
    pub(crate) source: Option<String>,
    pub(crate) has_library: bool,
    pub(crate) publishable: bool,
    /// What each feature turns on, `default` included.
    pub(crate) features: BTreeMap<String, Vec<String>>,
}

/// All packages by id, and who depends on whom.
pub(crate) struct Metadata {
    pub(crate) packages: BTreeMap<String, Package>,
    pub(crate) members: BTreeSet<String>,
    dependencies: BTreeMap<String, Vec<String>>,
}

/// The graph of the whole workspace with all features, for all platforms.
pub(crate) fn load() -> Result<Metadata> {
    let output = cargo::cargo()
        .args([
            "metadata",
            "--format-version",
            "1",
            "--all-features",
            "--locked",
        ])
        .output()?;
    if !output.status.success() {
        return Err(format!(
            "cargo metadata failed: {}",
            String::from_utf8_lossy(&output.stderr)
        )
        .into());
    }
    read(&serde_json::from_slice(&output.stdout)?)
}

fn read(value: &Value) -> Result<Metadata> {
    let mut packages = BTreeMap::new();
    for package in array(&value["packages"])? {
        let features = package["features"]
            .as_object()
            .ok_or("a package without features")?;
        packages.insert(
            text(&package["id"])?,
            Package {
                name: text(&package["name"])?,
                version: text(&package["version"])?,
                licence: package["license"].as_str().map(str::to_owned),
                source: package["source"].as_str().map(str::to_owned),
                has_library: array(&package["targets"])?.iter().any(|target| {
                    target["kind"]
                        .as_array()
                        .is_some_and(|kinds| kinds.iter().any(|kind| kind == "lib"))
                }),
                publishable: package["publish"]
                    .as_array()
                    .is_none_or(|registries| !registries.is_empty()),
                features: features
                    .iter()
                    .map(|(name, on)| {
                        let on = array(on)?.iter().map(text).collect::<Result<_>>()?;
                        Ok((name.clone(), on))
                    })
                    .collect::<Result<_>>()?,
            },
        );
    }
    let mut dependencies = BTreeMap::new();
    for node in array(&value["resolve"]["nodes"])? {
        let needs = array(&node["dependencies"])?
            .iter()
            .map(text)
            .collect::<Result<Vec<_>>>()?;
        dependencies.insert(text(&node["id"])?, needs);
    }
    let members = array(&value["workspace_members"])?
        .iter()
        .map(text)
        .collect::<Result<_>>()?;
    Ok(Metadata {
        packages,
        members,
        dependencies,
    })
}

impl Metadata {
    /// The shortest way from a member of the workspace to a package, as names.
    pub(crate) fn way_to(&self, id: &str) -> String {
        let mut came_from: BTreeMap<&str, &str> = BTreeMap::new();
        let mut queue: VecDeque<&str> = self.members.iter().map(String::as_str).collect();
        while let Some(current) = queue.pop_front() {
            if current == id {
                let mut way = vec![self.name(current)];
                let mut at = current;
                while let Some(&before) = came_from.get(at) {
                    way.push(self.name(before));
                    at = before;
                }
                way.reverse();
                return way.join(" -> ");
            }
            for next in self.dependencies.get(current).into_iter().flatten() {
                if !self.members.contains(next) && !came_from.contains_key(next.as_str()) {
                    came_from.insert(next, current);
                    queue.push_back(next);
                }
            }
        }
        format!("{} (nothing in the workspace needs it)", self.name(id))
    }

    fn name(&self, id: &str) -> String {
        self.packages.get(id).map_or_else(
            || id.to_owned(),
            |package| format!("{} {}", package.name, package.version),
        )
    }
}

fn array(value: &Value) -> Result<&Vec<Value>> {
    value
        .as_array()
        .ok_or_else(|| "cargo metadata: expected a list".into())
}

fn text(value: &Value) -> Result<String> {
    value
        .as_str()
        .map(str::to_owned)
        .ok_or_else(|| "cargo metadata: expected text".into())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn says_the_shortest_way_a_crate_came_in() {
        let package = |id: &str| {
            json!({
                "id": id, "name": id, "version": "1.0.0", "license": "MIT", "source": null,
                "targets": [{"kind": ["lib"]}], "publish": null, "features": {"default": ["a"], "a": []},
            })
        };
        let metadata = read(&json!({
            "packages": [package("m"), package("x"), package("y"), package("z")],
            "resolve": {"nodes": [
                {"id": "m", "dependencies": ["x", "y"]},
                {"id": "x", "dependencies": ["y"]},
                {"id": "y", "dependencies": ["z"]},
                {"id": "z", "dependencies": []},
            ]},
            "workspace_members": ["m"],
        }))
        .unwrap();
        assert_eq!(metadata.way_to("z"), "m 1.0.0 -> y 1.0.0 -> z 1.0.0");
        assert_eq!(metadata.packages["m"].features["default"], ["a"]);
        assert!(metadata.packages["m"].publishable);
    }
}
