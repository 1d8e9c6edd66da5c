//! A reader of pages that shares nothing with the code under test: lines split by hand, every label
//! in a map, numbers by the standard library. Good for well-formed pages only.
//!
//! Included by the integration tests of several crates, each of which uses a part.

#![allow(dead_code, reason = "each test binary uses a part")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tokenpath_core::{SeriesKind, Snapshot};

/// Labels of a series.
pub(crate) type Labels = BTreeMap<String, String>;

/// Samples by name and labels; the values as bits, so that they can be compared exactly.
pub(crate) type Numbers = BTreeMap<(String, Labels), u64>;

/// One line with a value.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) labels: Labels,
    pub(crate) value: f64,
}

/// A page as its samples and the types it says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Page {
    pub(crate) samples: Vec<Sample>,
    pub(crate) types: BTreeMap<String, String>,
}

impl Page {
    pub(crate) fn read(text: &str) -> Self {
        let mut page = Self::default();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                page.types.insert(name.to_owned(), kind.to_owned());
            } else if !line.starts_with('#') && !line.is_empty() {
                page.samples.push(sample(line));
            }
        }
        page
    }

    /// The family of a sample, and what is behind its name (`_bucket`, `_sum`, `_count` or nothing).
    pub(crate) fn family<'s>(&self, sample: &'s Sample) -> (&'s str, &'s str) {
        let name = sample.name.as_str();
        if self.types.contains_key(name) {
            return (name, "");
        }
        for suffix in ["_bucket", "_sum", "_count"] {
            if let Some(family) = name.strip_suffix(suffix)
                && self.types.contains_key(family)
            {
                return name.split_at(family.len());
            }
        }
        panic!("{name} has no type on the page");
    }
}

fn sample(line: &str) -> Sample {
    let end = line.find(['{', ' ']).unwrap();
    let (name, rest) = line.split_at(end);
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest),
        None => (Labels::new(), rest),
    };
    let number = rest.split_whitespace().next().unwrap();
    Sample {
        name: name.to_owned(),
        labels,
        value: number.parse().unwrap(),
    }
}

/// The labels after an opening brace, and what follows the closing one.
fn labels(text: &str) -> (Labels, &str) {
    let mut labels = Labels::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([',', ' ']);
        if let Some(after) = rest.strip_prefix('}') {
            return (labels, after);
        }
        let (name, after) = rest.split_once("=\"").unwrap();
        let mut value = String::new();
        let mut characters = after.char_indices();
        let end = loop {
            match characters.next().unwrap() {
                (at, '"') => break at,
                (_, '\\') => match characters.next().unwrap().1 {
                    'n' => value.push('\n'),
                    other => value.push(other),
                },
                (_, other) => value.push(other),
            }
        };
        labels.insert(name.to_owned(), value);
        rest = after.split_at(end + 1).1;
    }
}

/// Adds a sample that must not be there yet.
pub(crate) fn put(numbers: &mut Numbers, name: impl Into<String>, labels: Labels, value: f64) {
    let key = (name.into(), labels);
    let before = numbers.insert(key.clone(), value.to_bits());
    assert_eq!(before, None, "{key:?} twice");
}

/// What the snapshot holds, as the samples that a page of ours would have.
pub(crate) fn held(snapshot: &Snapshot) -> Numbers {
    let mut numbers = Numbers::new();
    for family in snapshot.shape().families() {
        let name = family.desc().name();
        for series in family.series() {
            let labels: Labels = series
                .labels()
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect();
            let (edges, edge_label, suffix) = match series.kind() {
                SeriesKind::Value => {
                    if let Some(value) = snapshot.get(series.slot()) {
                        put(&mut numbers, name, labels, value);
                    }
                    continue;
                }
                SeriesKind::Histogram(edges) => (edges, "le", "_bucket"),
                SeriesKind::Summary(quantiles) => (quantiles, "quantile", ""),
            };
            for (index, edge) in edges.iter().enumerate() {
                if let Some(value) = snapshot.get(series.edge_slot(index)) {
                    let mut labels = labels.clone();
                    labels.insert(edge_label.to_owned(), edge.to_string());
                    put(&mut numbers, format!("{name}{suffix}"), labels, value);
                }
            }
            if let Some(sum) = snapshot.get(series.sum_slot()) {
                put(&mut numbers, format!("{name}_sum"), labels.clone(), sum);
            }
            if let Some(count) = snapshot.get(series.count_slot()) {
                put(&mut numbers, format!("{name}_count"), labels, count);
            }
        }
    }
    numbers
}

/// Says where two readings differ, sample by sample.
pub(crate) fn compare(what: &str, expected: &Numbers, held: &Numbers) {
    for (key, bits) in expected {
        let found = held.get(key).copied().map(f64::from_bits);
        assert_eq!(
            found.map(f64::to_bits),
            Some(*bits),
            "{what}: {key:?} is {found:?} and should be {}",
            f64::from_bits(*bits)
        );
    }
    for key in held.keys() {
        assert!(
            expected.contains_key(key),
            "{what}: {key:?} is beside what the page says"
        );
    }
}

/// A folder of recorded and rendered pages in this repository.
pub(crate) fn testdata(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../testdata")
        .join(folder)
}

/// One of the files in such a folder.
pub(crate) fn recorded(folder: &str, name: &str) -> String {
    let path = testdata(folder).join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Pages below a folder, in order of their names.
pub(crate) fn pages(folder: &Path) -> Vec<PathBuf> {
    let mut pages = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            pages.extend(self::pages(&path));
        } else if path.extension().is_some_and(|ext| ext == "txt") {
            pages.push(path);
        }
    }
    pages.sort();
    pages
}

/// The page with its families, and the lines in them, in another order: as a server writes them that
/// keeps its series in hash maps. `seed` says which.
pub(crate) fn shuffled(text: &str, seed: usize) -> String {
    let mut families: Vec<Vec<&str>> = Vec::new();
    let mut open = false;
    for line in text.lines().filter(|line| !line.is_empty()) {
        let metadata = line.starts_with('#');
        if families.is_empty() || (metadata && open) {
            families.push(Vec::new());
        }
        open = !metadata;
        families.last_mut().unwrap().push(line);
    }
    let count = families.len();
    families.rotate_left(seed % count);
    let mut out = String::new();
    for mut lines in families {
        let first = lines.iter().position(|line| !line.starts_with('#'));
        let samples = lines.split_off(first.unwrap());
        for line in &lines {
            out.push_str(line);
            out.push('\n');
        }
        // Buckets of one histogram stay together; plain series turn round.
        let plain = samples.iter().all(|line| !line.contains("_bucket{"));
        let turn = if plain { seed % samples.len() } else { 0 };
        for line in samples[turn..].iter().chain(&samples[..turn]) {
            out.push_str(line);
            out.push('\n');
        }
        out.push('\n');
    }
    out
}

/// Whatever the order of its lines, a page says the same on the same shape.
pub(crate) fn order_does_not_matter(text: &str, mut read: impl FnMut(&[u8], &mut Snapshot)) {
    let mut out = Snapshot::new();
    let mut read = |text: &str| {
        read(text.as_bytes(), &mut out);
        (held(&out), out.shape().id())
    };
    let first = read(text);
    for seed in 1..20 {
        let again = shuffled(text, seed);
        assert_ne!(again, text);
        assert_eq!(read(&again), first, "{seed}");
    }
}
