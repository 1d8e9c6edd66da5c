//! Log output, in the manner of Prometheus's exporters: on standard error, logfmt or JSON.

use std::ffi::OsStr;

use clap::Args;
use clap::builder::PossibleValuesParser;
use tokenpath_config::{Log, Overlay};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// How much is logged, and how it is written.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Log")]
pub struct LogArguments {
    /// The least severe messages to log; info by default. Environment: LOG_LEVEL.
    #[arg(
        long = "log.level",
        value_name = "LEVEL",
        value_parser = PossibleValuesParser::new(LEVELS),
        ignore_case = true
    )]
    level: Option<String>,
    /// How a log line is written; logfmt by default.
    #[arg(
        long = "log.format",
        value_name = "FORMAT",
        value_parser = ["logfmt", "json"]
    )]
    format: Option<String>,
}

const LEVELS: [&str; 5] = ["trace", "debug", "info", "warn", "error"];
/// The variable that says the level where no flag does.
const VARIABLE: &str = "LOG_LEVEL";

impl LogArguments {
    /// Says to a configuration what was said here, and in the environment.
    pub fn say(&self, overlay: &mut Overlay) {
        if let Some(level) = &self.level {
            overlay.set("--log.level", "log.level", level.to_lowercase());
        } else if let Some(level) = std::env::var_os(VARIABLE).as_deref().and_then(level) {
            overlay.set(VARIABLE, "log.level", level);
        }
        if let Some(format) = &self.format {
            overlay.set("--log.format", "log.format", format);
        }
    }
}

/// A level as programs of many kinds take it from this variable: in any case, `warning` for `warn`,
/// and nothing where it is empty.
fn level(said: &OsStr) -> Option<String> {
    let said = said.to_string_lossy().trim().to_lowercase();
    match said.as_str() {
        "" => None,
        "warning" => Some("warn".to_owned()),
        _ => Some(said),
    }
}

/// Starts logging. A line that cannot be written is lost. Called once, by the binary.
pub fn start(log: &Log) {
    let level = match log.level.as_deref() {
        Some("trace") => LevelFilter::TRACE,
        Some("debug") => LevelFilter::DEBUG,
        Some("warn") => LevelFilter::WARN,
        Some("error") => LevelFilter::ERROR,
        _ => LevelFilter::INFO,
    };
    let registry = tracing_subscriber::registry().with(level);
    match log.format.as_deref() {
        Some("json") => registry
            .with(
                tracing_subscriber::fmt::layer()
                    .json()
                    .flatten_event(true)
                    .with_target(false)
                    .with_writer(std::io::stderr)
                    .log_internal_errors(false),
            )
            .init(),
        _ => registry
            .with(
                tracing_logfmt::builder()
                    .with_target(false)
                    .with_span_path(false)
                    .layer()
                    .with_writer(std::io::stderr)
                    .log_internal_errors(false),
            )
            .init(),
    }
}
