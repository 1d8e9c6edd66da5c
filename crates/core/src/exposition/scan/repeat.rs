//! A series that is like the one before it.
//!
//! One bucket follows another, one engine another: mostly a series differs from the one of the line
//! before in the values of some labels, and in nothing else. Then the names, the quotes and the
//! braces were judged before, and comparing is enough: up to the byte where the two begin to differ,
//! which must be inside a string; in both to the end of that string; and on from there.

use super::block::Block;
use super::series::Series;
use super::window::Window;

/// The series before.
#[derive(Clone, Copy)]
pub(super) struct Last {
    /// Whether it is of use: with labels, all ASCII, without backslashes.
    usable: bool,
    start: usize,
    pub(super) len: usize,
    pub(super) brace: usize,
    pub(super) labels: usize,
    /// The quotes of its first two blocks.
    pub(super) quotes: [u64; 2],
}

/// The bits below a bit, which is not the last one.
#[inline(always)]
const fn below(bit: usize) -> u64 {
    (1 << bit) - 1
}

/// Of a block that begins at byte `base` of a series, the bits within its first `len` bytes.
#[inline(always)]
const fn within(len: usize, base: usize) -> u64 {
    match len.saturating_sub(base) {
        bytes @ 0..64 => below(bytes),
        _ => u64::MAX,
    }
}

impl Last {
    pub(super) const NONE: Self = Self {
        usable: false,
        start: 0,
        len: 0,
        brace: 0,
        labels: 0,
        quotes: [0; 2],
    };

    #[inline(always)]
    pub(super) const fn new(start: usize, series: &Series) -> Self {
        Self {
            usable: series.labels != 0 && !series.high && !series.backslash,
            start,
            len: series.len,
            brace: series.brace,
            labels: series.labels,
            quotes: series.quotes,
        }
    }

    /// Takes the series at `start` for the last one, if it differs from it in values of labels only.
    #[inline(always)]
    pub(super) fn repeat(&mut self, block: impl Block, window: Window<'_>, start: usize) -> bool {
        if !self.usable {
            return false;
        }
        // The places reached in both, and whether they are inside a string.
        let (mut before, mut here) = (self.start, start);
        let mut inside = 0;
        // Where the blank behind the last series is, and what of it is left to compare, with it.
        let end = self.start + self.len;
        loop {
            let (Some(then), Some(now)) = (window.block(before), window.block(here)) else {
                return false;
            };
            let differs = !block.equal(then, now);
            let same = differs.trailing_zeros() as usize;
            if same > end - before {
                break;
            }
            let quotes = block.quotes(then);
            if differs == 0 {
                inside ^= quotes.count_ones() & 1;
                before += 64;
                here += 64;
                continue;
            }
            if (quotes & below(same)).count_ones() & 1 == inside {
                return false;
            }
            let (mut closing, mut ends) = (quotes >> same, block.string_ends(now) >> same);
            before += same;
            here += same;
            if closing == 0 || ends == 0 {
                // The string goes on behind the block.
                let (Some(then), Some(now)) = (window.block(before), window.block(here)) else {
                    return false;
                };
                closing = block.quotes(then);
                ends = block.string_ends(now);
                if closing == 0 || ends == 0 {
                    return false;
                }
            }
            before += closing.trailing_zeros() as usize;
            here += ends.trailing_zeros() as usize;
            if window.page().get(here) != Some(&b'"') {
                return false;
            }
            inside = 1;
        }
        let (Some(first), Some(second)) = (window.block(start), window.block(start + 64)) else {
            return false;
        };
        self.len = here + (end - before) - start;
        self.quotes = [
            block.quotes(first) & within(self.len, 0),
            block.quotes(second) & within(self.len, 64),
        ];
        self.start = start;
        true
    }
}
