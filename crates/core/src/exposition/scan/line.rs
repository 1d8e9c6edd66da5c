//! The lines of a page, some of them read ahead.
//!
//! The ordinary sample is `name{label="value",label="value"} 12.5`, in all formats: one blank, none
//! in the braces, no trailing comma. It is judged by masks ([`series`](fn@series)), or by comparing it
//! with one before ([`Like`]); the value behind it by masks too. What is found are places; no
//! value is decoded here, and no label cut.
//!
//! A few lines are read at a time: so the masks' constants stay in registers, and the call, which
//! cannot be inlined because it is compiled for other instructions than its caller, is paid once. What
//! is found of a line goes through memory as a [`Record`]; an entry is made of it where it is asked for,
//! so that what the caller does not look at is never made.
//!
//! To change it: a line may be left to `plain` for any reason. A line taken here must be taken by
//! `plain` with the same entry.

use super::Machine;
use super::block::{Block, Portable};
use super::distinct::distinct;
use super::marked::{Line, Marks};
use super::metadata::{Metadata, NAME, What, metadata};
use super::reading::{Reading, reading};
use super::repeat::Like;
use super::series::{More, NO_MORE, series};
use super::window::Window;
use crate::exposition::entry::{Entry, Sample};
use crate::exposition::text::{Escapes, Text};
use crate::exposition::{Format, Limits};

/// The most lines that are read ahead.
const AHEAD: usize = 8;

/// Reads the lines of one page.
#[derive(Clone)]
pub(crate) struct Lines<'a> {
    page: &'a [u8],
    machine: Machine,
    /// What it says of the line before is used for the next one, so it belongs to `page`.
    work: Work,
    /// Lines that were found; those from `given` to `found` follow one another from the place that
    /// is asked for next.
    records: [Record; AHEAD],
    given: usize,
    found: usize,
    /// How many to look for next: few at a new place, from where the caller may soon be gone.
    ahead: usize,
}

/// Memory that one line uses and the next one overwrites.
#[derive(Clone)]
struct Work {
    /// The last series of two forms: buckets, say, and the counts and sums between them.
    likes: [Like; 2],
    /// Which of them is the last one.
    last: usize,
    more: More,
}

/// What was found of a line of the ordinary form. Belongs to the page it was found in.
#[derive(Clone, Copy)]
struct Record {
    start: usize,
    /// Where the next line begins.
    next: usize,
    found: Found,
}

#[derive(Clone, Copy)]
enum Found {
    Sample(Places),
    Metadata(Metadata),
}

/// Where the parts of a sample are, from the start of its line.
#[derive(Clone, Copy)]
struct Places {
    /// Length of the series.
    series: usize,
    brace: usize,
    labels: usize,
    quotes: [u64; 2],
    marks: Marks,
    value_end: usize,
    digits: usize,
    exemplar: usize,
    timestamp: Option<i64>,
}

impl Record {
    const NONE: Self = Self {
        start: 0,
        next: 0,
        found: Found::Metadata(Metadata {
            name: 0,
            end: NAME,
            what: What::Help { backslash: false },
        }),
    };
}

impl<'a> Lines<'a> {
    pub(crate) const fn new(page: &'a [u8], machine: Machine) -> Self {
        Self {
            page,
            machine,
            work: Work {
                likes: [Like::NONE; 2],
                last: 0,
                more: NO_MORE,
            },
            records: [Record::NONE; AHEAD],
            given: 0,
            found: 0,
            ahead: AHEAD,
        }
    }

    pub(crate) const fn page(&self) -> &'a [u8] {
        self.page
    }

    /// Says that the next line asked for does not follow the last one.
    pub(crate) const fn leap(&mut self) {
        self.given = 0;
        self.found = 0;
        self.ahead = 1;
    }

    /// Whether lines are at hand that were read ahead.
    #[inline(always)]
    pub(crate) const fn is_ahead(&self) -> bool {
        self.given < self.found
    }

    /// Reads ahead from the line at `start`, which follows the last one given; `false` where `plain`
    /// has to say what that line is.
    #[inline(never)]
    pub(crate) fn read(&mut self, start: usize, format: Format, limits: &Limits) -> bool {
        let Self {
            page,
            machine,
            work,
            records,
            ahead,
            ..
        } = self;
        let records = records.get_mut(..*ahead).unwrap_or_default();
        self.given = 0;
        self.found = match *machine {
            Machine::Plain => 0,
            Machine::Portable => portable(page, start, format, limits, work, records),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the token proves the features that the function is compiled with.
            Machine::Avx2(token) => unsafe {
                avx2(token, page, start, format, limits, work, records)
            },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the token proves the features that the function is compiled with.
            Machine::Avx512(token) => unsafe {
                avx512(token, page, start, format, limits, work, records)
            },
        };
        self.ahead = (2 * *ahead).min(AHEAD);
        self.found != 0
    }

    /// The entry of the next line that was read ahead, where it begins and where the next one does.
    #[inline(always)]
    pub(crate) fn entry(&mut self, format: Format) -> Option<(Entry<'a>, usize, usize)> {
        if !self.is_ahead() {
            return None;
        }
        let Record { start, next, found } = self.records[self.given % AHEAD];
        self.given += 1;
        let page = self.page;
        let cut = |from: usize, to: usize| {
            debug_assert!(std::str::from_utf8(&page[start + from..start + to]).is_ok());
            // SAFETY: a record has places within the page, beside ASCII bytes or at the ends of text
            // in which no byte was above 0x7f, or which was checked.
            unsafe { std::str::from_utf8_unchecked(page.get_unchecked(start + from..start + to)) }
        };
        let entry = match found {
            Found::Sample(places) => {
                let Places {
                    series,
                    brace,
                    labels,
                    quotes,
                    marks,
                    value_end,
                    digits,
                    exemplar,
                    timestamp,
                } = places;
                let text = cut(0, next - start - 1);
                // SAFETY: the record says that the text begins with a series of the ordinary form with
                // these labels, this brace and these marks, and what is behind it.
                let line = unsafe {
                    Line::marked(
                        text, series, brace, labels, quotes, marks, value_end, digits, exemplar,
                    )
                };
                Entry::Sample(Sample {
                    line,
                    offset: start,
                    timestamp,
                })
            }
            Found::Metadata(Metadata { name, end, what }) => {
                let text = || cut(NAME + name + 1, end);
                let name = Text::new(cut(NAME, NAME + name), Escapes::None);
                match what {
                    What::Type(kind) => Entry::Type { name, kind },
                    What::Help { backslash: false } => Entry::Help {
                        name,
                        help: Text::new(text(), Escapes::None),
                    },
                    What::Help { backslash: true } => Entry::Help {
                        name,
                        help: Text::with(text(), Escapes::of_help(format)),
                    },
                }
            }
        };
        Some((entry, start, next))
    }
}

#[inline(never)]
fn portable(
    page: &[u8],
    start: usize,
    format: Format,
    limits: &Limits,
    work: &mut Work,
    records: &mut [Record],
) -> usize {
    lines(
        Portable,
        Window::new(page),
        start,
        format,
        limits,
        work,
        records,
    )
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
    records: &mut [Record],
) -> usize {
    lines(
        token,
        Window::new(page),
        start,
        format,
        limits,
        work,
        records,
    )
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
    records: &mut [Record],
) -> usize {
    lines(
        token,
        Window::new(page),
        start,
        format,
        limits,
        work,
        records,
    )
}

/// Reads lines until there is no more room, or one is not of the ordinary form; gives how many.
#[inline(always)]
fn lines(
    block: impl Block,
    window: Window<'_>,
    mut start: usize,
    format: Format,
    limits: &Limits,
    work: &mut Work,
    records: &mut [Record],
) -> usize {
    let mut found = 0;
    for record in records {
        // Where the next line begins is known before anything is known of this one, so that the
        // processor can be at work on both.
        let Some(newline) = window.newline(block, start) else {
            break;
        };
        if newline - start > limits.line_bytes {
            break;
        }
        let Some(&first) = window.page().get(start) else {
            break;
        };
        let next = newline + 1;
        if first == b'#' {
            let Some(metadata) = metadata(block, window, start, newline) else {
                break;
            };
            *record = Record {
                start,
                next,
                found: Found::Metadata(metadata),
            };
        } else if first.is_ascii_alphabetic() || matches!(first, b'_' | b':') {
            let Some(places) = sample(block, window, start, newline, format, limits, work) else {
                break;
            };
            *record = Record {
                start,
                next,
                found: Found::Sample(places),
            };
        } else {
            break;
        }
        start = next;
        found += 1;
    }
    found
}

/// Reads the sample from `start` to `newline`.
#[inline(always)]
fn sample(
    block: impl Block,
    window: Window<'_>,
    start: usize,
    newline: usize,
    format: Format,
    limits: &Limits,
    work: &mut Work,
) -> Option<Places> {
    let Work { likes, last, more } = work;
    let mut marks = Marks::Quotes;
    let mut untried = likes.len();
    let like = loop {
        let like = &mut likes[*last & 1];
        if like.repeat(block, window, start) {
            break like;
        }
        untried -= 1;
        if untried != 0 {
            *last ^= 1;
            continue;
        }
        let series = series(block, window, start, more)?;
        let page = window.page();
        if series.labels > limits.labels
            // Only of the first two blocks is it kept which quotes are escaped.
            || series.backslash && series.len > 128
            || series.high && std::str::from_utf8(page.get(start..start + series.len)?).is_err()
            || !distinct(page, start, &series, more)
        {
            return None;
        }
        if series.backslash {
            marks = Marks::QuotesAndEscapes;
        }
        *like = Like::new(block, window, start, &series);
        break like;
    };
    // No label value is longer than the series; whether one is too long is for `plain` to say.
    if like.len > limits.label_value_bytes {
        return None;
    }
    let Reading {
        value_end,
        digits,
        timestamp,
        exemplar,
    } = reading(block, window, start + like.len + 1, newline, format, limits)?;
    Some(Places {
        series: like.len,
        brace: like.brace,
        labels: like.labels,
        quotes: like.quotes,
        marks,
        value_end: value_end - start,
        digits,
        exemplar: exemplar - start,
        timestamp,
    })
}
