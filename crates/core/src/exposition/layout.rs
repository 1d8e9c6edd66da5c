//! Layout memory: a page whose layout was seen before costs a comparison and its values.
//!
//! A metrics page is `prefix value prefix value …`: the prefix runs from the end of one sample to
//! the value of the next and takes in whatever metadata stands between. Between two scrapes of one
//! server the prefixes stay as they are. A [`Layout`] keeps them, compares, and decodes the values;
//! only where a prefix differs is the page parsed again. A page that equals a page that was validated
//! before needs no validation of its own, so nothing is taken on trust.
//!
//! Every sample line has an id, a small number that it keeps as long as the layout knows it. What is
//! derived from the labels of a line (which family it belongs to, where its value goes) is worked
//! out once, when the line is [fresh](Fresh::sample), and found again by the id.

use std::collections::HashMap;
use std::ops::Range;

use super::{Entry, Options, ParseError, Parser, Sample, number};

/// Hears of everything on a page that the layout did not know.
pub trait Fresh {
    /// The layout forgot all lines: ids begin at 0 again.
    fn restart(&mut self);

    /// A metadata line or comment. Known ones may be told again.
    fn metadata(&mut self, entry: &Entry<'_>);

    /// A sample line that was not known, with the id it has from now on. Ids are given in order.
    fn sample(&mut self, id: u32, sample: &Sample<'_>);
}

/// What a reading of a page came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reread {
    /// Sample lines on the page.
    pub samples: usize,
    /// Whether the page had exactly the lines of the page before it, in any order.
    pub unchanged: bool,
    /// Lines that were skipped as invalid (lenient mode).
    pub skipped_lines: u64,
}

/// A sample line of the newest page: where in `text` its prefix stands, and its id.
#[derive(Clone, Debug)]
struct Piece {
    prefix: Range<usize>,
    id: u32,
}

/// The memory of one target's page.
///
/// Keeps one copy of the page's text and a few words for each line; lines that stay away are
/// forgotten when they are more than those that are there.
#[derive(Clone, Debug, Default)]
pub struct Layout {
    /// The prefixes of the newest page one after another, then what followed the last sample.
    text: Vec<u8>,
    pieces: Vec<Piece>,
    options: Option<Options>,
    /// The ids of each series, in the order its lines stand on a page: more than one where a page
    /// has a series twice.
    ids: HashMap<Box<[u8]>, Vec<u32>>,
    values: Vec<f64>,
    /// The page (by number) that had the line last.
    seen: Vec<u64>,
    page: u64,
    /// The newest good page by number; none after a page that failed. Whatever was seen since was on
    /// it, because a comparison that breaks off has only looked at its lines.
    good: Option<u64>,
    /// How many lines the newest good page had.
    present: usize,
    /// How many lines of the page at hand were on the good page before it.
    kept: usize,
}

/// Lines that stayed away are kept up to this many.
const ABSENT_LINES_KEPT: usize = 256;

impl Layout {
    /// A layout that knows nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads a page: values are then at hand by id, and `fresh` has heard of every new line.
    ///
    /// Costs no allocation where the lines are those of the page before.
    ///
    /// # Errors
    ///
    /// As the [`Parser`]: the page is then as if it had never been read. `fresh` may have heard of
    /// some of its lines; their ids stay valid, without values.
    pub fn read(
        &mut self,
        page: &[u8],
        options: Options,
        fresh: &mut impl Fresh,
    ) -> Result<Reread, ParseError> {
        self.page += 1;
        if self.options.as_ref() == Some(&options) && self.reread(page) {
            self.good = Some(self.page);
            return Ok(Reread {
                samples: self.pieces.len(),
                unchanged: true,
                skipped_lines: 0,
            });
        }
        let mut read = self.parse(page, options, fresh);
        match &mut read {
            Ok(read) => {
                // Servers that keep their series in hash maps write them in another order each time.
                read.unchanged = read.samples == self.present && self.kept == self.present;
                self.present = read.samples;
                self.good = Some(self.page);
            }
            // No line is of this page.
            Err(_) => {
                self.page += 1;
                self.good = None;
            }
        }
        read
    }

    /// The value of a line on the newest page; `None` where that page did not have it.
    #[must_use]
    #[inline]
    pub fn value(&self, id: u32) -> Option<f64> {
        let index = id as usize;
        (self.seen.get(index) == Some(&self.page)).then(|| self.values[index])
    }

    /// How many ids there are: all are below.
    #[must_use]
    pub fn ids(&self) -> usize {
        self.values.len()
    }

    /// Compares prefix by prefix; false where anything differs (values may then be half written).
    fn reread(&mut self, page: &[u8]) -> bool {
        let mut rest = page;
        for piece in &self.pieces {
            let Some(after) = rest.strip_prefix(&self.text[piece.prefix.clone()]) else {
                return false;
            };
            let Some(end) = memchr::memchr(b'\n', after) else {
                return false;
            };
            let Ok(value) = number::value(&after[..end]) else {
                return false;
            };
            self.values[piece.id as usize] = value;
            self.seen[piece.id as usize] = self.page;
            rest = &after[end..];
        }
        let tail = self.pieces.last().map_or(0, |piece| piece.prefix.end);
        rest == &self.text[tail..]
    }

    fn parse(
        &mut self,
        page: &[u8],
        options: Options,
        fresh: &mut impl Fresh,
    ) -> Result<Reread, ParseError> {
        self.forget_absent(fresh);
        // What a failed comparison left behind must not count.
        self.page += 1;
        self.options = None;
        self.kept = 0;
        self.pieces.clear();
        self.text.clear();
        let mut plain = true;
        let mut from = 0;
        let mut parser = Parser::new(page, options);
        for entry in &mut parser {
            match entry? {
                Entry::Sample(sample) => {
                    let id = self.id(&sample, fresh);
                    self.values[id as usize] = sample.value();
                    self.seen[id as usize] = self.page;
                    let (start, end) = (
                        sample.value_offset(),
                        sample.value_offset() + sample.value_len(),
                    );
                    plain &= page.get(end) == Some(&b'\n');
                    let prefix = self.text.len();
                    self.text.extend_from_slice(&page[from..start]);
                    self.pieces.push(Piece {
                        prefix: prefix..self.text.len(),
                        id,
                    });
                    from = end;
                }
                other => fresh.metadata(&other),
            }
        }
        self.text.extend_from_slice(&page[from..]);
        let skipped_lines = parser.skipped_lines();
        // Only a page that is wholly `prefix value newline` can be compared.
        if plain && skipped_lines == 0 {
            self.options = Some(options);
        }
        Ok(Reread {
            samples: self.pieces.len(),
            unchanged: false,
            skipped_lines,
        })
    }

    /// The id of a line: the first one of its series that this page has not used yet.
    fn id(&mut self, sample: &Sample<'_>, fresh: &mut impl Fresh) -> u32 {
        let known = self.ids.get(sample.series()).and_then(|ids| {
            ids.iter()
                .copied()
                .find(|id| self.seen[*id as usize] != self.page)
        });
        if let Some(id) = known {
            let seen = self.seen[id as usize];
            self.kept += usize::from(self.good.is_some_and(|good| seen >= good));
            return id;
        }
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the limit on samples is far below 2^32"
        )]
        let id = self.values.len() as u32;
        self.ids.entry(sample.series().into()).or_default().push(id);
        self.values.push(0.0);
        self.seen.push(0);
        fresh.sample(id, sample);
        id
    }

    /// Forgets everything when most ids are of lines that were not on the newest page.
    fn forget_absent(&mut self, fresh: &mut impl Fresh) {
        let absent = self.values.len().saturating_sub(self.present);
        if absent > ABSENT_LINES_KEPT && absent > self.present {
            self.ids.clear();
            self.values.clear();
            self.seen.clear();
            self.good = None;
            fresh.restart();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Heard {
        samples: Vec<(u32, String)>,
        metadata: usize,
        restarts: usize,
    }

    impl Fresh for Heard {
        fn restart(&mut self) {
            self.restarts += 1;
        }
        fn metadata(&mut self, _entry: &Entry<'_>) {
            self.metadata += 1;
        }
        fn sample(&mut self, id: u32, sample: &Sample<'_>) {
            self.samples
                .push((id, String::from_utf8(sample.series().to_vec()).unwrap()));
        }
    }

    fn read(layout: &mut Layout, page: &str, heard: &mut Heard) -> Result<Reread, ParseError> {
        layout.read(page.as_bytes(), Options::default(), heard)
    }

    #[test]
    fn the_same_lines_with_other_values_are_told_once() {
        let (mut layout, mut heard) = (Layout::new(), Heard::default());
        let first = "# TYPE a gauge\na{x=\"1\"} 1.0\na{x=\"2\"} 2.5\n# last\n";
        let second = "# TYPE a gauge\na{x=\"1\"} 100\na{x=\"2\"} NaN\n# last\n";
        assert!(!read(&mut layout, first, &mut heard).unwrap().unchanged);
        let reread = read(&mut layout, second, &mut heard).unwrap();
        assert_eq!(
            reread,
            Reread {
                samples: 2,
                unchanged: true,
                skipped_lines: 0
            }
        );
        assert_eq!(heard.samples.len(), 2);
        assert_eq!(layout.value(0), Some(100.0));
        assert!(layout.value(1).unwrap().is_nan());
    }

    #[test]
    fn another_order_is_the_same_lines() {
        let (mut layout, mut heard) = (Layout::new(), Heard::default());
        read(&mut layout, "a 1\nb 2\nc 3\n", &mut heard).unwrap();
        for (page, unchanged) in [
            ("c 4\na 5\nb 6\n", true),
            ("c 4\nb 5\na 6\n", true),
            ("c 4\nb 5\n", false),
            ("b 4\nc 5\n", true),
            ("b 4\na 5\n", false),
            ("b 4\na 5\nc 6\n", false),
            ("b 4\na 5\nd 6\n", false),
            ("a 4\nb 5\nx\n", false),
            ("d 4\nb 5\na 6\n", false),
            ("a 4\nb 5\nd 6\n", true),
        ] {
            let reread = read(&mut layout, page, &mut heard);
            assert_eq!(
                reread.is_ok_and(|reread| reread.unchanged),
                unchanged,
                "{page}"
            );
        }
        assert_eq!((layout.value(0), layout.value(1)), (Some(4.0), Some(5.0)));
        assert_eq!((layout.value(2), layout.value(3)), (None, Some(6.0)));
    }

    #[test]
    fn a_line_that_goes_is_absent_and_has_its_id_when_it_comes_back() {
        let (mut layout, mut heard) = (Layout::new(), Heard::default());
        read(&mut layout, "a 1\nb 2\n", &mut heard).unwrap();
        assert!(!read(&mut layout, "b 3\n", &mut heard).unwrap().unchanged);
        assert_eq!((layout.value(0), layout.value(1)), (None, Some(3.0)));
        read(&mut layout, "c 5\na 1\nb 2\n", &mut heard).unwrap();
        assert_eq!(
            (layout.value(0), layout.value(1), layout.value(2)),
            (Some(1.0), Some(2.0), Some(5.0))
        );
        assert_eq!(
            heard.samples,
            [(0, "a".into()), (1, "b".into()), (2, "c".into())]
        );
    }

    #[test]
    fn a_series_that_stands_twice_has_two_ids() {
        let (mut layout, mut heard) = (Layout::new(), Heard::default());
        read(&mut layout, "a 1\na 2\n", &mut heard).unwrap();
        assert_eq!((layout.value(0), layout.value(1)), (Some(1.0), Some(2.0)));
        assert_eq!(heard.samples.len(), 2);
    }

    #[test]
    fn a_page_that_fails_leaves_no_values() {
        let (mut layout, mut heard) = (Layout::new(), Heard::default());
        read(&mut layout, "a 1\nb 2\n", &mut heard).unwrap();
        assert!(read(&mut layout, "a 5\nb x\n", &mut heard).is_err());
        assert_eq!((layout.value(0), layout.value(1)), (None, None));
        read(&mut layout, "a 6\nb 7\n", &mut heard).unwrap();
        assert_eq!((layout.value(0), layout.value(1)), (Some(6.0), Some(7.0)));
        assert_eq!(heard.samples.len(), 2);
    }

    #[test]
    fn values_are_read_by_the_same_grammar_as_in_a_full_parse() {
        let (mut layout, mut heard) = (Layout::new(), Heard::default());
        read(&mut layout, "a 1\n", &mut heard).unwrap();
        for bad in [
            "a 1e400\n",
            "a +NaN\n",
            "a 0x1\n",
            "a 1_0\n",
            "a \n",
            "a 1 x\n",
        ] {
            assert!(read(&mut layout, bad, &mut heard).is_err(), "{bad}");
        }
        for (good, value) in [
            ("a 1 1700000000000\n", 1.0),
            ("a  2\n", 2.0),
            ("a 3", 3.0),
            ("a 4\n", 4.0),
        ] {
            read(&mut layout, good, &mut heard).unwrap();
            assert_eq!(layout.value(0), Some(value), "{good}");
        }
    }

    #[test]
    fn lines_that_stay_away_are_forgotten() {
        let (mut layout, mut heard) = (Layout::new(), Heard::default());
        for page in 0..2000 {
            read(
                &mut layout,
                &format!("a{{user=\"{page}\"}} 1\n"),
                &mut heard,
            )
            .unwrap();
        }
        assert!(heard.restarts > 0);
        assert!(layout.ids() <= ABSENT_LINES_KEPT + 2, "{}", layout.ids());
    }
}
