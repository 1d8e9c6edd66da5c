//! The buffer that a page is written into.

use super::escape;
use super::series::{TAIL, Tail, scaled};
use crate::Exemplar;
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

    /// An exemplar behind the line that was written last.
    #[cold]
    pub(super) fn exemplar(&mut self, exemplar: Exemplar<'_>, factor: f64) {
        let newline = self.at - 1;
        self.back_to(newline);
        self.text(b" # {");
        for (index, (name, value)) in exemplar.labels().enumerate() {
            self.text(if index == 0 { b"" } else { b"," });
            self.text(name.as_bytes());
            self.text(b"=\"");
            self.text(escape::label_value(value).as_bytes());
            self.text(b"\"");
        }
        self.text(b"} ");
        let mut room = [0; float_text::ROOM];
        let length = float_text::put(scaled(exemplar.value(), factor), &mut room);
        self.text(&room[..length]);
        if let Some(ms) = exemplar.timestamp_ms() {
            self.text(if ms < 0 { b" -" } else { b" " });
            let ms = ms.unsigned_abs();
            self.text(itoa::Buffer::new().format(ms / 1000).as_bytes());
            let digit = |divisor: u64| b'0' + u8::try_from(ms / divisor % 10).unwrap_or_default();
            let fraction = [b'.', digit(100), digit(10), digit(1)];
            let zeros = fraction
                .iter()
                .rev()
                .take_while(|byte| **byte == b'0')
                .count();
            self.text(&fraction[..if zeros == 3 { 0 } else { 4 - zeros }]);
        }
        self.text(b"\n");
    }

    /// Begins a message: leaves `width` bytes for its length.
    pub(super) fn begin(&mut self, width: usize) -> Message {
        self.make_room(width);
        let message = Message { at: self.at, width };
        self.at += width;
        message
    }

    /// Ends a message: writes its length, for which the message moves where there is not the room it
    /// needs.
    pub(super) fn end(&mut self, Message { at, width }: Message) {
        let start = at + width;
        let length = self.at - start;
        let mut varint = [0; VARINT];
        let needed = put_varint(length as u64, &mut varint);
        if needed != width {
            self.make_room(needed);
            self.bytes.copy_within(start..self.at, at + needed);
            self.at = at + needed + length;
        }
        self.bytes[at..at + needed].copy_from_slice(&varint[..needed]);
    }

    /// A number as a varint.
    #[inline]
    pub(super) fn varint(&mut self, number: u64) {
        self.make_room(VARINT);
        let room = &mut self.bytes[self.at..self.at + VARINT];
        if let Some(room) = room.first_chunk_mut() {
            self.at += put_varint(number, room);
        }
    }

    /// A field with eight bytes.
    #[inline]
    pub(super) fn double(&mut self, tag: u8, value: f64) {
        self.make_room(9);
        let room = &mut self.bytes[self.at..self.at + 9];
        room[0] = tag;
        room[1..].copy_from_slice(&value.to_le_bytes());
        self.at += 9;
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

/// A message whose length is not known yet.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub(super) struct Message {
    at: usize,
    width: usize,
}

/// The longest varint.
const VARINT: usize = 10;

/// Puts a varint at the start of `room`; gives its length.
#[inline]
fn put_varint(mut number: u64, room: &mut [u8; VARINT]) -> usize {
    for (index, byte) in room.iter_mut().enumerate() {
        #[expect(clippy::cast_possible_truncation, reason = "the lowest seven bits")]
        let low = number as u8 & 0x7f;
        number >>= 7;
        if number == 0 {
            *byte = low;
            return index + 1;
        }
        *byte = low | 0x80;
    }
    VARINT
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
