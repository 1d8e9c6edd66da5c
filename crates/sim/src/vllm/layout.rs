//! One state of the twin, written as the page of one release.

use std::borrow::Cow;

use super::release::{Recorded, Release};
use super::template::Template;
use super::writer::Writer;
use crate::config::Config;
use crate::number::Style;
use crate::truth::Truth;

/// How a release writes its page: the recorded page it follows, and whether it runs as one process.
///
/// ```
/// use tokenpath_sim::vllm::{Layout, Release};
/// use tokenpath_sim::{Config, Twin};
///
/// let mut twin = Twin::new(Config::default())?;
/// twin.advance(30.0);
/// let page = Layout::of(Release::latest()).page(twin.truth())?;
/// assert!(page.starts_with("# HELP vllm:num_requests_running "));
/// let old = Layout::of(Release::find("0.6.6").expect("recorded")).page(twin.truth())?;
/// assert!(old.contains("vllm:gpu_cache_usage_perc{model_name="));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Layout {
    release: Release,
    multi_process: bool,
    template: Cow<'static, Template>,
}

/// Why a layout cannot say a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LayoutError {
    /// The release has no `engine` label: it never ran several engines behind one server.
    #[error("vLLM {0} has no engine label, so its page cannot tell several engines apart")]
    OneEngineOnly(&'static str),
    /// The form is not recorded and cannot be derived.
    #[error("no page of vLLM {0} in multi-process mode is recorded or can be derived")]
    NoMultiProcess(&'static str),
}

impl Layout {
    /// The release's page in the form that was recorded: of a single process, except for the two V0
    /// releases that were recorded in multi-process mode.
    pub fn of(release: Release) -> Self {
        Self {
            release,
            multi_process: release.recorded() == Recorded::MultiProcess,
            template: Cow::Borrowed(release.template()),
        }
    }

    /// The release's page as the Python client writes it in multi-process mode
    /// (`PROMETHEUS_MULTIPROC_DIR`, as with `--api-server-count 2`).
    ///
    /// # Errors
    /// [`LayoutError::NoMultiProcess`] for the Rust frontend and the OpenMetrics form.
    pub fn multi_process(release: Release) -> Result<Self, LayoutError> {
        match release.recorded() {
            Recorded::MultiProcess => Ok(Self::of(release)),
            Recorded::Single => Ok(Self {
                release,
                multi_process: true,
                template: Cow::Owned(release.template().multi_process(release.pid_gauges())),
            }),
            Recorded::OpenMetrics | Recorded::RustFrontend => {
                Err(LayoutError::NoMultiProcess(release.name()))
            }
        }
    }

    /// The release spoken.
    pub fn release(&self) -> Release {
        self.release
    }

    /// Whether this is the page of several processes.
    pub fn is_multi_process(&self) -> bool {
        self.multi_process
    }

    /// The `content-type` of the answer to `GET /metrics`.
    pub fn content_type(&self) -> &'static str {
        match (self.release.recorded(), self.release.style()) {
            // Of the Rust frontend's header nothing is recorded; this is what its format is called.
            (Recorded::OpenMetrics | Recorded::RustFrontend, _) => {
                "application/openmetrics-text; version=1.0.0; charset=utf-8"
            }
            (_, Style::PythonThreeDigits) => "text/plain; version=0.0.4; charset=utf-8",
            _ => "text/plain; version=1.0.0; charset=utf-8",
        }
    }

    /// Whether the page can tell the state of a twin of this configuration.
    ///
    /// # Errors
    /// [`LayoutError::OneEngineOnly`]
    pub fn check(&self, config: &Config) -> Result<(), LayoutError> {
        let has_engine = self.template.families.iter().any(|f| f.has_label("engine"));
        if config.engines > 1 && !has_engine {
            return Err(LayoutError::OneEngineOnly(self.release.name()));
        }
        Ok(())
    }

    /// The page that `GET /metrics` answers.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn page(&self, truth: &Truth) -> Result<String, LayoutError> {
        self.check(&truth.config)?;
        let mut out = String::with_capacity(64 << 10);
        Writer {
            release: self.release,
            truth,
            http: &truth.http,
            multi_process: self.multi_process,
        }
        .write(&self.template, &mut out);
        Ok(out)
    }

    /// The classic page that `GET /metrics/`, with a slash, answers to one who asks for nothing else:
    /// that of [`after_slash`](Self::after_slash) without an `Accept` header.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn page_after_slash(&self, truth: &Truth) -> Result<String, LayoutError> {
        self.after_slash(truth, "").map(|(_, page)| page)
    }

    /// What `GET /metrics/`, with a slash, answers to a request with this `Accept` header: the
    /// `content-type` and the page.
    ///
    /// That is another handler, the Python client's own, and it negotiates. Asked for OpenMetrics it
    /// writes that, and clients from 0.23 on replace the colons of the sample names, unless the
    /// header has `escaping=allow-utf-8`. In multi-process mode the answering process appends its own
    /// `http_*` families to those of all processes: the same series twice with different values.
    /// Not modelled: gzip, and OpenMetrics in multi-process mode. The Rust frontend and the recorded
    /// OpenMetrics page answer as they do without the slash.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn after_slash(
        &self,
        truth: &Truth,
        accept: &str,
    ) -> Result<(&'static str, String), LayoutError> {
        if self.release.recorded() != Recorded::Single {
            return Ok((self.content_type(), self.page(truth)?));
        }
        let asked = accept.split(',').find(|range| {
            let kind = range.split(';').next().unwrap_or_default();
            kind.trim() == "application/openmetrics-text"
        });
        if let Some(range) = asked.filter(|_| !self.multi_process) {
            let recent = self.release.style() == Style::Python;
            let plain_names = range.contains("escaping=allow-utf-8");
            let layout = Self {
                template: Cow::Owned(self.template.open_metrics(recent && !plain_names)),
                ..self.clone()
            };
            let content_type = if recent && plain_names {
                "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=allow-utf-8"
            } else {
                "application/openmetrics-text; version=1.0.0; charset=utf-8"
            };
            return Ok((content_type, layout.page(truth)?));
        }
        let mut out = self.page(truth)?;
        if self.multi_process {
            Writer {
                release: self.release,
                truth,
                http: truth.http.get(..1).unwrap_or_default(),
                multi_process: false,
            }
            .write(&self.release.template().http_only(), &mut out);
        }
        Ok(("text/plain; version=0.0.4; charset=utf-8", out))
    }
}
