//! Programs of others that the end-to-end checks need, installed where they are missing and it may.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::cargo;
use crate::report::Result;

/// Whether a program of this name is on the `PATH`.
pub(crate) fn is_installed(program: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
    })
}

/// promtool and prometheus. `Err` says why they are not there; a caller skips.
pub(crate) fn prometheus() -> std::result::Result<(), String> {
    let missing = || -> Vec<&str> {
        ["promtool", "prometheus"]
            .into_iter()
            .filter(|program| !is_installed(program))
            .collect()
    };
    if missing().is_empty() {
        return Ok(());
    }
    apt_install(&["prometheus"])?;
    match missing().as_slice() {
        [] => Ok(()),
        still => Err(format!("{still:?} is still missing after the installation")),
    }
}

/// A Python that has the `prometheus_client` package, in a virtual environment under `target/`.
pub(crate) fn python_client() -> std::result::Result<PathBuf, String> {
    const PACKAGE: &str = "prometheus_client>=0.20,<1";
    let folder = cargo::target_folder().join("python-client");
    let python = folder.join("bin/python3");
    let has_client = || {
        succeeds(Command::new(&python).args(["-c", "import prometheus_client.openmetrics.parser"]))
    };
    if has_client() {
        return Ok(python);
    }
    let make = || {
        succeeds(
            Command::new("python3")
                .args(["-m", "venv", "--clear"])
                .arg(&folder),
        )
    };
    if !make() {
        apt_install(&["python3", "python3-venv"])?;
        if !make() {
            return Err("python3 -m venv does not work".to_owned());
        }
    }
    let install = Command::new(&python)
        .args(["-m", "pip", "install", "--quiet", PACKAGE])
        .output()
        .map_err(|error| error.to_string())?;
    if has_client() {
        Ok(python)
    } else {
        Err(format!(
            "pip install {PACKAGE} failed: {}",
            String::from_utf8_lossy(&install.stderr).trim()
        ))
    }
}

/// Installs Debian packages, as root on a machine that has apt-get; nobody is asked for a password.
fn apt_install(packages: &[&str]) -> std::result::Result<(), String> {
    let names = packages.join(" ");
    if !is_installed("apt-get") {
        return Err(format!("please install {names} (there is no apt-get here)"));
    }
    if !is_root() {
        return Err(format!("please run: sudo apt-get install {names}"));
    }
    println!("        installing {names} by apt-get");
    let apt = |arguments: &[&str]| {
        Command::new("apt-get")
            .env("DEBIAN_FRONTEND", "noninteractive")
            // A package that brings a service must not start it on a machine that only tests.
            .env("RUNLEVEL", "1")
            .args(arguments)
            .args(packages.iter().filter(|_| arguments.contains(&"install")))
            .stdout(Stdio::null())
            .output()
    };
    // The lists may be there already; what counts is whether the packages come.
    let _ = apt(&["update", "-q"]);
    let output = apt(&["install", "-q", "-y", "--no-install-recommends"])
        .map_err(|error| error.to_string())?;
    if output.status.success() {
        Ok(())
    } else {
        Err(format!(
            "apt-get install {names}: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        ))
    }
}

fn is_root() -> bool {
    Command::new("id")
        .arg("-u")
        .output()
        .is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

fn succeeds(command: &mut Command) -> bool {
    command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// What `promtool check metrics` says about a page: nothing where all is well.
pub(crate) fn promtool_check(page: &str) -> Result<String> {
    let output = pipe(
        Command::new("promtool").args(["check", "metrics"]),
        page.as_bytes(),
    )?;
    let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
    said.push_str(&String::from_utf8_lossy(&output.stderr));
    if !output.status.success() && said.trim().is_empty() {
        said = format!("promtool: {}", output.status);
    }
    Ok(said.trim().to_owned())
}

/// Runs a command with `input` on its standard input.
pub(crate) fn pipe(command: &mut Command, input: &[u8]) -> Result<std::process::Output> {
    use std::io::Write;
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut stdin = child.stdin.take().ok_or("no standard input")?;
    std::thread::scope(|scope| {
        // A program that refuses the page early closes its end; its verdict is in the output.
        scope.spawn(move || {
            let _ = stdin.write_all(input);
        });
        Ok(child.wait_with_output()?)
    })
}
