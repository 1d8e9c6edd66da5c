//! What Limitador answers over HTTP.

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};

use super::{LimitadorTruth, admin, page};
use crate::http::{allow_get, empty, respond};
use crate::random::Random;
use crate::world::Tenant;

/// Of what Limitador tells.
pub(crate) struct Told<'a> {
    pub(crate) truth: &'a LimitadorTruth,
    pub(crate) tenants: &'a [Tenant],
    pub(crate) start_unix_seconds: f64,
    pub(crate) now: f64,
}

/// Answers as Limitador does. A namespace is one segment of the path: its `/` must be encoded.
pub(crate) fn answer(
    request: &Request<Incoming>,
    told: &Told<'_>,
    order: &mut Random,
) -> Response<Full<Bytes>> {
    const JSON: &str = "application/json";
    let path = request.uri().path();
    let segment = |prefix: &str| {
        let rest = path.strip_prefix(prefix)?;
        (!rest.is_empty() && !rest.contains('/')).then(|| percent_decoded(rest))
    };
    let (limits, counters) = (segment("/limits/"), segment("/counters/"));
    let known = matches!(path, "/metrics" | "/status") || limits.is_some() || counters.is_some();
    if !known {
        return empty(StatusCode::NOT_FOUND);
    }
    if request.method() != Method::GET {
        return allow_get(empty(StatusCode::METHOD_NOT_ALLOWED));
    }
    let json = if let Some(namespace) = limits {
        admin::limits(told.truth, &namespace, order)
    } else if let Some(namespace) = counters {
        admin::counters(told.truth, told.tenants, &namespace, told.now, order)
    } else if path == "/status" {
        admin::status(told.start_unix_seconds)
    } else {
        let page = page(told.truth, told.tenants, order);
        return respond(StatusCode::OK, "text/plain; charset=utf-8", page);
    };
    respond(StatusCode::OK, JSON, json)
}

/// A segment of a path with its `%XX` decoded; what is no such triple stays.
fn percent_decoded(segment: &str) -> String {
    let bytes = segment.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut index = 0;
    while index < bytes.len() {
        let hex = bytes
            .get(index + 1..index + 3)
            .filter(|_| bytes[index] == b'%')
            .and_then(|hex| std::str::from_utf8(hex).ok())
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        out.push(hex.unwrap_or(bytes[index]));
        index += if hex.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::percent_decoded;

    #[test]
    fn segments_are_decoded() {
        for (segment, want) in [
            ("llm%2Fchat", "llm/chat"),
            ("a%2", "a%2"),
            ("%zz%41", "%zzA"),
            ("zo%C3%AB", "zoë"),
        ] {
            assert_eq!(percent_decoded(segment), want);
        }
    }
}
