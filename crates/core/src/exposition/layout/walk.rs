//! Through a page along its known lines, with the neighbourhood of a change parsed.
//!
//! What costs something here is a line that came, went or moved. The lines between are compared and
//! their pieces copied, and nothing is done for each of them.

use std::ops::Range;

use super::known::Piece;
use super::run::{Run, stands_at};
use super::value::REACH;
use super::{Fresh, LONGEST_END, Layout, Reread};
use crate::exposition::number;
use crate::exposition::parser::Parser;
use crate::exposition::{Entry, Options, Sample};

/// How many lines may have gone away in one place without one being parsed to find that out.
const LOOK_AHEAD: usize = 4;

/// How far ahead a line is looked for that is known. Beyond, the page is so different from the one
/// before it that parsing it is as good.
const SEARCH_AHEAD: usize = 256;

/// What was parsed where the page was not as known.
enum Parsed {
    /// A line; its place among the pieces, if it was expected further on; where the next line begins.
    Line(Option<usize>, usize),
    /// Metadata or nothing, up to the end of the page.
    End,
}

impl Layout {
    /// Reads a page along the known lines. `None` where it has to be parsed as a whole: it is not
    /// valid, over a limit, or has lines twice. Values are then half written.
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
        while piece < self.known.pieces.len() || page.get(at..)? != self.known.tail {
            let parser = parser.get_or_insert_with(|| Parser::new(page, options));
            let from = piece;
            if self.known.pieces.get(piece).is_some_and(Piece::is_gone) {
                piece += 1;
                continue;
            }
            if self.stands(page, at, piece) {
                // It is the line, but something unusual stands where its value should.
                at = self.parse_known(parser, at, piece)?;
                piece += 1;
                if changed {
                    self.keep(from..piece)?;
                }
            } else {
                if !changed {
                    changed = true;
                    self.begin_change(piece)?;
                }
                let ahead = (1..=LOOK_AHEAD).find(|ahead| self.stands(page, at, piece + ahead));
                if let Some(ahead) = ahead {
                    piece += ahead;
                    self.lose(from..piece)?;
                } else {
                    match self.parse_line(page, parser, at, piece, fresh)? {
                        Parsed::Line(place, next) => {
                            at = next;
                            piece = self.settle(page, at, piece, place)?;
                        }
                        Parsed::End => {
                            self.lose(piece..self.known.pieces.len())?;
                            let tail = page.get(at..)?;
                            let known = self.known_mut();
                            known.tail.clear();
                            known.tail.extend_from_slice(tail);
                            break;
                        }
                    }
                }
            }
            let from = piece;
            (piece, at) = self.run(page, piece, at);
            if changed {
                self.keep(from..piece)?;
            }
        }
        if changed {
            self.end_change(options)?;
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
            behind: self.behind,
            values: &mut self.values,
            spelled: &mut self.spelled,
        };
        let (read, at) = run.go(self.machine);
        (piece + read, at)
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
        self.next.clear();
        self.keep(0..piece)
    }

    fn end_change(&mut self, options: Options) -> Option<()> {
        if self.next.len() > options.limits.samples {
            return None;
        }
        let mut next = std::mem::take(&mut self.next);
        let mut spare = std::mem::take(&mut self.spare);
        let known = self.known_mut();
        std::mem::swap(&mut known.pieces, &mut next);
        known.drop_garbage(&mut spare);
        (self.next, self.spare) = (next, spare);
        self.present = self.known.pieces.len();
        if !self.fits {
            self.options = None;
        }
        Some(())
    }

    /// The page has these lines too.
    fn keep(&mut self, pieces: Range<usize>) -> Option<()> {
        let pieces = self.known.pieces.get(pieces)?;
        self.next.extend_from_slice(pieces);
        Some(())
    }

    /// The page does not have these lines.
    fn lose(&mut self, pieces: Range<usize>) -> Option<()> {
        for piece in self.known.pieces.get(pieces)? {
            if let Some(here) = self.here.get_mut(piece.id as usize) {
                *here = false;
            }
        }
        Some(())
    }

    /// Where the walk goes on behind a line that was parsed. `place` is where it stood on the page
    /// before, if that is not passed yet: then what was in between is gone, unless it follows.
    fn settle(
        &mut self,
        page: &[u8],
        at: usize,
        piece: usize,
        place: Option<usize>,
    ) -> Option<usize> {
        let Some(place) = place else {
            return Some(piece);
        };
        if self.stands(page, at, piece) {
            *self.known_mut().pieces.get_mut(place)? = Piece::GONE;
            return Some(piece);
        }
        self.lose(piece..place)?;
        Some(place + 1)
    }

    /// Reads a line whose prefix is known, behind whose value something stands: what stood there
    /// before, or else the line is parsed. Gives where the next line begins.
    fn parse_known(&mut self, parser: &mut Parser<'_>, at: usize, piece: usize) -> Option<usize> {
        let piece: Piece = *self.known.pieces.get(piece)?;
        let page = parser.page();
        let start = at + piece.length();
        let rest = page.get(start..)?;
        let digits = memchr::memchr(b' ', rest.get(..REACH).unwrap_or(rest));
        if let Some(digits) = digits
            && let Some(end) = self.ends.get(&piece.id)
            && rest.get(digits..)?.starts_with(end)
            && piece.line() + digits + end.len() <= self.line_bytes
            && let Ok(value) = number::value(rest.get(..digits)?)
        {
            *self.values.get_mut(piece.id as usize)? = value;
            let length = end.len();
            // Numbers have no such character.
            if memchr::memchr(b'#', end).is_some() {
                self.exemplars.push(piece.id);
            }
            return Some(start + digits + length);
        }
        parser.seek(start - piece.line());
        let Some(Ok(Entry::Sample(sample))) = parser.step() else {
            return None;
        };
        *self.values.get_mut(piece.id as usize)? = sample.value();
        let end = page.get(sample.value_offset() + sample.value_len()..parser.offset())?;
        if end.len() <= LONGEST_END && end.starts_with(b" ") && end.ends_with(b"\n") {
            let kept = self.ends.entry(piece.id).or_default();
            kept.clear();
            kept.extend_from_slice(end);
            if sample.exemplar().is_some() {
                self.exemplars.push(piece.id);
            }
        }
        Some(parser.offset())
    }

    /// Parses up to the end of the next sample line.
    fn parse_line(
        &mut self,
        page: &[u8],
        parser: &mut Parser<'_>,
        unit: usize,
        piece: usize,
        fresh: &mut impl Fresh,
    ) -> Option<Parsed> {
        parser.seek(unit);
        loop {
            match parser.step() {
                None => return Some(Parsed::End),
                Some(Err(_)) => return None,
                Some(Ok(Entry::Sample(sample))) => {
                    let (id, place) = self.place_ahead(&sample, piece)?;
                    let line = parser.entry_offset();
                    let piece = match id {
                        Some(id) => self.place(page, unit, line, &sample, id),
                        None => self.learn(page, unit, line, &sample, fresh),
                    };
                    self.next.push(piece);
                    return Some(Parsed::Line(place, parser.offset()));
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

    /// The id of a line that is known, and where it is expected, if it is. `None` at all where the page
    /// had it before, or it is too far away to be looked for.
    fn place_ahead(
        &mut self,
        sample: &Sample<'_>,
        piece: usize,
    ) -> Option<(Option<u32>, Option<usize>)> {
        // Lines of one series go by their order, so the first id is the one that is free first.
        let Some(id) = self.ids.get(sample.series()).and_then(|ids| ids.first()) else {
            return Some((None, None));
        };
        let here = self.here.get_mut(*id as usize)?;
        if !*here {
            return Some((Some(*id), None));
        }
        let mut ahead = self.known.pieces.get(piece..)?.iter().take(SEARCH_AHEAD);
        let place = piece + ahead.position(|piece| piece.id == *id)?;
        // Not on this page so far, whatever the page before it had.
        *here = false;
        Some((Some(*id), Some(place)))
    }
}
