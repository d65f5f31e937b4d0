use std::io::Write;

use flota_core::Manifest;
use flota_engine::Runtime;

use super::*;

const MEANS: &[u8] = include_bytes!("../../../flota-engine/tests/fixtures/means.onnx");
const TIME: Duration = Duration::from_millis(10);

/// A small network, to be given so many images at once.
pub(crate) fn model(max_size: u32) -> Model {
    let text = format!(
        "{{name: means, version: '1', weights: {{file: means.onnx}}, labels: [r, g, b], \
         input: {{width: 4, height: 4, resize: {{mode: exact}}}}, \
         output: {{name: means, kind: regression}}, \
         batch: {{max_size: {max_size}, max_wait_ms: 1}}}}"
    );
    let manifest = Manifest::parse("model.yaml", &text).unwrap();
    let labels = ["r", "g", "b"].map(str::to_owned).to_vec();
    Model::load(&Runtime::Tract, manifest, &MEANS.into(), labels).unwrap()
}

fn autotune(max_size: u32, cores: usize, dir: &Path, time: Duration) -> Autotuning {
    let (digest, stop) = (Sha256::of(b"means"), CancellationToken::new());
    let trusted = Trusted { max_others_share: f64::INFINITY, max_spread: f64::INFINITY };
    let measuring = Measuring { dir, time, trusted, stop: &stop, engines: &Engines::tract() };
    Autotuning::of(&model(max_size), cores, digest, &measuring).unwrap()
}

#[test]
fn on_a_busy_machine_nothing_is_kept_and_the_usual_settings_are_taken() {
    let (dir, stop) = (tempfile::tempdir().unwrap(), CancellationToken::new());
    for trusted in [
        Trusted { max_others_share: -1.0, max_spread: f64::INFINITY },
        Trusted { max_others_share: f64::INFINITY, max_spread: 0.0 },
    ] {
        let engines = &Engines::tract();
        let measuring = Measuring { dir: dir.path(), time: TIME, trusted, stop: &stop, engines };
        let found = Autotuning::of(&model(8), 2, Sha256::of(b"means"), &measuring).unwrap();
        let usual = (InstanceGroup { sessions: 2, threads: 1 }, 1, Vec::new());
        assert_eq!((found.layout, found.batch_size, found.tried), usual);
    }
    let kept = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(kept.collect::<Vec<_>>(), [LOCK_FILE]);
}

#[test]
fn what_was_found_is_kept_for_the_machine_it_was_found_on() {
    let dir = tempfile::tempdir().unwrap();
    let found = autotune(8, 2, dir.path(), TIME);
    assert!(!found.tried.is_empty() && found.batch_size <= 8);
    assert_eq!(found.layout, InstanceGroup { sessions: 2, threads: 1 });

    let file = dir.path().join(found.of.file_name(&"means".parse().unwrap()));
    let marked = Autotuning { batch_size: 7, ..found.clone() };
    marked.keep(&file).unwrap();
    // A decimal need not survive the file to its last digit.
    let is_marked = |found: Autotuning| {
        (found.layout, found.batch_size, found.of) == (marked.layout, 7, marked.of.clone())
    };
    assert!(is_marked(autotune(8, 2, dir.path(), TIME)));
    assert_ne!(autotune(8, 1, dir.path(), TIME).batch_size, 7, "on other cores");
    assert!(is_marked(autotune(8, 2, dir.path(), TIME)), "which is kept beside");
    let of = Circumstances { machine: "another".to_owned(), ..found.of.clone() };
    Autotuning { of, ..marked.clone() }.keep(&file).unwrap();
    assert_ne!(autotune(8, 2, dir.path(), TIME).batch_size, 7, "of another machine");
    fs::write(&file, "damaged").unwrap();
    assert_ne!(autotune(8, 2, dir.path(), TIME).batch_size, 7);
}

#[test]
fn nothing_is_tried_without_time_or_where_there_is_no_choice() {
    let dir = tempfile::tempdir().unwrap();
    for found in [autotune(8, 2, dir.path(), Duration::ZERO), autotune(1, 2, dir.path(), TIME)] {
        assert_eq!((found.batch_size, found.layout.sessions), (1, 2));
        assert_eq!(found.tried, []);
    }
    assert!(fs::read_dir(dir.path()).unwrap().next().is_none());
}

#[test]
fn workers_of_one_machine_measure_one_after_the_other() {
    let dir = tempfile::tempdir().unwrap();
    let stop = CancellationToken::new();
    let mut first = wait_for_others(dir.path(), &stop).unwrap();
    first.write_all(b"until another opens it").unwrap();
    thread::scope(|scope| {
        let second = scope.spawn(|| wait_for_others(dir.path(), &stop).map(drop));
        while first.metadata().unwrap().len() > 0 {
            thread::yield_now();
        }
        assert!(!second.is_finished());
        drop(first);
        second.join().unwrap().unwrap();
    });
}
