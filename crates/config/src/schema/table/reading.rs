//! How a target is read, and the sources that are known.

use super::super::{Field, Record, Rule, Shape, field, required};
use crate::leaf;

use Shape::{List, Map, OneOrMore, Switch, Text, Whole, Word};

/// How a target is read.
pub(super) static READING: &[Field] = &[
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
    field(
        "tgi",
        Shape::Record(&TGI),
        "What holds for TGI servers alone.",
    ),
    field(
        "limitador",
        Shape::Record(&LIMITADOR),
        "What holds for Limitador alone.",
    ),
    field(
        "gateway",
        Shape::Record(&GATEWAY),
        "What holds for endpoint pickers alone.",
    ),
];

pub(super) static DEFAULTS: Record = Record {
    noun: "`defaults`",
    groups: &[READING],
    rules: &[],
};

pub(super) static TLS: Record = Record {
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

pub(super) static AUTH: Record = Record {
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

static TGI: Record = Record {
    noun: "`tgi`",
    groups: &[&[
        field(
            "model_name",
            Text(&leaf::WORD),
            "Name of the model, instead of the one that the server says.",
        ),
        field(
            "batch_size_histogram",
            Switch,
            "Take over the histogram of batch sizes, which has 1,024 buckets.",
        ),
    ]],
    rules: &[],
};

static LIMITADOR: Record = Record {
    noun: "`limitador`",
    groups: &[&[
        field(
            "tenant",
            OneOrMore(&Text(&leaf::WORD)),
            "Labels of its page, or variables of its counters, that name the tenant; the first that a series has counts.",
        ),
        field(
            "keep",
            Map {
                key: &leaf::WORD,
                value: &Text(&leaf::LABEL),
            },
            "Other labels or variables to keep, and what to call them.",
        ),
        field(
            "tenant_key_file",
            Text(&leaf::FILE),
            "File with a key of at least 16 bytes: tenants are shown as a keyed hash.",
        ),
        field(
            "namespaces",
            OneOrMore(&Text(&leaf::WORD)),
            "Namespaces whose limits and counters are asked for, beside those on the page.",
        ),
        field(
            "token_namespaces",
            OneOrMore(&Text(&leaf::WORD)),
            "Namespaces whose hits are tokens, `*` for all; hits of others are called hits.",
        ),
        field(
            "admin",
            Switch,
            "Whether its admin API is read beside the page; true by default.",
        ),
    ]],
    rules: &[],
};

static GATEWAY: Record = Record {
    noun: "`gateway`",
    groups: &[&[field(
        "fairness_limit",
        Whole {
            least: 0,
            most: 1_000_000,
        },
        "Most fairness ids with series of their own; 100 by default. Others become `other` together.",
    )]],
    rules: &[],
};

pub(super) static SOURCE: Record = Record {
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

pub(super) static MODULE: Record = Record {
    noun: "a module",
    groups: &[
        &[
            required(
                "name",
                Text(&leaf::NAME),
                "What requests call it: `module=NAME`.",
            ),
            required("kind", Text(&leaf::NAME), "The kind of backend."),
        ],
        READING,
    ],
    rules: &[],
};
