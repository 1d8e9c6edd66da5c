//! Catalogues and dialects of the file as those of `tokenpath_core`: the same tables, the same rules.

use tokenpath_core::catalogue::{Catalogue, LabelRule, Output, Reduce, Releases, Row, Scale};
use tokenpath_core::dialect::{self, Dialect, Matcher};
use tokenpath_core::rollup::Rollup;
use tokenpath_core::{Desc, MetricType, Unit};

use crate::raw;

/// Words were checked against the schema; any other is read as unknown.
pub(crate) fn metric_type(word: &str) -> MetricType {
    match word {
        "counter" => MetricType::Counter,
        "gauge" => MetricType::Gauge,
        "histogram" => MetricType::Histogram,
        "summary" => MetricType::Summary,
        "info" => MetricType::Info,
        "stateset" => MetricType::StateSet,
        _ => MetricType::Unknown,
    }
}

pub(crate) fn family(raw: &raw::Family) -> Desc {
    let unit = match raw.unit.as_deref() {
        Some("seconds") => Unit::Seconds,
        Some("bytes") => Unit::Bytes,
        Some("ratio") => Unit::Ratio,
        Some("joules") => Unit::Joules,
        Some("watts") => Unit::Watts,
        Some("celsius") => Unit::Celsius,
        Some("hertz") => Unit::Hertz,
        _ => Unit::None,
    };
    let desc = Desc::owned(
        raw.name.clone(),
        metric_type(&raw.kind),
        unit,
        raw.help.clone(),
    );
    match raw.rollup.as_deref() {
        Some("sum") => desc.rollup(Rollup::Sum),
        Some("max") => desc.rollup(Rollup::Max),
        Some(_) => desc.rollup(Rollup::None),
        None => desc,
    }
}

/// The catalogue without its rows.
pub(crate) fn catalogue(raw: &raw::Catalogue) -> Catalogue {
    let catalogue = Catalogue::new(raw.backend.clone()).prefixes(raw.prefixes.clone());
    raw.left_out.iter().fold(catalogue, |catalogue, left_out| {
        catalogue.left_out(left_out.pattern.clone(), left_out.why.clone())
    })
}

pub(crate) fn row(raw: &raw::Row) -> Row {
    let text = |text: &String| text.clone().into();
    let output = if let Some(family) = &raw.family {
        Output::Family(text(family))
    } else if let Some(family) = &raw.sum {
        Output::Sum(text(family))
    } else if let Some(family) = &raw.count {
        Output::Count(text(family))
    } else if let Some(family) = &raw.facts {
        Output::Facts(text(family))
    } else if let Some(number) = &raw.label_number {
        Output::LabelNumber {
            label: text(&number.label),
            family: text(&number.family),
            shared_by: number.shared_by.as_ref().map(text),
        }
    } else if let Some(count) = &raw.label_count {
        Output::LabelCount {
            label: text(&count.label),
            family: text(&count.family),
        }
    } else if let Some(items) = &raw.label_items {
        Output::LabelItems {
            label: text(&items.label),
            family: text(&items.family),
            item: text(&items.item),
        }
    } else {
        Output::Drop(raw.drop.clone().unwrap_or_default().into())
    };
    let mut row = Row::new(raw.upstream.clone(), metric_type(&raw.kind)).output(output);
    for rule in &raw.labels {
        row = row.label(label_rule(rule));
    }
    for upstream in &raw.superseded_by {
        row = row.superseded_by(upstream.clone());
    }
    row = row.scale(match (raw.multiply, raw.divide) {
        (Some(factor), _) => Scale::times(factor),
        (None, Some(divisor)) => Scale::per(divisor),
        (None, None) => Scale::ONE,
    });
    if raw.processes.as_deref() == Some("sum") {
        row = row.processes(Reduce::Sum);
    }
    if let Some(sentinel) = raw.sentinel {
        row = row.sentinel(sentinel);
    }
    if raw.newest {
        row = row.newest();
    }
    if let Some(since) = &raw.since {
        row = row.releases(Releases {
            line: "".into(),
            since: text(since),
            until: raw.until.as_ref().map(text),
            hidden: false,
        });
    }
    match &raw.note {
        Some(note) => row.note(note.clone()),
        None => row,
    }
}

fn label_rule(raw: &raw::LabelRule) -> LabelRule {
    let text = |text: &String| text.clone().into();
    match raw {
        raw::LabelRule::Rename { from, to } => LabelRule::Rename {
            from: text(from),
            to: text(to),
        },
        raw::LabelRule::Drop(label) => LabelRule::Drop(text(label)),
        raw::LabelRule::Keep(labels) => LabelRule::Keep(labels.iter().map(text).collect()),
        raw::LabelRule::Map { label, from, to } => LabelRule::MapValue {
            label: text(label),
            from: text(from),
            to: text(to),
        },
        raw::LabelRule::Constant { label, value } => LabelRule::Constant {
            label: text(label),
            value: text(value),
        },
        raw::LabelRule::Default { label, value } => LabelRule::Default {
            label: text(label),
            value: text(value),
        },
    }
}

/// A row of a dialect; `None` where a ratio or a difference is not of two families.
pub(crate) fn dialect_row(raw: &raw::DialectRow) -> Option<dialect::Row> {
    let kind = metric_type(&raw.kind);
    let name = raw.name.clone();
    let two = |families: &Option<Vec<String>>| match families.as_deref() {
        Some([first, second]) => Some((first.clone(), second.clone())),
        _ => None,
    };
    let mut row = if let Some(family) = &raw.family {
        dialect::Row::family(family.clone(), name, kind)
    } else if let Some((first, second)) = two(&raw.ratio) {
        dialect::Row::ratio(first, second, name, kind)
    } else if let Some((first, second)) = two(&raw.diff) {
        dialect::Row::diff(first, second, name, kind)
    } else {
        let (first, second) = two(&raw.sum)?;
        dialect::Row::sum(first, second, name, kind)
    };
    if let Some(factor) = raw.factor {
        row = row.factor(factor);
    }
    for (label, value) in &raw.when {
        row = row.when(Matcher::is(label.clone(), value.clone()));
    }
    for (label, value) in &raw.when_not {
        row = row.when(Matcher::is_not(label.clone(), value.clone()));
    }
    for (from, to) in &raw.rename_labels {
        row = row.rename_label(from.clone(), to.clone());
    }
    for (from, to) in &raw.copy_labels {
        row = row.copy_label(from.clone(), to.clone());
    }
    for label in &raw.drop_labels {
        row = row.drop_label(label.clone());
    }
    for (label, value) in &raw.constant_labels {
        row = row.constant(label.clone(), value.clone());
    }
    Some(match &raw.help {
        Some(help) => row.help(help.clone()),
        None => row,
    })
}

pub(crate) fn dialect(name: &str, rows: Vec<dialect::Row>) -> Dialect {
    Dialect::new(name.to_owned(), rows)
}
