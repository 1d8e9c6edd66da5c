//! A page in memory, entry by entry.

use std::iter::FusedIterator;

use super::entry::Entry;
use super::error::{Origin, ParseError, ParseErrorKind};
use super::format::{Mode, Options};
use super::plain::{self, Fault, Stop};

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
#[derive(Clone, Debug)]
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
        }
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

    /// The next entry or what is wrong with it; the place reached stays where it is on a fault.
    pub(crate) fn step(&mut self) -> Option<Result<Entry<'a>, Fault>> {
        self.entry = self.at;
        let limits = &self.options.limits;
        let step = plain::entry(
            self.page,
            &mut self.entry,
            self.whole,
            self.options.format,
            limits,
        );
        let (entry, next) = match step {
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
