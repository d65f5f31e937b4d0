use axum::{
    Json,
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use flota_api::{RequestView, Submission};
use flota_core::{
    ClientName, Request, RequestId,
    limits::MAX_IDEMPOTENCY_KEY_BYTES,
    ports::{Accepted, IdempotencyKey},
};

use super::{
    body::Incoming,
    extract::{preferred_wait, read_json},
    problem::{Problem, ProblemCode},
    requests::{accepted, load},
    state::Api,
    submission::{Checked, check, fingerprint},
};
use crate::{request_state::Page, submissions::Taken};

const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// Submits a request, which runs every model on every image.
///
/// The answer 202 means that the request is durable and that each of its tasks will end, even if
/// processes are killed.
#[utoipa::path(
    post,
    path = "/v1/requests",
    tag = "requests",
    request_body = Submission,
    params(
        ("Prefer" = Option<String>, Header, description = "`wait=N`: answer when the request is finished, or after N seconds (60 at most)"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key with the same body is the same request"),
    ),
    responses(
        (status = 202, description = "Kept", body = RequestView),
        (status = 200, description = "Kept and finished within the wait", body = RequestView),
        (status = "4XX", description = "A problem", body = flota_api::Problem, content_type = "application/problem+json"),
        (status = 507, description = "Nothing was stored: the disk is full, or only its reserve for accepted requests is left", body = flota_api::Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn submit_request(
    State(api): State<Api>,
    headers: HeaderMap,
    body: Incoming,
) -> Result<Response, Problem> {
    if let Err(low) = api.platform.disk.check().await {
        return Err(body.refuse(low.into()).await);
    }
    let submission: Submission = read_json(body).await?;
    let (id, taken, request) = accept(&api, &headers, submission).await?;
    let is_new = taken.accepted == Accepted::New;
    let mut wait = preferred_wait(&headers);
    if let Some(longest) = wait
        && !api.until_finished(id, longest).await?
    {
        wait = None;
    }
    let view = match is_new && !taken.is_begun && wait.is_none() {
        true => accepted(request),
        false => match load(&api, id, Page::first()).await {
            // The request is accepted already. An error would make the client submit it again.
            Err(_) if is_new => accepted(request),
            view => view?,
        },
    };
    let is_done = wait.is_some() && view.terminal;
    let status = if is_done { StatusCode::OK } else { StatusCode::ACCEPTED };
    let mut response = (status, Json(view)).into_response();
    let location = HeaderValue::try_from(format!("/v1/requests/{id}"));
    response.headers_mut().insert(header::LOCATION, location.expect("an id is plain ASCII"));
    if let Some(wait) = wait {
        let applied = HeaderValue::try_from(format!("wait={}", wait.as_secs()));
        let applied = applied.expect("a number is plain ASCII");
        response.headers_mut().insert(HeaderName::from_static("preference-applied"), applied);
    }
    if !is_new {
        let replayed = HeaderName::from_static("idempotent-replayed");
        response.headers_mut().insert(replayed, HeaderValue::from_static("true"));
    }
    Ok(response)
}

/// Stores the request and sends its tasks. The id is that of an earlier request if the client
/// repeats a submission.
async fn accept(
    api: &Api,
    headers: &HeaderMap,
    submission: Submission,
) -> Result<(RequestId, Taken, Request), Problem> {
    let client = ClientName::default();
    let idempotency = idempotency_key(headers, &client, &submission)?;
    let now = api.platform.clock.now();
    let known = api.directory.knowing(&submission.models).await?.routes();
    let Checked { images, routes, callback, priority, metadata } =
        check(submission, &known, &api.policy, api.settings.backend)?;
    let request = Request {
        id: RequestId(api.platform.clock.uuid()),
        client,
        images,
        routes,
        callback,
        priority,
        metadata,
        created_at: now,
    };
    let taken = api.submissions.accept(request.clone(), idempotency).await?;
    match taken.accepted {
        Accepted::New => Ok((request.id, taken, request)),
        Accepted::Same(id) => Ok((id, taken, request)),
        Accepted::Conflict => {
            let detail = "another body was submitted under this idempotency key";
            Err(Problem::new(ProblemCode::IdempotencyKeyReused, detail))
        }
    }
}

fn idempotency_key(
    headers: &HeaderMap,
    client: &ClientName,
    submission: &Submission,
) -> Result<Option<IdempotencyKey>, Problem> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        let detail = "`Idempotency-Key` is there twice";
        return Err(Problem::new(ProblemCode::InvalidHeader, detail));
    }
    let key = value.to_str().unwrap_or_default();
    if key.is_empty() || key.len() > MAX_IDEMPOTENCY_KEY_BYTES {
        let detail = format!(
            "`Idempotency-Key` must be 1 to {MAX_IDEMPOTENCY_KEY_BYTES} visible ASCII characters"
        );
        return Err(Problem::new(ProblemCode::InvalidHeader, detail));
    }
    let (client, fingerprint) = (client.clone(), fingerprint(submission));
    Ok(Some(IdempotencyKey { client, key: key.to_owned(), fingerprint }))
}
