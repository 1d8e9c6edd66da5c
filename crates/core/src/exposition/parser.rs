//! A page in memory, entry by entry.

use std::fmt;
use std::iter::FusedIterator;

use super::entry::Entry;
use super::error::{Origin, ParseError, ParseErrorKind};
use super::format::{Mode, Options};
use super::plain::{self, Fault, Stop};
use super::scan::{Lines, Machine, Variant};

/// What comes next in the part of a page that is at hand.
pub(crate) enum Part<'a> {
    Entry(Entry<'a>),
    Fault(Fault),
    /// The entry that begins at [`Parser::entry_offset`] does not end here.
    Incomplete,
    End,
}

/// The entries of a page, in its order.
///
/// One pass, no allocation; entries borrow from the page. Every line is validated whole before its
/// entry is given: grammar, names, UTF-8, label names that occur twice, bytes behind the end.
/// Blank lines of the text formats give nothing. After an error that ends the page, and at its end,
/// the iterator stays at `None`.
///
/// # Costs
///
/// No allocation; a kibibyte and a half for the parser itself, in which a few lines are read ahead. A line is
/// compared with one of its like where it can be, so that a bucket costs less than the first of its
/// histogram. Labels are cut as they are iterated, and [`Sample::value`](super::Sample::value) makes the
/// number each time it is called: what is not asked for is validated, and costs no more.
///
/// What a page *means* (families in one place, buckets that do not fall) is not looked at:
/// [`check`](fn@super::check) does that.
///
/// ```
/// use tokenpath_core::MetricType;
/// use tokenpath_core::exposition::{Entry, Options, Parser};
///
/// let page = concat!(
///     "# TYPE requests_total counter\n",
///     "requests_total{engine=\"0\"} 3\n",
///     "requests_total{engine=\"1\"} 4 1700000000000\n",
/// );
/// let mut sum = 0.0;
/// for entry in Parser::new(page.as_bytes(), Options::default()) {
///     match entry? {
///         Entry::Type { name, kind } => {
///             assert_eq!(name, "requests_total");
///             assert_eq!(kind, MetricType::Counter);
///         }
///         Entry::Sample(sample) => sum += sample.value(),
///         _ => {}
///     }
/// }
/// assert_eq!(sum, 7.0);
/// # Ok::<(), tokenpath_core::exposition::ParseError>(())
/// ```
#[derive(Clone)]
pub struct Parser<'a> {
    lines: Lines<'a>,
    /// Where the next entry begins.
    at: usize,
    /// Where the last entry began.
    entry: usize,
    options: Options,
    /// Whether `page` ends where the real one ends, rather than at its limit.
    whole: bool,
    samples: usize,
    skipped: u64,
    first_skipped: Option<ParseError>,
    done: bool,
    /// What the last line was that is not of the ordinary form.
    other: Result<Entry<'a>, ParseError>,
}

impl<'a> Parser<'a> {
    /// A parser at the start of `page`. Nothing is read yet.
    #[must_use]
    pub fn new(page: &'a [u8], options: Options) -> Self {
        let limit = options.limits.page_bytes;
        Self {
            lines: Lines::new(page.get(..limit).unwrap_or(page), Machine::best()),
            at: 0,
            entry: 0,
            options,
            whole: page.len() <= limit,
            samples: 0,
            skipped: 0,
            first_skipped: None,
            done: false,
            other: Ok(Entry::Eof),
        }
    }

    /// The same with one implementation of the line scanner, for tests and benches: the answers are
    /// the same, the speed is not.
    #[doc(hidden)]
    #[must_use]
    pub fn with_variant(mut self, variant: Variant) -> Self {
        self.lines = Lines::new(self.lines.page(), Machine::of(variant));
        self
    }

    /// How many lines [`Mode::Lenient`] has skipped so far.
    #[must_use]
    pub const fn skipped_lines(&self) -> u64 {
        self.skipped
    }

    /// The error of the first line that was skipped.
    #[must_use]
    pub const fn first_skipped(&self) -> Option<ParseError> {
        self.first_skipped
    }

    /// Where in the page the entry begins that was given last: at the first byte of its line.
    #[must_use]
    pub const fn entry_offset(&self) -> usize {
        self.entry
    }

    /// Where in the page the next entry begins, or blank lines before it.
    pub(crate) const fn offset(&self) -> usize {
        self.at
    }

    /// The page, up to its limit.
    pub(crate) const fn page(&self) -> &'a [u8] {
        self.lines.page()
    }

    /// Goes on at another place, which must be the start of a line.
    pub(crate) const fn seek(&mut self, at: usize) {
        if at != self.at {
            self.at = at;
            self.lines.leap();
        }
    }

    /// The next entry, if it is on a line of the ordinary form.
    #[inline(always)]
    fn ordinary(&mut self) -> Option<Entry<'a>> {
        let Options { format, limits, .. } = &self.options;
        if !self.lines.is_ahead() && (self.done || !self.lines.read(self.at, *format, limits)) {
            return None;
        }
        let (entry, start, next) = self.lines.entry(*format)?;
        if let Entry::Sample(_) = entry {
            if self.samples >= limits.samples {
                self.lines.leap();
                return None;
            }
            self.samples += 1;
        }
        self.entry = start;
        self.at = next;
        Some(entry)
    }

    /// The next entry of any form, or what is wrong with it.
    fn other(&mut self) -> Part<'a> {
        self.entry = self.at;
        let Options { format, limits, .. } = &self.options;
        let step = plain::entry(
            self.lines.page(),
            &mut self.entry,
            self.whole,
            *format,
            limits,
        );
        let (entry, next) = match step {
            Ok(Some(found)) => found,
            Ok(None) => return Part::End,
            Err(Stop::Fault(fault)) => return Part::Fault(fault),
            Err(Stop::Incomplete) => return Part::Incomplete,
        };
        if let Entry::Sample(_) = entry {
            let limit = limits.samples;
            if self.samples >= limit {
                let kind = ParseErrorKind::TooManySamples { limit };
                return Part::Fault(Fault {
                    kind,
                    at: self.entry,
                });
            }
            self.samples += 1;
        }
        self.at = next;
        self.done = matches!(entry, Entry::Eof);
        Part::Entry(entry)
    }

    /// A parser of a part of a page whose parts before had `samples` samples.
    pub(crate) fn part(part: &'a [u8], options: Options, whole: bool, samples: usize) -> Self {
        let mut parser = Self::new(part, options);
        parser.lines = Lines::new(part, Machine::best());
        parser.whole = whole;
        parser.samples = samples;
        parser
    }

    /// What comes next; the place reached stays where it is on a fault.
    pub(crate) fn part_step(&mut self) -> Part<'a> {
        match self.ordinary() {
            Some(entry) => Part::Entry(entry),
            None => self.other(),
        }
    }

    pub(crate) const fn samples(&self) -> usize {
        self.samples
    }

    /// Whether all bytes are read.
    pub(crate) const fn at_end(&self) -> bool {
        self.at == self.lines.page().len()
    }

    /// The next entry or what is wrong with it; the place reached stays where it is on a fault.
    pub(crate) fn step(&mut self) -> Option<Result<Entry<'a>, Fault>> {
        let part = self.part_step();
        self.complete(part)
    }

    /// The same where the page is all there is: then an entry that does not end reaches its limit.
    fn complete(&self, part: Part<'a>) -> Option<Result<Entry<'a>, Fault>> {
        Some(match part {
            Part::Entry(entry) => Ok(entry),
            Part::Fault(fault) => Err(fault),
            Part::End => return None,
            Part::Incomplete => {
                let limit = self.options.limits.page_bytes;
                Err(Fault {
                    kind: ParseErrorKind::PageTooLong { limit },
                    at: self.lines.page().len(),
                })
            }
        })
    }

    /// Goes on at a line that is not of the ordinary form, until there is something to give; puts it
    /// in `other`. (Returned, it would have to be in memory, and with it every ordinary entry.)
    #[inline(never)]
    fn resume(&mut self) -> bool {
        if self.done {
            return false;
        }
        let part = self.other();
        let mut step = self.complete(part);
        loop {
            match step {
                Some(Ok(entry)) => {
                    self.other = Ok(entry);
                    return true;
                }
                None => {
                    self.done = true;
                    return false;
                }
                Some(Err(fault)) => {
                    if self.options.mode == Mode::Strict || fault.kind.ends_page() {
                        self.done = true;
                        self.other = Err(self.locate(fault));
                        return true;
                    }
                    self.skipped += 1;
                    if self.first_skipped.is_none() {
                        self.first_skipped = Some(self.locate(fault));
                    }
                    if !self.skip_line() {
                        self.done = true;
                        return false;
                    }
                }
            }
            step = self.step();
        }
    }

    /// Whether the last entry was the end of the page.
    pub(crate) const fn is_done(&self) -> bool {
        self.done
    }

    /// Goes on behind the line that the last fault was in; `false` where it was the last one.
    pub(crate) fn skip_line(&mut self) -> bool {
        let rest = self.lines.page().get(self.entry..).unwrap_or_default();
        match memchr::memchr(b'\n', rest) {
            Some(newline) => self.at = self.entry + newline + 1,
            None => self.at = self.lines.page().len(),
        }
        self.at < self.lines.page().len() || !rest.is_empty()
    }

    #[cold]
    fn locate(&self, fault: Fault) -> ParseError {
        ParseError::locate(fault.kind, fault.at, self.lines.page(), Origin::default())
    }
}

impl<'a> Iterator for Parser<'a> {
    type Item = Result<Entry<'a>, ParseError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        match self.ordinary() {
            Some(entry) => Some(Ok(entry)),
            None => self.resume().then_some(self.other),
        }
    }
}

impl FusedIterator for Parser<'_> {}

impl fmt::Debug for Parser<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parser")
            .field("offset", &self.at)
            .field("bytes", &self.lines.page().len())
            .field("options", &self.options)
            .field("skipped_lines", &self.skipped)
            .finish_non_exhaustive()
    }
}
