//! Through a page along its known lines, with the neighbourhood of a change parsed.

use super::known::{Known, Piece};
use super::run::{Run, stands_at};
use super::{Fresh, Layout, Reread};
use crate::exposition::parser::Parser;
use crate::exposition::{Entry, Options};

/// How many lines may have gone away in one place without one being parsed to find that out.
const LOOK_AHEAD: usize = 4;

/// What was parsed where the page was not as known.
enum Parsed {
    /// A line, with its place among the known ones if it is still expected, and where the next one
    /// begins.
    Line(Option<usize>, usize),
    /// Metadata or nothing, up to the end of the page.
    End,
}

impl Layout {
    /// Reads a page along the known lines. `None` where it has to be parsed as a whole: it is not
    /// valid, over a limit, or has a known line twice. Values are then half written.
    pub(super) fn walk(
        &mut self,
        page: &[u8],
        options: Options,
        fresh: &mut impl Fresh,
    ) -> Option<Reread> {
        let (mut piece, mut at) = self.run(page, 0, 0);
        let mut parser = None;
        let mut changed = false;
        // Here all lines up to `piece` are read, or known to be gone, and `at` is behind a sample.
        loop {
            if piece == self.known.pieces.len() && page.get(at..)? == self.known.tail {
                break;
            }
            let parser = parser.get_or_insert_with(|| Parser::new(page, options));
            let from = piece;
            if self.stands(page, at, piece) {
                // It is the line, but something unusual stands where its value should.
                at = self.parse_known(parser, at, piece)?;
                piece += 1;
            } else {
                if !changed {
                    changed = true;
                    self.begin_change(piece)?;
                }
                let ahead = (1..=LOOK_AHEAD).find(|ahead| self.stands(page, at, piece + ahead));
                if let Some(ahead) = ahead {
                    piece += ahead;
                    (piece, at) = self.run_changed(page, piece, at)?;
                    continue;
                }
                match self.parse_line(page, parser, at, piece, fresh)? {
                    Parsed::End => {
                        let tail = page.get(at..)?;
                        let known = self.known_mut();
                        known.tail.clear();
                        known.tail.extend_from_slice(tail);
                        break;
                    }
                    Parsed::Line(from_further_on, next) => {
                        at = next;
                        // A line from further on: what stood before it is gone, unless that follows.
                        if let Some(place) = from_further_on
                            && !self.stands(page, at, piece)
                        {
                            piece = place + 1;
                        }
                    }
                }
                (piece, at) = self.run_changed(page, piece, at)?;
                continue;
            }
            if changed {
                self.take_over(from, piece)?;
                (piece, at) = self.run_changed(page, piece, at)?;
            } else {
                (piece, at) = self.run(page, piece, at);
            }
        }
        if changed {
            self.end_change(options)?;
        } else if !self.marked {
            for (place, piece) in self.known.pieces.iter().enumerate() {
                Self::mark(&mut self.marks, self.reading, piece.id, place)?;
            }
            self.marked = true;
            self.present = self.known.pieces.len();
        }
        Some(Reread {
            samples: self.known.pieces.len(),
            unchanged: !changed,
            skipped_lines: 0,
        })
    }

    #[inline]
    fn run(&mut self, page: &[u8], piece: usize, at: usize) -> (usize, usize) {
        let run = Run {
            page,
            at,
            known: &self.known,
            pieces: self.known.pieces.get(piece..).unwrap_or_default(),
            values: &mut self.values,
            spelled: &mut self.spelled,
        };
        let (read, at) = run.go(self.machine);
        (piece + read, at)
    }

    /// As [`run`](Self::run), on a page of which the lines are written down anew.
    fn run_changed(&mut self, page: &[u8], piece: usize, at: usize) -> Option<(usize, usize)> {
        let (next, at) = self.run(page, piece, at);
        self.take_over(piece, next)?;
        Some((next, at))
    }

    fn stands(&self, page: &[u8], at: usize, piece: usize) -> bool {
        let piece = self.known.pieces.get(piece);
        piece.is_some_and(|piece| stands_at(page, at, &self.known, piece))
    }

    /// The page has other lines than the one before it: up to `piece`, it has the same.
    fn begin_change(&mut self, piece: usize) -> Option<()> {
        if self.has_twins || self.too_many_absent() {
            return None;
        }
        self.forget_values();
        self.next.clear();
        self.take_over(0, piece)
    }

    /// The page has these known lines too. `None` where it had one of them before.
    fn take_over(&mut self, from: usize, to: usize) -> Option<()> {
        let pieces = self.known.pieces.get(from..to)?;
        for (place, piece) in (self.next.len()..).zip(pieces) {
            Self::mark(&mut self.marks, self.reading, piece.id, place)?;
        }
        self.next.extend_from_slice(pieces);
        Some(())
    }

    fn end_change(&mut self, options: Options) -> Option<()> {
        if self.next.len() > options.limits.samples {
            return None;
        }
        let known: &mut Known = std::sync::Arc::make_mut(&mut self.known);
        std::mem::swap(&mut known.pieces, &mut self.next);
        known.drop_garbage(&mut self.spare);
        self.present = self.known.pieces.len();
        self.marked = true;
        if !self.fits {
            self.options = None;
        }
        Some(())
    }

    /// Parses a line whose prefix is known; gives where the next line begins.
    fn parse_known(&mut self, parser: &mut Parser<'_>, at: usize, piece: usize) -> Option<usize> {
        let piece: Piece = *self.known.pieces.get(piece)?;
        parser.seek(at + piece.length() - piece.line());
        let Some(Ok(Entry::Sample(sample))) = parser.step() else {
            return None;
        };
        *self.values.get_mut(piece.id as usize)? = sample.value();
        Some(parser.offset())
    }

    /// Parses up to the end of the next sample line.
    fn parse_line(
        &mut self,
        page: &[u8],
        parser: &mut Parser<'_>,
        unit: usize,
        expected: usize,
        fresh: &mut impl Fresh,
    ) -> Option<Parsed> {
        parser.seek(unit);
        loop {
            match parser.step() {
                None => return Some(Parsed::End),
                Some(Err(_)) => return None,
                Some(Ok(Entry::Sample(sample))) => {
                    let piece = self.learn(page, unit, parser.entry_offset(), &sample, fresh);
                    let (id, index) = (piece.id, piece.id as usize);
                    let place = self.marks.get(index).map_or(0, |mark| mark.place as usize);
                    let stands = self
                        .known
                        .pieces
                        .get(place)
                        .is_some_and(|known| known.id == id);
                    Self::mark(&mut self.marks, self.reading, id, self.next.len())?;
                    self.next.push(piece);
                    let further_on = (stands && place >= expected).then_some(place);
                    return Some(Parsed::Line(further_on, parser.offset()));
                }
                Some(Ok(other)) => {
                    fresh.metadata(&other);
                    if parser.is_done() {
                        return Some(Parsed::End);
                    }
                }
            }
        }
    }
}
