//! How a command ends: what it says on standard error, and with which code.

use std::error::Error;
use std::fmt::Write as _;
use std::io;
use std::process::ExitCode;

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

/// Says what went wrong, if anything did, with all causes.
pub fn exit(result: Result<(), Failure>) -> ExitCode {
    let Err(failure) = result else {
        return ExitCode::SUCCESS;
    };
    if is_broken_pipe(&*failure.cause) {
        // Whoever read our output has seen enough.
        return ExitCode::SUCCESS;
    }
    let mut text = failure.cause.to_string();
    let mut cause = failure.cause.source();
    while let Some(next) = cause {
        _ = write!(text, ": {next}");
        cause = next.source();
    }
    eprintln!("error: {text}");
    ExitCode::from(failure.code)
}

fn is_broken_pipe(error: &(dyn Error + 'static)) -> bool {
    let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
    kind == Some(io::ErrorKind::BrokenPipe) || error.source().is_some_and(is_broken_pipe)
}
