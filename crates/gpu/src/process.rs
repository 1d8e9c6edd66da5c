//! Who a process is: its name, and the container it runs in.
//!
//! The driver gives process ids. In a container without the host's process namespace
//! (`hostPID: true` in Kubernetes) they may be hidden, or mean nothing here: then name and container
//! are absent.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::device::Session;

/// What is known of a process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Who {
    pub(crate) name: Option<String>,
    pub(crate) container_id: Option<String>,
}

/// Looks processes up, each once in a while: a name may be set after the first look (vLLM names its
/// workers late), and a process id may be used again.
#[derive(Debug)]
pub(crate) struct Directory {
    proc_root: PathBuf,
    known: HashMap<u32, (Who, u64)>,
    /// Counts samples.
    now: u64,
}

/// A look is good for so many samples.
const GOOD_FOR: u64 = 10;

impl Directory {
    pub(crate) fn new(proc_root: PathBuf) -> Self {
        Self {
            proc_root,
            known: HashMap::new(),
            now: 0,
        }
    }

    /// Begins a sample: forgets who was not asked for lately.
    pub(crate) fn tick(&mut self) {
        self.now += 1;
        let now = self.now;
        self.known.retain(|_, (_, looked)| *looked + GOOD_FOR > now);
    }

    pub(crate) fn who(&mut self, pid: u32, session: &mut dyn Session) -> &Who {
        let root = &self.proc_root;
        let now = self.now;
        let (who, _) = self.known.entry(pid).or_insert_with(|| {
            let who = Who {
                name: name(root, pid).or_else(|| named_by_driver(pid, session)),
                container_id: container(root, pid),
            };
            (who, now)
        });
        who
    }
}

fn name(root: &Path, pid: u32) -> Option<String> {
    let comm = fs::read(root.join(pid.to_string()).join("comm")).ok()?;
    let comm = String::from_utf8_lossy(&comm);
    let comm = comm.trim_end_matches('\n');
    (!comm.is_empty()).then(|| comm.to_owned())
}

/// The driver gives a path or a command line: the program's name is enough.
fn named_by_driver(pid: u32, session: &mut dyn Session) -> Option<String> {
    let name = session.process_name(pid)?;
    let program = name.split(' ').next().unwrap_or(&name);
    let program = program.rsplit('/').next().unwrap_or(program);
    (!program.is_empty()).then(|| program.to_owned())
}

fn container(root: &Path, pid: u32) -> Option<String> {
    let cgroup = fs::read_to_string(root.join(pid.to_string()).join("cgroup")).ok()?;
    container_id(&cgroup).map(str::to_owned)
}

/// The id of the innermost container in a `/proc/<pid>/cgroup`: 64 hexadecimal digits at the end of a
/// part of the path, as Docker, containerd, CRI-O and Podman write it.
fn container_id(cgroup: &str) -> Option<&str> {
    cgroup
        .lines()
        .flat_map(|line| line.rsplit('/'))
        .find_map(|part| {
            let part = part.strip_suffix(".scope").unwrap_or(part);
            let id = part.rsplit(['-', ':']).next()?;
            let is_id = id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
            is_id.then_some(id)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "3f4c5b6a7d8e9f00112233445566778899aabbccddeeff00112233445566778a";

    #[test]
    fn container_ids_of_the_usual_runtimes_are_found() {
        for cgroup in [
            format!("0::/system.slice/docker-{ID}.scope\n"),
            format!("12:pids:/docker/{ID}\n1:name=systemd:/docker/{ID}\n"),
            format!(
                "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1_2.slice/cri-containerd-{ID}.scope\n"
            ),
            format!("0::/kubepods/besteffort/pod0b2c/{ID}\n"),
            format!(
                "0::/system.slice/containerd.service/kubepods-pod1.slice:cri-containerd:{ID}\n"
            ),
            format!("0::/machine.slice/libpod-{ID}.scope/container\n"),
            format!("0::/kubepods.slice/crio-{ID}.scope\n"),
        ] {
            assert_eq!(container_id(&cgroup), Some(ID), "{cgroup}");
        }
    }

    #[test]
    fn a_process_outside_of_containers_has_no_id() {
        for cgroup in [
            "0::/\n",
            "0::/user.slice/user-1000.slice/session-2.scope\n",
            "",
            "0::/docker/short\n",
            "0::/x-zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz.scope",
        ] {
            assert_eq!(container_id(cgroup), None, "{cgroup}");
        }
    }
}
