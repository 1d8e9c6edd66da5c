//! A page in memory, entry by entry.

use std::fmt;
use std::iter::FusedIterator;

use super::entry::Entry;
use super::error::{Origin, ParseError, ParseErrorKind};
use super::format::{Mode, Options};
use super::plain::{self, Fault, Stop};
use super::scan::{self, Machine, Scratch, Variant};

/// The entries of a page, in its order.
///
/// One pass, no allocation; entries borrow from the page. Every line is validated whole before its
/// entry is given: grammar, names, UTF-8, label names that occur twice, bytes behind the end.
/// Blank lines of the text formats give nothing. After an error that ends the page, and at its end,
/// the iterator stays at `None`.
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
    page: &'a [u8],
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
    machine: Machine,
    scratch: Scratch,
}

impl<'a> Parser<'a> {
    /// A parser at the start of `page`. Nothing is read yet.
    #[must_use]
    pub fn new(page: &'a [u8], options: Options) -> Self {
        let limit = options.limits.page_bytes;
        Self {
            page: page.get(..limit).unwrap_or(page),
            at: 0,
            entry: 0,
            options,
            whole: page.len() <= limit,
            samples: 0,
            skipped: 0,
            first_skipped: None,
            done: false,
            machine: Machine::best(),
            scratch: Scratch::new(),
        }
    }

    /// The same with one implementation of the line scanner, for tests and benches: the answers are
    /// the same, the speed is not.
    #[doc(hidden)]
    #[must_use]
    pub fn with_variant(mut self, variant: Variant) -> Self {
        self.machine = Machine::of(variant);
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
        self.page
    }

    /// What reads the lines.
    pub(crate) const fn machine(&self) -> Machine {
        self.machine
    }

    /// Goes on at another place, which must be the start of a line.
    pub(crate) const fn seek(&mut self, at: usize) {
        self.at = at;
    }

    /// The next entry or what is wrong with it; the place reached stays where it is on a fault.
    pub(crate) fn step(&mut self) -> Option<Result<Entry<'a>, Fault>> {
        self.entry = self.at;
        let Options { format, limits, .. } = &self.options;
        let fast = scan::entry(
            self.machine,
            self.page,
            self.at,
            *format,
            limits,
            &mut self.scratch,
        );
        let (entry, next) = match fast {
            Some(found) => found,
            None => match plain::entry(self.page, &mut self.entry, self.whole, *format, limits) {
                Ok(Some(found)) => found,
                Ok(None) => return None,
                Err(Stop::Fault(fault)) => return Some(Err(fault)),
                Err(Stop::Incomplete) => {
                    let limit = limits.page_bytes;
                    let kind = ParseErrorKind::PageTooLong { limit };
                    return Some(Err(Fault {
                        kind,
                        at: self.page.len(),
                    }));
                }
            },
        };
        if matches!(entry, Entry::Sample(_)) {
            let limit = limits.samples;
            if self.samples >= limit {
                let kind = ParseErrorKind::TooManySamples { limit };
                return Some(Err(Fault {
                    kind,
                    at: self.entry,
                }));
            }
            self.samples += 1;
        }
        self.at = next;
        self.done = matches!(entry, Entry::Eof);
        Some(Ok(entry))
    }

    /// Whether the last entry was the end of the page.
    pub(crate) const fn is_done(&self) -> bool {
        self.done
    }

    /// Goes on behind the line that the last fault was in; `false` where it was the last one.
    pub(crate) fn skip_line(&mut self) -> bool {
        let rest = self.page.get(self.entry..).unwrap_or_default();
        match memchr::memchr(b'\n', rest) {
            Some(newline) => self.at = self.entry + newline + 1,
            None => self.at = self.page.len(),
        }
        self.at < self.page.len() || !rest.is_empty()
    }

    #[cold]
    fn locate(&self, fault: Fault) -> ParseError {
        ParseError::locate(fault.kind, fault.at, self.page, Origin::default())
    }
}

impl<'a> Iterator for Parser<'a> {
    type Item = Result<Entry<'a>, ParseError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        while !self.done {
            match self.step() {
                Some(Ok(entry)) => return Some(Ok(entry)),
                None => self.done = true,
                Some(Err(fault)) => {
                    if self.options.mode == Mode::Strict || fault.kind.ends_page() {
                        self.done = true;
                        return Some(Err(self.locate(fault)));
                    }
                    self.skipped += 1;
                    if self.first_skipped.is_none() {
                        self.first_skipped = Some(self.locate(fault));
                    }
                    self.done = !self.skip_line();
                }
            }
        }
        None
    }
}

impl FusedIterator for Parser<'_> {}

impl fmt::Debug for Parser<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parser")
            .field("offset", &self.at)
            .field("bytes", &self.page.len())
            .field("options", &self.options)
            .field("skipped_lines", &self.skipped)
            .finish_non_exhaustive()
    }
}
