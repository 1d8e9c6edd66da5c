//! `tokenpath lint`: what is wrong with dashboards and rules.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueEnum};
use tokenpath_core::dialect::Dialect;
use tokenpath_lint::{File, Finding, Known, Linter, RULES, Upstream, is_readable, report};
use tokenpath_scrape::{Client, ClientOptions, Endpoint, Page};

use crate::metrics::dialect;
use crate::run::{self, Failure};
use crate::{backends, metrics, serve};

/// Find what is wrong with PromQL in dashboards and rules: names that do not exist, labels that are not
/// there, rates of gauges, fractions compared with 95.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Exit codes: 0 nothing found, 1 findings, 2 it could not be done.

Examples:
  tokenpath lint dashboards/ rules.yml
  tokenpath lint --fix rules.yml
  tokenpath lint --against http://localhost:9401/metrics dashboards/
  tokenpath lint --dialect vllm-v0 old-dashboard.json
  tokenpath lint --format sarif . > lint.sarif"
)]
pub struct Arguments {
    /// Dashboards of Grafana (JSON), rule files of Prometheus and PrometheusRule manifests (YAML); folders
    /// with all that is in them.
    #[arg(value_name = "FILE", required_unless_present = "rules")]
    files: Vec<PathBuf>,
    /// What exists: `catalogue`, which is all that the engines and Tokenpath have, or the page at a URL or
    /// in a file, beside which nothing exists.
    #[arg(long, value_name = "URL|PAGE|catalogue", default_value = "catalogue")]
    against: String,
    /// Dialects that your exporter speaks beside the canonical names.
    #[arg(long = "dialect", value_name = "NAME", value_delimiter = ',', value_parser = dialect)]
    dialects: Vec<Dialect>,
    /// Labels that your scrape configuration adds to all series.
    #[arg(long = "label", value_name = "NAME", value_delimiter = ',')]
    labels: Vec<String>,
    /// Rewrite what is safe, and leave every other byte as it is.
    #[arg(long)]
    fix: bool,
    /// How findings are written.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Form,
    /// Instead: list the rules.
    #[arg(long, exclusive = true)]
    rules: bool,
}

/// The forms of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// A line for each finding, and what to do.
    Text,
    /// An object with the findings as an array.
    Json,
    /// SARIF 2.1.0, for code hosts and editors.
    Sarif,
}

/// Runs the command.
#[must_use]
pub fn run(arguments: &Arguments) -> ExitCode {
    match lint(arguments) {
        Ok(code) => code,
        Err(failure) => run::exit(Err(failure)),
    }
}

/// Longest time for the page to lint against.
const PAGE_TIMEOUT: Duration = Duration::from_secs(10);

fn lint(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let mut out = io::stdout().lock();
    if arguments.rules {
        for rule in RULES {
            writeln!(
                out,
                "{:24}  {:7}  {}",
                rule.id,
                rule.severity.word(),
                rule.title
            )
            .map_err(Failure::runtime)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let dialects: Vec<&str> = arguments.dialects.iter().map(Dialect::name).collect();
    let mut linter = Linter::new(known(dialects)).labels(arguments.labels.iter().cloned());
    if arguments.against != "catalogue" {
        let page = page(&arguments.against)?;
        linter = linter
            .against_page(&page)
            .map_err(|error| Failure::usage(format!("--against {}: {error}", arguments.against)))?;
    }
    let (mut files, unreadable) = read(&arguments.files)?;
    if arguments.fix {
        let before = files.clone();
        let mended = linter.fix(&mut files);
        let changed = files
            .iter()
            .zip(&before)
            .filter(|(now, before)| now.text != before.text);
        for (file, _) in changed {
            replace(Path::new(&file.name), &file.text)
                .map_err(|error| Failure::usage(format!("{}: {error}", file.name)))?;
        }
        if mended > 0 {
            run::complain(format_args!("mended {mended}"));
        }
    }
    let findings = linter.lint(&files);
    write(&mut out, &findings, files.len(), arguments.format).map_err(Failure::runtime)?;
    Ok(match (unreadable, findings.is_empty()) {
        (true, _) => ExitCode::from(2),
        (false, true) => ExitCode::SUCCESS,
        (false, false) => ExitCode::from(1),
    })
}

fn write(
    out: &mut impl io::Write,
    findings: &[Finding],
    files: usize,
    form: Form,
) -> io::Result<()> {
    match form {
        Form::Text => out.write_all(report::text(findings, files).as_bytes())?,
        Form::Json => writeln!(out, "{:#}", report::json(findings, files))?,
        Form::Sarif => writeln!(out, "{:#}", report::sarif(findings))?,
    }
    out.flush()
}

/// Writes a file anew: beside it first, so that there is never half of one.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    // What a link leads to is written, and the link stays.
    let path = fs::canonicalize(path)?;
    let about = fs::metadata(&path)?;
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}", std::process::id()));
    let beside = path.with_file_name(name);
    let file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&beside)?;
    let written = fill(file, text, &about).and_then(|()| fs::rename(&beside, &path));
    if written.is_err() {
        // What went wrong is said; what is left of it need not be.
        _ = fs::remove_file(&beside);
    }
    written
}

/// Writes all of a file that is to stand for another one.
fn fill(mut file: fs::File, text: &str, about: &fs::Metadata) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, fchown};
    file.write_all(text.as_bytes())?;
    // Only the owner of all may give files away; whoever is not owns what it writes.
    _ = fchown(&file, Some(about.uid()), Some(about.gid()));
    file.set_permissions(about.permissions())?;
    file.sync_all()
}

/// All that this build knows: our families, the engines, and these dialects.
#[must_use]
pub fn known(dialects: Vec<&str>) -> Known<'_> {
    let upstream = backends::ALL.iter().filter_map(|backend| {
        let catalogue = (backend.page?.compiled)().catalogue().clone();
        let mut upstream = Upstream::new(catalogue);
        // What a page has beside its catalogue, or lacks.
        match backend.kind {
            "tgi" => {
                upstream.lacks = &["engine", "model_name"];
                upstream.short_edges = true;
            }
            "limitador" => upstream.open_labels = true,
            "gateway" => upstream.short_edges = true,
            _ => {}
        }
        Some(upstream)
    });
    Known {
        families: metrics::descs(),
        upstream: upstream.collect(),
        dialects,
    }
}

/// The page at a URL or in a file.
fn page(place: &str) -> Result<Vec<u8>, Failure> {
    let named =
        |error: &dyn std::fmt::Display| Failure::usage(format!("--against {place}: {error}"));
    if !place.starts_with("http://") && !place.starts_with("https://") {
        return fs::read(place).map_err(|error| named(&error));
    }
    let endpoint: Endpoint = place
        .parse()
        .map_err(|error: tokenpath_scrape::EndpointError| named(&error))?;
    let client = Client::new(endpoint, ClientOptions::default()).map_err(|error| named(&error))?;
    let mut page = Page::new();
    serve::block_on(client.get(&mut page, tokio::time::Instant::now() + PAGE_TIMEOUT))?
        .map_err(|error| named(&tokenpath_core::in_full(&error)))?;
    Ok(page.bytes().to_vec())
}

/// The files and all that is in the folders, in the order of their names; whether one could not be read.
fn read(paths: &[PathBuf]) -> Result<(Vec<File>, bool), Failure> {
    let mut found: Vec<(PathBuf, bool)> = Vec::new();
    let mut unreadable = false;
    for path in paths {
        let about = fs::metadata(path)
            .map_err(|error| Failure::usage(format!("{}: {error}", path.display())))?;
        if about.is_dir() {
            let before = found.len();
            unreadable |= search(path, &mut found);
            if found.len() == before && !unreadable {
                let what = "no file in it that may hold queries (.json, .yaml, .yml, .rules)";
                return Err(Failure::usage(format!("{}: {what}", path.display())));
            }
        } else {
            found.push((path.clone(), true));
        }
    }
    let mut files: Vec<File> = Vec::with_capacity(found.len());
    for (path, named) in found {
        let name = path.display().to_string();
        if files.iter().any(|file| file.name == name) {
            continue;
        }
        match fs::read_to_string(&path) {
            Ok(text) => files.push(File { name, text, named }),
            Err(error) => {
                run::complain(format_args!("error: {name}: {error}"));
                unreadable = true;
            }
        }
    }
    Ok((files, unreadable))
}

/// Searches a folder; whether something could not be read. Hidden folders and links to folders are left out.
fn search(folder: &Path, found: &mut Vec<(PathBuf, bool)>) -> bool {
    let listed = fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let mut entries = match listed {
        Ok(entries) => entries,
        Err(error) => {
            run::complain(format_args!("error: {}: {error}", folder.display()));
            return true;
        }
    };
    entries.sort_by_key(fs::DirEntry::file_name);
    let mut unreadable = false;
    for entry in entries {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let path = entry.path();
        let is_file = match entry.file_type() {
            Ok(kind) if kind.is_dir() => {
                if !name.starts_with('.') && name != "node_modules" {
                    unreadable |= search(&path, found);
                }
                continue;
            }
            // A link to a file is one: so Kubernetes mounts what a ConfigMap has. One to a folder may lead back.
            Ok(_) if is_readable(&name) => fs::metadata(&path).map(|about| about.is_file()),
            Ok(_) => continue,
            Err(error) => Err(error),
        };
        match is_file {
            Ok(true) => found.push((path, false)),
            Ok(false) => {}
            Err(error) => {
                run::complain(format_args!("error: {}: {error}", path.display()));
                unreadable = true;
            }
        }
    }
    unreadable
}
