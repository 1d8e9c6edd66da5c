//! Family filter: a few families out of a page, at the price of finding its lines.

use std::iter::FusedIterator;

use super::parser::Parser;
use super::scan::Machine;
use super::scan::compare::{Compare, Task, dispatch};
use super::{Entry, Options, ParseError, Variant};

/// Names of families, compiled for looking at the start of lines.
///
/// A name takes the family's metadata and its samples: those of that name, and of that name with a
/// suffix that the formats append (`_total`, `_bucket`, `_sum`, `_count`, `_created`, `_info`,
/// `_gsum`, `_gcount`).
///
/// Lines of other families are passed over without being looked into: on a page that is not valid,
/// what is wrong *there* is not noticed. Where the page is valid, the entries are those of a
/// [`Parser`], less the others. Limits on lines and samples hold for the lines that are taken.
///
/// ```
/// use tokenpath_core::exposition::{Entry, Filter, Options};
///
/// let filter = Filter::new(["vllm:num_requests_running", "vllm:kv_cache_usage_perc"]);
/// let page = b"\
/// vllm:num_requests_running{engine=\"0\"} 3.0
/// vllm:num_requests_waiting{engine=\"0\"} 1.0
/// vllm:kv_cache_usage_perc{engine=\"0\"} 0.25
/// ";
/// let mut values = Vec::new();
/// for entry in filter.entries(page, Options::default()) {
///     if let Entry::Sample(sample) = entry? {
///         values.push(sample.value());
///     }
/// }
/// assert_eq!(values, [3.0, 0.25]);
/// # Ok::<(), tokenpath_core::exposition::ParseError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Filter {
    /// Sorted by key.
    families: Vec<Family>,
    /// Where in a name the key begins: behind what all names have in common.
    key_at: usize,
    /// Which of its 16 bytes count: all names are at least that long.
    key_mask: u128,
    /// One bit for each hash of a key.
    keys: [u64; 4],
}

#[derive(Clone, Debug)]
struct Family {
    key: u128,
    name: Box<[u8]>,
}

/// What the formats append to the name of a family.
const SUFFIXES: [&[u8]; 8] = [
    b"_total",
    b"_bucket",
    b"_sum",
    b"_count",
    b"_created",
    b"_info",
    b"_gsum",
    b"_gcount",
];

/// Bytes of a key.
const KEY: usize = 16;

impl Filter {
    /// A filter of these families.
    pub fn new<S: AsRef<str>>(families: impl IntoIterator<Item = S>) -> Self {
        let mut names: Vec<Box<[u8]>> = families
            .into_iter()
            .map(|name| name.as_ref().as_bytes().into())
            .collect();
        names.sort();
        names.dedup();
        let shortest = names
            .iter()
            .map(|name| name.len())
            .min()
            .unwrap_or_default();
        let common = match (names.first(), names.last()) {
            // Sorted: what the first and the last share, all share.
            (Some(first), Some(last)) => first.iter().zip(last).take_while(|(a, b)| a == b).count(),
            _ => 0,
        };
        // Behind a keyword too, the key is among the first bytes of a line.
        let key_at = common
            .min(shortest.saturating_sub(KEY))
            .min(START - KEYWORD - KEY);
        let key_bytes = (shortest - key_at).min(KEY);
        let key_mask = match key_bytes {
            KEY => u128::MAX,
            bytes => (1 << (8 * bytes)) - 1,
        };
        let mut filter = Self {
            families: Vec::new(),
            key_at,
            key_mask,
            keys: [0; 4],
        };
        for name in names {
            let mut bytes = [0; KEY];
            let from = name.get(key_at..).unwrap_or_default();
            for (to, from) in bytes.iter_mut().zip(from) {
                *to = *from;
            }
            let key = u128::from_le_bytes(bytes) & key_mask;
            let (word, bit) = hash(key);
            filter.keys[word] |= bit;
            filter.families.push(Family { key, name });
        }
        filter.families.sort_by_key(|family| family.key);
        filter
    }

    /// Whether metadata and samples of this name are taken.
    #[must_use]
    pub fn takes(&self, name: &str) -> bool {
        let ends = |rest: &[u8]| rest.is_empty() || SUFFIXES.contains(&rest);
        let mut names = self.families.iter().map(|family| &family.name);
        names.any(|family| name.as_bytes().strip_prefix(&**family).is_some_and(ends))
    }

    /// The entries of these families, in the order of the page. No allocation.
    #[must_use]
    pub fn entries<'f, 'a>(&'f self, page: &'a [u8], options: Options) -> Filtered<'f, 'a> {
        Filtered {
            filter: self,
            parser: Parser::new(page, options),
            machine: Machine::best(),
        }
    }

    /// Whether the unquoted name that `start` begins with is one of ours.
    #[inline(never)]
    fn takes_name_at(&self, key: u128, start: &[u8]) -> bool {
        let from = self.families.partition_point(|family| family.key < key);
        let same_key = self.families.get(from..).unwrap_or_default().iter();
        same_key
            .take_while(|family| family.key == key)
            .any(|family| {
                let Some(rest) = start.strip_prefix(&*family.name) else {
                    return false;
                };
                let length = rest.iter().take_while(|byte| is_name_byte(**byte)).count();
                let suffix = rest.get(..length).unwrap_or_default();
                suffix.is_empty() || SUFFIXES.contains(&suffix)
            })
    }
}

const fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b':'
}

/// The place of a key in the bits: a word and a bit in it.
#[inline(always)]
#[expect(
    clippy::cast_possible_truncation,
    reason = "both halves are taken, and eight bits of the product"
)]
const fn hash(key: u128) -> (usize, u64) {
    let both = (key as u64) ^ ((key >> 64) as u64).rotate_left(29);
    let hash = both.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56;
    ((hash >> 6) as usize, 1 << (hash & 63))
}

/// The entries that a [`Filter`] takes.
#[derive(Clone, Debug)]
pub struct Filtered<'f, 'a> {
    filter: &'f Filter,
    parser: Parser<'a>,
    machine: Machine,
}

impl Filtered<'_, '_> {
    /// The same with one implementation of the scanner, for tests and benches.
    #[doc(hidden)]
    #[must_use]
    pub fn with_variant(mut self, variant: Variant) -> Self {
        self.parser = self.parser.with_variant(variant);
        self.machine = Machine::of(variant);
        self
    }

    /// How many lines were skipped as invalid (lenient mode), of those that were looked into.
    #[must_use]
    pub const fn skipped_lines(&self) -> u64 {
        self.parser.skipped_lines()
    }
}

impl<'a> Iterator for Filtered<'_, 'a> {
    type Item = Result<Entry<'a>, ParseError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let skip = Skip {
                filter: self.filter,
                page: self.parser.page(),
                at: self.parser.offset(),
            };
            self.parser.seek(dispatch(self.machine, skip));
            let entry = match self.parser.next()? {
                Ok(entry) => entry,
                Err(error) => return Some(Err(error)),
            };
            let name = match &entry {
                Entry::Help { name, .. } | Entry::Type { name, .. } | Entry::Unit { name, .. } => {
                    name
                }
                Entry::Sample(sample) => &sample.name(),
                Entry::Comment(_) | Entry::Eof => continue,
            };
            if self.filter.takes(&name.to_str()) {
                return Some(Ok(entry));
            }
        }
    }
}

impl FusedIterator for Filtered<'_, '_> {}

/// Passes over lines of other families.
struct Skip<'f, 'a> {
    filter: &'f Filter,
    page: &'a [u8],
    /// The start of a line.
    at: usize,
}

/// What the start of a line tells.
#[derive(PartialEq)]
enum Start {
    /// A sample of another family.
    Sample,
    /// Metadata of another family: it ends at the newline, whatever quotes it has.
    Metadata,
    /// One of ours, or something that only a parser can tell.
    Look,
}

/// Bytes from the start of a line that are looked at.
const START: usize = 64;

/// `# HELP `, and the other keywords.
const KEYWORD: usize = 7;

impl Filter {
    #[inline(always)]
    fn start(&self, page: &[u8], line: usize) -> Start {
        const HELP: u64 = u64::from_le_bytes(*b"# HELP \0");
        const TYPE: u64 = u64::from_le_bytes(*b"# TYPE \0");
        const UNIT: u64 = u64::from_le_bytes(*b"# UNIT \0");
        let Some(start) = page.get(line..).and_then(<[u8]>::first_chunk::<START>) else {
            return Start::Look;
        };
        let (name, kind) = if start[0] == b'#' {
            let word = u64::from_le_bytes(start.as_chunks::<8>().0[0]) & (u64::MAX >> 8);
            if word != HELP && word != TYPE && word != UNIT {
                return Start::Look;
            }
            (KEYWORD, Start::Metadata)
        } else {
            (0, Start::Sample)
        };
        let first = start[name];
        if !(first.is_ascii_alphabetic() || first == b'_' || first == b':') {
            return Start::Look;
        }
        let at = name + self.key_at;
        let Some(key) = start.get(at..).and_then(<[u8]>::first_chunk::<KEY>) else {
            return Start::Look;
        };
        let key = u128::from_le_bytes(*key) & self.key_mask;
        let (word, bit) = hash(key);
        if self.keys[word & 3] & bit != 0
            && self.takes_name_at(key, page.get(line + name..).unwrap_or_default())
        {
            return Start::Look;
        }
        kind
    }
}

impl Task for Skip<'_, '_> {
    /// The start of a line that is to be looked into, or the end of the page.
    type Output = usize;

    #[inline(always)]
    fn run(self, compare: impl Compare) -> usize {
        let Self { filter, page, at } = self;
        let mut line = at;
        let mut start = filter.start(page, line);
        if start == Start::Look {
            return line;
        }
        // Of the line so far: whether quotes are open, and whether there was a backslash.
        let (mut open, mut escaped) = (false, false);
        let mut base = at;
        while let Some(block) = page.get(base..).and_then(<[u8]>::first_chunk::<64>) {
            let mut marks = compare.marks(block);
            while marks.newline != 0 {
                let newline = marks.newline.trailing_zeros();
                let before = (1u64 << newline) - 1;
                if start == Start::Sample {
                    open ^= (marks.quote & before).count_ones() & 1 == 1;
                    escaped |= marks.backslash & before != 0;
                    if open || escaped {
                        // The newline may be inside a label value.
                        return line;
                    }
                }
                (open, escaped) = (false, false);
                marks.newline &= marks.newline - 1;
                marks.quote &= !before;
                marks.backslash &= !before;
                line = base + newline as usize + 1;
                start = filter.start(page, line);
                if start == Start::Look {
                    return line;
                }
            }
            open ^= marks.quote.count_ones() & 1 == 1;
            escaped |= marks.backslash != 0;
            base += 64;
        }
        // The last lines are looked into.
        line
    }
}
