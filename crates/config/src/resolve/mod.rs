//! From the file to the configuration: defaults filled in, names looked up, tables put together. What
//! does not go together is a flaw with its place, and what is left is looked at all the same.

mod sources;
mod speech;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokenpath_core::Desc;

use crate::Flaw;
use crate::config::{Config, Gpu, GpuBound, Limits, Log, RollUp, Tenants, Web};
use crate::discovery::Shard;
use crate::nearest::nearest;
use crate::raw;
use crate::reading::Reading;
use crate::schema::Places;
use crate::vocabulary::Vocabulary;

/// What resolving looks things up in, and where it says what is wrong.
pub(crate) struct Resolver<'r> {
    vocabulary: &'r Vocabulary,
    places: &'r Places,
    flaws: &'r mut Vec<Flaw>,
}

/// Resolves a file that was checked against the schema. Paths are relative to `folder`.
pub(crate) fn resolve(
    mut file: raw::File,
    folder: &Path,
    vocabulary: &Vocabulary,
    places: &Places,
    flaws: &mut Vec<Flaw>,
) -> Config {
    relative_to(folder, &mut file);
    let mut resolver = Resolver {
        vocabulary,
        places,
        flaws,
    };
    let (catalogues, families) = resolver.catalogues(&file.catalogues);
    let mut kinds: Vec<Box<str>> = vocabulary
        .kinds
        .iter()
        .map(|kind| kind.as_str().into())
        .collect();
    kinds.extend(
        catalogues
            .iter()
            .map(|engine| (*engine.catalogue.catalogue().backend).into()),
    );
    let kinds: Arc<[Box<str>]> = kinds.into();
    let tenants = tenants(std::mem::take(&mut file.tenants));
    resolver.timing(&file.defaults, "/defaults");
    let sources = resolver.sources(&file, &kinds, &tenants);
    let discovery = resolver.discovery(&file, &kinds, &tenants);
    let passes = passes_unknown(&file);
    let (dialects, spoken) = resolver.dialects(&file.dialects, &families, passes);
    let rollups = resolver.rollups(&file.rollups, &families);
    let probe = resolver.probe(&file, &kinds, &tenants);
    Config {
        web: Web {
            listen: file
                .web
                .listen
                .iter()
                .filter_map(|text| text.parse().ok())
                .collect(),
            telemetry_path: file.web.telemetry_path,
            max_requests: file.web.max_requests,
        },
        log: Log {
            level: file.log.level,
            format: file.log.format,
        },
        defaults: Arc::new(Reading::of(&file.defaults, None, &tenants)),
        sources,
        discovery,
        shard: file.shard.as_deref().and_then(Shard::parse),
        dialects,
        spoken,
        catalogues,
        rollups,
        gpu: file.gpu.map(gpu),
        tenants,
        limits: Limits {
            targets: file
                .limits
                .targets
                .unwrap_or_else(|| Limits::default().targets),
        },
        probe,
    }
}

impl Resolver<'_> {
    pub(super) fn flaw(&mut self, pointer: &str, message: impl Into<String>) {
        self.flaw_or(pointer, message, None);
    }

    pub(super) fn flaw_or(
        &mut self,
        pointer: &str,
        message: impl Into<String>,
        near: Option<&str>,
    ) {
        let place = self.places.of(pointer);
        self.flaws.push(Flaw::new(place, message).or(near));
    }

    fn rollups(&mut self, raw: &[raw::Rollup], families: &[Arc<Desc>]) -> Vec<RollUp> {
        for (index, rollup) in raw.iter().enumerate() {
            for (at, label) in rollup.over.iter().enumerate() {
                if matches!(label.as_str(), "le" | "quantile") {
                    let what = format!("`{label}` cannot be rolled up over: it is part of a value");
                    self.flaw(&format!("/rollups/{index}/over/{at}"), what);
                }
            }
            for (at, pattern) in rollup.families.iter().enumerate() {
                let known = families.iter().any(|desc| match pattern.strip_suffix('*') {
                    Some(beginning) => desc.name().starts_with(beginning),
                    None => desc.name() == pattern,
                });
                if !known {
                    let near = nearest(pattern, families.iter().map(|desc| desc.name()));
                    let what = format!("`{pattern}` is no known family");
                    self.flaw_or(&format!("/rollups/{index}/families/{at}"), what, near);
                }
            }
        }
        raw.iter()
            .map(|rollup| RollUp {
                over: rollup.over.clone(),
                families: rollup.families.clone(),
                keep_parts: rollup.keep_parts,
            })
            .collect()
    }
}

fn tenants(raw: raw::Tenants) -> Tenants {
    let default = Tenants::default();
    Tenants {
        limit: raw.limit.unwrap_or(default.limit),
        keep: raw.keep,
        other: raw.other.unwrap_or(default.other),
    }
}

fn gpu(raw: raw::Gpu) -> Gpu {
    Gpu {
        library: raw.library,
        period: raw.period.unwrap_or(Duration::from_secs(1)),
        processes: raw.processes.unwrap_or(true),
        processes_max: raw.processes_max,
        procfs: raw.procfs,
        mig: raw.mig.unwrap_or(true),
        pcie_throughput: raw.pcie_throughput.unwrap_or(true),
        bound: GpuBound {
            idle_below: raw.bound.idle_below,
            memory_from: raw.bound.memory_from,
            compute_from: raw.bound.compute_from,
            vram_above: raw.bound.vram_above,
            utilization_below: raw.bound.utilization_below,
        },
        labels: crate::reading::label_set(&raw.labels),
    }
}

fn passes_unknown(file: &raw::File) -> bool {
    let sources = file.sources.iter().map(|source| &source.reading);
    let found = file.discovery.iter().map(|discovery| &discovery.reading);
    let mut readings = sources.chain(found).chain([&file.defaults]);
    readings.any(|reading| reading.pass_unknown == Some(true))
}

/// Paths in a file are meant from where the file is, as Prometheus does.
fn relative_to(folder: &Path, file: &mut raw::File) {
    let join = |path: &mut Option<PathBuf>| {
        if let Some(path) = path {
            *path = folder.join(&*path);
        }
    };
    let tls = |tls: &mut Option<raw::Tls>| {
        if let Some(tls) = tls {
            join(&mut tls.ca_file);
            join(&mut tls.cert_file);
            join(&mut tls.key_file);
        }
    };
    let auth = |auth: &mut Option<raw::Auth>| {
        if let Some(auth) = auth {
            join(&mut auth.token_file);
            join(&mut auth.password_file);
        }
    };
    let reading = |reading: &mut raw::Reading| {
        tls(&mut reading.tls);
        auth(&mut reading.auth);
        if let Some(limitador) = &mut reading.limitador {
            join(&mut limitador.tenant_key_file);
        }
    };
    if let Some(gpu) = &mut file.gpu {
        join(&mut gpu.library);
        join(&mut gpu.procfs);
    }
    reading(&mut file.defaults);
    for module in file.probe.iter_mut().flat_map(|probe| &mut probe.modules) {
        reading(&mut module.reading);
    }
    for source in &mut file.sources {
        reading(&mut source.reading);
    }
    for discovery in &mut file.discovery {
        reading(&mut discovery.reading);
        for pattern in &mut discovery.files {
            *pattern = folder.join(&*pattern).to_string_lossy().into_owned();
        }
        if let Some(http) = &mut discovery.http {
            tls(&mut http.tls);
            auth(&mut http.auth);
        }
        if let Some(kubernetes) = &mut discovery.kubernetes {
            tls(&mut kubernetes.tls);
            auth(&mut kubernetes.auth);
        }
    }
}
