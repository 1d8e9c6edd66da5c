//! Where something stands in a file, and what is wrong with it there.

use std::fmt;

/// A line and a column, both counted from 1; the column in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// The line.
    pub line: u32,
    /// The column.
    pub column: u32,
}

impl Place {
    /// The beginning of a file.
    pub const START: Self = Self { line: 1, column: 1 };

    /// The place of what is said beside a file, by a flag or a variable, and stands in no line; the
    /// column is its number.
    #[must_use]
    pub const fn beside_the_file(number: u32) -> Self {
        Self {
            line: 0,
            column: number,
        }
    }

    /// Whether it is such a place.
    #[must_use]
    pub const fn is_beside_the_file(self) -> bool {
        self.line == 0
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// One thing that is wrong in a file, without the file's name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Flaw {
    /// Where.
    pub place: Place,
    /// What is wrong.
    pub message: String,
    /// What may have been meant: a key, a word, a name.
    pub nearest: Option<String>,
}

impl Flaw {
    /// A flaw at a place.
    #[must_use]
    pub fn new(place: Place, message: impl Into<String>) -> Self {
        Self {
            place,
            message: message.into(),
            nearest: None,
        }
    }

    /// With what may have been meant.
    #[must_use]
    pub fn or(mut self, nearest: Option<&str>) -> Self {
        self.nearest = nearest.map(str::to_owned);
        self
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)?;
        match &self.nearest {
            Some(nearest) => write!(f, "; did you mean `{nearest}`?"),
            None => Ok(()),
        }
    }
}

/// The lines of a text, to tell places from offsets and back.
///
/// ```
/// use tokenpath_text::{Lines, Place};
///
/// let lines = Lines::new("a: é\nb: x");
/// assert_eq!(lines.place(6), Place { line: 2, column: 1 });
/// assert_eq!(lines.offset(Place { line: 2, column: 4 }), 9);
/// assert_eq!(lines.place(5), Place { line: 1, column: 5 });
/// ```
#[derive(Clone, Debug)]
pub struct Lines<'t> {
    text: &'t str,
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    /// Finds the lines.
    #[must_use]
    pub fn new(text: &'t str) -> Self {
        let behind = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let starts = std::iter::once(0).chain(behind.map(|(at, _)| at + 1));
        Self {
            text,
            starts: starts.collect(),
        }
    }

    /// The place of a byte; the end for those behind it. An offset inside a character is that of the
    /// character.
    #[must_use]
    pub fn place(&self, offset: usize) -> Place {
        let offset = self.text.floor_char_boundary(offset);
        let line = self.starts.partition_point(|start| *start <= offset) - 1;
        let before = self.text.get(self.starts[line]..offset).unwrap_or_default();
        let small = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Place {
            line: small(line + 1),
            column: small(before.chars().count() + 1),
        }
    }

    /// The byte at a place; that of the line's end where the line is shorter, that of the text's end
    /// where there is no such line.
    #[must_use]
    pub fn offset(&self, place: Place) -> usize {
        let line = usize::try_from(place.line).unwrap_or(usize::MAX);
        let Some(start) = self.starts.get(line.saturating_sub(1)) else {
            return self.text.len();
        };
        let rest = self.text.get(*start..).unwrap_or_default();
        let column = usize::try_from(place.column).unwrap_or(usize::MAX);
        let in_line = rest.char_indices().take_while(|(_, c)| *c != '\n');
        let found = in_line.map(|(at, _)| at).nth(column.saturating_sub(1));
        let end = rest.find('\n').unwrap_or(rest.len());
        start + found.unwrap_or(end)
    }
}
