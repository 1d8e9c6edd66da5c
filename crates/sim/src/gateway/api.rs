//! What the gateway's metrics port answers.

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::AUTHORIZATION;
use hyper::{Request, Response, StatusCode};

use super::{GatewayTruth, page};
use crate::http::{empty, respond};
use crate::world::Tenant;

/// Whether a request may read the page.
enum Verdict {
    Allowed,
    Unknown,
    WithoutRights,
}

/// Answers as the metrics server of controller-runtime does, with its filter in front.
pub(crate) fn answer(
    request: &Request<Incoming>,
    truth: &GatewayTruth,
    tenants: &[Tenant],
    now: f64,
) -> Response<Full<Bytes>> {
    const PLAIN: &str = "text/plain; charset=utf-8";
    if request.uri().path() != "/metrics" {
        return empty(StatusCode::NOT_FOUND);
    }
    match verdict(request, truth) {
        Verdict::Unknown => respond(StatusCode::UNAUTHORIZED, PLAIN, "Unauthorized\n"),
        Verdict::WithoutRights => respond(
            StatusCode::FORBIDDEN,
            PLAIN,
            "Authorization denied for user system:serviceaccount:monitoring:reader\n",
        ),
        Verdict::Allowed => respond(
            StatusCode::OK,
            "text/plain; version=0.0.4; charset=utf-8; escaping=underscores",
            page(truth, tenants, now),
        ),
    }
}

fn verdict(request: &Request<Incoming>, truth: &GatewayTruth) -> Verdict {
    let Some(wanted) = &truth.config.token else {
        return Verdict::Allowed;
    };
    let header = request.headers().get(AUTHORIZATION);
    let token = header
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "));
    match token {
        Some(token) if token == wanted => Verdict::Allowed,
        Some(token)
            if truth
                .config
                .tokens_without_rights
                .iter()
                .any(|t| t == token) =>
        {
            Verdict::WithoutRights
        }
        _ => Verdict::Unknown,
    }
}
