//! A recorded page, read as a layout: which families in which order, which words, which labels in
//! which order, which edges. The values are the twin's.
//!
//! This is no parser for pages from outside. It reads the pages that are compiled into the crate,
//! and says what it does not understand, so that a new page that breaks an assumption is found by
//! the first test that reads it.

use std::borrow::Cow;
use std::collections::HashSet;

/// A recorded page.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    pub(crate) families: Vec<Family>,
    /// Whether the page ends in `# EOF`.
    pub(crate) eof: bool,
}

/// A family of a recorded page.
#[derive(Clone, Debug)]
pub(crate) struct Family {
    /// As in its `# TYPE` line.
    pub(crate) name: &'static str,
    pub(crate) help: &'static str,
    pub(crate) kind: Kind,
    /// The lines of one series; those of all series are alike but for label values.
    pub(crate) lines: Vec<Line>,
    /// The series of the first engine, or of no engine.
    pub(crate) series: Vec<Labels>,
    /// The first recorded value of each of these series.
    pub(crate) recorded: Vec<f64>,
    /// Whether all engines come in turn for each series, rather than all series for each engine.
    pub(crate) engines_inside: bool,
}

/// Label names and values in the order of the page; the values as written, escapes and all.
pub(crate) type Labels = Vec<(&'static str, &'static str)>;

/// One line of a series.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    /// The sample name, which OpenMetrics pages of the Python client write with `_` for `:`.
    pub(crate) name: Cow<'static, str>,
    pub(crate) part: Part,
    /// The label names in the order of the line.
    pub(crate) labels: Vec<&'static str>,
    /// The bucket's edge as written.
    pub(crate) le: Option<(&'static str, f64)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Counter,
    Gauge,
    Histogram,
    Summary,
}

/// What a sample's name adds to its family's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Value,
    Bucket,
    Count,
    Sum,
    Created,
}

impl Kind {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Summary => "summary",
        }
    }
}

impl Family {
    /// Whether this is one of the gauges that the Python client adds for the time of creation.
    pub(crate) fn is_created(&self) -> bool {
        self.kind == Kind::Gauge && self.name.ends_with("_created")
    }

    /// The name without what the format adds: `_total` of a counter, `_created`.
    pub(crate) fn base(&self) -> &'static str {
        let suffix = match self.kind {
            Kind::Counter => "_total",
            Kind::Gauge if self.is_created() => "_created",
            _ => return self.name,
        };
        self.name.strip_suffix(suffix).unwrap_or(self.name)
    }

    pub(crate) fn has_label(&self, label: &str) -> bool {
        self.lines.iter().any(|line| line.labels.contains(&label))
    }
}

impl Template {
    pub(crate) fn read(page: &'static str) -> Result<Self, String> {
        let mut template = Self {
            families: Vec::new(),
            eof: false,
        };
        let mut help: Option<(&str, &str)> = None;
        let mut samples: Vec<Sample> = Vec::new();
        for line in page.lines() {
            let wrong = |what: &str| format!("{what}: {line}");
            if let Some(rest) = line.strip_prefix("# HELP ") {
                template.close(&mut samples)?;
                help = rest.split_once(' ');
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').ok_or_else(|| wrong("no type"))?;
                let kind = match kind {
                    "counter" => Kind::Counter,
                    "gauge" => Kind::Gauge,
                    "histogram" => Kind::Histogram,
                    "summary" => Kind::Summary,
                    _ => return Err(wrong("unknown type")),
                };
                let (_, help) = help
                    .take()
                    .filter(|(helped, _)| *helped == name)
                    .ok_or_else(|| wrong("no help"))?;
                template.families.push(Family {
                    name,
                    help,
                    kind,
                    lines: Vec::new(),
                    series: Vec::new(),
                    recorded: Vec::new(),
                    engines_inside: false,
                });
            } else if line == "# EOF" {
                template.eof = true;
            } else {
                let family = template
                    .families
                    .last()
                    .ok_or_else(|| wrong("a sample before any family"))?;
                samples.push(Sample::read(line, family.name).ok_or_else(|| wrong("no sample"))?);
            }
        }
        template.close(&mut samples)?;
        let mut names = HashSet::new();
        for family in &template.families {
            if !names.insert(family.name) {
                return Err(format!("twice on the page: {}", family.name));
            }
        }
        Ok(template)
    }

    /// The same page as the Python client writes it in multi-process mode: families grouped by type,
    /// a histogram's sum before its buckets and its count behind them, nothing about creation, the
    /// process or the interpreter. `pid_gauges` declare no mode and get a series for each process.
    pub(crate) fn multi_process(&self, pid_gauges: &[&str]) -> Self {
        let mut families: Vec<Family> = self
            .families
            .iter()
            .filter(|f| {
                !(f.is_created() || f.name.starts_with("process_") || f.name.starts_with("python_"))
            })
            .cloned()
            .collect();
        families.sort_by_key(|f| match f.kind {
            Kind::Gauge => 0,
            Kind::Histogram => 1,
            Kind::Counter => 2,
            Kind::Summary => 3,
        });
        for family in &mut families {
            family.engines_inside = true;
            if family.kind == Kind::Histogram {
                family.lines.sort_by_key(|line| match line.part {
                    Part::Sum => 0,
                    Part::Bucket => 1,
                    _ => 2,
                });
            }
            if pid_gauges.contains(&family.name) {
                for line in &mut family.lines {
                    let at = line.labels.partition_point(|&label| label < "pid");
                    line.labels.insert(at, "pid");
                }
            }
        }
        Self {
            families,
            eof: self.eof,
        }
    }

    /// The same page as the Python client writes it in OpenMetrics: counters are declared without
    /// `_total`, the time of creation is a line of each series, and sample names (no others) have
    /// their colons replaced where `underscores` says so.
    pub(crate) fn open_metrics(&self, underscores: bool) -> Self {
        let created: HashSet<&str> = self
            .families
            .iter()
            .filter(|f| f.is_created())
            .map(Family::base)
            .collect();
        let mut families: Vec<Family> = self
            .families
            .iter()
            .filter(|f| !f.is_created())
            .cloned()
            .collect();
        for family in &mut families {
            let base = family.base();
            family.name = base;
            if created.contains(base)
                && let Some(first) = family.lines.first()
            {
                let labels = first.labels.iter().copied().filter(|&label| label != "le");
                let line = Line {
                    name: Cow::Owned(format!("{base}_created")),
                    part: Part::Created,
                    labels: labels.collect(),
                    le: None,
                };
                family.lines.push(line);
            }
            for line in family.lines.iter_mut().filter(|_| underscores) {
                line.name = Cow::Owned(line.name.replace(':', "_"));
            }
        }
        Self {
            families,
            eof: true,
        }
    }

    /// The families of the instrumentation of the HTTP server.
    pub(crate) fn http_only(&self) -> Self {
        Self {
            families: self
                .families
                .iter()
                .filter(|f| f.name.starts_with("http_"))
                .cloned()
                .collect(),
            eof: false,
        }
    }

    /// Files the samples read for the last family.
    fn close(&mut self, samples: &mut Vec<Sample>) -> Result<(), String> {
        let Some(family) = self.families.last_mut() else {
            return Ok(());
        };
        let mut all: Vec<(Labels, Vec<Line>, f64)> = Vec::new();
        for sample in samples.drain(..) {
            match all.last_mut() {
                Some((labels, lines, _)) if *labels == sample.labels => lines.push(sample.line),
                _ => all.push((sample.labels, vec![sample.line], sample.value)),
            }
        }
        let Some((first, lines, _)) = all.first().cloned() else {
            return Ok(());
        };
        for (labels, other, _) in &all {
            let alike = other.len() == lines.len()
                && other
                    .iter()
                    .zip(&lines)
                    .all(|(a, b)| a.name == b.name && a.le == b.le && a.labels == b.labels);
            if !alike {
                return Err(format!("{}: {labels:?} is unlike {first:?}", family.name));
            }
        }
        let engine = label(&first, "engine");
        family.engines_inside = all
            .get(1)
            .is_some_and(|(second, ..)| label(second, "engine") != engine);
        (family.series, family.recorded) = all
            .into_iter()
            .filter(|(labels, ..)| label(labels, "engine") == engine)
            .map(|(labels, _, value)| (labels, value))
            .unzip();
        family.lines = lines;
        Ok(())
    }
}

/// The value of a label.
pub(crate) fn label<'a>(labels: &[(&str, &'a str)], name: &str) -> Option<&'a str> {
    labels.iter().find(|(n, _)| *n == name).map(|&(_, v)| v)
}

struct Sample {
    line: Line,
    /// All labels but `le`.
    labels: Labels,
    value: f64,
}

impl Sample {
    fn read(line: &'static str, family: &str) -> Option<Self> {
        let (series, value) = line.rsplit_once(' ')?;
        let (name, labels) = match series.split_once('{') {
            Some((name, labels)) => (name, read_labels(labels.strip_suffix('}')?)?),
            None => (series, Labels::new()),
        };
        let (own, suffix) = name.split_at_checked(family.len())?;
        if own.replace(':', "_") != family.replace(':', "_") {
            return None;
        }
        let part = match suffix {
            "" | "_total" => Part::Value,
            "_bucket" => Part::Bucket,
            "_count" => Part::Count,
            "_sum" => Part::Sum,
            "_created" => Part::Created,
            _ => return None,
        };
        let le = match label(&labels, "le") {
            Some("+Inf") => Some(("+Inf", f64::INFINITY)),
            Some(edge) => Some((edge, edge.parse().ok()?)),
            None => None,
        };
        Some(Self {
            line: Line {
                name: Cow::Borrowed(name),
                part,
                labels: labels.iter().map(|&(name, _)| name).collect(),
                le,
            },
            value: value.parse().ok()?,
            labels: labels.into_iter().filter(|(n, _)| *n != "le").collect(),
        })
    }
}

fn read_labels(mut text: &'static str) -> Option<Labels> {
    let mut labels = Labels::new();
    while !text.is_empty() {
        let (name, rest) = text.split_once("=\"")?;
        let mut escaped = false;
        let end = rest.find(|c| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        })?;
        let (value, rest) = rest.split_at_checked(end)?;
        labels.push((name, value));
        let rest = rest.strip_prefix('"')?;
        text = rest.strip_prefix(',').unwrap_or(rest);
    }
    Some(labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_series_in_the_order_of_the_page() {
        let page = "# HELP a_total A thing.\n# TYPE a_total counter\n\
            a_total{engine=\"0\",x=\"p\\\"q\"} 1.0\na_total{engine=\"1\",x=\"p\\\"q\"} 2.0\n\
            a_total{engine=\"0\",x=\"r\"} 1.0\na_total{engine=\"1\",x=\"r\"} 2.0\n";
        let template = Template::read(page).unwrap();
        let family = &template.families[0];
        assert!(family.engines_inside);
        assert_eq!(family.base(), "a");
        assert_eq!(
            family.series,
            [
                vec![("engine", "0"), ("x", "p\\\"q")],
                vec![("engine", "0"), ("x", "r")]
            ]
        );
    }

    #[test]
    fn says_what_it_does_not_understand() {
        for (page, want) in [
            ("a 1\n", "a sample before any family: a 1"),
            ("# TYPE a counter\n", "no help: # TYPE a counter"),
            (
                "# HELP a A.\n# TYPE a stateset\n",
                "unknown type: # TYPE a stateset",
            ),
            ("# HELP a A.\n# TYPE a gauge\nb 1\n", "no sample: b 1"),
            (
                "# HELP a A.\n# TYPE a gauge\n# HELP a A.\n# TYPE a gauge\n",
                "twice on the page: a",
            ),
        ] {
            assert_eq!(Template::read(page).unwrap_err(), want);
        }
    }
}
