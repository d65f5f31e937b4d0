use axum::{Router, routing::get};
use flota_core::{
    Embedding, ImageFacts, Output, Prediction, PredictionKey, Reason, VectorEncoding,
    ports::DeadLetterFilter,
};
use flota_platform::telemetry::Metrics;

use super::fleet::{Fleet, REFUSED, endings, pack, png, serve, sha256, wanted};

const GREY: [u8; 3] = [9, 9, 9];
const OTHER: [u8; 3] = [1, 2, 3];

#[tokio::test]
async fn a_bad_image_harms_no_mate() {
    let mut fleet = Fleet::new("1", 3);
    fleet.manifest.batch.max_wait_ms = 10_000;
    let (grey, other) = (fleet.upload(GREY).await, fleet.upload(OTHER).await);
    let refused = fleet.upload(REFUSED).await;
    let mut cut = png([7, 7, 7]);
    cut.truncate(cut.len() / 2);
    let cut = fleet.platform.images.put(cut.into()).await.unwrap();
    let empty = fleet.platform.images.put(Vec::new().into()).await.unwrap();
    let addresses = [
        grey,
        refused,
        other,
        format!("flota://sha256/{cut}"),
        format!("flota://sha256/{empty}"),
        format!("flota://sha256/{}", sha256([8, 8, 8])),
        "http://169.254.169.254/x".to_owned(),
    ];
    let mut message = pack(1, &addresses.each_ref().map(String::as_str));
    let mut foreign = message.tasks[0].clone();
    (foreign.n, foreign.model) = (7, "other".parse().unwrap());
    message.tasks.push(foreign);
    fleet.start();
    fleet.send(&message).await;
    let outcomes = fleet.outcomes(8).await;
    let failed = [
        (0, "succeeded"),
        (1, "INFER_FAILED"),
        (2, "succeeded"),
        (3, "DECODE_CORRUPT"),
        (4, "IMAGE_EMPTY"),
        (5, "FETCH_NOT_FOUND"),
        (6, "FETCH_FORBIDDEN_ADDRESS"),
        (7, "MODEL_NOT_SERVED"),
    ];
    assert_eq!(endings(&outcomes), wanted(&failed));
    let timings = &outcomes[0].outcomes.iter().find(|task| task.n == 0).unwrap().outcome.timings;
    assert_eq!(timings.batch_size, Some(3));
    assert!(timings.queued_ms.is_some() && timings.fetch_ms.is_some());
    assert!(timings.decode_ms.is_some() && timings.infer_ms.is_some());
}

#[tokio::test]
async fn equal_images_in_flight_are_computed_once() {
    let fleet = Fleet::new("1", 1);
    let web = serve(Router::new().route("/grey", get(|| async { png(GREY) }))).await;
    let (uploaded, web) = (fleet.upload(GREY).await, format!("{web}/grey"));
    fleet.send(&pack(1, &[&uploaded, &web, &uploaded])).await;
    fleet.start();
    let outcomes = fleet.outcomes(3).await;
    let endings = endings(&outcomes);
    assert_eq!(endings.iter().filter(|(_, ending)| ending == "succeeded").count(), 1);
    assert_eq!(endings.iter().filter(|(_, ending)| ending == "cached").count(), 2);
    assert_eq!(fleet.batches(), [[GREY]]);
    let [message] = outcomes.as_slice() else { panic!("one message for one pack") };
    assert_eq!(message.predictions.len(), 1);
}

#[tokio::test]
async fn what_is_cached_is_neither_computed_nor_fetched() {
    for (version, ending) in [("1", "cached"), ("1-dev", "FETCH_NOT_FOUND")] {
        let fleet = Fleet::new(version, 1);
        let cached = Prediction {
            key: PredictionKey {
                sha256: sha256(GREY),
                model: fleet.manifest.name.clone(),
                version: fleet.manifest.version.clone(),
            },
            output: Output::Embedding(Embedding::new(vec![1.0], VectorEncoding::Json).unwrap()),
            image: ImageFacts {
                width: 4,
                height: 4,
                format: "png".to_owned(),
                size_bytes: 9,
                flags: Vec::new(),
            },
            computed_at: fleet.platform.clock.now(),
        };
        fleet.platform.predictions.put(&[cached]).await.unwrap();
        fleet.send(&pack(1, &[&format!("flota://sha256/{}", sha256(GREY))])).await;
        fleet.start();
        let outcomes = fleet.outcomes(1).await;
        assert_eq!(endings(&outcomes), wanted(&[(0, ending)]));
        assert!(outcomes[0].predictions.is_empty());
    }
}

#[tokio::test]
async fn an_unreadable_message_is_dead_lettered_and_the_loop_goes_on() {
    let metrics = Metrics::install().unwrap();
    let fleet = Fleet::new("1", 1);
    fleet.send_body("{\"v\":99}".to_owned()).await;
    let grey = fleet.upload(GREY).await;
    fleet.send(&pack(1, &[&grey])).await;
    let worker = fleet.start();
    assert_eq!(endings(&fleet.outcomes(1).await), wanted(&[(0, "succeeded")]));
    fleet.stop.cancel();
    worker.await.unwrap();
    let filter = DeadLetterFilter { limit: 10, ..DeadLetterFilter::default() };
    let letters = fleet.platform.dead_letters.list(&filter).await.unwrap().letters;
    let [letter] = letters.as_slice() else { panic!("one dead letter, not {}", letters.len()) };
    assert_eq!(letter.reason, Reason::Unreadable);
    assert!(letter.message.contains("version 99"), "{}", letter.message);
    let counted = format!("flota_messages_unreadable_total{{queue=\"{}\"}} 1", fleet.tasks_queue());
    assert!(metrics.render().lines().any(|line| line == counted), "no {counted}");
    assert!(fleet.receive_once().await.is_empty());
}
