//! The configuration of a program: its flags over the environment over a file, with the names that
//! this build knows.

use std::path::Path;

use tokenpath_config::{Config, ConfigError, ConfigFile, Loader, Overlay, Vocabulary};
use tokenpath_scrape::runner::own_families;

use crate::backends;
use crate::run::Failure;

/// What configurations of a program that reads one kind, or all, may name.
#[must_use]
pub fn vocabulary(kind: Option<&str>) -> Vocabulary {
    let servers = backends::of(kind).filter(|backend| backend.source.is_some());
    let theirs = backends::of(kind).flat_map(|backend| (backend.describe)());
    Vocabulary::default()
        .kinds(servers.map(|backend| backend.kind))
        .families(own_families().iter().cloned())
        .families(theirs)
}

/// What the environment says to a program that reads one kind, or all.
#[must_use]
pub fn environment(kind: Option<&str>) -> Overlay {
    let own = kind.map(|kind| format!("{}_ENDPOINT", kind.to_uppercase()));
    let wanted = |name: &&str| match &own {
        Some(own) => !name.ends_with("_ENDPOINT") || name == own,
        None => true,
    };
    let names = Overlay::variables().filter(wanted);
    Overlay::from_environment(names.filter_map(|name| Some((name, std::env::var(name).ok()?))))
}

/// The configuration, and its file where there is one.
///
/// # Errors
///
/// All that is wrong, with exit code 2.
pub fn load(
    told: Overlay,
    kind: Option<&str>,
    file: Option<&Path>,
) -> Result<(Config, Option<ConfigFile>), Failure> {
    let loader = Loader::new()
        .vocabulary(vocabulary(kind))
        .environment(|name| std::env::var(name).ok())
        .overlay(told);
    let Some(path) = file else {
        let config = loader.parse("the arguments", "").map_err(refused)?;
        return Ok((config, None));
    };
    let mut file = ConfigFile::new(path, loader);
    let config = file.load().map_err(refused)?;
    Ok((config, Some(file)))
}

pub(crate) fn refused(errors: Vec<ConfigError>) -> Failure {
    Failure::usages(errors)
}
