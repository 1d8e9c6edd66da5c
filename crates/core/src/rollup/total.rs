//! Sums of counters, histograms and summaries that outlive their parts.

use std::collections::HashMap;

use crate::combine::position;
use crate::{Slot, Snapshot};

/// Members of a total that are gone and still known. Of more, the oldest are added up into one, which
/// can then not come back.
const GONE_KEPT: usize = 256;

/// One series of a roll-up whose values only rise.
#[derive(Debug)]
pub(super) struct Total {
    /// Who it is: the family and the labels.
    pub(super) key: Box<str>,
    /// Where it goes in the rolled-up snapshot.
    pub(super) to: Slot,
    pub(super) edges: Vec<f64>,
    pub(super) members: Vec<Member>,
    /// The members of each key, while they are gathered: more than one where its edges changed.
    by_key: HashMap<Box<str>, Vec<usize>>,
    /// When its members were last settled.
    pub(super) settled: u64,
    /// Whether it has been on a page.
    spoken: bool,
}

/// One series that counts towards a total.
#[derive(Debug)]
pub(super) struct Member {
    /// Who it is; `None` where several that are gone were added up.
    key: Option<Box<str>>,
    /// Where it is read, while its source has it: the part and the first slot.
    pub(super) live: Option<(usize, Slot)>,
    pub(super) edges: Vec<f64>,
    is_plain: bool,
    counts: Vec<Count>,
    /// The place in the total of each of the counts.
    places: Vec<Option<usize>>,
}

/// What one slot has counted.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    is_seen: bool,
    last: f64,
    /// What lives before the present one had counted, less what was there when it joined.
    before: f64,
}

impl Count {
    const fn counted(self) -> f64 {
        self.before + self.last
    }
}

impl Total {
    pub(super) fn new(key: Box<str>) -> Self {
        Self {
            key,
            to: Slot(0),
            edges: Vec::new(),
            members: Vec::new(),
            by_key: HashMap::new(),
            settled: 0,
            spoken: false,
        }
    }

    /// Begins to gather the members that are read now.
    pub(super) fn gather(&mut self) {
        for (index, member) in self.members.iter_mut().enumerate() {
            member.live = None;
            if let Some(key) = &member.key {
                self.by_key.entry(key.clone()).or_default().push(index);
            }
        }
    }

    /// Adds a member that is read now, taking on what is known of it.
    pub(super) fn join(&mut self, key: &str, is_plain: bool, edges: &[f64], live: (usize, Slot)) {
        let known = self.by_key.entry(key.into()).or_default();
        let same = known
            .iter()
            .find(|index| self.members[**index].edges == edges);
        if let Some(index) = same {
            self.members[*index].live = Some(live);
            return;
        }
        known.push(self.members.len());
        // One that came back with other edges is another one: what it counted on the old ones stays.
        let slots = if is_plain { 1 } else { edges.len() + 2 };
        self.members.push(Member {
            key: Some(key.into()),
            live: Some(live),
            edges: edges.to_vec(),
            is_plain,
            counts: vec![Count::default(); slots],
            places: Vec::new(),
        });
    }

    /// Settles the edges once all members are there.
    pub(super) fn settle(&mut self, now: u64) {
        self.settled = now;
        self.by_key = HashMap::new();
        self.merge_gone();
        let first = self.members.iter().find(|member| member.live.is_some());
        let edges = first.map_or(&[][..], |member| &member.edges);
        let everywhere = |edge: &f64| self.members.iter().all(|member| member.has(*edge));
        self.edges = edges.iter().copied().filter(everywhere).collect();
        for member in &mut self.members {
            member.places = member.places_in(&self.edges);
        }
    }

    /// Whether anyone counts towards it now.
    pub(super) fn is_live(&self) -> bool {
        self.members.iter().any(|member| member.live.is_some())
    }

    fn merge_gone(&mut self) {
        let gone = |member: &Member| member.live.is_none();
        let mut surplus = self
            .members
            .iter()
            .filter(|member| gone(member))
            .count()
            .saturating_sub(GONE_KEPT);
        while surplus > 0 {
            let Some(oldest) = self.members.iter().position(gone) else {
                return;
            };
            let oldest = self.members.remove(oldest);
            if let Some(next) = self.members.iter_mut().find(|member| gone(member)) {
                next.absorb(&oldest);
            }
            surplus -= 1;
        }
        // What is left keeps its order, the oldest first: those that go later stand behind.
    }

    /// Reads the members and adds them up. Nothing goes out where none of them says anything.
    pub(super) fn run<'s>(&mut self, part: impl Fn(usize) -> &'s Snapshot, out: &mut Snapshot) {
        let mut says_something = false;
        for member in &mut self.members {
            if let Some((index, slot)) = member.live {
                says_something |= member.read(part(index), slot, self.spoken);
            }
        }
        if !says_something {
            return;
        }
        self.spoken = true;
        for member in &self.members {
            for (count, place) in member.counts.iter().zip(&member.places) {
                if let Some(place) = place.filter(|_| count.is_seen) {
                    out.add(self.to.offset(place), count.counted());
                }
            }
        }
    }
}

impl Member {
    /// Takes on what the series says. `joins_late` says that the total was spoken before.
    fn read(&mut self, snapshot: &Snapshot, first: Slot, joins_late: bool) -> bool {
        let value = |index: usize| snapshot.get(first.offset(index));
        let sum = if self.is_plain {
            usize::MAX
        } else {
            self.edges.len()
        };
        // The sum of a histogram may fall by itself, where it observes what is below zero.
        let began_again = self.counts.iter().enumerate().any(|(index, count)| {
            index != sum && count.is_seen && value(index).is_some_and(|now| now < count.last)
        });
        if began_again {
            for count in &mut self.counts {
                count.before += count.last;
                count.last = 0.0;
            }
        }
        let mut says_something = false;
        for (index, count) in self.counts.iter_mut().enumerate() {
            if let Some(now) = value(index) {
                if !count.is_seen && joins_late {
                    count.before = -now;
                }
                count.is_seen = true;
                count.last = now;
                says_something = true;
            }
        }
        says_something
    }

    fn has(&self, edge: f64) -> bool {
        self.edge(edge).is_some()
    }

    fn edge(&self, edge: f64) -> Option<usize> {
        position(&self.edges, edge)
    }

    fn places_in(&self, edges: &[f64]) -> Vec<Option<usize>> {
        if self.is_plain {
            return vec![Some(0)];
        }
        let place = |edge: &f64| position(edges, *edge);
        let ends = [Some(edges.len()), Some(edges.len() + 1)];
        self.edges.iter().map(place).chain(ends).collect()
    }

    /// Adds another one that is gone to this one, on the edges that both have.
    fn absorb(&mut self, other: &Self) {
        let mut edges = Vec::new();
        let mut counts = Vec::new();
        for (index, edge) in self.edges.iter().enumerate() {
            if let Some(theirs) = other.edge(*edge) {
                edges.push(*edge);
                counts.push(together(self.counts[index], other.counts[theirs]));
            }
        }
        let ends = self.counts[self.edges.len()..].iter();
        let theirs = other.counts[other.edges.len()..].iter();
        counts.extend(
            ends.zip(theirs)
                .map(|(ours, theirs)| together(*ours, *theirs)),
        );
        self.key = None;
        self.edges = edges;
        self.counts = counts;
    }
}

fn together(a: Count, b: Count) -> Count {
    Count {
        is_seen: a.is_seen || b.is_seen,
        last: 0.0,
        before: a.counted() + b.counted(),
    }
}
