//! Limitador's admin API: limits, windows that are open, and how the configuration stands.

use super::{Counts, LimitadorTruth};
use crate::random::Random;
use crate::truth::float;
use crate::truth_json::json_text;
use crate::world::Tenant;

/// The variable that tells users apart.
const USER: &str = "descriptors[0][\"auth.identity.userid\"]";

/// `GET /limits/{namespace}`: of an unknown namespace, no limits.
pub(super) fn limits(truth: &LimitadorTruth, namespace: &str, order: &mut Random) -> String {
    let mut limits = Vec::new();
    for (index, n) in truth.config.namespaces.iter().enumerate() {
        if n.name == namespace {
            limits.extend((0..n.limits.len()).map(|limit| limit_json(truth, index, limit)));
        }
    }
    order.shuffle(&mut limits);
    format!("[{}]", limits.join(","))
}

/// `GET /counters/{namespace}`: of an unknown namespace, no counters. What remains is a difference
/// of two u64, and wraps.
pub(super) fn counters(
    truth: &LimitadorTruth,
    tenants: &[Tenant],
    namespace: &str,
    now: f64,
    order: &mut Random,
) -> String {
    let mut counters = Vec::new();
    for ((index, limit, user), window) in truth.windows(now) {
        let n = &truth.config.namespaces[index];
        if n.name != namespace {
            continue;
        }
        let remaining = n.limits[limit].max.wrapping_sub(window.used);
        // Whole seconds of a duration.
        let seconds = (window.ends - now).floor().max(0.0);
        counters.push(format!(
            "{{\"limit\":{},\"set_variables\":{{{}:{}}},\"remaining\":{remaining},\
             \"expires_in_seconds\":{seconds}}}",
            limit_json(truth, index, limit),
            json_text(USER),
            json_text(&tenants[user].user),
        ));
    }
    order.shuffle(&mut counters);
    format!("[{}]", counters.join(","))
}

fn limit_json(truth: &LimitadorTruth, namespace: usize, limit: usize) -> String {
    let namespace = &truth.config.namespaces[namespace];
    let limit = &namespace.limits[limit];
    let policy = match namespace.counts {
        Counts::Requests => "limit",
        Counts::Tokens => "tokenlimit",
    };
    let condition = format!("descriptors[0][\"{policy}.{}__5a1f\"] == \"1\"", limit.name);
    format!(
        "{{\"id\":null,\"namespace\":{},\"max_value\":{},\"seconds\":{},\"name\":{},\
         \"conditions\":[{}],\"variables\":[{}]}}",
        json_text(&namespace.name),
        limit.max,
        limit.seconds,
        json_text(&limit.name),
        json_text(&condition),
        json_text(USER),
    )
}

/// `GET /status` of a server that started at `start` (seconds since the Unix epoch) and has not been
/// configured anew since.
pub(super) fn status(start: f64) -> String {
    let at = naive_utc(start);
    format!(
        "{{\"started_at\":\"{at}\",\"config_applied_at\":\"{at}\",\"config_version\":0,\
         \"config_err_since\":0}}"
    )
}

/// A moment as ISO 8601 with nine decimals and no zone.
fn naive_utc(unix_seconds: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a moment of this era"
    )]
    let whole = unix_seconds.max(0.0) as u64;
    let nanos = ((unix_seconds.max(0.0) - float(whole)) * 1e9).floor();
    let (days, second) = (whole / 86_400, whole % 86_400);
    // Days of the civil calendar counted from 0000-03-01, by eras of 400 years (Howard Hinnant's
    // algorithm).
    let z = days + 719_468;
    let (era, day_of_era) = (z / 146_097, z % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{nanos:09}",
        second / 3600,
        second / 60 % 60,
        second % 60,
    )
}

#[cfg(test)]
mod tests {
    use super::naive_utc;

    #[test]
    fn moments() {
        assert_eq!(naive_utc(0.0), "1970-01-01T00:00:00.000000000");
        assert_eq!(naive_utc(951_827_696.5), "2000-02-29T12:34:56.500000000");
        assert_eq!(naive_utc(1_795_000_000.0), "2026-11-18T11:06:40.000000000");
    }
}
