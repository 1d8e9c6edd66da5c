//! A page that arrives in pieces.

use super::entry::Entry;
use super::error::{Origin, ParseError, ParseErrorKind};
use super::format::{Mode, Options};
use super::parser::{Parser, Part};
use super::plain::Fault;
use super::scan::Variant;

/// Reads a page that arrives in pieces of any size; the entries, errors and positions are those that
/// [`Parser`] gives for the whole page.
///
/// It does no input itself: whoever has bytes [feeds](Self::feed) them. Entries borrow from the piece
/// they are in, or from a buffer that holds the one line that a piece ended in; so they go to a
/// closure. The buffer never holds more than [`Limits::line_bytes`](super::Limits) and one piece, and
/// is the only thing allocated.
///
/// ```
/// use tokenpath_core::exposition::{ChunkedParser, Entry, Options};
///
/// let mut parser = ChunkedParser::new(Options::default());
/// let mut sum = 0.0;
/// let mut add = |entry: Entry<'_>| {
///     if let Entry::Sample(sample) = entry {
///         sum += sample.value();
///     }
/// };
/// for piece in ["tokens_total{eng", "ine=\"0\"} 3\ntokens_to", "tal{engine=\"1\"} 4"] {
///     parser.feed(piece.as_bytes(), &mut add)?;
/// }
/// parser.finish(&mut add)?;
/// assert_eq!(sum, 7.0);
/// # Ok::<(), tokenpath_core::exposition::ParseError>(())
/// ```
#[derive(Clone, Debug)]
pub struct ChunkedParser {
    options: Options,
    variant: Option<Variant>,
    /// The beginning of an entry whose end has not come yet.
    carry: Vec<u8>,
    /// Where in the page the carry, or else the next piece, begins.
    origin: Origin,
    /// How long the carry has to be before it is worth another look.
    patience: usize,
    /// The rest of the line is of no interest: it was refused.
    skipping: bool,
    samples: usize,
    skipped: u64,
    first_skipped: Option<ParseError>,
    failed: Option<ParseError>,
}

impl ChunkedParser {
    /// A parser at the start of a page.
    #[must_use]
    pub const fn new(options: Options) -> Self {
        Self {
            options,
            variant: None,
            carry: Vec::new(),
            origin: Origin {
                offset: 0,
                line: 0,
                column: 0,
            },
            patience: 0,
            skipping: false,
            samples: 0,
            skipped: 0,
            first_skipped: None,
            failed: None,
        }
    }

    /// See [`Parser::with_variant`].
    #[doc(hidden)]
    #[must_use]
    pub const fn with_variant(mut self, variant: Variant) -> Self {
        self.variant = Some(variant);
        self
    }

    /// Takes the next piece of the page, and gives `sink` each entry that is complete.
    ///
    /// # Errors
    /// The first error of the page ([`Mode::Strict`]), or one that ends it in any mode; from then on
    /// every call gives the same error again.
    pub fn feed(
        &mut self,
        piece: &[u8],
        mut sink: impl FnMut(Entry<'_>),
    ) -> Result<(), ParseError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        // What is beyond the limit of the page is not looked at, but that it is there.
        let room = self.options.limits.page_bytes - self.origin.offset - self.carry.len();
        let (piece, over) = match piece.get(..room) {
            Some(taken) => (taken, piece.len() > room),
            None => (piece, false),
        };
        let result = self.take(piece, over, &mut sink);
        self.remember(result)
    }

    /// Says that the page is complete, and gives `sink` what was waiting for that.
    ///
    /// # Errors
    /// As [`feed`](Self::feed), and whatever is wrong with the end of the page.
    pub fn finish(&mut self, mut sink: impl FnMut(Entry<'_>)) -> Result<(), ParseError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let carry = std::mem::take(&mut self.carry);
        let result = self.run(&carry, true, &mut sink).map(|_| ());
        self.remember(result)
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

    /// How many bytes wait for the rest of their line.
    #[must_use]
    pub const fn buffered(&self) -> usize {
        self.carry.len()
    }

    fn remember(&mut self, result: Result<(), ParseError>) -> Result<(), ParseError> {
        self.failed = result.err();
        result
    }

    fn take(
        &mut self,
        mut piece: &[u8],
        over: bool,
        sink: &mut impl FnMut(Entry<'_>),
    ) -> Result<(), ParseError> {
        if self.skipping {
            let end = memchr::memchr(b'\n', piece).map_or(piece.len(), |newline| newline + 1);
            let (skipped, rest) = piece.split_at(end);
            self.skipping = skipped.last() != Some(&b'\n');
            self.advance(skipped);
            piece = rest;
        }
        if !self.carry.is_empty() {
            // No entry ends without a newline; a line that is too long is known by its length.
            let news = memchr::memchr(b'\n', piece).is_some();
            self.carry.extend_from_slice(piece);
            piece = &[];
            let due = news && self.carry.len() >= self.patience
                || self.carry.len() > self.options.limits.line_bytes;
            if due || over {
                let mut carry = std::mem::take(&mut self.carry);
                let used = self.run(&carry, false, sink)?;
                carry.drain(..used);
                // A line that has newlines in quotes is looked at again when it has doubled, so that
                // many newlines do not make many looks.
                let again = used == 0 && memchr::memchr(b'\n', &carry).is_some();
                self.patience = if again { 2 * carry.len() } else { 0 };
                self.carry = carry;
            }
        } else {
            let used = self.run(piece, false, sink)?;
            piece = piece.get(used..).unwrap_or_default();
        }
        self.carry.extend_from_slice(piece);
        if over {
            let limit = self.options.limits.page_bytes;
            let kind = ParseErrorKind::PageTooLong { limit };
            return Err(ParseError::locate(
                kind,
                self.carry.len(),
                &self.carry,
                self.origin,
            ));
        }
        Ok(())
    }

    /// Reads entries from the front of `bytes`; gives how many bytes they had.
    fn run(
        &mut self,
        bytes: &[u8],
        whole: bool,
        sink: &mut impl FnMut(Entry<'_>),
    ) -> Result<usize, ParseError> {
        let mut parser = Parser::part(bytes, self.options, whole, self.samples);
        if let Some(variant) = self.variant {
            parser = parser.with_variant(variant);
        }
        let used = loop {
            match parser.part_step() {
                Part::Entry(mut entry) => {
                    if let Entry::Sample(sample) = &mut entry {
                        sample.offset += self.origin.offset;
                    }
                    sink(entry);
                    if parser.is_done() {
                        break bytes.len();
                    }
                }
                Part::End => break bytes.len(),
                Part::Incomplete => break parser.entry_offset(),
                Part::Fault(fault) => {
                    self.refuse(fault, bytes)?;
                    if !parser.skip_line() {
                        break bytes.len();
                    }
                    let skipped_all = parser.entry_offset() < bytes.len() && parser.at_end();
                    if skipped_all && !whole && bytes.last() != Some(&b'\n') {
                        self.skipping = true;
                        break bytes.len();
                    }
                }
            }
        };
        self.samples = parser.samples();
        self.advance(bytes.get(..used).unwrap_or(bytes));
        Ok(used)
    }

    /// Counts a line that is skipped, or gives the error that ends the page.
    fn refuse(&mut self, fault: Fault, bytes: &[u8]) -> Result<(), ParseError> {
        let strict = self.options.mode == Mode::Strict || fault.kind.ends_page();
        if strict || self.first_skipped.is_none() {
            let error = ParseError::locate(fault.kind, fault.at, bytes, self.origin);
            if strict {
                return Err(error);
            }
            self.first_skipped = Some(error);
        }
        self.skipped += 1;
        Ok(())
    }

    /// Moves the origin behind `bytes`.
    fn advance(&mut self, bytes: &[u8]) {
        self.origin.offset += bytes.len();
        match memchr::memrchr(b'\n', bytes) {
            Some(newline) => {
                self.origin.line += memchr::memchr_iter(b'\n', bytes).count() as u64;
                self.origin.column = bytes.len() - newline - 1;
            }
            None => self.origin.column += bytes.len(),
        }
    }
}
