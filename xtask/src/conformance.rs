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
    ensure!(sums.crashed == 0, "{} crashes\n{text}", sums.crashed);
    let reached = sums.share();
    ensure!(
        reached >= share,
        "{reached:.2} % of {} cases pass, at least {share} % must\n{text}",
        sums.passed + sums.failed
    );
    passed(format!(
        "{} of {} cases ({reached:.2} %), 0 crashes",
        sums.passed,
        sums.passed + sums.failed
    ))
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

    fn share(&self) -> f64 {
        let (passed, failed) = (f64::from(self.passed), f64::from(self.failed));
        100.0 * passed / (passed + failed)
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
        assert!((sums.share() - 75.0).abs() < 1e-9);
        assert!(Sums::read("").is_none());
        assert!(Sums::read("all unanimous 0 0 0 0").is_none());
    }
}
