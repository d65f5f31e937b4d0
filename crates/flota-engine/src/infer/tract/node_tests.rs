//! What tract makes of onnx's own node tests, and of those that are made of them. The outcomes are committed,
//! and with them the version of tract that they are of; what it gets wrong is denied.
//!
//! To run them again, which is needed once for each version of tract:
//!
//! ```console
//! $ python crates/flota-engine/tests/nodes/make.py /tmp/nodes
//! $ FLOTA_NODE_TESTS=/tmp/nodes cargo test -p flota-engine node_tests
//! ```
//!
//! With `FLOTA_RENEW=1` besides, the table, `proven.txt` and `operators.txt` are written anew.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    io::Write as _,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::mpsc,
    thread,
    time::Duration,
};

use tract_onnx::{
    pb::{ModelProto, TensorProto},
    prelude::{
        Framework, InferenceFact, IntoTensor, Tensor, TractResult, TypedRunnableModel, tvec,
    },
    tensor::load_tensor,
};

use super::{denied, has_operator, loader, optimized};

const TABLE: &str = include_str!("../../../tests/nodes/tract.tsv");
const PROVEN: &str = include_str!("proven.txt");
const OPERATORS: &str = include_str!("operators.txt");
const LOCK: &str = include_str!("../../../../../Cargo.lock");
/// Differences below it are rounding, whatever a test says.
const MIN_TOLERANCE: f64 = 1e-5;
/// The slowest takes a tenth of it.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Tests that come out wrong and are not denied: `ReduceMax` of a row of nothing but negative infinities is the
/// least finite number. No operator or attribute tells of it, and no image gives such a row.
const KNOWN: [&str; 3] = [
    "test_attention_23_boolmask_fullymasked_row_nan_robustness_expanded",
    "test_attention_23_fullymasked_qk_matmul_output_mode3_zero_expanded",
    "test_attention_4d_causal_nonpad_negative_offset_structural_empty_expanded",
];

/// How a test came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display, strum::EnumString)]
#[strum(serialize_all = "snake_case")]
enum Outcome {
    Right,
    Wrong,
    Refused,
    Panicked,
    Endless,
}

fn table() -> BTreeMap<&'static str, (Outcome, bool)> {
    let lines = TABLE.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let [name, outcome, denied] = line.split('\t').collect::<Vec<_>>()[..] else {
                panic!("three columns: {line}")
            };
            (name, (outcome.parse().unwrap(), denied == "denied"))
        })
        .collect()
}

fn version_of_tract() -> &'static str {
    let (_, package) = LOCK.split_once("name = \"tract-onnx\"\nversion = \"").unwrap();
    package.split_once('"').unwrap().0
}

#[test]
fn the_table_is_of_the_tract_that_is_compiled_in() {
    let version = format!("# tract {},", version_of_tract());
    assert!(TABLE.starts_with(&version), "run the node tests again: see node_tests.rs");
    let (_, sound) = TABLE.lines().next().unwrap().split_once("all others, ").unwrap();
    let sound_count: usize = sound.split(',').next().unwrap().parse().unwrap();
    assert!(sound_count > 4_000 && table().len() > 1_000);
}

#[test]
fn what_tract_gets_wrong_is_denied() {
    let table = table();
    let wrong = table.iter().filter(|(_, (outcome, _))| *outcome == Outcome::Wrong);
    let is_known = |name: &str| KNOWN.iter().any(|known| name.starts_with(known));
    let slipping: Vec<_> = wrong.filter(|(name, (_, denied))| !denied && !is_known(name)).collect();
    assert!(slipping.is_empty(), "{slipping:#?}");
}

#[test]
fn the_table_is_what_comes_of_the_node_tests() {
    let Some(folder) = env::var_os("FLOTA_NODE_TESTS").map(PathBuf::from) else {
        // Written past the capture of passing tests, so that it is seen.
        let warning = "NOT RUN: onnx's node tests on tract, for FLOTA_NODE_TESTS is not set\n";
        std::io::stderr().write_all(warning.as_bytes()).unwrap();
        return;
    };
    let versions = fs::read_to_string(folder.join("version.txt")).unwrap();
    let (onnx, _) = versions.split_once(' ').unwrap();
    let mut names: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_type().unwrap().is_dir())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    names.sort();
    let model =
        |name: &str| loader().proto_model_for_path(folder.join(name).join("model.onnx")).unwrap();
    let mut proven = BTreeSet::new();
    let mut outcomes = Vec::new();
    for name in &names {
        let outcome = outcome(folder.join(name), model(name));
        if outcome == Outcome::Right {
            let features = fs::read_to_string(folder.join(name).join("proves.txt")).unwrap();
            proven.extend(features.lines().map(str::to_owned));
        }
        outcomes.push(outcome);
    }
    let tract = loader();
    let is_known = |operator: &str| has_operator(&tract, operator);
    let (mut made, mut sound_count) = (String::new(), 0);
    for (name, outcome) in names.iter().zip(outcomes) {
        let is_proven = |feature: &str| proven.contains(feature);
        let is_denied = denied::find_unproven(&model(name), &is_known, &is_proven).is_some();
        match (outcome, is_denied) {
            (Outcome::Right, false) => sound_count += 1,
            _ => {
                made += &format!("{name}\t{outcome}\t{}\n", if is_denied { "denied" } else { "-" })
            }
        }
    }
    let version = version_of_tract();
    made.insert_str(
        0,
        &format!("# tract {version}, onnx {onnx}: all others, {sound_count}, are right\n"),
    );
    let operators = fs::read_to_string(folder.join("operators.txt")).unwrap();
    let proven: String = proven.iter().map(|feature| format!("{feature}\n")).collect();
    if env::var_os("FLOTA_RENEW").is_some() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        fs::write(folder.join("tests/nodes/tract.tsv"), &made).unwrap();
        fs::write(folder.join("src/infer/tract/proven.txt"), &proven).unwrap();
        fs::write(folder.join("src/infer/tract/operators.txt"), &operators).unwrap();
    }
    let is_same = made == TABLE && proven == PROVEN && operators == OPERATORS;
    assert!(is_same, "the table is not what came of it: set FLOTA_RENEW=1, and look at it");
}

fn outcome(test: PathBuf, proto: ModelProto) -> Outcome {
    let (sender, receiver) = mpsc::channel();
    let deep = thread::Builder::new().stack_size(64 * 1024 * 1024);
    deep.spawn(move || {
        let ran = catch_unwind(AssertUnwindSafe(|| {
            let inputs = tensors(&test, "input")?;
            let answers = run(&proto, inputs)?;
            let wanted = tensors(&test, "output")?;
            TractResult::Ok(is_near(&test, &answers, &wanted))
        }));
        sender.send(match ran {
            Ok(Ok(true)) => Outcome::Right,
            Ok(Ok(false)) => Outcome::Wrong,
            Ok(Err(_)) => Outcome::Refused,
            Err(_) => Outcome::Panicked,
        })
    })
    .unwrap();
    receiver.recv_timeout(TIMEOUT).unwrap_or(Outcome::Endless)
}

fn tensors(test: &Path, kind: &str) -> TractResult<Vec<Tensor>> {
    let files = (0..).map(|n| test.join(format!("{kind}_{n}.pb"))).take_while(|file| file.exists());
    files
        .map(|file| {
            let proto: TensorProto = tract_onnx::tensor::proto_from_reader(fs::File::open(file)?)?;
            load_tensor(&*loader().provider, &proto, None)
        })
        .collect()
}

fn run(proto: &ModelProto, inputs: Vec<Tensor>) -> TractResult<Vec<Tensor>> {
    let mut model = loader().model_for_proto_model(proto)?;
    for (n, input) in inputs.iter().enumerate() {
        let fact = InferenceFact::dt_shape(input.datum_type(), input.shape());
        model.set_input_fact(n, fact)?;
    }
    let plan = TypedRunnableModel::new(optimized(model)?)?;
    let mut values = tvec!();
    values.extend(inputs.into_iter().map(Into::into));
    let answers = plan.run(values)?;
    Ok(answers.into_iter().map(|answer| answer.into_tensor()).collect())
}

fn is_near(test: &Path, answers: &[Tensor], wanted: &[Tensor]) -> bool {
    let text = fs::read_to_string(test.join("tolerance.txt")).unwrap();
    let (relative, absolute) = text.trim().split_once(' ').unwrap();
    let (relative, absolute): (f64, f64) = (relative.parse().unwrap(), absolute.parse().unwrap());
    answers.len() == wanted.len()
        && answers.iter().zip(wanted).all(|(answer, wanted)| {
            if answer.shape() != wanted.shape() {
                return false;
            }
            let numbers = |tensor: &Tensor| -> TractResult<Vec<f64>> {
                Ok(tensor.cast_to::<f64>()?.try_as_plain_ram()?.as_slice::<f64>()?.to_vec())
            };
            match (numbers(answer), numbers(wanted)) {
                (Ok(answer), Ok(wanted)) => answer.iter().zip(wanted).all(|(answer, wanted)| {
                    let bound = absolute.max(MIN_TOLERANCE) + relative * wanted.abs();
                    *answer == wanted
                        || (answer.is_nan() && wanted.is_nan())
                        || (answer - wanted).abs() <= bound
                }),
                _ => answer == wanted,
            }
        })
}
