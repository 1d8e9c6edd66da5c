//! `tokenpath parse`: a page in, JSON lines out.

use std::borrow::Cow;
use std::io::{self, BufWriter, Write};

use clap::Args;
use serde::Serialize;
use tokenpath_core::exposition::{Entry, Format, Labels, Mode, Options, ParseError, Parser, Text};

use crate::run;
use crate::translate::{read_stdin, stdin_limits};

/// Read a page from standard input and print its samples and metadata as JSON lines.
///
/// A page that is not of the format is refused: exit code 1, line and column on standard error.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:
  curl -s localhost:8000/metrics | tokenpath parse --format text-0.0.4")]
pub struct Arguments {
    /// The format of the page: text-0.0.4, text-1.0.0-utf8 or openmetrics-1.0.
    #[arg(long, value_name = "FORMAT")]
    format: Format,
    /// Skip lines that are not valid, and say how many.
    #[arg(long)]
    lenient: bool,
}

/// Runs the command.
///
/// # Errors
///
/// Where the page is not of the format, or the output cannot be written.
pub fn run(arguments: &Arguments) -> Result<(), run::Failure> {
    let page = read_stdin()?;
    let mut options = Options::new(arguments.format);
    options.limits = stdin_limits();
    if arguments.lenient {
        options = options.lenient();
    }
    let mut out = BufWriter::new(io::stdout().lock());
    let skipped = write(&page, options, &mut out).map_err(|failure| match failure {
        Failure::Page(error) => run::Failure::runtime(format!("{error}\n{}", error.excerpt(&page))),
        Failure::Output(error) => run::Failure::runtime(error),
    })?;
    out.flush().map_err(run::Failure::runtime)?;
    if let Some(first) = skipped.first {
        run::complain(format_args!(
            "note: {} lines skipped; the first: {first}",
            skipped.lines
        ));
    }
    Ok(())
}

/// What a lenient reading left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Skipped {
    /// How many lines.
    lines: u64,
    /// What was wrong with the first of them.
    first: Option<ParseError>,
}

/// Why a page did not become JSON lines.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// The page is not of the format.
    #[error("{0}")]
    Page(#[from] ParseError),
    /// The output could not be written.
    #[error("cannot write the output")]
    Output(#[from] io::Error),
}

/// Writes one JSON object a line for each sample and each metadata line of `page`, in its order.
///
/// A sample is `{"kind":"sample","name":…,"labels":[[name, value],…],"value":…,"timestamp_ms":…,
/// "exemplar":…}` with the value as text (`NaN`, `+Inf`, `-Inf` or a decimal); metadata is
/// `{"kind":"metadata","name":…,"type":…,"help":…,"unit":…}` with one of the three filled in.
///
/// # Errors
/// [`Failure::Page`] at the first line that is not of the format ([`Mode::Strict`]); what was
/// written before it stands. [`Failure::Output`] where `out` fails.
fn write(page: &[u8], options: Options, out: &mut impl Write) -> Result<Skipped, Failure> {
    let mut parser = Parser::new(page, options);
    for entry in &mut parser {
        let line = match entry? {
            Entry::Help { name, help } => metadata(name, None, Some(help), None),
            Entry::Type { name, kind } => {
                let word = match options.format {
                    Format::OpenMetrics100 => kind.openmetrics_name(),
                    _ => kind.text_name(),
                };
                metadata(name, Some(word), None, None)
            }
            Entry::Unit { name, unit } => metadata(name, None, None, Some(unit)),
            Entry::Sample(sample) => Line::Sample {
                name: sample.name().to_str(),
                labels: pairs(sample.labels()),
                value: number(sample.value()),
                timestamp_ms: sample.timestamp_ms(),
                exemplar: sample.exemplar().map(|e| Exemplar {
                    labels: pairs(e.labels()),
                    value: number(e.value()),
                    timestamp_ms: e.timestamp_ms(),
                }),
            },
            Entry::Comment(_) | Entry::Eof => continue,
        };
        serde_json::to_writer(&mut *out, &line).map_err(io::Error::from)?;
        out.write_all(b"\n")?;
    }
    debug_assert!(options.mode == Mode::Lenient || parser.skipped_lines() == 0);
    Ok(Skipped {
        lines: parser.skipped_lines(),
        first: parser.first_skipped(),
    })
}

#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Line<'a> {
    Sample {
        name: Cow<'a, str>,
        labels: Vec<(Cow<'a, str>, Cow<'a, str>)>,
        value: String,
        timestamp_ms: Option<i64>,
        exemplar: Option<Exemplar<'a>>,
    },
    Metadata {
        name: Cow<'a, str>,
        #[serde(rename = "type")]
        kind: Option<&'static str>,
        help: Option<Cow<'a, str>>,
        unit: Option<Cow<'a, str>>,
    },
}

#[derive(Serialize)]
struct Exemplar<'a> {
    labels: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    value: String,
    timestamp_ms: Option<i64>,
}

fn metadata<'a>(
    name: Text<'a>,
    kind: Option<&'static str>,
    help: Option<Text<'a>>,
    unit: Option<Text<'a>>,
) -> Line<'a> {
    Line::Metadata {
        name: name.to_str(),
        kind,
        help: help.map(|t| t.to_str()),
        unit: unit.map(|t| t.to_str()),
    }
}

fn pairs<'a>(labels: Labels<'a>) -> Vec<(Cow<'a, str>, Cow<'a, str>)> {
    labels
        .map(|(name, value)| (name.to_str(), value.to_str()))
        .collect()
}

fn number(value: f64) -> String {
    if value.is_finite() {
        format!("{value:?}")
    } else if value.is_nan() {
        "NaN".to_owned()
    } else if value > 0.0 {
        "+Inf".to_owned()
    } else {
        "-Inf".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(page: &str, options: Options) -> (String, Result<Skipped, Failure>) {
        let mut out = Vec::new();
        let result = write(page.as_bytes(), options, &mut out);
        (String::from_utf8(out).unwrap(), result)
    }

    #[test]
    fn prints_what_the_page_says() {
        let page = "# TYPE a_seconds counter\n# UNIT a_seconds seconds\n# HELP a_seconds x \\\"y\n\
                    a_seconds_total{b=\"c\\n\"} 1e400 1.5 # {t=\"u\"} +Inf\n# EOF\n"
            .replace("1e400", "NaN");
        let (out, result) = lines(&page, Format::OpenMetrics100.into());
        assert_eq!(
            result.unwrap(),
            Skipped {
                lines: 0,
                first: None
            }
        );
        assert_eq!(
            out,
            concat!(
                r#"{"kind":"metadata","name":"a_seconds","type":"counter","help":null,"unit":null}"#,
                "\n",
                r#"{"kind":"metadata","name":"a_seconds","type":null,"help":null,"unit":"seconds"}"#,
                "\n",
                r#"{"kind":"metadata","name":"a_seconds","type":null,"help":"x \"y","unit":null}"#,
                "\n",
                r#"{"kind":"sample","name":"a_seconds_total","labels":[["b","c\n"]],"value":"NaN","#,
                r#""timestamp_ms":1500,"exemplar":{"labels":[["t","u"]],"value":"+Inf","timestamp_ms":null}}"#,
                "\n",
            )
        );
    }

    #[test]
    fn says_where_a_page_is_wrong() {
        let (_, result) = lines("a 1\nb x\n", Options::default());
        assert_eq!(
            result.unwrap_err().to_string(),
            "line 2, column 3: expected a decimal number, NaN, +Inf or -Inf"
        );
        let (out, result) = lines("a 1\nb x\nc 2\n", Options::default().lenient());
        assert_eq!(out.lines().count(), 2);
        assert_eq!(result.unwrap().lines, 1);
    }
}
