//! The families of our own state: a closed list.

use std::sync::{Arc, LazyLock};

use tokenpath_core::{Desc, MetricType, Unit};

macro_rules! families {
    ($($ident:ident = $name:literal, $kind:ident, $unit:ident, $labels:expr, $help:literal;)*) => {
        $(pub(super) static $ident: LazyLock<Arc<Desc>> = LazyLock::new(|| {
            Arc::new(Desc::new($name, MetricType::$kind, Unit::$unit, $help).labels($labels))
        });)*

        /// The families of the exporter's own state.
        #[must_use]
        pub fn own_families() -> &'static [Arc<Desc>] {
            static ALL: LazyLock<Vec<Arc<Desc>>> = LazyLock::new(|| vec![$(Arc::clone(&$ident)),*]);
            &ALL
        }
    };
}

families! {
    BUILD_INFO = "tokenpath_build_info", Info, None, &["version"],
        "Which release of Tokenpath this is.";
    UP = "tokenpath_source_up", Gauge, None, &["backend", "target"],
        "Whether the source could be read for this page.";
    DURATION = "tokenpath_source_scrape_duration_seconds", Gauge, Seconds, &["backend", "target"],
        "How long the reading for this page took.";
    ERRORS = "tokenpath_source_scrape_errors_total", Counter, None, &["backend", "target", "reason"],
        "Readings that failed, by reason.";
    LAST_SUCCESS = "tokenpath_source_last_success_timestamp_seconds", Gauge, Seconds, &["backend", "target"],
        "When the source was last read with success; absent before.";
    SAMPLES = "tokenpath_source_samples", Gauge, None, &["backend", "target"],
        "Samples on the source's own page.";
    UNMAPPED = "tokenpath_source_unmapped_families", Gauge, None, &["backend", "target"],
        "Families on the source's own page that no catalogue knows; translate --explain lists them.";
    DROPPED = "tokenpath_source_dropped_samples_total", Counter, None, &["backend", "target", "reason"],
        "Samples of the source that are not on our page, by reason.";
    SKIPPED = "tokenpath_source_skipped_reads_total", Counter, None, &["backend", "target"],
        "Readings that were due while the one before still ran.";
    CERTIFICATE = "tokenpath_source_certificate_expiry_timestamp_seconds", Gauge, Seconds, &["backend", "target"],
        "When the certificate that the target shows ends; absent without TLS.";
    CONFIG_SUCCESSFUL = "tokenpath_config_last_reload_successful", Gauge, None, &[],
        "Whether the configuration file was valid when it was last read; absent without one.";
    CONFIG_SUCCESS_TIME = "tokenpath_config_last_reload_success_timestamp_seconds", Gauge, Seconds, &[],
        "When the configuration file was last read with success.";
    FOLDED = "tokenpath_labels_folded_total", Counter, None, &["backend", "target", "label"],
        "Values of a label that share one series because there were more than its limit.";
    PROCESS_CPU = "process_cpu_seconds_total", Counter, Seconds, &[],
        "Processor time of this exporter, user and system.";
    PROCESS_RESIDENT = "process_resident_memory_bytes", Gauge, Bytes, &[],
        "Resident memory of this exporter.";
    PROCESS_VIRTUAL = "process_virtual_memory_bytes", Gauge, Bytes, &[],
        "Virtual memory of this exporter.";
    PROCESS_START = "process_start_time_seconds", Gauge, Seconds, &[],
        "When this exporter was started, in seconds since the epoch.";
    PROCESS_OPEN_FDS = "process_open_fds", Gauge, None, &[],
        "Descriptors that this exporter has open.";
    PROCESS_MAX_FDS = "process_max_fds", Gauge, None, &[],
        "Descriptors that this exporter may have open.";
    PROCESS_THREADS = "process_threads", Gauge, None, &[],
        "Threads of this exporter.";
}

/// The name that tells a page of ours from all others.
#[must_use]
pub fn build_info_name() -> &'static str {
    "tokenpath_build_info"
}
