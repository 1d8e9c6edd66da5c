//! What the admin API says: limits, the windows that are running, and the limiter's own state.

use std::collections::BTreeMap;
use std::fmt;

use tokenpath_core::fold::BoundedValues;
use tokenpath_core::{Desc, Label, Snapshot};

use crate::TenantOptions;
use crate::families::{config, quotas, shared};

/// A limit as it is configured.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Limit {
    /// Limitador's namespace; in Kuadrant `<Kubernetes namespace>/<route>`.
    pub namespace: String,
    /// Its name, else its id; empty where it has neither.
    pub name: String,
    /// The length of its windows.
    pub window_seconds: u64,
    /// What one window allows.
    pub max: u64,
}

/// A window that is running.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Window {
    /// The limit it is of.
    pub limit: Limit,
    /// Whose it is, as the limiter names it; empty where no variable names a tenant.
    pub tenant: String,
    /// Further labels, by our names.
    pub labels: Vec<(String, String)>,
    /// What is left; below 0 by what was used too much. `None` where the limiter does not say.
    pub remaining: Option<i64>,
    /// Time to its end; `None` where the limiter does not say.
    pub reset_seconds: Option<u64>,
}

/// The limiter's own state.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Status {
    /// When it was started, in seconds since the epoch.
    pub started: Option<f64>,
    /// When the limits in force were read.
    pub config_applied: Option<f64>,
    /// How often limits were read anew.
    pub config_reloads: Option<u64>,
    /// How often they could not be read since they last could.
    pub config_failed: Option<u64>,
}

/// What can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Resource {
    /// The windows of a namespace.
    Counters,
    /// The limits of a namespace.
    Limits,
    /// The limiter's own state.
    Status,
}

impl Resource {
    /// The value of the label `resource`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counters => "counters",
            Self::Limits => "limits",
            Self::Status => "status",
        }
    }
}

/// Something that was asked for, and whether there was an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// What.
    pub resource: Resource,
    /// Of which namespace; empty for what is of none.
    pub namespace: String,
    /// Whether the answer was of use.
    pub answered: bool,
}

/// All that the admin API said in one reading.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Admin {
    /// The limits of all namespaces that answered, now or before.
    pub limits: Vec<Limit>,
    /// The windows of all namespaces that answered now.
    pub windows: Vec<Window>,
    /// The limiter's own state.
    pub status: Option<Status>,
    /// What was asked for.
    pub asked: Vec<Asked>,
}

/// Without the tenant: its name may be a key.
impl fmt::Debug for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Window")
            .field("limit", &self.limit)
            .field("remaining", &self.remaining)
            .field("reset_seconds", &self.reset_seconds)
            .finish_non_exhaustive()
    }
}

impl Window {
    /// What was used.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "quotas are exact up to 2^53")]
    pub fn used(&self) -> Option<f64> {
        Some(self.limit.max as f64 - self.remaining? as f64)
    }

    /// Used over limit; `None` for a limit of 0 too.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "quotas are exact up to 2^53")]
    pub fn utilization(&self) -> Option<f64> {
        let used = self.used()?;
        (self.limit.max > 0).then(|| used / self.limit.max as f64)
    }

    /// Whether this window says more about how near a limit is than the other.
    fn is_tighter(&self, other: &Self) -> bool {
        let key = |window: &Self| {
            (
                window.utilization().unwrap_or(f64::NEG_INFINITY),
                window.used().unwrap_or(f64::NEG_INFINITY),
            )
        };
        key(self) > key(other)
    }
}

/// Undoes the wrapping of `max - used` in unsigned 64 bits. Releases up to 1.4 are signed and say it
/// plainly.
#[cfg_attr(
    not(feature = "http"),
    allow(dead_code, reason = "counters come over HTTP")
)]
fn unwrapped(max: u64, remaining: i128) -> i64 {
    let whole = if remaining > i128::from(max) {
        remaining - (1 << 64)
    } else {
        remaining
    };
    i64::try_from(whole).unwrap_or(i64::MIN)
}

impl Admin {
    /// Writes everything as families, tenants by the options. Windows of tenants that do not have
    /// series of their own are left out.
    #[expect(clippy::cast_precision_loss, reason = "quotas are exact up to 2^53")]
    pub(crate) fn write(
        &self,
        options: &TenantOptions,
        tenants: &BoundedValues,
        out: &mut Snapshot,
    ) {
        out.clear();
        for asked in &self.asked {
            let labels = [
                ("resource", asked.resource.as_str()),
                ("namespace", &asked.namespace),
            ];
            let answered = f64::from(u8::from(asked.answered));
            put(out, &config::ADMIN_UP, &labels, Some(answered));
        }
        if let Some(status) = &self.status {
            let whole = |count: Option<u64>| count.map(|count| count as f64);
            put(out, &config::STARTED, &[], status.started);
            put(out, &config::APPLIED, &[], status.config_applied);
            put(out, &config::RELOADS, &[], whole(status.config_reloads));
            put(out, &config::FAILED, &[], whole(status.config_failed));
        }
        let mut limits: BTreeMap<(&str, &str, u64), u64> = BTreeMap::new();
        for limit in &self.limits {
            let key = (&*limit.namespace, &*limit.name, limit.window_seconds);
            let smallest = limits.entry(key).or_insert(limit.max);
            *smallest = limit.max.min(*smallest);
        }
        for ((namespace, name, seconds), max) in limits {
            let seconds = seconds.to_string();
            let labels = [
                ("namespace", namespace),
                ("limit", name),
                ("window_seconds", &seconds),
            ];
            put(out, &quotas::CONFIGURED, &labels, Some(max as f64));
        }
        for window in self.tightest(options, tenants) {
            let tenant = options.shown(&window.tenant);
            let seconds = window.limit.window_seconds.to_string();
            let mut labels = vec![
                ("namespace", &*window.limit.namespace),
                ("tenant", &*tenant),
                ("limit", &*window.limit.name),
                ("window_seconds", &*seconds),
            ];
            if window.tenant.is_empty() {
                labels.remove(1);
            }
            let further = window.labels.iter();
            labels.extend(further.map(|(name, value)| (&**name, &**value)));
            let reset = window.reset_seconds.map(|seconds| seconds as f64);
            let remaining = window.remaining.map(|remaining| remaining as f64);
            put(out, &quotas::LIMIT, &labels, Some(window.limit.max as f64));
            put(out, &quotas::USED, &labels, window.used());
            put(out, &quotas::REMAINING, &labels, remaining);
            put(out, &quotas::RESET, &labels, reset);
            put(out, &quotas::UTILIZATION, &labels, window.utilization());
        }
    }

    /// One window for each set of labels: where several look alike to us, because they differ in a
    /// variable that is not kept, the one that is nearest to its limit.
    fn tightest(
        &self,
        options: &TenantOptions,
        tenants: &BoundedValues,
    ) -> impl Iterator<Item = &Window> {
        type Key<'w> = (&'w str, &'w str, &'w str, u64, &'w [(String, String)]);
        let mut tightest: BTreeMap<Key<'_>, &Window> = BTreeMap::new();
        for window in &self.windows {
            if !window.tenant.is_empty() && !options.apart(&window.tenant, tenants) {
                continue;
            }
            let key = (
                &*window.limit.namespace,
                &*window.tenant,
                &*window.limit.name,
                window.limit.window_seconds,
                &*window.labels,
            );
            let known = tightest.entry(key).or_insert(window);
            if window.is_tighter(known) {
                *known = window;
            }
        }
        tightest.into_values()
    }
}

/// A sample with its empty labels left out; nothing where there is no value.
fn put(out: &mut Snapshot, desc: &Desc, labels: &[Label<'_>], value: Option<f64>) {
    let Some(value) = value else { return };
    let labels: Vec<Label<'_>> = labels
        .iter()
        .copied()
        .filter(|(_, value)| !value.is_empty())
        .collect();
    out.family(shared(desc)).sample(&labels, value);
}

#[cfg(feature = "http")]
pub(crate) mod json {
    //! Reading the answers.

    use std::borrow::Cow;
    use std::fmt;

    use serde::Deserialize;
    use serde::de::{Deserializer, MapAccess, Visitor};

    use super::{Limit, Status, Window, unwrapped};
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

    #[derive(Deserialize)]
    struct LimitJson<'a> {
        #[serde(borrow, default)]
        id: Option<Cow<'a, str>>,
        #[serde(borrow)]
        namespace: Cow<'a, str>,
        max_value: u64,
        seconds: u64,
        #[serde(borrow, default)]
        name: Option<Cow<'a, str>>,
    }

    impl LimitJson<'_> {
        fn limit(self) -> Limit {
            let named = [self.name, self.id].into_iter().flatten();
            let name = named.into_iter().find(|name| !name.is_empty());
            Limit {
                namespace: self.namespace.into_owned(),
                name: name.map(Cow::into_owned).unwrap_or_default(),
                window_seconds: self.seconds,
                max: self.max_value,
            }
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

    /// Text that is borrowed where it has no escape.
    #[derive(Deserialize)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

    #[derive(Default)]
    struct Variables<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

    impl<'de: 'a, 'a> Deserialize<'de> for Variables<'a> {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            deserializer.deserialize_map(VariablesVisitor)
        }
    }

    struct VariablesVisitor;

    impl<'de> Visitor<'de> for VariablesVisitor {
        type Value = Variables<'de>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object of texts")
        }

        fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
            let mut all = Vec::new();
            while let Some((Text(name), Text(value))) = map.next_entry()? {
                all.push((name, value));
            }
            Ok(Variables(all))
        }
    }

    #[derive(Deserialize)]
    struct StatusJson<'a> {
        #[serde(borrow, default)]
        started_at: Option<Cow<'a, str>>,
        #[serde(borrow, default)]
        config_applied_at: Option<Cow<'a, str>>,
        #[serde(default)]
        config_version: Option<u64>,
        #[serde(default)]
        config_err_since: Option<u64>,
    }

    /// Reads an answer to `/limits/{namespace}`.
    pub(crate) fn limits(json: &[u8]) -> Result<Vec<Limit>, BadAnswer> {
        let limits: Vec<LimitJson<'_>> = serde_json::from_slice(json)?;
        Ok(limits.into_iter().map(LimitJson::limit).collect())
    }

    /// Reads an answer to `/counters/{namespace}`.
    pub(crate) fn windows(json: &[u8], options: &TenantOptions) -> Result<Vec<Window>, BadAnswer> {
        let counters: Vec<CounterJson<'_>> = serde_json::from_slice(json)?;
        let window = |counter: CounterJson<'_>| {
            let Variables(variables) = counter.set_variables;
            let mut labels: Vec<(String, String)> = Vec::new();
            for (name, ours) in &options.keep {
                let value = variable(&variables, name).filter(|value| !value.is_empty());
                let free =
                    TenantOptions::may_keep(ours) && labels.iter().all(|(known, _)| known != ours);
                if let Some(value) = value.filter(|_| free) {
                    labels.push((ours.clone(), value.to_owned()));
                }
            }
            Window {
                tenant: options
                    .of_variables(&variables)
                    .unwrap_or_default()
                    .to_owned(),
                labels,
                remaining: counter
                    .remaining
                    .map(|remaining| unwrapped(counter.limit.max_value, remaining)),
                reset_seconds: counter.expires_in_seconds,
                limit: counter.limit.limit(),
            }
        };
        Ok(counters.into_iter().map(window).collect())
    }

    /// Reads an answer to `/status`: `None` for the `null` of releases up to 2.0.
    pub(crate) fn status(json: &[u8]) -> Result<Option<Status>, BadAnswer> {
        let status: Option<StatusJson<'_>> = serde_json::from_slice(json)?;
        Ok(status.map(|status| Status {
            started: status.started_at.as_deref().and_then(epoch_seconds),
            config_applied: status.config_applied_at.as_deref().and_then(epoch_seconds),
            config_reloads: status.config_version,
            config_failed: status.config_err_since,
        }))
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
            let Err(error) = windows(json, &options) else {
                panic!("a text is no number")
            };
            let text = format!("{error} {error:?}");
            assert!(
                text.contains("line 1") && !text.contains("canary"),
                "{text}"
            );
            assert_eq!(status(b"null").unwrap(), None);
            assert!(limits(b"Internal server error").is_err());
        }
    }
}
