//! The emulator of AWS that tests run against. It ends with the process that started it, however
//! that ends, and leaves nothing behind but its installation under `target/`.

#![allow(dead_code, reason = "each test binary uses what it needs")]

mod install;

use std::{
    fs::File,
    io::{BufRead, BufReader, Read, Seek, Write},
    net::TcpListener,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{LazyLock, Mutex, PoisonError},
};

/// Another process may take the port that was just found free.
const STARTS: usize = 3;

/// A running emulator.
pub struct Emulator {
    endpoint: String,
    process: Child,
    /// The emulator ends when its standard input closes.
    input: Mutex<Option<ChildStdin>>,
    output: Mutex<BufReader<ChildStdout>>,
}

impl Emulator {
    /// The emulator of this process, installed and started at the first call.
    pub fn shared() -> &'static Self {
        static SHARED: LazyLock<Emulator> = LazyLock::new(Emulator::start);
        &SHARED
    }

    /// Starts an emulator that nobody else uses.
    pub fn start() -> Self {
        let python = install::install();
        let mut said = String::new();
        for _ in 0..STARTS {
            match Self::start_once(&python) {
                Ok(started) => return started,
                Err(why) => said = why,
            }
        }
        panic!("the emulator of AWS does not start:\n{said}");
    }

    /// Where all services are.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Stops the clock of an account's queues. The account of a caller is its access key where that
    /// is twelve digits, and no account sees what another has.
    pub fn set_clock(&self, account: &str, milliseconds: i64) {
        let mut input = self.input.lock().unwrap_or_else(PoisonError::into_inner);
        let line = input.as_mut().expect("it is taken at the end");
        writeln!(line, "{account} {milliseconds}").expect("the emulator runs");
        let mut answer = String::new();
        let mut output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        output.read_line(&mut answer).expect("the emulator runs");
        assert_eq!(answer, "set\n", "the emulator ended");
    }

    fn start_once(python: &install::Python) -> Result<Self, String> {
        let mut errors = tempfile::tempfile().expect("a file can be made");
        let port = free_port();
        let mut process = Command::new(&python.program)
            .args(["-c", include_str!("emulator.py")])
            .env("PYTHONPATH", &python.packages)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .envs([("BIND_HOST", "127.0.0.1"), ("MINISTACK_HOST", "127.0.0.1")])
            .envs([("SERVICES", "sqs,s3,dynamodb"), ("LOG_LEVEL", "WARNING")])
            .envs([("IOT_MTLS_ENABLED", "0"), ("SFTP_ENABLED", "0")])
            .env("GATEWAY_PORT", port.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(errors.try_clone().expect("a file can be opened twice"))
            .spawn()
            .map_err(|error| format!("{}: {error}", python.program.display()))?;
        let input = process.stdin.take();
        let mut output = BufReader::new(process.stdout.take().expect("it is piped"));
        let mut answer = String::new();
        let read = output.read_line(&mut answer);
        let emulator = Self {
            endpoint: format!("http://127.0.0.1:{port}"),
            process,
            input: Mutex::new(input),
            output: Mutex::new(output),
        };
        match read {
            Ok(_) if answer == "ready\n" => Ok(emulator),
            _ => Err(text(&mut errors)),
        }
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        let input = self.input.get_mut().unwrap_or_else(PoisonError::into_inner);
        drop(input.take());
        // It may have ended already.
        let _ = self.process.wait();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    listener.local_addr().expect("it listens").port()
}

fn text(file: &mut File) -> String {
    let mut text = String::new();
    let read = file.rewind().and_then(|()| file.read_to_string(&mut text));
    read.map_or_else(|error| error.to_string(), |_| text)
}
