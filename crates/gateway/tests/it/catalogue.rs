//! The catalogue as a table: it works, it is complete, and every name it gives is well formed.

use std::collections::BTreeSet;

use tokenpath_core::MetricType::{Counter, Gauge, Histogram};
use tokenpath_core::catalogue::LabelRule;
use tokenpath_core::lint;
use tokenpath_core::rollup::Rollup;
use tokenpath_gateway::{catalogue, compiled, families};

use crate::meanings::{BESIDE, MEANINGS, SUMS};

#[test]
fn every_name_of_every_generation_is_accounted_for() {
    let catalogue = catalogue();
    for (letter, ours, names) in MEANINGS {
        let kind = match letter {
            'c' => Counter,
            'g' => Gauge,
            _ => Histogram,
        };
        for (index, name) in names.iter().enumerate() {
            let rows: Vec<_> = catalogue
                .rows
                .iter()
                .filter(|row| row.upstream == *name)
                .collect();
            let sum = SUMS.iter().find(|(histogram, _)| histogram == ours);
            assert_eq!(rows.len(), 1 + usize::from(sum.is_some()), "{name}");
            for row in rows {
                assert_eq!(row.kind, kind, "{name}");
                assert_eq!(row.superseded_by, names[..index], "{name}");
                assert!(!row.releases.is_empty(), "{name}");
                let family = row.output.family().unwrap();
                assert!(
                    family == *ours || sum.is_some_and(|(_, total)| *total == family),
                    "{name}"
                );
            }
        }
    }
    let known: BTreeSet<&str> = MEANINGS
        .iter()
        .flat_map(|(_, _, names)| names.iter().copied())
        .collect();
    for row in &catalogue.rows {
        assert!(
            known.contains(&*row.upstream),
            "{} is of no release",
            row.upstream
        );
    }
    for beginning in BESIDE {
        let name = format!("{beginning}x");
        assert!(
            catalogue.left_out.iter().any(|entry| entry.matches(&name)),
            "{name}"
        );
    }
}

#[test]
fn families_keep_to_the_naming_rules_and_each_is_used() {
    let all = families::families();
    let findings = lint::check_all(all.iter().map(AsRef::as_ref));
    assert!(findings.is_empty(), "{findings:#?}");
    let described = compiled();
    for desc in all {
        let name = desc.name();
        assert!(name.starts_with("llm_gateway_"), "{name}");
        assert!(desc.label_names().is_sorted(), "{name}");
        assert!(
            desc.help().ends_with('.') && desc.help().len() > 20,
            "{name}"
        );
        assert!(
            described
                .describe()
                .iter()
                .any(|known| known.name() == name),
            "{name} is never given"
        );
        if name.contains("average") || name.contains("deviation") || name.ends_with("_ratio") {
            let combined = desc.kind() == Gauge && desc.rollup_rule() == Rollup::Sum;
            assert!(!combined, "{name} is not to be summed");
        }
    }
}

#[test]
fn labels_that_rows_give_are_documented() {
    for row in &catalogue().rows {
        let family = row.output.family().unwrap();
        let desc = families::families()
            .iter()
            .find(|desc| desc.name() == family)
            .unwrap();
        for rule in &row.labels {
            if let LabelRule::Constant { label, .. } | LabelRule::Default { label, .. } = rule {
                assert!(desc.label_names().contains(&&**label), "{family}: {label}");
            }
        }
    }
}
