//! `tokenpath translate`: an engine's page in, ours out; or what became of each of its families.

use std::io::{self, IsTerminal as _, Read as _, Write as _};

use clap::{Args, ValueEnum};
use tokenpath_core::exposition::{Encoder, Format, Limits, Mode, Part};
use tokenpath_core::translate::TranslateOptions;
use tokenpath_core::{LabelSet, Snapshot};

use crate::backends::{self, Backend};
use crate::explain;
use crate::run::{Failure, complain};

/// Translate a page from standard input.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  curl -s localhost:8000/metrics | tokenpath translate --backend vllm
  tokenpath translate --backend vllm --explain < page.txt")]
pub struct Arguments {
    /// Whose page it is.
    #[arg(long, value_name = "KIND", value_parser = backends::find)]
    backend: Backend,
    /// Instead of the page: what became of each family, from which release's name, and why.
    #[arg(long)]
    explain: bool,
    /// The format of the page: text-0.0.4, text-1.0.0-utf8 or openmetrics-1.0; told from the page
    /// where not said.
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,
    /// The format to write.
    #[arg(long, value_name = "FORMAT", default_value = "text-0.0.4")]
    output: Output,
    /// Skip lines that are not valid, and say how many.
    #[arg(long)]
    lenient: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Output {
    /// Prometheus text 0.0.4.
    #[value(name = "text-0.0.4")]
    Text004,
    /// OpenMetrics 1.0.
    #[value(name = "openmetrics-1.0")]
    OpenMetrics100,
}

/// Runs the command.
///
/// # Errors
///
/// Where the page is not valid: line and column.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let page = read_stdin()?;
    let format = arguments
        .format
        .unwrap_or_else(|| Format::sniff(&page, None));
    let mut options = TranslateOptions::default();
    options.limits = stdin_limits();
    options.mode = if arguments.lenient {
        Mode::Lenient
    } else {
        Mode::Strict
    };
    let mut snapshot = Snapshot::new();
    let backend = arguments.backend;
    let Some(page_backend) = backend.page else {
        return Err(Failure::usage(format!(
            "{} have no page to translate",
            backend.title
        )));
    };
    let report = (page_backend.translate)(&page, format, options, &mut snapshot)
        .map_err(|error| Failure::runtime(format!("{error}\n{}", error.excerpt(&page))))?;
    let mut out = io::stdout().lock();
    if arguments.explain {
        return explain::write(&report, &snapshot, &mut out).map_err(Failure::runtime);
    }
    let output = match arguments.output {
        Output::Text004 => Format::Text004,
        Output::OpenMetrics100 => Format::OpenMetrics100,
    };
    let labels = LabelSet::new([("backend", arguments.backend.kind)]);
    let mut text = Vec::new();
    Encoder::new(output).encode(
        &[Part {
            snapshot: &snapshot,
            labels: &labels,
        }],
        &mut text,
    );
    out.write_all(&text)
        .and_then(|()| out.flush())
        .map_err(Failure::runtime)?;
    if !report.any_mapped() {
        complain(format_args!(
            "note: nothing on this page is known to be {}'s; --explain lists what is there",
            arguments.backend.title
        ));
    }
    Ok(())
}

/// All of standard input, up to the limit on a page.
pub(crate) fn read_stdin() -> Result<Vec<u8>, Failure> {
    let mut stdin = io::stdin().lock();
    if stdin.is_terminal() {
        return Err(Failure::usage(
            "the page is read from standard input: give it as `… < page.txt` or `curl -s URL | …`",
        ));
    }
    let limit = stdin_limits().page_bytes as u64;
    let mut page = Vec::new();
    // One byte more than allowed, so that the parser's own limit names itself.
    stdin
        .by_ref()
        .take(limit + 1)
        .read_to_end(&mut page)
        .map_err(Failure::runtime)?;
    Ok(page)
}

/// The limits for a page that a person hands in: larger than those for a target.
pub(crate) fn stdin_limits() -> Limits {
    Limits {
        page_bytes: 1 << 30,
        samples: 10_000_000,
        ..Limits::default()
    }
}
