//! Whether the label names of a judged series differ, asked of where its quotes are.

use super::series::{More, Series};

/// The most labels that are told apart here.
const LABELS: usize = 64;

/// Whether no label name occurs twice; may say no where `plain` would say yes.
#[inline(always)]
pub(super) fn distinct(page: &[u8], start: usize, series: &Series, more: &More) -> bool {
    if series.labels < 2 {
        return true;
    }
    let mut quotes = Quotes::new(series.quotes, more);
    let mut name = series.brace + 1;
    // Names of different lengths differ. A bit a length, modulo 64.
    let mut seen = 0u64;
    let mut met = 0u64;
    for _ in 0..series.labels {
        let (open, close) = quotes.pair();
        let bit = 1u64 << ((open - name) % 64);
        met |= seen & bit;
        seen |= bit;
        name = close + 2;
    }
    met == 0 || all_differ(page, start, series, more)
}

/// The marked quotes of a series, in order.
struct Quotes<'a> {
    word: u64,
    second: u64,
    more: &'a More,
    /// The block that `word` is of.
    block: usize,
}

impl<'a> Quotes<'a> {
    #[inline(always)]
    const fn new([first, second]: [u64; 2], more: &'a More) -> Self {
        Self {
            word: first,
            second,
            more,
            block: 0,
        }
    }

    #[inline(always)]
    fn next(&mut self) -> usize {
        while self.word == 0 {
            self.block += 1;
            self.word = match self.block {
                1 => self.second,
                // Behind the last block, which only a count that is wrong could ask for: any bit ends it.
                block => *self.more.get(block - 2).unwrap_or(&1),
            };
        }
        let at = 64 * self.block + self.word.trailing_zeros() as usize;
        self.word &= self.word - 1;
        at
    }

    /// The opening and the closing one of a string.
    #[inline(always)]
    fn pair(&mut self) -> (usize, usize) {
        (self.next(), self.next())
    }
}

/// Compares what stands for the names: their length and their first and last bytes.
#[inline(never)]
fn all_differ(page: &[u8], start: usize, series: &Series, more: &More) -> bool {
    let mut keys = [0; LABELS];
    let Some(keys) = keys.get_mut(..series.labels) else {
        return false;
    };
    let mut quotes = Quotes::new(series.quotes, more);
    let mut name = series.brace + 1;
    for n in 0..keys.len() {
        let (open, close) = quotes.pair();
        let len = open - 1 - name;
        let Some(first) = page
            .get(start + name..)
            .and_then(|rest| rest.first_chunk::<8>())
        else {
            return false;
        };
        let mut key = u64::from_le_bytes(*first);
        if len < 8 {
            key &= (1 << (8 * len)) - 1;
        }
        // The end of a longer name tells more than its beginning.
        if let Some(last) = page
            .get(..start + open - 1)
            .and_then(|rest| rest.last_chunk::<8>())
            && len > 8
        {
            key = key.rotate_left(7) ^ u64::from_le_bytes(*last);
        }
        key = key.wrapping_add((len as u64).wrapping_mul(0xd6e8_feb8_6659_fd93));
        let (earlier, rest) = keys.split_at_mut(n);
        if earlier.contains(&key) {
            return false;
        }
        rest[0] = key;
        name = close + 2;
    }
    true
}
