//! A real Prometheus with one target, in a folder of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::cargo;
use crate::guard::Program;
use crate::http;
use crate::report::{Result, ensure};

pub(crate) struct Prometheus {
    program: Program,
    address: SocketAddr,
    folder: PathBuf,
}

/// What it reads.
pub(crate) struct Scrape<'a> {
    /// Of its folder, where several run at a time.
    pub(crate) name: &'a str,
    pub(crate) target: SocketAddr,
    /// A folder of rule files.
    pub(crate) rules: Option<&'a Path>,
}

impl Prometheus {
    /// Scrapes one address each second.
    pub(crate) fn scraping(target: SocketAddr) -> Result<Self> {
        Self::start(&Scrape {
            name: "demo",
            target,
            rules: None,
        })
    }

    /// Scrapes and evaluates rules each second.
    pub(crate) fn start(scrape: &Scrape) -> Result<Self> {
        let Scrape {
            name,
            target,
            rules,
        } = scrape;
        let folder =
            cargo::target_folder().join(format!("prometheus-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let config = folder.join("prometheus.yml");
        let rules = rules.map_or_else(String::new, |folder| {
            format!("rule_files:\n  - '{}/*.yml'\n", folder.display())
        });
        std::fs::write(
            &config,
            format!(
                "global:\n  scrape_interval: 1s\n  scrape_timeout: 1s\n  evaluation_interval: 1s\n{rules}scrape_configs:\n\
                 \x20 - job_name: tokenpath\n    static_configs:\n      - targets: ['{target}']\n"
            ),
        )?;
        let address = http::free_address()?;
        let program = Program::start(
            Command::new("prometheus")
                .arg(format!("--config.file={}", config.display()))
                .arg(format!(
                    "--storage.tsdb.path={}",
                    folder.join("data").display()
                ))
                .arg(format!("--web.listen-address={address}"))
                .arg("--log.level=warn"),
        )?;
        Ok(Self {
            program,
            address,
            folder,
        })
    }

    /// Asks until `accept` takes the answer.
    pub(crate) fn ask(
        &mut self,
        query: &str,
        limit: Duration,
        accept: impl Fn(&[Series]) -> bool,
    ) -> Result<Vec<Series>> {
        let address = self.address;
        let mut last = String::new();
        let found = self
            .program
            .wait_for(&format!("answer to {query}"), limit, || {
                std::thread::sleep(Duration::from_millis(200));
                match ask(address, query) {
                    Ok(series) if accept(&series) => Some(series),
                    Ok(series) => {
                        last = format!("{series:?}");
                        None
                    }
                    Err(error) => {
                        last = error.to_string();
                        None
                    }
                }
            });
        found.map_err(|error| format!("{error}\nits last answer: {last}").into())
    }
}

/// One series of an answer: its labels and its value.
#[derive(Debug)]
pub(crate) struct Series {
    labels: Value,
    pub(crate) value: f64,
}

impl Series {
    /// The value of a label.
    pub(crate) fn label(&self, name: &str) -> Option<&str> {
        self.labels[name].as_str()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // The database is only for this run; leaving it behind costs space and nothing else.
        let _ = self.program.terminate(Duration::from_secs(10));
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// The series of an instant query.
fn ask(address: SocketAddr, query: &str) -> Result<Vec<Series>> {
    let path = format!("/api/v1/query?query={}", percent(query));
    let answer = http::get(address, &path, &[])?;
    ensure!(answer.status == 200, "{}: {}", answer.status, answer.body);
    let value: Value = serde_json::from_str(&answer.body)?;
    value["data"]["result"]
        .as_array()
        .ok_or("no result")?
        .iter()
        .map(|series| {
            let text = series["value"][1]
                .as_str()
                .ok_or("a series without a value")?;
            Ok(Series {
                labels: series["metric"].clone(),
                value: text.parse()?,
            })
        })
        .collect()
}

/// Percent-encodes all but letters and digits.
fn percent(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect()
}
