//! The labels a series goes out with: its own and its source's, made legal, without clashes.

use std::borrow::Cow;

use crate::dialect::{LabelRule, Voice};
use crate::{Label, LabelSet, is_label_name};

/// Labels of one series, each name once.
#[derive(Debug, Default)]
pub(crate) struct Labels<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Labels<'a> {
    /// The labels of the source and those of the series. Those of the source come from the operator
    /// or from us and win; the loser becomes `exported_…`.
    pub(crate) fn merge(
        constants: &'a LabelSet,
        series: impl Iterator<Item = Label<'a>> + Clone,
    ) -> Self {
        let mut merged = Self::default();
        let legal = |label: &Label<'_>| is_label_name(label.0);
        // A name that is legal as it is keeps it against one that had to be made legal.
        for (name, value) in constants.iter().filter(legal) {
            merged.add(Cow::Borrowed(name), Cow::Borrowed(value));
        }
        for (name, value) in constants.iter().filter(|label| !legal(label)) {
            merged.add(legal_name(name), Cow::Borrowed(value));
        }
        for (name, value) in series.clone().filter(legal) {
            merged.add(Cow::Borrowed(name), Cow::Borrowed(value));
        }
        for (name, value) in series.filter(|label| !legal(label)) {
            merged.add(legal_name(name), Cow::Borrowed(value));
        }
        merged
    }

    /// What the voices that speak this series make of the labels, sorted by name. `None` where none
    /// of them does.
    ///
    /// `joined` looks up what a [`LabelRule::Join`] takes from another family.
    pub(super) fn spoken<'b>(
        &'b self,
        voices: &'b [Voice],
        joined: &impl Fn(&Self, &LabelRule) -> Option<Cow<'b, str>>,
    ) -> Option<Labels<'b>> {
        let mut speaking = voices
            .iter()
            .filter(|voice| {
                voice
                    .matchers
                    .iter()
                    .all(|m| m.holds(|label| self.value(label)))
            })
            .peekable();
        speaking.peek()?;
        let mut union = Labels::default();
        for voice in speaking {
            for (name, value) in self.through(voice, joined).0 {
                if union.value(&name).is_none() {
                    union.0.push((name, value));
                }
            }
        }
        union.0.sort();
        Some(union)
    }

    fn through<'b>(
        &'b self,
        voice: &'b Voice,
        joined: &impl Fn(&Self, &LabelRule) -> Option<Cow<'b, str>>,
    ) -> Labels<'b> {
        let mut spoken = Labels::default();
        for (name, value) in &voice.constants {
            if spoken.value(name).is_none() {
                spoken.add(Cow::Borrowed(name), Cow::Borrowed(value));
            }
        }
        let constants = spoken.0.len();
        let mut kept = Vec::new();
        for (name, value) in &self.0 {
            match voice.labels.iter().find(|rule| rule.concerns(name)) {
                Some(LabelRule::Rename { to, .. }) => {
                    if !spoken.0[..constants]
                        .iter()
                        .any(|(constant, _)| constant == to)
                    {
                        spoken.add(Cow::Borrowed(to), Cow::Borrowed(value));
                    }
                }
                Some(_) => {}
                None => kept.push((name, value)),
            }
        }
        for (name, value) in kept {
            if !spoken.0[..constants]
                .iter()
                .any(|(constant, _)| constant == name)
            {
                spoken.add(Cow::Borrowed(name), Cow::Borrowed(value));
            }
        }
        for rule in &voice.labels {
            let (to, value) = match rule {
                LabelRule::Copy { from, to, prefix } => {
                    let value = self.value(from).map(|value| match &**prefix {
                        "" => Cow::Borrowed(value),
                        prefix => Cow::Owned(format!("{prefix}{value}")),
                    });
                    (to, value)
                }
                LabelRule::Join { to, .. } => (to, joined(self, rule)),
                LabelRule::Rename { .. } | LabelRule::Drop(_) => continue,
            };
            if let Some(value) = value.filter(|_| spoken.value(to).is_none()) {
                spoken.add(Cow::Borrowed(to), value);
            }
        }
        spoken
    }

    /// The labels themselves, in their order.
    pub(crate) fn into_pairs(self) -> Vec<(Cow<'a, str>, Cow<'a, str>)> {
        self.0
    }

    /// The labels in their order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Label<'_>> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    /// The value of one label.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value)
    }

    fn add(&mut self, name: Cow<'a, str>, value: Cow<'a, str>) {
        let mut name = name;
        while is_reserved(&name) || self.value(&name).is_some() {
            name = Cow::Owned(format!("exported_{name}"));
        }
        self.0.push((name, value));
    }
}

/// Names that mean something else than a label: `le` and `quantile` belong to buckets and quantiles,
/// two underscores to Prometheus itself.
fn is_reserved(name: &str) -> bool {
    name == "le" || name == "quantile" || name.starts_with("__")
}

/// The nearest legal label name: an underscore for each character that cannot stand there.
fn legal_name(name: &str) -> Cow<'_, str> {
    legal(name, is_label_name, |c| {
        c.is_ascii_alphanumeric() || c == '_'
    })
}

/// The nearest legal metric name.
pub(crate) fn legal_metric_name(name: &str) -> Cow<'_, str> {
    legal(name, crate::is_metric_name, |c| {
        c.is_ascii_alphanumeric() || c == '_' || c == ':'
    })
}

fn legal(name: &str, is_legal: fn(&str) -> bool, may_stand: fn(char) -> bool) -> Cow<'_, str> {
    if is_legal(name) {
        return Cow::Borrowed(name);
    }
    let mut made: String = name
        .chars()
        .map(|c| if may_stand(c) { c } else { '_' })
        .collect();
    if !is_legal(&made) {
        made.insert(0, '_');
    }
    Cow::Owned(made)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(constants: &[Label<'static>], series: &[Label<'static>]) -> Vec<(String, String)> {
        let constants = LabelSet::new(constants.iter().copied());
        let labels = Labels::merge(&constants, series.iter().copied());
        let voices = [Voice::default()];
        let spoken = labels.spoken(&voices, &|_, _| None).unwrap();
        let owned = |(name, value): Label<'_>| (name.to_owned(), value.to_owned());
        spoken.iter().map(owned).collect()
    }

    #[test]
    fn clashes_are_resolved_and_nothing_is_lost() {
        #[rustfmt::skip]
        let cases: &[(&[Label<'_>], &[Label<'_>], &[Label<'_>])] = &[
            (&[], &[], &[]),
            (&[("z", "1")], &[("a", "2")], &[("a", "2"), ("z", "1")]),
            (&[("a", "op")], &[("a", "up")], &[("a", "op"), ("exported_a", "up")]),
            (&[("a", "op")], &[("a", "up"), ("exported_a", "x")],
             &[("a", "op"), ("exported_a", "up"), ("exported_exported_a", "x")]),
            (&[], &[("le", "1"), ("quantile", "2")], &[("exported_le", "1"), ("exported_quantile", "2")]),
            (&[("le", "1")], &[("le", "2")], &[("exported_exported_le", "2"), ("exported_le", "1")]),
            (&[], &[("a.b", "1"), ("a_b", "2")], &[("a_b", "2"), ("exported_a_b", "1")]),
            (&[], &[("1x", "1"), ("", "2"), ("ü", "3")], &[("_", "2"), ("_1x", "1"), ("exported__", "3")]),
            (&[], &[("__name__", "x")], &[("exported___name__", "x")]),
            (&[], &[("a", "1"), ("a", "2")], &[("a", "1"), ("exported_a", "2")]),
        ];
        for (constants, series, want) in cases {
            let want: Vec<_> = want
                .iter()
                .map(|(n, v)| (n.to_string(), v.to_string()))
                .collect();
            assert_eq!(merged(constants, series), want, "{constants:?} {series:?}");
        }
    }
}
