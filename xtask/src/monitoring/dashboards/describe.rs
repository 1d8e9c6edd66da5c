//! How a dashboard is described: `monitoring/panels/*.yaml`.

use std::collections::BTreeMap;

use serde::Deserialize;

/// What all descriptions share: `common.yaml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Common {
    /// Variables by name.
    pub(super) variables: BTreeMap<String, Variable>,
    /// What stands for `<name>` in a query.
    pub(super) words: BTreeMap<String, String>,
    /// Colours of series whose legend matches, in this order.
    pub(super) colours: Vec<(String, String)>,
}

/// A variable that its user chooses.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Variable {
    pub(super) label: String,
    /// The series whose label it is. The label has the variable's name unless `of` says another.
    pub(super) series: String,
    pub(super) of: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Dashboard {
    pub(super) title: String,
    pub(super) text: String,
    /// How often it asks again.
    pub(super) refresh: String,
    /// How far back it looks: `1h`.
    pub(super) back: String,
    /// In the order they stand at the top.
    pub(super) variables: Vec<String>,
    /// Series of variables of this dashboard alone.
    #[serde(default)]
    pub(super) series: BTreeMap<String, String>,
    /// Their labels, where this dashboard has another than the variable.
    #[serde(default)]
    pub(super) labels: BTreeMap<String, String>,
    /// Words of this dashboard, over the common ones.
    #[serde(default)]
    pub(super) words: BTreeMap<String, String>,
    /// What empty panels say unless they know better.
    pub(super) empty: String,
    pub(super) rows: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Row {
    /// A heading; a dashboard of one screen has none.
    pub(super) title: Option<String>,
    /// Of each panel in it, in grid units of 30 pixels and a gap.
    pub(super) height: u64,
    pub(super) panels: Vec<Panel>,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    Stat,
    Gauge,
    Bars,
    Lines,
    Stack,
    Heatmap,
    States,
    Table,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Panel {
    pub(super) title: String,
    pub(super) kind: Kind,
    /// In columns, of 24.
    pub(super) width: u64,
    pub(super) unit: String,
    /// What it shows and why one looks.
    pub(super) text: String,
    /// Instead of that of the dashboard.
    pub(super) empty: Option<String>,
    pub(super) max: Option<f64>,
    /// `green`, then `COLOUR FROM`: where each colour begins.
    #[serde(default)]
    pub(super) steps: Vec<String>,
    /// Names and colours of values, for states: `1: up green`.
    #[serde(default)]
    pub(super) names: BTreeMap<String, String>,
    /// Another dashboard, which a click leads to.
    pub(super) leads: Option<String>,
    /// Stats: the name of each series beside its value.
    #[serde(default)]
    pub(super) named: bool,
    pub(super) queries: Vec<Query>,
    /// Tables: what columns are called, by what they hold; others are hidden.
    #[serde(default)]
    pub(super) columns: Vec<Column>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Query {
    pub(super) ask: String,
    pub(super) say: String,
    /// One query for each percentile: `<q>` is the quantile, `<p>` the percentile.
    #[serde(default)]
    pub(super) each: Vec<u64>,
    /// Drawn on the right axis, in this unit.
    pub(super) right: Option<String>,
    /// Why a healthy demo has no answer.
    pub(super) absent: Option<String>,
}

/// A column of a table.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Column {
    /// A label, or the `say` of a query.
    pub(super) of: String,
    pub(super) title: String,
    pub(super) unit: Option<String>,
    #[serde(default)]
    pub(super) steps: Vec<String>,
}

impl Dashboard {
    /// Queries that a healthy demo cannot answer, by the title of their panel, with the reason.
    pub(super) fn absent(&self) -> Vec<(String, String)> {
        let panels = self.rows.iter().flat_map(|row| &row.panels);
        panels
            .flat_map(|panel| {
                panel.queries.iter().filter_map(|query| {
                    let why = query.absent.clone()?;
                    Some((format!("{}: {}", panel.title, query.say), why))
                })
            })
            .collect()
    }
}
