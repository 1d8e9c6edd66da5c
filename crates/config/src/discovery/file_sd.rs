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
    faults: BTreeMap<PathBuf, Said>,
}

#[derive(Debug)]
struct Known {
    stamp: Option<Stamp>,
    targets: Vec<Discovered>,
}

impl Files {
    /// Looks at all files, reads those that changed, and says whether anything is other than before.
    /// Blocks on the file system.
    pub(crate) fn look(&mut self, sd: &FileSd) -> bool {
        let mut changed = false;
        let mut present = Vec::new();
        for pattern in &sd.patterns {
            match matching(pattern) {
                Ok(paths) => {
                    self.over(pattern);
                    present.extend(paths);
                }
                Err(error) => {
                    self.fault(pattern, &format!("cannot be looked at: {error}"));
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
        let known = self.known.get_mut(path);
        if known
            .as_ref()
            .is_some_and(|known| known.stamp.as_ref() == Some(&stamp))
        {
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
                    },
                );
                is_new
            }
            Err(what) => {
                // The stamp is remembered: a file that stays broken is not read again.
                match known {
                    Some(known) => known.stamp = Some(stamp),
                    None => {
                        let nothing = Known {
                            stamp: Some(stamp),
                            targets: Vec::new(),
                        };
                        self.known.insert(path.to_owned(), nothing);
                    }
                }
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
                found.insert(
                    "__meta_filepath".to_owned(),
                    path.to_string_lossy().into_owned(),
                );
                found
            })
        });
        all.collect()
    }
}

fn read(path: &Path) -> Result<Vec<Discovered>, String> {
    let meta = fs::metadata(path).map_err(|error| format!("cannot be read: {error}"))?;
    if !meta.is_file() {
        return Err("is no regular file".to_owned());
    }
    if meta.len() > list::BYTES_MAX as u64 {
        return Err(format!("is larger than {} bytes", list::BYTES_MAX));
    }
    let bytes = fs::read(path).map_err(|error| format!("cannot be read: {error}"))?;
    let is_json = path
        .extension()
        .is_some_and(|ending| ending.eq_ignore_ascii_case("json"));
    let targets = if is_json {
        list::from_json(&bytes)
    } else {
        let text = String::from_utf8(bytes).map_err(|_| "is no UTF-8".to_owned())?;
        list::from_yaml(&text)
    };
    targets.map_err(|flaw| flaw.to_string())
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
