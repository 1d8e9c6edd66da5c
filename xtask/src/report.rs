//! What ran and how it ended: one line a check, one closing line for all.

use std::error::Error;
use std::process::ExitCode;
use std::time::Instant;

/// Any error will do: it is only printed.
pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// How a check ended that did not fail, with a word about what was seen.
pub(crate) enum Verdict {
    /// It holds.
    Passed(String),
    /// It could not run here, and why.
    Skipped(String),
}

/// `Ok` with what was seen.
pub(crate) fn passed(seen: impl Into<String>) -> Result<Verdict> {
    Ok(Verdict::Passed(seen.into()))
}

/// Fails the check it stands in unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($message:tt)+) => {
        let holds: bool = $condition;
        if !holds {
            return Err(format!($($message)+).into());
        }
    };
}
pub(crate) use ensure;

/// The sums, and what is repeated at the end because it must not be overlooked.
pub(crate) struct Report {
    passed: u64,
    failed: u64,
    skipped: u64,
    remarks: Vec<String>,
    in_ci: bool,
}

impl Report {
    pub(crate) fn new() -> Self {
        let in_ci =
            std::env::var("CI").is_ok_and(|value| !matches!(value.as_str(), "" | "false" | "0"));
        Self {
            passed: 0,
            failed: 0,
            skipped: 0,
            remarks: Vec::new(),
            in_ci,
        }
    }

    /// Whether no check has run yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.passed + self.failed + self.skipped == 0
    }

    /// Announces a group of checks.
    pub(crate) fn heading(&self, title: &str) {
        println!("\n=== {title}");
    }

    /// Runs one check. In CI (`CI=true`) a check that cannot run is one that failed.
    pub(crate) fn check(&mut self, name: &str, body: impl FnOnce() -> Result<Verdict>) {
        let start = Instant::now();
        let verdict = body();
        let seconds = start.elapsed().as_secs_f64();
        match verdict {
            Ok(Verdict::Passed(seen)) => {
                self.passed += 1;
                let colon = if seen.is_empty() { "" } else { ": " };
                println!("ok      {name}{colon}{seen} ({seconds:.1} s)");
            }
            Ok(Verdict::Skipped(why)) if self.in_ci => {
                self.fail(name, &format!("must not be skipped in CI: {why}"));
            }
            Ok(Verdict::Skipped(why)) => {
                self.skipped += 1;
                println!("SKIPPED {name}: {why}");
                self.remarks.push(format!("SKIPPED {name}: {why}"));
            }
            Err(error) => self.fail(name, &error.to_string()),
        }
    }

    fn fail(&mut self, name: &str, why: &str) {
        self.failed += 1;
        println!("FAILED  {name}: {why}");
        self.remarks.push(format!("FAILED {name}: {why}"));
    }

    /// Adds what a test harness summed by itself.
    pub(crate) fn add(&mut self, name: &str, passed: u64, failed: u64, skipped: u64) {
        if failed > 0 {
            self.remarks.push(format!("FAILED {name}: {failed} tests"));
        }
        self.passed += passed;
        self.failed += failed;
        self.skipped += skipped;
    }

    /// Says again what was not green, then the sums, and turns them into an exit code. A run in
    /// which nothing passed is not a success.
    pub(crate) fn close(self) -> ExitCode {
        println!();
        for remark in &self.remarks {
            println!("{remark}");
        }
        println!(
            "{} passed, {} failed, {} skipped",
            self.passed, self.failed, self.skipped
        );
        if self.failed > 0 || self.passed == 0 {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        }
    }
}
