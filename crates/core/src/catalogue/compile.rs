//! From a table to something to look names up in; a table that cannot work is refused as a whole.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Catalogue, Output, Row};
use crate::{Desc, MetricType};

/// The families that a catalogue may map to, by name.
///
/// ```
/// use std::sync::Arc;
/// use tokenpath_core::catalogue::Families;
/// use tokenpath_core::{Desc, MetricType, Unit};
///
/// let running = Desc::new("llm_requests_running", MetricType::Gauge, Unit::None, "In the batch.");
/// let families = Families::new([Arc::new(running)]);
/// assert!(families.get("llm_requests_running").is_some());
/// ```
#[derive(Clone, Debug, Default)]
pub struct Families {
    list: Vec<Arc<Desc>>,
    by_name: HashMap<String, usize>,
}

impl Families {
    /// The given families; of two with one name the first stays.
    #[must_use]
    pub fn new(families: impl IntoIterator<Item = Arc<Desc>>) -> Self {
        let mut all = Self::default();
        for desc in families {
            if !all.by_name.contains_key(desc.name()) {
                all.by_name.insert(desc.name().to_owned(), all.list.len());
                all.list.push(desc);
            }
        }
        all
    }

    /// The family of a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<Desc>> {
        self.by_name.get(name).map(|index| &self.list[*index])
    }

    /// All of them in the order given.
    #[must_use]
    pub fn list(&self) -> &[Arc<Desc>] {
        &self.list
    }
}

/// Why a catalogue cannot work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CatalogueError {
    /// A row names a family that there is none of.
    #[error("{backend}: row {upstream:?} maps to {family:?}, which is no known family")]
    UnknownFamily {
        /// The catalogue's backend.
        backend: String,
        /// The row's upstream name.
        upstream: String,
        /// The family it names.
        family: String,
    },
    /// A row maps to a family of a type that its operation cannot give.
    #[error("{backend}: row {upstream:?} ({upstream_kind}) cannot become {family:?} ({kind})")]
    WrongType {
        /// The catalogue's backend.
        backend: String,
        /// The row's upstream name.
        upstream: String,
        /// The row's type.
        upstream_kind: MetricType,
        /// The family it names.
        family: String,
        /// The family's type.
        kind: MetricType,
    },
}

/// A catalogue that was checked and can be looked up.
#[derive(Clone, Debug)]
pub struct Compiled {
    catalogue: Catalogue,
    /// Rows by upstream name.
    rows: HashMap<String, Vec<usize>>,
    /// The family of each row.
    descs: Vec<Option<Arc<Desc>>>,
    /// Each family that some row maps to, once.
    described: Vec<Arc<Desc>>,
}

impl Compiled {
    /// Checks a catalogue against the families it maps to.
    ///
    /// # Errors
    ///
    /// Every row that names an unknown family or one of a type it cannot become.
    pub fn new(catalogue: Catalogue, families: &Families) -> Result<Self, Vec<CatalogueError>> {
        let mut errors = Vec::new();
        let mut rows: HashMap<String, Vec<usize>> = HashMap::new();
        let mut descs = Vec::with_capacity(catalogue.rows.len());
        let mut described: Vec<Arc<Desc>> = Vec::new();
        for (index, row) in catalogue.rows.iter().enumerate() {
            rows.entry(row.upstream.clone().into_owned())
                .or_default()
                .push(index);
            let Some(family) = row.output.family() else {
                descs.push(None);
                continue;
            };
            let Some(desc) = families.get(family) else {
                errors.push(CatalogueError::UnknownFamily {
                    backend: catalogue.backend.to_string(),
                    upstream: row.upstream.to_string(),
                    family: family.to_owned(),
                });
                descs.push(None);
                continue;
            };
            if !becomes(row, desc.kind()) {
                errors.push(CatalogueError::WrongType {
                    backend: catalogue.backend.to_string(),
                    upstream: row.upstream.to_string(),
                    upstream_kind: row.kind,
                    family: family.to_owned(),
                    kind: desc.kind(),
                });
            }
            if !described.iter().any(|known| known.name() == desc.name()) {
                described.push(Arc::clone(desc));
            }
            descs.push(Some(Arc::clone(desc)));
        }
        if errors.is_empty() {
            Ok(Self {
                catalogue,
                rows,
                descs,
                described,
            })
        } else {
            Err(errors)
        }
    }

    /// The table.
    #[must_use]
    pub fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// Every family that some row maps to, once.
    #[must_use]
    pub fn describe(&self) -> &[Arc<Desc>] {
        &self.described
    }

    /// The rows of an upstream name without prefix.
    pub(crate) fn rows(&self, upstream: &str) -> &[usize] {
        self.rows.get(upstream).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn row(&self, index: usize) -> (&Row, Option<&Arc<Desc>>) {
        (&self.catalogue.rows[index], self.descs[index].as_ref())
    }
}

/// Whether the row can give a family of that type.
fn becomes(row: &Row, kind: MetricType) -> bool {
    match &row.output {
        Output::Family(_) => match row.kind {
            MetricType::Histogram | MetricType::Summary | MetricType::GaugeHistogram => {
                row.kind == kind
            }
            MetricType::Counter => kind == MetricType::Counter,
            _ => matches!(
                kind,
                MetricType::Gauge | MetricType::Info | MetricType::StateSet
            ),
        },
        Output::Sum(_) | Output::Count(_) => {
            kind == MetricType::Counter
                && matches!(row.kind, MetricType::Histogram | MetricType::Summary)
        }
        Output::LabelNumber { .. } | Output::LabelCount { .. } => kind == MetricType::Gauge,
        Output::LabelItems { .. } | Output::Facts(_) => {
            matches!(kind, MetricType::Gauge | MetricType::Info)
        }
        Output::Drop(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Unit;

    #[test]
    fn every_wrong_row_is_named_at_once() {
        let gauge = Desc::new("llm_g", MetricType::Gauge, Unit::None, "help");
        let catalogue = Catalogue::new("x").rows([
            Row::new("a", MetricType::Gauge).to("llm_missing"),
            Row::new("b", MetricType::Counter).to("llm_g"),
            Row::new("c", MetricType::Gauge).to("llm_g"),
        ]);
        let errors = Compiled::new(catalogue, &Families::new([Arc::new(gauge)])).unwrap_err();
        let text: Vec<_> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(
            text,
            [
                r#"x: row "a" maps to "llm_missing", which is no known family"#,
                r#"x: row "b" (counter) cannot become "llm_g" (gauge)"#,
            ]
        );
    }
}
