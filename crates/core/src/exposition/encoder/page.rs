//! The buffer that a page is written into.

use super::series::{TAIL, Tail};
use crate::exposition::float_text;

/// A page that grows. The vector is longer than what was written: `at` is where the page ends, what
/// lies behind is left from earlier pages, so that nothing is cleared only to be overwritten.
pub(super) struct Page<'a> {
    bytes: &'a mut Vec<u8>,
    at: usize,
}

impl<'a> Page<'a> {
    /// Starts over in a buffer, whatever it holds. `expected` is the length of a page like it.
    pub(super) fn over(bytes: &'a mut Vec<u8>, expected: usize) -> Self {
        if bytes.len() < expected {
            bytes.resize(expected, 0);
        }
        Self { bytes, at: 0 }
    }

    /// Cuts the buffer to what was written.
    pub(super) fn finish(self) -> usize {
        self.bytes.truncate(self.at);
        self.at
    }

    /// Where the page ends now.
    pub(super) const fn at(&self) -> usize {
        self.at
    }

    /// Takes back what was written since `at`.
    pub(super) const fn back_to(&mut self, at: usize) {
        self.at = at;
    }

    /// Text as it is.
    pub(super) fn text(&mut self, text: &[u8]) {
        self.make_room(text.len());
        self.bytes[self.at..self.at + text.len()].copy_from_slice(text);
        self.at += text.len();
    }

    /// A rendered stem, a value, a newline.
    #[inline]
    pub(super) fn line(&mut self, stem: &[u8], value: f64) {
        let longest = stem.len() + float_text::ROOM + 1;
        self.make_room(longest);
        let line = &mut self.bytes[self.at..self.at + longest];
        let (start, rest) = line.split_at_mut(stem.len());
        copy(stem, start);
        self.at += stem.len() + put_value(rest, value);
    }

    /// A rendered stem, the end of its last label, a value, a newline.
    #[inline]
    pub(super) fn edge_line(&mut self, stem: &[u8], tail: &Tail, value: f64) {
        let longest = stem.len() + TAIL + float_text::ROOM + 1;
        self.make_room(longest);
        let line = &mut self.bytes[self.at..self.at + longest];
        let (start, rest) = line.split_at_mut(stem.len());
        copy(stem, start);
        rest[..TAIL].copy_from_slice(tail);
        let tail = usize::from(tail[TAIL - 1]);
        self.at += stem.len() + tail + put_value(&mut rest[tail..], value);
    }

    #[inline]
    fn make_room(&mut self, bytes: usize) {
        if self.bytes.len() - self.at < bytes {
            self.grow(bytes);
        }
    }

    #[cold]
    fn grow(&mut self, bytes: usize) {
        const STEP: usize = 4096;
        let length = self.at + bytes + STEP;
        // Within the capacity little by little, because new bytes are cleared; beyond it at once.
        let length = if length <= self.bytes.capacity() {
            length
        } else {
            length + length / 4
        };
        self.bytes.resize(length, 0);
    }
}

/// Copies a stem, in blocks that the compiler makes vector moves of; a call of `memcpy` costs more for
/// a hundred bytes than the bytes do. The last block overlaps the one before it.
#[inline(always)]
fn copy(from: &[u8], to: &mut [u8]) {
    const BLOCK: usize = 32;
    let (Some(last), true) = (from.last_chunk::<BLOCK>(), from.len() == to.len()) else {
        to.copy_from_slice(from);
        return;
    };
    for (from, to) in from
        .as_chunks::<BLOCK>()
        .0
        .iter()
        .zip(to.as_chunks_mut::<BLOCK>().0)
    {
        *to = *from;
    }
    if let Some(end) = to.last_chunk_mut::<BLOCK>() {
        *end = *last;
    }
}

/// A value and a newline at the start of `rest`; gives their length.
#[inline(always)]
fn put_value(rest: &mut [u8], value: f64) -> usize {
    let Some(room) = rest.first_chunk_mut::<{ float_text::ROOM }>() else {
        unreachable!("a line has room for its value")
    };
    let length = float_text::put(value, room);
    rest[length] = b'\n';
    length + 1
}
