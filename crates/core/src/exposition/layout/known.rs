//! The lines of a page, in order, as text to compare with.

use crate::exposition::scan::compare::SLACK;

/// A sample line: the text from the end of the sample before it to its value, and its id.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece {
    /// Where the prefix starts in the text.
    start: u32,
    /// Length of the prefix: metadata lines, then the series.
    length: u32,
    /// How much of the prefix is metadata.
    metadata: u32,
    pub(super) id: u32,
}

impl Piece {
    #[inline(always)]
    pub(super) const fn length(&self) -> usize {
        self.length as usize
    }

    /// The prefix and [`SLACK`] bytes behind it.
    #[inline(always)]
    pub(super) fn padded<'t>(&self, text: &'t [u8]) -> Option<&'t [u8]> {
        let start = self.start as usize;
        text.get(start..start + self.length() + SLACK)
    }

    /// A piece that stands nowhere.
    pub(super) const GONE: Self = Self {
        start: u32::MAX,
        length: 0,
        metadata: 0,
        id: u32::MAX,
    };

    /// Whether this is [`GONE`](Self::GONE).
    pub(super) const fn is_gone(&self) -> bool {
        self.id == u32::MAX
    }

    /// Length of the sample line up to its value.
    pub(super) const fn line(&self) -> usize {
        (self.length - self.metadata) as usize
    }
}

/// What a page consisted of, but for its values.
///
/// Prefixes lie in `text` in no order that means something: those of lines that came later are
/// appended, those of lines that went away are dropped when they are most of it.
#[derive(Clone, Debug)]
pub(super) struct Known {
    text: Vec<u8>,
    pub(super) pieces: Vec<Piece>,
    /// What followed the last sample.
    pub(super) tail: Vec<u8>,
    /// Length of the text when it was written anew last.
    live: usize,
}

/// Dropped prefixes are kept up to this many bytes.
const GARBAGE_KEPT: usize = 16 << 10;

impl Known {
    /// Stands in for a page while that is written.
    pub(super) const EMPTY: Self = Self {
        text: Vec::new(),
        pieces: Vec::new(),
        tail: Vec::new(),
        live: 0,
    };

    pub(super) fn new() -> Self {
        Self {
            text: vec![0; SLACK],
            pieces: Vec::new(),
            tail: Vec::new(),
            live: 0,
        }
    }

    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.text.resize(SLACK, 0);
        self.pieces.clear();
        self.tail.clear();
        self.live = 0;
    }

    /// Keeps a prefix.
    ///
    /// # Panics
    ///
    /// Past 4 GiB, which the limit on pages rules out.
    pub(super) fn keep(&mut self, prefix: &[u8], metadata: usize, id: u32) -> Piece {
        let small = |n: usize| u32::try_from(n).expect("a page is shorter than 4 GiB");
        let start = self.text.len() - SLACK;
        self.text.truncate(start);
        self.text.extend_from_slice(prefix);
        self.text.resize(start + prefix.len() + SLACK, 0);
        Piece {
            start: small(start),
            length: small(prefix.len()),
            metadata: small(metadata),
            id,
        }
    }

    /// The text that prefixes are in.
    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }

    /// The prefix of a piece; `None` for one that stands nowhere.
    pub(super) fn prefix(&self, piece: &Piece) -> Option<&[u8]> {
        self.text.get(piece.start as usize..)?.get(..piece.length())
    }

    /// Drops the prefixes of no line where they may be most of the text.
    pub(super) fn drop_garbage(&mut self, spare: &mut Vec<u8>) {
        if self.text.len() <= 2 * self.live + GARBAGE_KEPT {
            return;
        }
        std::mem::swap(&mut self.text, spare);
        self.text.clear();
        self.text.resize(SLACK, 0);
        for index in 0..self.pieces.len() {
            let Piece {
                start,
                length,
                metadata,
                id,
            } = self.pieces[index];
            let prefix = &spare[start as usize..][..length as usize];
            self.pieces[index] = self.keep(prefix, metadata as usize, id);
        }
        self.live = self.text.len();
    }

    pub(super) fn memory(&self) -> usize {
        self.text.capacity() + self.tail.capacity() + self.pieces.capacity() * size_of::<Piece>()
    }
}
