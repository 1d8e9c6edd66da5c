//! A gateway that refuses its page: the program that reads it says which right is missing, and shows
//! nobody the token.

use std::process::Command;
use std::time::Duration;

use crate::cargo;
use crate::e2e::faults::value;
use crate::e2e::page;
use crate::e2e::targets::Target;
use crate::guard::Program;
use crate::http;
use crate::report::{Report, Result, Verdict, ensure, passed};
use crate::tests::Binaries;

const CANARY: &str = "canary-Wq7LmZ";

/// An answer, its reason on our page, and what log and landing page say to do.
const REFUSALS: [(&str, &str, &str); 3] = [
    (
        "401 Unauthorized",
        "unauthorized",
        "/var/run/secrets/kubernetes.io/serviceaccount/token",
    ),
    (
        "403 Forbidden",
        "forbidden",
        "nonResourceURLs: [\"/metrics\"], verbs: [\"get\"]",
    ),
    (
        "500 Internal Server Error",
        "server_error",
        "subjectaccessreviews",
    ),
];

pub(crate) fn run(binaries: &Binaries, report: &mut Report) {
    report.heading("end to end: gateways that refuse");
    report.check(
        "401, 403 and 500 have their reason, and say which rule is missing",
        || refusals(binaries),
    );
}

fn refusals(binaries: &Binaries) -> Result<Verdict> {
    let address = http::free_address()?;
    let token = cargo::target_folder().join(format!("e2e-token-{}", std::process::id()));
    std::fs::write(&token, CANARY)?;
    let mut command = Command::new(&binaries.tokenpath);
    command
        .args(["serve", "--web.listen-address", &address.to_string()])
        .arg("--gateway.bearer-token-file")
        .arg(&token);
    let mut targets = Vec::new();
    for (status, ..) in REFUSALS {
        let target = Target::answers(status, "text/plain", "no\n")?;
        command.args(["--gateway.endpoint", &format!("http://{}", target.address)]);
        targets.push(target);
    }
    let mut program = Program::start(&mut command)?;
    program.wait_for("answer from /healthz", Duration::from_secs(5), || {
        http::get(address, "/healthz", &[])
            .ok()
            .filter(|answer| answer.status == 200)
    })?;
    let shown = http::get(address, "/metrics", &[])?.body;
    let samples = page::samples(&shown)?;
    let landing = http::get(address, "/", &[])?.body;
    let landing = landing.replace("&quot;", "\"").replace("&#34;", "\"");
    let log = program.stderr();
    std::fs::remove_file(&token)?;
    for ((status, reason, hint), target) in REFUSALS.iter().zip(&targets) {
        let target = target.address.to_string();
        let up = value(&samples, "tokenpath_source_up", &target, None);
        ensure!(up == Some(0.0), "{status}: up is {up:?}");
        let errors = "tokenpath_source_scrape_errors_total";
        let counted = value(&samples, errors, &target, Some(("reason", *reason)));
        ensure!(counted == Some(1.0), "{status}: {reason} is {counted:?}");
        // The log escapes the quotes of what it quotes.
        let plain = log.replace("\\\"", "\"");
        ensure!(
            plain.contains(hint),
            "{status}: the log has no {hint}:\n{log}"
        );
        ensure!(
            landing.contains(hint),
            "{status}: the landing page has no {hint}:\n{landing}"
        );
    }
    for (place, text) in [("page", &shown), ("landing page", &landing), ("log", &log)] {
        ensure!(!text.contains(CANARY), "the {place} shows the token");
    }
    passed("in the log and on the landing page; the token nowhere")
}
