//! What can be read, as arguments: a group for each kind of backend. As with [`cli`](crate::cli), what
//! is said here goes into the keys of a configuration.

use std::path::PathBuf;

use clap::Args;
use tokenpath_config::Overlay;
use tokenpath_gateway::KUBERNETES_TOKEN_FILE;

use crate::cli::{file, from_here, many, one, pair};

/// vLLM servers.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "vLLM")]
pub struct Vllm {
    /// URL of a vLLM server; `/metrics` is added where it has no path. May be repeated. Environment:
    /// VLLM_ENDPOINT.
    #[arg(
        id = "vllm_endpoint",
        long = "vllm.endpoint",
        value_name = "URL",
        value_delimiter = ','
    )]
    endpoints: Vec<String>,
}

/// TGI servers.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "TGI")]
pub struct Tgi {
    /// URL of a TGI server; `/metrics` is added where it has no path. May be repeated. Environment:
    /// TGI_ENDPOINT.
    #[arg(
        id = "tgi_endpoint",
        long = "tgi.endpoint",
        value_name = "URL",
        value_delimiter = ','
    )]
    endpoints: Vec<String>,
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
    /// URL of a Limitador; `/metrics` is added where it has no path. May be repeated. Environment:
    /// LIMITADOR_ENDPOINT.
    #[arg(
        id = "limitador_endpoint",
        long = "limitador.endpoint",
        value_name = "URL",
        value_delimiter = ','
    )]
    endpoints: Vec<String>,
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
    /// Most tenants with series of their own, 1000 by default; the others become `other` together.
    #[arg(long = "limitador.tenant-limit", value_name = "N")]
    tenant_limit: Option<String>,
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
    /// Environment: GATEWAY_ENDPOINT.
    #[arg(
        id = "gateway_endpoint",
        long = "gateway.endpoint",
        value_name = "URL",
        value_delimiter = ','
    )]
    endpoints: Vec<String>,
    /// File with a bearer token for gateways, read again for each request.
    #[arg(
        id = "gateway_bearer_token_file",
        long = "gateway.bearer-token-file",
        value_name = "FILE",
        conflicts_with = "kubernetes_token"
    )]
    bearer_token_file: Option<PathBuf>,
    /// Show gateways the token of our own pod.
    #[arg(long = "gateway.kubernetes-token")]
    kubernetes_token: bool,
    /// PEM file with the authorities to trust for gateways.
    #[arg(id = "gateway_ca_file", long = "gateway.ca-file", value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// PEM file with the certificate to show to gateways.
    #[arg(
        id = "gateway_cert_file",
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
        requires = "gateway_cert_file"
    )]
    key_file: Option<PathBuf>,
    /// Name that a gateway's certificate must have, where it is not the endpoint's host.
    #[arg(
        id = "gateway_server_name",
        long = "gateway.server-name",
        value_name = "NAME"
    )]
    server_name: Option<String>,
    /// Most fairness ids with series of their own, 100 by default; the others become `other` together.
    #[arg(long = "gateway.fairness-limit", value_name = "N")]
    fairness_limit: Option<String>,
}

/// The GPUs of this machine.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "GPU")]
pub struct Gpu {
    /// Path of `libnvidia-ml.so.1`, where the system does not find it.
    #[arg(long = "nvml.library", value_name = "FILE")]
    library: Option<PathBuf>,
    /// Time between two samples, in seconds; 1 by default.
    #[arg(long = "gpu.period", value_name = "SECONDS")]
    period: Option<String>,
    /// Do not list processes.
    #[arg(long = "gpu.no-processes")]
    no_processes: bool,
    /// Most processes of a GPU with series of their own, 32 by default: those with the most memory.
    #[arg(
        long = "gpu.processes-max",
        value_name = "N",
        conflicts_with = "no_processes"
    )]
    processes_max: Option<String>,
    /// Where processes are looked up, /proc by default: the host's, if this is a container.
    #[arg(long = "path.procfs", value_name = "FOLDER")]
    procfs: Option<PathBuf>,
    /// Do not read MIG instances.
    #[arg(long = "gpu.no-mig")]
    no_mig: bool,
    /// Whether to ask cards that tell their PCIe rates in no other way for them, true by default:
    /// that blocks the driver for 40 ms each time.
    #[arg(long = "gpu.pcie-throughput", value_name = "BOOL")]
    pcie_throughput: Option<String>,
    #[command(flatten)]
    bound: GpuBound,
}

/// Where the judgement of what limits a GPU draws its lines.
#[derive(Clone, Debug, Default, Args)]
struct GpuBound {
    /// Idle below this SM activity and DRAM bandwidth; 0.05 by default.
    #[arg(long = "gpu.bound.idle-below", value_name = "RATIO")]
    idle_below: Option<String>,
    /// Bound by memory from this DRAM bandwidth on; 0.6 by default.
    #[arg(long = "gpu.bound.memory-from", value_name = "RATIO")]
    memory_from: Option<String>,
    /// Bound by compute from this activity of the busiest pipe on; 0.5 by default.
    #[arg(long = "gpu.bound.compute-from", value_name = "RATIO")]
    compute_from: Option<String>,
    /// VRAM above which gpu_vram_full_compute_low may hold; 0.9 by default.
    #[arg(long = "gpu.bound.vram-above", value_name = "RATIO")]
    vram_above: Option<String>,
    /// Compute utilization below which it may hold; 0.5 by default.
    #[arg(long = "gpu.bound.utilization-below", value_name = "RATIO")]
    utilization_below: Option<String>,
}

fn endpoints(overlay: &mut Overlay, kind: &str, endpoints: &[String]) {
    if !endpoints.is_empty() {
        overlay.endpoints(&format!("--{kind}.endpoint"), kind, endpoints);
    }
}

impl Vllm {
    /// Says to a configuration what was said here.
    pub fn say(&self, overlay: &mut Overlay) {
        endpoints(overlay, "vllm", &self.endpoints);
    }
}

impl Tgi {
    /// Says to a configuration what was said here.
    pub fn say(&self, overlay: &mut Overlay) {
        endpoints(overlay, "tgi", &self.endpoints);
        let key = "defaults.tgi.model_name";
        one(overlay, "--tgi.model-name", key, self.model_name.as_deref());
        let key = "defaults.tgi.batch_size_histogram";
        let on = self.batch_size_histogram.then_some("true");
        one(overlay, "--tgi.batch-size-histogram", key, on);
    }
}

impl Limitador {
    /// Says to a configuration what was said here.
    pub fn say(&self, overlay: &mut Overlay) {
        endpoints(overlay, "limitador", &self.endpoints);
        for (flag, key, texts) in [
            ("--limitador.tenant", "tenant", &self.tenants),
            ("--limitador.namespace", "namespaces", &self.namespaces),
            (
                "--limitador.token-namespace",
                "token_namespaces",
                &self.token_namespaces,
            ),
        ] {
            many(overlay, flag, &format!("defaults.limitador.{key}"), texts);
        }
        for (name, ours) in &self.keep {
            overlay.set_entry("--limitador.keep", "defaults.limitador.keep", name, ours);
        }
        let key = "defaults.limitador.tenant_key_file";
        let path = self.tenant_key_file.as_deref();
        file(overlay, "--limitador.tenant-key-file", key, path);
        let limit = self.tenant_limit.as_deref();
        one(overlay, "--limitador.tenant-limit", "tenants.limit", limit);
        let admin = self.no_admin.then_some("false");
        one(
            overlay,
            "--limitador.no-admin",
            "defaults.limitador.admin",
            admin,
        );
    }
}

impl Gateway {
    /// Says to a configuration what was said here.
    pub fn say(&self, overlay: &mut Overlay) {
        const KIND: &str = "gateway";
        endpoints(overlay, KIND, &self.endpoints);
        let token = if self.kubernetes_token {
            Some((
                "--gateway.kubernetes-token",
                KUBERNETES_TOKEN_FILE.to_owned(),
            ))
        } else {
            let path = self.bearer_token_file.as_deref();
            path.map(|path| ("--gateway.bearer-token-file", from_here(path)))
        };
        if let Some((flag, path)) = token {
            overlay.clear_of(flag, KIND, "auth");
            overlay.set_of(flag, KIND, "auth.token_file", path);
        }
        if self.has_tls() {
            overlay.inherit_of("--gateway.ca-file", KIND, "tls");
        }
        for (flag, key, path) in [
            ("--gateway.ca-file", "tls.ca_file", &self.ca_file),
            ("--gateway.cert-file", "tls.cert_file", &self.cert_file),
            ("--gateway.key-file", "tls.key_file", &self.key_file),
        ] {
            if let Some(path) = path {
                overlay.set_of(flag, KIND, key, from_here(path));
            }
        }
        if let Some(name) = &self.server_name {
            overlay.set_of("--gateway.server-name", KIND, "tls.server_name", name);
        }
        let limit = self.fairness_limit.as_deref();
        let key = "defaults.gateway.fairness_limit";
        one(overlay, "--gateway.fairness-limit", key, limit);
    }

    fn has_tls(&self) -> bool {
        let files = [&self.ca_file, &self.cert_file, &self.key_file];
        files.iter().any(|file| file.is_some()) || self.server_name.is_some()
    }
}

impl Gpu {
    /// Says to a configuration what was said here; whoever sets how GPUs are read has them read.
    pub fn say(&self, overlay: &mut Overlay) {
        file(
            overlay,
            "--nvml.library",
            "gpu.library",
            self.library.as_deref(),
        );
        let folder = self.procfs.as_deref();
        file(overlay, "--path.procfs", "gpu.procfs", folder);
        for (flag, key, text) in [
            ("--gpu.period", "period", &self.period),
            ("--gpu.processes-max", "processes_max", &self.processes_max),
            (
                "--gpu.pcie-throughput",
                "pcie_throughput",
                &self.pcie_throughput,
            ),
        ] {
            one(overlay, flag, &format!("gpu.{key}"), text.as_deref());
        }
        for (flag, key, off) in [
            ("--gpu.no-processes", "gpu.processes", self.no_processes),
            ("--gpu.no-mig", "gpu.mig", self.no_mig),
        ] {
            one(overlay, flag, key, off.then_some("false"));
        }
        self.bound.say(overlay);
    }
}

impl GpuBound {
    fn say(&self, overlay: &mut Overlay) {
        for (flag, key, text) in [
            ("--gpu.bound.idle-below", "idle_below", &self.idle_below),
            ("--gpu.bound.memory-from", "memory_from", &self.memory_from),
            (
                "--gpu.bound.compute-from",
                "compute_from",
                &self.compute_from,
            ),
            ("--gpu.bound.vram-above", "vram_above", &self.vram_above),
            (
                "--gpu.bound.utilization-below",
                "utilization_below",
                &self.utilization_below,
            ),
        ] {
            one(overlay, flag, &format!("gpu.bound.{key}"), text.as_deref());
        }
    }
}
