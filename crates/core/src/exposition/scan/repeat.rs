//! A series that is like one before it.
//!
//! One bucket follows another, one engine another: mostly a series has the labels of the one before, and
//! differs from it in the name, or in the values of some labels. Then names, quotes and braces
//! were judged before, and comparing is enough: up to the byte where the two begin to differ,
//! which must be inside a string; in both to the end of that string; and on from there.

use super::block::Block;
use super::series::{Series, quotes_of_labels};
use super::window::Window;

/// A series before.
#[derive(Clone, Copy)]
pub(super) struct Like {
    /// Beyond every page where it is of no use: without labels, not all ASCII, or with backslashes.
    start: usize,
    pub(super) len: usize,
    pub(super) brace: usize,
    pub(super) labels: usize,
    /// The unescaped quotes of the 128 bytes behind the brace.
    pub(super) quotes: [u64; 2],
}

/// The bits below a bit, which is not the last one.
#[inline(always)]
const fn below(bit: usize) -> u64 {
    (1 << bit) - 1
}

impl Like {
    pub(super) const NONE: Self = Self {
        start: usize::MAX,
        len: 0,
        brace: 0,
        labels: 0,
        quotes: [0; 2],
    };

    #[inline(always)]
    pub(super) fn new(
        block: impl Block,
        window: Window<'_>,
        start: usize,
        series: &Series,
    ) -> Self {
        let usable = series.labels != 0 && !series.high && !series.backslash;
        Self {
            start: if usable { start } else { usize::MAX },
            len: series.len,
            brace: series.brace,
            labels: series.labels,
            quotes: series.quotes_of_labels(block, window, start),
        }
    }

    /// Takes the series at `start` in place of this one, if they differ in the name and in values of
    /// labels only. The first byte is for the caller to judge.
    #[inline(always)]
    pub(super) fn repeat(&mut self, block: impl Block, window: Window<'_>, start: usize) -> bool {
        let (Some(then), Some(now)) = (window.block(self.start), window.block(start)) else {
            return false;
        };
        let same = (!block.equal(then, now)).trailing_zeros() as usize;
        let brace = if same > self.brace {
            if let Some(len) = self.one_value(block, window, start, same) {
                self.start = start;
                self.len = len;
                let from = start + self.brace + 1;
                self.quotes = quotes_of_labels(block, window, from, len - self.brace - 1);
                return true;
            }
            self.brace
        } else {
            let name = block.name(now);
            let brace = (!name).trailing_zeros() as usize;
            if now.get(brace) != Some(&b'{') {
                return false;
            }
            brace
        };
        // Where the labels are, and the blank behind those before.
        let (from, end) = (start + brace + 1, self.start + self.len);
        let Some(blank) = labels(block, window, self.start + self.brace + 1, end, from) else {
            return false;
        };
        self.start = start;
        self.len = blank - start;
        self.brace = brace;
        self.quotes = quotes_of_labels(block, window, from, blank - from);
        true
    }
}

impl Like {
    /// The length of the series at `start`, which has `same` bytes in common with this one, if all
    /// that differs is one value within reach: the most frequent case, in few steps.
    #[inline(always)]
    fn one_value(
        &self,
        block: impl Block,
        window: Window<'_>,
        start: usize,
        mut same: usize,
    ) -> Option<usize> {
        if same == 64 {
            let (then, now) = (window.block(self.start + 64)?, window.block(start + 64)?);
            same += (!block.equal(then, now)).trailing_zeros() as usize;
        }
        // The place among the labels, and the quotes from there.
        let place = same - self.brace - 1;
        if place >= 64 {
            return None;
        }
        let closing = self.quotes[0] >> place;
        if (self.quotes[0] & below(place)).count_ones() & 1 == 0 || closing == 0 {
            return None;
        }
        // Up to the closing quotes. That the one here is a quote is for the comparison to find.
        let here = start + same;
        let here = here + block.string_ends(window.block(here)?).trailing_zeros() as usize;
        let before = same + closing.trailing_zeros() as usize;
        // With the blank.
        let rest = self.len + 1 - before;
        let differs = !block.equal(window.block(self.start + before)?, window.block(here)?);
        if rest >= 64 || differs & below(rest) != 0 {
            return None;
        }
        Some(here + rest - 1 - start)
    }
}

/// Compares the labels at `here` with those at `before`, up to the blank at `end`, which were judged. Gives
/// where the blank is that follows those at `here`, if all that differs is values.
#[inline(always)]
fn labels(
    block: impl Block,
    window: Window<'_>,
    mut before: usize,
    end: usize,
    mut here: usize,
) -> Option<usize> {
    // Whether the places reached are inside a string: one bit.
    let mut inside = 0;
    loop {
        let (then, now) = (window.block(before)?, window.block(here)?);
        let differs = !block.equal(then, now);
        let same = differs.trailing_zeros() as usize;
        if same > end - before {
            return Some(here + (end - before));
        }
        let quotes = block.quotes(then);
        if differs == 0 {
            inside ^= quotes.count_ones() & 1;
            before += 64;
            here += 64;
            continue;
        }
        if (quotes & below(same)).count_ones() & 1 == inside {
            return None;
        }
        let (mut closing, mut ends) = (quotes >> same, block.string_ends(now) >> same);
        before += same;
        here += same;
        if closing == 0 || ends == 0 {
            // The string goes on behind the block.
            closing = block.quotes(window.block(before)?);
            ends = block.string_ends(window.block(here)?);
            if closing == 0 || ends == 0 {
                return None;
            }
        }
        before += closing.trailing_zeros() as usize;
        here += ends.trailing_zeros() as usize;
        if window.page().get(here) != Some(&b'"') {
            return None;
        }
        inside = 1;
    }
}
