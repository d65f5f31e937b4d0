use std::{io::Cursor, time::Duration};

use flota_core::{
    Alpha, Code, Fault, OutcomesMessage, Prediction, Priority, Reason, Sha256, TaskOutcome,
    TasksMessage, WorkerName,
    ports::{Registration, UPLOADED_PREFIX},
};
use image::{ImageFormat, RgbImage, RgbaImage};

use super::fleet::{Fleet, endings, pack, wanted};

/// Large enough that no two decodes take as long to the microsecond.
const SIDE: u32 = 700;

/// A worker of the models `means` and `twin`, which takes an image of so many pixels at most.
fn fleet(twin_pixels: u64) -> Fleet {
    let mut fleet = Fleet::new("1", 1);
    let mut twin = fleet.manifest.clone();
    twin.name = "twin".parse().unwrap();
    twin.limits.max_pixels = twin_pixels;
    fleet.beside.push(twin);
    fleet
}

async fn upload(fleet: &Fleet, seed: u32) -> String {
    let noise = |x: u32, y: u32| (x * 7919 + y * 104_729 + seed).wrapping_mul(2_654_435_761) >> 24;
    let picture = RgbImage::from_fn(SIDE, SIDE, |x, y| image::Rgb([noise(x, y) as u8; 3]));
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, ImageFormat::Png).unwrap();
    let sha256 = fleet.platform.images.put(bytes.into_inner().into()).await.unwrap();
    format!("{UPLOADED_PREFIX}{sha256}")
}

/// An image of that colour, of which nothing is seen.
async fn upload_transparent(fleet: &Fleet, [red, green, blue]: [u8; 3]) -> String {
    let picture = RgbaImage::from_pixel(SIDE, SIDE, image::Rgba([red, green, blue, 0]));
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, ImageFormat::Png).unwrap();
    let sha256 = fleet.platform.images.put(bytes.into_inner().into()).await.unwrap();
    format!("{UPLOADED_PREFIX}{sha256}")
}

/// A pack with a task of `means` and one of `twin` for each image.
fn both(images: &[&str]) -> TasksMessage {
    let twice: Vec<&str> = images.iter().flat_map(|image| [*image, *image]).collect();
    let mut message = pack(1, &twice);
    for task in message.tasks.iter_mut().filter(|task| task.n % 2 == 1) {
        task.model = "twin".parse().unwrap();
    }
    message
}

fn by_number(messages: &[OutcomesMessage]) -> Vec<TaskOutcome> {
    let mut all: Vec<_> = messages.iter().flat_map(|m| m.outcomes.clone()).collect();
    all.sort_by_key(|task| task.n);
    all
}

#[tokio::test]
async fn an_image_is_fetched_and_decoded_once_for_all_models_of_a_worker() {
    let fleet = fleet(u64::MAX);
    let images = [upload(&fleet, 1).await, upload(&fleet, 2).await];
    fleet.start();
    fleet.send(&both(&images.each_ref().map(String::as_str))).await;
    let outcomes = fleet.outcomes(4).await;
    let all = [(0, "succeeded"), (1, "succeeded"), (2, "succeeded"), (3, "succeeded")];
    assert_eq!(endings(&outcomes), wanted(&all));
    for pair in by_number(&outcomes).chunks(2) {
        let [one, other] = [0, 1].map(|index| &pair[index].outcome.timings);
        assert!(one.decode_ms.is_some() && one.fetch_ms.is_some());
        assert_eq!((one.decode_ms, one.fetch_ms), (other.decode_ms, other.fetch_ms));
    }
    let mut keys: Vec<_> = outcomes.iter().flat_map(|m| &m.predictions).map(|p| &p.key).collect();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 4, "a prediction of each model for each image");
}

#[tokio::test]
async fn a_transparent_image_is_seen_by_each_model_as_it_asks() {
    let mut fleet = fleet(u64::MAX);
    fleet.beside[0].input.alpha = Alpha::Drop;
    let image = upload_transparent(&fleet, [10, 20, 30]).await;
    fleet.start();
    fleet.send(&both(&[&image])).await;
    let outcomes = fleet.outcomes(2).await;
    assert_eq!(endings(&outcomes), wanted(&[(0, "succeeded"), (1, "succeeded")]));
    let predictions = outcomes.iter().flat_map(|message| &message.predictions);
    let red_of = |prediction: &Prediction| {
        let scores = prediction.output.scores();
        scores.iter().find(|score| score.label == "r").map(|score| score.score)
    };
    let mut seen: Vec<_> =
        predictions.map(|one| (one.key.model.to_string(), red_of(one))).collect();
    seen.sort_by(|one, other| one.0.cmp(&other.0));
    let wanted = [("means", 255.0), ("twin", 10.0)];
    assert_eq!(seen, wanted.map(|(model, red)| (model.to_owned(), Some(red))));
}

#[tokio::test]
async fn what_is_too_large_for_one_model_is_looked_at_by_the_other() {
    let fleet = fleet(u64::from(SIDE));
    let image = upload(&fleet, 1).await;
    fleet.start();
    fleet.send(&both(&[&image])).await;
    let outcomes = fleet.outcomes(2).await;
    assert_eq!(endings(&outcomes), wanted(&[(0, "succeeded"), (1, "IMAGE_TOO_LARGE")]));
}

#[tokio::test]
async fn what_one_model_said_before_is_not_computed_again_for_the_sake_of_the_other() {
    let fleet = fleet(u64::MAX);
    let image = upload(&fleet, 1).await;
    fleet.start();
    fleet.send(&pack(1, &[&image])).await;
    let first = fleet.outcomes(1).await;
    fleet.platform.predictions.put(&first[0].predictions).await.unwrap();
    fleet.send(&both(&[&image])).await;
    let outcomes = fleet.outcomes(2).await;
    assert_eq!(endings(&outcomes), wanted(&[(0, "cached"), (1, "succeeded")]));
}

#[tokio::test]
async fn isolated_tasks_of_several_models_run_one_by_one() {
    let fleet = fleet(u64::MAX);
    let image = upload(&fleet, 1).await;
    fleet.send(&both(&[&image])).await;
    fleet.receive_once().await;
    fleet.start();
    let outcomes = fleet.outcomes(2).await;
    assert_eq!(endings(&outcomes), wanted(&[(0, "succeeded"), (1, "succeeded")]));
    assert_eq!(outcomes.len(), 2, "each is reported before the next runs");
}

#[tokio::test]
async fn a_task_whose_model_has_moved_goes_to_its_worker() {
    let fleet = Fleet::new("1", 1);
    let image = upload(&fleet, 1).await;
    let register = async |model: &str, worker: WorkerName| {
        let mut manifest = fleet.manifest.clone();
        manifest.name = model.parse().unwrap();
        let now = fleet.platform.clock.now();
        let registration = Registration::new(manifest, Sha256::of(b""), worker, now);
        fleet.platform.models.register(&registration).await.unwrap();
    };
    register("twin", "photo".parse().unwrap()).await;
    let mut message = both(&[&image, &image]);
    message.tasks.remove(2);
    message.tasks[2].model = "nobodys".parse().unwrap();
    fleet.start();
    fleet.send(&message).await;
    let queue = fleet.queue_names().tasks(&"photo".parse().unwrap(), Priority::Normal);
    let moved = fleet.receive_from(queue, Duration::from_secs(20)).await;
    assert_eq!(
        moved.iter().map(|m| m.tasks.clone()).collect::<Vec<_>>(),
        [[message.tasks[1].clone()]]
    );
    let outcomes = fleet.outcomes(2).await;
    assert_eq!(endings(&outcomes), wanted(&[(0, "succeeded"), (3, "MODEL_NOT_SERVED")]));
}

#[tokio::test]
async fn a_task_that_comes_before_its_process_waits_for_it_and_is_no_attempt() {
    let fleet = Fleet::new("1", 1);
    let image = upload(&fleet, 1).await;
    let mut late = fleet.manifest.clone();
    late.name = "twin".parse().unwrap();
    let now = fleet.platform.clock.now();
    let registration = Registration::new(late.clone(), Sha256::of(b""), fleet.worker(), now);
    fleet.platform.models.register(&registration).await.unwrap();
    let old = fleet.start();
    fleet.send(&both(&[&image])).await;
    assert_eq!(endings(&fleet.outcomes(1).await), wanted(&[(0, "succeeded")]));
    fleet.stop.cancel();
    old.await.unwrap();
    let mut newer = Fleet::new("1", 1);
    newer.platform = fleet.platform.clone();
    newer.beside.push(late);
    newer.start();
    let outcomes = newer.outcomes(1).await;
    assert_eq!(endings(&outcomes), wanted(&[(1, "succeeded")]));
    assert_eq!(outcomes[0].outcomes[0].outcome.attempts, 1);
}

#[tokio::test]
async fn a_task_whose_process_never_comes_is_kept() {
    let fleet = Fleet::new("1", 1);
    let image = upload(&fleet, 1).await;
    let mut late = fleet.manifest.clone();
    late.name = "twin".parse().unwrap();
    let now = fleet.platform.clock.now();
    let registration = Registration::new(late, Sha256::of(b""), fleet.worker(), now);
    fleet.platform.models.register(&registration).await.unwrap();
    let mut message = both(&[&image]);
    message.tasks.remove(0);
    let long_ago = now - Duration::from_secs(2 * 60 * 60);
    message.tasks[0].faults.push(Fault::new(long_ago, Code::ModelNotServed, "no process"));
    fleet.start();
    fleet.send(&message).await;
    let outcomes = fleet.outcomes(1).await;
    assert_eq!(endings(&outcomes), wanted(&[(1, "MODEL_NOT_SERVED")]));
    assert_eq!(outcomes[0].dead_letters[0].reason, Reason::AttemptsExhausted);
}
