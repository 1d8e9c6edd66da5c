//! The linter against what is known: planted faults, right queries, the queries of the documents that
//! this project started from, and its own pack. `UPDATE=1` writes the expected findings and the
//! documentation.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, its helpers too"
)]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde_json::{Value, json};
use tokenpath_cli::lint::known;
use tokenpath_lint::{File, Finding, Linter, RULES, is_readable, report};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn linter() -> Linter<'static> {
    Linter::new(known(vec![]))
}

/// All files of a folder and of those in it, named as from the root.
fn folder(path: &str) -> Vec<File> {
    let mut names: Vec<PathBuf> = Vec::new();
    let mut open = vec![root().join(path)];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if is_readable(&path.to_string_lossy()) {
                names.push(path);
            }
        }
    }
    names.sort();
    let file = |path: &PathBuf| File {
        name: relative(path),
        text: fs::read_to_string(path).unwrap(),
        named: false,
    };
    names.iter().map(file).collect()
}

fn relative(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().display().to_string()
}

/// Holds a file to a text; with `UPDATE=1` writes it.
fn up_to_date(file: &str, text: &str) {
    let path = root().join(file);
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, text).unwrap();
    }
    let there = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        there == text,
        "{file} is not what is made now; UPDATE=1 cargo test -p tokenpath --test lint writes it:\n{text}"
    );
}

fn rules_of(findings: &[Finding]) -> Vec<&str> {
    findings.iter().map(|finding| finding.rule).collect()
}

/// A rule file with one alert.
fn alert(expression: &str) -> File {
    let mut text = String::from("groups:\n- name: a\n  rules:\n  - alert: A\n    expr: |-\n");
    for line in expression.lines() {
        _ = writeln!(text, "      {line}");
    }
    File::new("alert.yml", text)
}

/// An example of a rule: a dashboard, a file of rules, or an expression.
fn example(text: &str) -> File {
    if text.starts_with('{') {
        File::new("example.json", text)
    } else if text.starts_with("groups:") || text.starts_with("apiVersion:") {
        File::new("example.yml", text)
    } else {
        alert(text)
    }
}

#[test]
fn right_queries_over_the_names_of_engines_have_no_findings() {
    let files = folder("testdata/lint/good");
    assert!(files.len() >= 5);
    let findings = linter().lint(&files);
    assert!(
        findings.is_empty(),
        "{}",
        report::text(&findings, files.len())
    );
    // They hold queries, and are not passed over.
    let linter = linter().against_page(b"# TYPE x gauge\nx 1\n").unwrap();
    assert!(linter.lint(&files).len() > 60);
}

#[test]
fn our_own_pack_has_no_findings() {
    let files = folder("monitoring");
    let findings = linter().lint(&files);
    assert!(
        findings.is_empty(),
        "{}",
        report::text(&findings, files.len())
    );
}

#[test]
fn planted_faults_are_found_where_they_are() {
    let files = folder("testdata/lint/bad");
    let mut seen = BTreeSet::new();
    for file in files {
        let name = file.name.clone();
        let findings = linter().lint(&[file]);
        assert!(!findings.is_empty(), "{name}");
        seen.extend(findings.iter().map(|finding| finding.rule));
        up_to_date(&format!("{name}.findings"), &report::text(&findings, 1));
    }
    let all: BTreeSet<&str> = RULES.iter().map(|rule| rule.id).collect();
    assert_eq!(seen, all, "each rule has a planted fault");
}

#[test]
fn each_rule_finds_its_wrong_example_and_nothing_in_the_right_one() {
    let mut ids = BTreeSet::new();
    for rule in RULES {
        assert!(ids.insert(rule.id), "{} stands there twice", rule.id);
        let wrong = linter().lint(&[example(rule.wrong)]);
        assert!(
            rules_of(&wrong).contains(&rule.id),
            "{}: {wrong:#?}",
            rule.id
        );
        let right = linter().lint(&[example(rule.right)]);
        assert!(right.is_empty(), "{}: {right:#?}", rule.id);
    }
}

#[test]
fn each_rule_finds_all_of_its_kinds() {
    const BUCKETS: &str = "rate(vllm:time_to_first_token_seconds_bucket[5m])";
    const P95: &str = "histogram_quantile(0.95, rate(vllm:time_to_first_token_seconds_bucket[5m]))";
    const MEAN: &str = "rate(vllm:time_to_first_token_seconds_sum[5m]) / rate(vllm:time_to_first_token_seconds_count[5m])";
    let mut missed = Vec::new();
    for (rule, expressions) in [
        (
            "wrong-unit",
            &[
                "vllm:kv_cache_usage_perc > 95",
                "95 < vllm:kv_cache_usage_perc",
                "DCGM_FI_DEV_GPU_UTIL > 0.9",
                "P95 > 500",
                "gpu_vram_used_bytes > 70",
                "histogram_quantile(95, BUCKETS)",
                "quantile_over_time(95, vllm:num_requests_waiting[5m])",
                "quantile(95, vllm:num_requests_waiting)",
            ][..],
        ),
        (
            "rate-of-gauge",
            &[
                "rate(vllm:num_requests_waiting[5m])",
                "irate(vllm:num_requests_waiting[5m])",
                "increase(vllm:num_requests_waiting[5m])",
                "rate(count(vllm:num_requests_waiting)[5m:])",
                "rate(rate(vllm:generation_tokens_total[5m])[5m:])",
                "rate((MEAN)[5m:])",
                "rate(P95[5m:])",
            ],
        ),
        (
            "rate-of-sum",
            &[
                "rate(sum(vllm:generation_tokens_total)[5m:])",
                "irate(avg(vllm:generation_tokens_total)[5m:])",
                "increase((sum(vllm:generation_tokens_total))[5m:])",
            ],
        ),
        (
            "delta-of-counter",
            &[
                "delta(vllm:generation_tokens_total[5m])",
                "idelta(vllm:generation_tokens_total[5m])",
                "deriv(vllm:generation_tokens_total[5m])",
                "predict_linear(vllm:generation_tokens_total[5m], 60)",
            ],
        ),
        (
            "quantile-of-non-histogram",
            &[
                "histogram_quantile(0.9, P95)",
                "histogram_quantile(0.9, vllm:num_requests_waiting)",
                "histogram_quantile(0.9, rate(vllm:time_to_first_token_seconds_sum[5m]))",
            ],
        ),
        (
            "missing-le",
            &[
                "sum(BUCKETS)",
                "avg(BUCKETS)",
                "BUCKETS by (model_name)",
                "sum(increase(vllm:time_to_first_token_seconds_bucket[5m]))",
                "sum(irate(vllm:time_to_first_token_seconds_bucket[5m]))",
                "sum(vllm:time_to_first_token_seconds_bucket)",
                "sum by () (sum by (le) (BUCKETS))",
                "sum without (le) (BUCKETS)",
                "sum(rate(vllm:time_to_first_token_seconds_bucket[5m:]))",
            ],
        ),
        (
            "le-spelling",
            &[
                "vllm:time_to_first_token_seconds_bucket{le=\"5\"}",
                "http_request_duration_seconds_bucket{le=\"1.0\"}",
                "vllm:time_to_first_token_seconds_bucket{le!=\"5\"}",
                "vllm:time_to_first_token_seconds_bucket{le=~\"0.5|5\"}",
            ],
        ),
        (
            "self-ratio",
            &[
                "sum(llm_requests_running) / sum(llm_requests_running)",
                "sum(llm_requests_running) - (sum( llm_requests_running ))",
                "sum(llm_requests_running) / (sum(llm_requests_running) > 0)",
            ],
        ),
        (
            "sum-of-ratios",
            &[
                "sum(vllm:kv_cache_usage_perc)",
                "sum by (model_name) (MEAN)",
            ],
        ),
        (
            "average-of-ratios",
            &["avg(MEAN)", "avg_over_time((MEAN)[1h:])"],
        ),
        (
            "average-of-quantiles",
            &[
                "avg(P95)",
                "sum(P95)",
                "avg_over_time(P95[1h:])",
                "sum_over_time(P95[1h:])",
            ],
        ),
        (
            "median-called-average",
            &["# the average\nP95", "# mean time\nP95", "# avg\n(P95)"],
        ),
        (
            "unknown-label",
            &[
                "vllm:num_requests_waiting{modle_name=\"a\"}",
                "sum by (modle_name) (vllm:num_requests_waiting)",
            ],
        ),
    ] {
        for expression in expressions {
            let expression = expression.replace("BUCKETS", BUCKETS);
            let expression = expression.replace("P95", P95).replace("MEAN", MEAN);
            let findings = linter().lint(&[alert(&expression)]);
            if !rules_of(&findings).contains(&rule) {
                missed.push(format!("{rule}: {expression}: {:?}", rules_of(&findings)));
            }
        }
    }
    assert!(missed.is_empty(), "{missed:#?}");
}

#[test]
fn the_documentation_has_each_rule() {
    const MARK: &str = "<!-- rules: made by a test, UPDATE=1 writes it -->\n";
    let page = fs::read_to_string(root().join("docs/lint.md")).unwrap();
    let (front, _) = page.split_once(MARK).unwrap();
    let mut text = format!("{front}{MARK}");
    for rule in RULES {
        let language = match rule.wrong {
            text if text.starts_with('{') => "json",
            text if text.starts_with("groups:") || text.starts_with("apiVersion:") => "yaml",
            _ => "promql",
        };
        _ = write!(
            text,
            "\n### {}\n\n{} ({}). {}\n\nWrong:\n\n```{language}\n{}\n```\n\nRight:\n\n```{language}\n{}\n```\n",
            rule.id,
            first_upper(rule.title),
            rule.severity.word(),
            rule.why,
            rule.wrong,
            rule.right,
        );
    }
    up_to_date("docs/lint.md", &text);
}

fn first_upper(text: &str) -> String {
    let mut rest = text.chars();
    let first = rest.next().into_iter().flat_map(char::to_uppercase);
    first.chain(rest).collect()
}

/// `testdata/dialects/queries.json`: the queries of the documents.
fn documents() -> Value {
    let text = fs::read_to_string(root().join("testdata/dialects/queries.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn queries_of_the_documents_that_are_right_have_no_findings() {
    let documents = documents();
    let mut judged = 0;
    for group in ["valid", "corrected"] {
        for query in documents[group].as_array().unwrap() {
            let dialects = query["dialects"].as_array().unwrap();
            let dialects = dialects.iter().map(|name| name.as_str().unwrap());
            let linter = Linter::new(known(dialects.collect()));
            let findings = linter.lint(&[alert(query["query"].as_str().unwrap())]);
            assert!(findings.is_empty(), "{query}: {findings:#?}");
            judged += 1;
        }
    }
    assert!(judged > 100);
}

#[test]
fn queries_of_the_documents_that_are_wrong_each_have_a_finding() {
    let panel = |panel: Value| {
        let dashboard = json!({"schemaVersion": 39, "panels": [panel]});
        File::new("d.json", dashboard.to_string())
    };
    let record = |name: &str, expression: &str| {
        let rules =
            json!({"groups": [{"name": "a", "rules": [{"record": name, "expr": expression}]}]});
        File::new("r.yml", rules.to_string())
    };
    let variable = json!({"schemaVersion": 39, "templating": {"list": [
        {"name": "gpu_node", "type": "query", "query": "label_values(vllm:gpu_cache_usage_perc, gpu_node)"},
    ]}});
    for query in documents()["corrected"].as_array().unwrap() {
        let say = |field: &str| query[field].as_str().unwrap();
        let written = say("written");
        // What the table shortens is written out here.
        let (file, rule) = match (say("document"), say("where")) {
            ("000", "alert HighTTFTP95") => (alert(written), "missing-rate"),
            ("000", "token throughput by API key") => (alert(written), "parse-error"),
            ("000", "variable gpu_node") => {
                (File::new("d.json", variable.to_string()), "unknown-label")
            }
            ("001", "unit of vllm:gpu_cache_usage_perc") => (
                panel(json!({
                    "targets": [{"expr": "vllm:gpu_cache_usage_perc"}],
                    "fieldConfig": {"defaults": {"thresholds": {"steps": [{"value": 70}, {"value": 90}]}}},
                })),
                "panel-unit",
            ),
            // The document says "scheduler down" and writes no query.
            ("001", "alert SchedulerUnhealthy") => continue,
            ("002", "average inference time") => (
                alert("# Average inference time\nhistogram_quantile(0.50, rate(llm_inference_duration_seconds_bucket[5m]))"),
                "median-called-average",
            ),
            ("002", _) => (alert(written), "misplaced-by"),
            ("003", _) => (alert(written), "unknown-metric"),
            ("004", "record inference:ttft:avg") => (
                record("inference:ttft:avg", "histogram_quantile(0.5,\n  rate(vllm:time_to_first_token_seconds_bucket[5m]))"),
                "median-called-average",
            ),
            ("004", "queue growth rate") => (alert(written), "rate-of-gauge"),
            ("004", "average wait time") => (
                alert(
                    "avg(vllm:request_latency_seconds_sum / vllm:request_latency_seconds_count)\n\
                     - avg(vllm:time_to_first_token_seconds_sum / vllm:time_to_first_token_seconds_count)",
                ),
                "missing-rate",
            ),
            ("004", "alert HighKVCacheUsage") => (alert(written), "wrong-unit"),
            ("004", "record inference:slo:latency_5s") => (
                alert("sum(rate(vllm:request_latency_seconds_bucket{le=\"5\"}[5m])) / sum(rate(vllm:request_latency_seconds_count[5m]))"),
                "le-spelling",
            ),
            ("004", "record inference:error_budget:remaining") => (
                File::new(
                    "r.yml",
                    json!({"groups": [{"name": "a", "rules": [
                        {"record": "inference:slo:latency_5s", "expr": "sum(rate(vllm:e2e_request_latency_seconds_bucket{le=\"5.0\"}[5m])) / sum(rate(vllm:e2e_request_latency_seconds_count[5m]))"},
                        {"record": "inference:error_budget:remaining", "expr": written},
                    ]}]})
                    .to_string(),
                ),
                "average-of-ratios",
            ),
            other => panic!("nothing is expected of {other:?}"),
        };
        let dialects: Vec<&str> = ["vllm-v0", "worker", "documents", "token-path"].into();
        let findings = Linter::new(known(dialects)).lint(&[file]);
        assert!(
            rules_of(&findings).contains(&rule),
            "{query}: {findings:#?}"
        );
    }
}

#[test]
fn names_that_only_a_dialect_has_are_faults_where_it_is_not_spoken() {
    for (expression, rule) in [
        (
            "sum(rate(vllm:request_latency_seconds_count[5m]))",
            "unknown-metric",
        ),
        ("rate(limitador_limited_calls_total[5m])", "unknown-metric"),
        ("llm_queue_depth > 10", "unknown-metric"),
        ("vllm_queue_length > 10", "unknown-metric"),
        ("dcgm_fi_dev_fb_used", "unknown-metric"),
        ("max(vllm:gpu_cache_usage_perc)", "renamed-metric"),
    ] {
        let findings = linter().lint(&[alert(expression)]);
        assert_eq!(rules_of(&findings), [rule], "{expression}: {findings:#?}");
    }
}

#[test]
fn a_page_is_all_there_is() {
    let page = b"# TYPE vllm:e2e_request_latency_seconds histogram\n\
        vllm:e2e_request_latency_seconds_bucket{model_name=\"a\",le=\"1.5\"} 1\n\
        vllm:e2e_request_latency_seconds_bucket{model_name=\"a\",le=\"+Inf\"} 1\n\
        vllm:e2e_request_latency_seconds_sum{model_name=\"a\"} 1\n\
        vllm:e2e_request_latency_seconds_count{model_name=\"a\"} 1\n\
        # TYPE queue gauge\nqueue{shard=\"1\"} 4\n";
    let linter = linter().against_page(page).unwrap();
    for (expression, rules) in [
        (
            "histogram_quantile(0.9, sum by (le, model_name) (rate(vllm:e2e_request_latency_seconds_bucket[5m]))) > 1.5",
            &[][..],
        ),
        (
            "histogram_quantile(0.9, rate(vllm:e2e_request_latency_seconds_bucket[5m])) > 2.5",
            &["between-edges"],
        ),
        ("up == 0 or queue{shard=\"1\", instance=\"x\"} > 3", &[]),
        ("rate(queue[5m])", &["rate-of-gauge"]),
        ("sum by (engine) (queue)", &["unknown-label"]),
        ("node_load1", &["unknown-metric"]),
        ("vllm:num_requests_running", &["unknown-metric"]),
    ] {
        let findings = linter.lint(&[alert(expression)]);
        assert_eq!(rules_of(&findings), rules, "{expression}: {findings:#?}");
    }
    let Err(error) = tokenpath_lint::Linter::new(known(vec![])).against_page(b"x{ 1\n") else {
        panic!("a broken page");
    };
    assert!(error.to_string().starts_with("line 1, column "), "{error}");
}

/// Runs the program; its exit code and what it says.
fn program(arguments: &[&str]) -> (Option<i32>, String) {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_tokenpath"))
        .arg("lint")
        .args(arguments)
        .current_dir(root())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code(), said)
}

#[test]
fn the_page_may_be_at_a_url() {
    use std::io::{Read as _, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 1024];
        assert!(stream.read(&mut request).unwrap() > 0);
        let page = "# TYPE tokenpath_source_up gauge\ntokenpath_source_up{backend=\"vllm\"} 1\n";
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n";
        write!(stream, "{head}Content-Length: {}\r\n\r\n{page}", page.len()).unwrap();
    });
    let url = format!("http://{address}/metrics");
    let (code, said) = program(&["--against", &url, "testdata/lint/good/limitador.yml"]);
    server.join().unwrap();
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("`authorized_calls` is not on the page"),
        "{said}"
    );
}

#[test]
fn what_cannot_be_done_says_so_and_exits_with_2() {
    for (arguments, says) in [
        (&["no/such/file"][..], "no/such/file"),
        (
            &["--against", "no-such-page", "monitoring"],
            "--against no-such-page",
        ),
        (
            &["--against", "http://127.0.0.1:1/metrics", "monitoring"],
            "127.0.0.1:1",
        ),
        (
            &["--against", "README.md", "monitoring"],
            "line 3, column 1",
        ),
        (&["--dialect", "esperanto", "monitoring"], "esperanto"),
    ] {
        let (code, said) = program(arguments);
        assert_eq!(code, Some(2), "{arguments:?}: {said}");
        assert!(said.contains(says), "{arguments:?}: {said}");
    }
    let (code, said) = program(&["--rules"]);
    assert_eq!((code, said.lines().count()), (Some(0), RULES.len()));
}

#[cfg(unix)]
#[test]
fn what_a_folder_has_is_linted_or_said() {
    use std::os::unix::fs::symlink;
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("what-a-folder-has");
    _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    let path = |name: &str| folder.join(name);
    let run = || program(&[folder.to_str().unwrap()]);
    fs::write(path("notes.txt"), "up").unwrap();
    fs::create_dir(path(".hidden")).unwrap();
    let rules = "groups: [{rules: [{alert: A, expr: llm_kv_cache_usage_ratio > 95}]}]";
    fs::write(path(".hidden/rules.yml"), rules).unwrap();
    let (code, said) = run();
    assert_eq!(code, Some(2), "{said}");
    assert!(
        said.contains("no file in it that may hold queries"),
        "{said}"
    );
    // As Kubernetes mounts a ConfigMap.
    symlink(".hidden", path("..data")).unwrap();
    symlink("..data/rules.yml", path("rules.yml")).unwrap();
    let (code, said) = run();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("1 errors, 0 warnings in 1 files"), "{said}");
    // A link that leads nowhere.
    symlink("nowhere.yml", path("lost.yml")).unwrap();
    let (code, said) = run();
    assert_eq!(code, Some(2), "{said}");
    assert!(
        said.contains("lost.yml") && said.contains("[wrong-unit]"),
        "{said}"
    );
}

#[test]
fn what_is_not_checked_does_not_pass() {
    let (code, said) = program(&["testdata/lint/bad/unchecked.json"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("[not-checked]"), "{said}");
}

#[test]
fn no_depth_and_no_length_makes_it_fall() {
    let linter = linter();
    for piece in [
        "(", "-", "a or ", "2 ^ ", "a[1h:1m]", "[1h:1m]", "sum(", "{", "by (x) ", "\"", "a + (",
        "$x ", "[[x]] ",
    ] {
        for times in [60, 400, 12_000] {
            let text = piece.repeat(times);
            let dashboard = json!({"panels": [{"targets": [{"expr": format!("a{text}a")}]}]});
            let mut files = [
                alert(&text),
                alert(&format!("{text}a")),
                File::new("d.json", dashboard.to_string()),
                File::new("raw.yml", text.clone()),
                File::new("raw.json", text),
            ];
            _ = linter.lint(&files);
            _ = linter.fix(&mut files);
        }
    }
    for deep in ["[", "{\"a\":", "- ", "a: {", "? "] {
        let text = deep.repeat(50_000);
        _ = linter.lint(&[File::new("x.json", text.clone()), File::new("x.yml", text)]);
    }
}

/// Who reads it meanwhile has all of the old or all of the new.
#[test]
fn a_file_that_is_mended_is_replaced_and_not_written_over() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let is_fixable = |file: &File| {
        let findings = linter().lint(std::slice::from_ref(file));
        findings.iter().any(|finding| finding.fixable)
    };
    let bad = folder("testdata/lint/bad").into_iter().find(is_fixable);
    let bad = bad.unwrap();
    let name = root().join(&bad.name);
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("mended");
    _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).unwrap();
    let (file, link, before) = (
        dir.join(name.file_name().unwrap()),
        dir.join(format!(
            "link-{}",
            name.file_name().unwrap().to_string_lossy()
        )),
        dir.join("before"),
    );
    fs::write(&file, &bad.text).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    fs::hard_link(&file, &before).unwrap();
    symlink(&file, &link).unwrap();
    let (_, said) = program(&["--fix", &link.to_string_lossy()]);
    assert!(said.contains("mended"), "{said}");
    let is_as_before = |path: &Path| fs::read_to_string(path).unwrap() == bad.text;
    assert!(!is_as_before(&file), "{said}");
    assert!(is_as_before(&before), "it was written over");
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    let mode = fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 3, "nothing is left");
}

#[test]
fn mending_keeps_every_other_byte_and_is_done_once() {
    let linter = linter();
    for file in folder("testdata/lint/bad") {
        let before = linter.lint(std::slice::from_ref(&file));
        let mut files = [file.clone()];
        let mended = linter.fix(&mut files);
        let fixable = before.iter().filter(|finding| finding.fixable).count();
        assert!(
            mended >= fixable.min(1),
            "{}: {mended} of {fixable}",
            file.name
        );
        let after = linter.lint(&files);
        assert!(after.iter().all(|finding| !finding.fixable), "{after:#?}");
        let once = files[0].text.clone();
        assert_eq!(linter.fix(&mut files), 0, "{}", file.name);
        assert_eq!(files[0].text, once);
        // Only lines with a finding that can be mended change, and none comes or goes.
        let lines: BTreeSet<u32> = before
            .iter()
            .filter(|finding| finding.fixable)
            .flat_map(|finding| finding.start.line.saturating_sub(2)..=finding.end.line + 2)
            .collect();
        assert_eq!(file.text.lines().count(), once.lines().count());
        for (number, (old, new)) in (1..).zip(file.text.lines().zip(once.lines())) {
            assert!(
                old == new || lines.contains(&number),
                "{}:{number}: {new}",
                file.name
            );
        }
        if mended > 0 {
            up_to_date(&format!("{}.mended", file.name), &once);
        }
    }
}

#[test]
fn sarif_is_what_its_schema_asks_for() {
    let files = folder("testdata/lint/bad");
    let findings = linter().lint(&files);
    let text = report::sarif(&findings).to_string();
    let log: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(log["version"], "2.1.0");
    let run = &log["runs"][0];
    assert_eq!(log["runs"].as_array().unwrap().len(), 1);
    assert_eq!(run["columnKind"], "unicodeCodePoints");
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    assert!(run["tool"]["driver"]["name"].is_string());
    let results = run["results"].as_array().unwrap();
    assert_eq!(results.len(), findings.len());
    for result in results {
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(rules[index]["id"], result["ruleId"]);
        assert!(["error", "warning"].contains(&result["level"].as_str().unwrap()));
        assert!(!result["message"]["text"].as_str().unwrap().is_empty());
        let place = &result["locations"][0]["physicalLocation"];
        let uri = place["artifactLocation"]["uri"].as_str().unwrap();
        assert!(uri.starts_with("testdata/lint/bad/"), "{uri}");
        let region = &place["region"];
        let number = |field: &str| region[field].as_u64();
        assert!(number("startLine").unwrap() >= 1 && number("startColumn").unwrap() >= 1);
        if let Some(end) = number("endLine") {
            let start = (number("startLine").unwrap(), number("startColumn").unwrap());
            assert!((end, number("endColumn").unwrap()) > start);
        }
    }
    let list = report::json(&findings, files.len());
    let again: Value = serde_json::from_str(&list.to_string()).unwrap();
    assert_eq!(again["findings"].as_array().unwrap().len(), findings.len());
}

/// A dashboard of as many panels, with names, labels and variables of all kinds.
fn large_dashboard(panels: usize) -> File {
    let panel = |index: usize| {
        json!({
            "title": format!("Panel {index}"),
            "fieldConfig": {"defaults": {"unit": "s"}},
            "targets": [
                {"expr": format!("histogram_quantile(0.{index}, sum by (le, backend, model_name) (rate(llm_time_to_first_token_seconds_bucket{{backend=~\"$backend\", model_name=~\"$model_name\"}}[$__rate_interval])))")},
                {"expr": format!("sum by (model_name) (rate(vllm:generation_tokens_total{{engine=\"{index}\"}}[5m])) / {index}")},
            ],
        })
    };
    let panels: Vec<Value> = (1..=panels).map(panel).collect();
    let dashboard = json!({"schemaVersion": 39, "panels": panels});
    File::new("large.json", format!("{dashboard:#}"))
}

#[test]
fn a_large_dashboard_is_read_fast() {
    let linter = linter();
    let file = large_dashboard(200);
    // What is known is put together once.
    assert!(linter.lint(&[large_dashboard(1)]).is_empty());
    let start = std::time::Instant::now();
    let findings = linter.lint(&[file]);
    let took = start.elapsed();
    assert!(findings.is_empty(), "{findings:#?}");
    // 200 ms in release is the goal, which `cargo xtask test` holds; this build has no optimization.
    assert!(took.as_secs() < 20, "{took:?}");
    println!("200 panels: {took:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_it_fall(text in ".{0,200}", json in any::<bool>()) {
        let name = if json { "x.json" } else { "x.yml" };
        let linter = Linter::new(tokenpath_lint::Known::default());
        let mut files = [File::new(name, text.clone()), alert(&text)];
        _ = linter.lint(&files);
        _ = linter.fix(&mut files);
    }

    #[test]
    fn no_broken_file_makes_it_fall(which in any::<proptest::sample::Index>(), at in any::<proptest::sample::Index>(), piece in "[\\[\\](){}\"'$:,|>\\\\é\n #a-c0-9*&!-]{0,6}", cut in 0_usize..40) {
        thread_local! {
            static FILES: Vec<File> = [folder("testdata/lint/bad"), folder("testdata/lint/good")].concat();
            static LINTER: Linter<'static> = linter();
        }
        FILES.with(|files| LINTER.with(|linter| {
            let mut file = which.get(files).clone();
            let start = file.text.floor_char_boundary(at.index(file.text.len()));
            let end = file.text.ceil_char_boundary((start + cut).min(file.text.len()));
            file.text.replace_range(start..end, &piece);
            let mut files = [file];
            for finding in linter.lint(&files) {
                let lines = files[0].text.lines().count() + 1;
                assert!(usize::try_from(finding.start.line).unwrap() <= lines, "{finding:?}");
                assert!(finding.end >= finding.start, "{finding:?}");
            }
            linter.fix(&mut files);
            let once = files[0].text.clone();
            assert_eq!(linter.fix(&mut files), 0, "{once}");
        }));
    }
}
