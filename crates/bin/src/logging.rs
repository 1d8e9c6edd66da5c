//! Log output, in the manner of Prometheus's exporters: on standard error, logfmt or JSON.

use clap::Args;
use tokenpath_config::{Log, Overlay};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// How much is logged, and how it is written.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Log")]
pub struct LogArguments {
    /// The least severe messages to log; info by default.
    #[arg(
        long = "log.level",
        value_name = "LEVEL",
        value_parser = ["trace", "debug", "info", "warn", "error"],
        env = "LOG_LEVEL"
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

impl LogArguments {
    /// Says to a configuration what was said here.
    pub fn say(&self, overlay: &mut Overlay) {
        if let Some(level) = &self.level {
            overlay.set("--log.level", "log.level", level);
        }
        if let Some(format) = &self.format {
            overlay.set("--log.format", "log.format", format);
        }
    }
}

/// Starts logging. Called once, by the binary.
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
                    .with_writer(std::io::stderr),
            )
            .init(),
        _ => registry
            .with(
                tracing_logfmt::builder()
                    .with_target(false)
                    .with_span_path(false)
                    .layer()
                    .with_writer(std::io::stderr),
            )
            .init(),
    }
}
