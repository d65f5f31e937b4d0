use std::any::Any;

use axum::{
    Router,
    extract::Request,
    http::{
        Method, Uri,
        header::{CONTENT_TYPE, EXPECT},
    },
    middleware,
    response::{IntoResponse, Response},
    routing::get,
};
use bytes::Bytes;
use flota_api::CallbackBody;
use flota_platform::settings::Role;
use tower_http::{catch_panic::CatchPanicLayer, trace::TraceLayer};
use tracing::{Span, error, info_span};
use utoipa::{
    OpenApi,
    openapi::{InfoBuilder, OpenApiBuilder},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    body::discard,
    dead_letters, document,
    guard::{Hosts, guard},
    health, images, models, predictions,
    problem::{Problem, ProblemCode},
    replays, requests, resolutions, starts,
    state::Api,
    submit,
};
use crate::metrics::measure_http;

/// The router of all calls, or only of health and metrics if this process does not have the role
/// `api`. Every error is answered with a problem.
pub(crate) fn router(api: Api) -> Router {
    let calls = match api.settings.server.roles.contains(&Role::Api) {
        true => calls(),
        false => operation(),
    };
    let (router, document) = calls.split_for_parts();
    let hosts = Hosts::of(&api.settings.server);
    // Built once, because it takes long and clients may request it often.
    let document = Bytes::from(document::complete(document).to_string());
    let content_type = [(CONTENT_TYPE, "application/json")];
    let router = router.route("/openapi.json", get(async move || (content_type, document.clone())));
    guarded(router.fallback(not_found), hosts).with_state(api)
}

/// The router for clients beyond the limit of connections. It serves health and metrics, and
/// rejects all other calls.
pub(crate) fn reserve(api: Api) -> Router {
    let hosts = Hosts::of(&api.settings.server);
    let (router, _) = operation().split_for_parts();
    guarded(router.fallback(busy), hosts).with_state(api)
}

/// Adds the host and origin checks, metrics and tracing. Unknown methods and panics are answered
/// with problems.
pub(super) fn guarded<S>(router: Router<S>, hosts: Hosts) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    router
        .method_not_allowed_fallback(method_not_allowed)
        .layer(middleware::from_fn_with_state(hosts, guard))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn(measure_http))
        .layer(TraceLayer::new_for_http().make_span_with(span).on_failure(()))
}

/// Schemas that no call uses.
#[derive(OpenApi)]
#[openapi(components(schemas(CallbackBody)))]
struct Webhooks;

fn operation() -> OpenApiRouter<Api> {
    let info = InfoBuilder::new()
        .title("Flota")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some("Images in, what every model saw of them out, with a signed callback."));
    let mut described = OpenApiBuilder::new().info(info).build();
    described.merge(Webhooks::openapi());
    OpenApiRouter::with_openapi(described)
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
        .routes(routes!(health::metrics))
}

fn calls() -> OpenApiRouter<Api> {
    operation()
        .routes(routes!(images::upload_image))
        .routes(routes!(submit::submit_request))
        .routes(routes!(requests::show_request))
        .routes(routes!(requests::redeliver_callback))
        .routes(routes!(predictions::list_predictions))
        .routes(routes!(models::list_models))
        .routes(routes!(dead_letters::list_dead_letters))
        .routes(routes!(dead_letters::show_dead_letter))
        .routes(routes!(dead_letters::group_dead_letters))
        .routes(routes!(resolutions::replay_dead_letter))
        .routes(routes!(resolutions::discard_dead_letter))
        .routes(routes!(resolutions::discard_dead_letters))
        .routes(routes!(starts::replay_dead_letters))
        .routes(routes!(replays::list_replays))
        .routes(routes!(replays::show_replay))
        .routes(routes!(replays::stop_replay))
}

/// Leaves out the query, which may contain a signed URL.
fn span(request: &Request) -> Span {
    info_span!("http", method = %request.method(), path = request.uri().path())
}

async fn not_found(uri: Uri) -> Problem {
    let path: String = uri.path().chars().take(200).collect();
    Problem::new(ProblemCode::NotFound, format!("`{path}`; `/openapi.json` lists what there is"))
}

async fn busy(request: Request) -> Problem {
    // A client whose connection is cut while it writes never reads the answer.
    if !request.headers().contains_key(EXPECT) {
        discard(request.into_body()).await;
    }
    let detail = "the server has no place for another connection; try again in a moment";
    Problem::new(ProblemCode::Overloaded, detail)
}

async fn method_not_allowed(method: Method) -> Problem {
    let detail = format!("`{method}`; the header `Allow` says which methods are taken");
    Problem::new(ProblemCode::MethodNotAllowed, detail)
}

fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("of another kind");
    error!(panic = text, "a call panicked");
    Problem::new(ProblemCode::Internal, "the cause is in the server's log").into_response()
}
