//! The keys of `tokenpath.yaml`. A key added here is checked, completed by editors and listed in the
//! JSON schema; the types in `raw` take it from there.

mod discovery;
mod reading;
mod speech;

use super::{Record, Shape, field, required};
use crate::leaf;

use discovery::DISCOVERY;
use reading::{DEFAULTS, MODULE, SOURCE};
use speech::{CATALOGUE, DIALECTS};

use Shape::{List, Map, OneOrMore, Switch, Text, Whole, Word};

/// The file.
pub(crate) static FILE: Shape = Shape::Record(&Record {
    noun: "the file",
    groups: &[&[
        field(
            "web",
            Shape::Record(&WEB),
            "Where and how the page is served.",
        ),
        field("log", Shape::Record(&LOG), "What is logged, and how."),
        field(
            "defaults",
            Shape::Record(&DEFAULTS),
            "What holds for every source and discovery that does not say otherwise.",
        ),
        field(
            "sources",
            List(&Shape::Record(&SOURCE)),
            "Targets that are known.",
        ),
        field(
            "discovery",
            List(&Shape::Record(&DISCOVERY)),
            "Where targets are found.",
        ),
        field(
            "shard",
            Text(&leaf::SHARD),
            "K/N: of all targets only those of share K (0 to N-1) are read.",
        ),
        field(
            "dialects",
            Shape::Record(&DIALECTS),
            "The names that are spoken.",
        ),
        field(
            "catalogues",
            List(&Shape::Record(&CATALOGUE)),
            "Engines that are supported by this file alone.",
        ),
        field(
            "gpu",
            Shape::Record(&GPU),
            "The GPUs of this machine; they are read where this key is there, `{}` for all defaults.",
        ),
        field(
            "rollups",
            List(&Shape::Record(&ROLLUP)),
            "Series that are combined into one.",
        ),
        field(
            "tenants",
            Shape::Record(&TENANTS),
            "How many tenants there may be.",
        ),
        field(
            "limits",
            Shape::Record(&LIMITS),
            "Limits of the whole exporter.",
        ),
        field(
            "probe",
            Shape::Record(&PROBE),
            "Reading targets on request, as blackbox_exporter does.",
        ),
    ]],
    rules: &[],
});

static WEB: Record = Record {
    noun: "`web`",
    groups: &[&[
        field(
            "listen",
            OneOrMore(&Text(&leaf::LISTEN)),
            "Addresses, HOST:PORT or :PORT for all interfaces; :9410 by default.",
        ),
        field(
            "telemetry_path",
            Text(&leaf::TELEMETRY_PATH),
            "Path of the metrics page; /metrics by default.",
        ),
        field(
            "max_requests",
            Whole {
                least: 1,
                most: 10_000,
            },
            "Scrapes that are answered at once; 40 by default.",
        ),
    ]],
    rules: &[],
};

static LOG: Record = Record {
    noun: "`log`",
    groups: &[&[
        field(
            "level",
            Word(&["error", "warn", "info", "debug", "trace"]),
            "The least severe that is logged; info by default.",
        ),
        field(
            "format",
            Word(&["logfmt", "json"]),
            "How lines look; logfmt by default.",
        ),
    ]],
    rules: &[],
};

static GPU: Record = Record {
    noun: "`gpu`",
    groups: &[&[
        field(
            "library",
            Text(&leaf::FILE),
            "Path of libnvidia-ml.so.1, where the system does not find it.",
        ),
        field(
            "period",
            Text(&leaf::GPU_PERIOD),
            "Time between two samples; 1s by default.",
        ),
        field(
            "processes",
            Switch,
            "Whether processes are listed; true by default.",
        ),
        field(
            "processes_max",
            Whole {
                least: 1,
                most: 10_000,
            },
            "Most processes of a GPU with series of their own, those with the most memory; 32 by default.",
        ),
        field(
            "procfs",
            Text(&leaf::FILE),
            "Where processes are looked up: the host's, if this is a container; /proc by default.",
        ),
        field(
            "mig",
            Switch,
            "Whether MIG instances are read; true by default.",
        ),
        field(
            "pcie_throughput",
            Switch,
            "Whether cards that tell their PCIe rates in no other way are asked for them, which blocks the driver for 40 ms each time; true by default.",
        ),
        field(
            "bound",
            Shape::Record(&GPU_BOUND),
            "Where the judgement of what limits a GPU draws its lines.",
        ),
        field(
            "labels",
            Map {
                key: &leaf::OWN_LABEL,
                value: &Text(&leaf::LABEL_VALUE),
            },
            "Labels for every series of the GPUs, beside those of `defaults`.",
        ),
    ]],
    rules: &[],
};

static GPU_BOUND: Record = Record {
    noun: "`bound`",
    groups: &[&[
        field(
            "idle_below",
            Text(&leaf::RATIO),
            "Idle below this SM activity and DRAM bandwidth; 0.05 by default.",
        ),
        field(
            "memory_from",
            Text(&leaf::RATIO),
            "Bound by memory from this DRAM bandwidth on; 0.6 by default.",
        ),
        field(
            "compute_from",
            Text(&leaf::RATIO),
            "Bound by compute from this activity of the busiest pipe on; 0.5 by default.",
        ),
        field(
            "vram_above",
            Text(&leaf::RATIO),
            "VRAM above which gpu_vram_full_compute_low may hold; 0.9 by default.",
        ),
        field(
            "utilization_below",
            Text(&leaf::RATIO),
            "Compute utilization below which it may hold; 0.5 by default.",
        ),
    ]],
    rules: &[],
};

static ROLLUP: Record = Record {
    noun: "a roll-up",
    groups: &[&[
        required(
            "over",
            OneOrMore(&Text(&leaf::LABEL)),
            "Labels that go: series that differ in them alone become one.",
        ),
        field(
            "families",
            OneOrMore(&Text(&leaf::FAMILIES)),
            "Which families; all that have a rule by default.",
        ),
        field(
            "keep_parts",
            Switch,
            "Whether the single series stay on the page; false by default.",
        ),
    ]],
    rules: &[],
};

static TENANTS: Record = Record {
    noun: "`tenants`",
    groups: &[&[
        field(
            "limit",
            Whole {
                least: 1,
                most: 1_000_000,
            },
            "Most tenants with series of their own; 1000 by default. Others are folded into one.",
        ),
        field(
            "keep",
            OneOrMore(&Text(&leaf::WORD)),
            "Tenants that are never folded.",
        ),
        field(
            "other",
            Text(&leaf::WORD),
            "The name of the rest; `other` by default.",
        ),
    ]],
    rules: &[],
};

static LIMITS: Record = Record {
    noun: "`limits`",
    groups: &[&[field(
        "targets",
        Whole {
            least: 1,
            most: 1_000_000,
        },
        "Most targets that are read; 20000 by default. Later ones are refused and said.",
    )]],
    rules: &[],
};

static PROBE: Record = Record {
    noun: "`probe`",
    groups: &[&[
        required(
            "allow",
            OneOrMore(&Text(&leaf::NETWORK)),
            "Networks whose addresses may be probed, checked after resolving.",
        ),
        field(
            "ports",
            List(&Whole {
                least: 1,
                most: 65_535,
            }),
            "Ports that may be probed; all by default.",
        ),
        field(
            "hosts",
            OneOrMore(&Text(&leaf::HOSTS)),
            "Names that may be probed, `*.` and an end of it for all below; all by default.",
        ),
        field(
            "modules",
            List(&Shape::Record(&MODULE)),
            "Ways to read a target, the first where a request names none; by default one for each kind, named as it, as `defaults` say but without credentials.",
        ),
    ]],
    rules: &[],
};
