//! How one target is read: the defaults of the file, and what the source says itself.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::path::PathBuf;
use std::time::Duration;

use tokenpath_core::LabelSet;
use tokenpath_core::exposition::Mode;
use tokenpath_scrape::runner::{DEFAULT_SERIES_LIMIT, Selection, SourceOptions};
use tokenpath_scrape::{Auth, ClientOptions, Credential, PageSourceOptions, Secret, TlsOptions};

use crate::config::Tenants;
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
    /// Largest page, where it is said; else the backend's own default.
    pub body_limit: Option<usize>,
    /// What holds for TGI servers alone.
    pub tgi: Tgi,
    /// What holds for Limitador alone.
    pub limitador: Limitador,
    /// What holds for endpoint pickers alone.
    pub gateway: Gateway,
    client: ClientOptions,
    lenient: bool,
    fingerprint: u64,
}

/// What holds for TGI servers alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tgi {
    /// Name of the model, instead of the one that the server says.
    pub model_name: Option<String>,
    /// Whether the histogram of batch sizes is taken over.
    pub batch_size_histogram: bool,
}

/// What holds for Limitador alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limitador {
    /// Labels or variables that name the tenant.
    pub tenant: Vec<String>,
    /// Other labels or variables to keep, and what they are called.
    pub keep: Vec<(String, String)>,
    /// File with the key under which tenants are hashed.
    pub tenant_key_file: Option<PathBuf>,
    /// Namespaces that are asked for, beside those on the page.
    pub namespaces: Vec<String>,
    /// Namespaces whose hits are tokens; `*` is all.
    pub token_namespaces: Vec<String>,
    /// Whether the admin API is not read.
    pub no_admin: bool,
    /// How many tenants there may be.
    pub tenants: Tenants,
}

/// What holds for endpoint pickers alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Gateway {
    /// Most fairness ids with series of their own; the backend's default where it is not said.
    pub fairness_limit: Option<usize>,
}

/// Kinds that serve no model: what the operator knows of a model is not said of them.
const NO_ENGINES: [&str; 3] = ["limitador", "gateway", "gpu"];

impl Default for Reading {
    fn default() -> Self {
        Self::of(&raw::Reading::default(), None, &Tenants::default())
    }
}

impl Reading {
    /// `kind` is that of the target, where it is said: what holds for others makes no difference then.
    pub(crate) fn of(raw: &raw::Reading, kind: Option<&str>, tenants: &Tenants) -> Self {
        let may_be = |other: &str| kind.is_none_or(|kind| kind == other);
        let raw = &raw::Reading {
            tgi: raw.tgi.clone().filter(|_| may_be("tgi")),
            limitador: raw.limitador.clone().filter(|_| may_be("limitador")),
            gateway: raw.gateway.clone().filter(|_| may_be("gateway")),
            ..raw.clone()
        };
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
        may_be("limitador").then_some(tenants).hash(&mut hasher);
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
            body_limit: raw.body_limit,
            tgi: tgi(raw.tgi.as_ref()),
            limitador: limitador(raw.limitador.as_ref(), tenants),
            gateway: Gateway {
                fairness_limit: raw.gateway.as_ref().and_then(|raw| raw.fairness_limit),
            },
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
        options.translate.pass_unknown = self.pass_unknown;
        options
    }

    /// What the runner does with a source of this kind that has these further labels. Fallback labels
    /// are for engines: a limiter or a gateway is none.
    #[must_use]
    pub fn source(&self, kind: &str, more: &LabelSet) -> SourceOptions {
        let labels = LabelSet::new(self.labels.iter().chain(more.iter()));
        let mut options = SourceOptions::new()
            .labels(labels)
            .selection(self.selection.clone())
            .series_limit(self.series_limit);
        if !NO_ENGINES.contains(&kind) {
            options = options.fallback_labels(self.fallback_labels.clone());
        }
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
            tgi: both(&self.tgi, &defaults.tgi, |own, below| raw::Tgi {
                model_name: own.model_name.clone().or_else(|| below.model_name.clone()),
                batch_size_histogram: own.batch_size_histogram.or(below.batch_size_histogram),
            }),
            limitador: both(&self.limitador, &defaults.limitador, |own, below| {
                let list = |own: &Option<Vec<String>>, below: &Option<Vec<String>>| {
                    own.clone().or_else(|| below.clone())
                };
                raw::Limitador {
                    tenant: list(&own.tenant, &below.tenant),
                    keep: joined(&own.keep, &below.keep),
                    tenant_key_file: own
                        .tenant_key_file
                        .clone()
                        .or_else(|| below.tenant_key_file.clone()),
                    namespaces: list(&own.namespaces, &below.namespaces),
                    token_namespaces: list(&own.token_namespaces, &below.token_namespaces),
                    admin: own.admin.or(below.admin),
                }
            }),
            gateway: both(&self.gateway, &defaults.gateway, |own, below| {
                raw::Gateway {
                    fairness_limit: own.fairness_limit.or(below.fairness_limit),
                }
            }),
        }
    }
}

/// Both joined, where there are both.
fn both<T: Clone>(own: &Option<T>, below: &Option<T>, join: impl Fn(&T, &T) -> T) -> Option<T> {
    match (own, below) {
        (Some(own), Some(below)) => Some(join(own, below)),
        (one, other) => one.clone().or_else(|| other.clone()),
    }
}

fn tgi(raw: Option<&raw::Tgi>) -> Tgi {
    raw.map_or_else(Tgi::default, |raw| Tgi {
        model_name: raw.model_name.clone(),
        batch_size_histogram: raw.batch_size_histogram.unwrap_or(false),
    })
}

fn limitador(raw: Option<&raw::Limitador>, tenants: &Tenants) -> Limitador {
    let raw = raw.cloned().unwrap_or_default();
    Limitador {
        tenant: raw.tenant.unwrap_or_default(),
        keep: raw.keep.into_iter().collect(),
        tenant_key_file: raw.tenant_key_file,
        namespaces: raw.namespaces.unwrap_or_default(),
        token_namespaces: raw.token_namespaces.unwrap_or_default(),
        no_admin: raw.admin == Some(false),
        tenants: tenants.clone(),
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
