//! A page that is read in blocks of 64 bytes.

use super::block::Block;

/// The longest line that is looked at, with its newline. Longer ones are for `plain`.
pub(super) const REACH: usize = 4096;

/// A page, and how far whole blocks of it can begin.
///
/// Invariant: a block that begins before `whole` ends within `page`.
#[derive(Clone, Copy)]
pub(super) struct Window<'a> {
    page: &'a [u8],
    whole: usize,
}

impl<'a> Window<'a> {
    #[inline(always)]
    pub(super) const fn new(page: &'a [u8]) -> Self {
        let whole = (page.len() + 1).saturating_sub(64);
        Self { page, whole }
    }

    #[inline(always)]
    pub(super) const fn page(self) -> &'a [u8] {
        self.page
    }

    /// The block at `at`, where the page has all of it. (One comparison; the safe way to the same,
    /// `page.get(at..)?.first_chunk()`, costs two, and this is what a line is mostly read by.)
    #[inline(always)]
    pub(super) fn block(self, at: usize) -> Option<&'a [u8; 64]> {
        if at >= self.whole {
            return None;
        }
        debug_assert!(self.page.get(at..).is_some_and(|rest| rest.len() >= 64));
        // SAFETY: by the invariant the 64 bytes from `at` are within the page, which is borrowed for
        // as long as the block; arrays of bytes have no alignment.
        Some(unsafe { &*self.page.as_ptr().add(at).cast::<[u8; 64]>() })
    }

    /// Where the first newline from `start` on is, if it is within [`REACH`].
    #[inline(always)]
    pub(super) fn newline(self, machine: impl Block, start: usize) -> Option<usize> {
        let (Some(first), Some(second)) = (self.block(start), self.block(start + 64)) else {
            return self.far_newline(start);
        };
        let (first, second) = (machine.newlines(first), machine.newlines(second));
        if first | second == 0 {
            let third = self.block(start + 128).map_or(0, |b| machine.newlines(b));
            return match third {
                0 => self.far_newline(start),
                third => Some(start + 128 + third.trailing_zeros() as usize),
            };
        }
        // Without a branch on which of them it is in: that would be guessed wrong.
        let behind = if first == 0 { second } else { 0 };
        let places = first.trailing_zeros() + behind.trailing_zeros() % 64;
        Some(start + places as usize)
    }

    #[inline(never)]
    fn far_newline(self, start: usize) -> Option<usize> {
        let rest = self.page.get(start..)?;
        let newline = memchr::memchr(b'\n', rest.get(..REACH).unwrap_or(rest))?;
        Some(start + newline)
    }

    /// The block at `at` by value; zeros stand for what is behind the end of the page.
    #[cold]
    pub(super) fn padded(self, at: usize) -> [u8; 64] {
        let mut block = [0; 64];
        for (to, from) in block
            .iter_mut()
            .zip(self.page.get(at..).unwrap_or_default())
        {
            *to = *from;
        }
        block
    }
}

/// The block of `$window` at `$at`, whole or padded. A macro, because `$spare`, declared before, is then
/// only written where it is needed.
macro_rules! block_at {
    ($window:expr, $at:expr, $spare:ident) => {
        match $window.block($at) {
            Some(block) => block,
            None => {
                $spare = $window.padded($at);
                &$spare
            }
        }
    };
}
pub(super) use block_at;

#[cfg(test)]
mod tests {
    use super::Window;

    #[test]
    fn blocks_are_those_of_the_page_and_no_more() {
        let page: Vec<u8> = (0..200).collect();
        for len in 0..page.len() {
            let page = &page[..len];
            let window = Window::new(page);
            for at in 0..page.len() + 70 {
                let want = page.get(at..).and_then(<[u8]>::first_chunk::<64>);
                assert_eq!(window.block(at), want, "{at} of {len}");
                let rest = page.get(at..).unwrap_or_default();
                let padded = window.padded(at);
                let (text, zeros) = padded.split_at(rest.len().min(64));
                assert!(rest.starts_with(text) && zeros.iter().all(|b| *b == 0));
            }
        }
    }
}
