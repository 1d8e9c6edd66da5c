//! What the programs take from the environment, and what becomes of them where nobody listens.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::ffi::OsStrExt;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

fn tokenpath(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tokenpath"));
    command.args(arguments).env_remove("LOG_LEVEL");
    command
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn the_level_of_the_environment_is_taken_in_any_case_and_refused_by_its_name() {
    // Nothing to read ends the program as soon as the arguments are understood.
    for fine in ["", " ", "INFO", "Debug", "warning", "WARN"] {
        let output = tokenpath(&["serve"])
            .env("LOG_LEVEL", fine)
            .output()
            .unwrap();
        let said = stderr(&output);
        assert!(said.contains("nothing to read"), "{fine:?}: {said}");
    }
    let latin = OsStr::from_bytes(b"inf\xf6");
    for wrong in [OsStr::new("loud"), latin] {
        let output = tokenpath(&["serve"])
            .env("LOG_LEVEL", wrong)
            .output()
            .unwrap();
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(
            said.contains("LOG_LEVEL") && said.contains("warn"),
            "{said}"
        );
    }
    // A flag wins, whatever the environment says.
    let mut command = tokenpath(&["serve", "--log.level", "Error"]);
    let output = command.env("LOG_LEVEL", "loud").output().unwrap();
    assert!(
        stderr(&output).contains("nothing to read"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_variable_that_is_no_text_is_refused_by_its_name() {
    let mut command = tokenpath(&["serve", "--vllm.endpoint=127.0.0.1:1"]);
    command.arg("--web.listen-address=192.0.2.1:1");
    let output = command
        .env("WORKER_ID", OsStr::from_bytes(b"w\xff"))
        .output()
        .unwrap();
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("WORKER_ID") && said.contains("UTF-8"),
        "{said}"
    );
}

#[test]
fn a_speed_that_is_none_is_refused() {
    for wrong in ["nan", "inf", "-inf", "1e300", "-1", "1001", "fast", ""] {
        let flag = format!("--speed={wrong}");
        // The address keeps one that is taken after all from running on.
        let mut command = tokenpath(&["demo", &flag, "--web.listen-address", "192.0.2.1:1"]);
        let output = command.output().unwrap();
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{wrong}: {said}");
        assert!(said.contains("from 0 to 1000"), "{wrong}: {said}");
    }
}

/// A program that is ended with its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

#[test]
fn a_demo_that_nobody_reads_goes_on() {
    let full = || Stdio::from(File::options().write(true).open("/dev/full").unwrap());
    let arguments = ["demo", "--web.listen-address=127.0.0.1:0", "--twin.port=0"];
    let mut command = tokenpath(&arguments);
    let mut demo = Running(
        command
            .stdout(full())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    let log = BufReader::new(demo.0.stderr.take().unwrap());
    assert!(
        log.lines()
            .any(|line| line.unwrap().contains("serving metrics")),
        "it ended before it served"
    );
    // Its introduction follows at once.
    std::thread::sleep(Duration::from_millis(300));
    assert!(demo.0.try_wait().unwrap().is_none(), "it ended");
    let pid = demo.0.id().to_string();
    assert!(Command::new("kill").arg(&pid).status().unwrap().success());
    let begin = Instant::now();
    assert!(demo.0.wait().unwrap().success());
    assert!(begin.elapsed() < Duration::from_secs(5));
}

#[test]
fn an_error_that_nobody_reads_keeps_its_code() {
    for arguments in [&["serve"][..], &["serve", "--no-such-flag"]] {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let status = tokenpath(arguments).stderr(full).status().unwrap();
        assert_eq!(status.code(), Some(2), "{arguments:?}");
    }
}
