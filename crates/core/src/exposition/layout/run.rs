//! The inner loop: lines that are known, one after another.

use super::known::{Known, Piece};
use super::value::{self, REACH, Spelled};
use crate::exposition::scan::Machine;
use crate::exposition::scan::compare::{Compare, SLACK, Task, dispatch};

/// Reads known lines from a place of a page for as long as they come in their order.
pub(super) struct Run<'a> {
    pub(super) page: &'a [u8],
    /// Where the page is read from: behind the newline of a sample.
    pub(super) at: usize,
    pub(super) known: &'a Known,
    /// The pieces that are expected.
    pub(super) pieces: &'a [Piece],
    /// Values by id.
    pub(super) values: &'a mut [f64],
    /// Spellings by id.
    pub(super) spelled: &'a mut [Spelled],
}

impl Run<'_> {
    /// How many of the pieces came, and where the page goes on. The value of the next piece, or its
    /// prefix, or the end of the page, is not as expected.
    #[inline(always)]
    pub(super) fn go(self, machine: Machine) -> (usize, usize) {
        dispatch(machine, self)
    }
}

impl Task for Run<'_> {
    type Output = (usize, usize);

    #[inline(always)]
    fn run(self, compare: impl Compare) -> (usize, usize) {
        let mut rest = self.page.get(self.at..).unwrap_or_default();
        let mut read = 0;
        for piece in self.pieces {
            let length = piece.length();
            // Near the end of the page the comparison takes the slow way by itself.
            if !compare.same(rest, self.known.prefix(piece), length) {
                break;
            }
            let behind = rest.get(length..).unwrap_or_default();
            let id = piece.id as usize;
            let (Some(slot), Some(spelled)) = (self.values.get_mut(id), self.spelled.get_mut(id))
            else {
                break;
            };
            let short = behind.first_chunk::<REACH>();
            let found = match short.and_then(value::whole) {
                Some(found) => Some(found),
                None => other(behind, spelled),
            };
            let Some((value, digits)) = found else { break };
            *slot = value;
            rest = behind.get(digits + 1..).unwrap_or_default();
            read += 1;
        }
        (read, self.page.len() - rest.len())
    }
}

/// A value that is no short whole number, or the last ones of a page.
#[inline(never)]
fn other(behind: &[u8], spelled: &mut Spelled) -> Option<(f64, usize)> {
    match behind.first_chunk::<REACH>() {
        Some(bytes) => value::any(bytes, spelled),
        None => {
            let mut bytes = [0; REACH];
            bytes.get_mut(..behind.len())?.copy_from_slice(behind);
            value::any(&bytes, spelled)
        }
    }
}

/// Whether the prefix of a piece stands at a place of a page.
pub(super) fn stands_at(page: &[u8], at: usize, known: &Known, piece: &Piece) -> bool {
    let prefix = known.prefix(piece);
    debug_assert!(prefix.len() >= piece.length() + SLACK);
    page.get(at..)
        .is_some_and(|rest| rest.starts_with(&prefix[..piece.length()]))
}
