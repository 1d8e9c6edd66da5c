//! `${NAME}` in a value: taken from the environment.

/// Where variables come from.
pub(crate) struct Variables<'v> {
    pub(crate) get: &'v dyn Fn(&str) -> Option<String>,
    /// Whether one that is not set is no error.
    pub(crate) unset_is_fine: bool,
}

/// Replaces `${NAME}` by the variable and `${NAME:-other}` by the variable or, where it is not set
/// or empty, by the other text. `$${` is `${` itself. Names the variable that is missing, and never
/// shows a value. `None` where one is not set and that is fine.
pub(crate) fn expand(text: &str, variables: &Variables<'_>) -> Result<Option<String>, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        if let Some(escaped) = before.strip_suffix('$') {
            out.push_str(escaped);
            out.push_str("${");
            rest = after;
            continue;
        }
        out.push_str(before);
        let Some((inside, tail)) = after.split_once('}') else {
            return Err("`${` is not closed".into());
        };
        let (name, other) = match inside.split_once(":-") {
            Some((name, other)) => (name, Some(other)),
            None => (inside, None),
        };
        if !is_name(name) {
            return Err("between `${` and `}` stands the name of a variable".into());
        }
        match (
            (variables.get)(name).filter(|value| !value.is_empty()),
            other,
        ) {
            (Some(value), _) => out.push_str(&value),
            (None, Some(other)) => out.push_str(other),
            (None, None) if variables.unset_is_fine => return Ok(None),
            (None, None) => return Err(format!("the variable {name} is not set")),
        }
        rest = tail;
    }
    out.push_str(rest);
    Ok(Some(out))
}

/// Whether the text is `${NAME}` and nothing else: what a secret must be.
pub(crate) fn is_one_variable(text: &str) -> bool {
    let inside = text
        .strip_prefix("${")
        .and_then(|rest| rest.strip_suffix('}'));
    inside.is_some_and(is_name)
}

fn is_name(name: &str) -> bool {
    tokenpath_core::is_label_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_replaced_and_missing_ones_named() {
        let get = |name: &str| (name == "NODE").then(|| "a1".to_owned());
        let variables = Variables {
            get: &get,
            unset_is_fine: false,
        };
        for (text, expanded) in [
            ("x", Ok("x".into())),
            ("${NODE}-${NODE}", Ok("a1-a1".into())),
            ("${NONE:-b}", Ok("b".into())),
            ("${NONE:-}", Ok(String::new())),
            ("$${NODE}", Ok("${NODE}".into())),
            ("$NODE {}", Ok("$NODE {}".into())),
            ("${NONE}", Err("the variable NONE is not set".into())),
            ("${NODE", Err("`${` is not closed".into())),
            (
                "${a-b}",
                Err("between `${` and `}` stands the name of a variable".into()),
            ),
        ] {
            assert_eq!(expand(text, &variables), expanded.map(Some), "{text}");
        }
        assert!(is_one_variable("${TOKEN}"));
        assert!(
            !is_one_variable("x${TOKEN}")
                && !is_one_variable("${TOKEN:-x}")
                && !is_one_variable("canary")
        );
    }
}
