//! Where targets are found.

use super::super::{Record, Rule, Shape, field, required};
use super::reading::{AUTH, READING, TLS};
use crate::leaf;

use Shape::{List, Map, OneOrMore, Text, Whole, Word};

pub(super) static DISCOVERY: Record = Record {
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
