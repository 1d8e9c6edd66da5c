//! What the parts of a query are: a counter or a gauge, in which unit, of which family, with which
//! labels. Where that is not sure, it is unknown, and no rule says anything.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokenpath_core::{MetricType, Unit};

use crate::names::{Family, Found, Measure, Names, Part};
use crate::promql::tree::{Aggregate, Binary, Kind as Node, Matcher, Node as Tree, Selector, Sign};

/// What a part of a query is.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Meaning {
    pub(crate) kind: Kind,
    pub(crate) measure: Option<Measure>,
    /// The family that it is of, where it is of one.
    pub(crate) family: Option<Arc<Family>>,
    pub(crate) part: Option<Part>,
    /// All labels that it may have; `None` where that is not known.
    pub(crate) labels: Option<BTreeSet<String>>,
    /// Labels that a matcher of its selector speaks of.
    pub(crate) matched: BTreeSet<String>,
    /// Labels that have one value, and which.
    pub(crate) pinned: BTreeMap<String, String>,
}

/// The kinds of numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Kind {
    #[default]
    Unknown,
    /// It only rises: a counter, or a bucket, sum or count of a histogram.
    Counter,
    Gauge,
    /// The name of a histogram itself, which has no samples.
    HistogramName,
    /// The quantile of a summary.
    SummaryQuantile,
    /// How fast, or how much, a counter rose.
    Rate,
    /// Events over events: a share or a mean, which cannot be averaged on.
    Quotient,
    /// A quantile of a histogram.
    Quantile,
    /// 0 or 1, or a count of series.
    Count,
}

/// What rules that are linted together record.
pub(crate) type Records = BTreeMap<String, Meaning>;

/// Where names are looked up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct World<'w> {
    pub(crate) names: &'w Names,
    pub(crate) records: &'w Records,
    /// Labels that the operator says their scrape adds.
    pub(crate) labels: &'w BTreeSet<String>,
}

impl World<'_> {
    /// What a part of a query is.
    pub(crate) fn meaning(&self, text: &str, node: &Tree) -> Meaning {
        match &node.kind {
            Node::Number(_) | Node::Text => Meaning::default(),
            Node::Selector(selector) => self.selector(text, selector),
            Node::Group(inner) | Node::Subquery { inner } => self.meaning(text, inner),
            Node::Signed { inner, .. } => self.meaning(text, inner),
            Node::Call { name, arguments } => {
                let name = text.get(name.clone()).unwrap_or_default();
                self.call(text, name, arguments)
            }
            Node::Aggregate(aggregate) => self.aggregate(text, aggregate),
            Node::Binary(both) => self.binary(text, both),
        }
    }

    fn selector(&self, text: &str, selector: &Selector) -> Meaning {
        let name = text.get(selector.name.clone()).unwrap_or_default();
        let mut meaning = match (self.records.get(name), self.names.find(name)) {
            (Some(recorded), _) => recorded.clone(),
            (None, Found::Known(family, part)) => of_family(family, part),
            _ => return Meaning::default(),
        };
        for matcher in &selector.matchers {
            let label = text.get(matcher.label.clone()).unwrap_or_default();
            meaning.match_label(label, matcher);
        }
        meaning
    }

    fn call(&self, text: &str, name: &str, arguments: &[Tree]) -> Meaning {
        let argument = |index: usize| {
            let argument = arguments.get(index);
            argument
                .map(|node| self.meaning(text, node))
                .unwrap_or_default()
        };
        match name {
            "rate" | "irate" | "increase" => Meaning {
                kind: Kind::Rate,
                ..argument(0)
            },
            "histogram_quantile" => {
                let of = argument(1);
                let mut labels = of.labels;
                if let Some(labels) = &mut labels {
                    labels.remove("le");
                }
                // Of buckets it is what was observed, in its unit; they count, and have none.
                let observed = of.family.as_ref().and_then(|family| family.measure);
                Meaning {
                    kind: Kind::Quantile,
                    measure: observed.filter(|_| of.part == Some(Part::Bucket)),
                    part: Some(Part::Value),
                    labels,
                    ..of
                }
            }
            "sum_over_time" => Meaning {
                measure: None,
                ..argument(0)
            },
            "avg_over_time" | "min_over_time" | "max_over_time" | "last_over_time" | "abs"
            | "ceil" | "floor" | "round" | "clamp" | "clamp_min" | "clamp_max" | "sort"
            | "sort_desc" | "scalar" | "vector" => argument(0),
            "quantile_over_time" => argument(1),
            "predict_linear" => Meaning {
                kind: Kind::Gauge,
                ..argument(0)
            },
            "delta" | "idelta" | "deriv" => Meaning {
                kind: Kind::Gauge,
                measure: None,
                family: None,
                ..argument(0)
            },
            "label_replace" | "label_join" => Meaning {
                labels: None,
                ..argument(0)
            },
            "count_over_time" | "present_over_time" | "changes" | "resets" => Meaning {
                kind: Kind::Count,
                labels: argument(0).labels,
                ..Meaning::default()
            },
            _ => Meaning::default(),
        }
    }

    fn aggregate(&self, text: &str, aggregate: &Aggregate) -> Meaning {
        let mut meaning = self.meaning(text, &aggregate.inner);
        let name = text.get(aggregate.name.clone()).unwrap_or_default();
        let selects = matches!(name, "topk" | "bottomk" | "limitk" | "limit_ratio");
        let listed = |labels: &[std::ops::Range<usize>]| -> BTreeSet<String> {
            let of = |span: &std::ops::Range<usize>| text.get(span.clone()).unwrap_or_default();
            labels.iter().map(|span| of(span).to_owned()).collect()
        };
        if !selects {
            meaning.labels = match &aggregate.grouping {
                None => Some(BTreeSet::new()),
                Some(grouping) if grouping.without => {
                    let without = listed(&grouping.labels);
                    meaning.labels.map(|labels| &labels - &without)
                }
                Some(grouping) => Some(listed(&grouping.labels)),
            };
        }
        match name {
            "count" | "count_values" | "group" => Meaning {
                kind: Kind::Count,
                labels: meaning.labels,
                ..Meaning::default()
            },
            "stdvar" => Meaning {
                measure: None,
                ..meaning
            },
            _ => meaning,
        }
    }

    fn binary(&self, text: &str, both: &Binary) -> Meaning {
        let (left, right) = (
            self.meaning(text, &both.left),
            self.meaning(text, &both.right),
        );
        let scaled = |of: Meaning, by: f64| {
            let scale = |measure: Measure| {
                let factor = measure.factor * by;
                // A share times anything else is no share any more.
                let is_share = |whole: f64| (factor - whole).abs() < 1e-9 * whole;
                let stays = measure.unit != Unit::Ratio || is_share(1.0) || is_share(100.0);
                stays.then_some(Measure { factor, ..measure })
            };
            Meaning {
                measure: of.measure.and_then(scale),
                ..of
            }
        };
        match (both.sign, both.left.number(), both.right.number()) {
            (sign, ..) if both.compares() && both.is_bool => Meaning {
                kind: Kind::Count,
                labels: if sign.is_empty() { None } else { left.labels },
                ..Meaning::default()
            },
            _ if both.compares() => match both.left.number() {
                Some(_) => right,
                None => left,
            },
            ("and" | "unless", ..) => left,
            ("or", ..) => {
                let (mut known, other) = if left.kind == Kind::Unknown {
                    (right, left)
                } else {
                    (left, right)
                };
                // Labels of either may be there.
                known.labels = match (known.labels, other.labels) {
                    (Some(ours), Some(more)) => Some(&ours | &more),
                    _ => None,
                };
                known
            }
            ("*", Some(number), _) if number > 0.0 => scaled(right, number),
            ("*", _, Some(number)) if number > 0.0 => scaled(left, number),
            ("/", _, Some(number)) if number > 0.0 => scaled(left, 1.0 / number),
            ("+" | "-", Some(_), _) => right,
            ("+" | "-", _, Some(_)) => left,
            ("/", None, None) => quotient(left, right),
            ("+" | "-", None, None) => Meaning {
                kind: if left.kind == right.kind {
                    left.kind
                } else {
                    Kind::Unknown
                },
                measure: left.measure.filter(|_| left.measure == right.measure),
                labels: None,
                ..Meaning::default()
            },
            _ => Meaning::default(),
        }
    }
}

impl Meaning {
    fn match_label(&mut self, label: &str, matcher: &Matcher) {
        match matcher.sign {
            Sign::Is if !matcher.text.is_empty() => {
                self.pinned.insert(label.to_owned(), matcher.text.clone());
                self.matched.insert(label.to_owned());
            }
            Sign::Like => _ = self.matched.insert(label.to_owned()),
            _ => {}
        }
    }

    /// Whether it counts events of a histogram's bucket.
    pub(crate) fn is_buckets(&self) -> bool {
        self.part == Some(Part::Bucket) && matches!(self.kind, Kind::Counter | Kind::Rate)
    }

    /// Whether it is a share, as a fraction or in percent.
    pub(crate) fn is_share(&self) -> bool {
        let unit = self.measure.map(|measure| measure.unit);
        unit == Some(Unit::Ratio)
            && matches!(self.kind, Kind::Gauge | Kind::Quotient | Kind::Quantile)
    }
}

fn of_family(family: &Arc<Family>, part: Part) -> Meaning {
    let kind = match (family.kind, part) {
        (MetricType::Counter, _) => Kind::Counter,
        (MetricType::Histogram | MetricType::GaugeHistogram, Part::Value) => Kind::HistogramName,
        (MetricType::Summary, Part::Value) => Kind::SummaryQuantile,
        (MetricType::Histogram | MetricType::Summary, _) => Kind::Counter,
        (MetricType::Gauge | MetricType::Info | MetricType::StateSet, _) => Kind::Gauge,
        _ => Kind::Unknown,
    };
    let mut labels = family.labels.clone();
    if let Some(labels) = &mut labels {
        match (kind, part) {
            // The name of a histogram stands for its buckets, and has a rule of its own.
            (_, Part::Bucket) | (Kind::HistogramName, _) => _ = labels.insert("le".to_owned()),
            (Kind::SummaryQuantile, _) => _ = labels.insert("quantile".to_owned()),
            _ => {}
        }
    }
    let counts = matches!(part, Part::Bucket | Part::Count);
    Meaning {
        kind,
        measure: family.measure.filter(|_| !counts),
        family: Some(Arc::clone(family)),
        part: Some(part),
        labels,
        ..Meaning::default()
    }
}

fn quotient(left: Meaning, right: Meaning) -> Meaning {
    let same_family = match (&left.family, &right.family) {
        (Some(left), Some(right)) => left.name == right.name,
        _ => false,
    };
    let counted = |meaning: &Meaning| matches!(meaning.kind, Kind::Rate | Kind::Counter);
    let parts = (left.part, right.part);
    if counted(&left) && counted(&right) {
        let measure = match parts {
            // A mean: in the unit of what was observed.
            (Some(Part::Sum), Some(Part::Count)) if same_family => left.measure,
            _ if same_family || hits_and_queries(&left, &right) => FRACTION,
            _ => None,
        };
        return Meaning {
            kind: Kind::Quotient,
            measure,
            family: left.family.filter(|_| same_family),
            part: Some(Part::Value),
            labels: left.labels,
            ..Meaning::default()
        };
    }
    let same_unit = left.measure.is_some() && left.measure == right.measure;
    let gauges = left.kind == Kind::Gauge && right.kind == Kind::Gauge;
    let counts = left.kind == Kind::Count && right.kind == Kind::Count;
    Meaning {
        kind: if gauges || counts {
            Kind::Gauge
        } else {
            Kind::Unknown
        },
        measure: if gauges && same_unit { FRACTION } else { None },
        labels: left.labels,
        ..Meaning::default()
    }
}

const FRACTION: Option<Measure> = Some(Measure {
    unit: Unit::Ratio,
    factor: 1.0,
});

/// Hits over queries of one cache.
fn hits_and_queries(left: &Meaning, right: &Meaning) -> bool {
    let (Some(left), Some(right)) = (&left.family, &right.family) else {
        return false;
    };
    left.name.contains("hits") && left.name.replace("hits", "queries") == right.name
}
