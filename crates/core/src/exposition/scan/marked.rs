//! A line together with where its parts are: cut without searching, or checking, again.

use crate::exposition::entry::Labels;
use crate::exposition::number;
use crate::exposition::text::{Escapes, Text};

/// A sample's line and the places to cut it at.
///
/// Invariant: `text` begins with a series; `series` is its length, and `name_at..name_end` its name,
/// without quotes. `value_at..value_end` is the value, behind the series; it was found to be one, and
/// where `digits` is not 0, to begin with so many, eight at most, and end there or with `.0`.
/// `exemplar` is where the exemplar's brace is, or the length of `text`. All of these
/// are in bounds, in order, and at character boundaries. Where `marks` is not `Nothing`, the series is of
/// the form `name{label="value",label="value"}`, with `labels` labels, behind a name that ends at
/// `name_end`; `quotes` has a bit for each quote within the 128 bytes behind its brace that opens or
/// closes a string, and behind those every quote does.
#[derive(Clone, Copy)]
pub(crate) struct Line<'a> {
    text: &'a str,
    quotes: [u64; 2],
    series: usize,
    name_at: usize,
    name_end: usize,
    value_at: usize,
    value_end: usize,
    digits: usize,
    exemplar: usize,
    labels: usize,
    marks: Marks,
}

/// What is known of a label set. A word wide, as `Escapes` is.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub(super) enum Marks {
    /// Its quotes, and that no backslash is in it.
    Quotes,
    /// Its quotes.
    QuotesAndEscapes,
    /// Nothing: it begins behind the first `{` that is not in `name_at..name_end`.
    Nothing,
}

/// The places to cut a line at, found without masks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Places {
    pub(crate) series: usize,
    pub(crate) name: (usize, usize),
    pub(crate) value: (usize, usize),
    pub(crate) exemplar: Option<usize>,
    pub(crate) labels: usize,
}

impl<'a> Line<'a> {
    /// A line of any form, whose value was found to be one; `None` where a place is not in order, in
    /// bounds, or a boundary.
    pub(crate) fn checked(text: &'a str, places: Places) -> Option<Self> {
        let Places {
            series,
            name: (name_at, name_end),
            value: (value_at, value_end),
            exemplar,
            labels,
        } = places;
        let exemplar = exemplar.unwrap_or(text.len());
        text.get(..series)?.get(name_at..name_end)?;
        text.get(series..value_at)?;
        text.get(value_at..value_end)?;
        text.get(value_end..exemplar)?;
        Some(Self {
            text,
            quotes: [0; 2],
            series,
            name_at,
            name_end,
            value_at,
            value_end,
            digits: 0,
            exemplar,
            labels,
            marks: Marks::Nothing,
        })
    }

    /// A line whose series is of the ordinary form.
    ///
    /// # Safety
    /// `text` is checked and begins with a series of the ordinary form, `series` bytes long, with
    /// `labels` labels (its brace, if any, at byte `name`). `quotes` are the quotes of the 128
    /// bytes behind the brace that are not escaped; behind those no quote is escaped. `marks` may only be `Quotes` where the
    /// series has no backslash, and is not `Nothing`. From the byte behind the series to `value_end` is
    /// a blank and a value; `digits` and `exemplar` are as the invariant says.
    #[inline(always)]
    #[expect(
        clippy::too_many_arguments,
        reason = "a struct would be this one again"
    )]
    pub(super) const unsafe fn marked(
        text: &'a str,
        series: usize,
        name: usize,
        labels: usize,
        quotes: [u64; 2],
        marks: Marks,
        value_end: usize,
        digits: usize,
        exemplar: usize,
    ) -> Self {
        Self {
            text,
            quotes,
            series,
            name_at: 0,
            name_end: name,
            value_at: series + 1,
            value_end,
            digits,
            exemplar,
            labels,
            marks,
        }
    }

    /// Where the value is in the line.
    #[inline]
    pub(crate) const fn value_place(&self) -> (usize, usize) {
        (self.value_at, self.value_end)
    }

    #[inline]
    pub(crate) fn value(&self) -> f64 {
        let text = self.text.as_bytes();
        let eight = text
            .get(..self.value_at + self.digits)
            .and_then(<[u8]>::last_chunk);
        match eight {
            Some(eight) if self.digits != 0 => number::digits(*eight, self.digits),
            _ => number::known(text.get(self.value_at..self.value_end).unwrap_or_default()),
        }
    }

    #[inline]
    pub(crate) const fn series(&self) -> &'a str {
        // SAFETY: by the invariant in bounds and at a boundary.
        unsafe { cut(self.text, 0, self.series) }
    }

    #[inline]
    pub(crate) fn name(&self) -> Text<'a> {
        // SAFETY: by the invariant in bounds and at boundaries.
        let name = unsafe { cut(self.text, self.name_at, self.name_end) };
        if self.name_at == 0 {
            Text::new(name, Escapes::None)
        } else {
            Text::with(name, Escapes::Quoted)
        }
    }

    #[inline]
    pub(crate) fn labels(&self) -> Labels<'a> {
        if self.labels == 0 {
            return Labels::NONE;
        }
        if matches!(self.marks, Marks::Nothing) {
            // A name in front ends at or before the brace; one in quotes stands behind it.
            let from = if self.name_at == 0 { self.name_end } else { 0 };
            return Labels::scanned(
                self.series(),
                behind_brace(self.series(), from),
                self.labels,
            );
        }
        // SAFETY: by the invariant the brace is at `name_end`, within the series.
        let text = unsafe { cut(self.text, self.name_end + 1, self.series) };
        Labels::marked(Marked {
            text,
            name: 0,
            base: 0,
            quotes: self.quotes[0],
            later: self.quotes[1],
            left: self.labels,
            escapes: matches!(self.marks, Marks::QuotesAndEscapes),
        })
    }

    /// From the exemplar's brace to the end of the line; empty where there is none.
    #[inline]
    pub(crate) fn exemplar(&self) -> &'a str {
        self.text.get(self.exemplar..).unwrap_or_default()
    }
}

/// Where the first brace from `from` on ends. (Values go in and out, here and below, so that the
/// callers' structs can stay in registers.)
#[cold]
fn behind_brace(text: &str, from: usize) -> usize {
    let rest = text.as_bytes().get(from..).unwrap_or_default();
    memchr::memchr(b'{', rest).map_or(text.len(), |at| from + at + 1)
}

/// # Safety
/// `from <= to <= text.len()`, both at character boundaries.
#[inline(always)]
const unsafe fn cut(text: &str, from: usize, to: usize) -> &str {
    // SAFETY: the caller's: within the bytes of `text`, and UTF-8 from boundary to boundary.
    unsafe {
        let bytes = std::slice::from_raw_parts(text.as_ptr().add(from), to - from);
        std::str::from_utf8_unchecked(bytes)
    }
}

/// The labels of a series of the ordinary form.
///
/// Invariant: that of [`Line`] for `text`, its series behind the brace. `quotes` are those within the 64 bytes from
/// `base`, less those read already; `later` those of the second 64 bytes. `left` pairs of quotes
/// are unread, and the name that belongs to the first of them begins at `name`.
#[derive(Clone, Copy)]
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
    #[inline(always)]
    pub(crate) const fn len(&self) -> usize {
        self.left
    }

    /// The places of the next two quotes, of which there are so many.
    #[inline(always)]
    fn pair(&mut self) -> (usize, usize) {
        let open = self.base + self.quotes.trailing_zeros() as usize;
        let closing = self.quotes & self.quotes.wrapping_sub(1);
        if closing != 0 {
            let close = self.base + closing.trailing_zeros() as usize;
            self.quotes = closing & (closing - 1);
            return (open, close);
        }
        if self.left == 0 && self.quotes != 0 {
            // What closes the last string stands before the brace that ends the series.
            return (open, self.text.len() - 2);
        }
        let (pair, base, quotes) = far_pair(self.text, self.base, self.quotes, self.later);
        (self.base, self.quotes) = (base, quotes);
        pair
    }

    #[inline(always)]
    pub(crate) fn next(&mut self) -> Option<(Text<'a>, Text<'a>)> {
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        let (open, close) = self.pair();
        debug_assert!(self.name < open && open < close && close < self.text.len());
        debug_assert_eq!(self.text.as_bytes().get(open - 1), Some(&b'='));
        // SAFETY: by the invariant `open` and `close` are quotes of one label and `name` is where it
        // begins, so `name < open`, `open < close < text.len()`, and each of the four cuts is beside
        // an ASCII byte of valid UTF-8.
        let (name, value) = unsafe {
            (
                cut(self.text, self.name, open - 1),
                cut(self.text, open + 1, close),
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

/// The places of two quotes where they are not both in the block at `base`, the place of the block that
/// the second one is in, and what quotes are left there. Ends, because there are so many.
#[inline(never)]
fn far_pair(
    text: &str,
    mut base: usize,
    mut quotes: u64,
    later: u64,
) -> ((usize, usize), usize, u64) {
    let mut next = || {
        while quotes == 0 {
            base += 64;
            quotes = if base == 64 {
                later
            } else {
                quotes_from(text.as_bytes(), base)
            };
        }
        let at = base + quotes.trailing_zeros() as usize;
        quotes &= quotes - 1;
        at
    };
    let pair = (next(), next());
    (pair, base, quotes)
}

/// The quotes of the 64 bytes from `base`, or of those that are left.
fn quotes_from(text: &[u8], base: usize) -> u64 {
    let rest = text.get(base..).unwrap_or_default();
    debug_assert!(!rest.is_empty());
    match rest.first_chunk::<64>() {
        Some(block) => super::block::quotes(block),
        None => {
            let mut spare = [0; 64];
            for (to, from) in spare.iter_mut().zip(rest) {
                *to = *from;
            }
            super::block::quotes(&spare)
        }
    }
}
