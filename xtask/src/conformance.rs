//! The parser against the larger corpus: what every reference parser agrees on, and what Prometheus
//! itself ingests.

use std::path::Path;
use std::process::Command;

use crate::report::{Report, Result, Verdict, ensure, passed};
use crate::tests::Binaries;

/// The share of the `scrape` profile that must pass, in per cent.
const SCRAPE_SHARE: f64 = 99.0;

pub(crate) fn run(corpus: Option<&Path>, binaries: &Binaries, report: &mut Report) {
    report.heading("conformance");
    let Some(corpus) = corpus else {
        // Not a skipped check: the repository's own cases ran as tests.
        println!("        no --corpus given: the cases in testdata/ have run with the tests");
        return;
    };
    for (profile, share) in [("unanimous", 100.0), ("scrape", SCRAPE_SHARE)] {
        report.check(&format!("conformance, profile {profile}"), || {
            profile_passes(corpus, profile, share, binaries)
        });
    }
}

fn profile_passes(
    corpus: &Path,
    profile: &str,
    share: f64,
    binaries: &Binaries,
) -> Result<Verdict> {
    let output = Command::new("python3")
        .arg(corpus.join("conformance/run.py"))
        .args(["--profile", profile, "--"])
        .arg(&binaries.tokenpath)
        .args(["parse", "--format"])
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let sums = Sums::read(&text).ok_or_else(|| {
        format!(
            "no sums in:\n{text}{}",
            String::from_utf8_lossy(&output.stderr)
        )
    })?;
    sums.judge(share)
        .map_err(|error| format!("{error}\n{text}").into())
}

/// The line `all PROFILE PASS FAIL FREE CRASH` of the runner's table.
struct Sums {
    passed: u32,
    failed: u32,
    crashed: u32,
}

impl Sums {
    fn read(text: &str) -> Option<Self> {
        let words: Vec<&str> = text
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>())
            .find(|words| words.first() == Some(&"all"))?;
        let [_, _, passed, failed, _, crashed] = words.as_slice() else {
            return None;
        };
        let sums = Self {
            passed: passed.parse().ok()?,
            failed: failed.parse().ok()?,
            crashed: crashed.parse().ok()?,
        };
        (sums.passed > 0).then_some(sums)
    }

    /// Fails where a case crashed, or less than this share, in per cent, passed.
    fn judge(&self, share: f64) -> Result<Verdict> {
        ensure!(self.crashed == 0, "{} crashes", self.crashed);
        let all = self.passed + self.failed;
        let reached = 100.0 * f64::from(self.passed) / f64::from(all);
        ensure!(
            reached >= share,
            "{reached:.2} % of {all} cases pass, at least {share} % must"
        );
        passed(format!(
            "{} of {all} cases ({reached:.2} %), 0 crashes",
            self.passed
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_sums_of_the_runner() {
        let text = "origin format pass fail free crash\nall   unanimous   30  10  7  1\n30 passed, 10 failed, 7 skipped\n";
        let sums = Sums::read(text).unwrap();
        assert_eq!((sums.passed, sums.failed, sums.crashed), (30, 10, 1));
        assert!(Sums::read("").is_none());
        assert!(Sums::read("all unanimous 0 0 0 0").is_none());
    }

    #[test]
    fn a_share_that_is_not_reached_and_a_crash_fail() {
        let judge = |passed, failed, crashed, share| {
            let sums = Sums {
                passed,
                failed,
                crashed,
            };
            sums.judge(share)
                .map(drop)
                .map_err(|error| error.to_string())
        };
        assert_eq!(judge(99, 1, 0, 99.0), Ok(()));
        let error = judge(98, 2, 0, 99.0).unwrap_err();
        assert!(error.starts_with("98.00 % of 100"), "{error}");
        assert_eq!(judge(99, 1, 1, 99.0), Err("1 crashes".to_owned()));
    }
}
