//! The configuration of a program: its flags over the environment over a file, with the names that
//! this build knows.

use std::path::Path;

use tokenpath_config::{Config, ConfigError, ConfigFile, Loader, Vocabulary};
use tokenpath_scrape::runner::own_families;

pub use tokenpath_config::Overlay;

use crate::backends;
use crate::run::Failure;

/// What configurations of this program may name.
#[must_use]
pub fn vocabulary() -> Vocabulary {
    let servers = backends::ALL
        .iter()
        .filter(|backend| backend.source.is_some());
    let theirs = backends::ALL
        .iter()
        .flat_map(|backend| (backend.describe)());
    Vocabulary::default()
        .kinds(servers.map(|backend| backend.kind))
        .families(own_families().iter().cloned())
        .families(theirs)
}

/// What the environment says.
#[must_use]
pub fn environment() -> Overlay {
    variables(|_| true)
}

/// What the environment says to a program that reads one kind.
#[must_use]
pub fn environment_of(kind: &str) -> Overlay {
    let own = format!("{}_ENDPOINT", kind.to_uppercase());
    variables(|name| !name.ends_with("_ENDPOINT") || name == own)
}

fn variables(wanted: impl Fn(&str) -> bool) -> Overlay {
    let names = Overlay::variables().filter(|name| wanted(name));
    Overlay::from_environment(names.filter_map(|name| Some((name, std::env::var(name).ok()?))))
}

/// The configuration, and its file where there is one.
///
/// # Errors
///
/// All that is wrong, with exit code 2.
pub fn load(told: Overlay, file: Option<&Path>) -> Result<(Config, Option<ConfigFile>), Failure> {
    let loader = Loader::new()
        .vocabulary(vocabulary())
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
