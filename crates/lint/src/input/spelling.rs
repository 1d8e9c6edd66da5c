//! How a piece of text stands in a file: quoted, folded, escaped; so that a place in the text is a
//! place in the file.

use std::ops::Range;

/// Where in the file each byte of a text begins and ends, and where the text ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Spelling {
    offsets: Vec<(usize, usize)>,
    style: Style,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    /// As in JSON.
    Double,
    Single,
    /// Plain or a block.
    Bare,
}

impl Spelling {
    /// How `text`, which begins at byte `start` of `file`, is spelled there; `None` where that cannot
    /// be made out.
    pub(crate) fn of(file: &str, start: usize, text: &str) -> Option<Self> {
        let start = behind_properties(file, start);
        let rest = file.get(start..)?;
        let bare = |start| align(file, start, text, Style::Bare);
        match rest.chars().next()? {
            '"' => align(file, start + 1, text, Style::Double).or_else(|| bare(start)),
            '\'' => align(file, start + 1, text, Style::Single).or_else(|| bare(start)),
            '|' | '>' => {
                let header = rest.find('\n').map(|end| start + end + 1);
                header.and_then(bare).or_else(|| bare(start))
            }
            _ => bare(start),
        }
    }

    /// Where a part of the text stands in the file.
    pub(crate) fn place(&self, span: &Range<usize>) -> Range<usize> {
        let at = |index: usize| {
            let last = self.offsets.last().copied().unwrap_or_default();
            self.offsets.get(index).copied().unwrap_or(last)
        };
        let start = at(span.start).0;
        // Behind the last byte, not before the next: between them may be the end of a line.
        let end = match span.end.checked_sub(1) {
            Some(last) if span.end > span.start => at(last).1,
            _ => start,
        };
        start..end.max(start)
    }

    /// The spelling of a part of the text.
    pub(crate) fn part(&self, start: usize, length: usize) -> Self {
        self.stitched(&[(length, start)])
    }

    /// The spelling of a text that is put together from pieces of this one, each a length and where it
    /// begins. A piece that is not in this one has no place of its own, and so is never rewritten.
    pub(crate) fn stitched(&self, pieces: &[(usize, usize)]) -> Self {
        let last = self.offsets.last().copied().unwrap_or_default();
        let at = |index: usize| self.offsets.get(index).copied().unwrap_or(last);
        let mut offsets = Vec::new();
        for (length, start) in pieces {
            offsets.extend((0..*length).map(|index| at(start + index)));
        }
        let end = pieces.last().map_or(0, |(length, start)| start + length);
        offsets.push(at(end));
        Self {
            offsets,
            style: self.style,
        }
    }

    /// A new piece of the text, as it is to be written into the file.
    pub(crate) fn spelled(&self, new: &str) -> String {
        match self.style {
            Style::Double => new.replace('\\', "\\\\").replace('"', "\\\""),
            Style::Single => new.replace('\'', "''"),
            Style::Bare => new.to_owned(),
        }
    }
}

/// Over `&anchor` and `!tag` in front.
fn behind_properties(file: &str, mut start: usize) -> usize {
    while let Some(rest) = file.get(start..)
        && rest.starts_with(['&', '!'])
    {
        let word = rest.find(char::is_whitespace).unwrap_or(rest.len());
        let behind = rest.get(word..).unwrap_or_default();
        start += word + (behind.len() - behind.trim_start().len());
    }
    start
}

fn align(file: &str, start: usize, text: &str, style: Style) -> Option<Spelling> {
    let mut offsets = Vec::with_capacity(text.len() + 1);
    let mut at = start;
    let mut next = 0;
    while let Some(c) = text.get(next..)?.chars().next() {
        let rest = file.get(at..)?;
        if style == Style::Double && rest.starts_with('\\') {
            let (decoded, length) = escape(rest)?;
            match decoded {
                // A line that goes on.
                None => {
                    at += length;
                    continue;
                }
                Some(decoded) if decoded == c => {
                    offsets.extend(std::iter::repeat_n((at, at + length), c.len_utf8()));
                    at += length;
                    next += c.len_utf8();
                    continue;
                }
                Some(_) => return None,
            }
        }
        if style == Style::Single && c == '\'' {
            if !rest.starts_with("''") {
                return None;
            }
            offsets.push((at, at + 2));
            at += 2;
            next += 1;
            continue;
        }
        if c.is_ascii_whitespace() || rest.starts_with(|c: char| c.is_ascii_whitespace()) {
            let run = |text: &str| {
                let end = text.find(|c: char| !c.is_ascii_whitespace());
                end.unwrap_or(text.len())
            };
            let (here, there) = (run(text.get(next..)?), run(rest));
            let (ours, theirs) = (text.get(next..next + here)?, rest.get(..there)?);
            // What is folded or indented differs; what is not stays byte for byte.
            for index in 0..here {
                let same = ours == theirs;
                let offset = at
                    + if same {
                        index
                    } else {
                        index.min(there.saturating_sub(1))
                    };
                offsets.push((offset, offset + 1));
            }
            at += there;
            next += here;
            // Spaces of the file alone are indentation; of the text alone, a folded line's end.
            if here == 0 && there == 0 {
                return None;
            }
            continue;
        }
        if !rest.starts_with(c) {
            return None;
        }
        for index in 0..c.len_utf8() {
            offsets.push((at + index, at + index + 1));
        }
        at += c.len_utf8();
        next += c.len_utf8();
    }
    offsets.push((at, at));
    let rest = file.get(at..)?;
    let closed = match style {
        Style::Double => rest.trim_start().starts_with('"'),
        Style::Single => rest.trim_start().starts_with('\''),
        Style::Bare => true,
    };
    closed.then_some(Spelling { offsets, style })
}

/// What an escape stands for (nothing, for a line that goes on) and how long it is.
fn escape(rest: &str) -> Option<(Option<char>, usize)> {
    let code = |digits: usize| {
        let hex = rest.get(2..2 + digits)?;
        let code = u32::from_str_radix(hex, 16).ok()?;
        if !(0xd800..0xdc00).contains(&code) {
            return Some((Some(char::from_u32(code)?), 2 + digits));
        }
        let low = rest.get(2 + digits..)?.strip_prefix("\\u")?;
        let low = u32::from_str_radix(low.get(..4)?, 16).ok()?;
        let whole = 0x10000 + ((code - 0xd800) << 10) + low.checked_sub(0xdc00)?;
        Some((Some(char::from_u32(whole)?), 2 * (2 + digits)))
    };
    let simple = match rest.chars().nth(1)? {
        'n' => '\n',
        't' => '\t',
        'r' => '\r',
        'b' => '\u{8}',
        'f' => '\u{c}',
        '0' => '\0',
        'a' => '\u{7}',
        'e' => '\u{1b}',
        'v' => '\u{b}',
        '_' => '\u{a0}',
        'N' => '\u{85}',
        'x' => return code(2),
        'u' => return code(4),
        'U' => return code(8),
        '\n' => {
            let behind = rest.get(2..)?;
            let indent = behind.len() - behind.trim_start_matches([' ', '\t']).len();
            return Some((None, 2 + indent));
        }
        c => c,
    };
    Some((Some(simple), 2))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::LIMITS;
    use tokenpath_text::{Lines, tree};

    #[test]
    fn each_style_of_yaml_leads_back() {
        for (file, word) in [
            ("a: sum(x) > 1\n", "x"),
            ("a: sum(x)\n  > 1\n", "> 1"),
            ("a: 'sum(x{b=\"it''s\"}) > 1'\n", "> 1"),
            ("a: \"sum(x{b=\\\"c\\\"}) > 1\"\n", "> 1"),
            ("a: |\n  sum(x)\n    > 1\n", "> 1"),
            ("a: |\n\n  sum(x)\n\n  > 1\n", "> 1"),
            ("a: >-\n     sum(x)\n     > 1\n", "> 1"),
            ("a: |-\n    'x' \"y\" sum(x) > 1\n", "> 1"),
            ("a: &q \"x\\\n   y > 1\"\n", "> 1"),
            ("a: !!str |\n  x > 1\n", "> 1"),
            ("a: \"é > 1\"\n", "> 1"),
        ] {
            let (root, flaws) = tree::read_foreign(file, LIMITS);
            assert!(flaws.is_empty(), "{file}: {flaws:?}");
            let root = root.unwrap();
            let node = root.get("a").unwrap();
            let text = node.text().unwrap();
            let spelling = Spelling::of(file, Lines::new(file).offset(node.place), text);
            let spelling = spelling.unwrap_or_else(|| panic!("{file}"));
            let at = text.find(word).unwrap();
            let place = spelling.place(&(at..at + word.len()));
            assert_eq!(file.get(place), Some(word), "{file}");
        }
    }

    #[test]
    fn escapes_of_json_lead_back() {
        let file = r#"{"expr": "x{a=\"\ud83d\ude00\",\n b=\"\u00e9\"} > 1"}"#;
        let text = "x{a=\"😀\",\n b=\"é\"} > 1";
        let spelling = Spelling::of(file, 9, text).unwrap();
        let at = text.find("> 1").unwrap();
        assert_eq!(file.get(spelling.place(&(at..at + 3))), Some("> 1"));
        assert_eq!(spelling.spelled("a=\"b\\\""), "a=\\\"b\\\\\\\"");
        assert_eq!(Spelling::of(file, 9, "y"), None);
    }
}
