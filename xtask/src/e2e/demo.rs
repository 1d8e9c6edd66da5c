//! `tokenpath demo`: the first thing a newcomer sees, read by promtool, Python and Prometheus.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::e2e::page::{self, Sample};
use crate::e2e::prometheus::Prometheus;
use crate::e2e::python;
use crate::guard::Program;
use crate::http;
use crate::report::{Report, Result, Verdict, ensure, passed};
use crate::tests::Binaries;
use crate::tools;

const TTFT: &str = "llm_time_to_first_token_seconds";
const QUANTILE: &str = "histogram_quantile(0.95, sum by (le, backend, model_name) \
    (rate(llm_time_to_first_token_seconds_bucket[1m])))";
pub(super) const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0";

/// The goal is 1 s; machines that test are busy, so only far beyond it fails.
const FIRST_PAGE_LIMIT: Duration = Duration::from_secs(5);

/// A demo that has served its first page.
pub(super) struct Demo {
    program: Program,
    pub(super) address: SocketAddr,
}

pub(crate) fn run(binaries: &Binaries, report: &mut Report) {
    report.heading("end to end: the demo");
    let mut started = None;
    report.check("`tokenpath demo` serves its first page", || {
        let (demo, seconds) = Demo::start(binaries, &[])?;
        started = Some(demo);
        passed(format!(
            "{:.0} ms after start (goal 1000 ms)",
            seconds * 1000.0
        ))
    });
    let Some(mut demo) = started else { return };
    report.check("it says where to look and what to try", || {
        demo.says_where_to_look()
    });
    report.check("every backend is on the page", || demo.shows_all());
    report.check("time to first token grows", || demo.grows());
    report.check("promtool has nothing to say about the page", || {
        if let Err(why) = tools::prometheus() {
            return Ok(Verdict::Skipped(why));
        }
        let said = tools::promtool_check(&demo.page("*/*")?)?;
        ensure!(said.is_empty(), "{said}");
        passed("")
    });
    report.check(
        "the Python client reads the text and the OpenMetrics page",
        || {
            let python = match tools::python_client() {
                Ok(python) => python,
                Err(why) => return Ok(Verdict::Skipped(why)),
            };
            let text = python::text_samples(&python, &demo.page("*/*")?)?;
            let openmetrics = python::openmetrics_samples(&python, &demo.page(OPENMETRICS)?)?;
            passed(format!("{text} and {openmetrics} samples"))
        },
    );
    report.check(
        "a real Prometheus computes the p95 that the twin really had",
        || demo.p95(),
    );
    report.check("SIGTERM ends the demo", || {
        let status = demo.program.terminate(Duration::from_secs(5))?;
        ensure!(status.success(), "{status}:\n{}", demo.program.said());
        passed("")
    });
}

impl Demo {
    /// Starts it with these arguments; how many seconds that took.
    pub(super) fn start(binaries: &Binaries, arguments: &[&str]) -> Result<(Self, f64)> {
        let address = http::free_address()?;
        let mut program = Program::start(
            Command::new(&binaries.tokenpath)
                .args(["demo", "--web.listen-address", &address.to_string()])
                .args(arguments),
        )?;
        program.wait_for("page with time to first token", FIRST_PAGE_LIMIT, || {
            let answer = http::get(address, "/metrics", &[]).ok()?;
            (answer.status == 200 && answer.body.contains(TTFT)).then_some(())
        })?;
        let seconds = program.started().elapsed().as_secs_f64();
        Ok((Self { program, address }, seconds))
    }

    pub(super) fn page(&self, accept: &str) -> Result<String> {
        let answer = http::get(self.address, "/metrics", &[("Accept", accept)])?;
        ensure!(answer.status == 200, "{}: {}", answer.status, answer.body);
        Ok(answer.body)
    }

    fn samples(&self) -> Result<Vec<Sample>> {
        page::samples(&self.page("*/*")?)
    }

    fn says_where_to_look(&mut self) -> Result<Verdict> {
        let look = format!("http://{}/metrics", self.address);
        let program = &mut self.program;
        let said = program.stdout();
        ensure!(said.contains(&look), "no {look} in:\n{}", program.said());
        ensure!(said.contains("curl"), "nothing to try in:\n{said}");
        passed("")
    }

    /// What the whole path is for: engines of both kinds, GPUs, tenants and a gateway on one page.
    fn shows_all(&mut self) -> Result<Verdict> {
        let address = self.address;
        let has_all = |page: &str| {
            [
                "backend=\"vllm\"",
                "backend=\"tgi\"",
                "\ngpu_vram_used_bytes{",
                "\nllm_tenant_tokens_total{",
                "\nllm_gateway_requests_total{",
            ]
            .iter()
            .all(|part| page.contains(part))
        };
        let page =
            self.program
                .wait_for("page with every backend", Duration::from_secs(20), || {
                    let answer = http::get(address, "/metrics", &[]).ok()?;
                    has_all(&answer.body).then_some(answer.body)
                })?;
        let families = page::declared_once(&page)?;
        let up = page::samples(&page)?;
        let mut up = up.iter().filter(|it| it.name == "tokenpath_source_up");
        let down = up.find(|it| it.value < 1.0);
        ensure!(down.is_none(), "not up: {down:?}");
        passed(format!("{families} families, each once"))
    }

    fn grows(&mut self) -> Result<Verdict> {
        let count = |samples: &[Sample]| -> f64 {
            samples
                .iter()
                .filter(|sample| sample.name == format!("{TTFT}_bucket"))
                .filter(|sample| {
                    sample.label("backend") == Some("vllm") && sample.label("le") == Some("+Inf")
                })
                .map(|sample| sample.value)
                .sum()
        };
        let before = count(&self.samples()?);
        let address = self.address;
        let after = self
            .program
            .wait_for("growing count", Duration::from_secs(20), || {
                std::thread::sleep(Duration::from_millis(200));
                let body = http::get(address, "/metrics", &[]).ok()?.body;
                let now = count(&page::samples(&body).ok()?);
                (now > before).then_some(now)
            })?;
        passed(format!("{before} to {after} requests"))
    }

    fn p95(&mut self) -> Result<Verdict> {
        if let Err(why) = tools::prometheus() {
            return Ok(Verdict::Skipped(why));
        }
        let models = self.models()?;
        let before = models
            .iter()
            .map(Model::first_tokens)
            .collect::<Result<Vec<_>>>()?;
        let mut prometheus = Prometheus::scraping(self.address)?;
        let limit = Duration::from_secs(90);
        prometheus.ask("up{job=\"tokenpath\"}", limit, |up| {
            up.len() == 1 && up.iter().all(|up| up.value >= 1.0)
        })?;
        let samples = prometheus.ask("scrape_samples_scraped{job=\"tokenpath\"}", limit, |n| {
            n.iter().any(|n| n.value > 0.0)
        })?;
        // Enough requests that one more or less does not move the quantile by a bucket.
        let requests = format!("sum by (model_name) (increase({TTFT}_count[1m]))");
        prometheus.ask(&requests, limit, |answer| {
            answer.len() == models.len() && answer.iter().all(|model| model.value >= 100.0)
        })?;
        let estimates = prometheus.ask(QUANTILE, limit, |answer| {
            answer.len() == models.len() && answer.iter().all(|model| model.value.is_finite())
        })?;
        let mut seen = Vec::new();
        for (model, before) in models.iter().zip(&before) {
            let estimate = estimates
                .iter()
                .find(|series| {
                    series.label("model_name") == Some(&model.name)
                        && series.label("backend") == Some("vllm")
                })
                .ok_or_else(|| format!("no answer for {}: {estimates:?}", model.name))?
                .value;
            let real = model.quantile_bucket(before, &model.first_tokens()?)?;
            let estimated = model.edges.partition_point(|edge| *edge < estimate);
            ensure!(
                estimated.abs_diff(real) <= 1,
                "{}: Prometheus says {estimate} s (bucket {estimated}), the twin measured bucket {real} of {:?}",
                model.name,
                model.edges
            );
            let up_to = model
                .edges
                .get(real)
                .map_or_else(|| "+Inf".to_owned(), f64::to_string);
            seen.push(format!(
                "{} {estimate:.3} s (really in the bucket up to {up_to} s)",
                model.name
            ));
        }
        let samples = samples.first().map_or(0.0, |one| one.value);
        passed(format!("{}; {samples} samples a scrape", seen.join(", ")))
    }

    /// The models whose time to first token is on our page, with the simulated servers of each as the
    /// demo names them.
    fn models(&mut self) -> Result<Vec<Model>> {
        let said = self.program.said();
        let samples = self.samples()?;
        let mut models: Vec<Model> = Vec::new();
        for word in said.split_whitespace() {
            let Some(target) = word.strip_prefix("twin=http://") else {
                continue;
            };
            let buckets = || {
                samples.iter().filter(|sample| {
                    sample.name == format!("{TTFT}_bucket")
                        && sample.label("target") == Some(target)
                })
            };
            // An engine that has no time to first token has none to compare.
            let Some(name) = buckets().find_map(|sample| sample.label("model_name")) else {
                continue;
            };
            let mut edges: Vec<f64> = buckets()
                .filter_map(|sample| sample.label("le")?.parse().ok())
                .filter(|edge: &f64| edge.is_finite())
                .collect();
            edges.sort_by(f64::total_cmp);
            edges.dedup();
            let address = target.parse()?;
            match models.iter_mut().find(|model| model.name == name) {
                Some(model) => {
                    ensure!(model.edges == edges, "servers of {name} have other edges");
                    model.servers.push(address);
                }
                None => models.push(Model {
                    name: name.to_owned(),
                    servers: vec![address],
                    edges,
                }),
            }
        }
        ensure!(
            !models.is_empty(),
            "the demo does not say where its twins are:\n{said}"
        );
        Ok(models)
    }
}

/// A model, and the simulated servers of it.
struct Model {
    name: String,
    servers: Vec<SocketAddr>,
    /// The finite edges of their histograms on our page.
    edges: Vec<f64>,
}

/// How many first tokens came within each edge of a model, and how many in all.
struct FirstTokens {
    within: Vec<u64>,
    all: u64,
}

impl Model {
    /// What really happened so far, over all engines, from the twins themselves.
    fn first_tokens(&self) -> Result<FirstTokens> {
        let mut sum = FirstTokens {
            within: vec![0; self.edges.len()],
            all: 0,
        };
        let mut engines = Vec::new();
        for server in &self.servers {
            let answer = http::get(*server, "/debug/truth", &[])?;
            ensure!(answer.status == 200, "{}: {}", answer.status, answer.body);
            let mut truth: Value = serde_json::from_str(&answer.body)?;
            let of_server = truth["engines"]
                .as_array_mut()
                .ok_or("a truth without engines")?;
            engines.append(of_server);
        }
        for engine in &engines {
            let observed = &engine["time_to_first_token_seconds"];
            let edges = numbers(&observed["edges"])?;
            let cumulative = numbers(&observed["cumulative"])?;
            for (edge, sum) in self.edges.iter().zip(&mut sum.within) {
                *sum += edges
                    .iter()
                    .position(|known| known.as_f64() == Some(*edge))
                    .and_then(|index| cumulative.get(index)?.as_u64())
                    .ok_or_else(|| format!("the truth does not know the edge {edge}"))?;
            }
            sum.all += observed["count"]
                .as_u64()
                .ok_or("a truth without a count")?;
        }
        Ok(sum)
    }

    /// The bucket of the 95th percentile of what happened in between.
    fn quantile_bucket(&self, before: &FirstTokens, after: &FirstTokens) -> Result<usize> {
        let all = after.all - before.all;
        ensure!(all > 0, "no first token of {}", self.name);
        // 0.95 of all, rounded up.
        let rank = (all * 95).div_ceil(100);
        Ok(after
            .within
            .iter()
            .zip(&before.within)
            .position(|(after, before)| after - before >= rank)
            .unwrap_or(self.edges.len()))
    }
}

fn numbers(value: &Value) -> Result<&Vec<Value>> {
    value
        .as_array()
        .ok_or_else(|| "the truth has no list of numbers".into())
}
