//! The configuration of a program: its flags over the environment over a file, with the names that
//! this build knows.

use std::ffi::OsString;
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
///
/// # Errors
///
/// Where a variable that is looked at is no text, with exit code 2.
pub fn environment(kind: Option<&str>) -> Result<Overlay, Failure> {
    told(kind, |name| std::env::var_os(name))
}

fn told(
    kind: Option<&str>,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Result<Overlay, Failure> {
    let own = kind.map(|kind| format!("{}_ENDPOINT", kind.to_uppercase()));
    let wanted = |name: &&str| match &own {
        Some(own) => !name.ends_with("_ENDPOINT") || name == own,
        None => true,
    };
    let (mut said, mut wrong) = (Vec::new(), Vec::new());
    for name in Overlay::variables().filter(wanted) {
        match variable(name).map(OsString::into_string) {
            Some(Ok(text)) => said.push((name, text)),
            Some(Err(_)) => wrong.push(format!(
                "{name}: the value of this variable is not UTF-8 text; set it anew, or unset it"
            )),
            None => {}
        }
    }
    if wrong.is_empty() {
        Ok(Overlay::from_environment(said))
    } else {
        Err(Failure::usages(wrong))
    }
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
