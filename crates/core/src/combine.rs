//! Several series as one: the steps that folds and roll-ups are made of.
//!
//! Which series belong together is worked out once for a shape, by whoever combines. What is left is a
//! list of steps from slot to slot, which is run for every reading and allocates nothing.

use std::borrow::Cow;
use std::sync::Arc;

use crate::{Desc, SeriesKind, SeriesShape, Slot, Snapshot};

/// Names and values.
pub(crate) type Labels<'a> = [(Cow<'a, str>, Cow<'a, str>)];

/// How a value joins what is in its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Join {
    /// It goes there if nothing else did.
    First,
    /// It is added.
    Add,
    /// The larger one stays.
    Max,
}

/// A value that goes from a slot of one part to a slot of the result.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    part: u32,
    from: Slot,
    to: Slot,
    /// `None` where nothing else goes there.
    join: Option<Join>,
}

impl Step {
    /// The part it takes from.
    #[inline]
    pub(crate) const fn part(self) -> usize {
        self.part as usize
    }

    /// From where to where it goes, if nothing else goes there.
    pub(crate) fn alone(self) -> Option<(Slot, Slot)> {
        self.join.is_none().then_some((self.from, self.to))
    }

    #[inline]
    pub(crate) fn run(self, part: &Snapshot, out: &mut Snapshot) {
        let Some(value) = part.get(self.from) else {
            return;
        };
        match self.join {
            None => out.set(self.to, value),
            Some(Join::First) if out.get(self.to).is_some() => {}
            Some(Join::First) => out.set(self.to, value),
            Some(Join::Add) => out.add(self.to, value),
            Some(Join::Max) => out.raise(self.to, value),
        }
    }
}

/// A series that becomes a part of another one.
#[derive(Clone, Copy)]
pub(crate) struct Member<'a> {
    pub(crate) part: u32,
    pub(crate) series: SeriesShape<'a>,
}

/// Declares the series that `members`, which are all of one kind, become, and adds the steps. Says
/// `false` where the family takes no such series.
///
/// Counts in buckets are cumulative, so on the edges that all members have they are combined without a
/// loss. Quantiles are neither added nor compared: only what stays as it was keeps them.
pub(crate) fn combine(
    (desc, labels): (&Arc<Desc>, &Labels<'_>),
    members: &[Member<'_>],
    join: Join,
    target: &mut Snapshot,
    steps: &mut Vec<Step>,
) -> bool {
    let Some(first) = members.first() else {
        return true;
    };
    let common;
    let kind = match first.series.kind() {
        kind if join == Join::First => kind,
        SeriesKind::Value => SeriesKind::Value,
        SeriesKind::Summary(_) => SeriesKind::Summary(&[]),
        SeriesKind::Histogram(edges) => {
            let everywhere = |edge: &f64| {
                let mut members = members.iter();
                members.all(|member| position(edges_of(member.series.kind()), *edge).is_some())
            };
            common = edges.iter().copied().filter(everywhere).collect::<Vec<_>>();
            SeriesKind::Histogram(&common)
        }
    };
    let Some(to) = declare(target, desc, labels, kind) else {
        return false;
    };
    let join = (members.len() > 1).then_some(join);
    for Member { part, series } in members {
        let mut step = |from, to| {
            steps.push(Step {
                part: *part,
                from,
                to,
                join,
            });
        };
        if kind == SeriesKind::Value {
            step(series.slot(), to);
            continue;
        }
        let edges = edges_of(kind);
        for (place, edge) in edges.iter().enumerate() {
            if let Some(at) = position(edges_of(series.kind()), *edge) {
                step(series.edge_slot(at), to.offset(place));
            }
        }
        step(series.sum_slot(), to.offset(edges.len()));
        step(series.count_slot(), to.offset(edges.len() + 1));
    }
    true
}

/// Makes room for a series with these labels.
pub(crate) fn declare(
    target: &mut Snapshot,
    desc: &Arc<Desc>,
    labels: &Labels<'_>,
    kind: SeriesKind<'_>,
) -> Option<Slot> {
    let labels: Vec<(&str, &str)> = labels.iter().map(|(n, v)| (&**n, &**v)).collect();
    target.family(desc).declare(&labels, kind)
}

/// The upper bounds or quantiles of a series; a plain value has none.
pub(crate) const fn edges_of(kind: SeriesKind<'_>) -> &[f64] {
    match kind {
        SeriesKind::Value => &[],
        SeriesKind::Histogram(edges) | SeriesKind::Summary(edges) => edges,
    }
}

/// Where an edge stands.
pub(crate) fn position(edges: &[f64], edge: f64) -> Option<usize> {
    edges
        .iter()
        .position(|known| known.to_bits() == edge.to_bits())
}

/// Labels, which are sorted, as one text; lengths keep one set from looking like another.
pub(crate) fn identity(labels: &Labels<'_>) -> String {
    let mut text = String::with_capacity(128);
    let mut length = itoa::Buffer::new();
    for piece in labels.iter().flat_map(|(name, value)| [name, value]) {
        text.push_str(length.format(piece.len()));
        text.push(':');
        text.push_str(piece);
    }
    text
}
