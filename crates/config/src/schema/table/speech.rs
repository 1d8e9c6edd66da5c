//! Names: dialects that go out, catalogues of engines that come in.

use super::super::{Record, Rule, Shape, field, required};
use crate::leaf;

use Shape::{List, Map, Number, OneOrMore, Switch, Text, Word};

pub(super) static DIALECTS: Record = Record {
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
            "copy_labels",
            Map {
                key: &leaf::LABEL,
                value: &Text(&leaf::LABEL),
            },
            "Labels that go out under a second name as well: from, to.",
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

pub(super) static CATALOGUE: Record = Record {
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

static LABEL_NUMBER: Record = Record {
    noun: "`label_number`",
    groups: &[&[
        required("label", Text(&leaf::LABEL), "The upstream label."),
        required("family", Text(&leaf::METRIC), "The family."),
        field(
            "shared_by",
            Text(&leaf::LABEL),
            "The upstream label that tells apart who shares the number, where it is their sum and stands on the series of each: each gets its part, if that is whole.",
        ),
    ]],
    rules: &[],
};

static LABEL_COUNT: Record = Record {
    noun: "`label_count`",
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
            Shape::Record(&LABEL_NUMBER),
            "The text of a label becomes the value of a gauge.",
        ),
        field(
            "label_count",
            Shape::Record(&LABEL_COUNT),
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
