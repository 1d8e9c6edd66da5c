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

    /// Programs that say this, by command line.
    #[cfg(test)]
    pub(super) fn of_help<const N: usize>(help: [(&str, &str); N]) -> Self {
        let help = help.map(|(command, text)| (command.to_owned(), Help::read(text)));
        Self {
            folder: PathBuf::new(),
            help: help.into(),
        }
    }

    /// What is wrong with a command line of the image: a program that is not there, a flag that it
    /// does not have.
    pub(super) fn faults(&self, words: &[&str]) -> Vec<String> {
        let (key, help) = match self.help_of(words) {
            Ok(found) => found,
            Err(error) => return vec![error.to_string()],
        };
        words
            .iter()
            .filter(|word| word.starts_with("--"))
            .map(|word| word.split('=').next().unwrap_or_default())
            .filter(|flag| !help.flags.contains(*flag))
            .map(|flag| format!("`{key}` has no {flag}"))
            .collect()
    }

    /// Whether the help of what a command line starts tells of this variable.
    pub(super) fn has_variable(&self, words: &[&str], name: &str) -> bool {
        self.help_of(words)
            .is_ok_and(|(_, help)| help.variables.contains(name))
    }

    fn help_of(&self, words: &[&str]) -> Result<(String, &Help)> {
        let (program, arguments) = words.split_first().ok_or("an empty command line")?;
        let name = program
            .strip_prefix(FOLDER)
            .ok_or_else(|| format!("{program} is not in {FOLDER}"))?;
        let key = match arguments.first() {
            Some(command) if !command.starts_with('-') => format!("{name} {command}"),
            _ => name.to_owned(),
        };
        let help = self.help.get(&key);
        help.map(|help| (key.clone(), help))
            .ok_or_else(|| format!("there is no `{key}`").into())
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
        // `[env: NAME=]`, or a sentence.
        let is_name = |word: &&str| {
            word.contains('_') && word.bytes().all(|c| c.is_ascii_uppercase() || c == b'_')
        };
        let variables = text
            .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
            .filter(is_name)
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
        let text = "Usage\n  -h, --help\n      --web.listen-address <A>\n   [env: VLLM_ENDPOINT=]\n Environment: GPU_ID.\n";
        Programs::of_help([("tokenpath serve", text)])
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
        for (name, is_there) in [("VLLM_ENDPOINT", true), ("GPU_ID", true), ("VLLM", false)] {
            assert_eq!(programs.has_variable(&[serve, "serve"], name), is_there);
        }
        assert!(!programs.has_variable(&[serve, "demo"], "GPU_ID"));
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
