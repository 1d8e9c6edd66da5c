//! The token-path model, and the text formats it is read from and written to.
//!
//! No sockets, no runtime, no clock, no log.

#[cfg(feature = "prometheus-client")]
pub mod bridge;
pub mod catalogue;
mod combine;
pub mod dialect;
mod error;
mod exemplar;
pub mod exposition;
mod family;
pub mod fold;
mod histogram;
mod label;
pub mod lint;
pub mod rollup;
mod selection;
mod shape;
mod snapshot;
mod source;
mod tally;
pub mod tokenpath;
pub mod translate;

pub use error::{CollectError, Reason, in_full};
pub use exemplar::{EXEMPLAR_CHARACTERS, Exemplar, ExemplarError};
pub use family::{Desc, MetricType, Unit};
pub use histogram::{Bucket, Histogram, QuantileValue, Summary};
pub use label::{Label, LabelSet, is_label_name, is_metric_name};
pub use selection::Selection;
pub use shape::{FamilyShape, SeriesKind, SeriesShape, Shape, ShapeId, Slot};
pub use snapshot::{FamilyWriter, Snapshot};
pub use source::{BoxSource, Source, SourceId};
pub use tally::{DropReason, Tally};
