//! A name, label value or help text as it stands on the page, unescaped when asked for.

use std::borrow::Cow;
use std::fmt;

use super::Format;

/// Which escapes a text may hold.
///
/// A word wide: written as a byte and read as part of a word, as happens where entries are copied, it
/// would stall each time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum Escapes {
    /// No backslash occurs.
    None,
    /// `\\`, `\n` and `\"`: quoted strings, and help in OpenMetrics.
    Quoted,
    /// `\\` and `\n`: help in the text formats.
    Help,
}

impl Escapes {
    /// Those that a help text may hold.
    pub(crate) const fn of_help(format: Format) -> Self {
        match format {
            Format::OpenMetrics100 => Self::Quoted,
            Format::Text004 | Format::Text100 => Self::Help,
        }
    }
}

/// Text borrowed from the page.
///
/// Comparing and printing see the unescaped text and allocate nothing. A backslash that begins no
/// escape of the format stands for itself, as Prometheus reads it.
///
/// ```
/// use tokenpath_core::exposition::{Entry, Options, Parser};
///
/// let page = br#"file{path="C:\\tmp"} 1"#;
/// let Some(Ok(Entry::Sample(sample))) = Parser::new(page, Options::default()).next() else {
///     panic!("one sample");
/// };
/// let path = sample.labels().get("path").expect("the label is there");
/// assert_eq!(path.raw(), r"C:\\tmp");
/// assert_eq!(path, r"C:\tmp");
/// ```
#[derive(Clone, Copy)]
pub struct Text<'a> {
    raw: &'a str,
    escapes: Escapes,
}

impl<'a> Text<'a> {
    pub(crate) const fn new(raw: &'a str, escapes: Escapes) -> Self {
        Self { raw, escapes }
    }

    /// Text whose escapes, if it holds a backslash at all, are `escapes`.
    pub(crate) fn with(raw: &'a str, escapes: Escapes) -> Self {
        let escapes = match memchr::memchr(b'\\', raw.as_bytes()) {
            Some(_) => escapes,
            None => Escapes::None,
        };
        Self { raw, escapes }
    }

    /// The text as on the page, without its quotes.
    #[must_use]
    pub const fn raw(&self) -> &'a str {
        self.raw
    }

    /// Whether the text holds a backslash, so that [`to_str`](Self::to_str) may allocate.
    #[must_use]
    pub const fn has_escapes(&self) -> bool {
        !matches!(self.escapes, Escapes::None)
    }

    /// The text itself. Allocates only where [`has_escapes`](Self::has_escapes).
    #[must_use]
    pub fn to_str(&self) -> Cow<'a, str> {
        if self.has_escapes() {
            Cow::Owned(self.pieces().collect())
        } else {
            Cow::Borrowed(self.raw)
        }
    }

    /// The unescaped text in pieces, without allocating.
    fn pieces(&self) -> Pieces<'a> {
        Pieces {
            rest: self.raw,
            escapes: self.escapes,
        }
    }

    /// Unescaped bytes, one by one.
    fn bytes(&self) -> impl Iterator<Item = u8> + use<'a> {
        self.pieces().flat_map(str::bytes)
    }
}

/// Runs of unescaped text: between two escapes the page itself, and a constant for each escape.
struct Pieces<'a> {
    rest: &'a str,
    escapes: Escapes,
}

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        if self.rest.is_empty() {
            return None;
        }
        let bytes = self.rest.as_bytes();
        let at = match self.escapes {
            Escapes::None => None,
            _ => memchr::memchr(b'\\', bytes),
        };
        let (piece, used) = match at {
            None => (self.rest, bytes.len()),
            Some(0) => match (bytes.get(1), self.escapes) {
                (Some(b'\\'), _) => ("\\", 2),
                (Some(b'n'), _) => ("\n", 2),
                (Some(b'"'), Escapes::Quoted) => ("\"", 2),
                _ => ("\\", 1),
            },
            Some(at) => (self.rest.get(..at).unwrap_or_default(), at),
        };
        self.rest = self.rest.get(used..).unwrap_or_default();
        Some(piece)
    }
}

impl PartialEq for Text<'_> {
    fn eq(&self, other: &Self) -> bool {
        if self.has_escapes() || other.has_escapes() {
            self.bytes().eq(other.bytes())
        } else {
            self.raw == other.raw
        }
    }
}

impl Eq for Text<'_> {}

impl PartialEq<str> for Text<'_> {
    fn eq(&self, other: &str) -> bool {
        *self == Text::new(other, Escapes::None)
    }
}

impl PartialEq<&str> for Text<'_> {
    fn eq(&self, other: &&str) -> bool {
        *self == **other
    }
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.width().is_some() || f.precision().is_some() {
            return f.pad(&self.to_str());
        }
        self.pieces().try_for_each(|piece| f.write_str(piece))
    }
}

impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.to_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unescapes_what_the_position_allows() {
        for (raw, quoted, help) in [
            ("plain", "plain", "plain"),
            (r"a\\b", r"a\b", r"a\b"),
            (r"a\nb", "a\nb", "a\nb"),
            (r#"a\"b"#, r#"a"b"#, r#"a\"b"#),
            (r"a\z", r"a\z", r"a\z"),
            (r"\\n", r"\n", r"\n"),
            (r"ends\", r"ends\", r"ends\"),
            (r"\\\\\\", r"\\\", r"\\\"),
            (r"ä\nß", "ä\nß", "ä\nß"),
        ] {
            let q = Text::with(raw, Escapes::Quoted);
            assert_eq!(q.to_str(), quoted, "{raw}");
            assert_eq!(q, *quoted);
            assert_eq!(q.to_string(), quoted);
            assert_eq!(Text::with(raw, Escapes::Help), *help, "{raw}");
        }
    }

    #[test]
    fn compares_the_unescaped_text() {
        let spelled = Text::with(r"a\\z", Escapes::Quoted);
        let loose = Text::with(r"a\z", Escapes::Quoted);
        assert_eq!(spelled, loose);
        assert_ne!(spelled, Text::with("az", Escapes::Quoted));
        assert!(matches!(
            Text::with("az", Escapes::Quoted).to_str(),
            Cow::Borrowed(_)
        ));
    }
}
