//! Finds what is wrong with PromQL over LLM inference metrics, in dashboards of Grafana, rule files of
//! Prometheus and PrometheusRule manifests: names that never existed or are gone, labels that are not
//! there, rates of gauges, fractions compared with 95, edges that no bucket has.
//!
//! * [`Names`] is what is known: our families, the catalogues of the engines with the releases that
//!   have each name, the dialects; or one page, against which everything is held.
//! * [`Linter`] reads files and gives [`Finding`]s, each with a place that points into the expression,
//!   the [`Rule`] and what to do; and rewrites what is safe.
//! * [`report`] writes findings as text, JSON and SARIF.
//!
//! ```
//! use tokenpath_lint::{File, Known, Linter, Upstream};
//!
//! let known = Known {
//!     families: tokenpath_vllm::compiled().describe().to_vec(),
//!     upstream: vec![Upstream::new(tokenpath_vllm::catalogue())],
//!     dialects: vec![],
//! };
//! let text = "groups:\n- name: kv\n  rules:\n  - alert: Full\n    expr: vllm:kv_cache_usage_perc > 95\n";
//! let findings = Linter::new(known).lint(&[File::new("rules.yml", text)]);
//! assert_eq!(findings[0].rule, "wrong-unit");
//! assert_eq!(findings[0].start.to_string(), "5:38");
//! assert_eq!(findings[0].advice, "0.95 was meant, it seems");
//! ```
//!
//! A query is read twice: by a published PromQL parser, which is the judge of what is PromQL, and by our
//! own reader, which knows where everything stands. Where something is not sure (a metric of others, a
//! variable, a calculation over several families) no rule says anything.
//!
//! It opens no file and no connection: the program does, and knows the backends.

mod finding;
mod input;
mod linter;
mod meaning;
mod names;
mod promql;
pub mod report;
mod rules;

pub use finding::{Finding, Severity};
pub use linter::{File, Linter};
pub use names::{Known, Names, Upstream};
pub use rules::{RULES, Rule, rule};

/// Whether a file of this name may hold queries: what a folder is searched for.
#[must_use]
pub fn is_readable(name: &str) -> bool {
    input::is_readable(name)
}
