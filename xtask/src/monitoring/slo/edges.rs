//! Which edges the histograms of an engine have, from recorded pages in canonical names.

use std::collections::BTreeMap;
use std::path::Path;

use super::super::pack;
use crate::report::{Result, ensure};

/// Where a kind of engine has its recorded pages.
const BACKENDS: [&str; 3] = ["vllm", "tgi", "gateway"];

/// How far apart two spellings of one edge may be: engines add up powers, and the last digit differs
/// by release. A person writes 5.68 for 5.681512866159528.
const NEAR: f64 = 1e-3;

/// One page: of a family, each edge as it is spelled.
type Page = BTreeMap<String, Vec<String>>;

/// The edges of all recorded pages, by kind of engine.
pub(super) struct Edges {
    pages: BTreeMap<String, Vec<Page>>,
}

impl Edges {
    pub(super) fn read(root: &Path) -> Result<Self> {
        let mut pages = BTreeMap::new();
        for backend in BACKENDS {
            let folder = root.join(format!("crates/{backend}/tests/golden"));
            let mut found = Vec::new();
            for file in pack::files(&folder, "txt")? {
                found.push(page(&std::fs::read_to_string(file)?));
            }
            pages.insert(backend.to_owned(), found);
        }
        Ok(Self { pages })
    }

    #[cfg(test)]
    pub(super) fn of(backend: &str, family: &str, edges: &[&str]) -> Self {
        let edges = edges.iter().map(|edge| (*edge).to_owned()).collect();
        let page = Page::from([(family.to_owned(), edges)]);
        Self {
            pages: BTreeMap::from([(backend.to_owned(), vec![page])]),
        }
    }

    /// All spellings of an edge that every page with the family has.
    pub(super) fn spelled(&self, backend: &str, family: &str, within: f64) -> Result<Vec<String>> {
        let pages = self.pages.get(backend).map_or(&[][..], Vec::as_slice);
        let pages: Vec<&Vec<String>> = pages.iter().filter_map(|page| page.get(family)).collect();
        ensure!(
            !pages.is_empty(),
            "no page of {backend} has {family}: nothing to measure it by"
        );
        let mut spellings = Vec::new();
        for edges in &pages {
            let near = edges.iter().find(|edge| is_near(edge, within));
            let Some(edge) = near else {
                return Err(format!(
                    "{within} is no edge of {family} on {backend}; {}",
                    neighbours(edges, within)
                )
                .into());
            };
            if !spellings.contains(edge) {
                spellings.push(edge.clone());
            }
        }
        spellings.sort();
        Ok(spellings)
    }
}

fn number(edge: &str) -> f64 {
    edge.parse().unwrap_or(f64::INFINITY)
}

fn is_near(edge: &str, within: f64) -> bool {
    (number(edge) - within).abs() <= NEAR * within
}

/// What to write instead.
fn neighbours(edges: &[String], within: f64) -> String {
    let finite = edges.iter().filter(|edge| number(edge).is_finite());
    let below = finite.clone().filter(|edge| number(edge) < within);
    let below = below.max_by(|a, b| number(a).total_cmp(&number(b)));
    let above = finite.filter(|edge| number(edge) > within);
    let above = above.min_by(|a, b| number(a).total_cmp(&number(b)));
    match (below, above) {
        (Some(below), Some(above)) => format!("the next are {below} and {above}"),
        (Some(last), None) => format!("the last is {last}"),
        (None, Some(first)) => format!("the first is {first}"),
        (None, None) => "it has none".to_owned(),
    }
}

/// The edges of each histogram of a page, each once.
fn page(text: &str) -> Page {
    let mut page = Page::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let Some((family, labels)) = line.split_once("_bucket{") else {
            continue;
        };
        let edge = labels
            .split_once("le=\"")
            .and_then(|(_, rest)| rest.split_once('"'));
        if let Some((edge, _)) = edge {
            let edges = page.entry(family.to_owned()).or_default();
            if !edges.iter().any(|known| known == edge) {
                edges.push(edge.to_owned());
            }
        }
    }
    page
}

/// A pattern for `le`: Prometheus 3 writes whole numbers as 5.0, older ones as the page does.
pub(super) fn pattern(spellings: &[String]) -> String {
    let mut patterns: Vec<String> = spellings
        .iter()
        .map(|edge| {
            let whole = edge.strip_suffix(".0").unwrap_or(edge);
            let escaped = whole.replace('.', "\\\\.");
            if whole.contains(['.', 'e']) {
                escaped
            } else {
                format!("{escaped}(\\\\.0)?")
            }
        })
        .collect();
    patterns.sort();
    patterns.dedup();
    patterns.join("|")
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn edges_are_read_and_spelled_for_every_prometheus() {
        let read = page(
            "# HELP a_seconds h\na_seconds_bucket{b=\"c\",le=\"0.5\"} 1\na_seconds_bucket{b=\"d\",le=\"0.5\"} 1\n\
             a_seconds_bucket{b=\"c\",le=\"+Inf\"} 1\na_seconds_count{b=\"c\"} 1\n",
        );
        assert_eq!(read["a_seconds"], ["0.5", "+Inf"]);
        let spelled = |edges: &[&str]| {
            let edges: Vec<String> = edges.iter().map(|edge| (*edge).to_owned()).collect();
            pattern(&edges)
        };
        assert_eq!(spelled(&["5", "5.0"]), r"5(\\.0)?");
        assert_eq!(spelled(&["0.5"]), r"0\\.5");
        assert_eq!(spelled(&["1.15", "1.16"]), r"1\\.15|1\\.16");
    }

    #[test]
    fn an_edge_that_one_release_lacks_is_refused() {
        let mut edges = Edges::of("vllm", "a", &["1.0", "2.5", "+Inf"]);
        edges
            .pages
            .get_mut("vllm")
            .unwrap()
            .push(page("a_bucket{le=\"2.5\"} 1\n"));
        assert_eq!(edges.spelled("vllm", "a", 2.501).unwrap(), ["2.5"]);
        let error = edges.spelled("vllm", "a", 1.0).unwrap_err().to_string();
        assert_eq!(error, "1 is no edge of a on vllm; the first is 2.5");
    }
}
