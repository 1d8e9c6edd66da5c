//! How a command ends: what it says on standard error, and with which code.

use std::error::Error;
use std::fmt;
use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;
use tokenpath_core::in_full;

/// A command that could not do its work.
#[derive(Debug)]
pub struct Failure {
    code: u8,
    causes: Vec<Box<dyn Error + Send + Sync>>,
}

impl Failure {
    /// What was asked for makes no sense: exit code 2, as for unknown flags.
    pub fn usage(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            code: 2,
            causes: vec![cause.into()],
        }
    }

    /// The same, with all that is wrong.
    pub fn usages<E: Into<Box<dyn Error + Send + Sync>>>(
        causes: impl IntoIterator<Item = E>,
    ) -> Self {
        Self {
            code: 2,
            causes: causes.into_iter().map(Into::into).collect(),
        }
    }

    /// What was asked for did not work: exit code 1.
    pub fn runtime(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            code: 1,
            causes: vec![cause.into()],
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
        complain(format_args!("For instance: {example}"));
        std::process::exit(2);
    })
}

/// Says what went wrong, if anything did, with all causes.
pub fn exit(result: Result<(), Failure>) -> ExitCode {
    let Err(failure) = result else {
        return ExitCode::SUCCESS;
    };
    if failure.causes.iter().any(|cause| is_broken_pipe(&**cause)) {
        // Whoever read our output has seen enough.
        return ExitCode::SUCCESS;
    }
    for cause in &failure.causes {
        complain(format_args!("error: {}", in_full(&**cause)));
    }
    ExitCode::from(failure.code)
}

/// A line on standard error. Where it cannot be written, there is nobody to tell: `eprintln!` would
/// panic.
pub(crate) fn complain(line: fmt::Arguments<'_>) {
    _ = writeln!(io::stderr().lock(), "{line}");
}

fn is_broken_pipe(error: &(dyn Error + 'static)) -> bool {
    let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
    kind == Some(io::ErrorKind::BrokenPipe) || error.source().is_some_and(is_broken_pipe)
}
