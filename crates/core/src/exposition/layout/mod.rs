//! Layout memory: a page whose layout was seen before costs a comparison and its values.
//!
//! A metrics page is `prefix value prefix value …`: the prefix runs from the end of one sample to
//! the value of the next and takes in whatever metadata stands between. Between two scrapes of one
//! server the prefixes stay as they are. A [`Layout`] keeps them, compares, and decodes the values.
//! Where a line comes or goes, that line is parsed, and the comparison goes on behind it.
//!
//! Nothing is taken on trust. The grammars are grammars of lines: whether a line is valid does not
//! depend on the lines around it. A line that equals one that was validated needs no validation, its
//! new value is read by the grammar of values, and every other line is parsed. Where that fails, the
//! whole page is parsed anew, so that errors are those of the [`Parser`] in every case.
//!
//! Every sample line has an id, a small number that it keeps as long as the layout knows it. What is
//! derived from the labels of a line (which family it belongs to, where its value goes) is worked
//! out once, when the line is [fresh](Fresh::sample), and found again by the id.

mod known;
mod run;
#[cfg(test)]
mod tests;
mod value;
mod walk;

use std::collections::HashMap;
use std::sync::Arc;

use self::known::{Known, Piece};
use self::value::{Behind, REACH, Spelled};
use super::scan::Machine;
use super::{Entry, Exemplar, Format, Options, ParseError, Parser, Sample, Variant};

/// Hears of everything on a page that the layout did not know.
pub trait Fresh {
    /// The layout forgot all lines: ids begin at 0 again.
    fn restart(&mut self);

    /// A metadata line or comment. Known ones may be told again.
    fn metadata(&mut self, entry: &Entry<'_>);

    /// A sample line that was not known, with the id it has from now on. Ids are given in order.
    fn sample(&mut self, id: u32, sample: &Sample<'_>);
}

/// What a reading of a page came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reread {
    /// Sample lines on the page.
    pub samples: usize,
    /// Whether the page had exactly the lines of the page before it.
    pub unchanged: bool,
    /// Lines that were skipped as invalid (lenient mode).
    pub skipped_lines: u64,
}

/// The memory of one target's page.
///
/// A page of known lines is read without an allocation, about as fast as its newlines could be found.
/// A line that came or went costs its own parsing. Lines with exemplars, or with timestamps in OpenMetrics, are
/// known too, but parsed where those are not what they were.
///
/// Keeps one copy of the page's text without its values, and about 150 bytes a line
/// ([`memory`](Self::memory)); lines that stay away are forgotten when they are more than those that
/// are there. A clone shares the text with its original for as long as both see the same lines: make
/// the layout of a second replica by cloning that of the first.
///
/// ```
/// use tokenpath_core::exposition::{Entry, Fresh, Layout, Options, Sample};
///
/// /// The id of the one line we want.
/// #[derive(Default)]
/// struct Running(Option<u32>);
///
/// impl Fresh for Running {
///     fn restart(&mut self) {
///         self.0 = None;
///     }
///     fn metadata(&mut self, _: &Entry<'_>) {}
///     fn sample(&mut self, id: u32, sample: &Sample<'_>) {
///         if sample.name() == "vllm:num_requests_running" {
///             self.0 = Some(id);
///         }
///     }
/// }
///
/// let (mut layout, mut running) = (Layout::new(), Running::default());
/// for (page, value) in [
///     ("vllm:num_requests_running 3.0\nvllm:num_requests_waiting 0.0\n", 3.0),
///     ("vllm:num_requests_running 17.0\nvllm:num_requests_waiting 2.0\n", 17.0),
/// ] {
///     layout.read(page.as_bytes(), Options::default(), &mut running)?;
///     assert_eq!(running.0.and_then(|id| layout.value(id)), Some(value));
/// }
/// # Ok::<(), tokenpath_core::exposition::ParseError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Layout {
    machine: Machine,
    /// Shared between clones, and copied when one of them has to change it.
    known: Arc<Known>,
    /// What the known lines were read with; `None` where the next page must be parsed.
    options: Option<Options>,
    ids: Arc<Ids>,
    values: Vec<f64>,
    spelled: Vec<Spelled>,
    /// What stood behind the value, on lines that do not end there: an exemplar, for instance.
    ends: HashMap<u32, Vec<u8>>,
    /// The lines of the newest page that have an exemplar, which stands at their end.
    exemplars: Vec<u32>,
    /// Whether the newest page has the line, by id.
    here: Vec<bool>,
    /// Whether there is a newest page that was valid.
    valid: bool,
    /// How many lines the newest good page had.
    present: usize,
    /// Whether each known line can be told by its prefix, and stays within the limit whatever value it
    /// gets: a walk does not measure lines.
    fits: bool,
    line_bytes: usize,
    /// What may stand behind the values of the known lines.
    behind: Behind,
    /// Whether a series stood twice on a page. Its ids go by the order of its lines, which a walk
    /// through changes would not know.
    has_twins: bool,
    next: Vec<Piece>,
    spare: Vec<u8>,
}

/// The ids of each series, in the order its lines stand on a page: more than one where a page has a
/// series twice.
type Ids = HashMap<Box<[u8]>, Vec<u32>>;

/// Longer ends of lines are not kept. An exemplar may have 128 characters in its labels.
const LONGEST_END: usize = 512;

/// Lines that stayed away are kept up to this many.
const ABSENT_LINES_KEPT: usize = 256;

impl Default for Layout {
    fn default() -> Self {
        Self::new()
    }
}

impl Layout {
    /// A layout that knows nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            machine: Machine::best(),
            known: Arc::new(Known::new()),
            options: None,
            ids: Arc::default(),
            values: Vec::new(),
            spelled: Vec::new(),
            ends: HashMap::new(),
            exemplars: Vec::new(),
            here: Vec::new(),
            valid: false,
            present: 0,
            fits: true,
            line_bytes: 0,
            behind: Behind::Nothing,
            has_twins: false,
            next: Vec::new(),
            spare: Vec::new(),
        }
    }

    /// The same with one implementation of the comparison, for tests and benches.
    #[doc(hidden)]
    #[must_use]
    pub fn with_variant(mut self, variant: Variant) -> Self {
        self.machine = Machine::of(variant);
        self
    }

    /// Reads a page: values are then at hand by id, and `fresh` has heard of every new line.
    ///
    /// Costs no allocation where the lines are those of the page before.
    ///
    /// # Errors
    ///
    /// As the [`Parser`]: the page is then as if it had never been read. `fresh` may have heard of
    /// some of its lines; their ids stay valid, without values.
    pub fn read(
        &mut self,
        page: &[u8],
        options: Options,
        fresh: &mut impl Fresh,
    ) -> Result<Reread, ParseError> {
        self.exemplars.clear();
        if self.options.as_ref() == Some(&options)
            && page.len() <= options.limits.page_bytes
            && let Some(read) = self.walk(page, options, fresh)
        {
            return Ok(read);
        }
        let read = self.parse(page, options, fresh);
        self.valid = read.is_ok();
        read
    }

    /// The value of a line on the newest page; `None` where that page did not have it.
    #[must_use]
    #[inline]
    pub fn value(&self, id: u32) -> Option<f64> {
        let index = id as usize;
        let is_here = self.valid && *self.here.get(index)?;
        is_here.then(|| self.values[index])
    }

    /// Whether any line of the newest page has an exemplar.
    #[must_use]
    #[inline]
    pub fn has_exemplars(&self) -> bool {
        self.valid && !self.exemplars.is_empty()
    }

    /// The exemplars of the newest page, each with the id of its line. Those whose line goes on for
    /// more than 512 bytes behind its value are left out.
    pub fn exemplars(&self) -> impl Iterator<Item = (u32, Exemplar<'_>)> {
        let there = self.exemplars.iter().filter(|_| self.valid);
        there.filter_map(|id| {
            let end = std::str::from_utf8(self.ends.get(id)?).ok()?;
            let (_, exemplar) = end.trim_end_matches('\n').split_once("# ")?;
            Some((*id, Exemplar::parse(exemplar)?))
        })
    }

    /// How many ids there are: all are below.
    #[must_use]
    pub fn ids(&self) -> usize {
        self.values.len()
    }

    /// Bytes on the heap, roughly; what clones share is counted in each.
    #[must_use]
    pub fn memory(&self) -> usize {
        let series = self.ids.iter().map(|(series, ids)| {
            series.len() + ids.capacity() * size_of::<u32>() + size_of::<(Box<[u8]>, Vec<u32>)>()
        });
        let a_line = size_of::<f64>() + size_of::<Spelled>() + size_of::<bool>();
        let ends = self
            .ends
            .values()
            .map(|end| end.capacity() + size_of::<(u32, Vec<u8>)>());
        self.known.memory()
            + ends.sum::<usize>()
            + self.exemplars.capacity() * size_of::<u32>()
            + series.sum::<usize>()
            + self.values.capacity() * a_line
            + self.next.capacity() * size_of::<Piece>()
            + self.spare.capacity()
    }

    fn parse(
        &mut self,
        page: &[u8],
        options: Options,
        fresh: &mut impl Fresh,
    ) -> Result<Reread, ParseError> {
        self.forget_absent(fresh);
        self.options = None;
        self.line_bytes = options.limits.line_bytes;
        self.behind = match options.format {
            Format::Text004 | Format::Text100 => Behind::Timestamp,
            Format::OpenMetrics100 => Behind::Nothing,
        };
        self.fits = true;
        // What a walk left behind must not count.
        self.here.fill(false);
        self.exemplars.clear();
        // They were right in the format that the page was read by.
        self.ends.clear();
        match Arc::get_mut(&mut self.known) {
            Some(known) => known.clear(),
            None => self.known = Arc::new(Known::new()),
        }
        // By hand while all lines are learnt: to ask for each whether it is shared costs a tenth of a page.
        let mut known = std::mem::replace(self.known_mut(), Known::EMPTY);
        let read = self.parse_into(&mut known, page, options, fresh);
        *self.known_mut() = known;
        read
    }

    fn parse_into(
        &mut self,
        known: &mut Known,
        page: &[u8],
        options: Options,
        fresh: &mut impl Fresh,
    ) -> Result<Reread, ParseError> {
        let (mut samples, mut unit) = (0, 0);
        let mut parser = Parser::new(page, options);
        while let Some(entry) = parser.next() {
            match entry? {
                Entry::Sample(sample) => {
                    let id = self.id(&sample, fresh);
                    self.note(page, &sample, id);
                    let prefix = page.get(unit..sample.value_offset()).unwrap_or_default();
                    let piece = known.keep(prefix, parser.entry_offset() - unit, id);
                    self.fits &= self.told_by_prefix(prefix, &piece);
                    known.pieces.push(piece);
                    unit = parser.offset();
                    samples += 1;
                }
                other => fresh.metadata(&other),
            }
        }
        let skipped_lines = parser.skipped_lines();
        known
            .tail
            .extend_from_slice(page.get(unit..).unwrap_or_default());
        self.present = samples;
        if skipped_lines == 0 && self.fits {
            self.options = Some(options);
        }
        Ok(Reread {
            samples,
            unchanged: false,
            skipped_lines,
        })
    }

    /// Takes in a line that was parsed. `unit` is where the text behind the sample before it begins.
    fn learn(
        &mut self,
        page: &[u8],
        unit: usize,
        line: usize,
        sample: &Sample<'_>,
        fresh: &mut impl Fresh,
    ) -> Piece {
        let id = self.id(sample, fresh);
        self.place(page, unit, line, sample, id)
    }

    /// The same for a line whose id is known.
    fn place(
        &mut self,
        page: &[u8],
        unit: usize,
        line: usize,
        sample: &Sample<'_>,
        id: u32,
    ) -> Piece {
        self.note(page, sample, id);
        let prefix = page.get(unit..sample.value_offset()).unwrap_or_default();
        let piece = self.known_mut().keep(prefix, line - unit, id);
        self.fits &= self.told_by_prefix(prefix, &piece);
        piece
    }

    /// The value of a line that was parsed, and its exemplar.
    fn note(&mut self, page: &[u8], sample: &Sample<'_>, id: u32) {
        self.values[id as usize] = sample.value();
        self.here[id as usize] = true;
        if sample.exemplar().is_some() {
            self.keep_end(page, id, sample);
        }
    }

    /// Whether a line can be known by its prefix alone. `a.5` is a series and a value too, and `a5` is
    /// none: without a blank or brace between them, it is the value that tells where the name ends.
    fn told_by_prefix(&self, prefix: &[u8], piece: &Piece) -> bool {
        let is_apart = matches!(prefix.last(), Some(b' ' | b'\t' | b'}'));
        is_apart && piece.line() + REACH <= self.line_bytes
    }

    /// Keeps what stands behind the value of a line, where that is an exemplar.
    #[cold]
    fn keep_end(&mut self, page: &[u8], id: u32, sample: &Sample<'_>) {
        let behind = sample.value_offset() + sample.value_len();
        let rest = page.get(behind..).unwrap_or_default();
        // The last line of a page that was cut off has no newline.
        let Some(newline) = memchr::memchr(b'\n', rest) else {
            return;
        };
        let end = rest.get(..=newline).unwrap_or_default();
        if end.len() <= LONGEST_END && end.starts_with(b" ") {
            let kept = self.ends.entry(id).or_default();
            kept.clear();
            kept.extend_from_slice(end);
            self.exemplars.push(id);
        }
    }

    #[inline]
    fn known_mut(&mut self) -> &mut Known {
        Arc::make_mut(&mut self.known)
    }

    /// The id of a line: the first one of its series that this page has not used yet.
    fn id(&mut self, sample: &Sample<'_>, fresh: &mut impl Fresh) -> u32 {
        let known = self
            .ids
            .get(sample.series())
            .and_then(|ids| ids.iter().copied().find(|id| !self.here[*id as usize]));
        if let Some(id) = known {
            return id;
        }
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the limit on samples is far below 2^32"
        )]
        let id = self.values.len() as u32;
        let ids = Arc::make_mut(&mut self.ids);
        let ids = ids.entry(sample.series().into()).or_default();
        self.has_twins |= !ids.is_empty();
        ids.push(id);
        self.values.push(0.0);
        self.spelled.push(Spelled::NONE);
        self.here.push(false);
        fresh.sample(id, sample);
        id
    }

    fn too_many_absent(&self) -> bool {
        let absent = self.values.len().saturating_sub(self.present);
        absent > ABSENT_LINES_KEPT && absent > self.present
    }

    /// Forgets everything when most ids are of lines that were not on the newest page.
    fn forget_absent(&mut self, fresh: &mut impl Fresh) {
        if self.too_many_absent() {
            self.ids = Arc::default();
            self.values.clear();
            self.spelled.clear();
            self.ends.clear();
            self.here.clear();
            self.has_twins = false;
            fresh.restart();
        }
    }
}
