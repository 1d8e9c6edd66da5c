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
        let advice = match (heir, canonical) {
            (Some(heir), canonical) => format!(
                "write `{}{suffix}`, since {}{}{}",
                heir.name,
                heir.since,
                if heir.same {
                    ""
                } else {
                    " (not the same to the sample: see docs/metrics.md)"
                },
                canonical
                    .as_ref()
                    .map(|ours| format!(
                        "; or `{ours}{suffix}`, which Tokenpath gives over every release"
                    ))
                    .unwrap_or_default(),
            ),
            (None, _) => "nothing has taken its place: newer releases do not have it".to_owned(),
        };
        let fix = heir.as_ref().filter(|heir| heir.same);
        let span = &selector.name;
        found.push(
            Found::new(span, message, advice)
                .fix(fix.map(|heir| (span.clone(), format!("{}{suffix}", heir.name)))),
        );
    });
}
