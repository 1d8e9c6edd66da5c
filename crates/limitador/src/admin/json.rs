//! Reading the answers of the admin API.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use smallvec::SmallVec;

use super::{Limit, Status, Window};
use crate::TenantOptions;
use crate::tenant::variable;

/// An answer that is not what it should be: where, and nothing of what it said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadAnswer {
    line: usize,
    column: usize,
}

impl fmt::Display for BadAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, column } = self;
        write!(
            f,
            "not the JSON of Limitador's admin API: line {line}, column {column}"
        )
    }
}

impl From<serde_json::Error> for BadAnswer {
    fn from(error: serde_json::Error) -> Self {
        Self {
            line: error.line(),
            column: error.column(),
        }
    }
}

/// Text that is borrowed where it has no escape.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

#[derive(Deserialize)]
struct LimitJson<'a> {
    #[serde(borrow, default)]
    id: Option<Text<'a>>,
    #[serde(borrow)]
    namespace: Text<'a>,
    max_value: u64,
    seconds: u64,
    #[serde(borrow, default)]
    name: Option<Text<'a>>,
}

impl LimitJson<'_> {
    /// Writes it over a limit.
    fn fill(&self, limit: &mut Limit) {
        let named = [&self.name, &self.id].into_iter().flatten();
        let name = named
            .map(|Text(name)| &**name)
            .find(|name| !name.is_empty());
        self.namespace.0.as_ref().clone_into(&mut limit.namespace);
        name.unwrap_or_default().clone_into(&mut limit.name);
        limit.window_seconds = self.seconds;
        limit.max = self.max_value;
    }
}

#[derive(Deserialize)]
struct CounterJson<'a> {
    #[serde(borrow)]
    limit: LimitJson<'a>,
    #[serde(borrow, default)]
    set_variables: Variables<'a>,
    #[serde(default)]
    remaining: Option<i128>,
    #[serde(default)]
    expires_in_seconds: Option<u64>,
}

impl CounterJson<'_> {
    /// Writes it over a window.
    fn fill(&self, options: &TenantOptions, window: &mut Window) {
        let Variables(variables) = &self.set_variables;
        self.limit.fill(&mut window.limit);
        let tenant = options.of_variables(variables);
        tenant.unwrap_or_default().clone_into(&mut window.tenant);
        let labels = &mut window.labels;
        labels.clear();
        for (name, ours) in &options.keep {
            let value = variable(variables, name).filter(|value| !value.is_empty());
            let free =
                TenantOptions::may_keep(ours) && labels.iter().all(|(known, _)| known != ours);
            if let Some(value) = value.filter(|_| free) {
                labels.push((ours.clone(), value.to_owned()));
            }
        }
        let remaining = self.remaining;
        window.remaining = remaining.map(|remaining| unwrapped(self.limit.max_value, remaining));
        window.reset_seconds = self.expires_in_seconds;
    }
}

/// Names and values; few, so that a counter costs no allocation.
#[derive(Default)]
struct Variables<'a>(SmallVec<[(Cow<'a, str>, Cow<'a, str>); 2]>);

impl<'de: 'a, 'a> Deserialize<'de> for Variables<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(VariablesVisitor(PhantomData))
    }
}

struct VariablesVisitor<'a>(PhantomData<&'a str>);

impl<'de: 'a, 'a> Visitor<'de> for VariablesVisitor<'a> {
    type Value = Variables<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of texts")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
        let mut all = SmallVec::new();
        while let Some((Text(name), Text(value))) = map.next_entry()? {
            all.push((name, value));
        }
        Ok(Variables(all))
    }
}

/// Hands on the counters of a list, one by one.
struct Counters<F>(F);

impl<'de, F: FnMut(CounterJson<'de>)> Visitor<'de> for Counters<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of counters")
    }

    fn visit_seq<S: SeqAccess<'de>>(mut self, mut list: S) -> Result<(), S::Error> {
        while let Some(counter) = list.next_element()? {
            self.0(counter);
        }
        Ok(())
    }
}

#[derive(Deserialize)]
struct StatusJson<'a> {
    #[serde(borrow, default)]
    started_at: Option<Text<'a>>,
    #[serde(borrow, default)]
    config_applied_at: Option<Text<'a>>,
    #[serde(default)]
    config_version: Option<u64>,
    #[serde(default)]
    config_err_since: Option<u64>,
}

/// Reads an answer to `/limits/{namespace}`.
pub(crate) fn limits(json: &[u8]) -> Result<Vec<Limit>, BadAnswer> {
    let limits: Vec<LimitJson<'_>> = serde_json::from_slice(json)?;
    let limit = |json: &LimitJson<'_>| {
        let mut limit = Limit::default();
        json.fill(&mut limit);
        limit
    };
    Ok(limits.iter().map(limit).collect())
}

/// Reads an answer to `/counters/{namespace}`, behind the `windows` that there are. Those of `spare`
/// are written over before new ones are made.
pub(crate) fn windows(
    json: &[u8],
    options: &TenantOptions,
    spare: &mut Vec<Window>,
    windows: &mut Vec<Window>,
) -> Result<(), BadAnswer> {
    let before = windows.len();
    let counters = Counters(|counter: CounterJson<'_>| {
        let mut window = spare.pop().unwrap_or_default();
        counter.fill(options, &mut window);
        windows.push(window);
    });
    let mut json = serde_json::Deserializer::from_slice(json);
    let read = json.deserialize_seq(counters).and_then(|()| json.end());
    read.map_err(|error| {
        windows.truncate(before);
        error.into()
    })
}

/// Reads an answer to `/status`: `None` for the `null` of releases up to 2.0.
pub(crate) fn status(json: &[u8]) -> Result<Option<Status>, BadAnswer> {
    let status: Option<StatusJson<'_>> = serde_json::from_slice(json)?;
    let time = |text: Option<Text<'_>>| epoch_seconds(&text?.0);
    Ok(status.map(|status| Status {
        started: time(status.started_at),
        config_applied: time(status.config_applied_at),
        config_reloads: status.config_version,
        config_failed: status.config_err_since,
    }))
}

/// Undoes the wrapping of `max - used` in unsigned 64 bits. Releases up to 1.4 are signed and say it
/// plainly.
fn unwrapped(max: u64, remaining: i128) -> i64 {
    let whole = if remaining > i128::from(max) {
        remaining - (1 << 64)
    } else {
        remaining
    };
    i64::try_from(whole).unwrap_or(i64::MIN)
}

/// The seconds since the epoch of `2026-11-22T02:47:21.669024607`, which is UTC and does not say
/// so.
fn epoch_seconds(text: &str) -> Option<f64> {
    let (date, time) = text.split_once('T')?;
    let whole = |text: &str, digits: usize| -> Option<i64> {
        let plain = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
        plain.then(|| text.parse().ok())?
    };
    let mut date = date.split('-');
    let (year, month, day) = (
        whole(date.next()?, 4)?,
        whole(date.next()?, 2)?,
        whole(date.next()?, 2)?,
    );
    let time = time.strip_suffix('Z').unwrap_or(time);
    let (clock, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let mut clock = clock.split(':');
    let (hour, minute, second) = (
        whole(clock.next()?, 2)?,
        whole(clock.next()?, 2)?,
        whole(clock.next()?, 2)?,
    );
    let fits = (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60;
    if date.next().is_some() || clock.next().is_some() || !fits {
        return None;
    }
    let digits = fraction.bytes().all(|byte| byte.is_ascii_digit());
    let fraction: f64 = digits.then(|| format!("0.{fraction}").parse().ok())??;
    // Years that begin in March put the leap day last.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let (era, in_era) = (year.div_euclid(400), year.rem_euclid(400));
    let in_year = (153 * month + 2) / 5 + day - 1;
    let days = era * 146_097 + in_era * 365 + in_era / 4 - in_era / 100 + in_year - 719_468;
    let seconds = ((days * 24 + hour) * 60 + minute) * 60 + second;
    #[expect(clippy::cast_precision_loss, reason = "seconds of four-digit years")]
    Some(seconds as f64 + fraction)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_utc() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00", Some(0.0)),
            ("2000-02-29T12:00:00.5", Some(951_825_600.5)),
            (
                "2026-11-22T02:47:21.669024607",
                Some(1_795_315_641.669_024_6),
            ),
            ("2026-11-22T02:47:21Z", Some(1_795_315_641.0)),
            ("1969-12-31T23:59:59", Some(-1.0)),
            ("2026-13-22T02:47:21", None),
            ("2026-11-22 02:47:21", None),
            ("2026-11-22T02:47", None),
            ("2026-11-22T02:47:21.x", None),
            ("", None),
        ] {
            assert_eq!(epoch_seconds(text), seconds, "{text}");
        }
    }

    #[test]
    fn what_wrapped_below_zero_is_unwrapped() {
        for (max, remaining, left) in [
            (1000, 18_446_744_073_709_551_536, -80),
            (1000, -80, -80),
            (1000, 1000, 1000),
            (1000, 0, 0),
            (0, 18_446_744_073_709_551_615, -1),
            (0, 0, 0),
            (u64::MAX, 5, 5),
        ] {
            assert_eq!(unwrapped(max, remaining), left, "{max} {remaining}");
        }
    }

    #[test]
    fn a_bad_answer_is_placed_and_not_repeated() {
        let json = br#"[{"limit":{"namespace":"n","max_value":"canary","seconds":1}}]"#;
        let options = TenantOptions::default();
        let good = br#"[{"limit":{"namespace":"n","max_value":2,"seconds":1}}]"#;
        let (mut spare, mut all) = (Vec::new(), Vec::new());
        windows(good, &options, &mut spare, &mut all).unwrap();
        let Err(error) = windows(json, &options, &mut spare, &mut all) else {
            panic!("a text is no number")
        };
        assert_eq!(all.len(), 1, "what was read before stays");
        let text = format!("{error} {error:?}");
        assert!(
            text.contains("line 1") && !text.contains("canary"),
            "{text}"
        );
        assert_eq!(status(b"null").unwrap(), None);
        assert!(limits(b"Internal server error").is_err());
    }
}
