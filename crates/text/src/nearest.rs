//! The word that was meant: the nearest of those that exist.

/// The candidate with the fewest edits (insert, delete, replace, swap of neighbours) from `word`,
/// where they are few enough to be a slip: one in three letters. Case, `_`, `-` and blanks do not
/// count.
///
/// ```
/// use tokenpath_text::nearest::nearest;
///
/// assert_eq!(nearest("endpont", ["endpoint", "interval"]), Some("endpoint"));
/// assert_eq!(nearest("colour", ["endpoint", "interval"]), None);
/// ```
#[must_use]
pub fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let normal: Vec<char> = normalize(word);
    if normal.len() > LONGEST {
        return None;
    }
    let most = (normal.len() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (distance(&normal, &normalize(candidate)), candidate))
        .filter(|(edits, _)| *edits <= most)
        .min()
        .map(|(_, candidate)| candidate)
}

/// How many edits (insert, delete, replace, swap of neighbours) lie between two words.
#[must_use]
pub fn edits(left: &str, right: &str) -> usize {
    distance(&normalize(left), &normalize(right))
}

/// A longer word is not mistyped but something else.
const LONGEST: usize = 100;

/// `bearerToken`, `bearer-token` and `bearer_token` are the same word to people.
fn normalize(word: &str) -> Vec<char> {
    word.chars()
        .filter(|c| !matches!(c, '_' | '-' | ' '))
        .flat_map(char::to_lowercase)
        .collect()
}

/// Optimal string alignment.
fn distance(left: &[char], right: &[char]) -> usize {
    let width = right.len() + 1;
    let mut before: Vec<usize> = vec![0; width];
    let mut last: Vec<usize> = (0..width).collect();
    for (i, a) in left.iter().enumerate() {
        let mut row = vec![i + 1; width];
        for (j, b) in right.iter().enumerate() {
            let replaced = last[j] + usize::from(a != b);
            let mut best = replaced.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == right[j - 1] && left[i - 1] == *b {
                best = best.min(before[j - 1] + 1);
            }
            row[j + 1] = best;
        }
        before = std::mem::replace(&mut last, row);
    }
    last[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_found_and_other_words_are_not() {
        let keys = ["endpoint", "endpoints", "interval", "labels"];
        for (word, found) in [
            ("endpont", Some("endpoint")),
            ("enpdoint", Some("endpoint")),
            ("EndPoint", Some("endpoint")),
            ("label", Some("labels")),
            ("intervall", Some("interval")),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, keys), found, "{word}");
        }
        assert_eq!(
            nearest("bearerToken", ["bearer_token"]),
            Some("bearer_token")
        );
    }
}
