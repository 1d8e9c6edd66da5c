//! What can be read, as arguments: a group for each kind of backend, and the sources they make.

use std::path::PathBuf;

use clap::Args;
use tokenpath_core::BoxSource;
use tokenpath_core::dialect::Dialect;
use tokenpath_gateway::{GatewaySource, GatewaySourceOptions, kubernetes_token};
use tokenpath_limitador::{LimitadorSource, LimitadorSourceOptions, TenantHash, TokenNamespaces};
use tokenpath_scrape::{Auth, Credential, Endpoint};
use tokenpath_tgi::{TgiSource, TgiSourceOptions};
use tokenpath_vllm::VllmSource;

use crate::cli::ScrapeArguments;
use crate::run::Failure;

/// vLLM servers.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "vLLM")]
pub struct Vllm {
    /// URL of a vLLM server; `/metrics` is added where it has no path. May be repeated.
    #[arg(
        long = "vllm.endpoint",
        value_name = "URL",
        env = "VLLM_ENDPOINT",
        value_delimiter = ','
    )]
    endpoints: Vec<Endpoint>,
}

/// TGI servers.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "TGI")]
pub struct Tgi {
    /// URL of a TGI server; `/metrics` is added where it has no path. May be repeated.
    #[arg(
        long = "tgi.endpoint",
        value_name = "URL",
        env = "TGI_ENDPOINT",
        value_delimiter = ','
    )]
    endpoints: Vec<Endpoint>,
    /// Name of the model, instead of the one that the server says.
    #[arg(long = "tgi.model-name", value_name = "NAME")]
    model_name: Option<String>,
    /// Take over the histogram of batch sizes, which has 1,024 buckets. Its sum and count are there
    /// in any case.
    #[arg(long = "tgi.batch-size-histogram")]
    batch_size_histogram: bool,
}

/// Limiters.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Limitador")]
pub struct Limitador {
    /// URL of a Limitador; `/metrics` is added where it has no path. May be repeated.
    #[arg(
        long = "limitador.endpoint",
        value_name = "URL",
        env = "LIMITADOR_ENDPOINT",
        value_delimiter = ','
    )]
    endpoints: Vec<Endpoint>,
    /// Label of its page, or variable of its counters, that names the tenant; the first that a series
    /// has counts. May be repeated.
    #[arg(long = "limitador.tenant", value_name = "NAME", value_delimiter = ',')]
    tenants: Vec<String>,
    /// Another label or variable to keep, and what to call it. May be repeated.
    #[arg(long = "limitador.keep", value_name = "NAME=OURS", value_parser = pair, value_delimiter = ',')]
    keep: Vec<(String, String)>,
    /// File with a key of at least 16 bytes: tenants are shown as a keyed hash.
    #[arg(long = "limitador.tenant-key-file", value_name = "FILE")]
    tenant_key_file: Option<PathBuf>,
    /// Most tenants with series of their own; the others become `other` together.
    #[arg(
        long = "limitador.tenant-limit",
        value_name = "N",
        default_value_t = 1000
    )]
    tenant_limit: usize,
    /// Namespace whose limits and counters are asked for, beside those on the page. May be repeated.
    #[arg(long = "limitador.namespace", value_name = "NAMESPACE")]
    namespaces: Vec<String>,
    /// Namespace whose hits are tokens, `*` for all; hits of others are called hits. May be repeated.
    #[arg(long = "limitador.token-namespace", value_name = "NAMESPACE")]
    token_namespaces: Vec<String>,
    /// Read the metrics page only, not the admin API.
    #[arg(long = "limitador.no-admin")]
    no_admin: bool,
}

/// Gateways.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Gateway")]
pub struct Gateway {
    /// URL of an endpoint picker; `/metrics` is added where it has no path. May be repeated.
    #[arg(
        long = "gateway.endpoint",
        value_name = "URL",
        env = "GATEWAY_ENDPOINT",
        value_delimiter = ','
    )]
    endpoints: Vec<Endpoint>,
    /// File with a bearer token for gateways, read again for each request.
    #[arg(
        long = "gateway.bearer-token-file",
        value_name = "FILE",
        conflicts_with = "kubernetes_token"
    )]
    bearer_token_file: Option<PathBuf>,
    /// Show gateways the token of our own pod.
    #[arg(long = "gateway.kubernetes-token")]
    kubernetes_token: bool,
    /// PEM file with the authorities to trust for gateways.
    #[arg(long = "gateway.ca-file", value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// PEM file with the certificate to show to gateways.
    #[arg(
        long = "gateway.cert-file",
        value_name = "FILE",
        requires = "gateway_key_file"
    )]
    cert_file: Option<PathBuf>,
    /// PEM file with the key of that certificate.
    #[arg(
        id = "gateway_key_file",
        long = "gateway.key-file",
        value_name = "FILE",
        requires = "cert_file"
    )]
    key_file: Option<PathBuf>,
    /// Name that a gateway's certificate must have, where it is not the endpoint's host.
    #[arg(long = "gateway.server-name", value_name = "NAME")]
    server_name: Option<String>,
    /// Most fairness ids with series of their own; the others become `other` together.
    #[arg(
        long = "gateway.fairness-limit",
        value_name = "N",
        default_value_t = 100
    )]
    fairness_limit: usize,
}

/// Where an engine is found unless told.
fn or_default(endpoints: &[Endpoint], default: &str) -> Vec<Endpoint> {
    if endpoints.is_empty() {
        default.parse().into_iter().collect()
    } else {
        endpoints.to_vec()
    }
}

impl Vllm {
    /// With the usual server where none was named.
    #[must_use]
    pub fn or_default(mut self) -> Self {
        self.endpoints = or_default(&self.endpoints, "http://localhost:8000");
        self
    }

    /// The sources.
    ///
    /// # Errors
    ///
    /// Where the arguments do not fit together or a file cannot be used.
    pub fn sources(&self, scrape: &ScrapeArguments) -> Result<Vec<BoxSource>, Failure> {
        let options = scrape.page_source();
        let source = |endpoint: &Endpoint| VllmSource::new(endpoint.clone(), options.clone());
        boxed(&self.endpoints, source)
    }
}

impl Tgi {
    /// With the usual server where none was named.
    #[must_use]
    pub fn or_default(mut self) -> Self {
        self.endpoints = or_default(&self.endpoints, "http://localhost:8080");
        self
    }

    /// The sources.
    ///
    /// # Errors
    ///
    /// As [`Vllm::sources`].
    pub fn sources(&self, scrape: &ScrapeArguments) -> Result<Vec<BoxSource>, Failure> {
        let page = scrape.page_source();
        let mut options = TgiSourceOptions {
            client: page.client,
            timeout: page.timeout,
            ..TgiSourceOptions::default()
        };
        options.tgi.translate = page.translate;
        options.tgi.model_name.clone_from(&self.model_name);
        options.tgi.catalogue.batch_size_histogram = self.batch_size_histogram;
        boxed(&self.endpoints, |endpoint| {
            TgiSource::new(endpoint.clone(), options.clone())
        })
    }
}

impl Limitador {
    /// With the usual limiter where none was named.
    #[must_use]
    pub fn or_default(mut self) -> Self {
        self.endpoints = or_default(&self.endpoints, "http://localhost:8080");
        self
    }

    /// The sources.
    ///
    /// # Errors
    ///
    /// As [`Vllm::sources`].
    pub fn sources(&self, scrape: &ScrapeArguments) -> Result<Vec<BoxSource>, Failure> {
        if self.endpoints.is_empty() {
            return Ok(Vec::new());
        }
        let page = scrape.page_source();
        let mut options = LimitadorSourceOptions::default();
        let body_limit = options.client.body_limit.max(page.client.body_limit);
        options.client = page.client;
        options.client.body_limit = body_limit;
        options.timeout = page.timeout;
        options.limitador.translate.mode = page.translate.mode;
        let tenants = &mut options.limitador.tenants;
        tenants.names.clone_from(&self.tenants);
        tenants.keep.clone_from(&self.keep);
        tenants.limit = self.tenant_limit;
        tenants.hash = self
            .tenant_key_file
            .as_deref()
            .map(tenant_hash)
            .transpose()?;
        options.limitador.tokens = if self
            .token_namespaces
            .iter()
            .any(|namespace| namespace == "*")
        {
            TokenNamespaces::All
        } else if self.token_namespaces.is_empty() {
            TokenNamespaces::None
        } else {
            TokenNamespaces::Only(self.token_namespaces.iter().cloned().collect())
        };
        options.admin.enabled = !self.no_admin;
        options.admin.namespaces.clone_from(&self.namespaces);
        boxed(&self.endpoints, |endpoint| {
            LimitadorSource::new(endpoint.clone(), options.clone())
        })
    }
}

fn tenant_hash(file: &std::path::Path) -> Result<TenantHash, Failure> {
    let at = |what: &dyn std::fmt::Display| {
        Failure::usage(format!(
            "--limitador.tenant-key-file {}: {what}",
            file.display()
        ))
    };
    let key = std::fs::read(file).map_err(|error| at(&error))?;
    TenantHash::new(key.trim_ascii()).map_err(|error| at(&error))
}

impl Gateway {
    /// With the usual endpoint picker where none was named.
    #[must_use]
    pub fn or_default(mut self) -> Self {
        self.endpoints = or_default(&self.endpoints, "http://localhost:9090");
        self
    }

    /// The sources.
    ///
    /// # Errors
    ///
    /// As [`Vllm::sources`].
    pub fn sources(&self, scrape: &ScrapeArguments) -> Result<Vec<BoxSource>, Failure> {
        let page = scrape.page_source();
        let mut options = GatewaySourceOptions {
            client: page.client,
            timeout: page.timeout,
            ..GatewaySourceOptions::default()
        };
        options.gateway.translate = page.translate;
        options.gateway.fairness_limit = self.fairness_limit;
        let client = &mut options.client;
        if self.kubernetes_token {
            client.auth = kubernetes_token();
        } else if let Some(file) = &self.bearer_token_file {
            client.auth = Auth::Bearer(Credential::File(file.clone()));
        }
        let or = |ours: &Option<PathBuf>, shared: &mut Option<PathBuf>| {
            if ours.is_some() {
                shared.clone_from(ours);
            }
        };
        or(&self.ca_file, &mut client.tls.ca_file);
        or(&self.cert_file, &mut client.tls.client_cert_file);
        or(&self.key_file, &mut client.tls.client_key_file);
        if self.server_name.is_some() {
            client.tls.server_name.clone_from(&self.server_name);
        }
        boxed(&self.endpoints, |endpoint| {
            GatewaySource::new(endpoint.clone(), options.clone())
        })
    }
}

fn boxed<S: tokenpath_core::Source, E: std::error::Error + Send + Sync + 'static>(
    endpoints: &[Endpoint],
    source: impl Fn(&Endpoint) -> Result<S, E>,
) -> Result<Vec<BoxSource>, Failure> {
    let boxed = |endpoint| source(endpoint).map(BoxSource::new).map_err(Failure::usage);
    endpoints.iter().map(boxed).collect()
}

/// `NAME=OURS`.
fn pair(text: &str) -> Result<(String, String), String> {
    let (name, ours) = text
        .split_once('=')
        .ok_or("give a name and what to call it; for instance group=group")?;
    if !tokenpath_core::is_label_name(ours) {
        return Err(format!("`{ours}` cannot be the name of a label"));
    }
    Ok((name.to_owned(), ours.to_owned()))
}

/// A dialect by its name.
pub(crate) fn dialect(name: &str) -> Result<Dialect, String> {
    Dialect::builtin(name).ok_or_else(|| {
        let names: Vec<String> = Dialect::builtins()
            .map(|dialect| dialect.name().to_owned())
            .collect();
        format!("no such dialect; there are: {}", names.join(", "))
    })
}
