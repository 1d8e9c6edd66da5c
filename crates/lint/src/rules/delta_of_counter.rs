use super::{Check, Context, Found, Rule};
use crate::finding::Severity;
use crate::meaning::Kind as Number;

pub(super) const RULE: Rule = Rule {
    id: "delta-of-counter",
    severity: Severity::Error,
    title: "`delta`, `idelta`, `deriv` or `predict_linear` of a counter",
    why: "They know nothing of restarts: when the engine restarts, the counter falls to zero, and the result is \
          far below zero.",
    wrong: "delta(vllm:generation_tokens_total[5m])",
    right: "increase(vllm:generation_tokens_total[5m])",
    check: Check::Query(check),
};

fn check(context: &Context<'_>, found: &mut Vec<Found>) {
    context.calls(
        &["delta", "idelta", "deriv", "predict_linear"],
        |name, arguments| {
            let function = context.of(name);
            let instead = match function {
                "delta" => Some("increase"),
                "deriv" => Some("rate"),
                _ => None,
            };
            let Some(argument) = arguments.first() else {
                return;
            };
            if context.meaning(argument).kind != Number::Counter {
                return;
            }
            let shown = context.written(&argument.span);
            let advice = match instead {
                Some(instead) => format!("write {instead}()"),
                None => "take increase() or rate() first".to_owned(),
            };
            found.push(
                Found::new(
                    name,
                    format!(
                        "{function}() of `{shown}`, which is a counter: a restart looks like a fall"
                    ),
                    advice,
                )
                .fix(instead.map(|instead| (name.clone(), instead.to_owned()))),
            );
        },
    );
}
