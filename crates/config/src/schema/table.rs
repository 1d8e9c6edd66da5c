//! The keys of `tokenpath.yaml`. A key added here is checked, completed by editors and listed in the
//! JSON schema; the types in `file` take it from there.

use super::{Field, Record, Rule, Shape, field, required};
use crate::leaf;

use Shape::{List, Map, Number, OneOrMore, Switch, Text, Whole, Word};

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
            Text(&leaf::URL_PATH),
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

/// How a target is read.
static READING: &[Field] = &[
    field(
        "labels",
        Map {
            key: &leaf::OWN_LABEL,
            value: &Text(&leaf::LABEL_VALUE),
        },
        "Labels for every series. `${NAME}` is taken from the environment.",
    ),
    field(
        "fallback_labels",
        Map {
            key: &leaf::OWN_LABEL,
            value: &Text(&leaf::LABEL_VALUE),
        },
        "Labels for every series of a target whose own page has no such label anywhere.",
    ),
    field(
        "interval",
        Text(&leaf::DURATION),
        "Read in the background at this interval; on scrape where it is not set.",
    ),
    field(
        "timeout",
        Text(&leaf::DURATION),
        "Longest time for a reading; 10s by default, and never longer than the interval.",
    ),
    field("tls", Shape::Record(&TLS), "TLS to the target."),
    field("auth", Shape::Record(&AUTH), "Who we are to the target."),
    field(
        "headers",
        Map {
            key: &leaf::HEADER,
            value: &Text(&leaf::SECRET),
        },
        "More headers; each value is a variable of the environment, `${NAME}`.",
    ),
    field(
        "lenient",
        Switch,
        "Skip and count lines that are not valid, instead of refusing the page.",
    ),
    field(
        "accept",
        Word(&["text", "openmetrics"]),
        "The format that is asked for; text by default.",
    ),
    field(
        "follow_redirects",
        Switch,
        "Follow redirects within the same scheme, host and port.",
    ),
    field(
        "allow",
        OneOrMore(&Text(&leaf::FAMILIES)),
        "Keep only these families; a name may end in `*`.",
    ),
    field(
        "deny",
        OneOrMore(&Text(&leaf::FAMILIES)),
        "Leave out these families; a name may end in `*`.",
    ),
    field(
        "pass_unknown",
        Switch,
        "Pass families that no catalogue knows through under their own names.",
    ),
    field(
        "series_limit",
        Whole {
            least: 1,
            most: 10_000_000,
        },
        "Most lines of one target on the page; 100000 by default.",
    ),
    field(
        "body_limit",
        Text(&leaf::SIZE),
        "Largest page of a target, on the wire and unpacked; 16MiB by default.",
    ),
];

static DEFAULTS: Record = Record {
    noun: "`defaults`",
    groups: &[READING],
    rules: &[],
};

static TLS: Record = Record {
    noun: "`tls`",
    groups: &[&[
        field(
            "ca_file",
            Text(&leaf::FILE),
            "PEM file with the authorities to trust instead of the machine's.",
        ),
        field(
            "cert_file",
            Text(&leaf::FILE),
            "PEM file with our certificate.",
        ),
        field(
            "key_file",
            Text(&leaf::FILE),
            "PEM file with the key of our certificate.",
        ),
        field(
            "server_name",
            Text(&leaf::WORD),
            "Name that the target's certificate must have, where it is not the host.",
        ),
        field(
            "insecure_skip_verify",
            Switch,
            "Take any certificate: what is read may then come from anyone in between.",
        ),
    ]],
    rules: &[
        Rule::Needs("cert_file", "key_file"),
        Rule::Needs("key_file", "cert_file"),
    ],
};

static AUTH: Record = Record {
    noun: "`auth`",
    groups: &[&[
        field(
            "token_file",
            Text(&leaf::FILE),
            "File with a bearer token, read again for each request.",
        ),
        field(
            "token",
            Text(&leaf::SECRET),
            "A bearer token from the environment: `${NAME}`.",
        ),
        field(
            "username",
            Text(&leaf::WORD),
            "User name for basic authentication.",
        ),
        field(
            "password_file",
            Text(&leaf::FILE),
            "File with the password, read again for each request.",
        ),
        field(
            "password",
            Text(&leaf::SECRET),
            "The password from the environment: `${NAME}`.",
        ),
    ]],
    rules: &[
        Rule::OneOf(&["token_file", "token", "username"]),
        Rule::AtMostOne(&["password_file", "password"]),
        Rule::Needs("password_file", "username"),
        Rule::Needs("password", "username"),
    ],
};

static SOURCE: Record = Record {
    noun: "a source",
    groups: &[
        &[
            field(
                "kind",
                Text(&leaf::NAME),
                "The kind of backend; told from its page where it is not said.",
            ),
            field(
                "endpoint",
                Text(&leaf::ENDPOINT),
                "URL or HOST:PORT; `/metrics` is added where there is no path.",
            ),
            field(
                "endpoints",
                List(&Text(&leaf::ENDPOINT)),
                "Several of them.",
            ),
        ],
        READING,
    ],
    rules: &[Rule::OneOf(&["endpoint", "endpoints"])],
};

static DISCOVERY: Record = Record {
    noun: "a discovery",
    groups: &[
        &[
            field(
                "files",
                OneOrMore(&Text(&leaf::TARGET_FILES)),
                "Target files as Prometheus reads them (file_sd); `*` may stand in the name.",
            ),
            field(
                "http",
                Shape::Record(&HTTP),
                "A URL that answers with targets (http_sd).",
            ),
            field("dns", Shape::Record(&DNS), "Names in DNS."),
            field(
                "kubernetes",
                Shape::Record(&KUBERNETES),
                "Pods of a cluster, by label.",
            ),
            field(
                "kind",
                Text(&leaf::NAME),
                "The kind of backend; told from the target's labels or page where it is not said.",
            ),
            field(
                "map_labels",
                Map {
                    key: &leaf::LABEL,
                    value: &Text(&leaf::LABEL),
                },
                "Discovered labels (`__meta_…` too) that become labels of ours: from, to.",
            ),
            field(
                "keep",
                List(&Shape::Record(&CONDITION)),
                "Read only targets for which all of these hold.",
            ),
            field(
                "drop",
                List(&Shape::Record(&CONDITION)),
                "Leave out targets for which one of these holds.",
            ),
        ],
        READING,
    ],
    rules: &[Rule::OneOf(&["files", "http", "dns", "kubernetes"])],
};

static CONDITION: Record = Record {
    noun: "a condition",
    groups: &[&[
        required(
            "label",
            Text(&leaf::LABEL),
            "A discovered label; one that is missing is empty. `__address__` is the address.",
        ),
        required(
            "matches",
            Text(&leaf::REGEX),
            "An expression that the whole value must match.",
        ),
    ]],
    rules: &[],
};

static HTTP: Record = Record {
    noun: "`http`",
    groups: &[&[
        required("url", Text(&leaf::URL), "What is asked."),
        field(
            "refresh",
            Text(&leaf::DURATION),
            "How often; 60s by default.",
        ),
        field("tls", Shape::Record(&TLS), "TLS to that server."),
        field("auth", Shape::Record(&AUTH), "Who we are to that server."),
    ]],
    rules: &[],
};

static DNS: Record = Record {
    noun: "`dns`",
    groups: &[&[
        required("names", OneOrMore(&Text(&leaf::HOST)), "Names to look up."),
        field(
            "type",
            Word(&["ip", "a", "aaaa", "srv"]),
            "Records to ask for: addresses of either family (ip, the default), of one, or services.",
        ),
        field(
            "port",
            Whole {
                least: 1,
                most: 65_535,
            },
            "Port of the targets; srv brings its own.",
        ),
        field(
            "refresh",
            Text(&leaf::DURATION),
            "Longest time between two lookups; 30s by default, sooner where the TTL is shorter.",
        ),
        field(
            "server",
            Text(&leaf::WORD),
            "Name server, ADDRESS:PORT; the machine's own by default.",
        ),
        field(
            "scheme",
            Word(&["http", "https"]),
            "How targets are read; http by default.",
        ),
        field(
            "path",
            Text(&leaf::URL_PATH),
            "Path of the targets' page; /metrics by default.",
        ),
    ]],
    rules: &[],
};

static KUBERNETES: Record = Record {
    noun: "`kubernetes`",
    groups: &[&[
        field(
            "api",
            Text(&leaf::URL),
            "URL of the API server; the cluster's own by default.",
        ),
        field(
            "namespaces",
            OneOrMore(&Text(&leaf::HOST)),
            "Namespaces to look in; all by default.",
        ),
        field(
            "selector",
            Text(&leaf::WORD),
            "Label selector, for instance app=vllm.",
        ),
        field(
            "port",
            Text(&leaf::WORD),
            "Name or number of the container port; the first declared one by default.",
        ),
        field(
            "scheme",
            Word(&["http", "https"]),
            "How pods are read; http by default.",
        ),
        field(
            "path",
            Text(&leaf::URL_PATH),
            "Path of the pods' page; /metrics by default.",
        ),
        field(
            "tls",
            Shape::Record(&TLS),
            "TLS to the API server; the service account's authority by default.",
        ),
        field(
            "auth",
            Shape::Record(&AUTH),
            "Who we are to the API server; the service account by default.",
        ),
    ]],
    rules: &[],
};

static DIALECTS: Record = Record {
    noun: "`dialects`",
    groups: &[&[
        field(
            "speak",
            OneOrMore(&Text(&leaf::NAME)),
            "Names of dialects; llm by default.",
        ),
        field(
            "define",
            List(&Shape::Record(&DIALECT)),
            "Dialects of your own.",
        ),
    ]],
    rules: &[],
};

static DIALECT: Record = Record {
    noun: "a dialect",
    groups: &[&[
        required("name", Text(&leaf::NAME), "What it is asked for by."),
        required(
            "rows",
            List(&Shape::Record(&DIALECT_ROW)),
            "What goes out under which name.",
        ),
    ]],
    rules: &[],
};

const TYPES: &[&str] = &[
    "counter",
    "gauge",
    "histogram",
    "summary",
    "unknown",
    "info",
    "stateset",
];

static DIALECT_ROW: Record = Record {
    noun: "a row of a dialect",
    groups: &[&[
        field("family", Text(&leaf::METRIC), "A family."),
        field(
            "ratio",
            List(&Text(&leaf::METRIC)),
            "Two families: the first divided by the second.",
        ),
        field(
            "diff",
            List(&Text(&leaf::METRIC)),
            "Two families: the first less the second.",
        ),
        field("sum", List(&Text(&leaf::METRIC)), "Two families together."),
        required("name", Text(&leaf::METRIC), "The name on the page."),
        required("type", Word(TYPES), "The type on the page."),
        field("factor", Number, "What values are multiplied with."),
        field(
            "when",
            Map {
                key: &leaf::LABEL,
                value: &Text(&leaf::TEXT),
            },
            "Only series with these labels.",
        ),
        field(
            "when_not",
            Map {
                key: &leaf::LABEL,
                value: &Text(&leaf::TEXT),
            },
            "Only series without these labels.",
        ),
        field(
            "rename_labels",
            Map {
                key: &leaf::LABEL,
                value: &Text(&leaf::LABEL),
            },
            "Labels that go out under another name: from, to.",
        ),
        field(
            "drop_labels",
            OneOrMore(&Text(&leaf::LABEL)),
            "Labels that are left out.",
        ),
        field(
            "constant_labels",
            Map {
                key: &leaf::LABEL,
                value: &Text(&leaf::TEXT),
            },
            "Labels that are added.",
        ),
        field(
            "help",
            Text(&leaf::HELP),
            "Another help text than the family's.",
        ),
    ]],
    rules: &[Rule::OneOf(&["family", "ratio", "diff", "sum"])],
};

static CATALOGUE: Record = Record {
    noun: "a catalogue",
    groups: &[&[
        required(
            "backend",
            Text(&leaf::NAME),
            "The kind of backend, as sources name it and as in the label `backend`.",
        ),
        field(
            "prefixes",
            OneOrMore(&Text(&leaf::WORD)),
            "What the engine's names begin with; taken off before rows are looked up.",
        ),
        field(
            "empty_is_fine",
            Switch,
            "A page without samples is fine: a server that was not used yet.",
        ),
        field(
            "families",
            List(&Shape::Record(&FAMILY)),
            "Families of this engine that Tokenpath does not have.",
        ),
        required(
            "rows",
            List(&Shape::Record(&ROW)),
            "What becomes of the engine's families.",
        ),
        field(
            "left_out",
            List(&Shape::Record(&LEFT_OUT)),
            "Families that are left out on purpose.",
        ),
    ]],
    rules: &[],
};

static FAMILY: Record = Record {
    noun: "a family",
    groups: &[&[
        required(
            "name",
            Text(&leaf::METRIC),
            "Its name, with unit and `_total`.",
        ),
        required("type", Word(TYPES), "Its type."),
        field(
            "unit",
            Word(&[
                "none", "seconds", "bytes", "ratio", "joules", "watts", "celsius", "hertz",
            ]),
            "Its unit; none by default.",
        ),
        required("help", Text(&leaf::HELP), "What is measured, and when."),
        field(
            "rollup",
            Word(&["none", "sum", "max"]),
            "How series are combined; sum for counters and histograms, else none.",
        ),
    ]],
    rules: &[],
};

static LABELLED: Record = Record {
    noun: "`label_number`",
    groups: &[&[
        required("label", Text(&leaf::LABEL), "The upstream label."),
        required("family", Text(&leaf::METRIC), "The family."),
    ]],
    rules: &[],
};

static ITEMS: Record = Record {
    noun: "`label_items`",
    groups: &[&[
        required(
            "label",
            Text(&leaf::LABEL),
            "The upstream label with a comma-separated list.",
        ),
        required("family", Text(&leaf::METRIC), "The family."),
        required("item", Text(&leaf::LABEL), "The label that names the item."),
    ]],
    rules: &[],
};

static ROW: Record = Record {
    noun: "a row of a catalogue",
    groups: &[&[
        required(
            "upstream",
            Text(&leaf::METRIC),
            "The name on the page without the prefix; a counter with `_total`, a histogram without `_bucket`.",
        ),
        required("type", Word(TYPES), "The type on the page."),
        field("family", Text(&leaf::METRIC), "It becomes this family."),
        field("sum", Text(&leaf::METRIC), "Its sum becomes this counter."),
        field(
            "count",
            Text(&leaf::METRIC),
            "Its count becomes this counter.",
        ),
        field(
            "facts",
            Text(&leaf::METRIC),
            "Its labels become the facts of this family.",
        ),
        field(
            "label_number",
            Shape::Record(&LABELLED),
            "The text of a label becomes the value of a gauge.",
        ),
        field(
            "label_count",
            Shape::Record(&LABELLED),
            "The length of the list in a label becomes the value of a gauge.",
        ),
        field(
            "label_items",
            Shape::Record(&ITEMS),
            "Each item of the list in a label becomes a series.",
        ),
        field("drop", Text(&leaf::HELP), "It is dropped, for this reason."),
        field(
            "labels",
            List(&Shape::Record(&LABEL_RULE)),
            "What becomes of its labels, in this order.",
        ),
        field("multiply", Number, "What values are multiplied with."),
        field(
            "divide",
            Number,
            "What values are divided by: 1000 makes seconds of milliseconds.",
        ),
        field(
            "superseded_by",
            OneOrMore(&Text(&leaf::METRIC)),
            "Upstream names that say the same better.",
        ),
        field(
            "processes",
            Word(&["sum", "max"]),
            "How series that differ only in `pid` become one; max by default.",
        ),
        field("sentinel", Number, "A value that means: no value."),
        field(
            "newest",
            Switch,
            "Only the series with the largest value counts.",
        ),
        field(
            "since",
            Text(&leaf::HELP),
            "The first release that has it. Documentation.",
        ),
        field(
            "until",
            Text(&leaf::HELP),
            "The last release that has it. Documentation.",
        ),
        field(
            "note",
            Text(&leaf::HELP),
            "What a reader should know. Documentation.",
        ),
    ]],
    rules: &[
        Rule::OneOf(&[
            "family",
            "sum",
            "count",
            "facts",
            "label_number",
            "label_count",
            "label_items",
            "drop",
        ]),
        Rule::AtMostOne(&["multiply", "divide"]),
        Rule::Needs("until", "since"),
    ],
};

static LABEL_RULE: Record = Record {
    noun: "a label rule",
    groups: &[&[
        field(
            "rename",
            Shape::Record(&FROM_TO),
            "Another name for a label.",
        ),
        field("drop", Text(&leaf::LABEL), "A label that is left out."),
        field(
            "keep",
            OneOrMore(&Text(&leaf::LABEL)),
            "All labels but these are left out.",
        ),
        field("map", Shape::Record(&MAP_VALUE), "One value for another."),
        field(
            "constant",
            Shape::Record(&LABEL_AND_VALUE),
            "A label that upstream does not have.",
        ),
        field(
            "default",
            Shape::Record(&LABEL_AND_VALUE),
            "The value of a label that may be missing or empty.",
        ),
    ]],
    rules: &[Rule::OneOf(&[
        "rename", "drop", "keep", "map", "constant", "default",
    ])],
};

static FROM_TO: Record = Record {
    noun: "`rename`",
    groups: &[&[
        required("from", Text(&leaf::LABEL), "The name upstream."),
        required("to", Text(&leaf::LABEL), "Our name."),
    ]],
    rules: &[],
};

static MAP_VALUE: Record = Record {
    noun: "`map`",
    groups: &[&[
        required(
            "label",
            Text(&leaf::LABEL),
            "The label, by its name at this point.",
        ),
        required("from", Text(&leaf::TEXT), "Upstream's value."),
        required("to", Text(&leaf::TEXT), "Ours."),
    ]],
    rules: &[],
};

static LABEL_AND_VALUE: Record = Record {
    noun: "a label with its value",
    groups: &[&[
        required("label", Text(&leaf::LABEL), "Its name."),
        required("value", Text(&leaf::TEXT), "Its value."),
    ]],
    rules: &[],
};

static LEFT_OUT: Record = Record {
    noun: "a family left out",
    groups: &[&[
        required(
            "pattern",
            Text(&leaf::FAMILIES),
            "The full name, or its beginning and `*`.",
        ),
        required("why", Text(&leaf::HELP), "Why."),
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
    ]],
    rules: &[],
};
