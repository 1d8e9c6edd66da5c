//! The formats of our page before a real Prometheus: what it makes of protobuf is what it makes of
//! OpenMetrics, exemplars included.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::cargo;
use crate::e2e::prometheus::{Prometheus, Series};
use crate::e2e::relay::Relay;
use crate::e2e::targets::Target;
use crate::guard::Program;
use crate::http;
use crate::report::{Report, Result, Verdict, ensure, passed};
use crate::tests::Binaries;
use crate::tools;

const PAGE: &str = "testdata/vllm/vllm-0.33.0-V1-openmetrics.txt";

/// The first bucket that counts anything, and a counter: the lines that get exemplars, with what
/// becomes of them.
const EXEMPLIFIED: [(&str, &str, f64); 2] = [
    (
        "vllm_time_to_first_token_seconds_bucket{engine=\"0\",le=\"0.25\"",
        "llm_time_to_first_token_seconds_bucket{le=\"0.25\"}",
        0.19,
    ),
    (
        "vllm_generation_tokens_total{",
        "llm_generation_tokens_total",
        17.0,
    ),
];
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// An exporter of a server that never changes, read by two Prometheus servers.
struct Setting {
    _target: Target,
    _exporter: Program,
    relays: [Relay; 2],
    servers: [Prometheus; 2],
}

pub(crate) fn run(binaries: &Binaries, report: &mut Report) {
    report.heading("end to end: formats");
    let mut setting = None;
    report.check("two Prometheus servers read one exporter", || {
        if let Err(why) = tools::prometheus() {
            return Ok(Verdict::Skipped(why));
        }
        setting = Some(Setting::start(binaries)?);
        passed("")
    });
    let Some(mut setting) = setting else { return };
    report.check("one is served OpenMetrics, the other protobuf", || {
        setting.content_types()
    });
    report.check("both hold the same series with the same values", || {
        setting.same_values()
    });
    report.check("both hold the exemplars of the server", || {
        setting.same_exemplars()
    });
}

impl Setting {
    fn start(binaries: &Binaries) -> Result<Self> {
        let target = Target::answers("200 OK", "application/openmetrics-text", &page()?)?;
        let address = http::free_address()?;
        let mut exporter = Program::start(
            Command::new(&binaries.vllm_exporter)
                .args(["--web.listen-address", &address.to_string()])
                .args(["--vllm.endpoint", &format!("http://{}", target.address)]),
        )?;
        exporter.wait_for("answer from /healthz", Duration::from_secs(5), || {
            http::get(address, "/healthz", &[])
                .ok()
                .filter(|answer| answer.status == 200)
        })?;
        let relays = [Relay::to(address)?, Relay::to(address)?];
        let servers = [
            Prometheus::scraping_with(relays[0].address, &["exemplar-storage"])?,
            Prometheus::scraping_with(
                relays[1].address,
                &["exemplar-storage", "native-histograms"],
            )?,
        ];
        Ok(Self {
            _target: target,
            _exporter: exporter,
            relays,
            servers,
        })
    }

    fn content_types(&mut self) -> Result<Verdict> {
        let mut said = Vec::new();
        for (index, expected) in [
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
            "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; \
             encoding=delimited",
        ]
        .into_iter()
        .enumerate()
        {
            self.servers[index].ask("up", Duration::from_secs(30), |up| {
                up.iter().any(|series| series.value > 0.0)
            })?;
            let types = self.relays[index].values("content-type");
            let accepts = self.relays[index].values("accept");
            ensure!(
                !types.is_empty() && types.iter().all(|kind| kind == expected),
                "expected {expected}, served {types:?} to {accepts:?}"
            );
            said.push(expected.split(';').next().unwrap_or_default());
        }
        passed(said.join(", "))
    }

    fn same_values(&mut self) -> Result<Verdict> {
        let mut held = Vec::new();
        for server in &mut self.servers {
            let limit = Duration::from_secs(30);
            let series = server.ask("{job=\"tokenpath\"}", limit, |series| series.len() > 100)?;
            held.push(comparable(series)?);
        }
        let [text, protobuf] = &held[..] else {
            return Err("two servers".into());
        };
        for (series, value) in text {
            let other = protobuf.get(series);
            ensure!(
                other == Some(value),
                "{series} is {value} from OpenMetrics and {other:?} from protobuf"
            );
        }
        let more = protobuf.keys().find(|series| !text.contains_key(*series));
        ensure!(more.is_none(), "{more:?} is in protobuf only");
        let buckets = text
            .keys()
            .filter(|series| series.contains("\"le\":"))
            .count();
        ensure!(buckets > 100, "{} series, {buckets} buckets", text.len());
        passed(format!("{} series, {buckets} of them buckets", text.len()))
    }

    fn same_exemplars(&mut self) -> Result<Verdict> {
        let mut found = 0;
        for server in &mut self.servers {
            for (_, series, value) in EXEMPLIFIED {
                let exemplars = server.exemplars(series)?;
                let [exemplar] = &exemplars[..] else {
                    return Err(format!("{series} has {exemplars:?}").into());
                };
                let seen: Option<f64> = exemplar["value"].as_str().and_then(|v| v.parse().ok());
                ensure!(
                    exemplar["labels"]["trace_id"] == TRACE && seen == Some(value),
                    "{series} has {exemplar}"
                );
                found += 1;
            }
        }
        passed(format!("{found} exemplars"))
    }
}

/// What the server said, as text: our own state is another at each reading.
fn comparable(series: Vec<Series>) -> Result<BTreeMap<String, String>> {
    let mut held = BTreeMap::new();
    for series in series {
        let name = series.label("__name__").unwrap_or_default();
        if !name.starts_with("llm_") {
            continue;
        }
        let mut labels = series.labels.as_object().ok_or("no labels")?.clone();
        labels.remove("instance");
        let key = serde_json::to_string(&labels)?;
        held.insert(key, format!("{:?}", series.value));
    }
    Ok(held)
}

/// A page of a vLLM server with exemplars of just now: Prometheus keeps none that are older than what
/// it has.
fn page() -> Result<String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64();
    let text = std::fs::read_to_string(cargo::root().join(PAGE))?;
    let mut page = String::new();
    for line in text.lines() {
        page.push_str(line);
        if let Some((_, _, value)) = EXEMPLIFIED
            .iter()
            .find(|(begin, _, _)| line.starts_with(begin))
        {
            page.push_str(&format!(" # {{trace_id=\"{TRACE}\"}} {value} {now:.3}"));
        }
        page.push('\n');
    }
    let there = page.matches(TRACE).count();
    ensure!(
        there == EXEMPLIFIED.len(),
        "{PAGE} has {there} of the lines"
    );
    Ok(page)
}
