use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::pipe,
    net::TcpListener,
    os::unix::fs::symlink,
    path::Path,
    process::{Command, Output, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

use crate::harness::{Home, MODEL, Receiver, image, model_dir, until};

/// How a worker ends that would end the same if it were started again.
const NEVER: i32 = 78;
/// How a process ends that may work if it is started again.
const NOT_NOW: i32 = 75;

/// Runs a command to its end.
pub(super) async fn run(command: Command) -> Output {
    run_into(command, Stdio::piped()).await
}

/// Runs a command to its end that writes its standard output to `output`.
pub(super) async fn run_into(mut command: Command, output: impl Into<Stdio>) -> Output {
    command.stdout(output).stderr(Stdio::piped()).stdin(Stdio::null());
    let waiting = tokio::task::spawn_blocking(move || {
        command.spawn().and_then(std::process::Child::wait_with_output)
    });
    waiting.await.expect("waiting does not panic").expect("the executable was built with this test")
}

pub(super) fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(super) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn text(path: &Path) -> String {
    path.to_str().expect("paths of tests are plain text").to_owned()
}

/// A folder with `count` different images, one of them twice, and a file that is none.
fn images(home: &Home, count: u32) -> String {
    let folder = home.path().join("images");
    fs::create_dir(&folder).expect("the folder can be made");
    for n in 0..count {
        let name = folder.join(format!("{n}.png"));
        fs::write(name, image(n)).expect("an image can be written");
    }
    fs::write(folder.join("copy.png"), image(0)).expect("an image can be written");
    fs::write(folder.join("notes.txt"), "no image").expect("a file can be written");
    text(&folder)
}

#[tokio::test]
async fn the_demo_shows_the_whole_way_and_leaves_nothing_behind() {
    let home = Home::new();
    let folder = images(&home, 5);
    let notes = format!("{folder}/notes.txt");
    let temporary = home.path().join("tmp");
    fs::create_dir(&temporary).expect("the folder can be made");
    let model = text(&model_dir());
    let args = ["demo", &folder, &notes, "--model-dir", &model, "--models", MODEL, "--json"];
    let mut command = home.flota(&args);
    command.env("TMPDIR", &temporary);
    let output = run(command).await;

    assert!(output.status.success(), "{}", stderr(&output));
    let report: Value = serde_json::from_str(&stdout(&output)).expect("it is one JSON object");
    let fields: BTreeSet<&str> =
        report.as_object().expect("it is one JSON object").keys().map(String::as_str).collect();
    let wanted = "callbacks failed from_cache images predictions seconds succeeded tasks";
    assert_eq!(fields, wanted.split(' ').collect());
    assert_eq!(report["images"], 7);
    assert_eq!(report["tasks"], 7);
    assert_eq!(report["succeeded"], 6);
    assert_eq!(report["failed"], 1);
    assert_eq!(report["callbacks"], serde_json::json!({ "delivered": 1, "verified": 1 }));
    let predictions = report["predictions"].as_array().expect("it lists predictions");
    let of_notes = predictions.iter().find(|p| p["image"] == *notes).expect("it was submitted");
    assert_eq!(of_notes["code"], "DECODE_UNSUPPORTED", "{of_notes}");
    assert_eq!(predictions[0]["version"], "1");
    assert_eq!(predictions[0]["outcome"], "succeeded");
    let left: Vec<_> = fs::read_dir(&temporary).expect("it is there").collect();
    assert!(left.is_empty(), "{left:?}");
    assert!(!home.data_dir().exists());
}

#[tokio::test]
async fn the_demo_without_json_shows_a_table_and_keeps_its_data_where_it_is_told() {
    let home = Home::new();
    let folder = images(&home, 2);
    let (kept, model) = (text(&home.path().join("kept")), text(&model_dir()));
    let args = ["demo", &folder, "--model-dir", &model, "--data-dir", &kept];
    let output = run(home.flota(&args)).await;
    assert!(output.status.success(), "{}", stderr(&output));
    let shown = stdout(&output);
    assert!(shown.contains("1.png") && shown.contains(MODEL), "{shown}");
    assert!(shown.contains("1 callback received, every signature verified"), "{shown}");
    assert!(Path::new(&kept).join("callback-secret").is_file());
}

#[tokio::test]
async fn a_demo_that_is_interrupted_leaves_nothing_behind() {
    let home = Home::new();
    let temporary = home.path().join("tmp");
    fs::create_dir(&temporary).expect("the folder can be made");
    let mut command = home.flota(&["demo", &images(&home, 200)]);
    command.args(["--model-dir", &text(&model_dir())]).env("TMPDIR", &temporary);
    let mut demo = home.start(command, "demo");
    let children = until("both children", || async {
        Some(children_of(demo.id())).filter(|children| children.len() == 2)
    })
    .await;
    interrupt(demo.id());
    assert_eq!(demo.ended().await.code(), Some(130), "{}", demo.log());
    gone(&children).await;
    let left: Vec<_> = fs::read_dir(&temporary).expect("it is there").collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn the_demo_skips_what_is_no_image_and_says_so_beside_its_output() {
    let home = Home::new();
    let folder = images(&home, 1);
    let path = Path::new(&folder);
    symlink("/nonexist", path.join("dang.jpg")).expect("a link can be made");
    symlink(".", path.join("loop")).expect("a link can be made");
    fs::write(path.join("a\u{1b}[2J.png"), image(7)).expect("an image can be written");
    let model = text(&model_dir());
    let output = run(home.flota(&["demo", &folder, "--model-dir", &model])).await;
    let said = stderr(&output);
    assert!(output.status.success(), "{said}");
    assert!(said.contains(&format!("skipped {folder}/dang.jpg: ")), "{said}");
    let back = format!("skipped {folder}/loop: a link leads back to {folder}");
    assert!(said.contains(&back), "{said}");
    assert!(said.contains("1 file skipped: its name has no image extension"), "{said}");
    let shown = stdout(&output);
    assert!(shown.contains(r"a\u{1b}[2J.png") && !shown.contains('\u{1b}'), "{shown}");
    assert!(!shown.contains("skipped"), "{shown}");
}

#[tokio::test]
async fn a_reader_that_goes_is_no_failure_and_a_full_disk_is_a_sentence() {
    let home = Home::new();
    let (folder, model) = (images(&home, 1), text(&model_dir()));
    let commands = [
        vec!["model", "check", &model],
        vec!["demo", &folder, "--model-dir", &model],
        vec!["demo", &folder, "--model-dir", &model, "--json"],
        vec!["up", "--model-dir", &model],
    ];
    for args in commands {
        let (reader, writer) = pipe().expect("a pipe can be made");
        drop(reader);
        let closed = run_into(home.flota(&args), writer).await;
        let said = stderr(&closed);
        assert!(closed.status.success(), "{args:?}: {said}");
        assert!(!said.contains("error:") && !said.contains("panicked"), "{args:?}: {said}");

        let full = File::options().write(true).open("/dev/full").expect("Linux has this device");
        let full = run_into(home.flota(&args), full).await;
        let said = stderr(&full);
        assert_eq!(full.status.code(), Some(1), "{args:?}: {said}");
        assert!(said.contains("error: cannot write to standard output: "), "{args:?}: {said}");
        assert!(!said.contains("because:") && !said.contains("panicked"), "{args:?}: {said}");
    }
}

#[tokio::test]
async fn the_demo_without_images_says_so() {
    let home = Home::new();
    let output = run(home.flota(&["demo", "nowhere"])).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("cannot read nowhere"), "{}", stderr(&output));
    assert!(stdout(&output).is_empty());
}

#[tokio::test]
async fn up_keeps_its_children_and_takes_them_along_when_it_stops() {
    let home = Home::new();
    let model = text(&model_dir());
    let mut up = home.start(home.flota(&["up", "--model-dir", &model]), "up");
    home.model_known().await;
    let children = until("both children", || async {
        Some(children_of(up.id())).filter(|children| children.len() == 2)
    })
    .await;
    let receiver = Receiver::start().await;
    receiver.trust(&home.secret());
    let api = home.api();

    for child in &children {
        kill(Pid::from_raw(*child), Signal::SIGKILL).expect("it is a child of ours");
    }
    until("both to be started again", || async {
        let now = children_of(up.id());
        (now.len() == 2 && now.is_disjoint(&children)).then_some(())
    })
    .await;
    until("the API", || async { api.is_ready().await.then_some(()) }).await;
    let request = api.submit(&[api.upload(image(1)).await], &receiver.url()).await;
    receiver.callback_of(&request).await;

    let children = children_of(up.id());
    interrupt(up.id());
    assert!(up.ended().await.success(), "{}", up.log());
    gone(&children).await;
}

#[tokio::test]
async fn no_child_outlives_up_even_if_it_is_killed() {
    let home = Home::new();
    let model = text(&model_dir());
    let mut up = home.start(home.flota(&["up", "--model-dir", &model]), "up");
    home.model_known().await;
    let children = children_of(up.id());
    assert_eq!(children.len(), 2);
    up.kill();
    gone(&children).await;
}

#[tokio::test]
async fn a_port_that_is_taken_is_a_sentence() {
    let home = Home::new();
    let _taken = TcpListener::bind(home.address()).expect("the port was free a moment ago");
    let port = home.address().port().to_string();
    let model = text(&model_dir());
    for (args, code) in [(vec!["serve"], NOT_NOW), (vec!["up", "--model-dir", &model], 1)] {
        let output = run(home.flota(&args)).await;
        assert_eq!(output.status.code(), Some(code), "{args:?}");
        let said = stderr(&output);
        assert!(said.contains(&format!("port {port} is in use")), "{args:?}: {said}");
        assert!(said.contains("--set server.listen=127.0.0.1:0"), "{args:?}: {said}");
    }
}

#[tokio::test]
async fn a_data_folder_that_cannot_be_written_is_a_sentence() {
    let home = Home::new();
    fs::write(home.data_dir(), "a file, not a folder").expect("it can be written");
    let output = run(home.flota(&["up", "--model-dir", &text(&model_dir())])).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains(&text(&home.data_dir())), "{}", stderr(&output));
}

#[tokio::test]
async fn a_wrong_model_is_refused_with_line_and_cure() {
    let home = Home::new();
    let folder = home.path().join("wrong");
    fs::create_dir(&folder).expect("the folder can be made");
    let manifest = fs::read_to_string(model_dir().join("model.yaml")).expect("the model has one");
    let check = async |manifest: String, wanted: &str| {
        fs::write(folder.join("model.yaml"), manifest).expect("it can be written");
        let dir = text(&folder);
        let ways = [
            (vec!["up", "--model-dir", &dir], 1),
            (vec!["worker", &dir], NEVER),
            (vec!["model", "check", &dir], 1),
        ];
        for (args, code) in ways {
            let output = run(home.flota(&args)).await;
            assert_eq!(output.status.code(), Some(code), "{args:?}");
            let said = stderr(&output);
            assert!(said.contains(wanted) && said.contains("model.yaml:"), "{args:?}: {said}");
        }
    };
    check(manifest.replace("labels:", "lables:"), "did you mean `labels`?").await;
    check(manifest.clone(), "is not there").await;
    fs::copy(model_dir().join("means.onnx"), folder.join("means.onnx")).expect("it can be copied");
    check(manifest.replace("name: means", "name: medians"), "medians").await;
}

#[tokio::test]
async fn a_model_is_shown_images_without_a_fleet() {
    let home = Home::new();
    let (folder, model) = (images(&home, 1), text(&model_dir()));
    fs::write(Path::new(&folder).join("torn.png"), "no picture").expect("a file can be written");
    let output = run(home.flota(&["model", "predict", &model, &folder, "--json"])).await;
    assert_eq!(output.status.code(), Some(1), "an image that cannot be read: {}", stderr(&output));

    let answer: Value = serde_json::from_str(&stdout(&output)).expect("one JSON object");
    assert_eq!((&answer["model"], &answer["version"]), (&MODEL.into(), &"1".into()));
    let [first, copy, torn] = answer["predictions"].as_array().expect("a list").as_slice() else {
        panic!("three images: {answer}")
    };
    assert_eq!(first["prediction"]["output"]["scores"][0]["label"], "red");
    assert_eq!(first["prediction"], copy["prediction"]);
    assert!(torn["image"].as_str().is_some_and(|name| name.ends_with("torn.png")));
    assert!(torn["error"].as_str().is_some_and(|error| !error.is_empty()));

    let shown = run(home.flota(&["model", "predict", &model, &folder])).await;
    let shown = stdout(&shown);
    assert!(shown.contains("0.png") && shown.contains("red 0."), "{shown}");
}

#[tokio::test]
async fn the_other_commands_ask_a_running_fleet() {
    let (home, receiver) = (Home::new(), Receiver::start().await);
    let url = format!("http://{}", home.address());
    let asked = |args: &[&str]| {
        let mut command = home.flota(args);
        command.env("FLOTA_URL", &url);
        command
    };
    let nobody = run(asked(&["models"])).await;
    assert_eq!(nobody.status.code(), Some(1));
    assert!(stderr(&nobody).contains("flota up"), "{}", stderr(&nobody));

    let _fleet = home.start_fleet(&receiver).await;
    let models = run(asked(&["models"])).await;
    let listed = stdout(&models);
    let lines: Vec<Vec<&str>> = listed.lines().map(|line| line.split('\t').collect()).collect();
    assert_eq!(lines[0][..4], ["model", "version", "digest", "worker"], "{listed}");
    assert_eq!([lines[1][0], lines[1][1], lines[1][3]], [MODEL, "1", MODEL], "{listed}");
    let folder = images(&home, 3);
    let submit = ["submit", &folder, "--model", MODEL, "--wait", "--json", "--callback"];
    let submitted = run(asked(&[submit.as_slice(), &[&receiver.url()]].concat())).await;
    assert!(submitted.status.success(), "{}", stderr(&submitted));
    let request: Value = serde_json::from_str(&stdout(&submitted)).expect("it is JSON");
    assert_eq!(request["status"], "succeeded");
    let id = request["id"].as_str().expect("a request has an id");
    receiver.callback_of(id).await;
    let status = run(asked(&["status", id])).await;
    assert!(stdout(&status).contains("succeeded (4 succeeded"), "{}", stdout(&status));
    let letters = run(asked(&["dead-letters", "list", "--json"])).await;
    assert_eq!(stdout(&letters).trim(), r#"{"dead_letters":[]}"#, "{}", stderr(&letters));

    let notes = format!("{folder}/notes.txt");
    let failed = run(asked(&["submit", &notes, "--model", MODEL, "--wait"])).await;
    assert_eq!(failed.status.code(), Some(1), "{}", stderr(&failed));
    assert!(stdout(&failed).contains("DECODE_UNSUPPORTED"), "{}", stdout(&failed));
}

/// The processes that any thread of `process` has started, as Linux tells it.
fn children_of(process: u32) -> BTreeSet<i32> {
    let threads = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let listed = threads.map(|thread| fs::read_to_string(thread.path().join("children")));
    let listed = listed.map(Result::unwrap_or_default).collect::<Vec<_>>().join(" ");
    listed.split_whitespace().filter_map(|id| id.parse().ok()).collect()
}

/// Does what Ctrl-C does, to this process alone.
pub(super) fn interrupt(process: u32) {
    let id = i32::try_from(process).expect("process ids are small");
    kill(Pid::from_raw(id), Signal::SIGINT).expect("it is our child");
}

async fn gone(processes: &BTreeSet<i32>) {
    until("the children to end", || async {
        let is_there = |id: &i32| Path::new(&format!("/proc/{id}")).exists();
        (!processes.iter().any(is_there)).then_some(())
    })
    .await;
}
