//! What the programs of the image say of themselves: names, flags, variables.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::said;
use crate::report::{Result, ensure};
use crate::tests::Binaries;

/// All programs that are shipped.
pub(super) const NAMES: [&str; 6] = [
    "tokenpath",
    "vllm-exporter",
    "tgi-exporter",
    "limitador-exporter",
    "gateway-exporter",
    "gpu-exporter",
];

/// Where the image has them.
const FOLDER: &str = "/usr/local/bin/";

/// Paths that every page server answers, whatever its sources do.
pub(super) const HEALTH: [&str; 2] = ["/healthz", "/readyz"];

pub(super) struct Programs {
    /// Where they were built.
    pub(super) folder: PathBuf,
    /// By command line as far as its flags begin, for instance `tokenpath serve`.
    help: BTreeMap<String, Help>,
}

#[derive(Default)]
struct Help {
    flags: BTreeSet<String>,
    variables: BTreeSet<String>,
}

impl Programs {
    /// Asks each for `--help`.
    pub(super) fn asked(binaries: &Binaries) -> Result<Self> {
        let folder = binaries
            .tokenpath
            .parent()
            .map(Path::to_path_buf)
            .ok_or("a program without a folder")?;
        let mut help = BTreeMap::new();
        let commands = ["tokenpath serve", "tokenpath demo"];
        for words in NAMES.iter().chain(&commands) {
            let mut parts = words.split(' ');
            let program = folder.join(parts.next().unwrap_or_default());
            let text = said(Command::new(program).args(parts).arg("--help"))?;
            help.insert((*words).to_owned(), Help::read(&text));
        }
        Ok(Self { folder, help })
    }

    /// What is wrong with a command line of the image: a program that is not there, a flag that it
    /// does not have.
    pub(super) fn faults(&self, words: &[&str]) -> Vec<String> {
        let Some((program, arguments)) = words.split_first() else {
            return vec!["an empty command line".to_owned()];
        };
        let Some(name) = program.strip_prefix(FOLDER) else {
            return vec![format!("{program} is not in {FOLDER}")];
        };
        let key = match arguments.first() {
            Some(command) if !command.starts_with('-') => format!("{name} {command}"),
            _ => name.to_owned(),
        };
        let Some(help) = self.help.get(&key) else {
            return vec![format!("there is no `{key}`")];
        };
        arguments
            .iter()
            .filter(|word| word.starts_with("--"))
            .map(|word| word.split('=').next().unwrap_or_default())
            .filter(|flag| !help.flags.contains(*flag))
            .map(|flag| format!("`{key}` has no {flag}"))
            .collect()
    }

    /// Whether some program reads this variable.
    pub(super) fn has_variable(&self, name: &str) -> bool {
        self.help.values().any(|help| help.variables.contains(name))
    }

    /// The port that a command line listens on: the one it says, or the program's own.
    pub(super) fn port(words: &[&str]) -> Result<u64> {
        let said = words
            .windows(2)
            .find(|pair| pair[0] == "--web.listen-address")
            .map(|pair| pair[1]);
        let port = match said {
            Some(address) => address.rsplit(':').next().unwrap_or_default(),
            None => match words
                .first()
                .map(|program| program.trim_start_matches(FOLDER))
            {
                Some("tokenpath") => "9410",
                Some("vllm-exporter") => "9401",
                Some("tgi-exporter") => "9402",
                Some("limitador-exporter") => "9403",
                Some("gateway-exporter") => "9404",
                Some("gpu-exporter") => "9400",
                other => return Err(format!("no port is known for {other:?}").into()),
            },
        };
        port.parse()
            .map_err(|error| format!("port {port:?}: {error}").into())
    }
}

impl Help {
    fn read(text: &str) -> Self {
        let flags = text
            .lines()
            .map(str::trim_start)
            .filter(|line| line.starts_with('-'))
            .flat_map(|line| line.split([' ', ',']))
            .filter(|word| word.starts_with("--"))
            .map(str::to_owned)
            .collect();
        let variables = text
            .split("[env: ")
            .skip(1)
            .filter_map(|rest| rest.split(['=', ']']).next())
            .map(str::to_owned)
            .collect();
        Self { flags, variables }
    }
}

/// Fails where a list of programs is not all of them.
pub(super) fn all(found: &BTreeSet<&str>) -> Result<()> {
    let wanted = BTreeSet::from(NAMES);
    ensure!(
        *found == wanted,
        "programs: {found:?}, but the crate has {wanted:?}"
    );
    Ok(())
}

#[cfg(test)]
mod unit {
    use super::*;

    fn programs() -> Programs {
        let text =
            "Usage\n  -h, --help\n      --web.listen-address <A>\n   [env: VLLM_ENDPOINT=]\n";
        Programs {
            folder: PathBuf::new(),
            help: BTreeMap::from([("tokenpath serve".to_owned(), Help::read(text))]),
        }
    }

    #[test]
    fn flags_and_programs_that_are_not_there_are_found() {
        let programs = programs();
        let faults = |words: &[&str]| programs.faults(words).len();
        let serve = "/usr/local/bin/tokenpath";
        assert_eq!(
            faults(&[serve, "serve", "--web.listen-address", ":1", "--help"]),
            0
        );
        assert_eq!(faults(&[serve, "serve", "--web.lisen-address=:1"]), 1);
        assert_eq!(faults(&[serve, "sevre"]), 1);
        assert_eq!(faults(&["tokenpath", "serve"]), 1);
        assert_eq!(faults(&[]), 1);
        assert!(programs.has_variable("VLLM_ENDPOINT"));
        assert!(!programs.has_variable("VLLM_ENDPOINTS"));
    }

    #[test]
    fn the_port_is_the_one_said_or_the_programs_own() -> Result<()> {
        let serve = "/usr/local/bin/tokenpath";
        assert_eq!(Programs::port(&[serve, "--web.listen-address", ":7"])?, 7);
        assert_eq!(Programs::port(&[serve, "serve"])?, 9410);
        assert!(Programs::port(&["/bin/sh"]).is_err());
        Ok(())
    }
}
