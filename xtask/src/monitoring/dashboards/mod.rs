//! Grafana dashboards: made from the descriptions in `monitoring/panels`, and checked as they are.
//!
//! A description says what people see: rows, panels, queries, units, thresholds. Everything that all
//! panels share is in [`render`]. The JSON is committed, so that it can be imported without building
//! anything; a check compares it with what its description gives.

pub(super) mod check;
mod describe;
mod render;

use std::path::{Path, PathBuf};

use serde_json::Value;

use self::describe::{Common, Dashboard};
use super::{pack, yaml};
use crate::report::Result;

/// What the descriptions share.
const COMMON: &str = "common.yaml";

/// A dashboard as it should be.
pub(super) struct Made {
    /// Where it is committed.
    pub(super) file: PathBuf,
    pub(super) text: String,
    pub(super) json: Value,
    /// Queries that a healthy demo cannot answer, with the reason.
    pub(super) absent: Vec<(String, String)>,
}

/// All dashboards, from their descriptions.
pub(super) fn make(monitoring: &Path) -> Result<Vec<Made>> {
    let folder = monitoring.join("panels");
    let common: Common = yaml::read(&folder.join(COMMON))?;
    let mut made = Vec::new();
    for file in pack::files(&folder, "yaml")? {
        let name = pack::name_of(&file);
        if name == COMMON {
            continue;
        }
        let stem = name.trim_end_matches(".yaml");
        let dashboard: Dashboard = yaml::read(&file)?;
        let json = render::dashboard(stem, &dashboard, &common)
            .map_err(|error| format!("{name}: {error}"))?;
        let mut text = serde_json::to_string_pretty(&json)?;
        text.push('\n');
        made.push(Made {
            file: monitoring.join(format!("dashboards/tokenpath-{stem}.json")),
            text,
            absent: dashboard.absent(),
            json,
        });
    }
    Ok(made)
}
