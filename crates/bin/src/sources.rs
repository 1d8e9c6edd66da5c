//! How a source is made of a target, one function a kind. Flags and files both come here.

use std::error::Error;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use tokenpath_config::{Config, Engine, Equip, Gpu, Make, Reading};
use tokenpath_core::{BoxSource, in_full};
use tokenpath_gateway::{GatewaySource, GatewaySourceOptions};
use tokenpath_gpu::{GpuSource, StartError, host_name};
use tokenpath_limitador::{LimitadorSource, LimitadorSourceOptions, TenantHash, TokenNamespaces};
use tokenpath_scrape::runner::{Exporter, SourceKey, SourceOptions};
use tokenpath_scrape::server::Probes;
use tokenpath_scrape::{Endpoint, PageSource};
use tokenpath_tgi::{TgiSource, TgiSourceOptions};
use tokenpath_vllm::VllmSource;

use crate::backends;

/// Why there is no source of a target.
pub type Unmade = Box<dyn Error + Send + Sync>;

/// A vLLM server.
pub(crate) fn vllm(endpoint: Endpoint, reading: &Reading) -> Result<BoxSource, Unmade> {
    let source = VllmSource::new(endpoint, reading.page_source())?;
    Ok(BoxSource::new(source))
}

/// A TGI server.
pub(crate) fn tgi(endpoint: Endpoint, reading: &Reading) -> Result<BoxSource, Unmade> {
    let page = reading.page_source();
    let mut options = TgiSourceOptions {
        client: page.client,
        timeout: page.timeout,
        ..TgiSourceOptions::default()
    };
    options.tgi.translate = page.translate;
    options.tgi.model_name.clone_from(&reading.tgi.model_name);
    options.tgi.catalogue.batch_size_histogram = reading.tgi.batch_size_histogram;
    Ok(BoxSource::new(TgiSource::new(endpoint, options)?))
}

/// A limiter. Its pages and lists are larger than an engine's page.
pub(crate) fn limitador(endpoint: Endpoint, reading: &Reading) -> Result<BoxSource, Unmade> {
    let page = reading.page_source();
    let mut options = LimitadorSourceOptions::default();
    let body_limit = reading.body_limit.unwrap_or(options.client.body_limit);
    options.client = page.client;
    options.client.body_limit = body_limit;
    options.limitador.translate.limits.page_bytes = body_limit;
    options.limitador.translate.mode = page.translate.mode;
    options.limitador.translate.pass_unknown = page.translate.pass_unknown;
    options.timeout = page.timeout;
    let said = &reading.limitador;
    let tenants = &mut options.limitador.tenants;
    tenants.names.clone_from(&said.tenant);
    tenants.keep.clone_from(&said.keep);
    tenants.hash = said
        .tenant_key_file
        .as_deref()
        .map(tenant_hash)
        .transpose()?;
    tenants.limit = said.tenants.limit;
    tenants.always.clone_from(&said.tenants.keep);
    tenants.other.clone_from(&said.tenants.other);
    options.limitador.tokens = match said.token_namespaces.as_slice() {
        [] => TokenNamespaces::None,
        all if all.iter().any(|namespace| namespace == "*") => TokenNamespaces::All,
        some => TokenNamespaces::Only(some.iter().cloned().collect()),
    };
    options.admin.enabled = !said.no_admin;
    options.admin.namespaces.clone_from(&said.namespaces);
    Ok(BoxSource::new(LimitadorSource::new(endpoint, options)?))
}

fn tenant_hash(file: &Path) -> Result<TenantHash, String> {
    let at = |what: &dyn std::fmt::Display| format!("{}: {what}", file.display());
    let key = std::fs::read(file).map_err(|error| at(&error))?;
    TenantHash::new(key.trim_ascii()).map_err(|error| at(&error))
}

/// An endpoint picker.
pub(crate) fn gateway(endpoint: Endpoint, reading: &Reading) -> Result<BoxSource, Unmade> {
    let page = reading.page_source();
    let mut options = GatewaySourceOptions {
        client: page.client,
        timeout: page.timeout,
        ..GatewaySourceOptions::default()
    };
    options.gateway.translate = page.translate;
    if let Some(limit) = reading.gateway.fairness_limit {
        options.gateway.fairness_limit = limit;
    }
    Ok(BoxSource::new(GatewaySource::new(endpoint, options)?))
}

/// The GPUs of this machine. That there is no driver is no error: the source is down until there is
/// one.
fn gpus(said: &Gpu) -> Result<BoxSource, StartError> {
    let mut options = tokenpath_gpu::Options::default();
    options.library.clone_from(&said.library);
    options.period = said.period;
    options.processes = said.processes;
    options.mig = said.mig;
    Ok(BoxSource::new(GpuSource::spawn(&host_name(), options)?))
}

/// What the runner does with the GPUs: they have a rhythm of their own, and serve no model.
pub(crate) fn gpu_options(config: &Config, labels: &tokenpath_core::LabelSet) -> SourceOptions {
    let mut options = config.defaults.source("gpu", labels);
    options.interval = None;
    options
}

/// The GPUs of an exporter, as the configuration last said.
struct Gpus {
    exporter: Arc<Exporter>,
    read: Mutex<Option<(Gpu, Arc<Reading>, SourceKey)>>,
}

impl Gpus {
    fn follow(&self, config: &Config) -> Result<(), StartError> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let same = match (&*read, &config.gpu) {
            (None, None) => true,
            (Some((gpu, reading, _)), Some(wanted)) => {
                gpu == wanted && reading.fingerprint() == config.defaults.fingerprint()
            }
            _ => false,
        };
        if same {
            return Ok(());
        }
        // First out, then in: two samplers of one driver would disturb each other.
        if let Some((.., key)) = read.take() {
            self.exporter.change(&[key], []);
        }
        if let Some(gpu) = &config.gpu {
            let added = [(gpus(gpu)?, gpu_options(config, &gpu.labels))];
            for key in self.exporter.change(&[], added) {
                *read = Some((gpu.clone(), Arc::clone(&config.defaults), key));
            }
        }
        Ok(())
    }
}

/// What a program that reads one kind, or all, makes of a configuration, again and again as it is
/// reloaded.
#[must_use]
pub fn equip(
    exporter: &Arc<Exporter>,
    probes: &Arc<Probes>,
    kind: Option<&'static str>,
) -> Arc<Equip> {
    let gpus = Gpus {
        exporter: Arc::clone(exporter),
        read: Mutex::new(None),
    };
    let probes = Arc::clone(probes);
    Arc::new(move |config: &Config| {
        if let Err(error) = gpus.follow(config) {
            tracing::error!(error = in_full(&error), "the GPUs cannot be read");
        }
        let make = make(config);
        probes.set(config.probes(&make));
        (kinds(config, kind), make)
    })
}

/// The engines by whose catalogues a page tells its kind.
fn kinds(config: &Config, kind: Option<&str>) -> Vec<Engine> {
    let built_in = backends::of(kind).filter_map(|backend| backend.page);
    let own = config.catalogues.iter().cloned();
    built_in
        .map(|page| (page.compiled)().into())
        .chain(own)
        .collect()
}

/// How a source is made of a target: by the file's own engine, or by the backend of that kind.
fn make(config: &Config) -> Arc<Make> {
    let engines = config.catalogues.clone();
    Arc::new(move |target, kind| {
        let endpoint = target.endpoint.clone();
        let own = engines.iter().find(|engine| engine.kind() == kind);
        if let Some(engine) = own {
            let mut options = target.reading.page_source();
            options.empty_is_fine = engine.empty_is_fine;
            let catalogue = Arc::clone(&engine.catalogue);
            return Ok(BoxSource::new(PageSource::new(
                endpoint, catalogue, options,
            )?));
        }
        let backend = backends::ALL.iter().find(|backend| backend.kind == kind);
        let make = backend.and_then(|backend| backend.source);
        make.ok_or_else(|| format!("there is no backend of the kind `{kind}`"))?(
            endpoint,
            &target.reading,
        )
    })
}
