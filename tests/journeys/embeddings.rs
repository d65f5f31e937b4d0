//! Long embeddings, from the network through queue and store to the client.

use std::{fs, io::Cursor, path::PathBuf};

use flota_core::Output;
use image::{ImageFormat, RgbImage};
use serde_json::{Value, json};

use crate::harness::{Api, Home, Receiver, project_dir, until};

/// How the grey values of an image become an embedding: as many numbers as pixels.
struct Case {
    model: &'static str,
    size: (u32, u32),
    encoding: &'static str,
}

const CASES: [Case; 3] = [
    Case { model: "flat-2048", size: (64, 32), encoding: "" },
    Case { model: "flat-4096", size: (64, 64), encoding: "encoding: base64_f32" },
    Case { model: "flat-16384", size: (128, 128), encoding: "encoding: base64_f16" },
];

/// Images for each model: more than one message takes.
const IMAGE_COUNT: u8 = 3;

fn folder(home: &Home, case: &Case) -> PathBuf {
    let folder = home.path().join(case.model);
    fs::create_dir_all(&folder).expect("the folder can be made");
    let manifest = format!(
        "format: 2\nname: {}\nversion: \"1\"\nweights: {{file: flatten.onnx}}\n\
         input: {{width: {}, height: {}, color: grey, scale: 1.0, resize: {{mode: exact}}}}\n\
         output: {{kind: embedding, {}}}\n",
        case.model, case.size.0, case.size.1, case.encoding
    );
    fs::write(folder.join("model.yaml"), manifest).expect("it can be written");
    let weights = project_dir().join("crates/flota-engine/tests/fixtures/flatten.onnx");
    fs::copy(weights, folder.join("flatten.onnx")).expect("it can be copied");
    folder
}

/// A grey image without any order in it, and its values.
fn picture(size: (u32, u32), seed: u8) -> (Vec<u8>, Vec<f32>) {
    let mut state = u32::from(seed) + 1;
    let picture = RgbImage::from_fn(size.0, size.1, |_, _| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        image::Rgb([(state >> 24) as u8; 3])
    });
    let values = picture.pixels().map(|pixel| f32::from(pixel[0])).collect();
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, ImageFormat::Png).expect("memory takes what is written");
    (bytes.into_inner(), values)
}

async fn served(api: &Api, case: &Case) {
    until(&format!("{} to be served", case.model), || async {
        let models = api.try_get("/v1/models").await?["models"].as_array()?.clone();
        let is_served = |model: &Value| model["name"] == case.model && model["workers_alive"] == 1;
        models.iter().any(is_served).then_some(())
    })
    .await;
}

#[tokio::test]
async fn long_embeddings_arrive_whole() {
    let (home, receiver) = (Home::new(), Receiver::start().await);
    let _server = home.serve().await;
    receiver.trust(&home.secret());
    let api = home.api();
    for case in &CASES {
        let dir = folder(&home, case).into_os_string().into_string().expect("plain text");
        let _worker = home.start(home.flota(&["worker", &dir]), case.model);
        served(&api, case).await;
        let mut images = Vec::new();
        let mut wanted = Vec::new();
        for seed in 0..IMAGE_COUNT {
            let (bytes, values) = picture(case.size, seed);
            images.push(json!({ "url": api.upload(bytes).await }));
            wanted.push(values);
        }
        let callback = json!({ "url": receiver.url() });
        let body = json!({ "images": images, "models": [case.model], "callback": callback });
        let (_, answer) = api.post("/v1/requests", &body).await;
        let id = answer["id"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
        let finished = api.finished(&id).await;
        assert_eq!(finished["status"], "succeeded", "{}", finished["status"]);
        let outcomes = api.outcomes(&id).await;
        for (n, wanted) in wanted.iter().enumerate() {
            let output = outcomes[&(n as u64)]["prediction"]["output"].clone();
            let is_base64 = output["data"].is_string();
            assert_eq!(is_base64, !case.encoding.is_empty(), "{}", case.model);
            let Ok(Output::Embedding(embedding)) = serde_json::from_value(output) else {
                panic!("{}: no embedding", case.model)
            };
            assert!(embedding.vector() == wanted.as_slice(), "{}: other numbers", case.model);
        }
        receiver.callback_of(&id).await;
    }
}
