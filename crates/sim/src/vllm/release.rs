//! The releases whose pages the twin can speak.

use std::fmt;
use std::sync::OnceLock;

use super::template::Template;
use crate::number::Style;

/// One recorded page and what is particular to its release.
struct Entry {
    name: &'static str,
    version: &'static str,
    generation: Generation,
    recorded: Recorded,
    /// The Python client that was current with the release; the recorded page may come from a later one.
    style: Style,
    /// `gpu_prefix_cache_*` counts blocks here, tokens later.
    prefix_cache_in_blocks: bool,
    /// Gauges declared without a multi-process mode: one series per process.
    pid_gauges: &'static [&'static str],
    page: &'static str,
}

/// The form of the recorded page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recorded {
    Single,
    MultiProcess,
    /// `/metrics/` of one process, OpenMetrics asked for.
    OpenMetrics,
    RustFrontend,
}

/// The engine behind a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Generation {
    V0,
    V1,
}

/// A vLLM release whose page the twin can speak.
///
/// The names are versions, with what tells two pages of one version apart behind a hyphen:
/// `0.8.5` is the V1 engine and `0.8.5-v0` the V0 engine; `-hidden` has the metrics that
/// `--show-hidden-metrics-for-version` brings back; `0.33.0-rust` is the Rust frontend.
///
/// ```
/// use tokenpath_sim::vllm::Release;
///
/// let release = Release::find("0.11.0").expect("a recorded release");
/// assert_eq!(release.version(), "0.11.0");
/// assert!(Release::all().count() > 20);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Release(usize);

impl Release {
    /// The newest release recorded, as its Python front end answers.
    pub fn latest() -> Self {
        Self::find("0.33.0").expect("the table has it")
    }

    /// The release of this name.
    pub fn find(name: &str) -> Option<Self> {
        Self::all().find(|release| release.name() == name)
    }

    /// All of them, oldest first.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..RELEASES.len()).map(Self)
    }

    fn entry(self) -> &'static Entry {
        &RELEASES[self.0]
    }

    /// The name, as `0.8.5-v0`.
    pub fn name(self) -> &'static str {
        self.entry().name
    }

    /// The version that `GET /version` answers.
    pub fn version(self) -> &'static str {
        self.entry().version
    }

    pub(crate) fn generation(self) -> Generation {
        self.entry().generation
    }

    pub(crate) fn recorded(self) -> Recorded {
        self.entry().recorded
    }

    pub(crate) fn style(self) -> Style {
        self.entry().style
    }

    pub(crate) fn prefix_cache_in_blocks(self) -> bool {
        self.entry().prefix_cache_in_blocks
    }

    pub(crate) fn pid_gauges(self) -> &'static [&'static str] {
        self.entry().pid_gauges
    }

    #[cfg(test)]
    pub(crate) fn page(self) -> &'static str {
        self.entry().page
    }

    pub(crate) fn template(self) -> &'static Template {
        TEMPLATES[self.0].get_or_init(|| {
            Template::read(self.entry().page).expect("the tests read all pages of this crate")
        })
    }
}

impl fmt::Debug for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Release").field(&self.name()).finish()
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

macro_rules! page {
    ($file:literal) => {
        include_str!(concat!("../../layouts/vllm-", $file, ".txt"))
    };
}

const OLD: Style = Style::PythonThreeDigits;
const NEW: Style = Style::Python;

const fn v0(name: &'static str, version: &'static str, page: &'static str) -> Entry {
    Entry {
        name,
        version,
        generation: Generation::V0,
        recorded: Recorded::Single,
        style: OLD,
        prefix_cache_in_blocks: false,
        pid_gauges: &[],
        page,
    }
}

const fn v1(name: &'static str, version: &'static str, style: Style, page: &'static str) -> Entry {
    Entry {
        generation: Generation::V1,
        style,
        ..v0(name, version, page)
    }
}

/// Before 0.9.1 no gauge of the V1 engine declared a mode.
const ALL_GAUGES: &[&str] = &[
    "vllm:num_requests_running",
    "vllm:num_requests_waiting",
    "vllm:gpu_cache_usage_perc",
];
/// From 0.9.2 to 0.11.0 this one did not.
const KV_USAGE: &[&str] = &["vllm:kv_cache_usage_perc"];

static TEMPLATES: [OnceLock<Template>; RELEASES.len()] =
    [const { OnceLock::new() }; RELEASES.len()];

static RELEASES: [Entry; 23] = [
    v0("0.3.3", "0.3.3", page!("0.3.3-V0")),
    v0("0.4.2", "0.4.2", page!("0.4.2-V0")),
    v0("0.6.0", "0.6.0", page!("0.6.0-V0")),
    Entry {
        recorded: Recorded::MultiProcess,
        ..v0(
            "0.6.3.post1",
            "0.6.3.post1",
            page!("0.6.3.post1-V0-multiprocess"),
        )
    },
    v0("0.6.6", "0.6.6", page!("0.6.6-V0")),
    Entry {
        prefix_cache_in_blocks: true,
        pid_gauges: ALL_GAUGES,
        ..v1("0.7.3", "0.7.3", OLD, page!("0.7.3-V1"))
    },
    v0("0.8.2-v0", "0.8.2", page!("0.8.2-V0")),
    Entry {
        recorded: Recorded::MultiProcess,
        ..v0("0.8.5-v0", "0.8.5", page!("0.8.5-V0-multiprocess"))
    },
    Entry {
        prefix_cache_in_blocks: true,
        pid_gauges: ALL_GAUGES,
        ..v1("0.8.5", "0.8.5", OLD, page!("0.8.5-V1"))
    },
    Entry {
        pid_gauges: KV_USAGE,
        ..v1("0.9.2", "0.9.2", OLD, page!("0.9.2-V1"))
    },
    Entry {
        pid_gauges: KV_USAGE,
        ..v1("0.10.2", "0.10.2", OLD, page!("0.10.2-V1"))
    },
    Entry {
        pid_gauges: KV_USAGE,
        ..v1("0.11.0", "0.11.0", OLD, page!("0.11.0-V1"))
    },
    v1("0.11.2", "0.11.2", OLD, page!("0.11.2-V1")),
    v1(
        "0.11.2-hidden",
        "0.11.2",
        OLD,
        page!("0.11.2-V1-show-hidden"),
    ),
    v1("0.12.0", "0.12.0", OLD, page!("0.12.0-V1")),
    v1(
        "0.12.0-hidden",
        "0.12.0",
        OLD,
        page!("0.12.0-V1-show-hidden"),
    ),
    v1("0.14.0", "0.14.0", OLD, page!("0.14.0-V1")),
    v1("0.20.0", "0.20.0", OLD, page!("0.20.0-V1")),
    v1("0.26.0", "0.26.0", NEW, page!("0.26.0-V1")),
    v1("0.32.0", "0.32.0", NEW, page!("0.32.0-V1")),
    v1("0.33.0", "0.33.0", NEW, page!("0.33.0-V1")),
    Entry {
        recorded: Recorded::OpenMetrics,
        ..v1(
            "0.33.0-openmetrics",
            "0.33.0",
            NEW,
            page!("0.33.0-V1-openmetrics"),
        )
    },
    Entry {
        recorded: Recorded::RustFrontend,
        style: Style::Rust,
        ..v1("0.33.0-rust", "0.33.0", NEW, page!("0.33.0-rust-frontend"))
    },
];
