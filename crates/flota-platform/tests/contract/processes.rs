//! Two real processes on one folder: this test starts its own binary again.

use std::{
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
};

use flota_core::limits::{MAX_POLL_WAIT, MAX_QUEUE_BATCH};
use flota_platform::{SystemClock, embedded};
use tempfile::TempDir;

use crate::samples::{MINUTE, messages, tasks_queue};

/// Where the other process finds the data; unset in a test run.
const FOLDER: &str = "FLOTA_CONTRACT_FOLDER";
const MESSAGES: usize = 100;

/// What the other process does: sends what this one receives, and is then killed.
#[tokio::test(flavor = "multi_thread")]
async fn the_other_process() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let store = embedded::open(Path::new(&folder), Arc::new(SystemClock)).unwrap();
    for tens in 0..MESSAGES as u32 / 10 {
        let ten = messages(tens * 10..tens * 10 + 10);
        let sent = store.queue.send(&tasks_queue("cat"), &ten).await.unwrap();
        assert!(sent.iter().all(Result::is_ok));
    }
    std::process::abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_process_sent_before_it_was_killed_is_received() {
    let folder = TempDir::new().unwrap();
    let store = embedded::open(folder.path(), Arc::new(SystemClock)).unwrap();
    let mut other = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "processes::the_other_process"])
        .env(FOLDER, folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let queue = tasks_queue("cat");
    let mut taken = Vec::new();
    while taken.len() < MESSAGES {
        let some =
            store.queue.receive(&queue, MAX_QUEUE_BATCH, MAX_POLL_WAIT, MINUTE).await.unwrap();
        assert!(!some.is_empty(), "only {} of {MESSAGES} messages came", taken.len());
        taken.extend(some.into_iter().map(|delivery| delivery.body.parse::<usize>().unwrap()));
    }
    taken.sort_unstable();
    assert_eq!(taken, (0..MESSAGES).collect::<Vec<_>>());
    assert!(!other.wait().unwrap().success(), "it was to abort");
}
