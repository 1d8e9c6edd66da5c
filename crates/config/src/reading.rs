//! How one target is read: the defaults of the file, and what the source says itself.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::time::Duration;

use tokenpath_core::LabelSet;
use tokenpath_core::exposition::Mode;
use tokenpath_scrape::runner::{DEFAULT_SERIES_LIMIT, Selection, SourceOptions};
use tokenpath_scrape::{Auth, ClientOptions, Credential, PageSourceOptions, Secret, TlsOptions};

use crate::raw;

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// Preferred only where a source says so: some Python clients rename colons in OpenMetrics.
const ACCEPT_OPENMETRICS: &str =
    "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5";

/// How a target is read, with all defaults filled in.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Reading {
    /// The operator's labels.
    pub labels: LabelSet,
    /// Labels for a target whose page has none of that name.
    pub fallback_labels: LabelSet,
    /// Read in the background at this interval; on scrape where there is none.
    pub interval: Option<Duration>,
    /// Longest time for a reading.
    pub timeout: Duration,
    /// Whether families that no catalogue knows are passed through.
    pub pass_unknown: bool,
    /// Which families are kept.
    pub selection: Selection,
    /// Most lines on the page.
    pub series_limit: usize,
    client: ClientOptions,
    lenient: bool,
    fingerprint: u64,
}

impl Default for Reading {
    fn default() -> Self {
        Self::of(&raw::Reading::default())
    }
}

impl Reading {
    pub(crate) fn of(raw: &raw::Reading) -> Self {
        let mut client = client(raw.auth.as_ref(), raw.tls.as_ref());
        client.headers = raw
            .headers
            .iter()
            .map(|(name, value)| (name.clone(), Secret::new(value.clone())))
            .collect();
        if raw.accept.as_deref() == Some("openmetrics") {
            client.accept = ACCEPT_OPENMETRICS.into();
        }
        client.follow_redirects = raw.follow_redirects.unwrap_or(false);
        if let Some(limit) = raw.body_limit {
            client.body_limit = limit;
        }
        let mut hasher = DefaultHasher::new();
        raw.hash(&mut hasher);
        let none = Vec::new();
        let timeout = raw.timeout.unwrap_or(DEFAULT_TIMEOUT);
        Self {
            labels: label_set(&raw.labels),
            fallback_labels: label_set(&raw.fallback_labels),
            interval: raw.interval,
            timeout: raw
                .interval
                .map_or(timeout, |interval| timeout.min(interval)),
            pass_unknown: raw.pass_unknown.unwrap_or(false),
            selection: Selection::new(
                raw.allow.as_ref().unwrap_or(&none),
                raw.deny.as_ref().unwrap_or(&none),
            ),
            series_limit: raw.series_limit.unwrap_or(DEFAULT_SERIES_LIMIT),
            client,
            lenient: raw.lenient.unwrap_or(false),
            fingerprint: hasher.finish(),
        }
    }

    /// Equal for readings that say the same; a source whose reading has another one is made anew.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// The options of a source that is a page.
    #[must_use]
    pub fn page_source(&self) -> PageSourceOptions {
        let mut options = PageSourceOptions::default();
        options.client = self.client.clone();
        options.timeout = self.timeout;
        if self.lenient {
            options.translate.mode = Mode::Lenient;
        }
        options.translate.limits.page_bytes = self.client.body_limit;
        options
    }

    /// What the runner does with a source that has these further labels.
    #[must_use]
    pub fn source(&self, more: &LabelSet) -> SourceOptions {
        let labels = LabelSet::new(self.labels.iter().chain(more.iter()));
        let mut options = SourceOptions::new()
            .labels(labels)
            .fallback_labels(self.fallback_labels.clone())
            .selection(self.selection.clone())
            .series_limit(self.series_limit);
        if let Some(interval) = self.interval {
            options = options.interval(interval).timeout(self.timeout);
        }
        options
    }
}

impl raw::Reading {
    /// What is said here, over `defaults` where nothing is. Maps are joined key by key.
    pub(crate) fn over(&self, defaults: &Self) -> Self {
        let joined = |own: &raw::Labels, below: &raw::Labels| {
            let mut all = below.clone();
            all.extend(own.clone());
            all
        };
        Self {
            labels: joined(&self.labels, &defaults.labels),
            fallback_labels: joined(&self.fallback_labels, &defaults.fallback_labels),
            headers: joined(&self.headers, &defaults.headers),
            interval: self.interval.or(defaults.interval),
            timeout: self.timeout.or(defaults.timeout),
            tls: self.tls.clone().or_else(|| defaults.tls.clone()),
            auth: self.auth.clone().or_else(|| defaults.auth.clone()),
            lenient: self.lenient.or(defaults.lenient),
            accept: self.accept.clone().or_else(|| defaults.accept.clone()),
            follow_redirects: self.follow_redirects.or(defaults.follow_redirects),
            allow: self.allow.clone().or_else(|| defaults.allow.clone()),
            deny: self.deny.clone().or_else(|| defaults.deny.clone()),
            pass_unknown: self.pass_unknown.or(defaults.pass_unknown),
            series_limit: self.series_limit.or(defaults.series_limit),
            body_limit: self.body_limit.or(defaults.body_limit),
        }
    }
}

/// Client options with credentials and TLS alone.
pub(crate) fn client(auth: Option<&raw::Auth>, tls: Option<&raw::Tls>) -> ClientOptions {
    let credential = |file: &Option<std::path::PathBuf>, text: &Option<String>| match (file, text) {
        (Some(file), _) => Some(Credential::File(file.clone())),
        (None, Some(text)) => Some(Credential::Inline(Secret::new(text.clone()))),
        (None, None) => None,
    };
    let auth = auth.map_or(Auth::None, |auth| {
        match (&auth.username, credential(&auth.token_file, &auth.token)) {
            (Some(name), _) => Auth::Basic {
                username: Secret::new(name.clone()),
                password: credential(&auth.password_file, &auth.password)
                    .unwrap_or_else(|| Credential::Inline(Secret::new(""))),
            },
            (None, Some(token)) => Auth::Bearer(token),
            (None, None) => Auth::None,
        }
    });
    let tls = tls.map_or_else(TlsOptions::default, |tls| TlsOptions {
        ca_file: tls.ca_file.clone(),
        client_cert_file: tls.cert_file.clone(),
        client_key_file: tls.key_file.clone(),
        server_name: tls.server_name.clone(),
        insecure_skip_verify: tls.insecure_skip_verify,
    });
    ClientOptions {
        auth,
        tls,
        ..ClientOptions::default()
    }
}

pub(crate) fn label_set(labels: &raw::Labels) -> LabelSet {
    LabelSet::new(labels.iter())
}
