//! What vLLM's API server answers, of what a monitor asks.

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ACCEPT, HeaderValue, SERVER};
use hyper::{Method, Request, Response, StatusCode};

use super::layout::Layout;
use crate::http::{allow_get, empty, respond};
use crate::truth::Truth;
use crate::truth_json::truth_json;

/// Where the truth is told; no real server has this.
pub(crate) const TRUTH: &str = "/debug/truth";

/// Answers as vLLM's API server does. `/metrics` looks at neither `Accept` nor `Accept-Encoding`;
/// `/metrics/` negotiates the format.
pub(crate) fn answer(
    request: &Request<Incoming>,
    truth: &Truth,
    layout: &Layout,
) -> Response<Full<Bytes>> {
    let mut response = unsigned(request, truth, layout);
    let signature = HeaderValue::from_static("uvicorn");
    response.headers_mut().insert(SERVER, signature);
    response
}

fn unsigned(request: &Request<Incoming>, truth: &Truth, layout: &Layout) -> Response<Full<Bytes>> {
    const JSON: &str = "application/json";
    let path = request.uri().path();
    let known = matches!(
        path,
        "/metrics" | "/metrics/" | "/version" | "/health" | TRUTH
    );
    if !known {
        return respond(StatusCode::NOT_FOUND, JSON, r#"{"detail":"Not Found"}"#);
    }
    if request.method() != Method::GET {
        return allow_get(respond(
            StatusCode::METHOD_NOT_ALLOWED,
            JSON,
            r#"{"detail":"Method Not Allowed"}"#,
        ));
    }
    let page = match path {
        "/health" => return empty(StatusCode::OK),
        "/version" => {
            let version = layout.release().version();
            return respond(
                StatusCode::OK,
                JSON,
                format!(r#"{{"version":"{version}"}}"#),
            );
        }
        TRUTH => return respond(StatusCode::OK, JSON, truth_json(truth)),
        "/metrics/" => {
            let accept = request.headers().get(ACCEPT);
            let accept = accept.and_then(|value| value.to_str().ok());
            layout.after_slash(truth, accept.unwrap_or_default())
        }
        _ => layout.page(truth).map(|page| (layout.content_type(), page)),
    };
    match page {
        Ok((content_type, page)) => respond(StatusCode::OK, content_type, page),
        // What serves it lets no such layout in.
        Err(error) => respond(
            StatusCode::INTERNAL_SERVER_ERROR,
            "text/plain; charset=utf-8",
            error.to_string(),
        ),
    }
}
