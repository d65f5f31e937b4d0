//! What `/openapi.json` says beside the calls themselves: their problems, the callback, and examples.

use serde_json::{Value, json};
use utoipa::openapi::OpenApi;

/// What may go wrong in any call: the header or the query, who calls, our own fault, the store.
const ALWAYS: &[u16] = &[400, 403, 421, 500, 503];
/// In a call on one thing.
const NAMED: &[u16] = &[404];
/// In a call with a body.
const WITH_BODY: &[u16] = &[408, 413, 415, 422];
/// In calls that change what is kept.
const CHANGING: &[u16] = &[409, 507];

/// The document, with the problems of each call by their statuses, and with the callback.
pub(super) fn complete(document: OpenApi) -> Value {
    let mut document = serde_json::to_value(document).expect("a document is always JSON");
    for (path, calls) in members(&mut document["paths"]) {
        for (method, call) in members(calls) {
            if path.starts_with("/v1/") {
                name_problems(path, method, call);
            }
        }
    }
    document["components"]["responses"] = json!({
        "Problem": {
            "description": "What is wrong (RFC 9457)",
            "content": {"application/problem+json": {
                "schema": {"$ref": "#/components/schemas/Problem"},
                "example": {
                    "type": "urn:flota:problem:request-not-found",
                    "title": "There is no such request",
                    "status": 404,
                    "code": "REQUEST_NOT_FOUND",
                    "detail": "`req_019aa5a5d3c27e3a9d1f6f0b8c7d6e5f` is not known",
                },
            }},
        },
    });
    let submission = "/paths/~1v1~1requests/post/requestBody/content/application~1json";
    if let Some(submission) = document.pointer_mut(submission) {
        submission["example"] = json!({
        "images": [{"url": "https://photos.example/1.jpg", "id": "listing-7"}],
        "models": ["image-quality"],
        "callback": {"url": "https://shop.example/hooks/flota"},
        "metadata": {"order": 7},
        });
    }
    let headers = ["webhook-id", "webhook-timestamp", "webhook-signature"];
    let headers = headers.map(|name| {
        json!({"name": name, "in": "header", "required": true, "schema": {"type": "string"}})
    });
    document["webhooks"] = json!({
        "request.finished": {"post": {
            "summary": "Tells that a request has finished",
            "description": "Signed as Standard Webhooks says; delivered at least once, with the same \
                            `webhook-id` at each attempt.",
            "operationId": "request_finished",
            "parameters": headers,
            "requestBody": {"required": true, "content": {"application/json": {
                "schema": {"$ref": "#/components/schemas/CallbackBody"},
            }}},
            "responses": {
                "2XX": {"description": "Delivered"},
                "410": {"description": "The receiver wants no more callbacks"},
            },
        }},
    });
    document
}

fn name_problems(path: &str, method: &str, call: &mut Value) {
    let mut statuses = ALWAYS.to_vec();
    if path.contains('{') {
        statuses.extend(NAMED);
    }
    if call.get("requestBody").is_some() {
        statuses.extend(WITH_BODY);
    }
    if method == "post" {
        statuses.extend(CHANGING);
    }
    let Some(responses) = call["responses"].as_object_mut() else { return };
    responses.retain(|status, _| !status.ends_with("XX") && !status.starts_with(['4', '5']));
    for status in statuses {
        let problem = json!({"$ref": "#/components/responses/Problem"});
        responses.insert(status.to_string(), problem);
    }
}

fn members(value: &mut Value) -> impl Iterator<Item = (&str, &mut Value)> {
    let members = value.as_object_mut().into_iter().flatten();
    members.map(|(name, value)| (name.as_str(), value))
}
