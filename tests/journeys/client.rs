//! What a program does through the Rust client.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use flota_client::{
    CallbackBody, Client, Error, OutcomeView, ProblemCode, Submission, SubmittedImage, Webhooks,
};
use flota_core::{Code, Status};
use futures::TryStreamExt;
use tokio::{net::TcpListener, sync::mpsc, time::timeout};

use crate::harness::{Home, MODEL, Receiver, image};

/// Longer than any callback takes here.
const CALLBACK_WAIT: Duration = Duration::from_secs(60);

struct Hook {
    webhooks: Webhooks,
    verified: mpsc::UnboundedSender<CallbackBody>,
}

async fn take(State(hook): State<Arc<Hook>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    match hook.webhooks.verify(&headers, &body) {
        Ok(callback) => {
            hook.verified.send(callback).expect("the test waits for it");
            StatusCode::NO_CONTENT
        }
        Err(error) => {
            eprintln!("a callback is refused: {error}");
            StatusCode::BAD_REQUEST
        }
    }
}

#[tokio::test]
async fn a_program_submits_follows_and_verifies_through_the_client() {
    let (home, receiver) = (Home::new(), Receiver::start().await);
    let _fleet = home.start_fleet(&receiver).await;
    let (verified, mut callbacks) = mpsc::unbounded_channel();
    let webhooks = Webhooks::new([home.secret()]).expect("the server made the secret");
    let hook = Arc::new(Hook { webhooks, verified });
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
    let hook_url = format!("http://{}/hook", listener.local_addr().expect("it is bound"));
    let routes = Router::new().route("/hook", post(take)).with_state(hook);
    let serving = tokio::spawn(async move { axum::serve(listener, routes).await });

    let client = Client::new(format!("http://{}", home.address()).parse().expect("a URL"));
    let models = client.models().await.expect("the server lists its models");
    let model = models.iter().find(|model| model.name.as_str() == MODEL).expect("it is known");
    let manifest = model.manifest().expect("the manifest is one of this version");
    assert_eq!(manifest.name, model.name);

    let file = home.path().join("0.png");
    std::fs::write(&file, image(0)).expect("a file can be written");
    let mut images = vec![client.upload_file(&file).await.expect("it is an image")];
    for n in 1..30 {
        images.push(client.upload(image(n)).await.expect("it is an image"));
    }
    let torn = client.upload("no image").await.expect("the server does not decode");
    let urls = images.into_iter().chain([torn]).map(|uploaded| SubmittedImage::at(uploaded.url));
    let models = [model.name.clone()];
    let submission = Submission::new(urls.collect(), &models).with_callback(hook_url);
    let request = client.submit(&submission, Some("order-1")).await.expect("it is accepted");
    let again = client.submit(&submission, Some("order-1")).await.expect("it is the same");
    assert_eq!(request.id, again.id);

    let streamed: Vec<OutcomeView> =
        client.stream(request.id).try_collect().await.expect("the server stays up");
    let numbers: BTreeSet<u32> = streamed.iter().map(|outcome| outcome.task().n).collect();
    assert_eq!((streamed.len(), numbers.len()), (31, 31), "each once");
    let finished = client.wait(request.id).await.expect("it is known");
    assert_eq!((finished.status, finished.terminal), (Status::PartiallyFailed, true));
    assert_eq!((finished.counts.succeeded, finished.counts.failed), (30, 1));
    let outcomes = client.outcomes(request.id).await.expect("it is known");
    let OutcomeView::Failed(failed) = &outcomes[30] else { panic!("{:?}", outcomes[30]) };
    assert_eq!(failed.code.known(), Some(&Code::DecodeUnsupported));
    assert!(outcomes[..30].iter().all(|outcome| outcome.prediction().is_some()));

    let callback = timeout(CALLBACK_WAIT, callbacks.recv()).await.expect("it comes in time");
    let callback = callback.expect("the receiver lives").data;
    assert_eq!((callback.request, callback.counts), (request.id, finished.counts));
    assert_eq!(callback.outcomes.map(|outcomes| outcomes.len()), Some(31));

    let unknown = Submission::new(
        vec![SubmittedImage::at("https://a.example/1")],
        &["nobody".parse().expect("a name")],
    );
    let refused = client.submit(&unknown, None).await.expect_err("no such model");
    let Error::Refused(refusal) = &refused else { panic!("{refused}") };
    assert_eq!(refusal.code, Some(ProblemCode::UnknownModel.into()));
    assert_eq!(refusal.errors[0].field, "models[0]");
    serving.abort();
}
