//! Numbers, durations and text in quotes: what they stand for.

/// A number or a duration, in seconds.
pub(super) fn number(word: &str) -> Option<f64> {
    let plain = word.replace('_', "");
    if let Some(digits) = plain
        .strip_prefix("0x")
        .or_else(|| plain.strip_prefix("0X"))
    {
        #[expect(clippy::cast_precision_loss, reason = "what PromQL does, too")]
        return u64::from_str_radix(digits, 16)
            .ok()
            .map(|number| number as f64);
    }
    plain.parse().ok().or_else(|| duration(&plain))
}

/// `1h30m`, in seconds.
fn duration(word: &str) -> Option<f64> {
    const UNITS: [(&str, f64); 7] = [
        ("ms", 0.001),
        ("s", 1.0),
        ("m", 60.0),
        ("h", 3600.0),
        ("d", 86_400.0),
        ("w", 604_800.0),
        ("y", 31_536_000.0),
    ];
    let mut rest = word;
    let mut sum = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let count: f64 = rest.get(..digits)?.parse().ok()?;
        rest = rest.get(digits..)?;
        let (unit, seconds) = UNITS.iter().find(|(unit, _)| {
            let behind = rest.strip_prefix(unit);
            behind.is_some_and(|behind| !behind.starts_with(|c: char| c.is_ascii_alphabetic()))
        })?;
        rest = rest.strip_prefix(unit)?;
        sum += count * seconds;
    }
    Some(sum)
}

/// The text that stands in quotes, with the escapes that matter for labels.
pub(super) fn unquoted(quoted: &str) -> String {
    let raw = quoted.starts_with('`');
    let inside = quoted
        .get(1..quoted.len().saturating_sub(1))
        .unwrap_or_default();
    if raw || !inside.contains('\\') {
        return inside.to_owned();
    }
    let mut text = String::with_capacity(inside.len());
    let mut rest = inside.chars();
    while let Some(c) = rest.next() {
        if c != '\\' {
            text.push(c);
            continue;
        }
        match rest.next() {
            Some('n') => text.push('\n'),
            Some('t') => text.push('\t'),
            Some('r') => text.push('\r'),
            Some(c @ ('\\' | '"' | '\'')) => text.push(c),
            Some(other) => text.extend(['\\', other]),
            None => text.push('\\'),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_durations() {
        for (word, value) in [
            ("5", Some(5.0)),
            ("0x1F", Some(31.0)),
            ("1e3", Some(1000.0)),
            ("1_000", Some(1000.0)),
            ("1h30m", Some(5400.0)),
            ("5ms", Some(0.005)),
            ("5x", None),
        ] {
            assert_eq!(number(word), value, "{word}");
        }
    }

    #[test]
    fn quotes_and_escapes() {
        assert_eq!(unquoted("\"5(\\\\.0)?\""), "5(\\.0)?");
        assert_eq!(unquoted("`5(\\.0)?`"), "5(\\.0)?");
    }
}
