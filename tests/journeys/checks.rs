//! Mistakes in a manifest that no error shows: `flota model check` finds them.

use std::{fs, path::PathBuf, process::Output};

use serde_json::Value;

use crate::harness::{Home, project_dir};

/// A model of the engine's fixtures, with the lines of a manifest from `labels` on.
fn folder(home: &Home, weights: &str, rest: &str) -> PathBuf {
    let folder = home.path().join("checked");
    fs::create_dir_all(&folder).expect("the folder can be made");
    let file = format!("{weights}.onnx");
    let manifest =
        format!("format: 2\nname: checked\nversion: \"1\"\nweights: {{file: {file}}}\n{rest}\n");
    fs::write(folder.join("model.yaml"), manifest).expect("it can be written");
    let fixtures = project_dir().join("crates/flota-engine/tests/fixtures");
    fs::copy(fixtures.join(&file), folder.join(&file)).expect("it can be copied");
    folder
}

async fn run(home: &Home, folder: PathBuf, args: &[&str]) -> Output {
    let folder = folder.into_os_string().into_string().expect("plain text");
    let mut command = home.flota(&[&["model", "check", &folder], args].concat());
    tokio::task::spawn_blocking(move || command.output().expect("the command can be run"))
        .await
        .expect("it does not panic")
}

async fn check(weights: &str, rest: &str, codes: &[&str], is_ok: bool) {
    let home = Home::new();
    let output = run(&home, folder(&home, weights, rest), &["--json"]).await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{weights} {rest}: {error}: {said}"));
    let findings = report["findings"].as_array().expect("a list");
    let found: Vec<_> = findings.iter().filter_map(|finding| finding["code"].as_str()).collect();
    assert_eq!(found, codes, "{weights} {rest}: {report}");
    assert_eq!(report["ok"], is_ok, "{report}");
    assert_eq!(output.status.success(), is_ok, "{report}");
}

#[tokio::test]
async fn mistakes_that_give_no_error_are_found() {
    let labels = "labels: [red, green, blue]";
    let input = "width: 8, height: 8, resize: {mode: exact}";
    let with = |input: &str, output: &str| {
        format!("{labels}\ninput: {{name: image, {input}}}\noutput: {{{output}}}")
    };
    let usual = |output: &str| with(input, output);
    check("softmax", &usual("kind: softmax"), &[], true).await;
    check("softmax", &usual("kind: softmax, apply: true"), &["SOFTMAX_TWICE"], false).await;
    check("softmax", &usual("kind: sigmoid"), &["SUMS_TO_ONE"], true).await;
    check("softmax", &usual("kind: sigmoid, apply: true"), &["SIGMOID_TWICE"], false).await;
    let logits = |output: &str| with(&format!("{input}, scale: 1.0"), output);
    let means = "name: means, ";
    let softmax = format!("{means}kind: softmax");
    check("means", &logits(&softmax), &["NOT_PROBABILITIES"], false).await;
    check("means", &logits(&format!("{softmax}, apply: true")), &[], true).await;
    let regression = format!("{means}kind: regression");
    check("means", &usual(&regression), &[], true).await;
    let bytes = format!("{input}, mean: [123.675, 116.28, 103.53]");
    check("means", &with(&bytes, &regression), &["MEAN_SCALE"], false).await;
    check("constant", &usual("kind: regression"), &["CONSTANT"], false).await;
}

#[tokio::test]
async fn a_mistake_is_said_with_its_numbers_and_its_cure() {
    let home = Home::new();
    let rest = "labels: [red, green, blue]\n\
        input: {name: image, width: 8, height: 8, resize: {mode: exact}}\n\
        output: {kind: softmax, apply: true}";
    let output = run(&home, folder(&home, "softmax", rest), &[]).await;
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("error: softmax is applied twice") && said.contains("Leave out `apply`"));
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(error.contains("the model's answers are wrong: 1 error"), "{error}");
}
