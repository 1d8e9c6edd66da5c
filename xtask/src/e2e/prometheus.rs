//! A real Prometheus with one target, in a folder of its own.

use std::net::SocketAddr;
use std::path::PathBuf;
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

impl Prometheus {
    /// Scrapes one address each second.
    pub(crate) fn scraping(target: SocketAddr) -> Result<Self> {
        let folder = cargo::target_folder().join(format!("prometheus-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let config = folder.join("prometheus.yml");
        std::fs::write(
            &config,
            format!(
                "global:\n  scrape_interval: 1s\n  scrape_timeout: 1s\nscrape_configs:\n\
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

    /// Asks until the answer is one series with a number that `accept` takes.
    pub(crate) fn number(
        &mut self,
        query: &str,
        limit: Duration,
        accept: impl Fn(f64) -> bool,
    ) -> Result<f64> {
        let address = self.address;
        self.program
            .wait_for(&format!("answer to {query}"), limit, || {
                std::thread::sleep(Duration::from_millis(200));
                let values = ask(address, query).ok()?;
                match values.as_slice() {
                    [one] if accept(*one) => Some(*one),
                    _ => None,
                }
            })
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // The database is only for this run; leaving it behind costs space and nothing else.
        let _ = self.program.terminate(Duration::from_secs(10));
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// The values of an instant query.
fn ask(address: SocketAddr, query: &str) -> Result<Vec<f64>> {
    let answer = http::get(
        address,
        &format!("/api/v1/query?query={}", percent(query)),
        &[],
    )?;
    ensure!(answer.status == 200, "{}: {}", answer.status, answer.body);
    let value: Value = serde_json::from_str(&answer.body)?;
    let values = value["data"]["result"]
        .as_array()
        .ok_or("no result")?
        .iter()
        .filter_map(|series| series["value"][1].as_str()?.parse().ok())
        .collect();
    Ok(values)
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
