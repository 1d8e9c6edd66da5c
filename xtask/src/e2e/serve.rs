//! `tokenpath serve --config`: targets that come and go, files that change, SIGHUP, probes; and
//! `tokenpath check-config`.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::cargo;
use crate::e2e::faults::{healthy_page, value};
use crate::e2e::page::{self, Sample};
use crate::e2e::targets::Target;
use crate::guard::Program;
use crate::http;
use crate::report::{Report, Result, Verdict, ensure, passed};
use crate::tests::Binaries;
use crate::tools;

/// By when a target that was added to a file must be read, and one that is gone must be off the page.
const FOLLOW_LIMIT: Duration = Duration::from_secs(5);
/// For what has no goal of its own.
const PATIENCE: Duration = Duration::from_secs(20);
const TEXT: &str = "text/plain; version=0.0.4";
/// The variables of the documents: none of them is to come from outside.
const VARIABLES: [&str; 8] = [
    "VLLM_ENDPOINT",
    "TGI_ENDPOINT",
    "LIMITADOR_ENDPOINT",
    "GATEWAY_ENDPOINT",
    "SCRAPE_INTERVAL",
    "WORKER_ID",
    "MODEL_NAME",
    "GPU_ID",
];

pub(crate) fn run(binaries: &Binaries, report: &mut Report) {
    report.heading("end to end: one configuration");
    report.check(
        "check-config tells every error of every broken file",
        || broken(binaries),
    );
    report.check("check-config takes the examples", || examples(binaries));
    report.check("a bad configuration refuses the start with exit 2", || {
        refused(binaries)
    });
    report.check(
        "flags win over the environment, and that over the file",
        || precedence(binaries),
    );
    report.check("MODEL_NAME fills only where the engine is silent", || {
        model_name(binaries)
    });
    report.check("each endpoint is read as what its flag says", || {
        kinds(binaries)
    });
    report.check(
        "targets of an http_sd are read, their kind told by the page",
        || found(binaries),
    );
    report.check("unknown families go out only where it is asked for", || {
        passed_through(binaries)
    });
    report.check("GPUs come and go with the configuration", || gpus(binaries));
    report.check("llama.cpp is read by examples/llamacpp.yaml alone", || {
        llamacpp(binaries)
    });
    report.check("replicas are one where --rollup asks for it", || {
        rolled_up(binaries)
    });
    report.check(
        "a probe that is not allowed is refused, and nothing sent",
        || probes(binaries),
    );
    let mut started = None;
    report.check(
        "examples/fleet.yaml reads the twin of another process",
        || {
            started = Some(Fleet::start(binaries)?);
            passed("")
        },
    );
    let Some(mut fleet) = started else { return };
    report.check("an edited target file is followed within 5 s", || {
        fleet.edit()
    });
    report.check("SIGHUP reads the file again and interrupts nobody", || {
        fleet.hang_up()
    });
    report.check("a bad reload is visible and harmless", || {
        fleet.bad_reload()
    });
    report.check("SIGTERM ends it", || {
        let status = fleet.server.program.terminate(FOLLOW_LIMIT)?;
        ensure!(
            status.success(),
            "{status}:\n{}",
            fleet.server.program.said()
        );
        passed("")
    });
}

/// A folder for files of one check; gone with it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Result<Self> {
        let path = cargo::target_folder().join(format!("{name}-{}", std::process::id()));
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.0.join(name);
        fs::write(&path, text)?;
        Ok(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Left behind it costs a little space.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn tokenpath(binaries: &Binaries, arguments: &[&str]) -> Command {
    let mut command = Command::new(&binaries.tokenpath);
    for variable in VARIABLES {
        command.env_remove(variable);
    }
    command.args(arguments);
    command
}

/// A running `tokenpath serve`.
struct Server {
    program: Program,
    address: SocketAddr,
}

impl Server {
    fn start(command: &mut Command) -> Result<Self> {
        let address = http::free_address()?;
        command.args(["--web.listen-address", &address.to_string()]);
        let program = Program::start(command)?;
        Ok(Self { program, address })
    }

    fn with_config(binaries: &Binaries, config: &Path, more: &[&str]) -> Result<Self> {
        let config = config.to_string_lossy();
        let mut command = tokenpath(binaries, &["serve", "--config", &config]);
        Self::start(command.args(more))
    }

    /// Pages until one is as it should be.
    fn page(
        &mut self,
        what: &str,
        limit: Duration,
        accept: impl Fn(&[Sample]) -> bool,
    ) -> Result<Vec<Sample>> {
        let address = self.address;
        self.program.wait_for(what, limit, || {
            let answer = http::get(address, "/metrics", &[]).ok()?;
            let samples = page::samples(&answer.body).ok()?;
            let accepted = answer.status == 200 && accept(&samples);
            if !accepted {
                std::thread::sleep(Duration::from_millis(50));
            }
            accepted.then_some(samples)
        })
    }

    fn up(&mut self, target: &str, limit: Duration) -> Result<Vec<Sample>> {
        self.page(&format!("{target} up"), limit, |page| is_up(page, target))
    }
}

fn is_up(samples: &[Sample], target: &str) -> bool {
    value(samples, "tokenpath_source_up", target, None).is_some_and(|up| up >= 1.0)
}

fn has_series(samples: &[Sample], target: &str) -> bool {
    samples
        .iter()
        .any(|sample| sample.label("target") == Some(target))
}

fn run_to_end(command: &mut Command) -> Result<(Option<i32>, String, String)> {
    let mut program = Program::start(command)?;
    let status = program.wait(PATIENCE)?;
    Ok((status.code(), program.stdout(), program.stderr()))
}

/// The errors that a broken file names in its comments: `# error: LINE:COLUMN TEXT`.
fn named(text: &str) -> Vec<(&str, &str)> {
    let comments = text.lines().filter_map(|line| line.split_once("# error: "));
    comments
        .filter_map(|(_, error)| error.split_once(' '))
        .collect()
}

fn broken(binaries: &Binaries) -> Result<Verdict> {
    let mut files = 0;
    let mut errors = 0;
    for entry in fs::read_dir(cargo::root().join("testdata/config"))? {
        let path = entry?.path();
        if path.extension().is_none_or(|ending| ending != "yaml") {
            continue;
        }
        let name = path.to_string_lossy().into_owned();
        let (code, _, said) = run_to_end(&mut tokenpath(binaries, &["check-config", &name]))?;
        ensure!(code == Some(2), "{name}: exit {code:?}\n{said}");
        let text = fs::read_to_string(&path)?;
        let named = named(&text);
        ensure!(!named.is_empty(), "{name} names no error");
        for (place, message) in &named {
            let line = format!("error: {name}:{place}: {}", message.trim());
            ensure!(said.contains(&line), "no `{line}` in\n{said}");
        }
        let told = said
            .lines()
            .filter(|line| line.starts_with("error: "))
            .count();
        ensure!(
            told == named.len(),
            "{told} errors instead of {}:\n{said}",
            named.len()
        );
        files += 1;
        errors += told;
    }
    ensure!(files > 5, "only {files} files");
    passed(format!("{errors} errors in {files} files"))
}

fn examples(binaries: &Binaries) -> Result<Verdict> {
    let folder = cargo::root().join("examples");
    let mut paths = Vec::new();
    for name in ["tokenpath.yaml", "fleet.yaml", "llamacpp.yaml"] {
        paths.push(folder.join(name).to_string_lossy().into_owned());
    }
    let mut command = tokenpath(binaries, &["check-config"]);
    let (code, said, errors) = run_to_end(command.args(&paths))?;
    ensure!(code == Some(0), "exit {code:?}\n{errors}");
    for path in &paths {
        ensure!(
            said.contains(&format!("{path}: OK, ")),
            "{path} is not OK:\n{said}"
        );
    }
    passed("")
}

fn refused(binaries: &Binaries) -> Result<Verdict> {
    let folder = Folder::new("refused")?;
    let config = folder.write("t.yaml", "sorces: []\ndefaults: {timeout: soon}\n")?;
    let ca = folder.write(
        "ca.yaml",
        "sources: [{kind: vllm, endpoint: 'https://localhost:1', tls: {ca_file: none.pem}}]\n",
    )?;
    let (config, ca) = (config.to_string_lossy(), ca.to_string_lossy());
    let missing = folder.0.join("missing.yaml");
    let missing = missing.to_string_lossy();
    let cases: [(&[&str], &[&str]); 5] = [
        (
            &[
                "--config",
                &config,
                "--vllm.endpoint=ftp://a",
                "--shard=4/4",
            ],
            &[
                "t.yaml:1:1: `sorces`",
                "t.yaml:2:21: `soon`",
                "--vllm.endpoint: ",
                "--shard: `4/4`",
            ],
        ),
        (&["--config", &missing], &["missing.yaml: cannot be read"]),
        (&["--config", &ca], &["none.pem"]),
        (
            &["--dialect=nosuch", "--vllm.endpoint=a"],
            &["--dialect: `nosuch` is no dialect"],
        ),
        (&[], &["nothing to read"]),
    ];
    for (arguments, wanted) in cases {
        let mut command = tokenpath(binaries, &["serve", "--web.listen-address=127.0.0.1:0"]);
        let (code, _, said) = run_to_end(command.args(arguments))?;
        ensure!(code == Some(2), "{arguments:?}: exit {code:?}\n{said}");
        for text in wanted {
            ensure!(said.contains(text), "{arguments:?}: no `{text}` in\n{said}");
        }
    }
    passed("")
}

fn precedence(binaries: &Binaries) -> Result<Verdict> {
    let target = Target::answers("200 OK", TEXT, &healthy_page()?)?;
    let at = target.address.to_string();
    let folder = Folder::new("precedence")?;
    let text = format!(
        "defaults: {{labels: {{worker_id: file}}}}\nsources: [{{kind: vllm, endpoint: '{at}'}}]\n"
    );
    let config = folder.write("t.yaml", &text)?;
    let config = config.to_string_lossy();
    let start = |environment: bool, flags: &[&str]| {
        let mut command = tokenpath(binaries, &["serve", "--config", &config]);
        if environment {
            command
                .env("WORKER_ID", "environment")
                .env("SCRAPE_INTERVAL", "1");
        }
        Server::start(command.args(flags))
    };
    for (environment, flags, wanted) in [
        (false, &[][..], "file"),
        (true, &[], "environment"),
        (true, &["--label", "worker_id=flag"], "flag"),
    ] {
        let samples = start(environment, flags)?.up(&at, PATIENCE)?;
        let label = Some(("worker_id", wanted));
        let there = value(&samples, "tokenpath_source_up", &at, label);
        ensure!(there.is_some(), "worker_id is not {wanted}");
    }
    passed("")
}

fn model_name(binaries: &Binaries) -> Result<Verdict> {
    let silent = "# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running 1\n";
    let silent = Target::answers("200 OK", TEXT, silent)?;
    let telling = Target::answers("200 OK", TEXT, &healthy_page()?)?;
    let endpoints = format!("http://{},http://{}", silent.address, telling.address);
    let mut command = tokenpath(binaries, &["serve"]);
    command
        .env("VLLM_ENDPOINT", endpoints)
        .env("MODEL_NAME", "from-outside");
    let mut server = Server::start(&mut command)?;
    let (silent, telling) = (silent.address.to_string(), telling.address.to_string());
    let samples = server.page("both up", PATIENCE, |page| {
        is_up(page, &silent) && is_up(page, &telling)
    })?;
    let label = Some(("model_name", "from-outside"));
    let running = |target| value(&samples, "llm_requests_running", target, label);
    ensure!(
        running(&silent).is_some(),
        "the silent engine has no model_name"
    );
    ensure!(
        running(&telling).is_none(),
        "the engine's own model_name is gone"
    );
    passed("")
}

fn kinds(binaries: &Binaries) -> Result<Verdict> {
    const KINDS: [&str; 4] = ["vllm", "tgi", "limitador", "gateway"];
    let mut command = tokenpath(binaries, &["serve"]);
    let mut targets = Vec::new();
    for kind in KINDS {
        // Nobody is there: who is asked, and as what, is on the page all the same.
        let target = http::free_address()?.to_string();
        command.args([&format!("--{kind}.endpoint"), &target]);
        targets.push(target);
    }
    let mut server = Server::start(&mut command)?;
    let samples = server.page("page", PATIENCE, |page| !page.is_empty())?;
    for (kind, target) in KINDS.iter().zip(&targets) {
        let down = value(
            &samples,
            "tokenpath_source_up",
            target,
            Some(("backend", kind)),
        );
        ensure!(down == Some(0.0), "{target} is not read as {kind}");
    }
    let sources = samples
        .iter()
        .filter(|sample| sample.name == "tokenpath_source_up");
    ensure!(sources.count() == KINDS.len(), "there are others");
    passed("")
}

fn found(binaries: &Binaries) -> Result<Verdict> {
    let engine = Target::answers("200 OK", TEXT, &healthy_page()?)?;
    let at = engine.address.to_string();
    let list = format!(r#"[{{"targets": ["{at}"], "labels": {{"pool": "a"}}}}]"#);
    let list = Target::answers("200 OK", "application/json", &list)?;
    let folder = Folder::new("found")?;
    let text = format!(
        "discovery: [{{http: {{url: 'http://{}/sd'}}}}]\n",
        list.address
    );
    let config = folder.write("t.yaml", &text)?;
    let mut server = Server::with_config(binaries, &config, &[])?;
    let samples = server.up(&at, PATIENCE)?;
    for label in [("backend", "vllm"), ("pool", "a")] {
        let there = value(&samples, "tokenpath_source_up", &at, Some(label));
        ensure!(there.is_some(), "no label {label:?}");
    }
    passed("")
}

fn passed_through(binaries: &Binaries) -> Result<Verdict> {
    let page = "# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running 1\n\
                # HELP my_own_thing What nobody knows.\n# TYPE my_own_thing gauge\nmy_own_thing{x=\"y\"} 7\n";
    let target = Target::answers("200 OK", TEXT, page)?;
    let at = target.address.to_string();
    let folder = Folder::new("passed-through")?;
    for pass in [false, true] {
        let text = format!("sources: [{{kind: vllm, endpoint: '{at}', pass_unknown: {pass}}}]\n");
        let config = folder.write("t.yaml", &text)?;
        let samples = Server::with_config(binaries, &config, &[])?.up(&at, PATIENCE)?;
        let own = value(&samples, "my_own_thing", &at, Some(("x", "y")));
        ensure!(
            own == pass.then_some(7.0),
            "pass_unknown: {pass} gives {own:?}"
        );
    }
    passed("")
}

fn gpus(binaries: &Binaries) -> Result<Verdict> {
    let folder = Folder::new("gpus")?;
    let config = folder.write("t.yaml", "gpu: {library: none.so, labels: {node: a1}}\n")?;
    let mut server = Server::with_config(binaries, &config, &[])?;
    let gpus = |page: &[Sample]| {
        let sources = page
            .iter()
            .filter(|sample| sample.name == "tokenpath_source_up");
        let gpus = sources.filter(|sample| sample.label("backend") == Some("gpu"));
        gpus.map(|sample| sample.label("node").map(str::to_owned))
            .collect::<Vec<_>>()
    };
    server.page("GPUs", PATIENCE, |page| {
        gpus(page) == [Some("a1".to_owned())]
    })?;
    fs::write(&config, "log: {level: info}\n")?;
    server.page("page without GPUs", PATIENCE, |page| gpus(page).is_empty())?;
    fs::write(&config, "gpu: {library: none.so}\n")?;
    server.page("GPUs again", PATIENCE, |page| gpus(page) == [None])?;
    passed("")
}

fn llamacpp(binaries: &Binaries) -> Result<Verdict> {
    let recorded = cargo::root().join("testdata/llamacpp/llamacpp-b11434-t1-load.txt");
    let target = Target::answers("200 OK", TEXT, &fs::read_to_string(recorded)?)?;
    let at = target.address.to_string();
    let example = fs::read_to_string(cargo::root().join("examples/llamacpp.yaml"))?;
    ensure!(
        example.contains("localhost:8080"),
        "the example names another endpoint"
    );
    let folder = Folder::new("llamacpp")?;
    let config = folder.write("t.yaml", &example.replace("localhost:8080", &at))?;
    let mut server = Server::with_config(binaries, &config, &[])?;
    let samples = server.up(&at, PATIENCE)?;
    for (family, wanted) in [
        ("llm_requests_running", 2.0),
        ("llm_generation_tokens_total", 15_524.0),
        ("tokenpath_source_unmapped_families", 0.0),
    ] {
        let seen = value(&samples, family, &at, Some(("backend", "llamacpp")));
        ensure!(
            seen == Some(wanted),
            "{family} is {seen:?} instead of {wanted}"
        );
    }
    if tools::prometheus().is_ok() {
        let said = tools::promtool_check(&http::get(server.address, "/metrics", &[])?.body)?;
        // Families that are named as the engine names them need not be as promtool likes.
        ensure!(said.is_empty(), "{said}");
    }
    passed("")
}

fn rolled_up(binaries: &Binaries) -> Result<Verdict> {
    let page = |running: u32| {
        let head = "# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running";
        format!("{head}{{engine=\"0\",model_name=\"m\"}} {running}\n")
    };
    let one = Target::answers("200 OK", TEXT, &page(3))?;
    let two = Target::answers("200 OK", TEXT, &page(4))?;
    let endpoints = format!("{},{}", one.address, two.address);
    let mut command = tokenpath(binaries, &["serve", "--vllm.endpoint", &endpoints]);
    let mut server = Server::start(command.args(["--rollup", "replica"]))?;
    let (one, two) = (one.address.to_string(), two.address.to_string());
    let samples = server.page("both up", PATIENCE, |page| {
        is_up(page, &one) && is_up(page, &two)
    })?;
    let running = samples
        .iter()
        .filter(|sample| sample.name == "llm_requests_running");
    let running: Vec<&Sample> = running.collect();
    let [sum] = running.as_slice() else {
        return Err(format!("{} series instead of one", running.len()).into());
    };
    ensure!((sum.value - 7.0).abs() < 1e-9, "3 and 4 make {}", sum.value);
    ensure!(
        sum.label("target").is_none() && sum.label("model_name") == Some("m"),
        "{sum:?}"
    );
    passed("")
}

fn probes(binaries: &Binaries) -> Result<Verdict> {
    let allowed = Target::answers("200 OK", TEXT, &healthy_page()?)?;
    // Whoever connects to it waits there to be seen.
    let forbidden = TcpListener::bind("127.0.0.1:0")?;
    forbidden.set_nonblocking(true)?;
    let folder = Folder::new("probes")?;
    let port = allowed.address.port();
    let config = folder.write(
        "t.yaml",
        &format!("probe: {{allow: 127.0.0.0/8, ports: [{port}]}}\n"),
    )?;
    let mut server = Server::with_config(binaries, &config, &[])?;
    server.page("page", PATIENCE, |_| true)?;
    let probe = |target: &SocketAddr| {
        let path = format!("/probe?target={target}&module=vllm");
        http::get(server.address, &path, &[])
    };
    let answer = probe(&allowed.address)?;
    ensure!(answer.status == 200, "{}: {}", answer.status, answer.body);
    let samples = page::samples(&answer.body)?;
    ensure!(
        is_up(&samples, &allowed.address.to_string()),
        "{}",
        answer.body
    );
    let answer = probe(&forbidden.local_addr()?)?;
    ensure!(
        answer.status == 403,
        "{} instead of 403: {}",
        answer.status,
        answer.body
    );
    ensure!(
        forbidden.accept().is_err(),
        "it was connected to all the same"
    );
    fs::write(&config, "probe:\n")?;
    server.program.wait_for("end of probing", PATIENCE, || {
        let path = format!("/probe?target={}", allowed.address);
        http::get(server.address, &path, &[])
            .ok()
            .filter(|answer| answer.status == 404)
    })?;
    passed("")
}

/// The demo's simulated servers in one process, and what reads them in another.
struct Fleet {
    server: Server,
    _folder: Folder,
    config: PathBuf,
    targets: PathBuf,
    twins: Vec<String>,
    _demo: Program,
}

impl Fleet {
    fn start(binaries: &Binaries) -> Result<Self> {
        let page = http::free_address()?.to_string();
        let arguments = ["demo", "--web.listen-address", &page, "--twin.port=0"];
        let mut demo = Program::start(&mut tokenpath(binaries, &arguments))?;
        let at = page.parse()?;
        demo.wait_for("page", PATIENCE, || http::get(at, "/metrics", &[]).ok())?;
        let said = demo.stdout();
        let lines = said.lines().filter(|line| line.contains("speaks as vLLM"));
        let words = lines.flat_map(str::split_whitespace);
        let twins = words.filter_map(|word| word.strip_prefix("twin=http://"));
        let twins: Vec<String> = twins.map(str::to_owned).collect();
        ensure!(twins.len() >= 3, "too few twins in:\n{said}");
        let folder = Folder::new("fleet")?;
        let example = cargo::root().join("examples/fleet.yaml");
        let config = folder.write("fleet.yaml", &fs::read_to_string(example)?)?;
        let first = format!("- targets: ['{}']\n  labels: {{pool: a}}\n", twins[0]);
        let targets = folder.write("fleet-targets.yaml", &first)?;
        let mut server = Server::with_config(binaries, &config, &[])?;
        let samples = server.up(&twins[0], PATIENCE)?;
        let pool = value(
            &samples,
            "tokenpath_source_up",
            &twins[0],
            Some(("pool", "a")),
        );
        ensure!(
            pool.is_some(),
            "the label of the target file is not on the page"
        );
        Ok(Self {
            server,
            _folder: folder,
            config,
            targets,
            twins,
            _demo: demo,
        })
    }

    fn edit(&mut self) -> Result<Verdict> {
        let [first, second, third] = [0, 1, 2].map(|index: usize| self.twins[index].clone());
        fs::write(
            &self.targets,
            format!("- targets: ['{second}', '{third}']\n"),
        )?;
        let start = Instant::now();
        self.server
            .page("the new targets alone", FOLLOW_LIMIT, |page| {
                is_up(page, &second) && is_up(page, &third) && !has_series(page, &first)
            })?;
        let seconds = start.elapsed().as_secs_f64();
        passed(format!("after {seconds:.1} s"))
    }

    fn hang_up(&mut self) -> Result<Verdict> {
        let second = self.twins[1].clone();
        let stays = |page: &[Sample]| {
            value(
                page,
                "tokenpath_source_last_success_timestamp_seconds",
                &second,
                None,
            )
        };
        let before = stays(&self.server.up(&second, PATIENCE)?);
        self.server.program.signal("HUP")?;
        let program = &mut self.server.program;
        let said = "because=\"a signal\"";
        let address = self.server.address;
        let start = Instant::now();
        while !program.stderr().contains(said) {
            ensure!(
                start.elapsed() < PATIENCE,
                "no `{said}` in:\n{}",
                program.said()
            );
            program.is_alive()?;
            let answer = http::get(address, "/metrics", &[])?;
            let samples = page::samples(&answer.body)?;
            ensure!(is_up(&samples, &second), "it was interrupted");
        }
        let after = stays(&self.server.up(&second, PATIENCE)?);
        ensure!(after >= before, "it began anew: {before:?}, {after:?}");
        passed("")
    }

    fn bad_reload(&mut self) -> Result<Verdict> {
        const SUCCESSFUL: &str = "tokenpath_config_last_reload_successful";
        let second = self.twins[1].clone();
        let good = fs::read_to_string(&self.config)?;
        let reload = |page: &[Sample]| {
            let found = page.iter().find(|sample| sample.name == SUCCESSFUL);
            found.map(|sample| sample.value >= 1.0)
        };
        fs::write(&self.config, format!("{good}\ndiscvery: []\n"))?;
        let page = self.server.page("a reload that failed", PATIENCE, |page| {
            reload(page) == Some(false)
        })?;
        ensure!(is_up(&page, &second), "the old configuration is gone");
        let said = self.server.program.stderr();
        ensure!(
            said.contains("did you mean `discovery`?"),
            "not in the log:\n{said}"
        );
        fs::write(&self.config, good)?;
        let page = self
            .server
            .page("a reload that went well", PATIENCE, |page| {
                reload(page) == Some(true)
            })?;
        ensure!(
            is_up(&page, &second),
            "the new configuration has other targets"
        );
        passed("")
    }
}
