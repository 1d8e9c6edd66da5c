//! Names from our families, the catalogues of the engines and the dialects.

use std::collections::BTreeSet;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use tokenpath_core::catalogue::{self, Catalogue, Output};
use tokenpath_core::dialect::{self, Dialect, LabelRule, Quantity};
use tokenpath_core::{Desc, Unit};

use super::{Family, Heir, Known, Measure, Names, Standing, Upstream};

/// Labels of every series of a source, and those that an operator is asked to set.
const COMMON: [&str; 6] = ["backend", "target", "node", "worker_id", "role", "cluster"];

/// Dialects whose names are those of programs of today.
const REAL: [&str; 3] = ["vllm", "dcgm", "otel"];

pub(super) fn names(known: &Known<'_>) -> Names {
    let mut names = Names::default();
    for desc in &known.families {
        // Every process has these, under labels of its own.
        if !desc.name().starts_with("process_") {
            canonical(&mut names, desc);
        }
    }
    for upstream in &known.upstream {
        of_engine(&mut names, known, upstream);
    }
    names
        .prefixes
        .sort_by_key(|prefix| std::cmp::Reverse(prefix.len()));
    // Those that are spoken go first: what they have is there.
    let spoken = |dialect: &Dialect| {
        REAL.contains(&dialect.name()) || known.dialects.contains(&dialect.name())
    };
    let (there, silent): (Vec<Dialect>, Vec<Dialect>) = Dialect::builtins().partition(spoken);
    for dialect in &there {
        for row in dialect.rows() {
            spoken_row(&mut names, known, row);
        }
    }
    for dialect in &silent {
        for row in dialect.rows() {
            silent_row(&mut names, known, dialect.name(), row);
        }
    }
    for dialect in there.iter().chain(&silent) {
        let missing = dialect.missing().iter();
        names
            .missing
            .extend(missing.map(|missing| (missing.name().to_owned(), missing.why().to_owned())));
    }
    names
}

fn canonical(names: &mut Names, desc: &Desc) {
    let labels = desc.label_names().iter().chain(&COMMON);
    let family = Family {
        name: desc.name().to_owned(),
        kind: desc.kind(),
        measure: measure(desc.unit(), 1.0),
        labels: Some(labels.map(|label| (*label).to_owned()).collect()),
        backends: BTreeSet::new(),
        edges: Vec::new(),
        short_edges: false,
        is_canonical: true,
        standing: Standing::Current,
    };
    names.families.insert(family.name.clone(), Arc::new(family));
}

fn measure(unit: Unit, factor: f64) -> Option<Measure> {
    (unit != Unit::None).then_some(Measure { unit, factor })
}

fn desc<'k>(known: &'k Known<'_>, name: &str) -> Option<&'k Arc<Desc>> {
    known.families.iter().find(|desc| desc.name() == name)
}

fn of_engine(names: &mut Names, known: &Known<'_>, upstream: &Upstream) {
    let catalogue = &upstream.catalogue;
    names
        .prefixes
        .extend(catalogue.prefixes.iter().map(ToString::to_string));
    let left_out = catalogue.left_out.iter();
    names
        .left_out
        .extend(left_out.map(|left| left.pattern.to_string()));
    let prefixes: Vec<&str> = match &catalogue.prefixes[..] {
        [] => vec![""],
        prefixes => prefixes.iter().map(|prefix| &**prefix).collect(),
    };
    for row in &catalogue.rows {
        feeds(names, catalogue, row);
        for prefix in &prefixes {
            let family = of_row(known, upstream, prefix, row);
            match names.families.entry(family.name.clone()) {
                Entry::Vacant(entry) => _ = entry.insert(Arc::new(family)),
                Entry::Occupied(mut entry) => {
                    // A second row of one name, whose labels are known no better together.
                    let there = Arc::make_mut(entry.get_mut());
                    if there.measure.is_none() {
                        there.measure = family.measure;
                    }
                    if there.standing != Standing::Current && family.standing == Standing::Current {
                        there.standing = Standing::Current;
                        there.kind = family.kind;
                    }
                    there.labels = match (there.labels.take(), family.labels) {
                        (Some(ours), Some(more)) => Some(&ours | &more),
                        _ => None,
                    };
                }
            }
        }
    }
}

/// What an engine adds to our family: itself, and its edges.
fn feeds(names: &mut Names, catalogue: &Catalogue, row: &catalogue::Row) {
    let family = row
        .output
        .family()
        .and_then(|name| names.families.get_mut(name));
    let Some(family) = family else {
        return;
    };
    let family = Arc::make_mut(family);
    family.backends.insert(catalogue.backend.to_string());
    if matches!(row.output, Output::Family(_)) {
        let edges = row.edges.iter().map(|edge| row.scale.apply(*edge));
        join(&mut family.edges, edges);
    }
}

fn join(edges: &mut Vec<f64>, more: impl Iterator<Item = f64>) {
    edges.extend(more);
    edges.sort_by(f64::total_cmp);
    edges.dedup_by(|a, b| a.total_cmp(b).is_eq());
}

fn of_row(known: &Known<'_>, upstream: &Upstream, prefix: &str, row: &catalogue::Row) -> Family {
    let ours = row.output.family().and_then(|name| desc(known, name));
    let scale = row.scale.apply(1.0);
    let measure = match (&row.output, ours) {
        (Output::Family(_), Some(desc)) if scale > 0.0 => measure(desc.unit(), 1.0 / scale),
        _ if row.upstream.ends_with("_seconds") => measure(Unit::Seconds, 1.0),
        _ => None,
    };
    Family {
        name: format!("{prefix}{}", row.upstream),
        kind: row.kind,
        measure,
        labels: ours
            // Wrappers add labels of their own.
            .filter(|_| {
                !upstream.open_labels
                    && !prefix.starts_with("ray_")
                    && !prefix.starts_with("kserve_")
            })
            .and_then(|desc| labels_upstream(desc, upstream, row)),
        backends: BTreeSet::from([upstream.catalogue.backend.to_string()]),
        edges: row.edges.to_vec(),
        short_edges: upstream.short_edges,
        is_canonical: false,
        standing: standing(&upstream.catalogue, prefix, row),
    }
}

/// The labels that upstream has, from those that ours has and what becomes of each.
fn labels_upstream(
    desc: &Desc,
    upstream: &Upstream,
    row: &catalogue::Row,
) -> Option<BTreeSet<String>> {
    use catalogue::LabelRule;
    let direct = matches!(
        row.output,
        Output::Family(_) | Output::Sum(_) | Output::Count(_)
    );
    if !direct || row.newest {
        return None;
    }
    let own = desc.label_names().iter().map(|label| (*label).to_owned());
    let mut labels: BTreeSet<String> = own.collect();
    for lacking in upstream.lacks {
        labels.remove(*lacking);
    }
    for rule in &row.labels {
        match rule {
            LabelRule::Rename { to, .. } => _ = labels.remove(&**to),
            LabelRule::Constant { label, .. } => _ = labels.remove(&**label),
            LabelRule::Keep(_) => return None,
            _ => {}
        }
    }
    for rule in &row.labels {
        match rule {
            LabelRule::Rename { from, .. } => _ = labels.insert(from.to_string()),
            LabelRule::Drop(label) => _ = labels.insert(label.to_string()),
            _ => {}
        }
    }
    labels.insert("pid".to_owned());
    Some(labels)
}

fn is_current(row: &catalogue::Row) -> bool {
    row.releases.is_empty()
        || row
            .releases
            .iter()
            .any(|releases| releases.until.is_none() && !releases.hidden)
}

fn standing(catalogue: &Catalogue, prefix: &str, row: &catalogue::Row) -> Standing {
    if is_current(row) {
        return Standing::Current;
    }
    let until: Vec<String> = row.releases.iter().map(ToString::to_string).collect();
    let better = row.superseded_by.iter().filter_map(|name| {
        let rows = catalogue.rows.iter();
        rows.into_iter()
            .find(|row| row.upstream == *name && is_current(row))
    });
    let alike = catalogue.rows.iter().filter(|other| {
        is_current(other) && other.upstream != row.upstream && means_the_same(row, other)
    });
    let heir = better.chain(alike).next().map(|heir| Heir {
        name: format!("{prefix}{}", heir.upstream),
        since: since(heir),
        same: means_the_same(row, heir) && share_a_line(row, heir),
    });
    Standing::Gone {
        until: until.join(", "),
        heir,
        canonical: row.output.family().map(str::to_owned),
    }
}

fn means_the_same(row: &catalogue::Row, other: &catalogue::Row) -> bool {
    matches!(row.output, Output::Family(_))
        && row.output == other.output
        && row.kind == other.kind
        && row.scale == other.scale
        && row.labels == other.labels
}

fn share_a_line(row: &catalogue::Row, other: &catalogue::Row) -> bool {
    let lines = |row: &catalogue::Row| -> BTreeSet<String> {
        row.releases
            .iter()
            .map(|releases| releases.line.to_string())
            .collect()
    };
    !lines(row).is_disjoint(&lines(other))
}

fn since(row: &catalogue::Row) -> String {
    let open = |releases: &&catalogue::Releases| releases.until.is_none() && !releases.hidden;
    let first = row.releases.iter().find(open);
    first.map_or_else(String::new, |first| match &*first.line {
        "" => first.since.to_string(),
        line => format!("{line} {}", first.since),
    })
}

fn of_dialect(known: &Known<'_>, row: &dialect::Row, standing: Standing) -> Option<Family> {
    let ours = desc(known, row.quantity().first())?;
    let unit = match row.quantity() {
        Quantity::Family(_) | Quantity::Diff(..) | Quantity::Sum(..) => ours.unit(),
        Quantity::Ratio(..) => Unit::Ratio,
        Quantity::LabelOfLargest(..) => Unit::None,
    };
    Some(Family {
        name: row.name().to_owned(),
        kind: row.kind(),
        measure: measure(unit, row.scale()),
        labels: Some(labels_spoken(ours, row)),
        backends: BTreeSet::new(),
        edges: Vec::new(),
        short_edges: false,
        is_canonical: false,
        standing,
    })
}

fn labels_spoken(ours: &Desc, row: &dialect::Row) -> BTreeSet<String> {
    let own = ours.label_names().iter().chain(&COMMON);
    let mut labels: BTreeSet<String> = own.map(|label| (*label).to_owned()).collect();
    for rule in row.label_rules() {
        match rule {
            LabelRule::Rename { from, to } => {
                labels.remove(&**from);
                labels.insert(to.to_string());
            }
            LabelRule::Drop(label) => _ = labels.remove(&**label),
            LabelRule::Copy { to, .. } | LabelRule::Join { to, .. } => {
                labels.insert(to.to_string());
            }
            _ => {}
        }
    }
    labels.extend(row.constants().map(|(label, _)| label.to_owned()));
    labels
}

/// Gives a row of a dialect the edges of the family that it speaks of.
fn with_edges(names: &Names, row: &dialect::Row, mut family: Family) -> Family {
    if let Some(ours) = names.families.get(row.quantity().first()) {
        family.edges = ours.edges.iter().map(|edge| edge * row.scale()).collect();
        let of = |backend: &String| {
            let mut conditions = row.matchers().iter();
            conditions.all(|matcher| {
                matcher.label() != "backend" || matcher.to_string().contains(backend.as_str())
            })
        };
        family.backends = ours
            .backends
            .iter()
            .filter(|backend| of(backend))
            .cloned()
            .collect();
        // TGI's edges are no round numbers: nothing is known to lie between them.
        if family.backends.iter().all(|backend| backend == "tgi") {
            family.edges.clear();
        }
    }
    family
}

fn spoken_row(names: &mut Names, known: &Known<'_>, row: &dialect::Row) {
    let Some(family) = of_dialect(known, row, Standing::Current) else {
        return;
    };
    let family = with_edges(names, row, family);
    match names.families.entry(family.name.clone()) {
        Entry::Vacant(entry) => _ = entry.insert(Arc::new(family)),
        Entry::Occupied(mut entry) => {
            let there = Arc::make_mut(entry.get_mut());
            there.standing = Standing::Current;
            there.labels = match (there.labels.take(), family.labels) {
                (Some(ours), Some(more)) => Some(&ours | &more),
                _ => None,
            };
        }
    }
}

fn silent_row(names: &mut Names, known: &Known<'_>, dialect: &str, row: &dialect::Row) {
    let ours = row.quantity().first().to_owned();
    let heir = own_name(names, known, row, &ours);
    let standing = Standing::Spoken {
        dialects: vec![dialect.to_owned()],
        canonical: ours,
        heir,
    };
    let Some(family) = of_dialect(known, row, standing) else {
        return;
    };
    let family = with_edges(names, row, family);
    match names.families.entry(family.name.clone()) {
        Entry::Vacant(entry) => _ = entry.insert(Arc::new(family)),
        Entry::Occupied(mut entry) => {
            if let Standing::Spoken { dialects, .. } = &mut Arc::make_mut(entry.get_mut()).standing
                && !dialects.iter().any(|known| known == dialect)
            {
                dialects.push(dialect.to_owned());
            }
        }
    }
}

/// What the engine itself calls what a dialect's name with the engine's prefix means.
fn own_name(names: &Names, known: &Known<'_>, row: &dialect::Row, ours: &str) -> Option<Heir> {
    let plain = matches!(row.quantity(), Quantity::Family(_));
    let unchanged = row.matchers().is_empty() && row.label_rules().is_empty();
    known.upstream.iter().find_map(|upstream| {
        let prefixes = upstream.catalogue.prefixes.iter();
        let prefix = prefixes
            .into_iter()
            .find(|prefix| row.name().starts_with(&***prefix))?;
        let same = |other: &&catalogue::Row| {
            is_current(other)
                && other.output == Output::Family(ours.to_owned().into())
                && other.kind == row.kind()
        };
        let heir = upstream.catalogue.rows.iter().find(same)?;
        let name = format!("{prefix}{}", heir.upstream);
        let exact = plain && unchanged && measure(Unit::None, row.scale()).is_none();
        let direct = heir.labels.is_empty() && heir.scale.is_one();
        let there = names.families.contains_key(&name);
        there.then(|| Heir {
            name,
            since: since(heir),
            same: exact && direct && (row.scale() - 1.0).abs() < 1e-12,
        })
    })
}
