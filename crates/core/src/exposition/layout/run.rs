//! The inner loop: lines that are known, one after another.

use super::known::{Known, Piece};
use super::value::{self, Behind, REACH, Spelled};
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
    /// What may stand behind the values.
    pub(super) behind: Behind,
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
        let Self {
            page,
            at,
            known,
            pieces,
            behind: may_stand,
            values,
            spelled,
        } = self;
        let text = known.text();
        let mut rest = page.get(at..).unwrap_or_default();
        let mut read = 0;
        for piece in pieces {
            let length = piece.length();
            let Some(head) = rest.get(..length + SLACK) else {
                // The last lines of the page, for which there is no room to look too far.
                let left = pieces.get(read..).unwrap_or_default();
                let (more, left) = last(rest, known, left, may_stand, values, spelled);
                return (read + more, page.len() - left);
            };
            let is_same = |prefix| compare.same(head, prefix, length);
            if !piece.padded(text).is_some_and(is_same) {
                break;
            }
            let Some(behind) = head.get(length..).and_then(<[u8]>::first_chunk::<REACH>) else {
                break;
            };
            let (short, _) = behind.as_chunks::<8>();
            let id = piece.id as usize;
            let found = match value::whole(&short[0]) {
                Some(found) => Some(found),
                None => spelled
                    .get_mut(id)
                    .and_then(|spelled| value::any(behind, may_stand, spelled)),
            };
            let (Some((value, digits)), Some(slot)) = (found, values.get_mut(id)) else {
                break;
            };
            *slot = value;
            rest = rest.get(length + digits + 1..).unwrap_or_default();
            read += 1;
        }
        (read, page.len() - rest.len())
    }
}

/// As [`Run::run`], for the end of a page. Gives the bytes that are left.
#[cold]
fn last(
    mut rest: &[u8],
    known: &Known,
    pieces: &[Piece],
    may_stand: Behind,
    values: &mut [f64],
    spelled: &mut [Spelled],
) -> (usize, usize) {
    let mut read = 0;
    for piece in pieces {
        let id = piece.id as usize;
        let mut line = || {
            let behind = rest.strip_prefix(known.prefix(piece)?)?;
            let mut bytes = [0; REACH];
            let reach = behind.len().min(REACH);
            bytes
                .get_mut(..reach)?
                .copy_from_slice(behind.get(..reach)?);
            let (value, digits) = value::any(&bytes, may_stand, spelled.get_mut(id)?)?;
            *values.get_mut(id)? = value;
            behind.get(digits + 1..)
        };
        let Some(behind) = line() else { break };
        rest = behind;
        read += 1;
    }
    (read, rest.len())
}

/// Whether the prefix of a piece stands at a place of a page.
pub(super) fn stands_at(page: &[u8], at: usize, known: &Known, piece: &Piece) -> bool {
    let prefix = known.prefix(piece);
    let rest = page.get(at..);
    rest.zip(prefix)
        .is_some_and(|(rest, prefix)| rest.starts_with(prefix))
}
