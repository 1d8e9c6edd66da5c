//! The naming rules as code: what every [`Desc`] of the house keeps to.
//!
//! They are the conventions of Prometheus (base units, `_total` on counters and nowhere else, no type
//! in a name), what `promtool check metrics` looks for, and a few rules of ours: one of our prefixes,
//! no colon, a unit that is also the suffix, help on one line. Each backend checks its families in a
//! test; a page in the canonical dialect is then silent under promtool.
//!
//! ```
//! use tokenpath_core::lint::{self, Rule};
//! use tokenpath_core::{Desc, MetricType, Unit};
//!
//! let good = Desc::new("llm_request_queue_seconds", MetricType::Histogram, Unit::Seconds, "Time in the queue.");
//! assert_eq!(lint::check(&good), []);
//!
//! let bad = Desc::new("llm_queueTime_ms", MetricType::Gauge, Unit::None, "Time in the queue.");
//! let broken: Vec<_> = lint::check(&bad).into_iter().map(|finding| finding.rule()).collect();
//! assert_eq!(broken, [Rule::NotSnakeCase, Rule::NotABaseUnit]);
//! ```

use std::fmt;

use crate::{Desc, MetricType, Unit, is_label_name};

/// The first word of every name of the house.
pub const PREFIXES: [&str; 4] = ["llm_", "gpu_", "tokenpath_", "process_"];

/// Labels that a family must not have: the formats or the servers give them a meaning of their own.
pub const RESERVED_LABELS: [&str; 6] = ["le", "quantile", "job", "instance", "endpoint", "type"];

/// Suffixes that the formats append to the names of histograms, summaries and others.
const SAMPLE_SUFFIXES: [&str; 6] = ["_bucket", "_count", "_sum", "_created", "_gcount", "_gsum"];

/// Units that are not base units, and the short forms of units.
const WRONG_UNITS: [&str; 36] = [
    "ms",
    "us",
    "ns",
    "milliseconds",
    "microseconds",
    "nanoseconds",
    "minutes",
    "hours",
    "days",
    "kb",
    "mb",
    "gb",
    "tb",
    "kib",
    "mib",
    "gib",
    "kilobytes",
    "megabytes",
    "gigabytes",
    "mebibytes",
    "bits",
    "percent",
    "perc",
    "percents",
    "mw",
    "milliwatts",
    "kilowatts",
    "mj",
    "millijoules",
    "mhz",
    "ghz",
    "megahertz",
    "gigahertz",
    "fahrenheit",
    "kelvin",
    "sec",
];

/// Words that say the type.
const TYPE_WORDS: [&str; 5] = ["counter", "gauge", "histogram", "summary", "untyped"];

/// A naming rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Rule {
    /// The name begins with one of [`PREFIXES`].
    Prefix,
    /// Lower-case letters, digits and single underscores; no colon, none at either end.
    NotSnakeCase,
    /// A name with a unit ends in it, before `_total`.
    UnitSuffix,
    /// A name that ends in a base unit has that unit.
    UnitUnsaid,
    /// Seconds, not milliseconds; bytes, not megabytes; a ratio, not percent.
    NotABaseUnit,
    /// A counter ends in `_total`.
    CounterWithoutTotal,
    /// Nothing but a counter ends in `_total`.
    TotalWithoutCounter,
    /// An info ends in `_info`, and nothing else does.
    Info,
    /// A name does not end in what the formats append: `_bucket`, `_count`, `_sum`, `_created` ….
    SampleSuffix,
    /// The type is not part of the name.
    TypeInName,
    /// There is a help text.
    NoHelp,
    /// The help is one line that needs no escape, without blanks at its ends.
    HelpText,
    /// A label name is in snake case.
    LabelName,
    /// A label is none of [`RESERVED_LABELS`], nor begins with two underscores.
    ReservedLabel,
    /// A label is documented once.
    LabelTwice,
}

impl Rule {
    /// What is wrong, as a clause.
    #[must_use]
    pub const fn message(self) -> &'static str {
        match self {
            Self::Prefix => "the name must begin with llm_, gpu_, tokenpath_ or process_",
            Self::NotSnakeCase => "the name must be lower-case words joined by single underscores",
            Self::UnitSuffix => "the name must end in its unit, before _total",
            Self::UnitUnsaid => "the name ends in a unit that the description does not have",
            Self::NotABaseUnit => "the name has a unit that is not a base unit",
            Self::CounterWithoutTotal => "a counter must end in _total",
            Self::TotalWithoutCounter => "only a counter may end in _total",
            Self::Info => "an info must end in _info, and nothing else may",
            Self::SampleSuffix => "the name ends in a suffix that the formats append",
            Self::TypeInName => "the type must not be part of the name",
            Self::NoHelp => "there is no help text",
            Self::HelpText => {
                "the help must be one line without backslash, quote or blanks at its ends"
            }
            Self::LabelName => "a label must be lower-case words joined by single underscores",
            Self::ReservedLabel => "a label has a name that means something else",
            Self::LabelTwice => "a label is documented twice",
        }
    }
}

/// A rule that a family breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    family: Box<str>,
    rule: Rule,
}

impl Finding {
    /// The name of the family.
    #[must_use]
    pub fn family(&self) -> &str {
        &self.family
    }

    /// The rule.
    #[must_use]
    pub const fn rule(&self) -> Rule {
        self.rule
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.family, self.rule.message())
    }
}

/// Every rule that a family breaks, in the order of the rules; empty where it breaks none.
#[must_use]
pub fn check(desc: &Desc) -> Vec<Finding> {
    let name = desc.name();
    let (stem, is_total) = match name.strip_suffix("_total") {
        Some(stem) => (stem, true),
        None => (name, false),
    };
    let is_counter = desc.kind() == MetricType::Counter;
    let unit = desc.unit().suffix();
    let words = || stem.split('_');
    let last = words().next_back().unwrap_or_default();
    let labels = desc.label_names();
    let help = desc.help();
    let is_reserved = |label: &&str| RESERVED_LABELS.contains(label) || label.starts_with("__");
    let broken = [
        (
            Rule::Prefix,
            !PREFIXES.iter().any(|prefix| name.starts_with(prefix)),
        ),
        (Rule::NotSnakeCase, !is_snake_case(name)),
        (Rule::UnitSuffix, desc.unit() != Unit::None && last != unit),
        (
            Rule::UnitUnsaid,
            BASE_UNITS
                .iter()
                .any(|base| base.suffix() == last && *base != desc.unit()),
        ),
        (
            Rule::NotABaseUnit,
            words().any(|word| WRONG_UNITS.contains(&word)),
        ),
        (Rule::CounterWithoutTotal, is_counter && !is_total),
        (Rule::TotalWithoutCounter, is_total && !is_counter),
        (
            Rule::Info,
            (desc.kind() == MetricType::Info) != name.ends_with("_info"),
        ),
        (
            Rule::SampleSuffix,
            SAMPLE_SUFFIXES.iter().any(|suffix| name.ends_with(suffix)),
        ),
        (
            Rule::TypeInName,
            words().any(|word| TYPE_WORDS.contains(&word)),
        ),
        (Rule::NoHelp, help.is_empty()),
        (
            Rule::HelpText,
            help.contains(['\\', '"', '\n', '\r']) || help.trim() != help,
        ),
        (
            Rule::LabelName,
            !labels
                .iter()
                .all(|label| is_label_name(label) && is_snake_case(label.trim_start_matches('_'))),
        ),
        (Rule::ReservedLabel, labels.iter().any(is_reserved)),
        (
            Rule::LabelTwice,
            (1..labels.len()).any(|at| labels[..at].contains(&labels[at])),
        ),
    ];
    let findings = broken.into_iter().filter(|(_, is_broken)| *is_broken);
    findings
        .map(|(rule, _)| Finding {
            family: name.into(),
            rule,
        })
        .collect()
}

/// Every finding of all families, and every name that two of them have.
#[must_use]
pub fn check_all<'d>(descs: impl IntoIterator<Item = &'d Desc>) -> Vec<String> {
    let mut names = std::collections::BTreeMap::new();
    let mut findings = Vec::new();
    for desc in descs {
        findings.extend(check(desc).iter().map(ToString::to_string));
        for name in taken_names(desc) {
            if let Some(other) = names.insert(name.clone(), desc.name()) {
                findings.push(format!("{}: {other} has the name {name} too", desc.name()));
            }
        }
    }
    findings
}

const BASE_UNITS: [Unit; 7] = [
    Unit::Seconds,
    Unit::Bytes,
    Unit::Ratio,
    Unit::Joules,
    Unit::Watts,
    Unit::Celsius,
    Unit::Hertz,
];

fn is_snake_case(name: &str) -> bool {
    let is_word = |word: &str| {
        !word.is_empty()
            && word
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    name.starts_with(|first: char| first.is_ascii_lowercase()) && name.split('_').all(is_word)
}

fn taken_names(desc: &Desc) -> impl Iterator<Item = String> {
    let suffixes = crate::dialect::sample_suffixes(desc.kind());
    let name = desc.name();
    std::iter::once(name.to_owned())
        .chain(suffixes.iter().map(move |suffix| format!("{name}{suffix}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(name: &'static str, kind: MetricType, unit: Unit) -> Vec<Rule> {
        let desc = Desc::new(name, kind, unit, "Help.");
        check(&desc).iter().map(Finding::rule).collect()
    }

    #[test]
    fn names_are_held_against_every_rule() {
        use MetricType::{Counter, Gauge, Histogram, Info};
        #[rustfmt::skip]
        let cases = [
            ("llm_requests_running", Gauge, Unit::None, &[][..]),
            ("gpu_energy_joules_total", Counter, Unit::Joules, &[]),
            ("llm_engine_info", Info, Unit::None, &[]),
            ("llm_time_to_first_token_seconds", Histogram, Unit::Seconds, &[]),
            ("tokenpath_source_last_success_timestamp_seconds", Gauge, Unit::Seconds, &[]),
            ("vllm_requests", Gauge, Unit::None, &[Rule::Prefix]),
            ("llm:requests", Gauge, Unit::None, &[Rule::Prefix, Rule::NotSnakeCase]),
            ("llm_requestsRunning", Gauge, Unit::None, &[Rule::NotSnakeCase]),
            ("llm__requests", Gauge, Unit::None, &[Rule::NotSnakeCase]),
            ("llm_queue", Gauge, Unit::Seconds, &[Rule::UnitSuffix]),
            ("llm_queue_seconds", Gauge, Unit::None, &[Rule::UnitUnsaid]),
            ("llm_seconds_queue", Gauge, Unit::Seconds, &[Rule::UnitSuffix]),
            ("llm_queue_ms", Gauge, Unit::None, &[Rule::NotABaseUnit]),
            ("llm_usage_percent", Gauge, Unit::None, &[Rule::NotABaseUnit]),
            ("llm_tokens", Counter, Unit::None, &[Rule::CounterWithoutTotal]),
            ("llm_tokens_total", Gauge, Unit::None, &[Rule::TotalWithoutCounter]),
            ("llm_engine", Info, Unit::None, &[Rule::Info]),
            ("llm_engine_info", Gauge, Unit::None, &[Rule::Info]),
            ("llm_request_count", Gauge, Unit::None, &[Rule::SampleSuffix]),
            ("llm_tokens_histogram", Histogram, Unit::None, &[Rule::TypeInName]),
        ];
        for (name, kind, unit, want) in cases {
            assert_eq!(rules(name, kind, unit), want, "{name}");
        }
    }

    #[test]
    fn help_and_labels_are_held_against_theirs() {
        let desc =
            |help, labels| Desc::new("llm_a", MetricType::Gauge, Unit::None, help).labels(labels);
        let rules = |help, labels| -> Vec<Rule> {
            check(&desc(help, labels))
                .iter()
                .map(Finding::rule)
                .collect()
        };
        assert_eq!(rules("Fine.", &["engine", "finish_reason"]), []);
        assert_eq!(rules("", &[]), [Rule::NoHelp]);
        for help in ["a\\b", "a\nb", "say \"x\"", " a", "a "] {
            assert_eq!(rules(help, &[]), [Rule::HelpText], "{help:?}");
        }
        assert_eq!(rules("Fine.", &["modelName"]), [Rule::LabelName]);
        assert_eq!(rules("Fine.", &["model-name"]), [Rule::LabelName]);
        assert_eq!(rules("Fine.", &["le"]), [Rule::ReservedLabel]);
        assert_eq!(rules("Fine.", &["__name"]), [Rule::ReservedLabel]);
        assert_eq!(rules("Fine.", &["a", "b", "a"]), [Rule::LabelTwice]);
    }

    #[test]
    fn the_shared_families_keep_to_the_rules() {
        let families = crate::tokenpath::families();
        assert_eq!(check_all(families.iter().map(|desc| &**desc)), [""; 0]);
    }

    #[test]
    fn two_families_do_not_share_a_name_nor_that_of_a_sample() {
        let a = Desc::new("llm_a", MetricType::Histogram, Unit::None, "Help.");
        let b = Desc::new("llm_a_sum", MetricType::Gauge, Unit::None, "Help.");
        let findings = check_all([&a, &b]);
        assert_eq!(
            findings,
            [
                "llm_a_sum: the name ends in a suffix that the formats append",
                "llm_a_sum: llm_a has the name llm_a_sum too",
            ]
        );
        assert!(check_all([&a]).is_empty());
    }
}
