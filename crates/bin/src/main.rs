//! `tokenpath`: all exporters in one, and the tools around them.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tokenpath_cli::{check_config, demo, lint, metrics, parse, run, serve, translate};

/// One token path, every engine: reads what LLM engines say about themselves, in every release,
/// and says it again under names that stay.
#[derive(Debug, Parser)]
#[command(name = "tokenpath", version, max_term_width = 100, after_help = EXAMPLES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Try it without any engine:
  tokenpath demo
Beside a vLLM server:
  tokenpath serve --vllm.endpoint http://localhost:8000
A fleet, by a file:
  tokenpath check-config tokenpath.yaml && tokenpath serve --config tokenpath.yaml
What becomes of a page:
  curl -s localhost:8000/metrics | tokenpath translate --backend vllm --explain
What is wrong with dashboards and rules:
  tokenpath lint dashboards/ rules.yml";

#[derive(Debug, Subcommand)]
enum Command {
    Serve(Box<serve::Arguments>),
    CheckConfig(check_config::Arguments),
    Demo(Box<demo::Arguments>),
    Parse(parse::Arguments),
    Translate(translate::Arguments),
    Metrics(metrics::Arguments),
    Lint(lint::Arguments),
}

fn main() -> ExitCode {
    let arguments: Arguments =
        run::arguments("tokenpath serve --vllm.endpoint http://localhost:8000");
    run::exit(match arguments.command {
        Command::Serve(arguments) => serve::run(&arguments),
        Command::CheckConfig(arguments) => check_config::run(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Parse(arguments) => parse::run(&arguments),
        Command::Translate(arguments) => translate::run(&arguments),
        Command::Metrics(arguments) => metrics::run(&arguments),
        Command::Lint(arguments) => return lint::run(&arguments),
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn no_two_arguments_are_one() {
        Arguments::command().debug_assert();
    }
}
