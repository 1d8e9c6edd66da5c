//! Our pages read by the Python client's parsers, the strictest readers that people really use.

use std::path::Path;
use std::process::Command;

use crate::report::{Result, ensure};
use crate::tools;

const SCRIPT: &str = r#"
import sys
from prometheus_client import parser
from prometheus_client.openmetrics import parser as openmetrics
page = sys.stdin.buffer.read().decode()
read = openmetrics if sys.argv[1] == "openmetrics" else parser
print(sum(len(family.samples) for family in read.text_string_to_metric_families(page)))
"#;

/// The number of samples that the text 0.0.4 parser finds.
pub(crate) fn text_samples(python: &Path, page: &str) -> Result<usize> {
    samples(python, "text", page)
}

/// The number of samples that the OpenMetrics parser finds.
pub(crate) fn openmetrics_samples(python: &Path, page: &str) -> Result<usize> {
    samples(python, "openmetrics", page)
}

fn samples(python: &Path, format: &str, page: &str) -> Result<usize> {
    let output = tools::pipe(
        Command::new(python).args(["-c", SCRIPT, format]),
        page.as_bytes(),
    )?;
    ensure!(
        output.status.success(),
        "the Python client refuses the {format} page: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let found: usize = String::from_utf8(output.stdout)?.trim().parse()?;
    ensure!(
        found > 0,
        "the Python client finds no sample in the {format} page"
    );
    Ok(found)
}
