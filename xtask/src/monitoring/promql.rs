//! Which series an expression selects: enough of PromQL to name them, and no more. Whether the
//! expression is valid is promtool's to say.

/// One selector: a metric, and the labels it is matched on.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Selector {
    pub(super) metric: String,
    /// Label and operator of each matcher, in the order they stand.
    pub(super) matchers: Vec<(String, String)>,
}

/// Words that stand without a parenthesis behind them and are no metric.
const WORDS: [&str; 30] = [
    "and",
    "or",
    "unless",
    "bool",
    "offset",
    "inf",
    "nan",
    "start",
    "end",
    "atan2",
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "group_right",
    "sum",
    "avg",
    "min",
    "max",
    "count",
    "topk",
    "bottomk",
    "quantile",
    "stddev",
    "stdvar",
    "group",
    "count_values",
    "limitk",
    "limit_ratio",
];

/// Words whose parenthesis holds labels.
const LABEL_LISTS: [&str; 6] = [
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "group_right",
];

#[derive(Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Text,
    Other(char),
}

/// All selectors of an expression, in the order they stand.
pub(super) fn selectors(expression: &str) -> Vec<Selector> {
    let mut found: Vec<Selector> = Vec::new();
    let mut tokens = tokens(expression).into_iter().peekable();
    while let Some(token) = tokens.next() {
        match token {
            Token::Word(word)
                if LABEL_LISTS.contains(&word.as_str())
                    && tokens.peek() == Some(&Token::Other('(')) =>
            {
                for inner in tokens.by_ref() {
                    if inner == Token::Other(')') {
                        break;
                    }
                }
            }
            Token::Word(word) if !WORDS.contains(&word.to_ascii_lowercase().as_str()) => {
                if tokens.peek() == Some(&Token::Other('(')) {
                    continue; // a function
                }
                let mut selector = Selector {
                    metric: word,
                    matchers: Vec::new(),
                };
                if tokens.next_if_eq(&Token::Other('{')).is_some() {
                    let mut label = None;
                    let mut operator = String::new();
                    for inner in tokens.by_ref() {
                        match inner {
                            Token::Other('}') => break,
                            Token::Word(word) => label = Some(word),
                            Token::Text => {
                                if let Some(label) = label.take() {
                                    selector.matchers.push((label, operator.clone()));
                                }
                                operator.clear();
                            }
                            Token::Other(',') => {}
                            Token::Other(sign) => operator.push(sign),
                        }
                    }
                }
                found.push(selector);
            }
            _ => {}
        }
    }
    found
}

fn tokens(expression: &str) -> Vec<Token> {
    let mut found = Vec::new();
    let mut characters = expression.chars().peekable();
    while let Some(first) = characters.next() {
        match first {
            '#' => {
                let _comment = characters.by_ref().find(|&c| c == '\n');
            }
            '"' | '\'' | '`' => {
                while let Some(inner) = characters.next() {
                    if inner == '\\' && first != '`' {
                        characters.next();
                    } else if inner == first {
                        break;
                    }
                }
                found.push(Token::Text);
            }
            // A range or a number: what is in it names nothing.
            '[' => {
                let _range = characters.by_ref().find(|&c| c == ']');
            }
            '0'..='9' | '.' => {
                while characters
                    .next_if(|c| c.is_ascii_alphanumeric() || *c == '.')
                    .is_some()
                {}
            }
            'a'..='z' | 'A'..='Z' | '_' | ':' => {
                let mut word = String::from(first);
                while let Some(next) =
                    characters.next_if(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | ':'))
                {
                    word.push(next);
                }
                found.push(Token::Word(word));
            }
            space if space.is_whitespace() => {}
            other => found.push(Token::Other(other)),
        }
    }
    found
}

#[cfg(test)]
mod unit {
    use super::*;

    fn names(expression: &str) -> Vec<String> {
        selectors(expression)
            .into_iter()
            .map(|selector| selector.metric)
            .collect()
    }

    #[test]
    fn names_are_told_from_functions_labels_and_numbers() {
        let expression = r#"histogram_quantile(0.99, sum by (le, backend) (rate(a_bucket{x=~"b{c}"}[5m])))
            and ignoring (gpu) group_left (name) d:e:f offset 1d > bool 1e3 # g
            or topk(3, h) unless avg_over_time(i[10m:1m]) < Inf"#;
        assert_eq!(names(expression), ["a_bucket", "d:e:f", "h", "i"]);
    }

    #[test]
    fn matchers_have_label_and_operator() {
        let found = selectors(r#"a{le=~"5(\\.0)?", b!='}', c="d\"e"}"#);
        assert_eq!(found.len(), 1);
        let pairs: Vec<(&str, &str)> = found[0]
            .matchers
            .iter()
            .map(|(label, operator)| (label.as_str(), operator.as_str()))
            .collect();
        assert_eq!(pairs, [("le", "=~"), ("b", "!="), ("c", "=")]);
    }
}
