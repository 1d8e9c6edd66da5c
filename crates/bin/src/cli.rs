//! Arguments that several commands share. They are checked where a configuration file is: what is
//! said here goes into the same keys, and has the same rules and messages.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use tokenpath_config::Overlay;

use crate::logging::LogArguments;

/// The arguments that every exporter has.
#[derive(Clone, Debug, Args)]
pub struct Common {
    #[command(flatten)]
    scrape: ScrapeArguments,
    #[command(flatten)]
    speech: SpeechArguments,
    #[command(flatten)]
    web: WebArguments,
    #[command(flatten)]
    log: LogArguments,
}

/// Where and how the page is served.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Web")]
struct WebArguments {
    /// Address to listen on, `HOST:PORT` or `:PORT` for all interfaces. May be repeated.
    #[arg(long = "web.listen-address", value_name = "ADDRESS")]
    listen: Vec<String>,
    /// Path of the metrics page; /metrics by default.
    #[arg(long = "web.telemetry-path", value_name = "PATH")]
    telemetry_path: Option<String>,
    /// Scrapes that are answered at once, 40 by default; more are told to come back.
    #[arg(long = "web.max-requests", value_name = "N")]
    max_requests: Option<String>,
}

/// How targets are read.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Reading")]
struct ScrapeArguments {
    /// Longest time for a reading, in seconds; 10 by default. A scraper that gives less gets its page
    /// in time.
    #[arg(long = "scrape.timeout", value_name = "SECONDS")]
    timeout: Option<String>,
    /// Read targets in the background, once in this time in seconds, and not when the page is asked
    /// for. Environment: SCRAPE_INTERVAL.
    #[arg(long = "scrape.interval", value_name = "SECONDS")]
    interval: Option<String>,
    /// Largest page in bytes, on the wire and unpacked; 16777216 by default, and 67108864 for Limitador.
    #[arg(long = "scrape.body-limit", value_name = "BYTES")]
    body_limit: Option<String>,
    /// Skip and count lines that are not valid, instead of refusing the page.
    #[arg(long = "scrape.lenient")]
    lenient: bool,
    /// Follow redirects within the same scheme, host and port.
    #[arg(long = "scrape.follow-redirects")]
    follow_redirects: bool,
    /// File with a bearer token, read again for each request.
    #[arg(
        long = "scrape.bearer-token-file",
        value_name = "FILE",
        conflicts_with = "username"
    )]
    bearer_token_file: Option<PathBuf>,
    /// User name for basic authentication.
    #[arg(
        long = "scrape.username",
        value_name = "NAME",
        requires = "password_file"
    )]
    username: Option<String>,
    /// File with the password for basic authentication.
    #[arg(
        long = "scrape.password-file",
        value_name = "FILE",
        requires = "username"
    )]
    password_file: Option<PathBuf>,
    /// PEM file with the authorities to trust instead of the machine's.
    #[arg(long = "scrape.ca-file", value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// PEM file with our certificate.
    #[arg(long = "scrape.cert-file", value_name = "FILE", requires = "key_file")]
    cert_file: Option<PathBuf>,
    /// PEM file with the key of our certificate.
    #[arg(long = "scrape.key-file", value_name = "FILE", requires = "cert_file")]
    key_file: Option<PathBuf>,
    /// Name that the target's certificate must have, where it is not the endpoint's host.
    #[arg(long = "scrape.server-name", value_name = "NAME")]
    server_name: Option<String>,
    /// Take any certificate. What is read may then come from anyone in between.
    #[arg(long = "scrape.insecure-skip-verify")]
    insecure_skip_verify: bool,
    /// Keep only families of these names; a name may end in `*`. May be repeated.
    #[arg(long = "metrics.allow", value_name = "NAME", value_delimiter = ',')]
    allow: Vec<String>,
    /// Leave out families of these names; a name may end in `*`. May be repeated.
    #[arg(long = "metrics.deny", value_name = "NAME", value_delimiter = ',')]
    deny: Vec<String>,
    /// Most lines that one target may have on the page; 100000 by default.
    #[arg(long = "metrics.series-limit", value_name = "N")]
    series_limit: Option<String>,
    /// A label for every series of every target, for instance `node=a1`. May be repeated. Environment:
    /// WORKER_ID and GPU_ID are labels of these names, MODEL_NAME is one where the engine is silent.
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = pair)]
    labels: Vec<(String, String)>,
}

/// In which names the page is written.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Names")]
struct SpeechArguments {
    /// Dialects to speak, several at once if need be; llm by default. `tokenpath metrics --dialect
    /// NAME` shows one.
    #[arg(long = "dialect", value_name = "NAME", value_delimiter = ',')]
    dialects: Vec<String>,
    /// Combine series, by the rule of each family: the engines of a server as one, the replicas of a
    /// model as one, or all models as one. May be repeated.
    #[arg(long = "rollup", value_name = "OVER", value_delimiter = ',')]
    rollups: Vec<Over>,
}

/// What a roll-up combines, each with all that is below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Over {
    /// Data-parallel engines of one server.
    Engine,
    /// Servers of one model.
    Replica,
    /// Models.
    Model,
}

impl Over {
    /// The labels that go: what the source says of itself, and what operators say of a single one.
    const fn labels(self) -> &'static [&'static str] {
        match self {
            Self::Engine => &["engine"],
            Self::Replica => &["engine", "target", "worker_id", "gpu_id", "pod", "node"],
            Self::Model => &[
                "engine",
                "target",
                "worker_id",
                "gpu_id",
                "pod",
                "node",
                "model_name",
            ],
        }
    }
}

impl Common {
    /// Says to a configuration what was said here.
    pub fn say(&self, overlay: &mut Overlay) {
        self.scrape.say(overlay);
        many(
            overlay,
            "--dialect",
            "dialects.speak",
            &self.speech.dialects,
        );
        if !self.speech.rollups.is_empty() {
            let over = self
                .speech
                .rollups
                .iter()
                .map(|over| ("over", over.labels()));
            overlay.set_records("--rollup", "rollups", over);
        }
        let web = &self.web;
        many(overlay, "--web.listen-address", "web.listen", &web.listen);
        for (flag, key, text) in [
            (
                "--web.telemetry-path",
                "web.telemetry_path",
                &web.telemetry_path,
            ),
            ("--web.max-requests", "web.max_requests", &web.max_requests),
        ] {
            one(overlay, flag, key, text.as_deref());
        }
        self.log.say(overlay);
    }
}

impl ScrapeArguments {
    fn say(&self, overlay: &mut Overlay) {
        for (flag, key, text) in [
            ("--scrape.timeout", "defaults.timeout", &self.timeout),
            ("--scrape.interval", "defaults.interval", &self.interval),
            (
                "--scrape.body-limit",
                "defaults.body_limit",
                &self.body_limit,
            ),
            (
                "--scrape.server-name",
                "defaults.tls.server_name",
                &self.server_name,
            ),
            (
                "--metrics.series-limit",
                "defaults.series_limit",
                &self.series_limit,
            ),
        ] {
            one(overlay, flag, key, text.as_deref());
        }
        for (flag, key, on) in [
            ("--scrape.lenient", "defaults.lenient", self.lenient),
            (
                "--scrape.follow-redirects",
                "defaults.follow_redirects",
                self.follow_redirects,
            ),
            (
                "--scrape.insecure-skip-verify",
                "defaults.tls.insecure_skip_verify",
                self.insecure_skip_verify,
            ),
        ] {
            one(overlay, flag, key, on.then_some("true"));
        }
        for (flag, key, path) in [
            ("--scrape.ca-file", "defaults.tls.ca_file", &self.ca_file),
            (
                "--scrape.cert-file",
                "defaults.tls.cert_file",
                &self.cert_file,
            ),
            ("--scrape.key-file", "defaults.tls.key_file", &self.key_file),
        ] {
            file(overlay, flag, key, path.as_deref());
        }
        // Credentials are given as a whole: never ours beside those of a file.
        let token = ("--scrape.bearer-token-file", &self.bearer_token_file);
        let password = ("--scrape.password-file", &self.password_file);
        for (flag, path) in [token, password] {
            if path.is_some() {
                overlay.clear(flag, "defaults.auth");
            }
        }
        file(
            overlay,
            token.0,
            "defaults.auth.token_file",
            token.1.as_deref(),
        );
        let key = "defaults.auth.username";
        one(overlay, "--scrape.username", key, self.username.as_deref());
        let key = "defaults.auth.password_file";
        file(overlay, password.0, key, password.1.as_deref());
        many(overlay, "--metrics.allow", "defaults.allow", &self.allow);
        many(overlay, "--metrics.deny", "defaults.deny", &self.deny);
        for (name, value) in &self.labels {
            overlay.set_entry("--label", "defaults.labels", name, value);
        }
    }
}

pub(crate) fn one(overlay: &mut Overlay, flag: &str, key: &str, text: Option<&str>) {
    if let Some(text) = text {
        overlay.set(flag, key, text);
    }
}

pub(crate) fn many(overlay: &mut Overlay, flag: &str, key: &str, texts: &[String]) {
    if !texts.is_empty() {
        overlay.set_all(flag, key, texts);
    }
}

pub(crate) fn file(overlay: &mut Overlay, flag: &str, key: &str, path: Option<&Path>) {
    if let Some(path) = path {
        overlay.set(flag, key, from_here(path));
    }
}

/// A path of a flag is meant from where we are, one of a configuration file from where that is.
pub(crate) fn from_here(path: &Path) -> String {
    let absolute = std::path::absolute(path);
    let path = absolute.as_deref().unwrap_or(path);
    path.to_string_lossy().into_owned()
}

/// `NAME=VALUE`.
pub(crate) fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text
        .split_once('=')
        .ok_or("must be a name, `=` and a value; for instance node=a1")?;
    Ok((name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use tokenpath_config::Loader;

    use super::*;

    #[derive(Parser)]
    struct Only {
        #[command(flatten)]
        common: Common,
    }

    fn errors(arguments: &[&str]) -> Vec<String> {
        let only = Only::try_parse_from([&["x"], arguments].concat()).unwrap();
        let mut overlay = Overlay::new();
        only.common.say(&mut overlay);
        let loaded = Loader::new().overlay(overlay).parse("none", "");
        let errors = loaded.err().unwrap_or_default();
        errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn flags_are_judged_all_at_once_and_by_their_names() {
        let wrong = errors(&[
            "--scrape.timeout=0",
            "--scrape.body-limit=many",
            "--label=1a=x",
            "--label=target=x",
            "--dialect=lm",
            "--web.listen-address=nonsense",
            "--web.max-requests=0",
            "--metrics.allow=a-b",
        ]);
        let flags: Vec<&str> = wrong
            .iter()
            .filter_map(|error| error.split(':').next())
            .collect();
        for flag in [
            "--scrape.timeout",
            "--scrape.body-limit",
            "--label",
            "--dialect",
            "--web.listen-address",
            "--web.max-requests",
            "--metrics.allow",
        ] {
            assert!(flags.contains(&flag), "{flag}: {wrong:#?}");
        }
        assert_eq!(wrong.len(), 8, "{wrong:#?}");
        assert!(
            wrong
                .iter()
                .any(|error| error.contains("did you mean `llm`?")),
            "{wrong:#?}"
        );
    }

    #[test]
    fn flags_that_are_right_are_taken() {
        let right = [
            "--scrape.timeout=2.5",
            "--scrape.interval=15s",
            "--scrape.body-limit=65536",
            "--label=node=a=1",
            "--dialect=llm,vllm",
            "--scrape.username=me",
            "--scrape.password-file=secret",
        ];
        assert_eq!(errors(&right), [""; 0]);
    }
}
