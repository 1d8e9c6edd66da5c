//! What a single value may be: durations, sizes, names, endpoints. Checked where it stands in the
//! file, with an example of what is right.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokenpath_core::{is_label_name, is_metric_name};
use tokenpath_scrape::Endpoint;
use tokenpath_scrape::runner::Exporter;
use tokenpath_scrape::server::{ListenAddress, MetricsService, ServiceOptions};

/// One kind of text.
#[derive(Debug)]
pub(crate) struct Leaf {
    /// Its name, for the reference and the JSON schema.
    pub(crate) name: &'static str,
    /// Says what is wrong with a text.
    pub(crate) check: fn(&str) -> Result<(), String>,
    /// Whether `${NAME}` is replaced by the environment.
    pub(crate) expands: bool,
    /// Whether it must never be shown.
    pub(crate) secret: bool,
    /// A regular expression of ECMA-262 for the JSON schema; empty where there is none.
    pub(crate) pattern: &'static str,
}

const fn leaf(
    name: &'static str,
    check: fn(&str) -> Result<(), String>,
    pattern: &'static str,
) -> Leaf {
    Leaf {
        name,
        check,
        expands: false,
        secret: false,
        pattern,
    }
}

const fn expanding(mut leaf: Leaf) -> Leaf {
    leaf.expands = true;
    leaf
}

pub(crate) static TEXT: Leaf = leaf("text", |_| Ok(()), "");
pub(crate) static WORD: Leaf = leaf("text that is not empty", not_empty, "^.+$");
pub(crate) static HELP: Leaf = leaf("one line of text", one_line, r"^[^\n\\]+$");
pub(crate) static DURATION: Leaf = leaf(
    "duration",
    |text| duration(text).map(drop),
    r"^([0-9]+(\.[0-9]+)?(ms|s|m|h|d)?)+$",
);
pub(crate) static GPU_PERIOD: Leaf =
    leaf("duration from 100ms to 1h", gpu_period, DURATION.pattern);
pub(crate) static RATIO: Leaf = leaf(
    "ratio from 0 to 1",
    |text| ratio(text).map(drop),
    r"^(0(\.[0-9]+)?|1(\.0+)?)$",
);
pub(crate) static SIZE: Leaf = leaf(
    "size",
    |text| size(text).map(drop),
    r"^[0-9]+ ?(B|kB|MB|GB|KiB|MiB|GiB)?$",
);
pub(crate) static ENDPOINT: Leaf = expanding(leaf("endpoint", endpoint, ""));
pub(crate) static URL: Leaf = expanding(leaf("URL", endpoint, "^(https?://|\\$\\{)"));
pub(crate) static LISTEN: Leaf = leaf("address to listen on", listen, "");
pub(crate) static URL_PATH: Leaf = leaf("path", url_path, "^/");
pub(crate) static TELEMETRY_PATH: Leaf = leaf("path", telemetry_path, "^/");
pub(crate) static FILE: Leaf = leaf("file", not_empty, "^.+$");
pub(crate) static TARGET_FILES: Leaf = leaf("target files", target_files, r"\.(json|yml|yaml)$");
pub(crate) static LABEL: Leaf = leaf("label name", label_name, "^[a-zA-Z_][a-zA-Z0-9_]*$");
pub(crate) static OWN_LABEL: Leaf = leaf(
    "label name",
    own_label_name,
    "^(?!__)[a-zA-Z_][a-zA-Z0-9_]*$",
);
pub(crate) static LABEL_VALUE: Leaf = expanding(leaf("label value", |_| Ok(()), ""));
pub(crate) static METRIC: Leaf = leaf("metric name", metric_name, "^[a-zA-Z_:][a-zA-Z0-9_:]*$");
pub(crate) static FAMILIES: Leaf = leaf(
    "family name, or its beginning and `*`",
    family_pattern,
    r"^[a-zA-Z_:][a-zA-Z0-9_:]*\*?$",
);
pub(crate) static REGEX: Leaf = leaf("regular expression", regular_expression, "");
pub(crate) static HEADER: Leaf = leaf("header name", header_name, "^[A-Za-z0-9!#$%&'*+.^_`|~-]+$");
pub(crate) static HOST: Leaf = leaf("host name", host_name, "");
pub(crate) static HOSTS: Leaf = leaf("host name, or `*.` and its end", host_pattern, "");
pub(crate) static SHARD: Leaf = expanding(leaf("shard", |text| shard(text).map(drop), ""));
pub(crate) static NETWORK: Leaf = leaf("network", network, "");
pub(crate) static NAME: Leaf = leaf("name", name, "^[a-z][a-z0-9_-]*$");
pub(crate) static SECRET: Leaf = Leaf {
    name: "secret from the environment",
    check: not_empty,
    expands: true,
    secret: true,
    pattern: r"^\$\{[A-Za-z_][A-Za-z0-9_]*\}$",
};

fn not_empty(text: &str) -> Result<(), String> {
    if text.trim().is_empty() {
        return Err("is empty".into());
    }
    Ok(())
}

fn one_line(text: &str) -> Result<(), String> {
    not_empty(text)?;
    if text.contains(['\n', '\\']) {
        return Err("must be one line without backslashes".into());
    }
    Ok(())
}

/// Milliseconds, seconds, minutes, hours, days, in this order of size; a bare number is seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "is not a duration; for instance 500ms, 15s or 5m".to_owned();
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(wrong());
    }
    let mut seconds = 0.0_f64;
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let (number, tail) = rest.split_at(digits);
        let number: f64 = number.parse().map_err(|_| wrong())?;
        let letters = tail
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let factor = match unit {
            "ms" => 0.001,
            "" if tail.is_empty() && seconds == 0.0 => 1.0,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "d" => 86_400.0,
            _ => return Err(wrong()),
        };
        seconds += number * factor;
        rest = tail;
    }
    Duration::try_from_secs_f64(seconds)
        .ok()
        .filter(|duration| !duration.is_zero() && *duration <= LONGEST)
        .ok_or_else(|| "must be above 0 and at most 7 days".to_owned())
}

const LONGEST: Duration = Duration::from_secs(7 * 86_400);

fn gpu_period(text: &str) -> Result<(), String> {
    let bounds = Duration::from_millis(100)..=Duration::from_secs(3600);
    if bounds.contains(&duration(text)?) {
        Ok(())
    } else {
        Err("must be from 100ms to 1h".to_owned())
    }
}

/// A part of a whole.
pub(crate) fn ratio(text: &str) -> Result<f64, String> {
    let ratio = text.trim().parse().ok();
    ratio
        .filter(|ratio| (0.0..=1.0).contains(ratio))
        .ok_or_else(|| "must be a ratio from 0 to 1; for instance 0.6".to_owned())
}

/// Bytes.
pub(crate) fn size(text: &str) -> Result<usize, String> {
    let wrong = || "is not a size; for instance 16MiB or 65536".to_owned();
    let text = text.trim();
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor: usize = match unit.trim_start() {
        "" | "B" => 1,
        "kB" => 1000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err(wrong()),
    };
    let number: usize = number.parse().map_err(|_| wrong())?;
    number
        .checked_mul(factor)
        .filter(|bytes| (1..=1 << 32).contains(bytes))
        .ok_or_else(|| "must be at least 1 byte and at most 4 GiB".to_owned())
}

fn endpoint(text: &str) -> Result<(), String> {
    text.parse::<Endpoint>()
        .map(drop)
        .map_err(|error| error.to_string())
}

/// A user and a password in an endpoint as it stands in the file.
pub(crate) fn has_credentials(text: &str) -> bool {
    let after = text.split_once("://").map_or(text, |(_, after)| after);
    let authority = after.split(['/', '?', '#']).next().unwrap_or_default();
    authority.contains('@')
}

fn listen(text: &str) -> Result<(), String> {
    text.parse::<ListenAddress>()
        .map(drop)
        .map_err(|error| error.to_string())
}

fn url_path(text: &str) -> Result<(), String> {
    let plain = text
        .bytes()
        .all(|b| b.is_ascii_graphic() && !matches!(b, b'?' | b'#'));
    if !text.starts_with('/') || text.starts_with("//") || !plain {
        return Err("is not a path; for instance /metrics".into());
    }
    Ok(())
}

/// A path that the service takes for its page: asked of the service itself, which has the rule.
fn telemetry_path(text: &str) -> Result<(), String> {
    url_path(text)?;
    let options = ServiceOptions {
        telemetry_path: text.to_owned(),
        ..ServiceOptions::default()
    };
    let service = MetricsService::new(Arc::new(Exporter::new()), options);
    service.map(drop).map_err(|error| {
        let what = error.to_string();
        let said = what.strip_prefix(&format!("`{text}` "));
        said.unwrap_or(&what).to_owned()
    })
}

fn target_files(text: &str) -> Result<(), String> {
    let path = Path::new(text);
    let ending = path.extension().and_then(|ending| ending.to_str());
    if !matches!(
        ending,
        Some("json" | "yml" | "yaml" | "JSON" | "YML" | "YAML")
    ) {
        return Err("must end in .json, .yml or .yaml".into());
    }
    let folder = path.parent().map(Path::to_string_lossy).unwrap_or_default();
    if folder.contains('*') {
        return Err("`*` may stand in the file's name only, not in a folder's".into());
    }
    Ok(())
}

fn label_name(text: &str) -> Result<(), String> {
    if !is_label_name(text) {
        return Err(
            "cannot be the name of a label: letters, digits and underscores, no digit first".into(),
        );
    }
    Ok(())
}

fn own_label_name(text: &str) -> Result<(), String> {
    label_name(text)?;
    if text.starts_with("__") {
        return Err("cannot be the name of a label: two underscores first are internal".into());
    }
    if matches!(text, "le" | "quantile" | "backend" | "target") {
        return Err("is a label that Tokenpath sets itself".into());
    }
    Ok(())
}

fn metric_name(text: &str) -> Result<(), String> {
    if !is_metric_name(text) {
        return Err("cannot be the name of a metric: letters, digits, underscores and colons, no digit first".into());
    }
    Ok(())
}

fn family_pattern(text: &str) -> Result<(), String> {
    match text.strip_suffix('*') {
        Some("") => Ok(()),
        Some(beginning) => metric_name(beginning),
        None => metric_name(text),
    }
}

/// The expression, anchored at both ends.
pub(crate) fn anchored(text: &str) -> Result<regex::Regex, regex::Error> {
    // The bare one first, so that a message shows what was written.
    regex::Regex::new(text)?;
    regex::Regex::new(&format!("^(?:{text})$"))
}

fn regular_expression(text: &str) -> Result<(), String> {
    anchored(text).map(drop).map_err(|error| {
        let last = error.to_string();
        let last = last.lines().last().unwrap_or_default();
        format!(
            "is no regular expression: {}",
            last.trim_start_matches("error: ")
        )
    })
}

fn header_name(text: &str) -> Result<(), String> {
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if text.is_empty() || !text.bytes().all(token) {
        return Err("cannot be the name of a header".into());
    }
    let ours = [
        "authorization",
        "host",
        "accept",
        "accept-encoding",
        "user-agent",
        "connection",
    ];
    if ours.contains(&text.to_ascii_lowercase().as_str()) {
        return Err("is a header that Tokenpath sets itself".into());
    }
    Ok(())
}

fn host_pattern(text: &str) -> Result<(), String> {
    host_name(text.strip_prefix("*.").unwrap_or(text))
}

fn host_name(text: &str) -> Result<(), String> {
    let letters = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let labels = text.trim_end_matches('.').split('.');
    if text.len() > 253
        || !text.bytes().all(letters)
        || labels.clone().any(|l| l.is_empty() || l.len() > 63)
    {
        return Err("is not a host name".into());
    }
    Ok(())
}

/// `K/N` with K from 0 to N less one.
pub(crate) fn shard(text: &str) -> Result<(u32, u32), String> {
    let parsed = text.split_once('/').and_then(|(index, of)| {
        Some((
            index.trim().parse::<u32>().ok()?,
            of.trim().parse::<u32>().ok()?,
        ))
    });
    parsed
        .filter(|(index, of)| index < of && *of <= 10_000)
        .ok_or_else(|| "is not a shard: K/N with K from 0 to N-1; for instance 0/4".to_owned())
}

fn network(text: &str) -> Result<(), String> {
    let wrong = || "is not a network; for instance 10.0.0.0/8 or fd00::/8".to_owned();
    let (address, bits) = text.split_once('/').unwrap_or((text, ""));
    let address: std::net::IpAddr = address.parse().map_err(|_| wrong())?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let bits: u8 = match bits {
        "" if !text.contains('/') => most,
        bits => bits.parse().map_err(|_| wrong())?,
    };
    if bits > most {
        return Err(wrong());
    }
    Ok(())
}

fn name(text: &str) -> Result<(), String> {
    let ok = text.bytes().next().is_some_and(|b| b.is_ascii_lowercase())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_'));
    if !ok {
        return Err("must be lower-case letters, digits, `-` and `_`, a letter first".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_as_people_write_them() {
        for (text, millis) in [
            ("500ms", 500),
            ("15s", 15_000),
            ("1m30s", 90_000),
            ("2.5", 2500),
            ("1h", 3_600_000),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in [
            "",
            "0",
            "0s",
            "-1s",
            "5 minutes",
            "1y",
            "8d",
            "s",
            "1s5",
            "1..2s",
            "1e9",
            "9".repeat(400).as_str(),
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_are_bytes() {
        assert_eq!(size("16MiB"), Ok(16 << 20));
        assert_eq!(size("65536"), Ok(65_536));
        assert_eq!(size("1 kB"), Ok(1000));
        for text in [
            "",
            "0",
            "16mib",
            "-1",
            "1.5MiB",
            "9999999GiB",
            "99999999999999999999",
        ] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn single_values_are_judged() {
        type Check = fn(&str) -> Result<(), String>;
        let table: &[(Check, &[&str], &[&str])] = &[
            (
                url_path,
                &["/", "/metrics"],
                &["metrics", "//x", "/a b", "/?a", ""],
            ),
            (
                target_files,
                &["a/*.yaml", "t.json"],
                &["t.txt", "a*/t.json", "t"],
            ),
            (
                own_label_name,
                &["node"],
                &["__x", "le", "1a", "a-b", "target", ""],
            ),
            (family_pattern, &["llm_*", "a", "*"], &["*a", "a*b", ""]),
            (regular_expression, &["a|b", ""], &["(", "[", "a{2"]),
            (
                header_name,
                &["X-Api-Key"],
                &["", "a b", "Host", "authorization"],
            ),
            (
                host_name,
                &["a.b", "_metrics._tcp.vllm.svc", "a."],
                &["", "a..b", "a b", "."],
            ),
            (
                network,
                &["10.0.0.0/8", "::1", "fd00::/8"],
                &["10.0.0.0/33", "x", "10.0.0.0/", "::/129"],
            ),
            (name, &["llama-cpp"], &["Llama", "1a", ""]),
            (
                |t| shard(t).map(drop),
                &["0/1", "3/4"],
                &["4/4", "1", "a/b", "0/0", "-1/2"],
            ),
        ];
        for (check, good, bad) in table {
            for text in *good {
                assert_eq!(check(text), Ok(()), "{text}");
            }
            for text in *bad {
                assert!(check(text).is_err(), "{text}");
            }
        }
        assert!(has_credentials("http://me:canary@host/"));
        assert!(has_credentials("me@host"));
        assert!(!has_credentials("http://host/@x"));
    }
}
