use super::{Check, Context, Found, Rule};
use crate::finding::Severity;
use crate::names::{Found as Name, Standing};

pub(super) const RULE: Rule = Rule {
    id: "renamed-metric",
    severity: Severity::Error,
    title: "a metric that releases of today have under another name, or no more",
    why: "The panel goes blank with the next upgrade of the engine. The message names the releases that had it, \
          the new name and since when; or keep the old names over any release with a dialect, \
          [dialects.md](dialects.md).",
    wrong: "max by (model_name) (vllm:gpu_cache_usage_perc)",
    right: "max by (model_name) (vllm:kv_cache_usage_perc)",
    check: Check::Query(check),
};

fn check(context: &Context<'_>, found: &mut Vec<Found>) {
    context.selectors(|_, selector, name| {
        if context.world.records.contains_key(name) {
            return;
        }
        let Name::Known(family, part) = context.world.names.find(name) else {
            return;
        };
        let Standing::Gone {
            until,
            heir,
            canonical,
        } = &family.standing
        else {
            return;
        };
        let suffix = part.suffix();
        let message = format!("`{name}` is gone: only older releases have it ({until})");
        let ours = canonical
            .as_ref()
            .map(|name| format!("`{name}`, which every release gives through Tokenpath"));
        let advice = match (heir, ours) {
            (Some(heir), ours) => format!(
                "write `{}{suffix}`, since {}{}{}",
                heir.name,
                heir.since,
                if heir.same {
                    ""
                } else {
                    " (not the same to the sample: see docs/metrics.md)"
                },
                ours.map(|ours| format!("; or {ours}")).unwrap_or_default(),
            ),
            (None, Some(ours)) => {
                format!("nothing has taken its place; there is {ours} where it can be known")
            }
            (None, None) => "nothing has taken its place".to_owned(),
        };
        let fix = heir.as_ref().filter(|heir| heir.same);
        let span = &selector.name;
        found.push(
            Found::new(span, message, advice)
                .fix(fix.map(|heir| (span.clone(), format!("{}{suffix}", heir.name)))),
        );
    });
}
