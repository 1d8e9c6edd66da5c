//! What a scraper asked for: format, packing, time.

use std::time::Duration;

use hyper::header::{ACCEPT, ACCEPT_ENCODING, AsHeaderName, HeaderMap};
use tokenpath_core::exposition::PageFormat;

/// The formats a page is served in.
///
/// Exhaustive on purpose: who forgets a format would send another one under its type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ServedFormat {
    /// The classic Prometheus text format 0.0.4.
    #[default]
    Text004,
    /// OpenMetrics 1.0.
    OpenMetrics100,
    /// `io.prometheus.client.MetricFamily` messages, each behind its length.
    Protobuf,
}

impl From<ServedFormat> for PageFormat {
    fn from(served: ServedFormat) -> Self {
        match served {
            ServedFormat::Text004 => Self::Text004,
            ServedFormat::OpenMetrics100 => Self::OpenMetrics100,
            ServedFormat::Protobuf => Self::Protobuf,
        }
    }
}

impl ServedFormat {
    /// Every format, the one that wins a tie of all else first.
    const ALL: [Self; 3] = [Self::Text004, Self::OpenMetrics100, Self::Protobuf];

    /// The value of `Content-Type`.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text004 => PageFormat::Text004.content_type(),
            Self::OpenMetrics100 => PageFormat::OpenMetrics100.content_type(),
            Self::Protobuf => PageFormat::Protobuf.content_type(),
        }
    }

    /// The value of `Content-Type` for a scraper that said which way of escaping names it takes. Ours
    /// are escaped by underscores, and every scheme takes such names as they are.
    const fn content_type_escaped(self) -> &'static str {
        match self {
            Self::Text004 => "text/plain; version=0.0.4; charset=utf-8; escaping=underscores",
            Self::OpenMetrics100 => {
                "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores"
            }
            Self::Protobuf => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; \
                 encoding=delimited; escaping=underscores"
            }
        }
    }

    /// The format that `Accept` prefers, as RFC 9110 weighs it: for each format the most specific
    /// range that names it, then the greater `q`. On a tie the format that is named more
    /// specifically wins, then the one named first. Where none is acceptable, or nothing is
    /// said, it is the classic text, which every scraper reads. Protobuf is for who names it.
    ///
    /// ```
    /// use hyper::header::{HeaderMap, HeaderValue};
    /// use tokenpath_scrape::server::ServedFormat;
    ///
    /// let mut headers = HeaderMap::new();
    /// let accept = "application/openmetrics-text;version=1.0.0;q=0.8,text/plain;q=0.5";
    /// headers.insert("accept", HeaderValue::from_static(accept));
    /// assert_eq!(ServedFormat::negotiate(&headers), ServedFormat::OpenMetrics100);
    /// ```
    #[must_use]
    pub fn negotiate(headers: &HeaderMap) -> Self {
        Self::weighed(headers).0
    }

    /// The format, and its `Content-Type`.
    pub(super) fn negotiate_type(headers: &HeaderMap) -> (Self, &'static str) {
        let (format, is_escaped) = Self::weighed(headers);
        if is_escaped {
            (format, format.content_type_escaped())
        } else {
            (format, format.content_type())
        }
    }

    /// The format, and whether the scraper said how its names may be escaped.
    fn weighed(headers: &HeaderMap) -> (Self, bool) {
        let weigh = |format: Self| {
            let mut best = Weight::default();
            for (position, range) in elements(headers, ACCEPT).enumerate() {
                let Some(specificity) = format.specificity(&range) else {
                    continue;
                };
                if specificity > best.specificity {
                    best = Weight {
                        q: range.q,
                        specificity,
                        position,
                        is_escaped: range.parameter("escaping").is_some(),
                    };
                }
            }
            best
        };
        let rank = |weight: &Weight| (weight.q, weight.specificity, usize::MAX - weight.position);
        let mut best = (Self::Text004, weigh(Self::Text004));
        for format in Self::ALL.into_iter().skip(1) {
            let weight = weigh(format);
            if weight.q > 0 && rank(&weight) > rank(&best.1) {
                best = (format, weight);
            }
        }
        (best.0, best.1.is_escaped)
    }

    /// How specifically a media range names this format, if it does. `escaping` and other
    /// parameters play no part.
    fn specificity(self, range: &Element<'_>) -> Option<u8> {
        let (name, group, versions): (_, _, &[&str]) = match self {
            // 1.0.0 only adds quoted names, which these pages do not have.
            Self::Text004 => ("text/plain", "text/*", &["0.0.4", "1.0.0"]),
            Self::OpenMetrics100 => ("application/openmetrics-text", "application/*", &["1.0.0"]),
            Self::Protobuf => {
                let says = |parameter, wanted: &str| {
                    let said = range.parameter(parameter);
                    said.is_some_and(|said| said.eq_ignore_ascii_case(wanted))
                };
                // A reader that does not know these messages, or not the lengths between them, gets
                // none: nothing in the bytes tells them from others.
                let named = range.name.eq_ignore_ascii_case(PROTOBUF)
                    && says("proto", "io.prometheus.client.MetricFamily")
                    && says("encoding", "delimited");
                return named.then_some(4);
            }
        };
        if range.name == "*/*" {
            Some(1)
        } else if range.name.eq_ignore_ascii_case(group) {
            Some(2)
        } else if range.name.eq_ignore_ascii_case(name) {
            match range.parameter("version") {
                None => Some(3),
                Some(version) => versions.contains(&version).then_some(4),
            }
        } else {
            None
        }
    }
}

const PROTOBUF: &str = "application/vnd.google.protobuf";

#[derive(Clone, Copy, Default)]
struct Weight {
    q: u16,
    specificity: u8,
    position: usize,
    is_escaped: bool,
}

/// Whether the answer may be gzip, and the scraper does not like it plain any better.
pub(super) fn wants_gzip(headers: &HeaderMap) -> bool {
    let weight = |names: &[&str]| {
        elements(headers, ACCEPT_ENCODING)
            .find(|element| {
                names
                    .iter()
                    .any(|name| element.name.eq_ignore_ascii_case(name))
            })
            .map(|element| element.q)
    };
    let gzip = weight(&["gzip", "x-gzip"])
        .or_else(|| weight(&["*"]))
        .unwrap_or(0);
    // What is not named is acceptable, and last.
    let identity = weight(&["identity"]).unwrap_or(0);
    gzip > 0 && gzip >= identity
}

/// The time the scraper gives us. None where it says nothing, or nothing that is a time.
pub(super) fn scrape_timeout(headers: &HeaderMap) -> Option<Duration> {
    let text = headers
        .get("x-prometheus-scrape-timeout-seconds")?
        .to_str()
        .ok()?;
    let seconds: f64 = text.trim().parse().ok()?;
    Duration::try_from_secs_f64(seconds)
        .ok()
        .filter(|time| !time.is_zero())
}

/// One element of `Accept` or `Accept-Encoding`.
struct Element<'a> {
    name: &'a str,
    parameters: &'a str,
    /// In thousandths.
    q: u16,
}

impl<'a> Element<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (name, parameters) = text.split_once(';').unwrap_or((text, ""));
        let mut element = Self {
            name: name.trim(),
            parameters,
            q: 1000,
        };
        if let Some(q) = element.parameter("q") {
            element.q = thousandths(q)?;
        }
        (!element.name.is_empty()).then_some(element)
    }

    fn parameter(&self, wanted: &str) -> Option<&'a str> {
        self.parameters.split(';').find_map(|parameter| {
            let (name, value) = parameter.split_once('=')?;
            name.trim()
                .eq_ignore_ascii_case(wanted)
                .then(|| value.trim().trim_matches('"'))
        })
    }
}

/// All elements of a header, over all its lines. What is not one is left out.
fn elements(headers: &HeaderMap, name: impl AsHeaderName) -> impl Iterator<Item = Element<'_>> {
    headers
        .get_all(name)
        .into_iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .filter_map(Element::parse)
}

/// `0`, `1`, `0.5`, `0.123`: at most three digits (RFC 9110, 12.4.2).
fn thousandths(q: &str) -> Option<u16> {
    let (whole, fraction) = q.split_once('.').unwrap_or((q, ""));
    if !matches!(whole, "0" | "1") || fraction.len() > 3 {
        return None;
    }
    let mut value = if whole == "1" { 1000 } else { 0 };
    let mut place = 100;
    for digit in fraction.bytes() {
        value += place * u16::from(digit.checked_sub(b'0').filter(|digit| *digit < 10)?);
        place /= 10;
    }
    (value <= 1000).then_some(value)
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_str(value).unwrap());
        headers
    }

    #[test]
    fn serves_the_format_that_is_preferred() {
        use ServedFormat::{OpenMetrics100 as Om, Protobuf as Proto, Text004 as Text};
        for (accept, expected) in [
            // Prometheus 2.42 and 3.x
            (
                "application/openmetrics-text;version=1.0.0,\
                 application/openmetrics-text;version=0.0.1;q=0.75,\
                 text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                Om,
            ),
            (
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
                 application/openmetrics-text;version=0.0.1;q=0.4,\
                 text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,\
                 text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
                Om,
            ),
            // The same with native histograms
            (
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; \
                 encoding=delimited,application/openmetrics-text;version=1.0.0;q=0.8,\
                 application/openmetrics-text;version=0.0.1;q=0.75,\
                 text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                Proto,
            ),
            (
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;\
                 encoding=delimited;escaping=allow-utf-8;q=0.6,\
                 application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
                 application/openmetrics-text;version=0.0.1;q=0.4,\
                 text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,\
                 text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
                Proto,
            ),
            (
                "text/plain;version=0.0.4;q=0.5,application/vnd.google.protobuf;\
                 proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.4",
                Text,
            ),
            (
                "APPLICATION/vnd.google.protobuf;encoding=\"delimited\";\
                 Proto=\"io.prometheus.client.MetricFamily\"",
                Proto,
            ),
            // Messages, or lengths, that we do not write
            ("application/vnd.google.protobuf", Text),
            (
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;\
                 encoding=text,application/openmetrics-text;q=0.2",
                Om,
            ),
            (
                "application/vnd.google.protobuf;proto=other;encoding=delimited,text/plain;q=0.1",
                Text,
            ),
            (
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;\
                 encoding=delimited;q=0,text/plain;q=0.1",
                Text,
            ),
            ("application/*", Om),
            (
                "application/openmetrics-text; version=\"1.0.0\"; charset=utf-8",
                Om,
            ),
            ("application/openmetrics-text", Om),
            ("APPLICATION/OpenMetrics-Text;VERSION=1.0.0", Om),
            ("application/openmetrics-text;version=0.0.1", Text),
            (
                "application/openmetrics-text;version=2.0.0,text/plain;q=0.1",
                Text,
            ),
            ("application/openmetrics-text;q=0", Text),
            ("application/openmetrics-text;q=0,*/*;q=0.5", Text),
            ("application/openmetrics-text;q=0.2,text/plain;q=0.3", Text),
            ("application/openmetrics-text;q=0.300,text/plain;q=0.3", Om),
            ("text/plain,application/openmetrics-text", Text),
            ("application/openmetrics-text,*/*", Om),
            ("text/plain;q=0.5,*/*;q=0.9", Om),
            (
                "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
                Text,
            ),
            ("*/*", Text),
            ("text/*", Text),
            ("application/json", Text),
            ("", Text),
            (",;,q=1,;=", Text),
            ("application/openmetrics-text;q=nan,text/plain;q=0.1", Text),
            ("application/openmetrics-text;q=7,text/plain;q=0.1", Text),
        ] {
            assert_eq!(
                ServedFormat::negotiate(&headers("accept", accept)),
                expected,
                "{accept}"
            );
        }
        assert_eq!(ServedFormat::negotiate(&HeaderMap::new()), Text);
    }

    #[test]
    fn says_how_names_are_escaped_to_who_asks() {
        let escaping = |accept: &str| {
            let (format, content_type) = ServedFormat::negotiate_type(&headers("accept", accept));
            assert!(content_type.starts_with(format.content_type()));
            content_type.ends_with("; escaping=underscores")
        };
        assert!(escaping(
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5"
        ));
        assert!(escaping("text/plain;version=1.0.0;escaping=dots"));
        assert!(escaping(
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;\
             encoding=delimited;escaping=values"
        ));
        assert!(!escaping("text/plain;version=0.0.4"));
        assert!(!escaping(
            "application/openmetrics-text;escaping=dots;q=0.1,text/plain;version=0.0.4"
        ));
        assert!(!escaping(""));
    }

    #[test]
    fn packs_where_it_is_welcome() {
        for (encoding, expected) in [
            ("gzip", true),
            ("gzip, deflate, br", true),
            ("br;q=1.0, GZIP;q=0.5", true),
            ("x-gzip", true),
            ("*", true),
            ("gzip;q=0", false),
            ("gzip;q=0, *", false),
            ("identity", false),
            ("identity;q=1, gzip;q=0.5", false),
            ("identity;q=0.5, gzip;q=1.0", true),
            ("identity;q=0, gzip;q=0.1", true),
            ("deflate", false),
            ("", false),
            ("gzip;q=x", false),
        ] {
            assert_eq!(
                wants_gzip(&headers("accept-encoding", encoding)),
                expected,
                "{encoding}"
            );
        }
        assert!(!wants_gzip(&HeaderMap::new()));
    }

    #[test]
    fn takes_a_timeout_that_is_one() {
        for (text, expected) in [
            ("10", Some(10_000)),
            (" 9.5 ", Some(9_500)),
            ("0.25", Some(250)),
            ("0", None),
            ("-1", None),
            ("NaN", None),
            ("inf", None),
            ("1e300", None),
            ("ten", None),
            ("", None),
        ] {
            let headers = headers("x-prometheus-scrape-timeout-seconds", text);
            assert_eq!(
                scrape_timeout(&headers),
                expected.map(Duration::from_millis),
                "{text}"
            );
        }
    }
}
