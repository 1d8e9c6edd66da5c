//! One line of the ordinary form, found and validated by masks.
//!
//! The ordinary sample is `name{label="value",label="value"} 12.5`, in all formats: one blank, none
//! in the braces, no trailing comma. Such a line is a *strictly local* language: whether it is
//! right can be seen from each byte and the one before it, given which bytes are inside quotes. So
//! 64 bytes are judged at once, in about as many operations as a scalar parser spends on one label:
//!
//! - quotes, less escaped ones, give by prefix parity which bytes are inside strings;
//! - outside, every `=` stands before an opening quote and every opening quote behind a `=`;
//! - behind every closing quote stands a comma, or something that the first blank follows at once
//!   (which is then looked at: it has to be the closing brace);
//! - behind every comma and the opening brace stands a letter or `_`;
//! - everything else outside, up to the first blank, is a letter, a digit, `_`, or, before the
//!   brace, a colon.
//!
//! What is left over from a block is at most one bit a rule: the carries.
//!
//! To change it: a line may be left to `plain` for any reason. A line taken here must be taken by
//! `plain` with the same entry.

use super::Machine;
use super::block::{Block, Portable};
use super::marked::Line;
use crate::MetricType;
use crate::exposition::entry::{Entry, Sample};
use crate::exposition::number;
use crate::exposition::text::{Escapes, Text};
use crate::exposition::{Format, Limits};

/// Blocks of the longest series that is tried: 2 KiB.
const BLOCKS: usize = 32;
const MORE: usize = BLOCKS - 2;
/// The most labels that are told apart here.
const LABELS: usize = 64;

/// Reads the lines of one page.
#[derive(Clone)]
pub(crate) struct Lines<'a> {
    page: &'a [u8],
    machine: Machine,
    /// What it says of the line before is used for the next one, so it belongs to `page`.
    work: Work,
}

/// Memory that one line uses and the next one overwrites.
#[derive(Clone)]
struct Work {
    last: Last,
    reading: Reading,
    metadata: Metadata,
    /// Quotes of each block of the series behind the first two.
    more: [u64; MORE],
}

/// What follows a series. This and the other parts an entry is made of go through memory word by
/// word, and the entry is made by the caller: returned as one large value it would be copied in other
/// pieces than it was written in, which stalls.
#[derive(Clone, Copy)]
struct Reading {
    /// Where the next line begins.
    next: usize,
    value: f64,
    value_end: usize,
    timestamp: Option<i64>,
}

/// The parts of a metadata line.
#[derive(Clone, Copy)]
struct Metadata {
    /// Where the next line begins.
    next: usize,
    /// Length of the name.
    name: usize,
    /// Where the text ends, from the start of the line.
    end: usize,
    /// Whether a backslash is in the line; may be said for the next line.
    backslash: bool,
    kind: MetricType,
}

/// What a line was found to be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// Not of the ordinary form.
    Other,
    Sample,
    Help,
    Type,
}

impl<'a> Lines<'a> {
    pub(crate) const fn new(page: &'a [u8], machine: Machine) -> Self {
        let work = Work {
            last: Last::NONE,
            reading: Reading {
                next: 0,
                value: 0.0,
                value_end: 0,
                timestamp: None,
            },
            metadata: Metadata {
                next: 0,
                name: 0,
                end: 0,
                backslash: false,
                kind: MetricType::Unknown,
            },
            more: [0; MORE],
        };
        Self {
            page,
            machine,
            work,
        }
    }

    pub(crate) const fn page(&self) -> &'a [u8] {
        self.page
    }

    /// The entry of the line that begins at `start`, and where the next line begins; `None` where
    /// `plain` has to say what the line is.
    #[inline(always)]
    pub(crate) fn entry(
        &mut self,
        start: usize,
        format: Format,
        limits: &Limits,
    ) -> Option<(Entry<'a>, usize)> {
        let Self {
            page,
            machine,
            work,
        } = self;
        let page = *page;
        let verdict = match *machine {
            Machine::Plain => Verdict::Other,
            Machine::Portable => portable(page, start, format, limits, work),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the token proves the features that the function is compiled with.
            Machine::Avx2(token) => unsafe { avx2(token, page, start, format, limits, work) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the token proves the features that the function is compiled with.
            Machine::Avx512(token) => unsafe { avx512(token, page, start, format, limits, work) },
        };
        // SAFETY: a verdict but `Other` says that the places below are within the page, beside ASCII
        // bytes or at the ends of text in which no byte was above 0x7f, or which was checked.
        let cut = |from: usize, to: usize| unsafe {
            debug_assert!(std::str::from_utf8(&page[start + from..start + to]).is_ok());
            std::str::from_utf8_unchecked(page.get_unchecked(start + from..start + to))
        };
        let Metadata {
            next,
            name,
            end,
            backslash,
            kind,
        } = work.metadata;
        let metadata_name = || Text::new(cut(NAME, NAME + name), Escapes::None);
        match verdict {
            Verdict::Other => None,
            Verdict::Sample => {
                let Last {
                    len,
                    brace,
                    labels,
                    quotes,
                    backslash,
                    ..
                } = work.last;
                let Reading {
                    next,
                    value,
                    value_end,
                    timestamp,
                } = work.reading;
                // SAFETY: the verdict says that the text is a series of the ordinary form with these
                // labels and this brace; the quotes are those of its first two blocks, escaped ones
                // left out, and longer series with backslashes were turned away.
                let line = unsafe { Line::marked(cut(0, len), brace, labels, quotes, backslash) };
                let value_offset = start + len + 1;
                let value_len = value_end - value_offset;
                let sample = Sample {
                    line,
                    value,
                    value_offset,
                    value_len,
                    timestamp,
                };
                Some((Entry::Sample(sample), next))
            }
            Verdict::Help => {
                let text = cut(NAME + name + 1, end);
                let help = match format {
                    _ if !backslash => Text::new(text, Escapes::None),
                    Format::OpenMetrics100 => Text::with(text, Escapes::Quoted),
                    Format::Text004 | Format::Text100 => Text::with(text, Escapes::Help),
                };
                Some((
                    Entry::Help {
                        name: metadata_name(),
                        help,
                    },
                    next,
                ))
            }
            Verdict::Type => Some((
                Entry::Type {
                    name: metadata_name(),
                    kind,
                },
                next,
            )),
        }
    }
}

#[inline(never)]
fn portable(
    page: &[u8],
    start: usize,
    format: Format,
    limits: &Limits,
    work: &mut Work,
) -> Verdict {
    line(Portable, page, start, format, limits, work)
}

#[cfg(target_arch = "x86_64")]
#[inline(never)]
#[target_feature(enable = "avx2,pclmulqdq,bmi1,bmi2,lzcnt,popcnt")]
fn avx2(
    token: super::x86::Avx2,
    page: &[u8],
    start: usize,
    format: Format,
    limits: &Limits,
    work: &mut Work,
) -> Verdict {
    line(token, page, start, format, limits, work)
}

#[cfg(target_arch = "x86_64")]
#[inline(never)]
#[target_feature(enable = "avx512f,avx512bw,pclmulqdq,bmi1,bmi2,lzcnt,popcnt")]
fn avx512(
    token: super::x86::Avx512,
    page: &[u8],
    start: usize,
    format: Format,
    limits: &Limits,
    work: &mut Work,
) -> Verdict {
    line(token, page, start, format, limits, work)
}

#[inline(always)]
fn line(
    block: impl Block,
    page: &[u8],
    start: usize,
    format: Format,
    limits: &Limits,
    work: &mut Work,
) -> Verdict {
    let verdict = match page.get(start) {
        Some(b'#') => metadata(block, page, start, limits, &mut work.metadata),
        Some(b'a'..=b'z' | b'A'..=b'Z' | b'_' | b':') => {
            sample(block, page, start, format, limits, work)
        }
        _ => None,
    };
    verdict.unwrap_or(Verdict::Other)
}

/// The 64 bytes of `page` from `at`; zeros stand for what is behind its end.
#[inline(always)]
fn load<'b>(page: &'b [u8], at: usize, spare: &'b mut [u8; 64]) -> &'b [u8; 64] {
    match page.get(at..at + 64).and_then(|block| block.first_chunk()) {
        Some(block) => block,
        None => {
            *spare = padded(page, at);
            spare
        }
    }
}

#[cold]
fn padded(page: &[u8], at: usize) -> [u8; 64] {
    let mut block = [0; 64];
    for (to, from) in block.iter_mut().zip(page.get(at..).unwrap_or_default()) {
        *to = *from;
    }
    block
}

/// The lowest bit of a mask.
#[inline(always)]
const fn lowest(mask: u64) -> u64 {
    mask & mask.wrapping_neg()
}

/// Which bytes are escaped by a backslash before them. `carry` is the bit that crosses blocks.
#[inline(always)]
const fn escaped(backslash: u64, carry: &mut u64) -> u64 {
    const ODD: u64 = 0xaaaa_aaaa_aaaa_aaaa;
    // A run of backslashes escapes every second of its bytes and, where its length is odd, the byte
    // behind it. Subtracting carries through a run to its end, starting at an even or odd place.
    let starts = backslash & !*carry;
    let maybe = (starts << 1) | ODD;
    let ends = maybe.wrapping_sub(starts) ^ ODD;
    let escaped = ends ^ (backslash | *carry);
    *carry = (ends & backslash) >> 63;
    escaped
}

/// What the masks say of a series.
#[derive(Clone, Copy)]
struct Series {
    /// Bytes up to the blank behind it.
    len: usize,
    /// Where its brace is; its length where there is none.
    brace: usize,
    labels: usize,
    /// Whether a byte is not ASCII; may be said for the next line.
    high: bool,
    /// Whether there is a backslash; may be said for the next line.
    backslash: bool,
    /// Where the block begins that holds the blank, within the line.
    last: usize,
    /// Blanks and newlines of that block, behind the blank.
    ends: u64,
    /// The quotes of the first two blocks.
    quotes: [u64; 2],
}

/// What one block leaves to the next.
#[derive(Clone, Copy)]
struct State {
    labels: usize,
    high: u64,
    backslash: u64,
    /// All ones until the brace is found.
    unbraced: u64,
    brace: usize,
    /// All ones where the block ends inside quotes.
    inside: u64,
    /// One bit each: whether the last byte was one whose neighbour a rule is about.
    escape: u64,
    equals: u64,
    closing: u64,
    last: u64,
    start: u64,
}

impl State {
    const START: Self = Self {
        labels: 0,
        high: 0,
        backslash: 0,
        unbraced: u64::MAX,
        brace: 0,
        inside: 0,
        escape: 0,
        equals: 0,
        closing: 0,
        last: 0,
        start: 0,
    };

    /// Judges the block at `base` of the line. Gives its unescaped quotes, the bit of the blank that
    /// ends the series, if it is here, and the blanks and newlines behind it.
    #[inline(always)]
    fn judge(
        &mut self,
        block: impl Block,
        bytes: &[u8; 64],
        base: usize,
    ) -> Option<(u64, u64, u64)> {
        let c = block.classes(bytes);
        let mut quote = c.quote;
        if c.backslash | self.escape != 0 {
            quote &= !escaped(c.backslash, &mut self.escape);
            self.backslash = 1;
        }
        let inside = block.prefix_xor(quote) ^ self.inside;
        self.inside = (inside.cast_signed() >> 63).cast_unsigned();
        let outside = !(inside | quote);
        let end = lowest(c.space & outside);
        // The bytes of the series: below its end, all of them where that is not in this block.
        let below = end.wrapping_sub(1);
        let outside = outside & below;
        let quote = quote & below;

        let mut bad = c.newline & below;
        let equals = c.equals & outside;
        bad |= (equals << 1 | self.equals) ^ (quote & inside);
        let closing = quote & !inside;
        let after = closing << 1 | self.closing;
        let comma = c.comma & outside;
        bad |= comma & !after;
        let last = after & !comma;
        bad |= (last << 1 | self.last) & !end;
        let odd = outside & !c.word;
        // The first one that may not be in a name: the brace, as is looked at in the end.
        let brace = lowest(odd & !c.colon & self.unbraced);
        let before_brace = brace.wrapping_sub(1) & self.unbraced;
        bad |= quote & before_brace;
        bad |= odd & !(equals | after | brace | c.colon & before_brace);
        let starts = (brace | comma) << 1 | self.start;
        bad |= starts & !(c.word & !c.digit & outside);
        if bad != 0 {
            return None;
        }

        self.labels += closing.count_ones() as usize;
        self.high |= c.high;
        if brace != 0 {
            self.brace = base + brace.trailing_zeros() as usize;
            self.unbraced = 0;
        }
        self.equals = equals >> 63;
        self.closing = closing >> 63;
        self.last = last >> 63;
        self.start = (brace | comma) >> 63;
        Some((quote, end, (c.space | c.newline) & !(below | end)))
    }

    /// The series, whose blank was found; `None` where its braces are none.
    #[inline(always)]
    fn series(
        self,
        page: &[u8],
        start: usize,
        base: usize,
        (end, ends): (u64, u64),
        quotes: [u64; 2],
    ) -> Option<Series> {
        let len = base + end.trailing_zeros() as usize;
        let mut brace = len;
        if self.unbraced == 0 {
            brace = self.brace;
            if page.get(start + brace) != Some(&b'{') || page.get(start + len - 1) != Some(&b'}') {
                return None;
            }
        }
        let (high, backslash) = (self.high != 0, self.backslash != 0);
        Some(Series {
            len,
            brace,
            labels: self.labels,
            high,
            backslash,
            last: base,
            ends,
            quotes,
        })
    }
}

/// Judges the line at `start` up to its first blank outside quotes.
#[inline(always)]
fn series(block: impl Block, page: &[u8], start: usize, more: &mut [u64; MORE]) -> Option<Series> {
    let mut spare = [0; 64];
    let mut state = State::START;
    // The first block has nothing before it, which makes half of the rules simpler.
    let (first, end, ends) = state.judge(block, load(page, start, &mut spare), 0)?;
    if end != 0 {
        return state.series(page, start, 0, (end, ends), [first, 0]);
    }
    let (second, end, ends) = state.judge(block, load(page, start + 64, &mut spare), 64)?;
    if end != 0 {
        return state.series(page, start, 64, (end, ends), [first, second]);
    }
    for (n, more) in more.iter_mut().enumerate() {
        let base = 64 * (n + 2);
        let (quote, end, ends) = state.judge(block, load(page, start + base, &mut spare), base)?;
        *more = quote;
        if end != 0 {
            return state.series(page, start, base, (end, ends), [first, second]);
        }
    }
    None
}

/// The series before, which the next one mostly is the like of: one bucket follows another.
#[derive(Clone, Copy)]
struct Last {
    /// Whether it is of use: with labels, shorter than 128 bytes, all ASCII, without backslashes.
    usable: bool,
    start: usize,
    len: usize,
    brace: usize,
    labels: usize,
    quotes: [u64; 2],
    backslash: bool,
}

impl Last {
    const NONE: Self = Self {
        usable: false,
        start: 0,
        len: 0,
        brace: 0,
        labels: 0,
        quotes: [0; 2],
        backslash: false,
    };

    #[inline(always)]
    const fn new(start: usize, series: &Series) -> Self {
        let Series {
            len,
            brace,
            labels,
            high,
            backslash,
            quotes,
            ..
        } = *series;
        let usable = labels != 0 && len < 128 && !high && !backslash;
        Self {
            usable,
            start,
            len,
            brace,
            labels,
            quotes,
            backslash,
        }
    }
}

/// The bits below a bit.
#[inline(always)]
const fn below(bit: usize) -> u64 {
    (1 << bit) - 1
}

/// The series at `start`, if it differs from the last one in the value of one label only. The rest
/// was judged before, so that comparing it is enough.
#[inline(always)]
fn repeat(block: impl Block, page: &[u8], start: usize, last: &mut Last) -> Option<Blank> {
    if !last.usable {
        return None;
    }
    let at = |from: usize| {
        page.get(from..from + 64)
            .and_then(|block| block.first_chunk::<64>())
    };
    // The block in which the two differ, and how many quotes are before it.
    let mut base = 0;
    let mut here = at(start)?;
    let mut quotes = last.quotes[0];
    let mut before = 0;
    let mut differs = !block.equal(at(last.start)?, here);
    if differs == 0 {
        base = 64;
        here = at(start + 64)?;
        before = quotes.count_ones();
        quotes = last.quotes[1];
        differs = !block.equal(at(last.start + 64)?, here);
        if differs == 0 {
            return None;
        }
    }
    let same = differs.trailing_zeros() as usize;
    let string = block.string(here);
    // The difference begins inside a string where an odd number of quotes is before it.
    before += (quotes & below(same)).count_ones();
    let closing = quotes & !below(same);
    let now = string.quote & !below(same);
    if before & 1 == 0
        || closing == 0
        || now == 0
        || string.unusual & now.wrapping_sub(1) & !now & !below(same) != 0
    {
        return None;
    }
    let closing = closing.trailing_zeros() as usize;
    let now = now.trailing_zeros() as usize;
    // From the closing quote to the blank, both included, in 64 bytes.
    let rest = last.len + 1 - (base + closing);
    let differs = !block.equal(at(last.start + base + closing)?, at(start + base + now)?);
    let len = last.len + now - closing;
    if (differs.trailing_zeros() as usize) < rest || len >= 128 {
        return None;
    }
    if base != 0 {
        last.quotes[1] = string.quote & below(len - 64);
    } else if len < 64 {
        last.quotes = [string.quote & below(len), 0];
    } else {
        last.quotes = [
            string.quote,
            block.string(at(start + 64)?).quote & below(len - 64),
        ];
    }
    last.start = start;
    last.len = len;
    // The value is behind the blank, in a block that begins there.
    let few = block.few(at(start + len + 1)?);
    Some(Blank {
        len,
        base: len + 1,
        ends: few.newline | few.space,
    })
}

/// Whether no label name occurs twice; may say no where `plain` would say yes.
#[inline(always)]
fn distinct(page: &[u8], start: usize, series: &Series, work: &mut Work) -> bool {
    if series.labels < 2 {
        return true;
    }
    let mut quotes = Quotes::new(series.quotes, &work.more);
    let mut name = series.brace + 1;
    // Names of different lengths differ. A bit a length, modulo 64.
    let mut seen = 0u64;
    let mut met = 0u64;
    for _ in 0..series.labels {
        let (open, close) = quotes.pair();
        let bit = 1u64 << ((open - name) % 64);
        met |= seen & bit;
        seen |= bit;
        name = close + 2;
    }
    met == 0
        || all_differ(
            page,
            start,
            (series.brace + 1, series.labels),
            series.quotes,
            work,
        )
}

/// The marked quotes of a series, in order.
struct Quotes<'a> {
    word: u64,
    second: u64,
    more: &'a [u64; MORE],
    /// The block that `word` is of.
    block: usize,
}

impl<'a> Quotes<'a> {
    #[inline(always)]
    const fn new([first, second]: [u64; 2], more: &'a [u64; MORE]) -> Self {
        Self {
            word: first,
            second,
            more,
            block: 0,
        }
    }

    #[inline(always)]
    fn next(&mut self) -> usize {
        while self.word == 0 {
            self.block += 1;
            self.word = match self.block {
                1 => self.second,
                // Behind the last block, which only a count that is wrong could ask for: any bit ends it.
                block => *self.more.get(block - 2).unwrap_or(&1),
            };
        }
        let at = 64 * self.block + self.word.trailing_zeros() as usize;
        self.word &= self.word - 1;
        at
    }

    /// The opening and the closing one of a string.
    #[inline(always)]
    fn pair(&mut self) -> (usize, usize) {
        (self.next(), self.next())
    }
}

/// Compares what stands for the names: their length and their first and last bytes.
#[inline(never)]
fn all_differ(
    page: &[u8],
    start: usize,
    (mut name, labels): (usize, usize),
    quotes: [u64; 2],
    work: &mut Work,
) -> bool {
    let mut keys = [0; LABELS];
    let Some(keys) = keys.get_mut(..labels) else {
        return false;
    };
    let mut quotes = Quotes::new(quotes, &work.more);
    for n in 0..keys.len() {
        let (open, close) = quotes.pair();
        let len = open - 1 - name;
        let Some(first) = page
            .get(start + name..)
            .and_then(|rest| rest.first_chunk::<8>())
        else {
            return false;
        };
        let mut key = u64::from_le_bytes(*first);
        if len < 8 {
            key &= (1 << (8 * len)) - 1;
        }
        // The end of a longer name tells more than its beginning.
        if let Some(last) = page
            .get(..start + open - 1)
            .and_then(|rest| rest.last_chunk::<8>())
            && len > 8
        {
            key = key.rotate_left(7) ^ u64::from_le_bytes(*last);
        }
        key = key.wrapping_add((len as u64).wrapping_mul(0xd6e8_feb8_6659_fd93));
        let (earlier, rest) = keys.split_at_mut(n);
        if earlier.contains(&key) {
            return false;
        }
        rest[0] = key;
        name = close + 2;
    }
    true
}

#[inline(always)]
fn sample(
    block: impl Block,
    page: &[u8],
    start: usize,
    format: Format,
    limits: &Limits,
    work: &mut Work,
) -> Option<Verdict> {
    // The two ways go on separately: joined, what they found would have to be moved to one place.
    if let Some(blank) = repeat(block, page, start, &mut work.last) {
        return reading(block, page, start, format, limits, work, blank);
    }
    let series = series(block, page, start, &mut work.more)?;
    if series.labels > limits.labels
        || series.backslash && series.len > 128
        || series.high && std::str::from_utf8(page.get(start..start + series.len)?).is_err()
        || !distinct(page, start, &series, work)
    {
        return None;
    }
    work.last = Last::new(start, &series);
    let blank = Blank {
        len: series.len,
        base: series.last,
        ends: series.ends,
    };
    reading(block, page, start, format, limits, work, blank)
}

/// The blank behind a series.
#[derive(Clone, Copy)]
struct Blank {
    /// The length of the series before it.
    len: usize,
    /// Where, in the line, the block begins that `ends` is of.
    base: usize,
    /// Blanks and newlines behind it.
    ends: u64,
}

/// What follows the series that was found last.
#[inline(always)]
fn reading(
    block: impl Block,
    page: &[u8],
    start: usize,
    format: Format,
    limits: &Limits,
    work: &mut Work,
    blank: Blank,
) -> Option<Verdict> {
    if blank.len > limits.label_value_bytes {
        return None;
    }
    // The value runs from behind the blank to the next blank or newline, which is in this block or
    // the next; longer numbers are for `plain`.
    let value_at = start + blank.len + 1;
    let mut ends = blank.ends;
    let mut base = start + blank.base;
    if ends == 0 {
        let mut spare = [0; 64];
        base += 64;
        let next = block.few(load(page, base, &mut spare));
        ends = next.newline | next.space;
        if ends == 0 {
            return None;
        }
    }
    let value_end = base + ends.trailing_zeros() as usize;
    let value = number::value_at(page, value_at, value_end).ok()?;
    let (timestamp, newline) = if page.get(value_end) == Some(&b'\n') {
        (None, value_end)
    } else {
        timestamp(page, value_end + 1, format)?
    };
    if newline - start > limits.line_bytes {
        return None;
    }
    work.reading = Reading {
        next: newline + 1,
        value,
        value_end,
        timestamp,
    };
    Some(Verdict::Sample)
}

/// Milliseconds up to the newline, in the text formats.
#[inline(never)]
fn timestamp(page: &[u8], from: usize, format: Format) -> Option<(Option<i64>, usize)> {
    if format == Format::OpenMetrics100 {
        return None;
    }
    let rest = page.get(from..)?;
    let len = rest.iter().take(20).position(|b| *b == b'\n')?;
    let digits = rest.get(..len)?;
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some((Some(number::timestamp_ms(digits)?), from + len))
}

/// Where the name of a metadata line is.
const NAME: usize = b"# HELP ".len();

/// `# HELP name text` and `# TYPE name type`.
#[inline(always)]
fn metadata(
    block: impl Block,
    page: &[u8],
    start: usize,
    limits: &Limits,
    found: &mut Metadata,
) -> Option<Verdict> {
    let help = match page.get(start..)?.first_chunk::<NAME>()? {
        b"# HELP " => true,
        b"# TYPE " => false,
        _ => return None,
    };
    let mut spare = [0; 64];
    let c = block.classes(load(page, start, &mut spare));
    let name_len = (!((c.word | c.colon) >> NAME)).trailing_zeros() as usize;
    let name_end = NAME + name_len;
    if name_len == 0 || name_end >= 64 || c.digit >> NAME & 1 != 0 || c.space >> name_end & 1 == 0 {
        return None;
    }
    let (mut newline, mut high, mut backslash) = (c.newline, c.high, c.backslash);
    let mut base = start;
    while newline == 0 {
        base += 64;
        if base - start > limits.line_bytes.min(64 * BLOCKS) {
            return None;
        }
        let few = block.few(load(page, base, &mut spare));
        newline = few.newline;
        // Bits above the newline are of the next line: they can only make this one slower.
        high |= few.high;
        backslash |= few.backslash;
    }
    let end = base + newline.trailing_zeros() as usize;
    if end - start > limits.line_bytes {
        return None;
    }
    let text = page.get(start + name_end + 1..end)?;
    if high != 0 && std::str::from_utf8(text).is_err() {
        return None;
    }
    let kind = match text {
        _ if help => MetricType::Unknown,
        b"counter" => MetricType::Counter,
        b"gauge" => MetricType::Gauge,
        b"histogram" => MetricType::Histogram,
        b"summary" => MetricType::Summary,
        _ => return None,
    };
    *found = Metadata {
        next: end + 1,
        name: name_len,
        end: end - start,
        backslash: backslash != 0,
        kind,
    };
    Some(if help { Verdict::Help } else { Verdict::Type })
}

#[cfg(test)]
mod tests {
    use super::escaped;

    /// By counting: a byte is escaped where a backslash that is not escaped stands before it.
    fn naive(text: &[bool]) -> Vec<bool> {
        let mut out = Vec::new();
        let mut pending = false;
        for backslash in text {
            out.push(pending);
            pending = *backslash && !pending;
        }
        out
    }

    #[test]
    fn escapes_are_found_across_blocks() {
        // A run of each length at each place, over the seam of two blocks.
        for start in 0..100 {
            for len in 0..28 {
                let text: Vec<bool> = (0..128)
                    .map(|n| (start..start + len).contains(&n))
                    .collect();
                let want = naive(&text);
                let mut carry = 0;
                for (block, want) in text.chunks(64).zip(want.chunks(64)) {
                    let bits = block.iter().rev().fold(0, |m, b| m << 1 | u64::from(*b));
                    let got = escaped(bits, &mut carry);
                    let want = want.iter().rev().fold(0, |m, b| m << 1 | u64::from(*b));
                    assert_eq!(got, want, "{start} {len}");
                }
            }
        }
    }
}
