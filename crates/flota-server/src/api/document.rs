//! Completes `/openapi.json`: the problems of each call, the callback, and examples.

use flota_core::{
    Code, MAX_BY_CHARS, MAX_SEARCH_CHARS, Priority, Reason, limits::MAX_IDEMPOTENCY_KEY_BYTES,
};
use serde_json::{Value, json};
use strum::IntoEnumIterator;
use utoipa::openapi::OpenApi;

use super::extract::MAX_WAIT_SECONDS;

/// Statuses of every call: invalid header or query, caller not allowed, wrong host, internal error,
/// store unavailable.
const ALWAYS: &[u16] = &[400, 403, 421, 500, 503];
/// Statuses of calls with an id in the path.
const NAMED: &[u16] = &[404];
/// Statuses of calls with a body.
const WITH_BODY: &[u16] = &[408, 413, 415, 422];
/// Statuses of calls that write to the store.
const CHANGING: &[u16] = &[409, 507];

/// The values of `image` in `GET /v1/predictions`.
const IMAGE: &str = "^((flota://sha256/)?[0-9a-f]{64}|\
                     s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/[A-Za-z0-9._/-]+\\?versionId=[A-Za-z0-9._-]+)$";

/// The complete document: each call has its problems by status, and the callback is described.
pub(super) fn complete(document: OpenApi) -> Value {
    let mut document = serde_json::to_value(document).expect("a document is always JSON");
    for (path, calls) in members(&mut document["paths"]) {
        for (method, call) in members(calls) {
            if path.starts_with("/v1/") {
                name_problems(path, method, call);
            }
            let Some(Value::Array(parameters)) = call.get_mut("parameters") else { continue };
            // Groups count the whole list, so this call takes all parameters of the list except
            // those for paging.
            let is_paged = path != "/v1/dead-letters/groups";
            parameters.retain(|p| is_paged || (p["name"] != "after" && p["name"] != "limit"));
            for parameter in parameters {
                let name = parameter["name"].as_str().unwrap_or_default().to_owned();
                narrow(&name, &mut parameter["schema"]);
            }
        }
    }
    for body in ["Resolution", "DiscardBody", "ReplayBody", "ReplayOne", "Submission"] {
        for (name, schema) in members(&mut document["components"]["schemas"][body]["properties"]) {
            narrow(name, schema);
        }
    }
    let replay = &mut document["components"]["schemas"]["ReplayBody"];
    replay["required"] = json!(["model"]);
    replay["properties"]["model"]["type"] = "string".into();
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

/// Restricts the values of the field `name` beyond its type, as the domain's types do when they are
/// parsed.
fn narrow(name: &str, schema: &mut Value) {
    // A nullable field has a list of types.
    let null = schema["type"].is_array().then_some(Value::Null);
    let words =
        |words: Vec<String>| Value::from_iter(words.into_iter().map(Value::from).chain(null));
    match name {
        "reason" => {
            schema["enum"] = words(Reason::iter().map(|reason| reason.to_string()).collect())
        }
        "code" => schema["enum"] = words(Code::iter().map(|code| code.to_string()).collect()),
        "priority" => schema["enum"] = words(Priority::iter().map(|it| it.to_string()).collect()),
        // Not supported yet.
        "deadline" => schema["type"] = "null".into(),
        "text" => schema["maxLength"] = MAX_SEARCH_CHARS.into(),
        "by" => {
            schema["minLength"] = 1.into();
            schema["maxLength"] = MAX_BY_CHARS.into();
        }
        "since" | "until" => schema["format"] = "date-time".into(),
        "model" => schema["pattern"] = "^[a-z0-9-]{1,40}$".into(),
        "image" => schema["pattern"] = IMAGE.into(),
        "after" | "limit" | "round" if schema["format"] == "int32" => {
            schema["maximum"] = u32::MAX.into();
            schema["format"] = "int64".into();
        }
        "limit" if schema["format"].is_null() => schema["maximum"] = u64::MAX.into(),
        "wait" => schema["maximum"] = MAX_WAIT_SECONDS.into(),
        "Idempotency-Key" => {
            schema["pattern"] = "^[!-~]+$".into();
            schema["maxLength"] = MAX_IDEMPOTENCY_KEY_BYTES.into();
        }
        _ => {}
    }
}

fn members(value: &mut Value) -> impl Iterator<Item = (&str, &mut Value)> {
    let members = value.as_object_mut().into_iter().flatten();
    members.map(|(name, value)| (name.as_str(), value))
}
