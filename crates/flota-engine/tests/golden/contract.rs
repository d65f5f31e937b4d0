//! What every engine promises.

use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use flota_core::{Embedding, LabelSource, Manifest, Output, VectorEncoding};
use flota_engine::{DecodedImage, ImageFormat, LoadError, Model, Runtime, TensorData};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::{
    Layer, Registry,
    layer::{Context, SubscriberExt},
};

use crate::{data, installed::runtimes};

const MEANS: &[u8] = include_bytes!("../fixtures/means.onnx");
const BYTES: &[u8] = include_bytes!("../fixtures/bytes.onnx");
const LP_POOL: &[u8] = include_bytes!("../fixtures/lp-pool.onnx");
const QUANTIZED: &[u8] = include_bytes!("../fixtures/quantized.onnx");
const OVERFLOWING: &[u8] = include_bytes!("../fixtures/overflowing.onnx");

const INPUT: &str = "name: image, width: 6, height: 4, scale: 1.0, resize: {mode: exact}";
const OUTPUT: &str = "name: means, kind: regression, thresholds: {blue: 25}";

fn load(
    runtime: &Runtime,
    weights: &[u8],
    input: &str,
    output: &str,
    labels: &[&str],
) -> Result<Model, LoadError> {
    let has_labels = !output.contains("embedding");
    let source = if has_labels { "labels: {file: labels.txt}," } else { "" };
    let text = format!(
        "{{name: means, version: '1', weights: {{file: means.onnx}}, {source} \
         input: {{{input}}}, output: {{{output}}}}}"
    );
    let manifest = Manifest::parse("model.yaml", &text).unwrap();
    Model::load(
        runtime,
        manifest,
        &weights.into(),
        labels.iter().map(|label| (*label).to_owned()).collect(),
    )
}

fn refusal(
    runtime: &Runtime,
    weights: &[u8],
    input: &str,
    output: &str,
    labels: &[&str],
) -> String {
    load(runtime, weights, input, output, labels).unwrap_err().to_string()
}

fn picture(rgb: [u8; 3]) -> DecodedImage {
    DecodedImage::whole((6, 4), rgb.repeat(24), ImageFormat::Bmp)
}

fn scores(output: &Output) -> Vec<(&str, f32, Option<bool>)> {
    output.scores().iter().map(|s| (s.label.as_str(), s.score, s.flagged)).collect()
}

const COLORS: [&str; 3] = ["red", "green", "blue"];

#[test]
fn a_model_says_what_its_network_computes() {
    for runtime in runtimes() {
        let model = load(&runtime, MEANS, INPUT, OUTPUT, &COLORS).unwrap();
        let mut session = model.session(1).unwrap();
        let pictures = [[10, 20, 30], [1, 2, 3]].map(picture);
        let batch = pictures.each_ref().map(|image| model.prepare(image).unwrap());
        let answers = session.run(&batch).unwrap();
        let facts = Model::facts(&pictures[0], 1);
        let said: Vec<Output> =
            answers.iter().map(|outputs| model.postprocess(outputs, &facts).unwrap()).collect();
        assert_eq!(
            scores(&said[0]),
            [("red", 10., None), ("green", 20., None), ("blue", 30., Some(true))]
        );
        assert_eq!(
            scores(&said[1]),
            [("red", 1., None), ("green", 2., None), ("blue", 3., Some(false))]
        );
        assert!(session.run(&[]).unwrap().is_empty());
    }
}

#[test]
fn a_named_output_is_the_one_that_is_read() {
    for runtime in runtimes() {
        let model = load(&runtime, MEANS, INPUT, "name: doubles, kind: scores", &COLORS).unwrap();
        assert_eq!(data::numbers(&model, &picture([10, 20, 30])), [20., 40., 60.]);
    }
}

#[test]
fn bytes_by_pixels_are_fed_as_they_are() {
    for runtime in runtimes() {
        let input = "width: 6, height: 4, layout: nhwc, dtype: u8, resize: {mode: exact}";
        let model = load(&runtime, BYTES, input, "kind: embedding", &[]).unwrap();
        let numbers = data::numbers(&model, &picture([10, 20, 30]));
        assert_eq!(
            model.label(&numbers).unwrap(),
            Output::Embedding(Embedding::new(vec![10., 20., 30.], VectorEncoding::Json).unwrap())
        );
    }
}

#[test]
fn sessions_share_a_model_across_threads() {
    for runtime in runtimes() {
        let model = load(&runtime, MEANS, INPUT, OUTPUT, &COLORS).unwrap();
        std::thread::scope(|scope| {
            for level in 0..4 {
                let model = &model;
                scope.spawn(move || {
                    let mut session = model.session(1).unwrap();
                    let inputs = model.prepare(&picture([level; 3])).unwrap();
                    let answers = session.run(&[inputs]).unwrap();
                    assert_eq!(model.numbers(&answers[0]).unwrap(), [f32::from(level); 3]);
                });
            }
        });
    }
}

#[test]
fn a_session_of_several_threads_answers_as_one_of_one() {
    for runtime in runtimes() {
        let model = load(&runtime, MEANS, INPUT, OUTPUT, &COLORS).unwrap();
        let batch = [[10, 20, 30], [1, 2, 3]].map(|rgb| model.prepare(&picture(rgb)).unwrap());
        let [narrow, wide] = [1, 3].map(|n| model.session(n).unwrap().run(&batch).unwrap());
        assert_eq!(wide, narrow);
    }
}

#[test]
fn an_engine_does_not_tell_of_each_step() {
    for runtime in runtimes() {
        let told = Arc::new(AtomicUsize::new(0));
        let subscriber = Registry::default().with(Told(Arc::clone(&told)));
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!("a test");
            let model = load(&runtime, MEANS, INPUT, OUTPUT, &COLORS).unwrap();
            data::numbers(&model, &picture([1, 2, 3]));
        });
        assert_eq!(told.load(Ordering::Relaxed), 1, "lines beside that of this test");
    }
}

#[test]
fn a_graph_is_kept_with_its_weights_and_taken() {
    let dir = tempfile::tempdir().unwrap();
    let Runtime::OnnxRuntime(library) = &runtimes()[1] else { panic!("the second of them") };
    let runtime = Runtime::OnnxRuntime(library.clone().caching_graphs(dir.path().to_owned()));
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../workers/embedded-text");
    let text = fs::read_to_string(folder.join("model.yaml")).unwrap();
    let weights = fs::read(folder.join("embedded-text.onnx")).unwrap();
    let told = Arc::new(AtomicUsize::new(0));
    let subscriber = Registry::default().with(Told(Arc::clone(&told)));
    tracing::subscriber::with_default(subscriber, || {
        for _ in 0..2 {
            let manifest = Manifest::parse("model.yaml", &text).unwrap();
            let labels = manifest.labels.clone();
            let Some(LabelSource::Inline(labels)) = labels else { panic!("they are inline") };
            Model::load(&runtime, manifest, &weights.as_slice().into(), labels).unwrap();
        }
    });
    assert_eq!(told.load(Ordering::Relaxed), 0, "it was kept and could be taken");
    let kept: Vec<_> = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(kept.len(), 1, "{kept:?}");
    let size = fs::metadata(kept[0].join("weights.bin")).unwrap().len();
    assert!(size > weights.len() as u64 / 2, "{size} bytes of weights");
}

/// Counts the lines that a log would have by default.
struct Told(Arc<AtomicUsize>);

impl<S: Subscriber> Layer<S> for Told {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if *event.metadata().level() <= Level::INFO {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[test]
fn what_does_not_fit_is_refused_with_what_would() {
    for runtime in runtimes() {
        let wrong_name = INPUT.replace("image", "img");
        let nhwc = format!("{INPUT}, layout: nhwc");
        let bytes = "name: image, width: 6, height: 4, dtype: u8, resize: {mode: exact}";
        for (weights, input, output, labels, wanted) in [
            (&b"not a network"[..], INPUT, OUTPUT, &COLORS[..], "the weights are not an ONNX file"),
            (b"", INPUT, OUTPUT, &COLORS, "the weights are not an ONNX file"),
            (&MEANS[..100], INPUT, OUTPUT, &COLORS, "the weights are not an ONNX file"),
            (MEANS, &wrong_name, OUTPUT, &COLORS, "the graph has no input `img`; it has `image`"),
            (
                MEANS,
                INPUT,
                "name: mean, kind: scores",
                &COLORS,
                "no output `mean`; it has `means`, `doub",
            ),
            (
                MEANS,
                INPUT,
                "kind: scores",
                &COLORS,
                "more than one output: name one of `means`, `doubles`",
            ),
            (
                MEANS,
                &nhwc,
                OUTPUT,
                &COLORS,
                "a tensor of float [1, 4, 6, 3], but input `image` takes float [?, 3, ?, ?]",
            ),
            (MEANS, bytes, OUTPUT, &COLORS, "uint8 [1, 3, 4, 6], but input `image` takes float"),
            (MEANS, INPUT, OUTPUT, &COLORS[..2], "there are 2 labels for 3 outputs"),
            (
                MEANS,
                INPUT,
                OUTPUT,
                &["red", "green", "bleu"],
                "names `blue`, which is not among the labels",
            ),
        ] {
            let message = refusal(&runtime, weights, input, output, labels);
            assert!(message.contains(wanted), "{message:?}, wanted {wanted:?}");
        }
        let long = "x".repeat(30_000);
        let message =
            refusal(&runtime, MEANS, INPUT, "name: means, kind: scores", &[&long, &long[1..], "z"]);
        assert!(message.contains("a prediction may grow too large"), "{message}");
    }
}

#[test]
fn an_answer_beyond_all_numbers_harms_its_own_image_alone() {
    for runtime in runtimes() {
        let input = INPUT.replace("scale: 1.0", "scale: 1.0, color: rgb");
        let model = load(&runtime, OVERFLOWING, &input, OUTPUT, &COLORS).unwrap();
        let batch = [[255, 0, 0], [1, 1, 1]].map(|rgb| model.prepare(&picture(rgb)).unwrap());
        let answers = model.session(1).unwrap().run(&batch).unwrap();
        let facts = Model::facts(&picture([1, 1, 1]), 1);
        let error = model.postprocess(&answers[0], &facts).unwrap_err();
        assert_eq!(error.code(), flota_core::Code::InferFailed);
        assert!(model.postprocess(&answers[1], &facts).is_ok());
    }
}

#[test]
fn what_tract_gets_wrong_it_does_not_run() {
    for (weights, operator, wanted) in
        [(LP_POOL, "GlobalLpPool", 2_400.0_f32.sqrt()), (QUANTIZED, "QuantizeLinear", 10.0)]
    {
        for runtime in runtimes() {
            let loaded = load(&runtime, weights, INPUT, OUTPUT, &COLORS);
            if matches!(runtime, Runtime::Tract) {
                let message = loaded.unwrap_err().to_string();
                assert!(message.contains(operator), "{message}");
                let cure = "this model needs ONNX Runtime: run `flota engine install`";
                assert!(message.ends_with(cure) && !message.contains('\n'), "{message}");
                continue;
            }
            let model = loaded.unwrap();
            let mut inputs = model.black().unwrap();
            let image = inputs.get_mut("image").unwrap();
            image.data = TensorData::F32(vec![10.0; 3 * 4 * 6]);
            let answers = model.session(1).unwrap().run(&[inputs]).unwrap();
            let numbers = model.numbers(&answers[0]).unwrap();
            let is_near = |found: &f32| (found - wanted).abs() < 1e-4;
            assert!(numbers.iter().all(is_near), "{runtime}: {answers:?}");
        }
    }
}

#[test]
fn an_operator_that_the_engine_lacks_is_named() {
    let known = b"GlobalAveragePool";
    let at = MEANS.windows(known.len()).position(|bytes| bytes == known).unwrap();
    let mut weights = MEANS.to_vec();
    weights[at..at + known.len()].copy_from_slice(b"GlobalAverageCool");
    for runtime in runtimes() {
        let message = refusal(&runtime, &weights, INPUT, OUTPUT, &COLORS);
        assert!(message.contains("GlobalAverageCool"), "{runtime}: {message}");
    }
}
