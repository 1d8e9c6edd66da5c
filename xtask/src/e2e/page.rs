//! A page as a plain list of samples, read by other means than the code under test.

use std::collections::BTreeSet;

use crate::report::{Result, ensure};

/// One sample.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) value: f64,
}

impl Sample {
    /// The value of a label.
    pub(crate) fn label(&self, name: &str) -> Option<&str> {
        self.labels
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }
}

/// All samples of a page.
pub(crate) fn samples(page: &str) -> Result<Vec<Sample>> {
    page.lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| sample(line).ok_or_else(|| format!("not a sample: {line}").into()))
        .collect()
}

/// The names that a page declares with `# TYPE`.
pub(crate) fn declared(page: &str) -> impl Iterator<Item = &str> {
    page.lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
}

/// How many families a page has. Each is declared once, has its samples in one block behind its
/// declaration, and no series stands twice.
pub(crate) fn declared_once(page: &str) -> Result<usize> {
    let mut families = BTreeSet::new();
    let mut series = BTreeSet::new();
    let mut open = "";
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            open = rest.split(' ').next().unwrap_or_default();
            ensure!(families.insert(open), "{open} is there twice");
        } else if !line.is_empty() && !line.starts_with('#') {
            let known = line.rsplit_once(' ').map_or(line, |(series, _)| series);
            ensure!(series.insert(known), "{known} is there twice");
            let behind = line.strip_prefix(open).unwrap_or("?");
            ensure!(
                behind.starts_with(['{', ' ', '_']),
                "{known} stands under {open:?}"
            );
        }
    }
    ensure!(!families.is_empty(), "not one family");
    Ok(families.len())
}

fn sample(line: &str) -> Option<Sample> {
    let end = line.find(['{', ' '])?;
    let (name, mut rest) = line.split_at(end);
    let mut labels = Vec::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        while !rest.starts_with('}') {
            let (label, after) = rest.split_once("=\"")?;
            let (value, after) = quoted(after)?;
            labels.push((label.to_owned(), value));
            rest = after.strip_prefix(',').unwrap_or(after);
        }
        rest = rest.strip_prefix('}')?;
    }
    let value = rest.split_whitespace().next()?.parse().ok()?;
    Some(Sample {
        name: name.to_owned(),
        labels,
        value,
    })
}

/// Text up to its closing quote, unescaped, and what follows.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut rest = text.chars();
    loop {
        match rest.next()? {
            '"' => return Some((value, rest.as_str())),
            '\\' => value.push(match rest.next()? {
                'n' => '\n',
                other => other,
            }),
            other => value.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_labels_with_escapes_and_values() {
        let page = "# TYPE a gauge\na{x=\"q\\\"\\n}\",y=\"\"} +Inf\nb 2 1700000000\n";
        let samples = samples(page).unwrap();
        assert_eq!(samples[0].label("x"), Some("q\"\n}"));
        assert_eq!(samples[0].label("y"), Some(""));
        assert!(samples[0].value.is_infinite());
        assert_eq!((samples[1].name.as_str(), samples[1].value), ("b", 2.0));
        assert_eq!(declared(page).collect::<Vec<_>>(), ["a"]);
        assert!(super::samples("a{x=\"1\" 3\n").is_err());
    }

    #[test]
    fn families_and_series_are_there_once() {
        let good = "# TYPE a gauge\na{x=\"1\"} 1\na{x=\"2\"} 1\n# TYPE b histogram\nb_bucket{le=\"1\"} 1\n";
        assert_eq!(declared_once(good).unwrap(), 2);
        for bad in [
            "",
            "# TYPE a gauge\na 1\n# TYPE a gauge\n",
            "# TYPE a gauge\na{x=\"1\"} 1\na{x=\"1\"} 2\n",
            "# TYPE a gauge\na 1\n# TYPE b gauge\na{x=\"1\"} 1\n",
        ] {
            assert!(declared_once(bad).is_err(), "{bad}");
        }
    }
}
