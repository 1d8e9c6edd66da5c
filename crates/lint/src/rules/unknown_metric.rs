use tokenpath_text::nearest::edits;

use super::{Check, Context, Found, Rule};
use crate::finding::Severity;
use crate::names::{Found as Name, Standing};

pub(super) const RULE: Rule = Rule {
    id: "unknown-metric",
    severity: Severity::Error,
    title: "a metric that does not exist",
    why: "A query of a name that nobody exposes returns nothing, without an error: the panel is empty, the \
          alert never fires. Names of others (`node_…`, `kube_…`) are not judged, unless `--against` a page \
          says that it is all there is. Names that only a dialect has are known where the dialect is said \
          to be spoken: `--dialect`, or a directive in the file.",
    wrong: "sum(rate(vllm:request_latency_seconds_count[5m]))",
    right: "sum(rate(vllm:e2e_request_latency_seconds_count[5m]))",
    check: Check::Query(check),
};

fn check(context: &Context<'_>, found: &mut Vec<Found>) {
    context.selectors(|_, selector, name| {
        let span = &selector.name;
        if context.world.records.contains_key(name) {
            return;
        }
        match context.world.names.find(name) {
            Name::Unknown { why, nearest } => {
                let message = match why {
                    Some(why) => format!("there is no `{name}`: {why}"),
                    None if context.world.names.is_closed() => {
                        format!("`{name}` is not on the page")
                    }
                    None => format!("nothing has the name `{name}`"),
                };
                let advice = nearest.map_or_else(
                    || "look it up: `tokenpath metrics` lists all names".to_owned(),
                    |nearest| format!("did you mean `{nearest}`?"),
                );
                found.push(Found::new(span, message, advice));
            }
            Name::Known(family, part) => {
                let Standing::Spoken {
                    dialects,
                    canonical,
                    heir,
                } = &family.standing
                else {
                    return;
                };
                let spoken = dialects.join("`, `");
                let message = format!(
                    "no engine has `{name}`: only an exporter that speaks the dialect `{spoken}` does"
                );
                let suffix = part.suffix();
                let dialect = dialects.first().map_or("", |dialect| dialect);
                let own = heir
                    .as_ref()
                    .map(|heir| format!("`{}{suffix}`, which the engine itself has, or ", heir.name));
                let advice = format!(
                    "write {}`{canonical}{suffix}`; or lint with --dialect {dialect} if your exporter speaks it",
                    own.unwrap_or_default(),
                );
                let fix = heir.as_ref().filter(|heir| heir.same);
                found.push(
                    Found::new(span, message, advice)
                        .fix(fix.map(|heir| (span.clone(), format!("{}{suffix}", heir.name)))),
                );
            }
            Name::Foreign => record(context, selector, name, found),
        }
    });
}

/// A recorded name that no rule records, close to one that a rule does.
fn record(
    context: &Context<'_>,
    selector: &crate::promql::tree::Selector,
    name: &str,
    found: &mut Vec<Found>,
) {
    let Some((level, _)) = name.split_once(':') else {
        return;
    };
    let records = context.world.records.keys();
    let near = records
        .filter(|record| {
            record
                .split_once(':')
                .is_some_and(|(other, _)| other == level)
        })
        .map(|record| (edits(record, name), record))
        .min();
    if let Some((distance, near)) = near
        && distance * 5 <= name.len()
    {
        found.push(Found::new(
            &selector.name,
            format!("no rule records `{name}`"),
            format!("did you mean `{near}`?"),
        ));
    }
}
