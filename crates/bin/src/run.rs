//! How a command ends: what it says on standard error, and with which code.

use std::error::Error;
use std::io;
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;
use tokenpath_core::in_full;

/// A command that could not do its work.
#[derive(Debug)]
pub struct Failure {
    code: u8,
    cause: Box<dyn Error + Send + Sync>,
}

impl Failure {
    /// What was asked for makes no sense: exit code 2, as for unknown flags.
    pub fn usage(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            code: 2,
            cause: cause.into(),
        }
    }

    /// What was asked for did not work: exit code 1.
    pub fn runtime(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            code: 1,
            cause: cause.into(),
        }
    }
}

/// The arguments of the command line. Where they are wrong, says what is, and an example that is
/// right, and ends the process with exit code 2.
pub fn arguments<A: Parser>(example: &str) -> A {
    A::try_parse().unwrap_or_else(|error| {
        if matches!(
            error.kind(),
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
        ) {
            error.exit();
        }
        // Where it cannot be printed, there is nobody to tell.
        _ = error.print();
        eprintln!("For instance: {example}");
        std::process::exit(2);
    })
}

/// Says what went wrong, if anything did, with all causes.
pub fn exit(result: Result<(), Failure>) -> ExitCode {
    let Err(failure) = result else {
        return ExitCode::SUCCESS;
    };
    if is_broken_pipe(&*failure.cause) {
        // Whoever read our output has seen enough.
        return ExitCode::SUCCESS;
    }
    let text = in_full(&*failure.cause);
    eprintln!("error: {text}");
    ExitCode::from(failure.code)
}

fn is_broken_pipe(error: &(dyn Error + 'static)) -> bool {
    let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
    kind == Some(io::ErrorKind::BrokenPipe) || error.source().is_some_and(is_broken_pipe)
}
