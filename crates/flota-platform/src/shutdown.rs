//! When a process is to stop.

use std::{
    io::{self, Read},
    process, thread,
};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// What a process exits with after a second SIGINT, as shells write it: 128 and the signal.
const EXIT_INTERRUPTED: i32 = 130;
/// What a process exits with after a second SIGTERM.
const EXIT_TERMINATED: i32 = 143;

/// Turns signals into a token: the first SIGINT or SIGTERM cancels it, the second ends the process
/// at once with 130 or 143.
#[derive(Debug)]
pub struct Shutdown {
    token: CancellationToken,
}

impl Shutdown {
    /// Listens for signals from now on, for the rest of the process's life.
    pub fn on_signals() -> io::Result<Self> {
        let interrupt = signal(SignalKind::interrupt())?;
        let terminate = signal(SignalKind::terminate())?;
        let token = CancellationToken::new();
        tokio::spawn(listen(interrupt, terminate, token.clone()));
        Ok(Self { token })
    }

    /// Also cancels the token when standard input closes, so that a child does not outlive its
    /// parent.
    pub fn and_on_stdin_close(self) -> io::Result<Self> {
        let token = self.token.clone();
        // A thread of its own: a blocking read on the runtime would hold up its end.
        thread::Builder::new().name("stdin".to_owned()).spawn(move || {
            drain(io::stdin().lock());
            tracing::info!("standard input closed, stopping");
            token.cancel();
        })?;
        Ok(self)
    }

    /// Cancelled when the process is to stop.
    pub fn token(&self) -> CancellationToken {
        self.token.clone()
    }
}

async fn listen(mut interrupt: Signal, mut terminate: Signal, token: CancellationToken) {
    let mut is_first = true;
    loop {
        let code = tokio::select! {
            Some(()) = interrupt.recv() => EXIT_INTERRUPTED,
            Some(()) = terminate.recv() => EXIT_TERMINATED,
            else => return,
        };
        if !is_first {
            tracing::warn!("second signal, stopping at once");
            process::exit(code);
        }
        is_first = false;
        tracing::info!("signal received, stopping; a second one stops at once");
        token.cancel();
    }
}

fn drain(mut input: impl Read) {
    let mut ignored = [0; 1024];
    loop {
        match input.read(&mut ignored) {
            Ok(0) => return,
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return,
            Ok(_) | Err(_) => {}
        }
    }
}
