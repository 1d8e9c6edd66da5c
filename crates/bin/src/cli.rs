//! Arguments that several commands share.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokenpath_core::dialect::{Dialect, Spoken};
use tokenpath_core::{BoxSource, Desc, LabelSet, Source as _};
use tokenpath_scrape::runner::{DEFAULT_SERIES_LIMIT, Selection, SourceOptions, own_families};
use tokenpath_scrape::server::{ListenAddress, ServiceOptions};
use tokenpath_scrape::{Auth, ClientOptions, Credential, PageSourceOptions, Secret, TlsOptions};

use crate::run::Failure;
use crate::sources::dialect;

/// Where and how the page is served.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Web")]
pub struct WebArguments {
    /// Address to listen on, `HOST:PORT` or `:PORT` for all interfaces. May be repeated.
    #[arg(long = "web.listen-address", value_name = "ADDRESS")]
    pub listen: Vec<ListenAddress>,
    /// Path of the metrics page.
    #[arg(
        long = "web.telemetry-path",
        value_name = "PATH",
        default_value = "/metrics"
    )]
    pub telemetry_path: String,
    /// Scrapes that are answered at once; more are told to come back.
    #[arg(long = "web.max-requests", value_name = "N", default_value_t = 40)]
    pub max_requests: usize,
}

impl WebArguments {
    /// The service's options.
    #[must_use]
    pub fn service(&self, timeout: Duration) -> ServiceOptions {
        ServiceOptions {
            telemetry_path: self.telemetry_path.clone(),
            scrapes_max: self.max_requests,
            timeout_max: timeout,
            ..ServiceOptions::default()
        }
    }
}

/// How targets are read.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Reading")]
pub struct ScrapeArguments {
    /// Longest time for a reading, in seconds. A scraper that gives less gets its page in time.
    #[arg(long = "scrape.timeout", value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    pub timeout: Duration,
    /// Largest page in bytes, on the wire and unpacked.
    #[arg(long = "scrape.body-limit", value_name = "BYTES", default_value_t = 16 << 20)]
    pub body_limit: usize,
    /// Skip and count lines that are not valid, instead of refusing the page.
    #[arg(long = "scrape.lenient")]
    pub lenient: bool,
    /// Follow redirects within the same scheme, host and port.
    #[arg(long = "scrape.follow-redirects")]
    pub follow_redirects: bool,
    /// File with a bearer token, read again for each request.
    #[arg(
        long = "scrape.bearer-token-file",
        value_name = "FILE",
        conflicts_with = "username"
    )]
    pub bearer_token_file: Option<PathBuf>,
    /// User name for basic authentication.
    #[arg(
        long = "scrape.username",
        value_name = "NAME",
        requires = "password_file"
    )]
    pub username: Option<String>,
    /// File with the password for basic authentication.
    #[arg(
        long = "scrape.password-file",
        value_name = "FILE",
        requires = "username"
    )]
    pub password_file: Option<PathBuf>,
    /// PEM file with the authorities to trust instead of the machine's.
    #[arg(long = "scrape.ca-file", value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// PEM file with our certificate.
    #[arg(long = "scrape.cert-file", value_name = "FILE", requires = "key_file")]
    pub cert_file: Option<PathBuf>,
    /// PEM file with the key of our certificate.
    #[arg(long = "scrape.key-file", value_name = "FILE", requires = "cert_file")]
    pub key_file: Option<PathBuf>,
    /// Name that the target's certificate must have, where it is not the endpoint's host.
    #[arg(long = "scrape.server-name", value_name = "NAME")]
    pub server_name: Option<String>,
    /// Take any certificate. What is read may then come from anyone in between.
    #[arg(long = "scrape.insecure-skip-verify")]
    pub insecure_skip_verify: bool,
    /// Keep only families of these names; a name may end in `*`. May be repeated.
    #[arg(long = "metrics.allow", value_name = "NAME", value_delimiter = ',')]
    pub allow: Vec<String>,
    /// Leave out families of these names; a name may end in `*`. May be repeated.
    #[arg(long = "metrics.deny", value_name = "NAME", value_delimiter = ',')]
    pub deny: Vec<String>,
    /// Most lines that one target may have on the page.
    #[arg(long = "metrics.series-limit", value_name = "N", default_value_t = DEFAULT_SERIES_LIMIT)]
    pub series_limit: usize,
    /// A label for every series of every target, for instance `node=a1`. May be repeated.
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = label)]
    pub labels: Vec<(String, String)>,
}

impl ScrapeArguments {
    /// The options of a source that is a page.
    #[must_use]
    pub fn page_source(&self) -> PageSourceOptions {
        let mut options = PageSourceOptions::default();
        let auth = match (&self.bearer_token_file, &self.username, &self.password_file) {
            (Some(file), _, _) => Auth::Bearer(Credential::File(file.clone())),
            (None, Some(name), Some(file)) => Auth::Basic {
                username: Secret::new(name.clone()),
                password: Credential::File(file.clone()),
            },
            _ => Auth::None,
        };
        options.client = ClientOptions {
            auth,
            tls: TlsOptions {
                ca_file: self.ca_file.clone(),
                client_cert_file: self.cert_file.clone(),
                client_key_file: self.key_file.clone(),
                server_name: self.server_name.clone(),
                insecure_skip_verify: self.insecure_skip_verify,
            },
            follow_redirects: self.follow_redirects,
            body_limit: self.body_limit,
            ..ClientOptions::default()
        };
        options.timeout = self.timeout;
        if self.lenient {
            options.translate.mode = tokenpath_core::exposition::Mode::Lenient;
        }
        options.translate.limits.page_bytes = self.body_limit;
        options
    }

    /// What the runner does with each source.
    #[must_use]
    pub fn source(&self) -> SourceOptions {
        SourceOptions::new()
            .labels(LabelSet::new(
                self.labels.iter().map(|(name, value)| (name, value)),
            ))
            .selection(Selection::new(&self.allow, &self.deny))
            .series_limit(self.series_limit)
    }
}

/// In which names the page is written.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Names")]
pub struct SpeechArguments {
    /// Dialects to speak, several at once if need be; `tokenpath metrics --dialect NAME` shows one.
    #[arg(long = "dialect", value_name = "NAME", value_delimiter = ',', value_parser = dialect, default_value = "llm")]
    dialects: Vec<Dialect>,
}

impl SpeechArguments {
    /// The dialects together, over the families that these sources may give.
    ///
    /// # Errors
    ///
    /// Where two rows cannot both be spoken: it names them.
    pub fn spoken<'s>(
        &self,
        sources: impl IntoIterator<Item = &'s BoxSource>,
    ) -> Result<Spoken, Failure> {
        let mut families: Vec<Arc<Desc>> = own_families().to_vec();
        for source in sources {
            families.extend(source.describe().iter().cloned());
        }
        Spoken::new(&self.dialects, &families).map_err(Failure::usage)
    }
}

/// A positive number of seconds, with a fraction if need be.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text
        .strip_suffix('s')
        .unwrap_or(text)
        .parse()
        .map_err(|_| "not a number of seconds; for instance 10 or 2.5".to_owned())?;
    Duration::try_from_secs_f64(seconds)
        .ok()
        .filter(|duration| !duration.is_zero() && seconds <= 3600.0)
        .ok_or_else(|| "must be above 0 and at most 3600 seconds".to_owned())
}

/// `NAME=VALUE`.
fn label(text: &str) -> Result<(String, String), String> {
    let (name, value) = text
        .split_once('=')
        .ok_or("a label is NAME=VALUE; for instance node=a1")?;
    if !tokenpath_core::is_label_name(name) || name.starts_with("__") {
        return Err(format!(
            "`{name}` cannot be the name of a label: letters, digits and underscores, no digit first, not two underscores first"
        ));
    }
    if matches!(name, "le" | "quantile" | "backend" | "target") {
        return Err(format!("`{name}` is set by the exporter itself"));
    }
    Ok((name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_labels_are_judged_where_they_are_given() {
        assert_eq!(seconds("2.5"), Ok(Duration::from_millis(2500)));
        assert_eq!(seconds("15s"), Ok(Duration::from_secs(15)));
        for bad in ["0", "-1", "x", "1e9", "NaN", ""] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
        assert_eq!(label("node=a=1"), Ok(("node".into(), "a=1".into())));
        for bad in ["node", "1a=x", "a-b=x", "__x=y", "le=1", "target=x"] {
            assert!(label(bad).is_err(), "{bad}");
        }
    }
}
