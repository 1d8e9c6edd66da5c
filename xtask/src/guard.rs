//! Programs under test: their output is kept, and they end when the check that started them does.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::report::{Result, ensure};

/// A running program. Dropping it kills it and waits for its end, whatever happened before.
pub(crate) struct Program {
    child: Child,
    name: String,
    started: Instant,
    stdout: Arc<Mutex<String>>,
    stderr: Arc<Mutex<String>>,
}

impl Program {
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let started = Instant::now();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{name}: {error}"))?;
        let stdout = keep(child.stdout.take());
        let stderr = keep(child.stderr.take());
        Ok(Self {
            child,
            name,
            started,
            stdout,
            stderr,
        })
    }

    /// Just before it was started.
    pub(crate) fn started(&self) -> Instant {
        self.started
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has written so far.
    pub(crate) fn stdout(&self) -> String {
        self.stdout
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// What it has logged so far.
    pub(crate) fn stderr(&self) -> String {
        self.stderr
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Both, for a message.
    pub(crate) fn said(&self) -> String {
        format!("{}{}", self.stdout(), self.stderr())
    }

    /// Fails where it has ended, with what it said.
    pub(crate) fn is_alive(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            return Err(format!("{} ended with {status}:\n{}", self.name, self.said()).into());
        }
        Ok(())
    }

    /// Tries `probe` until it gives something, the program ends, or the time is up.
    pub(crate) fn wait_for<T>(
        &mut self,
        what: &str,
        limit: Duration,
        mut probe: impl FnMut() -> Option<T>,
    ) -> Result<T> {
        let start = Instant::now();
        loop {
            if let Some(found) = probe() {
                return Ok(found);
            }
            self.is_alive()?;
            ensure!(
                start.elapsed() < limit,
                "{}: no {what} within {limit:?}:\n{}",
                self.name,
                self.said()
            );
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Sends SIGTERM and waits.
    pub(crate) fn terminate(&mut self, limit: Duration) -> Result<ExitStatus> {
        self.signal("TERM")?;
        self.wait(limit)
    }

    /// Sends a signal by its name.
    pub(crate) fn signal(&self, name: &str) -> Result<()> {
        // The shell's builtin: signals have no safe interface in the standard library.
        let sent = Command::new("sh")
            .args(["-c", &format!("kill -{name} {}", self.child.id())])
            .status()?;
        ensure!(sent.success(), "kill -{name} failed");
        Ok(())
    }

    /// Waits for its own end.
    pub(crate) fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                // What the pipes still hold is read by then.
                std::thread::sleep(Duration::from_millis(20));
                return Ok(status);
            }
            ensure!(
                start.elapsed() < limit,
                "{} still runs after {limit:?}:\n{}",
                self.name,
                self.said()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// A line of `/proc/<pid>/status` in KiB (`VmRSS`, `VmHWM`); `None` where there is no such file.
    pub(crate) fn memory_kib(&self, line: &str) -> Option<u64> {
        std::fs::read_to_string(format!("/proc/{}/status", self.id()))
            .ok()?
            .lines()
            .find_map(|text| text.strip_prefix(line)?.strip_prefix(':'))?
            .split_whitespace()
            .next()?
            .parse()
            .ok()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads a stream to its end on a thread of its own, so that the program never blocks on it.
fn keep(stream: Option<impl Read + Send + 'static>) -> Arc<Mutex<String>> {
    let kept = Arc::new(Mutex::new(String::new()));
    if let Some(stream) = stream {
        let kept = Arc::clone(&kept);
        std::thread::spawn(move || {
            let mut stream = BufReader::new(stream);
            let mut line = Vec::new();
            while stream
                .read_until(b'\n', &mut line)
                .is_ok_and(|read| read > 0)
            {
                kept.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push_str(&String::from_utf8_lossy(&line));
                line.clear();
            }
        });
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Program {
        Program::start(Command::new("sh").args(["-c", script])).unwrap()
    }

    #[test]
    fn a_program_ends_with_its_guard() {
        let program = shell("echo here; exec sleep 60");
        let id = program.id();
        drop(program);
        let gone = Command::new("sh")
            .args(["-c", &format!("kill -0 {id} 2>/dev/null")])
            .status()
            .unwrap();
        assert!(!gone.success());
    }

    #[test]
    fn its_output_is_kept_and_its_end_is_seen() {
        let mut program = shell("echo out; echo err >&2; exit 3");
        assert_eq!(
            program.wait(Duration::from_secs(20)).unwrap().code(),
            Some(3)
        );
        assert_eq!(program.stdout(), "out\n");
        assert_eq!(program.stderr(), "err\n");
        assert!(program.is_alive().unwrap_err().to_string().contains("err"));
    }

    #[test]
    fn waiting_ends_in_time() {
        let mut program = shell("exec sleep 60");
        let error = program
            .wait_for("sign", Duration::from_millis(20), || None::<()>)
            .unwrap_err();
        assert!(error.to_string().contains("no sign within"));
        assert!(program.wait(Duration::from_millis(20)).is_err());
    }
}
