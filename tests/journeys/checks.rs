//! Mistakes in a manifest that no error shows: `flota model check` finds them.

use std::{fs, path::PathBuf, process::Output};

use serde_json::Value;

use crate::harness::{Home, project_dir};

/// A model of the engine's fixtures, with the lines of a manifest from `labels` on.
fn folder(home: &Home, weights: &str, rest: &str) -> PathBuf {
    let folder = home.path().join("checked");
    fs::create_dir_all(&folder).expect("the folder can be made");
    let file = format!("{}.onnx", weights.rsplit('/').next().unwrap_or(weights));
    let manifest =
        format!("format: 2\nname: checked\nversion: \"1\"\nweights: {{file: {file}}}\n{rest}\n");
    fs::write(folder.join("model.yaml"), manifest).expect("it can be written");
    let fixtures = project_dir().join("crates/flota-engine/tests/fixtures");
    fs::copy(fixtures.join(format!("{weights}.onnx")), folder.join(&file))
        .expect("it can be copied");
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
async fn mistakes_of_the_export_are_found_and_sound_networks_are_not_accused() {
    let folder = |output: &str| {
        format!(
            "labels: [red, green, blue]\ninput: {{width: 8, height: 8, resize: {{mode: exact}}}}\n\
             output: {{{output}}}"
        )
    };
    for (weights, output, codes, is_ok) in [
        ("sigmoid", "kind: softmax, apply: true", &["SOFTMAX_OF_SIGMOID"][..], false),
        ("sigmoid", "kind: sigmoid, apply: true", &["SIGMOID_TWICE"], false),
        ("sigmoid", "kind: sigmoid", &[], true),
        ("softmax-twice", "kind: softmax", &["SOFTMAX_TWICE"], false),
        ("sigmoid-of-softmax", "kind: sigmoid", &["SIGMOID_OF_SOFTMAX"], false),
        ("sigmoid-percent", "kind: sigmoid, apply: true", &["SIGMOID_TWICE"], false),
        ("sigmoid-percent", "kind: scores", &[], true),
        ("rescaled", "kind: softmax", &["SCALED_TWICE"], false),
        ("of-bytes", "kind: softmax, apply: true", &["HARDLY_CHANGES"], true),
        ("almost-constant", "kind: scores", &["HARDLY_CHANGES"], true),
        ("dead-label", "kind: scores", &["DEAD_LABEL"], true),
        ("count", "kind: regression", &["CONSTANT"], true),
        ("saturated", "kind: softmax", &["CONSTANT"], true),
        ("small-logits", "kind: sigmoid, apply: true", &[], true),
        ("dropout", "kind: softmax, apply: true", &[], true),
    ] {
        check(&format!("checked/{weights}"), &folder(output), codes, is_ok).await;
    }
    let bytes = folder("kind: softmax").replace("width", "scale: 1.0, width");
    check("checked/rescaled", &bytes, &[], true).await;
    let bytes = folder("kind: softmax, apply: true").replace("width", "scale: 1.0, width");
    check("checked/of-bytes", &bytes, &[], true).await;
    let labels: Vec<String> = (0..100).map(|n| format!("l{n}")).collect();
    let many = folder("kind: softmax").replace("red, green, blue", &labels.join(", "));
    check("checked/softmax-steps", &many, &[], true).await;
}

#[tokio::test]
async fn labels_from_the_wrong_place_are_found() {
    let rest = |labels: &str| {
        format!(
            "labels: {labels}\ninput: {{name: image, width: 8, height: 8, resize: {{mode: exact}}}}\n\
             output: {{kind: softmax}}"
        )
    };
    check("softmax", &rest("[LABEL_0, LABEL_1, LABEL_2]"), &["LABELS_UNNAMED"], true).await;
    check("softmax", &rest("['0,red', '1,green', '2,blue']"), &["LABELS_CSV"], true).await;
    let ids = "[n01440764 tench, n01443537 goldfish, n01484850 shark]";
    check("softmax", &rest(ids), &["LABEL_IDS"], true).await;
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
    assert!(
        said.contains("error[SOFTMAX_TWICE]: softmax is applied twice")
            && said.contains("Omit `apply`")
    );
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(error.contains("the model check found 1 error"), "{error}");
}
