//! A series of the ordinary form, judged by masks.
//!
//! The ordinary series is `name{label="value",label="value"}`, in all formats: no blank in the
//! braces, no trailing comma. It is a *strictly local* language: whether it is
//! right can be seen from each byte and the one before it, given which bytes are inside quotes. So
//! 64 bytes are judged at once, in about as many operations as a scalar parser spends on one label:
//!
//! - quotes, less escaped ones, give by prefix parity which bytes are inside strings;
//! - outside, every `=` stands before an opening quote and every opening quote behind a `=`;
//! - behind every closing quote stands a comma, or something that the first blank follows at once
//!   (which is then looked at: it has to be the closing brace);
//! - behind every comma and the opening brace stands a letter or `_`;
//! - everything else outside, up to the first blank, is a letter, a digit, `_`, or, before the
//!   brace, a colon.
//!
//! What is left over from a block is at most one bit a rule: the carries.

use super::block::Block;
use super::window::{Window, block_at};

/// Blocks of the longest series that is tried: 2 KiB.
pub(super) const BLOCKS: usize = 32;
const MORE: usize = BLOCKS - 2;

/// The quotes of each block of a series behind the first two.
pub(super) type More = [u64; MORE];

pub(super) const NO_MORE: More = [0; MORE];

/// The lowest bit of a mask.
#[inline(always)]
const fn lowest(mask: u64) -> u64 {
    mask & mask.wrapping_neg()
}

/// Which bytes are escaped by a backslash before them. `carry` is the bit that crosses blocks.
#[inline(always)]
const fn escaped(backslash: u64, carry: &mut u64) -> u64 {
    const ODD: u64 = 0xaaaa_aaaa_aaaa_aaaa;
    // A run of backslashes escapes every second of its bytes and, where its length is odd, the byte
    // behind it. Subtracting carries through a run to its end, starting at an even or odd place.
    let starts = backslash & !*carry;
    let maybe = (starts << 1) | ODD;
    let ends = maybe.wrapping_sub(starts) ^ ODD;
    let escaped = ends ^ (backslash | *carry);
    *carry = (ends & backslash) >> 63;
    escaped
}

/// What the masks say of a series.
#[derive(Clone, Copy)]
pub(super) struct Series {
    /// Bytes up to the blank behind it.
    pub(super) len: usize,
    /// Where its brace is; its length where there is none.
    pub(super) brace: usize,
    pub(super) labels: usize,
    /// Whether a byte is not ASCII; may be said for the next line.
    pub(super) high: bool,
    /// Whether there is a backslash; may be said for the next line.
    pub(super) backslash: bool,
    /// The unescaped quotes of the first two blocks.
    pub(super) quotes: [u64; 2],
}

impl Series {
    /// The unescaped quotes of the 128 bytes behind the brace, as far as they are of the series. Where
    /// it has backslashes, it must be shorter than that.
    #[inline(always)]
    pub(super) fn quotes_of_labels(
        &self,
        block: impl Block,
        window: Window<'_>,
        start: usize,
    ) -> [u64; 2] {
        let from = self.brace + 1;
        if self.backslash || self.labels == 0 {
            // Both words are shifted down as one; a brace behind them leaves nothing.
            let [first, second] = self.quotes;
            return match from {
                0 => self.quotes,
                1..64 => [first >> from | second << (64 - from), second >> from],
                64..128 => [second >> (from - 64), 0],
                _ => [0; 2],
            };
        }
        quotes_of_labels(block, window, start + from, self.len - from)
    }
}

/// The quotes of the first 128 bytes from `from`, among the first `len`.
#[inline(always)]
pub(super) fn quotes_of_labels(
    block: impl Block,
    window: Window<'_>,
    from: usize,
    len: usize,
) -> [u64; 2] {
    let spare;
    let first = block.quotes(block_at!(window, from, spare));
    if len < 64 {
        return [first & ((1 << len) - 1), 0];
    }
    let spare;
    let second = block.quotes(block_at!(window, from + 64, spare));
    let len = len - 64;
    [
        first,
        if len < 64 {
            second & ((1 << len) - 1)
        } else {
            second
        },
    ]
}

/// What one block leaves to the next.
#[derive(Clone, Copy)]
struct State {
    labels: usize,
    high: u64,
    backslash: u64,
    /// All ones until the brace is found.
    unbraced: u64,
    brace: usize,
    /// All ones where the block ends inside quotes.
    inside: u64,
    /// One bit each: whether the last byte was one whose neighbour a rule is about.
    escape: u64,
    equals: u64,
    closing: u64,
    last: u64,
    start: u64,
}

impl State {
    const START: Self = Self {
        labels: 0,
        high: 0,
        backslash: 0,
        unbraced: u64::MAX,
        brace: 0,
        inside: 0,
        escape: 0,
        equals: 0,
        closing: 0,
        last: 0,
        start: 0,
    };

    /// Judges the block at `base` of the line. Gives its unescaped quotes, and the bit of the blank
    /// that ends the series, if it is here.
    #[inline(always)]
    fn judge(&mut self, block: impl Block, bytes: &[u8; 64], base: usize) -> Option<(u64, u64)> {
        let c = block.classes(bytes);
        let mut quote = c.quote;
        if c.backslash | self.escape != 0 {
            quote &= !escaped(c.backslash, &mut self.escape);
            self.backslash = 1;
        }
        let inside = block.prefix_xor(quote) ^ self.inside;
        self.inside = (inside.cast_signed() >> 63).cast_unsigned();
        let outside = !(inside | quote);
        let end = lowest(c.space & outside);
        // The bytes of the series: below its end, all of them where that is not in this block.
        let below = end.wrapping_sub(1);
        let outside = outside & below;
        let quote = quote & below;

        let mut bad = c.newline & below;
        let equals = c.equals & outside;
        bad |= (equals << 1 | self.equals) ^ (quote & inside);
        let closing = quote & !inside;
        let after = closing << 1 | self.closing;
        let comma = c.comma & outside;
        bad |= comma & !after;
        let last = after & !comma;
        bad |= (last << 1 | self.last) & !end;
        let odd = outside & !c.word;
        // The first one that may not be in a name: the brace, as is looked at in the end.
        let brace = lowest(odd & !c.colon & self.unbraced);
        let before_brace = brace.wrapping_sub(1) & self.unbraced;
        bad |= quote & before_brace;
        bad |= odd & !(equals | after | brace | c.colon & before_brace);
        let starts = (brace | comma) << 1 | self.start;
        bad |= starts & !(c.word & !c.digit & outside);
        if bad != 0 {
            return None;
        }

        self.labels += closing.count_ones() as usize;
        self.high |= c.high;
        if brace != 0 {
            self.brace = base + brace.trailing_zeros() as usize;
            self.unbraced = 0;
        }
        self.equals = equals >> 63;
        self.closing = closing >> 63;
        self.last = last >> 63;
        self.start = (brace | comma) >> 63;
        Some((quote, end))
    }

    /// The series that ends at the blank `end` of the block at `base`.
    #[inline(always)]
    fn series(
        &self,
        page: &[u8],
        start: usize,
        base: usize,
        end: u64,
        quotes: [u64; 2],
    ) -> Option<Series> {
        let len = base + end.trailing_zeros() as usize;
        let mut brace = len;
        if self.unbraced == 0 {
            brace = self.brace;
            if page.get(start + brace) != Some(&b'{') || page.get(start + len - 1) != Some(&b'}') {
                return None;
            }
        }
        Some(Series {
            len,
            brace,
            labels: self.labels,
            high: self.high != 0,
            backslash: self.backslash != 0,
            quotes,
        })
    }
}

/// Judges the line at `start` up to its first blank outside quotes. Its first byte is for the caller
/// to judge.
#[inline(always)]
pub(super) fn series(
    block: impl Block,
    window: Window<'_>,
    start: usize,
    more: &mut More,
) -> Option<Series> {
    let page = window.page();
    let mut state = State::START;
    // The first block has nothing before it, which makes half of the rules simpler.
    let spare;
    let bytes = block_at!(window, start, spare);
    let (first, end) = state.judge(block, bytes, 0)?;
    if end != 0 {
        return state.series(page, start, 0, end, [first, 0]);
    }
    let spare;
    let bytes = block_at!(window, start + 64, spare);
    let (second, end) = state.judge(block, bytes, 64)?;
    if end != 0 {
        return state.series(page, start, 64, end, [first, second]);
    }
    for (n, more) in more.iter_mut().enumerate() {
        let base = 64 * (n + 2);
        let spare;
        let bytes = block_at!(window, start + base, spare);
        let (quote, end) = state.judge(block, bytes, base)?;
        *more = quote;
        if end != 0 {
            return state.series(page, start, base, end, [first, second]);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::escaped;

    /// By counting: a byte is escaped where a backslash that is not escaped stands before it.
    fn naive(text: &[bool]) -> Vec<bool> {
        let mut out = Vec::new();
        let mut pending = false;
        for backslash in text {
            out.push(pending);
            pending = *backslash && !pending;
        }
        out
    }

    #[test]
    fn escapes_are_found_across_blocks() {
        // A run of each length at each place, over the seam of two blocks.
        for start in 0..100 {
            for len in 0..28 {
                let text: Vec<bool> = (0..128)
                    .map(|n| (start..start + len).contains(&n))
                    .collect();
                let want = naive(&text);
                let mut carry = 0;
                for (block, want) in text.chunks(64).zip(want.chunks(64)) {
                    let bits = block.iter().rev().fold(0, |m, b| m << 1 | u64::from(*b));
                    let got = escaped(bits, &mut carry);
                    let want = want.iter().rev().fold(0, |m, b| m << 1 | u64::from(*b));
                    assert_eq!(got, want, "{start} {len}");
                }
            }
        }
    }
}
