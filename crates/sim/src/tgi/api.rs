//! What the router answers, of what a monitor asks.

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue, VARY};
use hyper::{Method, Request, Response, StatusCode};

use super::{Counters, Launch, page};
use crate::http::{allow_get, empty, respond};
use crate::random::Random;
use crate::truth::Truth;
use crate::truth_json::{json_text, truth_json};
use crate::vllm::api::TRUTH;

/// The path of chats, of which the router counts two handler entries.
pub(crate) const CHAT: &str = "/v1/chat/completions";
/// The path of other requests.
pub(crate) const GENERATE: &str = "/generate";

/// Answers as the router does, which looks at no header of the request.
pub(crate) fn answer(
    request: &Request<Incoming>,
    truth: &Truth,
    launch: &Launch,
    counters: &Counters,
    order: &mut Random,
) -> Response<Full<Bytes>> {
    let mut response = match (request.uri().path(), request.method()) {
        ("/metrics" | "/info" | "/health" | TRUTH, method) if method != Method::GET => {
            allow_get(empty(StatusCode::METHOD_NOT_ALLOWED))
        }
        ("/metrics", _) => respond(
            StatusCode::OK,
            "text/plain; charset=utf-8",
            page(counters, &truth.engines[0], order),
        ),
        ("/info", _) => respond(StatusCode::OK, "application/json", info(truth, launch)),
        ("/health", _) => empty(StatusCode::OK),
        (TRUTH, _) => respond(StatusCode::OK, "application/json", truth_json(truth)),
        _ => empty(StatusCode::NOT_FOUND),
    };
    let headers = response.headers_mut();
    headers.insert(
        VARY,
        HeaderValue::from_static(
            "origin, access-control-request-method, access-control-request-headers",
        ),
    );
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    response
}

/// `GET /info` of release 3.3.7, which calls itself by the version of its workspace.
pub(crate) fn info(truth: &Truth, launch: &Launch) -> String {
    format!(
        "{{\"model_id\":{},\"model_sha\":null,\"model_pipeline_tag\":null,\
         \"max_concurrent_requests\":{},\"max_best_of\":2,\"max_stop_sequences\":4,\
         \"max_input_tokens\":{},\"max_total_tokens\":{},\"validation_workers\":2,\
         \"max_client_batch_size\":4,\"router\":\"text-generation-router\",\
         \"version\":\"3.3.6-dev0\",\"sha\":\"dfb3fbe78e0d1d69251bd33065591c61bafdfaa8\",\
         \"docker_label\":null}}",
        json_text(&truth.config.model_name),
        launch.max_concurrent_requests,
        launch.max_input_tokens,
        truth.config.max_model_len,
    )
}
