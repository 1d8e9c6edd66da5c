//! What the programs take from the environment, and what becomes of them where nobody listens.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::ffi::OsStrExt;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
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

/// What a program logs, as it does so.
struct Logged(mpsc::Receiver<String>);

impl Logged {
    fn by(program: &mut Running) -> Self {
        let log = BufReader::new(program.0.stderr.take().unwrap());
        let (send, receive) = mpsc::channel();
        std::thread::spawn(move || {
            for line in log.lines() {
                _ = send.send(line.unwrap());
            }
        });
        Self(receive)
    }

    /// Waits for a line that has this text, and not for ever.
    fn line_with(&self, text: &str) -> String {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.0.recv_timeout(left);
            let line = line.unwrap_or_else(|error| panic!("`{text}` was not logged: {error}"));
            if line.contains(text) {
                return line;
            }
        }
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
    Logged::by(&mut demo).line_with("serving metrics");
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

/// How long a page of this address takes.
fn page_takes(address: &str) -> Duration {
    let begin = Instant::now();
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let request = b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    stream.write_all(request).unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).unwrap();
    assert!(page.contains("tokenpath_source_up{"), "{page}");
    begin.elapsed()
}

#[test]
fn a_longer_time_for_targets_is_taken_over_by_a_reload_and_what_is_not_is_told() {
    // It takes connections, and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = std::env::temp_dir().join(format!("tokenpath-manners-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("tokenpath.yaml");
    let write = |timeout: &str, web: &str| {
        let endpoint = silent.local_addr().unwrap();
        let text = format!(
            "defaults: {{timeout: {timeout}}}\n{web}\nsources:\n- {{kind: vllm, endpoint: 'http://{endpoint}'}}\n"
        );
        std::fs::write(&file, text).unwrap();
    };
    write("400ms", "");
    let mut command = tokenpath(&["serve", "--web.listen-address=127.0.0.1:0", "--config"]);
    let started = command.arg(&file).stderr(Stdio::piped()).spawn().unwrap();
    let mut serve = Running(started);
    let log = Logged::by(&mut serve);
    let line = log.line_with("serving metrics");
    let (_, address) = line.split_once("address=").unwrap();
    let address = address.split(' ').next().unwrap();
    let takes = page_takes(address);
    assert!(takes < Duration::from_secs(2), "{takes:?}");
    write("3s", "web: {max_requests: 7}");
    log.line_with("web.max_requests");
    let begin = Instant::now();
    while page_takes(address) < Duration::from_secs(2) {
        assert!(begin.elapsed() < Duration::from_secs(10), "not taken over");
    }
    _ = std::fs::remove_dir_all(folder);
}
