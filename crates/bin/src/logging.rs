//! Log output, in the manner of Prometheus's exporters: on standard error, logfmt or JSON.

use clap::{Args, ValueEnum};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// How much is logged, and how it is written.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Log")]
pub struct LogArguments {
    /// The least severe messages to log.
    #[arg(
        long = "log.level",
        value_name = "LEVEL",
        default_value = "info",
        env = "LOG_LEVEL"
    )]
    pub level: Level,
    /// How a log line is written.
    #[arg(long = "log.format", value_name = "FORMAT", default_value = "logfmt")]
    pub format: Format,
}

/// The severities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Level {
    /// What helps to find a fault.
    Debug,
    /// What happens.
    Info,
    /// What may need a look.
    Warn,
    /// What does not work.
    Error,
}

/// The formats of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// `key=value`, as Prometheus writes it.
    Logfmt,
    /// A JSON object a line.
    Json,
}

/// Starts logging. Called once, by the binary.
pub fn start(arguments: &LogArguments) {
    let level = match arguments.level {
        Level::Debug => LevelFilter::DEBUG,
        Level::Info => LevelFilter::INFO,
        Level::Warn => LevelFilter::WARN,
        Level::Error => LevelFilter::ERROR,
    };
    let registry = tracing_subscriber::registry().with(level);
    match arguments.format {
        Format::Logfmt => registry
            .with(
                tracing_logfmt::builder()
                    .with_target(false)
                    .with_span_path(false)
                    .layer()
                    .with_writer(std::io::stderr),
            )
            .init(),
        Format::Json => registry
            .with(
                tracing_subscriber::fmt::layer()
                    .json()
                    .flatten_event(true)
                    .with_target(false)
                    .with_writer(std::io::stderr),
            )
            .init(),
    }
}
