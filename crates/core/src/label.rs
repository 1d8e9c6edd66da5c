//! Labels: names with values, and owned sets of them.

use std::fmt;
use std::sync::Arc;

/// A borrowed label: name and unescaped value.
pub type Label<'a> = (&'a str, &'a str);

/// An owned, shared, immutable set of labels, sorted by name, each name once.
///
/// Cloning is cheap (one reference count), so it serves as the constant labels of a source.
///
/// ```
/// use tokenpath_core::LabelSet;
///
/// let labels = LabelSet::new([("target", "10.0.0.7:8000"), ("backend", "vllm")]);
/// assert_eq!(labels.to_string(), r#"{backend="vllm",target="10.0.0.7:8000"}"#);
/// assert_eq!(labels.get("backend"), Some("vllm"));
/// ```
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct LabelSet(Arc<[(Box<str>, Box<str>)]>);

impl LabelSet {
    /// A set of the given labels. Where a name is given twice, the later value stays.
    #[must_use]
    pub fn new<N: AsRef<str>, V: AsRef<str>>(labels: impl IntoIterator<Item = (N, V)>) -> Self {
        let mut set: Vec<(Box<str>, Box<str>)> = Vec::new();
        for (name, value) in labels {
            let (name, value) = (name.as_ref(), value.as_ref());
            match set.iter_mut().find(|(known, _)| &**known == name) {
                Some((_, known)) => *known = value.into(),
                None => set.push((name.into(), value.into())),
            }
        }
        set.sort();
        Self(set.into())
    }

    /// The labels in order of their names.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Label<'_>> + Clone {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    /// The value of one label.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value)
    }

    /// How many labels there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether both are the same set in memory: a quick test that may say no to equal sets.
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Display for LabelSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (index, (name, value)) in self.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{name}={value:?}")?;
        }
        f.write_str("}")
    }
}

impl fmt::Debug for LabelSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Whether `name` may stand unquoted as a label name: `[a-zA-Z_][a-zA-Z0-9_]*`.
#[must_use]
pub fn is_label_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Whether `name` may stand unquoted as a metric name: as a label name, with colons.
#[must_use]
pub fn is_metric_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == b'_' || first == b':')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b':')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_value_wins_and_names_are_sorted() {
        let set = LabelSet::new([("b", "1"), ("a", "2"), ("b", "3")]);
        assert_eq!(set.iter().collect::<Vec<_>>(), [("a", "2"), ("b", "3")]);
        assert_eq!(set.len(), 2);
        assert!(!set.is_empty());
    }

    #[test]
    fn names_are_judged_by_the_grammar_of_the_text_format() {
        for (name, label, metric) in [
            ("a", true, true),
            ("_a1", true, true),
            ("a:b", false, true),
            (":", false, true),
            ("1a", false, false),
            ("", false, false),
            ("a-b", false, false),
            ("ä", false, false),
        ] {
            assert_eq!(is_label_name(name), label, "{name}");
            assert_eq!(is_metric_name(name), metric, "{name}");
        }
    }
}
