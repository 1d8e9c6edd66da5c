use super::{Check, Context, Found, Rule};
use crate::finding::Severity;
use crate::promql::tree::Fault;

pub(super) const RULE: Rule = Rule {
    id: "not-checked",
    severity: Severity::Warning,
    title: "an expression that is not checked",
    why: "It may be right or wrong, and what other rules do not say of it means nothing. Expressions with more than 150 operators, \
          nested deeper than 50 levels or longer than 65536 bytes are not looked into; nor are those in which \
          more than 4 variables of a dashboard may be a number or a metric, where no choice that was tried fits.",
    wrong: "((((((((((((((((((((((((((((((((((((((((((((((((((( \
            vllm:num_requests_waiting \
            )))))))))))))))))))))))))))))))))))))))))))))))))))",
    right: "vllm:num_requests_waiting",
    check: Check::Query(check),
};

fn check(context: &Context<'_>, found: &mut Vec<Found>) {
    for fault in context.faults {
        if let Fault::Unchecked { at, why, advice } = fault {
            let message = format!("this expression is not checked: {why}");
            found.push(Found::new(at, message, *advice));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::promql::parse::{DEPTH_MAX, SIGNS_MAX};
    use crate::promql::{EITHER_MAX, LENGTH_MAX};

    #[test]
    fn the_limits_that_it_names_are_those_there_are() {
        for limit in [
            format!("more than {SIGNS_MAX} operators"),
            format!("deeper than {DEPTH_MAX} levels"),
            format!("longer than {LENGTH_MAX} bytes"),
            format!("more than {EITHER_MAX} variables"),
        ] {
            assert!(RULE.why.contains(&limit), "{limit}");
        }
    }
}
