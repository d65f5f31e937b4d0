//! Named tensors in, named tensors out: in both engines, in a fake network, and past the code of a model.

use std::sync::{Arc, Mutex};

use flota_core::{CodeSpec, ImageFacts, InputSpec, Manifest, Output};
use flota_engine::{
    DecodedImage, ElementType, Hooks, ImageFormat, InferError, LoadError, Model, ModelCode,
    ModelCodes, NamedTensors, Network, OutputRequest, Runtime, Session, Tensor, TensorData,
    TensorSpec,
};
use serde::Deserialize;

use crate::installed::runtimes;

const MEANS: &[u8] = include_bytes!("../fixtures/means.onnx");
const SEVERAL: &[u8] = include_bytes!("../fixtures/several.onnx");
const PACKAGE: &str = "flota-colors";

fn manifest(code: &str) -> Manifest {
    let text = format!(
        "{{name: colors, version: '1', weights: {{file: a}}, labels: [r, g, b], {code} \
         input: {{name: image, width: 2, height: 2, scale: 1.0, resize: {{mode: exact}}}}, \
         output: {{name: means, kind: regression, thresholds: {{b: 25}}}}}}"
    );
    Manifest::parse("model.yaml", &text).unwrap()
}

fn labels() -> Vec<String> {
    ["r", "g", "b"].map(str::to_owned).into()
}

fn input(keys: &str) -> InputSpec {
    let text = format!(
        "{{name: a, version: '1', weights: {{file: a}}, output: {{kind: embedding}}, \
         input: {{width: 2, height: 2, resize: {{mode: exact}}, {keys}}}}}"
    );
    Manifest::parse("model.yaml", &text).unwrap().input
}

fn image() -> DecodedImage {
    DecodedImage::whole((2, 2), [10, 20, 30].repeat(4), ImageFormat::Png)
}

fn request(name: &str) -> OutputRequest<'_> {
    OutputRequest { name: Some(name), element: None }
}

/// Channels of these levels, and a thumbnail of the bytes from `first` on.
fn item(levels: [f32; 3], first: u8) -> NamedTensors {
    let planes = levels.iter().flat_map(|level| [*level; 4]).collect();
    let image = Tensor { shape: vec![1, 3, 2, 2], data: TensorData::F32(planes) };
    let mut item = NamedTensors::one("image".into(), image);
    let bytes = (first..first + 12).collect();
    item.insert("thumb", Tensor { shape: vec![1, 2, 2, 3], data: TensorData::U8(bytes) });
    item
}

#[test]
fn inputs_and_outputs_have_names_types_and_ranks_of_their_own() {
    let inputs = [input("name: thumb, layout: nhwc, dtype: u8"), input("name: image")];
    let names = ["best", "pooled", "is_bright", "same", "means"];
    for runtime in runtimes() {
        let loaded = runtime.load(&SEVERAL.into(), &inputs, &names.map(request)).unwrap();
        let fed = |spec: &TensorSpec| (spec.name.to_string(), spec.element);
        let mut taken: Vec<_> = loaded.network.inputs().iter().map(fed).collect();
        taken.sort_by(|a, b| a.0.cmp(&b.0));
        let image = ("image".to_owned(), ElementType::F32);
        assert_eq!(taken, [image, ("thumb".to_owned(), ElementType::U8)]);
        let given: Vec<_> = loaded.network.outputs().iter().map(fed).collect();
        assert_eq!(given[0], ("best".to_owned(), ElementType::I64));
        assert_eq!(given[1], ("pooled".to_owned(), ElementType::F32));
        assert_eq!(loaded.network.outputs()[1].shape, [1, 3, 1, 1].map(Some));

        let batch = [item([10.0, 20.0, 30.0], 0), item([40.0, 5.0, 6.0], 100)];
        let check = |session: &mut dyn Session| {
            let [first, second] = session.run(&batch).unwrap().try_into().unwrap();
            let tensor = |shape: &[usize], data| Tensor { shape: shape.into(), data };
            assert_eq!(*first.get("best").unwrap(), tensor(&[1, 1], TensorData::I64(vec![2])));
            assert_eq!(*second.get("best").unwrap(), tensor(&[1, 1], TensorData::I64(vec![0])));
            let pooled = tensor(&[1, 3, 1, 1], TensorData::F32(vec![10.0, 20.0, 30.0]));
            assert_eq!(*first.get("pooled").unwrap(), pooled);
            let bright = tensor(&[1, 3], TensorData::Bool(vec![true, false, false]));
            assert_eq!(*second.get("is_bright").unwrap(), bright);
            assert_eq!(second.get("same"), batch[1].get("thumb"));
            assert_eq!(first.get("means").unwrap().floats(), Some(&[10.0, 20.0, 30.0][..]));
            assert_eq!(first.iter().count(), names.len());
            let mut without = batch[0].clone();
            without = without.iter().take(1).map(|(n, t)| (n.into(), t.clone())).collect();
            let error = session.run(&[without]).unwrap_err();
            assert!(matches!(&error, InferError::MissingInput { name } if name == "thumb"));
        };
        let mut first = loaded.session;
        check(first.as_mut());
        check(loaded.network.session(2).unwrap().as_mut());
    }
}

#[test]
fn an_output_of_another_type_than_is_asked_for_is_refused() {
    let inputs = [input("name: image"), input("name: thumb, layout: nhwc, dtype: u8")];
    for runtime in runtimes() {
        let floats = OutputRequest { name: Some("best"), element: Some(ElementType::F32) };
        let error = runtime.load(&SEVERAL.into(), &inputs, &[floats]).err().unwrap();
        assert!(matches!(&error, LoadError::OutputMismatch { name, .. } if name == "best"));
        let error = runtime.load(&SEVERAL.into(), &inputs[..1], &[request("means")]).err().unwrap();
        assert!(matches!(error, LoadError::ManyInputs { count: 2, .. }));
    }
}

/// Answers the same to each image, and notes what it was fed.
struct Fake {
    inputs: [TensorSpec; 1],
    outputs: [TensorSpec; 1],
    fed: Arc<Mutex<Vec<NamedTensors>>>,
}

impl Fake {
    fn new(output_shape: &[usize]) -> Self {
        let shape = |shape: &[usize]| shape.iter().copied().map(Some).collect();
        let spec = |name: &str, axes: &[usize]| TensorSpec {
            name: name.into(),
            element: ElementType::F32,
            shape: shape(axes),
        };
        let (inputs, outputs) = ([spec("photo", &[1, 3, 2, 2])], [spec("said", output_shape)]);
        Self { inputs, outputs, fed: Arc::default() }
    }
}

impl Network for Fake {
    fn inputs(&self) -> &[TensorSpec] {
        &self.inputs
    }

    fn outputs(&self) -> &[TensorSpec] {
        &self.outputs
    }

    fn session(&self, _threads: usize) -> Result<Box<dyn Session>, InferError> {
        Ok(Box::new(FakeSession(Arc::clone(&self.fed))))
    }
}

struct FakeSession(Arc<Mutex<Vec<NamedTensors>>>);

impl Session for FakeSession {
    fn run(&mut self, batch: &[NamedTensors]) -> Result<Vec<NamedTensors>, InferError> {
        self.0.lock().unwrap().extend_from_slice(batch);
        let said = NamedTensors::one("said".into(), Tensor::row(vec![1.0, 2.0, 30.0]));
        Ok(vec![said; batch.len()])
    }
}

fn fake(network: Fake, hooks: Hooks) -> Result<Model, LoadError> {
    Model::with_network(&Runtime::Tract, manifest(""), labels(), Box::new(network), hooks)
}

#[test]
fn a_model_runs_on_a_fake_network_too() {
    let network = Fake::new(&[1, 3]);
    let fed = Arc::clone(&network.fed);
    let model = fake(network, Hooks::default()).unwrap();
    fed.lock().unwrap().clear();
    let answers = model.session(1).unwrap().run(&[model.prepare(&image()).unwrap()]).unwrap();
    let photo = fed.lock().unwrap()[0].get("photo").unwrap().clone();
    assert_eq!((photo.shape, photo.data.element()), (vec![1, 3, 2, 2], ElementType::F32));
    let output = model.postprocess(&answers[0], &Model::facts(&image(), 9)).unwrap();
    let flags: Vec<_> = output.scores().iter().map(|s| (s.score, s.flagged)).collect();
    assert_eq!(flags, [(1.0, None), (2.0, None), (30.0, Some(true))]);
    assert!(matches!(
        fake(Fake::new(&[1, 2]), Hooks::default()),
        Err(LoadError::LabelCount { .. })
    ));
    assert!(matches!(
        fake(Fake::new(&[]), Hooks::default()),
        Err(LoadError::OutputMismatch { .. })
    ));
    let nothing = model.postprocess(&NamedTensors::default(), &Model::facts(&image(), 9));
    assert!(matches!(nothing, Err(InferError::WrongCount { found: 0, wanted: 3 })));
}

/// What `runtime` and the code of a model make of an image of 10, 20 and 30.
fn said(model: &Model) -> Result<Output, InferError> {
    let answers = model.session(1)?.run(&[model.prepare(&image())?])?;
    model.postprocess(&answers[0], &Model::facts(&image(), 9))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameters {
    factor: f32,
    advice: String,
}

/// Code that multiplies what the network is fed, and gives advice in which the size stands.
fn code(revision: u32) -> ModelCode {
    ModelCode::with_parameters(PACKAGE, revision, |parameters: Parameters, labels| {
        if labels.len() != 3 {
            return Err("there are three colours".into());
        }
        let Parameters { factor, advice } = parameters;
        let hooks = Hooks::default().before(move |image, inputs| {
            if image.pixels[0] == 99 {
                return Err("99 is no level".into());
            }
            let (_, tensor) = inputs.iter_mut().next().ok_or("there is an image")?;
            let TensorData::F32(numbers) = &mut tensor.data else { return Err("floats".into()) };
            numbers.iter_mut().for_each(|number| *number *= factor);
            Ok(())
        });
        Ok(hooks.after(move |answer, output| {
            let ImageFacts { width, .. } = answer.image;
            let first = answer.outputs.get("means").and_then(Tensor::floats).ok_or("means")?[0];
            for score in output.scores_mut().iter_mut().filter(|s| s.flagged == Some(true)) {
                score.advice = Some(format!("{advice} at {width}, {first}"));
            }
            Ok(())
        }))
    })
}

const CODE: &str = "code: {revision: 3, parameters: {factor: 2, advice: less blue}},";

#[test]
fn code_runs_before_and_after_the_network_where_the_manifest_asks_for_it() {
    for runtime in runtimes() {
        let load = |code_key: &str, codes: ModelCodes| {
            Model::load_with_code(&runtime, manifest(code_key), &MEANS.into(), labels(), &codes)
        };
        let model = load(CODE, [code(2), code(3)].into()).unwrap();
        let output = said(&model).unwrap();
        let scores: Vec<_> = output.scores().iter().map(|score| score.score).collect();
        assert_eq!(scores, [20.0, 40.0, 60.0]);
        assert_eq!(output.scores()[2].advice.as_deref(), Some("less blue at 2, 20"));
        assert_eq!(output.scores()[0].advice, None);
        let refused = DecodedImage::whole((2, 2), vec![99; 12], ImageFormat::Png);
        let error = model.prepare(&refused).unwrap_err();
        assert_eq!(error.to_string(), "the model's code failed on this image");

        let plain = said(&load("", [code(3)].into()).unwrap()).unwrap();
        assert_eq!((plain.scores()[2].score, &plain.scores()[2].advice), (30.0, &None));
    }
}

#[test]
fn a_model_without_its_code_is_refused_with_the_program_that_has_it() {
    let load = |code_key: &str, codes: ModelCodes| {
        let manifest = manifest(code_key);
        Model::load_with_code(&Runtime::Tract, manifest, &MEANS.into(), labels(), &codes)
            .unwrap_err()
            .to_string()
    };
    let start =
        "start `flota-colors --model-dir DIR`, which `cargo build --release -p flota-colors`";
    let other = ModelCode::new("flota-shapes", 3, Hooks::default());
    let error = load(CODE, [other].into());
    assert!(error.contains("this program does not have it") && error.contains(start), "{error}");
    let error = load(CODE, [code(2)].into());
    assert!(error.contains("needs revision 3") && error.contains("has revision 2"), "{error}");
    let error = load(&CODE.replace("factor: 2, ", ""), [code(3)].into());
    assert!(error.contains("do not fit the model's code: missing field `factor`"), "{error}");
    let error = load(CODE, [ModelCode::new(PACKAGE, 3, Hooks::default())].into());
    assert!(error.contains("the code takes none"), "{error}");
    // What was checked before anything is loaded is as true as what is loaded.
    let codes = ModelCodes::from([code(3)]);
    assert!(codes.check(&manifest(CODE)).is_ok() && codes.check(&manifest("")).is_ok());
    assert!(ModelCodes::default().check(&manifest(CODE)).is_err());
    let spec: Option<CodeSpec> = manifest(CODE).code;
    assert_eq!(spec.unwrap().parameters.len(), 2);
}
