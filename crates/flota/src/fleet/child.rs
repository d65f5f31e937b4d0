use std::{
    ffi::OsString,
    fs::OpenOptions,
    io,
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use anyhow::Context;
use process_wrap::tokio::{ChildWrapper, CommandWrap, KillOnDrop, ProcessGroup};
use tokio::process::{ChildStdin, ChildStdout};
use tokio_util::sync::CancellationToken;

/// How a child process is started.
#[derive(Debug, Clone)]
pub(crate) struct ChildSpec {
    /// How the child is spoken of: `server` or the model's name.
    pub name: String,
    /// Its executable.
    pub program: PathBuf,
    /// What it is told.
    pub args: Vec<OsString>,
    /// Where its standard error goes; ours where there is no file.
    pub log_file: Option<PathBuf>,
}

/// A running child: the leader of its own process group, so that Ctrl-C reaches only us, and told
/// to stop by the end of its standard input, which comes even if we are killed.
#[derive(Debug)]
pub(crate) struct Child {
    process: Box<dyn ChildWrapper>,
    // Kept apart: waiting for a process closes the standard input that it still holds.
    stdin: Option<ChildStdin>,
}

impl Child {
    /// Starts the process.
    pub fn start(spec: &ChildSpec) -> anyhow::Result<Self> {
        let stderr = match &spec.log_file {
            None => Stdio::inherit(),
            Some(path) => {
                let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path);
                file.with_context(|| format!("cannot write {}", path.display()))?.into()
            }
        };
        let mut command = CommandWrap::with_new(&spec.program, |command| {
            command.args(&spec.args);
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(stderr);
        });
        command.wrap(KillOnDrop);
        #[cfg(unix)]
        command.wrap(ProcessGroup::leader());
        let mut process = command
            .spawn()
            .with_context(|| format!("cannot start {} ({})", spec.name, spec.program.display()))?;
        let stdin = process.stdin().take();
        Ok(Self { process, stdin })
    }

    /// Its process id, until it has ended.
    pub fn id(&self) -> Option<u32> {
        self.process.id()
    }

    /// What it writes to standard output; the first call gets it.
    pub fn take_stdout(&mut self) -> Option<ChildStdout> {
        self.process.stdout().take()
    }

    /// Waits until it ends. Safe to cancel.
    pub async fn ended(&mut self) -> io::Result<ExitStatus> {
        self.process.wait().await
    }

    /// Asks it to stop and waits for `bound`, or until `now`; kills its group if it still runs.
    pub async fn stop(mut self, bound: Duration, now: &CancellationToken) {
        drop(self.stdin.take());
        let has_ended = tokio::select! {
            waited = tokio::time::timeout(bound, self.process.wait()) => waited.is_ok(),
            () = now.cancelled() => false,
        };
        // Killing fails where the group is gone meanwhile, which is what is wanted.
        if !has_ended && self.process.start_kill().is_ok() {
            let _ = self.process.wait().await;
        }
    }
}

/// How a process ended, in words: `exit code 3`, `signal 9`.
pub(crate) fn describe(status: ExitStatus) -> String {
    #[cfg(unix)]
    {
        use std::os::unix::process::ExitStatusExt;
        if let Some(signal) = status.signal() {
            return format!("signal {signal}");
        }
    }
    match status.code() {
        Some(code) => format!("exit code {code}"),
        None => status.to_string(),
    }
}
