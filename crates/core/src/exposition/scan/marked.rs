//! A series together with where its quotes are: labels without searching for them.

use crate::exposition::text::{Escapes, Text};

/// The labels of a series of the ordinary form `name{label="value",label="value"}`.
///
/// Invariant: `text` is that form, checked. `quotes` has a bit for each quote that opens or closes a
/// string within the 64 bytes from `base`, less those read already; `later` the same for the second
/// 64 bytes of `text`; behind those, every quote in `text` opens or closes a string. `left` pairs of
/// quotes are unread, and the name that belongs to the first of them begins at `name`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Marked<'a> {
    text: &'a str,
    name: usize,
    base: usize,
    quotes: u64,
    later: u64,
    left: usize,
    escapes: bool,
}

impl<'a> Marked<'a> {
    /// # Safety
    /// `text` is a checked series of the ordinary form with `labels` labels, whose brace is at byte
    /// `brace`. `quotes` are the quotes of its first 128 bytes that are not escaped; behind those no
    /// quote is escaped. `escapes` may only be false where `text` has no backslash.
    #[inline(always)]
    pub(super) const unsafe fn new(
        text: &'a str,
        brace: usize,
        labels: usize,
        quotes: [u64; 2],
        escapes: bool,
    ) -> Self {
        Self {
            text,
            name: brace + 1,
            base: 0,
            quotes: quotes[0],
            later: quotes[1],
            left: labels,
            escapes,
        }
    }

    #[inline(always)]
    pub(crate) const fn len(&self) -> usize {
        self.left
    }

    /// The place of the next quote. Ends, because the caller asks for no more than there are.
    #[inline(always)]
    fn quote(&mut self) -> usize {
        while self.quotes == 0 {
            self.base += 64;
            self.quotes = if self.base == 64 {
                self.later
            } else {
                self.more()
            };
        }
        let at = self.base + self.quotes.trailing_zeros() as usize;
        self.quotes &= self.quotes - 1;
        at
    }

    /// The quotes of the 64 bytes from `base`, or of those that are left.
    #[inline(never)]
    fn more(&self) -> u64 {
        let rest = self.text.as_bytes().get(self.base..).unwrap_or_default();
        // The invariant says there is a quote; should it not hold, this ends the search.
        debug_assert!(!rest.is_empty());
        if rest.is_empty() {
            return 1;
        }
        let mut bits = 0;
        for (n, b) in rest.iter().take(64).enumerate() {
            bits |= u64::from(*b == b'"') << n;
        }
        bits
    }

    #[inline(always)]
    pub(crate) fn next(&mut self) -> Option<(Text<'a>, Text<'a>)> {
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        let open = self.quote();
        let close = self.quote();
        debug_assert!(self.text.is_char_boundary(close) && self.name < open && open < close);
        debug_assert_eq!(self.text.as_bytes().get(open - 1), Some(&b'='));
        // SAFETY: by the invariant `open` and `close` are quotes of one label and `name` is where it
        // begins, so `name < open`, `open < close < text.len()`, and each of the four cuts is beside
        // an ASCII byte of valid UTF-8.
        let (name, value) = unsafe {
            (
                self.text.get_unchecked(self.name..open - 1),
                self.text.get_unchecked(open + 1..close),
            )
        };
        self.name = close + 2;
        let value = if self.escapes {
            Text::with(value, Escapes::Quoted)
        } else {
            Text::new(value, Escapes::None)
        };
        Some((Text::new(name, Escapes::None), value))
    }
}
