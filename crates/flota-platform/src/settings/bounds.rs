//! What the values of settings must satisfy, one function per section.

use std::{collections::BTreeSet, num::NonZeroUsize, ops::RangeInclusive, time::Duration};

use flota_core::{
    ModelName, ObjectAddress,
    limits::{MAX_ADDRESS_BYTES, MAX_CALLBACK_BODY_BYTES, MAX_LEASE, MAX_POLL_WAIT},
};
use tracing_subscriber::EnvFilter;

use super::{
    AwsSettings, Backend, DeadLetterSettings, EngineKind, EngineProvider, EngineSettings,
    FetchSettings, IngestRule, IngestSettings, LogSettings, NetworkSettings, NotifierSettings,
    QueueSettings, ServerSettings, Settings, SweeperSettings, WorkerSettings,
};

/// A setting outside its bounds.
#[derive(Debug)]
pub(super) struct Broken {
    pub(super) key: &'static str,
    pub(super) wanted: String,
}

type Checked = Result<(), Broken>;

/// Longest prefix in characters: 80 for a queue's name less the longest worker's name, the priority and
/// the ending of a dead-letter queue.
const MAX_PREFIX_CHARS: usize = 21;
/// Largest upload that can be allowed, in bytes: a worker holds it in memory.
const MAX_UPLOAD_BYTES: u64 = 1 << 30;
/// Most tasks, fetches or callbacks at once: each costs memory and a connection.
const MAX_AT_ONCE: usize = 10_000;
/// Most connections that can be asked for: each costs a file and some kilobytes.
const MAX_CONNECTIONS: usize = 1_000_000;
/// Most threads of one kind: beyond it is a mistake.
const MAX_THREADS: usize = 1_024;
/// Shortest lease: its heartbeat, at a third of it, must outlast a slow write of the store.
const MIN_LEASE: Duration = Duration::from_millis(300);
/// Shortest time between two looks at the store, so that nobody polls it in a busy loop.
const MIN_INTERVAL: Duration = Duration::from_millis(10);
/// Longest time of any kind: beyond it is a mistake of units.
const MAX_TIME: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Shortest and longest time for one try of a call to AWS: an answer takes a few milliseconds, and a
/// heartbeat must have time for a second try.
const MIN_CALL_TIMEOUT: Duration = Duration::from_millis(100);
const MAX_CALL_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest time for autotuning: nobody waits longer for a worker.
const MAX_AUTOTUNE: Duration = Duration::from_secs(60);
/// Most rules for uploads: each event is held to all of them.
const MAX_RULES: usize = 1_000;
/// A request is kept so much longer than it may be open and its callback pending.
const KEEP_MARGIN: Duration = DAY;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const HOUR: Duration = Duration::from_secs(60 * 60);
/// Most waits in the schedule of callbacks.
const MAX_SCHEDULE: usize = 50;
/// Levels of the log, the quietest first.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
/// A small model on a busy machine takes a second.
const MIN_LOAD_TIMEOUT: Duration = Duration::from_secs(1);

pub(super) fn check(settings: &Settings) -> Checked {
    let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let prefix = &settings.prefix;
    hold(
        (1..=MAX_PREFIX_CHARS).contains(&prefix.len()) && prefix.chars().all(is_allowed),
        "prefix",
        || format!("1 to {MAX_PREFIX_CHARS} of a-z, 0-9 and -"),
    )?;
    hold(!settings.data_dir.as_os_str().is_empty(), "data_dir", || "a folder".to_owned())?;
    aws(&settings.aws, settings.backend)?;
    server(&settings.server)?;
    queue(&settings.queue)?;
    engine(&settings.engine)?;
    worker(&settings.worker, &settings.queue)?;
    fetch(&settings.fetch)?;
    ingest(&settings.ingest)?;
    for rule in &settings.ingest.rules {
        ingest_rule(rule, &settings.network)?;
    }
    sweeper(&settings.sweeper)?;
    dead_letters(&settings.dead_letters)?;
    notifier(&settings.notifier)?;
    retain_requests(settings)?;
    retention(settings)?;
    log(&settings.log)
}

fn aws(aws: &AwsSettings, backend: Backend) -> Checked {
    let is_bucket = (3..=63).contains(&aws.bucket.len())
        && aws.bucket.chars().all(|c| matches!(c, 'a'..='z' | '0'..='9' | '-' | '.'));
    hold(is_bucket || aws.bucket.is_empty() && backend != Backend::Aws, "aws.bucket", || {
        "the name of a bucket, 3 to 63 of a-z, 0-9, - and .".to_owned()
    })?;
    time("aws.call_timeout_ms", aws.call_timeout, MIN_CALL_TIMEOUT..=MAX_CALL_TIMEOUT)
}

fn server(server: &ServerSettings) -> Checked {
    let allowed = 1..=MAX_UPLOAD_BYTES;
    hold(allowed.contains(&server.max_upload_bytes), "server.max_upload_bytes", || {
        format!("1 to {MAX_UPLOAD_BYTES}")
    })?;
    let least = server.max_upload_bytes.saturating_mul(2);
    let has_room = server.max_body_bytes() >= least;
    hold(has_room, "server.max_body_bytes", || {
        format!("0, or {least} and more, twice server.max_upload_bytes")
    })?;
    let count = |count: Option<NonZeroUsize>| count.map_or(0, NonZeroUsize::get);
    for (key, count) in [
        ("server.max_connections", count(server.max_connections)),
        ("server.max_connections_per_peer", count(server.max_connections_per_peer)),
        ("server.max_waits", server.max_waits),
    ] {
        hold(count <= MAX_CONNECTIONS, key, || format!("0 to {MAX_CONNECTIONS}"))?;
    }
    let is_name = |host: &String| !host.is_empty() && !host.contains(['/', ':', ' ']);
    hold(server.hosts.iter().all(is_name), "server.hosts", || {
        "names without scheme and port, such as \"flota.internal\", or \"*\"".to_owned()
    })
}

fn queue(queue: &QueueSettings) -> Checked {
    time("queue.poll_wait_ms", queue.poll_wait, Duration::from_millis(1)..=MAX_POLL_WAIT)?;
    lease("queue.lease_ms", queue.lease, queue)?;
    time("queue.max_lease_ms", queue.max_lease, queue.lease..=MAX_LEASE)?;
    time("queue.drain_ms", queue.drain, Duration::ZERO..=MAX_TIME)
}

fn engine(engine: &EngineSettings) -> Checked {
    let is_cpu = engine.provider == EngineProvider::Cpu;
    hold(is_cpu || engine.kind != EngineKind::Tract, "engine.provider", || {
        "\"cpu\" where engine.kind is \"tract\"".to_owned()
    })?;
    time("engine.autotune_ms", engine.autotune, Duration::ZERO..=MAX_AUTOTUNE)?;
    time("engine.load_timeout_ms", engine.load_timeout, MIN_LOAD_TIMEOUT..=MAX_TIME)
}

fn worker(worker: &WorkerSettings, queue: &QueueSettings) -> Checked {
    count("worker.capacity_tasks", worker.capacity_tasks, MAX_AT_ONCE)?;
    count("worker.fetch_concurrency", worker.fetch_concurrency, MAX_AT_ONCE)?;
    time("worker.fetch_timeout_ms", worker.fetch_timeout, MIN_INTERVAL..=queue.max_lease)?;
    let threads = [
        ("worker.decode_threads", worker.decode_threads),
        ("worker.infer_threads", worker.infer_threads),
    ];
    for (key, threads) in threads {
        hold(threads.is_none_or(|threads| threads.get() <= MAX_THREADS), key, || {
            format!("0 (one per core) to {MAX_THREADS}")
        })?;
    }
    time("worker.retry_base_ms", worker.retry_base, Duration::from_millis(1)..=MAX_TIME)?;
    time("worker.retry_cap_ms", worker.retry_cap, worker.retry_base..=MAX_TIME)?;
    time("worker.heartbeat_ms", worker.heartbeat, MIN_LEASE..=MAX_TIME)
}

fn fetch(fetch: &FetchSettings) -> Checked {
    time("fetch.retry_for_ms", fetch.retry_for, Duration::ZERO..=MAX_TIME)?;
    time("fetch.first_byte_ms", fetch.first_byte, MIN_INTERVAL..=MAX_TIME)?;
    hold(fetch.breaker_failures > 0, "fetch.breaker_failures", || "1 or more".to_owned())?;
    time("fetch.breaker_open_ms", fetch.breaker_open, MIN_INTERVAL..=MAX_TIME)
}

fn ingest(ingest: &IngestSettings) -> Checked {
    hold(ingest.rules.len() <= MAX_RULES, "ingest.rules", || format!("at most {MAX_RULES}"))
}

fn ingest_rule(rule: &IngestRule, network: &NetworkSettings) -> Checked {
    let key = "ingest.rules";
    let bucket = &rule.bucket;
    hold(ObjectAddress::new(bucket, "key", None).is_ok(), key, || {
        format!("as `bucket` the name of a bucket of S3, which `{bucket}` is not")
    })?;
    let names: BTreeSet<&ModelName> = rule.models.iter().collect();
    hold(!names.is_empty() && names.len() == rule.models.len(), key, || {
        format!("as `models` of `{bucket}` at least one, and none twice")
    })?;
    let Some(callback) = &rule.callback else { return Ok(()) };
    let refusal =
        network.policy().check_url(callback.as_str()).err().map(|error| error.to_string());
    let is_short = callback.as_str().len() <= MAX_ADDRESS_BYTES;
    hold(refusal.is_none() && is_short, key, || {
        let why = refusal.unwrap_or_else(|| format!("more than {MAX_ADDRESS_BYTES} bytes"));
        format!("as `callback` of `{bucket}` where a callback may go: {why}")
    })
}

fn sweeper(sweeper: &SweeperSettings) -> Checked {
    time("sweeper.interval_ms", sweeper.interval, MIN_INTERVAL..=MAX_TIME)?;
    time("sweeper.accept_grace_ms", sweeper.accept_grace, MIN_INTERVAL..=MAX_TIME)?;
    time("sweeper.resend_ms", sweeper.resend, MIN_INTERVAL..=MAX_TIME)?;
    time("sweeper.time_out_after_ms", sweeper.time_out_after, sweeper.resend..=MAX_TIME)
}

fn dead_letters(dead_letters: &DeadLetterSettings) -> Checked {
    time("dead_letters.interval_ms", dead_letters.interval, MIN_INTERVAL..=MAX_TIME)?;
    time("dead_letters.step_ms", dead_letters.step, MIN_INTERVAL..=MAX_TIME)?;
    let least_claim = MIN_LEASE.max(dead_letters.step.saturating_mul(2));
    time("dead_letters.claim_ms", dead_letters.claim, least_claim..=MAX_TIME)?;
    time("dead_letters.dlq_interval_ms", dead_letters.dlq_interval, MIN_INTERVAL..=MAX_TIME)
}

fn notifier(notifier: &NotifierSettings) -> Checked {
    time("notifier.interval_ms", notifier.interval, MIN_INTERVAL..=MAX_TIME)?;
    time("notifier.timeout_ms", notifier.timeout, MIN_INTERVAL..=MAX_TIME)?;
    hold(
        notifier.claim > notifier.timeout && notifier.claim <= MAX_TIME,
        "notifier.claim_ms",
        || format!("more than notifier.timeout_ms, which is {}", notifier.timeout.as_millis()),
    )?;
    hold(notifier.schedule.len() <= MAX_SCHEDULE, "notifier.schedule_ms", || {
        format!("at most {MAX_SCHEDULE} waits")
    })?;
    for wait in &notifier.schedule {
        time("notifier.schedule_ms", *wait, Duration::from_millis(1)..=MAX_TIME)?;
    }
    count("notifier.max_body_bytes", notifier.max_body_bytes, MAX_CALLBACK_BODY_BYTES)?;
    time("notifier.breaker_open_ms", notifier.breaker_open, MIN_INTERVAL..=MAX_TIME)
}

/// A request that is open, or whose callback is pending, must not be deleted.
fn retain_requests(settings: &Settings) -> Checked {
    let Some(kept) = settings.aws.retain_requests else { return Ok(()) };
    let notifier = &settings.notifier;
    // A wait is jittered by a fifth, and is no shorter than the receiver asks.
    let waits =
        notifier.schedule.iter().map(|wait| (*wait * 6 / 5).max(NotifierSettings::MAX_RETRY_AFTER));
    let least = settings.sweeper.time_out_after + waits.sum::<Duration>() + KEEP_MARGIN;
    hold(kept >= least, "aws.retain_requests_days", || {
        let days = least.as_secs().div_ceil(DAY.as_secs());
        format!(
            "0 (for good), or {days} or more: a day more than sweeper.time_out_after_ms and the waits of \
             notifier.schedule_ms take together"
        )
    })
}

/// A prediction that is found must still be there when its outcome is recorded, or the task has ended.
fn retention(settings: &Settings) -> Checked {
    let retention = &settings.retention;
    time("retention.interval_ms", retention.interval, MIN_INTERVAL..=MAX_TIME)?;
    let least = settings.sweeper.time_out_after + HOUR;
    let is_kept = retention.predictions.is_none_or(|age| age >= least);
    hold(is_kept, "retention.predictions_hours", || {
        let hours = least.as_secs().div_ceil(HOUR.as_secs());
        format!("0 (for good), or {hours} or more: an hour more than sweeper.time_out_after_ms")
    })
}

fn log(log: &LogSettings) -> Checked {
    let is_known = log.level.split(',').all(is_directive);
    hold(is_known && EnvFilter::try_new(&log.level).is_ok(), "log.level", || {
        format!(
            "one of {}, or directives TARGET=LEVEL with commas between, such as \
             info,flota_worker=debug",
            LEVELS.join(", ")
        )
    })
}

/// Whether `directive` is a level, or a target and a level. `EnvFilter` takes a word that is no
/// level for a target, a level beside a blank too, and then nothing else is logged.
fn is_directive(directive: &str) -> bool {
    let level = match directive.rsplit_once('=') {
        Some((target, level)) if !target.is_empty() => level,
        Some(_) => return false,
        None => directive,
    };
    LEVELS.iter().any(|known| known.eq_ignore_ascii_case(level))
}

/// A lease counts from the start of the poll that received it, so a poll that took its longest
/// must leave time for the first heartbeat, at a third of the lease.
fn lease(key: &'static str, lease: Duration, queue: &QueueSettings) -> Checked {
    let least = MIN_LEASE.max(queue.poll_wait.saturating_mul(2));
    hold((least..=MAX_LEASE).contains(&lease), key, || {
        let (least, most) = (least.as_millis(), MAX_LEASE.as_millis());
        format!("{least} (300, or twice queue.poll_wait_ms) to {most}")
    })
}

fn time(key: &'static str, time: Duration, allowed: RangeInclusive<Duration>) -> Checked {
    hold(allowed.contains(&time), key, || {
        format!("{} to {}", allowed.start().as_millis(), allowed.end().as_millis())
    })
}

fn count(key: &'static str, count: usize, most: usize) -> Checked {
    hold((1..=most).contains(&count), key, || format!("1 to {most}"))
}

fn hold(is_kept: bool, key: &'static str, wanted: impl FnOnce() -> String) -> Checked {
    if is_kept { Ok(()) } else { Err(Broken { key, wanted: wanted() }) }
}
