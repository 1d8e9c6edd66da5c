//! From the words of a query to its tree.
//!
//! The parser crate that judges a query ([`judge`](super::judge)) keeps no positions, so the shape is
//! read here: names, brackets, precedence.

use super::literal::{number, unquoted};
use super::token::{Kind as Word, Token, tokens};
use super::tree::{Aggregate, Binary, Fault, Grouping, Kind, Matcher, Node, Selector, Sign, Span};

/// Reads a query. A misplaced grouping is a fault beside the tree; anything else gives no tree.
pub(super) fn parse(text: &str) -> (Option<Node>, Vec<Fault>) {
    let all = tokens(text, false);
    let tokens: Vec<Token> = all
        .into_iter()
        .filter(|token| token.kind != Word::Comment)
        .collect();
    let mut parser = Parser {
        text,
        tokens: &tokens,
        at: 0,
        depth: 0,
        signs: 0,
        faults: Vec::new(),
    };
    let outcome = parser.whole();
    let mut faults = parser.faults;
    match outcome {
        Ok(node) => (Some(node), faults),
        Err(fault) => {
            faults.push(fault);
            (None, faults)
        }
    }
}

/// As deep as brackets may be nested.
pub(crate) const DEPTH_MAX: usize = 50;

/// As many signs may stand between operands: each makes the tree deeper by one.
pub(crate) const SIGNS_MAX: usize = 150;

const AGGREGATIONS: [&str; 14] = [
    "sum",
    "avg",
    "count",
    "min",
    "max",
    "group",
    "stddev",
    "stdvar",
    "topk",
    "bottomk",
    "count_values",
    "quantile",
    "limitk",
    "limit_ratio",
];

/// Signs of two operands, those that bind least first.
const BINARY: [&[&str]; 6] = [
    &["or"],
    &["and", "unless"],
    &["==", "!=", "<=", ">=", "<", ">"],
    &["+", "-"],
    &["*", "/", "%", "atan2"],
    &["^"],
];
/// Where `^` stands there: signs in front bind less.
const POWER: usize = 5;

/// What is larger than any query that people write is not looked into.
pub(super) fn too_large(at: Span, why: String) -> Fault {
    Fault::Unchecked {
        at,
        why,
        advice: "split it: let recording rules hold parts of it",
    }
}

struct Parser<'t> {
    text: &'t str,
    tokens: &'t [Token],
    at: usize,
    depth: usize,
    signs: usize,
    faults: Vec<Fault>,
}

type Parsed<T> = Result<T, Fault>;

impl<'t> Parser<'t> {
    fn whole(&mut self) -> Parsed<Node> {
        let node = self.binary(0)?;
        match self.tokens.get(self.at) {
            None => Ok(node),
            Some(_) => Err(self.unexpected("an operator or the end")),
        }
    }

    fn peek(&self) -> &'t str {
        self.peek_behind(0)
    }

    fn peek_behind(&self, more: usize) -> &'t str {
        let token = self.tokens.get(self.at + more);
        token.map_or("", |token| token.of(self.text))
    }

    fn kind(&self) -> Option<Word> {
        self.tokens.get(self.at).map(|token| token.kind)
    }

    fn is_word(&self, word: &str) -> bool {
        self.kind() == Some(Word::Word) && self.peek().eq_ignore_ascii_case(word)
    }

    /// Takes the next word, whatever it is.
    fn take(&mut self) -> Span {
        let end = self.text.len()..self.text.len();
        let span = self
            .tokens
            .get(self.at)
            .map_or(end, |token| token.span.clone());
        self.at += 1;
        span
    }

    fn eat(&mut self, sign: &str) -> Option<Span> {
        (self.kind() == Some(Word::Sign) && self.peek() == sign).then(|| self.take())
    }

    fn need(&mut self, sign: &str) -> Parsed<Span> {
        self.eat(sign)
            .ok_or_else(|| self.unexpected(&format!("`{sign}`")))
    }

    fn unexpected(&self, wanted: &str) -> Fault {
        let (at, what) = match self.tokens.get(self.at) {
            None => {
                let end = self.text.trim_end().len();
                let what = format!("the query ends where {wanted} should stand");
                (end..end, what)
            }
            Some(token) if token.kind == Word::Broken && token.of(self.text).len() > 1 => {
                let what = "the quotes that open here are never closed".to_owned();
                (token.span.clone(), what)
            }
            Some(token) => {
                let found = tokenpath_text::tree::shown(token.of(self.text));
                let what = format!("`{found}` stands where {wanted} should");
                (token.span.clone(), what)
            }
        };
        Fault::Unexpected { at, what }
    }

    fn deeper<T>(&mut self, inside: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            let at = self.take();
            let why = format!("it is nested deeper than {DEPTH_MAX} levels");
            return Err(too_large(at, why));
        }
        let outcome = inside(self);
        self.depth -= 1;
        outcome
    }

    /// Operands and the signs between them, those only that bind at least so much.
    fn binary(&mut self, least: usize) -> Parsed<Node> {
        let mut left = self.signed()?;
        while let Some((level, sign)) = self.sign_between(least) {
            let at = self.take();
            self.signs += 1;
            if self.signs > SIGNS_MAX {
                let why = format!("it has more than {SIGNS_MAX} operators");
                return Err(too_large(at, why));
            }
            let is_bool = self.binary_modifiers()?;
            // `^` binds from the right: 2 ^ 3 ^ 2.
            let right = if level == POWER {
                self.deeper(|parser| parser.binary(POWER))?
            } else {
                self.binary(level + 1)?
            };
            let span = left.span.start..right.span.end;
            let kind = Kind::Binary(Binary {
                sign,
                at,
                is_bool,
                left: Box::new(left),
                right: Box::new(right),
            });
            left = Node { span, kind };
        }
        Ok(left)
    }

    /// The sign of two operands that comes next, if it binds at least so much, and how much it does.
    fn sign_between(&self, least: usize) -> Option<(usize, &'static str)> {
        let next = self.peek();
        if self.kind() == Some(Word::Text) {
            return None;
        }
        let levels = BINARY.iter().enumerate().skip(least);
        let mut signs =
            levels.flat_map(|(level, signs)| signs.iter().map(move |sign| (level, *sign)));
        signs.find(|(_, sign)| sign.eq_ignore_ascii_case(next))
    }

    /// Signs in front bind less than `^` and more than all else.
    fn signed(&mut self) -> Parsed<Node> {
        if self.kind() != Some(Word::Sign) || !matches!(self.peek(), "+" | "-") {
            return self.postfix();
        }
        let minus = self.peek() == "-";
        let start = self.take().start;
        let inner = self.deeper(|parser| parser.binary(POWER))?;
        let span = start..inner.span.end;
        let inner = Box::new(inner);
        let kind = Kind::Signed { minus, inner };
        Ok(Node { span, kind })
    }

    /// `bool`, `on (…)`, `group_left (…)`; whether there was a `bool`.
    fn binary_modifiers(&mut self) -> Parsed<bool> {
        let mut is_bool = false;
        loop {
            if self.is_word("bool") {
                self.take();
                is_bool = true;
                continue;
            }
            let lists = ["on", "ignoring"];
            let sides = ["group_left", "group_right"];
            let fills = ["fill", "fill_left", "fill_right"];
            let is = |parser: &Self, words: &[&str]| words.iter().any(|word| parser.is_word(word));
            if is(self, &lists) && self.peek_behind(1) == "(" {
                self.take();
                self.labels()?;
            } else if is(self, &sides) {
                self.take();
                // What follows in brackets may be the operand.
                if self.peek() == "(" && self.is_list() {
                    self.labels()?;
                }
            } else if is(self, &fills) && self.peek_behind(1) == "(" {
                self.take();
                self.need("(")?;
                _ = self.eat("-");
                self.take();
                self.need(")")?;
            } else {
                return Ok(is_bool);
            }
        }
    }

    /// Whether brackets hold no more than names, and something follows that may be an operand.
    fn is_list(&self) -> bool {
        let mut at = self.at + 1;
        while let Some(token) = self.tokens.get(at) {
            match (token.kind, token.of(self.text)) {
                (Word::Sign, ")") => {
                    let next = self.tokens.get(at + 1);
                    return next.is_some_and(|next| {
                        let said = next.of(self.text).to_ascii_lowercase();
                        let word =
                            next.kind != Word::Sign || matches!(&*said, "(" | "{" | "-" | "+");
                        word && !BINARY[..2].iter().any(|signs| signs.contains(&&*said))
                    });
                }
                (Word::Word, _) | (Word::Sign, ",") => at += 1,
                _ => return false,
            }
        }
        false
    }

    fn labels(&mut self) -> Parsed<(Vec<Span>, Span)> {
        let mut labels = Vec::new();
        let brackets = self.list("(", ")", |parser| {
            match parser.kind() {
                Some(Word::Word) => labels.push(parser.take()),
                Some(Word::Text) => {
                    let span = parser.take();
                    labels.push(span.start + 1..span.end - 1);
                }
                _ => return Err(parser.unexpected("the name of a label or `)`")),
            }
            Ok(())
        })?;
        Ok((labels, brackets))
    }

    /// Items between brackets, with commas between them and perhaps behind the last; from the opening
    /// bracket to the closing one.
    fn list(
        &mut self,
        open: &str,
        close: &str,
        mut item: impl FnMut(&mut Self) -> Parsed<()>,
    ) -> Parsed<Span> {
        let start = self.need(open)?.start;
        loop {
            if let Some(close) = self.eat(close) {
                return Ok(start..close.end);
            }
            item(self)?;
            if self.eat(",").is_none() && self.peek() != close {
                return Err(self.unexpected(&format!("`,` or `{close}`")));
            }
        }
    }

    fn grouping(&mut self) -> Parsed<Option<Grouping>> {
        let without = self.is_word("without");
        if !(without || self.is_word("by")) || self.peek_behind(1) != "(" {
            return Ok(None);
        }
        let start = self.take().start;
        let (labels, brackets) = self.labels()?;
        Ok(Some(Grouping {
            span: start..brackets.end,
            without,
            labels,
        }))
    }

    /// An operand and what stands behind it.
    fn postfix(&mut self) -> Parsed<Node> {
        let mut node = self.primary()?;
        for _ in 0..DEPTH_MAX {
            if self.peek() == "[" {
                node = self.range(node)?;
            } else if self.is_word("offset") {
                node.span.end = self.offset()?.end;
            } else if self.peek() == "@" {
                node.span.end = self.moment()?.end;
            } else if let Some(grouping) = self.grouping()? {
                node = self.misplaced(node, grouping);
            } else {
                return Ok(node);
            }
        }
        Err(self.unexpected("an operator or the end"))
    }

    /// `offset -5m`; where its duration stands.
    fn offset(&mut self) -> Parsed<Span> {
        self.take();
        while self.eat("-").is_some() || self.eat("+").is_some() {}
        if self.kind() != Some(Word::Number) {
            return Err(self.unexpected("a duration"));
        }
        Ok(self.take())
    }

    /// `@ 1700000000` or `@ end()`; where the last of it stands.
    fn moment(&mut self) -> Parsed<Span> {
        self.take();
        _ = self.eat("-");
        let moment = self.take();
        match self.eat("(") {
            Some(_) => self.need(")"),
            None => Ok(moment),
        }
    }

    /// A grouping behind what is no aggregation: what was meant is one without a name.
    fn misplaced(&mut self, node: Node, grouping: Grouping) -> Node {
        let operand = node.span.clone();
        let span = operand.start..grouping.span.end;
        self.faults.push(Fault::Misplaced {
            operand,
            grouping: grouping.span.clone(),
        });
        let kind = Kind::Aggregate(Aggregate {
            name: span.start..span.start,
            grouping: Some(grouping),
            parameter: None,
            inner: Box::new(node),
        });
        Node { span, kind }
    }

    /// `[5m]` or `[5m:1m]`.
    fn range(&mut self, mut node: Node) -> Parsed<Node> {
        let start = self.take().start;
        let mut has_step = false;
        let (mut depth, mut round) = (1, 0_usize);
        loop {
            match (self.kind(), self.peek()) {
                (Some(Word::Sign), "(") => round += 1,
                (Some(Word::Sign), ")") if round > 0 => round -= 1,
                (Some(Word::Sign), ":") => has_step = true,
                (Some(Word::Sign), "[") => depth += 1,
                (Some(Word::Sign), "]") => depth -= 1,
                (Some(Word::Number | Word::Word), _) => {}
                (Some(Word::Sign), "+" | "-" | "*" | "/" | "%" | "^") => {}
                _ => return Err(self.unexpected("a duration and `]`")),
            }
            let end = self.take().end;
            if depth > 0 {
                continue;
            }
            let span = node.span.start..end;
            return Ok(match &mut node.kind {
                Kind::Selector(selector) if !has_step && selector.range.is_none() => {
                    selector.range = Some(start..end);
                    node.span = span;
                    node
                }
                _ => Node {
                    span,
                    kind: Kind::Subquery {
                        inner: Box::new(node),
                    },
                },
            });
        }
    }

    fn primary(&mut self) -> Parsed<Node> {
        match (self.kind(), self.peek()) {
            (Some(Word::Sign), "(") => {
                let start = self.take().start;
                let inner = self.deeper(|parser| parser.binary(0))?;
                let end = self.need(")")?.end;
                let kind = Kind::Group(Box::new(inner));
                Ok(Node {
                    span: start..end,
                    kind,
                })
            }
            (Some(Word::Sign), "{") => self.selector(None),
            (Some(Word::Number), _) => self.number(),
            (Some(Word::Text), _) => Ok(Node {
                span: self.take(),
                kind: Kind::Text,
            }),
            (Some(Word::Word), word) => self.named(word),
            _ => Err(self.unexpected("a metric, a number or a function")),
        }
    }

    fn number(&mut self) -> Parsed<Node> {
        let Some(number) = number(self.peek()) else {
            return Err(self.unexpected("a number"));
        };
        let span = self.take();
        let kind = Kind::Number(number);
        Ok(Node { span, kind })
    }

    fn named(&mut self, word: &str) -> Parsed<Node> {
        let lower = word.to_ascii_lowercase();
        let next = self.peek_behind(1);
        let grouped = next.eq_ignore_ascii_case("by") || next.eq_ignore_ascii_case("without");
        let grouped = grouped && self.peek_behind(2) == "(";
        if AGGREGATIONS.contains(&&*lower) && (next == "(" || grouped) {
            return self.aggregate();
        }
        if next == "(" {
            let name = self.take();
            let (arguments, brackets) = self.arguments()?;
            let span = name.start..brackets.end;
            let kind = Kind::Call { name, arguments };
            return Ok(Node { span, kind });
        }
        if matches!(&*lower, "inf" | "nan") {
            return self.number();
        }
        let name = self.take();
        self.selector(Some(name))
    }

    fn aggregate(&mut self) -> Parsed<Node> {
        let name = self.take();
        let before = self.grouping()?;
        let (mut arguments, brackets) = self.arguments()?;
        let behind = match &before {
            None => self.grouping()?,
            Some(_) => None,
        };
        let end = behind.as_ref().map_or(brackets.end, |by| by.span.end);
        let Some(inner) = arguments.pop() else {
            let what = "an aggregation of nothing".to_owned();
            return Err(Fault::Unexpected { at: name, what });
        };
        let span = name.start..end;
        let kind = Kind::Aggregate(Aggregate {
            name,
            grouping: before.or(behind),
            parameter: arguments.pop().map(Box::new),
            inner: Box::new(inner),
        });
        Ok(Node { span, kind })
    }

    fn arguments(&mut self) -> Parsed<(Vec<Node>, Span)> {
        let mut arguments = Vec::new();
        let brackets = self.list("(", ")", |parser| {
            arguments.push(parser.deeper(|parser| parser.binary(0))?);
            Ok(())
        })?;
        Ok((arguments, brackets))
    }

    /// A name, matchers in braces, or both.
    fn selector(&mut self, name: Option<Span>) -> Parsed<Node> {
        let mut selector = Selector {
            name: name.clone().unwrap_or(0..0),
            matchers: Vec::new(),
            range: None,
        };
        let span = match name {
            Some(name) if self.peek() != "{" => name,
            name => {
                let braces = self.list("{", "}", |parser| parser.matcher(&mut selector))?;
                name.map_or(braces.start, |name| name.start)..braces.end
            }
        };
        let kind = Kind::Selector(selector);
        Ok(Node { span, kind })
    }

    fn matcher(&mut self, selector: &mut Selector) -> Parsed<()> {
        let label = match self.kind() {
            Some(Word::Word) => self.take(),
            Some(Word::Text) => {
                let span = self.take();
                let inside = span.start + 1..span.end - 1;
                // A name in quotes.
                if matches!(self.peek(), "," | "}") {
                    selector.name = inside;
                    return Ok(());
                }
                inside
            }
            _ => return Err(self.unexpected("the name of a label or `}`")),
        };
        let sign = match self.peek() {
            "=" => Sign::Is,
            "!=" => Sign::IsNot,
            "=~" => Sign::Like,
            "!~" => Sign::NotLike,
            _ => return Err(self.unexpected("`=`, `!=`, `=~` or `!~`")),
        };
        self.take();
        if self.kind() != Some(Word::Text) {
            return Err(self.unexpected("a value in quotes"));
        }
        let text = unquoted(self.peek());
        let value = self.take();
        if self.text.get(label.clone()) == Some("__name__") && sign == Sign::Is {
            selector.name = value.start + 1..value.end - 1;
        }
        selector.matchers.push(Matcher {
            label,
            sign,
            value,
            text,
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The shape with brackets around everything.
    fn shape(text: &str, node: &Node) -> String {
        let of = |span: &Span| text.get(span.clone()).unwrap().to_owned();
        let all = |nodes: &[&Node]| {
            let nodes: Vec<String> = nodes.iter().map(|node| shape(text, node)).collect();
            nodes.join(", ")
        };
        match &node.kind {
            Kind::Number(_) | Kind::Text | Kind::Selector(_) => of(&node.span),
            Kind::Call { name, .. } => format!("{}<{}>", of(name), all(&node.children())),
            Kind::Aggregate(aggregate) => {
                format!("{}<{}>", of(&aggregate.name), all(&node.children()))
            }
            Kind::Binary(both) => format!(
                "({} {} {})",
                shape(text, &both.left),
                both.sign,
                shape(text, &both.right)
            ),
            Kind::Signed { inner, .. } => format!("-{}", shape(text, inner)),
            Kind::Group(inner) => shape(text, inner),
            Kind::Subquery { inner } => format!("{}[:]", shape(text, inner)),
        }
    }

    #[test]
    fn signs_bind_as_promql_says() {
        for (text, expected) in [
            ("a + b * c", "(a + (b * c))"),
            ("a - b - c", "((a - b) - c)"),
            ("2 ^ 3 ^ 2", "(2 ^ (3 ^ 2))"),
            ("-a ^ 2", "-(a ^ 2)"),
            ("2 ^ -1 * 3", "((2 ^ -1) * 3)"),
            ("a or b and c > 1", "(a or (b and (c > 1)))"),
            ("a and b unless c", "((a and b) unless c)"),
            ("a > bool 1 == 0", "((a > 1) == 0)"),
            (
                "sum by (x) (rate(a{b=\"c\"}[5m])) / on (x) group_left (y) b",
                "(sum<rate<a{b=\"c\"}[5m]>> / b)",
            ),
            ("a * group_left (b)", "(a * b)"),
            ("topk(3, sum(a) without (b))", "topk<3, sum<a>>"),
            (
                "max_over_time(sum(a)[1h:5m] offset 1d)",
                "max_over_time<sum<a>[:]>",
            ),
            ("time() - a @ end()", "(time<> - a @ end())"),
            ("{__name__=\"a\", b!~\"c\"}", "{__name__=\"a\", b!~\"c\"}"),
        ] {
            let (node, faults) = parse(text);
            assert_eq!(faults, [], "{text}");
            assert_eq!(shape(text, &node.unwrap()), expected, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_read_says_where() {
        for (text, at, says) in [
            ("sum(a", 5, "ends where `,` or `)`"),
            ("rate(a[5m)) + 1", 9, "`)` stands where"),
            ("a b", 2, "`b` stands where an operator"),
            ("a{b=c}", 4, "a value in quotes"),
            ("a{b=\"c}", 4, "never closed"),
            ("", 0, "ends where a metric"),
            ("a + ", 3, "ends where a metric"),
            ("a[5m", 4, "a duration and `]`"),
            ("a $ b", 2, "`$` stands where"),
            ("rate(x) as tokens", 8, "`as` stands where"),
        ] {
            let (node, faults) = parse(text);
            assert_eq!(node, None, "{text}");
            let Some(Fault::Unexpected { at: span, what }) = faults.last() else {
                panic!("{text}: {faults:?}");
            };
            assert_eq!(span.start, at, "{text}: {what}");
            assert!(what.contains(says), "{text}: {what}");
        }
        assert_eq!(parse(&"-".repeat(5000)).0, None);
        assert_eq!(parse(&"a[1:]".repeat(5000)).0, None);
        assert_eq!(parse(&format!("a{}", "[1h:1m]".repeat(5000))).0, None);
        assert_eq!(parse(&format!("a{}", " by (x)".repeat(5000))).0, None);
    }

    #[test]
    fn what_is_too_large_says_where_and_how_large_it_may_be() {
        let nested = |levels: usize| format!("{}a{}", "(".repeat(levels), ")".repeat(levels));
        let long = |signs: usize| vec!["a"; signs + 1].join(" or ");
        for text in [nested(DEPTH_MAX), long(SIGNS_MAX)] {
            let (node, faults) = parse(&text);
            assert!(node.is_some() && faults.is_empty(), "{text}: {faults:?}");
        }
        for (text, start, says) in [
            (
                nested(DEPTH_MAX + 1),
                DEPTH_MAX + 1,
                "deeper than 50 levels",
            ),
            ("(".repeat(5000), DEPTH_MAX + 1, "deeper than 50 levels"),
            (
                long(SIGNS_MAX + 1),
                5 * SIGNS_MAX + 2,
                "more than 150 operators",
            ),
            (long(5000), 5 * SIGNS_MAX + 2, "more than 150 operators"),
        ] {
            let (None, faults) = parse(&text) else {
                panic!("{text}");
            };
            let [Fault::Unchecked { at, why, .. }] = &faults[..] else {
                panic!("{text}: {faults:?}");
            };
            assert_eq!(at.start, start, "{why}");
            assert!(why.contains(says), "{why}");
        }
    }

    #[test]
    fn a_grouping_behind_a_call_is_what_was_meant() {
        let text = "rate(a[5m]) by (b) > 1";
        let (node, faults) = parse(text);
        let grouping = 12..18;
        assert_eq!(
            faults,
            [Fault::Misplaced {
                operand: 0..11,
                grouping
            }]
        );
        assert_eq!(shape(text, &node.unwrap()), "(<rate<a[5m]>> > 1)");
    }
}
