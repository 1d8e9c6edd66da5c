//! PromQL as a tree in which every part knows where it stands.
//!
//! What types and functions there are is not this file's matter. A `by (…)` behind something that is no
//! aggregation is kept as what was meant, with a [`Fault`] that says so.

use std::ops::Range;

pub(crate) type Span = Range<usize>;

/// A part of a query.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    pub(crate) span: Span,
    pub(crate) kind: Kind,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    Number(f64),
    Text,
    Selector(Selector),
    Call {
        name: Span,
        arguments: Vec<Node>,
    },
    Aggregate(Aggregate),
    Binary(Binary),
    /// A sign in front.
    Signed {
        minus: bool,
        inner: Box<Node>,
    },
    /// In brackets.
    Group(Box<Node>),
    /// `inner[range:step]`.
    Subquery {
        inner: Box<Node>,
    },
}

/// `name{label="value"}[range]`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Selector {
    /// The name, without quotes; empty where there is none.
    pub(crate) name: Span,
    pub(crate) matchers: Vec<Matcher>,
    pub(crate) range: Option<Span>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Matcher {
    pub(crate) label: Span,
    pub(crate) sign: Sign,
    /// The value with its quotes.
    pub(crate) value: Span,
    /// The value itself.
    pub(crate) text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sign {
    Is,
    IsNot,
    Like,
    NotLike,
}

/// `sum by (a) (parameter, inner)`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Aggregate {
    /// The name of the aggregation; empty where `by` stands behind something else.
    pub(crate) name: Span,
    pub(crate) grouping: Option<Grouping>,
    pub(crate) parameter: Option<Box<Node>>,
    pub(crate) inner: Box<Node>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Grouping {
    /// From `by` to its closing bracket.
    pub(crate) span: Span,
    pub(crate) without: bool,
    pub(crate) labels: Vec<Span>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Binary {
    /// In lower case.
    pub(crate) sign: &'static str,
    pub(crate) at: Span,
    pub(crate) is_bool: bool,
    pub(crate) left: Box<Node>,
    pub(crate) right: Box<Node>,
}

impl Binary {
    pub(crate) fn compares(&self) -> bool {
        matches!(self.sign, "==" | "!=" | ">" | "<" | ">=" | "<=")
    }
}

impl Node {
    /// What it is made of, from left to right.
    pub(crate) fn children(&self) -> Vec<&Self> {
        match &self.kind {
            Kind::Number(_) | Kind::Text | Kind::Selector(_) => Vec::new(),
            Kind::Call { arguments, .. } => arguments.iter().collect(),
            Kind::Aggregate(all) => {
                let parameter = all.parameter.as_deref();
                parameter.into_iter().chain([&*all.inner]).collect()
            }
            Kind::Binary(both) => vec![&both.left, &both.right],
            Kind::Signed { inner, .. } | Kind::Group(inner) | Kind::Subquery { inner } => {
                vec![inner]
            }
        }
    }

    /// It and all parts of it, each before its own parts.
    pub(crate) fn walk<'n>(&'n self, see: &mut impl FnMut(&'n Self)) {
        see(self);
        for child in self.children() {
            child.walk(see);
        }
    }

    /// Without brackets around it.
    pub(crate) fn bare(&self) -> &Self {
        match &self.kind {
            Kind::Group(inner) => inner.bare(),
            _ => self,
        }
    }

    /// The number that it is, with its sign.
    pub(crate) fn number(&self) -> Option<f64> {
        match &self.bare().kind {
            Kind::Number(number) => Some(*number),
            Kind::Signed { minus, inner } => {
                let number = inner.number()?;
                Some(if *minus { -number } else { number })
            }
            // 21 * 86400 is a number, too.
            Kind::Binary(both) => {
                let (left, right) = (both.left.number()?, both.right.number()?);
                match both.sign {
                    "+" => Some(left + right),
                    "-" => Some(left - right),
                    "*" => Some(left * right),
                    "/" => Some(left / right),
                    "^" => Some(left.powf(right)),
                    _ => None,
                }
            }
            _ => None,
        }
    }
}

/// What is wrong with a query, as far as it can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It cannot be read beyond this.
    Unexpected { at: Span, what: String },
    /// It may be right or wrong: it is not looked into.
    Unchecked {
        at: Span,
        why: String,
        advice: &'static str,
    },
    /// `by (…)` behind what is no aggregation.
    Misplaced { operand: Span, grouping: Span },
}

impl Fault {
    pub(crate) fn is_unchecked(&self) -> bool {
        matches!(self, Self::Unchecked { .. })
    }
}

#[cfg(test)]
mod tests {
    use crate::promql::parse::parse;

    #[test]
    fn a_calculation_of_numbers_is_a_number() {
        for (text, number) in [
            ("21 * 86400", Some(1_814_400.0)),
            ("-(2 ^ 3) / 4", Some(-2.0)),
            ("1h - 30m + 1", Some(1801.0)),
            ("5 % 2", None),
            ("a + 1", None),
        ] {
            assert_eq!(parse(text).0.unwrap().number(), number, "{text}");
        }
    }
}
