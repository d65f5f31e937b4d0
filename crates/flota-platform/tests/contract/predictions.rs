use flota_core::{
    Embedding, LabelScore, MAX_EMBEDDING_LENGTH, ModelName, Output, Prediction, PredictionKey,
    VectorEncoding,
};

use crate::{
    fresh::{Factory, Fresh},
    samples::{SECOND, key, prediction},
};

pub async fn every_promise(fresh: Factory) {
    known_predictions_are_found(fresh()).await;
    they_are_found_among_more_than_a_store_takes_at_once(fresh()).await;
    what_is_there_stays(fresh()).await;
    a_version_in_development_is_replaced(fresh()).await;
    an_image_tells_all_that_is_known_of_it(fresh()).await;
    scores_survive_to_the_last_bit(fresh()).await;
}

async fn known_predictions_are_found(fresh: Fresh) {
    let (predictions, now) = (&fresh.store.predictions, fresh.now());
    let (a, b, c) = (key("a", "1"), key("b", "1"), key("a", "2"));
    let kept = [prediction(&a, 0.25, now), prediction(&b, 0.5, now)];
    predictions.put(&kept).await.unwrap();
    let mut found = predictions.get(&[c, b.clone(), a.clone()]).await.unwrap();
    found.sort_by(|one, other| {
        one.output.scores()[0].score.total_cmp(&other.output.scores()[0].score)
    });
    assert_eq!(found, kept);
    assert!(predictions.get(&[]).await.unwrap().is_empty());
    predictions.put(&[]).await.unwrap();
}

async fn they_are_found_among_more_than_a_store_takes_at_once(fresh: Fresh) {
    let (predictions, now) = (&fresh.store.predictions, fresh.now());
    let keys: Vec<PredictionKey> = (0..250).map(|n| key(&n.to_string(), "1")).collect();
    let kept = [&keys[0], &keys[120], &keys[249]].map(|key| prediction(key, 0.5, now));
    predictions.put(&kept).await.unwrap();
    let mut found = predictions.get(&keys).await.unwrap();
    found.sort_by_key(|found| kept.iter().position(|kept| kept.key == found.key));
    assert_eq!(found, kept);
}

async fn what_is_there_stays(fresh: Fresh) {
    let (predictions, now) = (&fresh.store.predictions, fresh.now());
    let a = key("a", "1");
    let first = prediction(&a, 0.25, now);
    let (late, new) = (prediction(&a, 0.75, now + SECOND), prediction(&key("b", "1"), 0.5, now));
    predictions.put(std::slice::from_ref(&first)).await.unwrap();
    predictions.put(&[late, new.clone()]).await.unwrap();
    assert_eq!(predictions.get(&[a]).await.unwrap(), [first]);
    assert_eq!(predictions.get(std::slice::from_ref(&new.key)).await.unwrap(), [new]);
}

async fn a_version_in_development_is_replaced(fresh: Fresh) {
    let (predictions, now) = (&fresh.store.predictions, fresh.now());
    let key = key("a", "2-dev");
    let (first, second) = (prediction(&key, 0.25, now), prediction(&key, 0.75, now + SECOND));
    predictions.put(&[first]).await.unwrap();
    predictions.put(std::slice::from_ref(&second)).await.unwrap();
    assert_eq!(predictions.get(&[key]).await.unwrap(), [second]);
}

async fn an_image_tells_all_that_is_known_of_it(fresh: Fresh) {
    let (predictions, now) = (&fresh.store.predictions, fresh.now());
    let dog: ModelName = "dog".parse().unwrap();
    let old = prediction(&key("a", "1"), 0.1, now);
    let new = prediction(&key("a", "2"), 0.2, now + SECOND);
    let other_model = PredictionKey { model: dog.clone(), ..key("a", "1") };
    let newest = prediction(&other_model, 0.3, now + 2 * SECOND);
    let other_image = prediction(&key("b", "1"), 0.4, now);
    let kept = [new.clone(), old.clone(), other_image, newest.clone()];
    predictions.put(&kept).await.unwrap();

    let image = old.key.sha256;
    let all = predictions.of_image(image, None).await.unwrap();
    assert_eq!(all, [newest.clone(), new.clone(), old.clone()]);
    let cats = predictions.of_image(image, Some(&old.key.model)).await.unwrap();
    assert_eq!(cats, [new, old]);
    assert_eq!(predictions.of_image(image, Some(&dog)).await.unwrap(), [newest]);
    let bird = "bird".parse().unwrap();
    assert!(predictions.of_image(image, Some(&bird)).await.unwrap().is_empty());
}

async fn scores_survive_to_the_last_bit(fresh: Fresh) {
    let predictions = &fresh.store.predictions;
    let scores = [0.1, 1.0 / 3.0, f32::MIN_POSITIVE, f32::MAX, -0.0, 1e-8, 0.999_999_94];
    let scores = scores.iter().zip(0..).map(|(score, index)| LabelScore {
        label: format!("\"label\" {index} ü"),
        index,
        score: *score,
        flagged: Some(index == 1),
        advice: None,
    });
    let kept = Prediction {
        output: Output::Sigmoid { scores: scores.collect() },
        ..prediction(&key("a", "1"), 0.0, fresh.now())
    };
    let vector = |version: &str, numbers: Vec<f32>, encoding| Prediction {
        output: Output::Embedding(Embedding::new(numbers, encoding).unwrap()),
        ..prediction(&key("a", version), 0.0, fresh.now())
    };
    let short = vec![0.1, -7.25e-9, 3.402_823e38];
    // Numbers that no compression makes shorter.
    let mut seed = 1_u32;
    let long = std::iter::repeat_with(|| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 8) as f32 / 16_777_216.0
    });
    let vectors = [
        vector("2", short.clone(), VectorEncoding::Json),
        vector("3", short, VectorEncoding::Base64F32),
        vector("4", long.take(MAX_EMBEDDING_LENGTH).collect(), VectorEncoding::Base64F16),
    ];
    predictions.put(std::slice::from_ref(&kept)).await.unwrap();
    predictions.put(&vectors).await.unwrap();
    assert_eq!(predictions.get(std::slice::from_ref(&kept.key)).await.unwrap(), [kept]);
    for vector in vectors {
        assert_eq!(predictions.get(std::slice::from_ref(&vector.key)).await.unwrap(), [vector]);
    }
}
