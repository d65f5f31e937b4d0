use serde_json::json;

use super::bad_input::{body, refused};
use crate::testing::Fixture;

const CODE: &str = "INVALID_FIELD";

/// The message about the first invalid field.
async fn told(text: &str, field: &str) -> String {
    let problem = refused(text, 400, CODE, field).await;
    let told = problem["errors"][0]["message"].as_str().unwrap().to_owned();
    for word in ["struct", "usize", "u64", "i64", "map", "sequence", "Submi", "line", "column"] {
        assert!(!problem["detail"].as_str().unwrap().contains(word), "{word}: {problem}");
    }
    told
}

#[tokio::test(start_paused = true)]
async fn an_array_is_no_object_whatever_its_length() {
    let wanted = "an object is wanted";
    let image = "https://images.example/1.jpg";
    for text in [
        "[]".to_owned(),
        json!([[{"url": image}], ["cat"], null, null, null, null]).to_string(),
        json!([[[image, "x"]], ["cat"], null, null, null, null]).to_string(),
        "7".to_owned(),
        "null".to_owned(),
        r#""text""#.to_owned(),
    ] {
        assert_eq!(told(&text, "body").await, wanted, "{text}");
    }
    let nested = body(|b| b["images"] = json!([{"url": image}, [image, "x"]]));
    assert_eq!(told(&nested, "images[1]").await, wanted);
    let address = body(|b| b["images"] = json!([image]));
    assert_eq!(told(&address, "images[0]").await, wanted);
    let callback = body(|b| b["callback"] = json!(["https://a.example", ["request.finished"]]));
    assert_eq!(told(&callback, "callback").await, wanted);
    let metadata = body(|b| b["metadata"] = json!([1]));
    assert_eq!(told(&metadata, "metadata").await, wanted);

    let replay = Fixture::new().await.post("/v1/dead-letters/replay", "[null]").await;
    assert_eq!((replay.status.as_u16(), &replay.json["code"]), (400, &json!(CODE)));
    assert_eq!(replay.json["errors"][0]["message"], wanted);
}

#[tokio::test(start_paused = true)]
async fn what_is_wanted_is_said_in_the_words_of_json() {
    assert_eq!(told(&body(|b| b["models"] = json!("cat")), "models").await, "an array is wanted");
    let url = body(|b| b["images"][0]["url"] = json!(7));
    assert_eq!(told(&url, "images[0].url").await, "a string is wanted");
    for event in [json!("x"), json!(7)] {
        let callback = json!({"url": "https://a.example", "events": [event]});
        let text = body(|b| b["callback"] = callback);
        assert!(told(&text, "callback.events[0]").await.ends_with(" is wanted"));
    }
    let fixture = Fixture::new().await;
    for limit in [json!(-1), json!("x"), json!(1.5), json!(99_999_999_999_999_999_999_u128 as f64)]
    {
        let selection = json!({"limit": limit}).to_string();
        let answer = fixture.post("/v1/dead-letters/replay", &selection).await.json;
        let error = json!([{"field": "limit", "message": "a whole number is wanted"}]);
        assert_eq!((&answer["code"], &answer["errors"]), (&json!(CODE), &error));
    }
}

#[tokio::test(start_paused = true)]
async fn texts_are_counted_in_characters_and_a_whole_number_may_have_a_point() {
    let fixture = Fixture::new().await;
    let replay = async |body: serde_json::Value| {
        let answer = fixture.post("/v1/dead-letters/replay", &body.to_string()).await;
        (answer.status.as_u16(), answer.json)
    };
    let taken = json!({
        "model": "cat", "limit": 2.0, "rate_per_second": 1e2, "text": "é".repeat(200),
        "by": "猫".repeat(100), "dry_run": true,
    });
    let (status, answer) = replay(taken.clone()).await;
    assert_eq!(status, 200, "{answer}");
    for (field, text) in [("text", "é".repeat(201)), ("by", "猫".repeat(101))] {
        let mut body = taken.clone();
        body[field] = text.into();
        let (status, answer) = replay(body).await;
        assert_eq!((status, &answer["errors"][0]["field"]), (422, &json!(field)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_field_that_is_missing_or_there_twice_is_named() {
    assert_eq!(told(r#"{"models": ["cat"]}"#, "images").await, "it is missing");
    assert_eq!(told(r#"{"images": []}"#, "models").await, "it is missing");
    let url = body(|b| b["images"][0] = json!({"id": "x"}));
    assert_eq!(told(&url, "images[0].url").await, "it is missing");
    let twice = r#"{"models": ["cat"], "images": [], "models": ["dog"]}"#;
    assert_eq!(told(twice, "models").await, "it is there twice");
    let twice = r#"{"models": ["cat"], "images": [{"url": "x", "id": "a", "id": "b"}]}"#;
    assert_eq!(told(twice, "images[0].id").await, "it is there twice");
}

#[tokio::test(start_paused = true)]
async fn an_unknown_field_is_told_the_known_ones_and_not_repeated_at_length() {
    let long = "x".repeat(10_000);
    let problem = refused(&body(|b| b[&long] = json!(1)), 400, CODE, "").await;
    assert!(problem.to_string().len() < 2_000, "{problem}");
    let told = told(&body(|b| b["images"][0]["urll"] = json!("x")), "images[0].urll").await;
    assert_eq!(told, "there is no such field: `url` or `id` is wanted");
}

#[tokio::test(start_paused = true)]
async fn what_is_json_but_too_much_of_it_is_said_to_be_so() {
    let deep = format!("{}1{}", r#"{"a":"#.repeat(200), "}".repeat(200));
    let text = body(|b| b["metadata"] = json!("here")).replace(r#""here""#, &deep);
    let problem = refused(&text, 400, CODE, "metadata").await;
    assert_eq!(problem["errors"][0]["message"], "it is nested too deeply");
    let twice = r#"{"x": 1, "x": 2}"#;
    let text = body(|b| b["metadata"] = json!({"a": "here"})).replace(r#""here""#, twice);
    assert_eq!(told(&text, "metadata.a.x").await, "it is there twice");
    let broken = deep.replace("}}", "}");
    let text = body(|b| b["metadata"] = json!("here")).replace(r#""here""#, &broken);
    refused(&text, 400, "MALFORMED_JSON", "").await;
}
