//! Signals and a closed standard input, seen by a child process.

#![allow(clippy::unwrap_used, reason = "all of it is tests, the functions they share too")]

use std::{
    env,
    io::{BufRead, BufReader, Lines},
    process::{Child, ChildStdout, Command, Stdio},
};

use flota_platform::shutdown::Shutdown;

/// Set in the environment of the child, which [`child`] then is.
const ROLE: &str = "FLOTA_TEST_SHUTDOWN_CHILD";

/// Not a test but the process that the tests stop: it says what it sees, and never ends by itself.
#[tokio::test]
async fn child() {
    if env::var_os(ROLE).is_none() {
        return;
    }
    let shutdown = Shutdown::on_signals().unwrap().and_on_stdin_close().unwrap();
    println!("\nrunning");
    shutdown.token().cancelled().await;
    println!("\nstopping");
    std::future::pending::<()>().await;
}

struct Running {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Running {
    fn start() -> Self {
        let mut process = Command::new(env::current_exe().unwrap())
            .args(["--exact", "child", "--nocapture"])
            .env(ROLE, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut running = Self { process, lines };
        running.wait_for("running");
        running
    }

    fn wait_for(&mut self, wanted: &str) {
        let found = self.lines.any(|line| line.unwrap() == wanted);
        assert!(found, "the child ended without saying {wanted:?}");
    }

    fn signal(&self, name: &str) {
        let id = self.process.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }

    fn exit_code(&mut self) -> Option<i32> {
        self.process.wait().unwrap().code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended, as most tests want.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn the_first_signal_stops_and_the_second_ends_at_once() {
    for (first, second, code) in
        [("TERM", "TERM", 143), ("INT", "INT", 130), ("TERM", "INT", 130), ("INT", "TERM", 143)]
    {
        let mut running = Running::start();
        running.signal(first);
        running.wait_for("stopping");
        running.signal(second);
        assert_eq!(running.exit_code(), Some(code), "{first}, then {second}");
    }
}

#[test]
fn a_closed_standard_input_stops() {
    let mut running = Running::start();
    drop(running.process.stdin.take());
    running.wait_for("stopping");
}
