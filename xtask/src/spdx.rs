//! SPDX licence expressions, as far as crates use them: `OR`, `AND`, `WITH`, parentheses, and the
//! older `A/B`, which means `OR`.

/// Whether the expression can be met with accepted licences alone. `Err` says what is not
/// understood, which nobody should take for a yes.
pub(crate) fn accepts(expression: &str, accepted: &[&str]) -> Result<bool, String> {
    let spaced = expression
        .replace('(', " ( ")
        .replace(')', " ) ")
        .replace('/', " OR ");
    let mut tokens = Tokens {
        rest: spaced.split_whitespace().peekable(),
        accepted,
    };
    let verdict = tokens.any_of()?;
    match tokens.rest.next() {
        None => Ok(verdict),
        Some(extra) => Err(format!("{expression:?}: unexpected {extra:?}")),
    }
}

struct Tokens<'a, I: Iterator<Item = &'a str>> {
    rest: std::iter::Peekable<I>,
    accepted: &'a [&'a str],
}

impl<'a, I: Iterator<Item = &'a str>> Tokens<'a, I> {
    fn any_of(&mut self) -> Result<bool, String> {
        let mut verdict = self.all_of()?;
        while self.rest.next_if_eq(&"OR").is_some() {
            verdict |= self.all_of()?;
        }
        Ok(verdict)
    }

    fn all_of(&mut self) -> Result<bool, String> {
        let mut verdict = self.one()?;
        while self.rest.next_if_eq(&"AND").is_some() {
            verdict &= self.one()?;
        }
        Ok(verdict)
    }

    fn one(&mut self) -> Result<bool, String> {
        match self.rest.next() {
            Some("(") => {
                let verdict = self.any_of()?;
                self.rest
                    .next_if_eq(&")")
                    .map(|_| verdict)
                    .ok_or_else(|| "a parenthesis is not closed".to_owned())
            }
            Some(word) if !matches!(word, ")" | "OR" | "AND" | "WITH") => {
                if self.rest.next_if_eq(&"WITH").is_none() {
                    return Ok(self.accepted.contains(&word));
                }
                let exception = self.rest.next().ok_or("nothing after WITH")?;
                // An exception only adds permissions, so the bare licence is enough.
                let whole = format!("{word} WITH {exception}");
                Ok(self.accepted.contains(&word) || self.accepted.contains(&whole.as_str()))
            }
            Some(other) => Err(format!("expected a licence, found {other:?}")),
            None => Err("expected a licence, found the end".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_is_judged_by_its_operators() {
        let accepted = ["MIT", "Apache-2.0", "Unicode-3.0"];
        for (expression, verdict) in [
            ("MIT", true),
            ("GPL-3.0-only", false),
            ("MIT OR GPL-3.0-only", true),
            ("GPL-3.0-only/MIT", true),
            ("MIT AND GPL-3.0-only", false),
            ("(MIT OR Apache-2.0) AND Unicode-3.0", true),
            ("(MIT OR Apache-2.0) AND OpenSSL", false),
            ("GPL-2.0-only OR MIT AND OpenSSL", false),
            ("Apache-2.0 WITH LLVM-exception", true),
            ("GPL-2.0-only WITH Classpath-exception-2.0", false),
        ] {
            assert_eq!(accepts(expression, &accepted), Ok(verdict), "{expression}");
        }
    }

    #[test]
    fn what_is_not_understood_is_not_accepted() {
        for expression in [
            "", "(MIT", "MIT MIT", "MIT OR", "OR MIT", "MIT)", "MIT WITH",
        ] {
            assert!(accepts(expression, &["MIT"]).is_err(), "{expression}");
        }
    }
}
