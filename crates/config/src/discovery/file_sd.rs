//! Target files as Prometheus reads them, JSON and YAML, looked at every second.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::said::Said;
use super::{Discovered, list};

/// Target files: paths in whose last part `*` may stand for anything.
///
/// A file is read when it is another one than before: by device and inode, size or time of change, so
/// that the symlink swap of Kubernetes' volumes is seen. One that is broken keeps what it said
/// before; one that is gone takes its targets with it, unless nothing is left of the folder.
#[derive(Clone, Debug)]
pub struct FileSd {
    patterns: Vec<PathBuf>,
}

impl FileSd {
    pub(crate) fn new<T: AsRef<Path>>(patterns: &[T]) -> Self {
        Self {
            patterns: patterns
                .iter()
                .map(|path| path.as_ref().to_owned())
                .collect(),
        }
    }
}

/// What tells that a file is another one than before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    changed: Option<SystemTime>,
    length: u64,
    identity: Option<(u64, u64)>,
}

impl Stamp {
    /// Of what the path leads to, symlinks followed.
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        let meta = fs::metadata(path)?;
        Ok(Self {
            changed: meta.modified().ok(),
            length: meta.len(),
            identity: identity(&meta),
        })
    }
}

#[cfg(unix)]
#[expect(clippy::unnecessary_wraps, reason = "there is none elsewhere")]
fn identity(meta: &fs::Metadata) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    Some((meta.dev(), meta.ino()))
}

#[cfg(not(unix))]
fn identity(_: &fs::Metadata) -> Option<(u64, u64)> {
    None
}

/// What the files said last.
#[derive(Debug, Default)]
pub(crate) struct Files {
    known: BTreeMap<PathBuf, Known>,
    /// Of files.
    faults: BTreeMap<PathBuf, Said>,
    /// Of patterns, which may be called as a file is.
    pattern_faults: BTreeMap<PathBuf, Said>,
}

/// The label that says which file a target is from.
const PATH: &str = "__meta_filepath";

#[derive(Debug)]
struct Known {
    /// None before the file was looked at.
    stamp: Option<Stamp>,
    /// Of the last good content.
    targets: Vec<Discovered>,
    /// What is wrong with the content that has this stamp.
    fault: Option<String>,
}

impl Files {
    /// As if these targets were what the files said last; they say themselves from which they are.
    pub(crate) fn that_said(targets: impl IntoIterator<Item = Discovered>) -> Self {
        let mut files = Self::default();
        for mut found in targets {
            let Some(path) = found.remove(PATH) else {
                continue;
            };
            let known = files.known.entry(path.into()).or_insert_with(|| Known {
                stamp: None,
                targets: Vec::new(),
                fault: None,
            });
            known.targets.push(found);
        }
        files
    }

    /// Looks at all files, reads those that changed, and says whether anything is other than before.
    /// Blocks on the file system.
    pub(crate) fn look(&mut self, sd: &FileSd) -> bool {
        let mut changed = false;
        let mut present = Vec::new();
        for pattern in &sd.patterns {
            match matching(pattern) {
                Ok(paths) => {
                    if self
                        .pattern_faults
                        .get_mut(pattern)
                        .is_some_and(Said::is_over)
                    {
                        tracing::info!(files = %pattern.display(), "target files can be looked at again");
                    }
                    present.extend(paths);
                }
                Err(error) => {
                    let said = self.pattern_faults.entry(pattern.clone()).or_default();
                    if said.is_news(&error.to_string()) {
                        tracing::warn!(files = %pattern.display(), %error, "target files cannot be looked at; what they said last stays");
                    }
                    // A folder that cannot be read now says nothing about its files.
                    let folder = pattern.parent();
                    present.extend(
                        self.known
                            .keys()
                            .filter(|path| path.parent() == folder)
                            .cloned(),
                    );
                }
            }
        }
        present.sort();
        present.dedup();
        let before = self.known.len();
        self.known.retain(|path, _| present.contains(path));
        self.faults.retain(|path, _| present.contains(path));
        changed |= self.known.len() != before;
        for path in present {
            changed |= self.look_at(&path);
        }
        changed
    }

    fn look_at(&mut self, path: &Path) -> bool {
        let stamp = match Stamp::of(path) {
            Ok(stamp) => stamp,
            Err(error) => {
                self.fault(path, &format!("cannot be read: {error}"));
                return false;
            }
        };
        let last = self.known.get(path);
        if let Some(known) = last.filter(|known| known.stamp.as_ref() == Some(&stamp)) {
            // Not read again, but told of again while it lasts.
            if let Some(what) = known.fault.clone() {
                self.fault(path, &what);
            } else {
                self.over(path);
            }
            return false;
        }
        match read(path) {
            Ok(targets) => {
                self.over(path);
                let is_new = self
                    .known
                    .get(path)
                    .is_none_or(|known| known.targets != targets);
                self.known.insert(
                    path.to_owned(),
                    Known {
                        stamp: Some(stamp),
                        targets,
                        fault: None,
                    },
                );
                is_new
            }
            Err(unusable) => {
                // The stamp is remembered: a file that stays broken is not read again. What kept us from
                // reading it may end without a trace on the file.
                let (stamp, what) = match unusable {
                    Unusable::Broken(what) => (Some(stamp), what),
                    Unusable::Unread(error) => (None, format!("cannot be read: {error}")),
                };
                let targets = self.known.remove(path).map(|known| known.targets);
                let known = Known {
                    stamp,
                    targets: targets.unwrap_or_default(),
                    fault: Some(what.clone()),
                };
                self.known.insert(path.to_owned(), known);
                self.fault(path, &what);
                false
            }
        }
    }

    fn fault(&mut self, path: &Path, what: &str) {
        if self
            .faults
            .entry(path.to_owned())
            .or_default()
            .is_news(what)
        {
            tracing::warn!(file = %path.display(), error = what, "a target file cannot be used; its last good content stays");
        }
    }

    fn over(&mut self, path: &Path) {
        if self.faults.get_mut(path).is_some_and(Said::is_over) {
            tracing::info!(file = %path.display(), "the target file can be used again");
        }
    }

    /// All targets of all files, in the order of the paths.
    pub(crate) fn targets(&self) -> Vec<Discovered> {
        let all = self.known.iter().flat_map(|(path, known)| {
            known.targets.iter().map(move |found| {
                let mut found = found.clone();
                found.insert(PATH.to_owned(), path.to_string_lossy().into_owned());
                found
            })
        });
        all.collect()
    }
}

/// Why a file says nothing.
enum Unusable {
    /// Its content is wrong.
    Broken(String),
    /// It could not be read.
    Unread(io::Error),
}

fn read(path: &Path) -> Result<Vec<Discovered>, Unusable> {
    let meta = fs::metadata(path).map_err(Unusable::Unread)?;
    let broken = |what: String| Err(Unusable::Broken(what));
    if !meta.is_file() {
        return broken("is no regular file".to_owned());
    }
    if meta.len() > list::BYTES_MAX as u64 {
        return broken(format!("is larger than {} bytes", list::BYTES_MAX));
    }
    let bytes = fs::read(path).map_err(Unusable::Unread)?;
    let is_json = path
        .extension()
        .is_some_and(|ending| ending.eq_ignore_ascii_case("json"));
    let targets = if is_json {
        list::from_json(&bytes)
    } else {
        match String::from_utf8(bytes) {
            Ok(text) => list::from_yaml(&text),
            Err(_) => return broken("is no UTF-8".to_owned()),
        }
    };
    targets.map_err(|flaw| Unusable::Broken(flaw.to_string()))
}

/// The paths that a pattern means, in order. A path without `*` means itself, there or not.
fn matching(pattern: &Path) -> io::Result<Vec<PathBuf>> {
    let name = pattern
        .file_name()
        .map(|name| name.to_string_lossy().into_owned());
    let Some(name) = name.filter(|name| name.contains('*')) else {
        let there = fs::symlink_metadata(pattern).is_ok();
        return Ok(if there {
            vec![pattern.to_owned()]
        } else {
            Vec::new()
        });
    };
    let folder = pattern
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder.unwrap_or_else(|| Path::new(".")))? {
        let entry = entry?;
        if is_like(&entry.file_name().to_string_lossy(), &name) {
            paths.push(folder.map_or_else(
                || entry.file_name().into(),
                |folder| folder.join(entry.file_name()),
            ));
        }
    }
    paths.sort();
    Ok(paths)
}

/// Whether a name is what a pattern with `*` means. A hidden file is meant only by its dot.
fn is_like(name: &str, pattern: &str) -> bool {
    if name.starts_with('.') && !pattern.starts_with('.') {
        return false;
    }
    let mut pieces = pattern.split('*');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else {
        return false;
    };
    let mut pieces = pieces.peekable();
    while let Some(piece) = pieces.next() {
        if pieces.peek().is_none() {
            return rest.ends_with(piece);
        }
        let Some((_, after)) = rest.split_once(piece) else {
            return false;
        };
        rest = after;
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::said::tests::Heard;
    use super::*;

    fn addresses(files: &Files) -> Vec<String> {
        files
            .targets()
            .iter()
            .map(|found| found["__address__"].clone())
            .collect()
    }

    #[test]
    fn patterns_mean_what_a_shell_would_mean() {
        for (name, pattern, meant) in [
            ("a.json", "*.json", true),
            (".a.json", "*.json", false),
            ("a.yaml", "*.json", false),
            ("vllm-1.yaml", "vllm-*.yaml", true),
            ("a.b.json", "*.*.json", true),
            ("json", "*.json", false),
            ("aa", "a*a*a", false),
        ] {
            assert_eq!(is_like(name, pattern), meant, "{name} {pattern}");
        }
    }

    #[test]
    fn a_broken_file_keeps_its_last_good_content_and_a_gone_one_none() {
        let dir = tempfile::tempdir().unwrap();
        let sd = FileSd::new(&[dir.path().join("*.yaml")]);
        let mut files = Files::default();
        assert!(!files.look(&sd));
        let (a, b) = (dir.path().join("a.yaml"), dir.path().join("b.yaml"));
        fs::write(&a, "- targets: [a:1]\n").unwrap();
        fs::write(&b, "- targets: [b:1]\n").unwrap();
        assert!(files.look(&sd));
        assert!(!files.look(&sd), "nothing is new");
        assert_eq!(addresses(&files), ["a:1", "b:1"]);
        fs::write(&a, "- targets: [a:1, a:2\n").unwrap();
        assert!(!files.look(&sd));
        assert_eq!(
            addresses(&files),
            ["a:1", "b:1"],
            "the broken one keeps what it said"
        );
        fs::write(&a, "- targets: [a:1, a:3]\n# longer\n").unwrap();
        fs::remove_file(&b).unwrap();
        assert!(files.look(&sd));
        assert_eq!(addresses(&files), ["a:1", "a:3"]);
    }

    /// Said once, though looked at each second; again while it lasts; and over when it is.
    #[tokio::test(start_paused = true)]
    async fn a_file_that_stays_broken_is_told_of_every_five_minutes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.yaml");
        fs::write(&path, "- targets: [a:1\n").unwrap();
        let sd = FileSd::new(&[&path]);
        let mut files = Files::default();
        let heard = Heard::default();
        let _listening = tracing::subscriber::set_default(heard.clone());
        for (pause, warned) in [(0, 1), (1, 1), (1, 1), (299, 2), (1, 2)] {
            tokio::time::advance(Duration::from_secs(pause)).await;
            assert!(!files.look(&sd));
            assert_eq!(heard.said("cannot be used"), warned);
        }
        assert_eq!(heard.said("can be used again"), 0);
        fs::write(&path, "- targets: [a:1]\n").unwrap();
        assert!(files.look(&sd));
        assert_eq!(heard.said("can be used again"), 1);
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_could_not_be_read_is_tried_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.yaml");
        fs::write(&path, "- targets: [a:1]\n").unwrap();
        let sd = FileSd::new(&[&path]);
        let mut files = Files::default();
        files.known.insert(
            path,
            Known {
                stamp: None,
                targets: Vec::new(),
                fault: Some("cannot be read".to_owned()),
            },
        );
        assert!(files.look(&sd));
        assert_eq!(addresses(&files), ["a:1"]);
    }

    #[cfg(unix)]
    #[test]
    fn the_symlink_swap_of_kubernetes_is_seen() {
        use std::os::unix::fs::symlink;
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        for (version, address) in [("..1", "a:1"), ("..2", "b:1")] {
            fs::create_dir(path(version)).unwrap();
            let same_length = format!("- targets: [{address}]\n");
            fs::write(path(version).join("t.yaml"), same_length).unwrap();
        }
        symlink("..1", path("..data")).unwrap();
        symlink("..data/t.yaml", path("t.yaml")).unwrap();
        let sd = FileSd::new(&[path("t.yaml")]);
        let mut files = Files::default();
        assert!(files.look(&sd));
        symlink("..2", path("..tmp")).unwrap();
        fs::rename(path("..tmp"), path("..data")).unwrap();
        assert!(files.look(&sd));
        assert_eq!(addresses(&files), ["b:1"]);
    }
}
