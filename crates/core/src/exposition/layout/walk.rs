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
    /// A line with this id, up to this place.
    Line(u32, usize),
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
                match self.parse_line(page, parser, at, fresh)? {
                    Parsed::End => {
                        let tail = page.get(at..)?;
                        let known = self.known_mut();
                        known.tail.clear();
                        known.tail.extend_from_slice(tail);
                        break;
                    }
                    Parsed::Line(id, next) => {
                        at = next;
                        // A line from further on: what stood before it is gone, unless that follows.
                        let place = self
                            .place
                            .get(id as usize)
                            .map_or(0, |place| *place as usize);
                        let is_known = self.known.pieces.get(place).is_some_and(|p| p.id == id);
                        if is_known && place >= piece && !self.stands(page, at, piece) {
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
            for piece in &self.known.pieces {
                self.seen[piece.id as usize] = self.reading;
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
        if self.too_many_absent() {
            return None;
        }
        self.reading += 1;
        self.marked = false;
        self.next.clear();
        self.take_over(0, piece)
    }

    /// The page has these known lines too. `None` where it had one of them before.
    fn take_over(&mut self, from: usize, to: usize) -> Option<()> {
        for piece in self.known.pieces.get(from..to)? {
            let seen = self.seen.get_mut(piece.id as usize)?;
            if *seen == self.reading {
                return None;
            }
            *seen = self.reading;
            self.next.push(*piece);
        }
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
        self.find_places();
        if !self.values_stay_within(options) {
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
        fresh: &mut impl Fresh,
    ) -> Option<Parsed> {
        parser.seek(unit);
        loop {
            match parser.step() {
                None => return Some(Parsed::End),
                Some(Err(_)) => return None,
                Some(Ok(Entry::Sample(sample))) => {
                    let piece = self.learn(page, unit, parser.entry_offset(), &sample, fresh);
                    self.next.push(piece);
                    return Some(Parsed::Line(piece.id, parser.offset()));
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
