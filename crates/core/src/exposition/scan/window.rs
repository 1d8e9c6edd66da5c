//! A page that is read in blocks of 64 bytes.

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

    /// The block at `at`; zeros stand for what is behind the end of the page.
    #[inline(always)]
    pub(super) fn padded<'b>(self, at: usize, spare: &'b mut [u8; 64]) -> &'b [u8; 64]
    where
        'a: 'b,
    {
        match self.block(at) {
            Some(block) => block,
            None => {
                *spare = pad(self.page, at);
                spare
            }
        }
    }
}

#[cold]
fn pad(page: &[u8], at: usize) -> [u8; 64] {
    let mut block = [0; 64];
    for (to, from) in block.iter_mut().zip(page.get(at..).unwrap_or_default()) {
        *to = *from;
    }
    block
}

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
                let mut spare = [0; 64];
                let rest = page.get(at..).unwrap_or_default();
                let padded = window.padded(at, &mut spare);
                let (text, zeros) = padded.split_at(rest.len().min(64));
                assert!(rest.starts_with(text) && zeros.iter().all(|b| *b == 0));
            }
        }
    }
}
