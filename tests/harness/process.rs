use std::{
    collections::BTreeMap,
    fs::{self, File},
    net::{SocketAddr, TcpListener},
    ops::Range,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;

use super::{Api, Receiver, model_dir, until};

/// Settings under which leases, waits and retries are short, and being killed is not taken for
/// poison.
const SETTINGS: &[(&str, &str)] = &[
    ("FLOTA__DEAD_LETTERS__CLAIM_MS", "2000"),
    ("FLOTA__DEAD_LETTERS__DLQ_INTERVAL_MS", "500"),
    ("FLOTA__DEAD_LETTERS__INTERVAL_MS", "500"),
    ("FLOTA__DEAD_LETTERS__STEP_MS", "100"),
    ("FLOTA__ENGINE__AUTOTUNE_MS", "0"),
    ("FLOTA__ENGINE__KIND", "tract"),
    ("FLOTA__FETCH__BREAKER_OPEN_MS", "500"),
    ("FLOTA__LOG__LEVEL", "info"),
    ("FLOTA__LOG__FORMAT", "human"),
    ("FLOTA__NETWORK__ALLOW", "127.0.0.0/8"),
    ("FLOTA__NOTIFIER__BREAKER_OPEN_MS", "500"),
    ("FLOTA__NOTIFIER__CLAIM_MS", "3000"),
    ("FLOTA__NOTIFIER__INTERVAL_MS", "100"),
    ("FLOTA__NOTIFIER__SCHEDULE_MS", "200,300,500,500,500,500,500,500,500,500,500,500,500,500"),
    ("FLOTA__NOTIFIER__TIMEOUT_MS", "2000"),
    ("FLOTA__QUEUE__LEASE_MS", "1000"),
    ("FLOTA__QUEUE__POLL_WAIT_MS", "200"),
    ("FLOTA__SWEEPER__ACCEPT_GRACE_MS", "1000"),
    ("FLOTA__SWEEPER__INTERVAL_MS", "200"),
    ("FLOTA__WORKER__ATTEMPTS", "1000"),
    ("FLOTA__WORKER__DECODE_THREADS", "1"),
    ("FLOTA__WORKER__INFER_THREADS", "1"),
    ("FLOTA__WORKER__HEARTBEAT_MS", "2000"),
    ("FLOTA__WORKER__RETRY_BASE_MS", "50"),
    ("FLOTA__WORKER__RETRY_CAP_MS", "200"),
];

/// A data folder, an address and settings: what a fleet keeps while its processes come and go.
pub struct Home {
    folder: TempDir,
    port: u16,
    settings: BTreeMap<String, String>,
}

/// A process of a fleet; killed when dropped, even by a panic.
pub struct Process {
    child: Child,
    log: PathBuf,
}

/// A free port, another one at each call. It lies below the ephemeral ports,
/// so that nobody takes it while the process that listens there is started again.
pub fn free_port() -> u16 {
    const PORTS: Range<u16> = 10_000..30_000;
    static TAKEN_COUNT: AtomicU32 = AtomicU32::new(0);
    for _ in PORTS {
        let nth = std::process::id().wrapping_add(TAKEN_COUNT.fetch_add(1, Ordering::Relaxed));
        let offset = u16::try_from(nth % u32::from(PORTS.end - PORTS.start)).expect("it is less");
        let port = PORTS.start + offset;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no port of {PORTS:?} is free");
}

impl Home {
    /// An empty one.
    pub fn new() -> Self {
        let settings = SETTINGS.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        let folder = tempfile::tempdir().expect("the temporary folder can be written");
        Self { folder, port: free_port(), settings: settings.collect() }
    }

    /// With one setting more.
    pub fn with(mut self, variable: &str, value: &str) -> Self {
        self.settings.insert(variable.to_owned(), value.to_owned());
        self
    }

    /// The folder of its data.
    pub fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A folder for whatever else a test writes.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Where its server listens.
    pub fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    /// Its API.
    pub fn api(&self) -> Api {
        Api::new(&format!("http://{}", self.address()))
    }

    /// The command `flota` with this home's settings, in the home's folder.
    pub fn flota(&self, args: &[&str]) -> Command {
        self.command(env!("CARGO_BIN_EXE_flota_under_test"), args)
    }

    /// Another program with this home's settings.
    pub fn command(&self, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(args).current_dir(self.folder.path());
        command.envs(&self.settings).env_remove("FLOTA_URL").env("NO_COLOR", "1");
        command.env("FLOTA__DATA_DIR", self.data_dir());
        command.env("XDG_STATE_HOME", self.folder.path().join("state"));
        command.env("FLOTA__SERVER__LISTEN", self.address().to_string());
        command
    }

    /// Starts its server and waits until it answers.
    pub async fn serve(&self) -> Process {
        self.answering(self.flota(&["serve"]), "server").await
    }

    /// Starts a server that has only these roles, with commas between. The API is waited for; the
    /// others listen elsewhere.
    pub async fn serve_roles(&self, roles: &str) -> Process {
        let mut command = self.flota(&["serve"]);
        command.env("FLOTA__SERVER__ROLES", roles);
        if roles.contains("api") {
            return self.answering(command, roles).await;
        }
        command.env("FLOTA__SERVER__LISTEN", "127.0.0.1:0");
        self.start(command, roles)
    }

    /// Starts a worker of the usual model; tasks may be sent before it is ready.
    pub fn work(&self) -> Process {
        let folder = model_dir();
        let folder = folder.to_str().expect("the project's path is plain text");
        self.start(self.flota(&["worker", folder]), "worker")
    }

    /// Starts a server and a worker and lets `receiver` trust them.
    pub async fn start_fleet(&self, receiver: &Receiver) -> (Process, Process) {
        let server = self.serve().await;
        let worker = self.work();
        self.model_known().await;
        receiver.trust(&self.secret());
        (server, worker)
    }

    /// Waits until a worker has registered the usual model.
    pub async fn model_known(&self) {
        let api = self.api();
        until("the worker to register its model", || {
            let api = api.clone();
            async move { (api.workers_alive().await > 0).then_some(()) }
        })
        .await;
    }

    /// What the fleet signs its callbacks with.
    pub fn secret(&self) -> String {
        let path = self.data_dir().join("callback-secret");
        fs::read_to_string(path).expect("the server has made a secret").trim().to_owned()
    }

    /// Starts a process of this home; its log is shown if the test fails.
    pub fn start(&self, command: Command, name: &str) -> Process {
        self.start_into(command, name, Stdio::null())
    }

    /// The same, with what it writes to standard output.
    pub fn start_heard(&self, command: Command, name: &str) -> (Process, ChildStdout) {
        let mut process = self.start_into(command, name, Stdio::piped());
        let stdout = process.child.stdout.take().expect("it is piped");
        (process, stdout)
    }

    fn start_into(&self, mut command: Command, name: &str, stdout: Stdio) -> Process {
        let log = self.folder.path().join(format!("{name}.log"));
        let file = File::options().create(true).append(true).open(&log).expect("it can be written");
        let child = command
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(file)
            .spawn()
            .expect("the executable was built with this test");
        Process { child, log }
    }

    async fn answering(&self, command: Command, name: &str) -> Process {
        let mut server = self.start(command, name);
        let api = self.api();
        until("the server to answer", || {
            assert!(server.is_running(), "the server ended:\n{}", server.log());
            let api = api.clone();
            async move { api.is_ready().await.then_some(()) }
        })
        .await;
        server
    }
}

impl Process {
    /// Its id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Kills it as a power cut would.
    pub fn kill(&mut self) {
        self.child.kill().expect("it is our child");
        self.child.wait().expect("it is our child");
    }

    /// Asks it to stop in order.
    pub fn terminate(&self) {
        let id = i32::try_from(self.child.id()).expect("process ids are small");
        kill(Pid::from_raw(id), Signal::SIGTERM).expect("it is our child and not waited for");
    }

    /// Waits until it has ended.
    pub async fn ended(&mut self) -> ExitStatus {
        let child = &mut self.child;
        until("a process to end", || {
            let ended = child.try_wait().expect("it is our child");
            async move { ended }
        })
        .await
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Whether it has not ended.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("it is our child").is_none()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Fails where it has ended, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = self.log();
            let end = log.lines().rev().take(40).collect::<Vec<_>>();
            eprintln!("--- end of {} ---", self.log.display());
            end.iter().rev().for_each(|line| eprintln!("{line}"));
        }
    }
}
