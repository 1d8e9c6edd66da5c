//! The dialects that come with the crate: one file each.
//!
//! A table names families of every backend by their names alone; a test beside the list of backends
//! checks that they exist and fit.

mod dcgm;
mod documents;
mod otel;
mod token_path;
mod vllm;
mod vllm_v0;
mod worker;

use super::{Dialect, Matcher, Row};
use crate::MetricType;

/// Makes a table.
type Table = fn() -> Dialect;

/// What each is asked for by, and its table.
pub(super) const ALL: &[(&str, Table)] = &[
    ("llm", Dialect::llm),
    ("vllm", vllm::dialect),
    ("vllm-v0", vllm_v0::dialect),
    ("worker", worker::dialect),
    ("token-path", token_path::dialect),
    ("documents", documents::dialect),
    ("dcgm", dcgm::dialect),
    ("otel", otel::dialect),
];

/// A name, its type, and the family that goes out under it.
type Renamed = (&'static str, MetricType, &'static str);

/// Rows that do no more than give another name.
fn renamed(prefix: &str, rows: &[Renamed]) -> Vec<Row> {
    rows.iter()
        .map(|(name, kind, family)| Row::family(*family, format!("{prefix}{name}"), *kind))
        .collect()
}

/// The same rows for those series whose label has a value; the label says nothing then and goes.
fn where_label_is(label: &'static str, value: &'static str, rows: Vec<Row>) -> Vec<Row> {
    rows.into_iter()
        .map(|row| row.when(Matcher::is(label, value)).drop_label(label))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::dialect::Spoken;

    #[test]
    fn each_is_what_it_is_asked_for_by() {
        for (name, dialect) in ALL {
            assert_eq!(dialect().name(), *name);
            assert_eq!(dialect().is_canonical(), *name == "llm");
        }
    }

    #[test]
    fn all_of_them_go_together() {
        let dialects: Vec<Dialect> = Dialect::builtins().collect();
        let families = crate::tokenpath::families();
        let spoken = Spoken::new(&dialects, families).unwrap_or_else(|error| panic!("{error}"));
        assert!(spoken.is_canonical());
        assert!(spoken.names().len() > 200);
    }

    #[test]
    fn no_name_is_both_given_and_missing_and_each_reason_is_said() {
        for dialect in Dialect::builtins() {
            let mut names = HashSet::new();
            for missing in dialect.missing() {
                assert!(names.insert(missing.name()), "{}", missing.name());
                assert!(missing.why().len() > 20, "{}", missing.name());
                for row in dialect.rows() {
                    assert!(!missing.covers(row.name()), "{}", row.name());
                }
            }
        }
    }

    #[test]
    fn a_dialect_gives_a_name_once_unless_the_series_differ() {
        for dialect in Dialect::builtins() {
            let mut seen: Vec<&Row> = Vec::new();
            for row in dialect.rows() {
                for known in seen.iter().filter(|known| known.name() == row.name()) {
                    assert_ne!(known.matchers(), row.matchers(), "{}", row.name());
                }
                seen.push(row);
            }
        }
    }
}
