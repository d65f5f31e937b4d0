use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// How a fleet is told to end: in order first, then at once.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stop {
    /// Finish what was begun.
    pub orderly: CancellationToken,
    /// Kill what still runs.
    pub now: CancellationToken,
}

impl Stop {
    /// One that can be asked for by itself, and is when this one is.
    pub fn child(&self) -> Self {
        Self { orderly: self.orderly.child_token(), now: self.now.child_token() }
    }

    /// The first SIGINT or SIGTERM asks for an orderly end, the second for one at once.
    pub fn on_signals() -> io::Result<Self> {
        let stop = Self::default();
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let asked = stop.clone();
        tokio::spawn(async move {
            one_of(&mut interrupt, &mut terminate).await;
            asked.orderly.cancel();
            one_of(&mut interrupt, &mut terminate).await;
            asked.now.cancel();
        });
        Ok(stop)
    }
}

async fn one_of(interrupt: &mut Signal, terminate: &mut Signal) {
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}
