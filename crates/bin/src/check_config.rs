//! `tokenpath check-config`: all that is wrong with configuration files, before they are used.

use std::io::Write as _;
use std::path::PathBuf;

use clap::Args;
use tokenpath_config::{Config, Loader};

use crate::configure::{refused, vocabulary};
use crate::run::Failure;

/// Check configuration files: all errors at once, each with its place.
///
/// Exit code 2 where there is one. A variable that is not set here is no error: files are checked on
/// other machines than they are for. Nothing is read but the files, so no certificate, token or target
/// file that they name, and nobody is asked.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  tokenpath check-config tokenpath.yaml
  tokenpath check-config /etc/tokenpath/*.yaml")]
pub struct Arguments {
    /// Files to check.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// Runs the command.
///
/// # Errors
///
/// Where a file is not right, with all that is wrong in all files.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let loader = Loader::new()
        .vocabulary(vocabulary(None))
        .environment(|name| std::env::var(name).ok())
        .unset_is_fine();
    let mut errors = Vec::new();
    for path in &arguments.files {
        match loader.load(path) {
            Ok(config) => {
                let said = format!("{}: OK, {}", path.display(), summary(&config));
                writeln!(std::io::stdout().lock(), "{said}").map_err(Failure::runtime)?;
            }
            Err(found) => errors.extend(found),
        }
    }
    if errors.is_empty() {
        Ok(())
    } else {
        Err(refused(errors))
    }
}

/// What a file asks for, so that a reader sees whether it is what was meant.
fn summary(config: &Config) -> String {
    let count = |count: usize, one: &str, many: &str| match count {
        0 => None,
        1 => Some(format!("1 {one}")),
        count => Some(format!("{count} {many}")),
    };
    let parts = [
        count(config.sources.len(), "target", "targets"),
        count(config.discovery.len(), "discovery", "discoveries"),
        config.gpu.as_ref().map(|_| "the GPUs".to_owned()),
        count(
            config.catalogues.len(),
            "engine of its own",
            "engines of its own",
        ),
        count(config.rollups.len(), "roll-up", "roll-ups"),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    let names: Vec<&str> = config
        .dialects
        .iter()
        .map(|dialect| dialect.name())
        .collect();
    let read = if parts.is_empty() {
        "nothing to read".to_owned()
    } else {
        parts.join(", ")
    };
    format!("{read}; speaks {}", names.join(", "))
}
