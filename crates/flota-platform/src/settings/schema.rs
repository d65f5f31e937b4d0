//! Holds what was read to the shape of the defaults, which name every key and its type.

use config::{Config, ConfigError, File, FileFormat, Value, ValueKind};

use super::{SettingsError, sources::describe_origin};

/// Settings whose values are never printed.
pub(super) const HIDDEN: &str = "notifier.secrets";

/// Refuses the first key under `key` that `default` does not have and the first value of another
/// type, and turns the text of a variable into the type that `default` has.
pub(super) fn conform(
    schema: &Value,
    key: &str,
    default: &Value,
    value: &mut Value,
) -> Result<(), SettingsError> {
    let wanted = match (&default.kind, &mut value.kind) {
        (ValueKind::Table(known), ValueKind::Table(given)) => {
            let mut names: Vec<String> = given.keys().cloned().collect();
            names.sort();
            for name in names {
                let Some(child) = given.get_mut(&name) else { continue };
                let key = join(key, &name);
                match known.get(&name) {
                    Some(default) => conform(schema, &key, default, child)?,
                    None => return Err(unknown(schema, key, child)),
                }
            }
            return Ok(());
        }
        (ValueKind::I64(_), ValueKind::I64(number)) if *number >= 0 => return Ok(()),
        (ValueKind::I64(_), ValueKind::String(text)) => match text.trim().parse::<i64>() {
            Ok(number) if number >= 0 => {
                value.kind = ValueKind::I64(number);
                return Ok(());
            }
            _ => WHOLE_NUMBER,
        },
        (ValueKind::Boolean(_), ValueKind::Boolean(_)) => return Ok(()),
        (ValueKind::Boolean(_), ValueKind::String(text)) => match text.trim().parse::<bool>() {
            Ok(flag) => {
                value.kind = ValueKind::Boolean(flag);
                return Ok(());
            }
            Err(_) => TRUE_OR_FALSE,
        },
        (ValueKind::String(_), ValueKind::String(_)) => return Ok(()),
        (ValueKind::Array(_), ValueKind::Array(_)) => return Ok(()),
        (ValueKind::Array(_), ValueKind::String(text)) => match list(text) {
            Some(list) => {
                value.kind = ValueKind::Array(list);
                return Ok(());
            }
            None => "a list, separated by commas or in brackets as in TOML",
        },
        (_, ValueKind::Table(given)) if !given.is_empty() => {
            return Err(unknown(schema, key.to_owned(), value));
        }
        (ValueKind::Table(_), _) => "a section",
        (ValueKind::I64(_), _) => WHOLE_NUMBER,
        (ValueKind::Boolean(_), _) => TRUE_OR_FALSE,
        (ValueKind::Array(_), _) => "a list",
        _ => "text",
    };
    Err(invalid(key, value, wanted.to_owned()))
}

const TRUE_OR_FALSE: &str = "true or false";
const WHOLE_NUMBER: &str = "a whole number, zero or more";

/// An error of `config` about a value of `root`, with the key that it stands under.
pub(super) fn refused(root: &Value, error: ConfigError) -> SettingsError {
    let (key, wanted) = match error {
        ConfigError::Type { key: Some(key), expected, .. } => (key, expected.to_owned()),
        ConfigError::At { key: Some(key), error, .. } => (key, error.to_string()),
        other => return SettingsError::Syntax(other.to_string()),
    };
    let key = key.split('[').next().unwrap_or(&key);
    let unset = Value::default();
    invalid(key, at(root, key).unwrap_or(&unset), wanted)
}

/// That the value under `key` is not what is wanted.
pub(super) fn invalid(key: &str, value: &Value, wanted: String) -> SettingsError {
    let text = match &value.kind {
        _ if key.starts_with(HIDDEN) => "hidden".to_owned(),
        ValueKind::String(text) => format!("{text:?}"),
        ValueKind::Array(list) => {
            let entries: Vec<String> = list.iter().map(ToString::to_string).collect();
            format!("[{}]", entries.join(", "))
        }
        ValueKind::Table(_) => "a section".to_owned(),
        other => other.to_string(),
    };
    let origin = describe_origin(key, value.origin());
    SettingsError::Invalid { key: key.to_owned(), value: text, origin, wanted }
}

/// Keys of earlier versions and what they are called now.
const RENAMED: &[(&str, &str)] = &[
    ("aws.keep_requests_days", "aws.retain_requests_days"),
    ("dead_letters.crash_nets_interval_ms", "dead_letters.dlq_interval_ms"),
    ("engine.calibrate_ms", "engine.autotune_ms"),
    ("engine.keep_graphs", "engine.cache_graphs"),
    ("fetch.least_bytes_per_second", "fetch.min_bytes_per_second"),
    ("ingest.drain_ms", "queue.drain_ms"),
    ("ingest.lease_ms", "queue.lease_ms"),
    ("ingest.max_lease_ms", "queue.max_lease_ms"),
    ("recorder.drain_ms", "queue.drain_ms"),
    ("recorder.lease_ms", "queue.lease_ms"),
    ("recorder.max_lease_ms", "queue.max_lease_ms"),
    ("sweeper.lost_after_ms", "sweeper.time_out_after_ms"),
    ("worker.drain_ms", "queue.drain_ms"),
    ("worker.lease_ms", "queue.lease_ms"),
    ("worker.life_ms", "worker.heartbeat_ms"),
    ("worker.max_lease_ms", "queue.max_lease_ms"),
];
/// Keys of earlier versions that are constants now.
const REMOVED: &[&str] = &[
    "dead_letters.patience_ms",
    "fetch.max_retry_after_ms",
    "ingest.capacity_events",
    "ingest.pack_wait_ms",
    "network.fetch_redirects",
    "notifier.breaker_failures",
    "notifier.concurrency",
    "notifier.max_retry_after_ms",
    "notifier.per_receiver",
    "recorder.capacity_tasks",
    "sweeper.batch",
];

/// That `key` is not a setting; of a section, its first key is named.
pub(super) fn unknown(schema: &Value, key: String, value: &Value) -> SettingsError {
    if let ValueKind::Table(children) = &value.kind
        && let Some((name, child)) = children.iter().min_by_key(|(name, _)| *name)
    {
        return unknown(schema, join(&key, name), child);
    }
    let origin = describe_origin(&key, value.origin());
    if let Some((_, new)) = RENAMED.iter().find(|(old, _)| *old == key) {
        return SettingsError::Renamed { key, origin, new };
    }
    if REMOVED.contains(&key.as_str()) {
        return SettingsError::Removed { key, origin };
    }
    let mut known = Vec::new();
    collect_keys(schema, "", &mut known);
    let likeness = |candidate: &String| {
        let last = candidate.rsplit('.').next().unwrap_or(candidate);
        let compared = if key.contains('.') { candidate } else { last };
        strsim::normalized_damerau_levenshtein(&key, compared)
    };
    let nearest = known.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    SettingsError::Unknown { origin, nearest: nearest.cloned().unwrap_or_default(), key }
}

/// The value under a dotted key.
pub(super) fn at<'v>(root: &'v Value, key: &str) -> Option<&'v Value> {
    key.split('.').try_fold(root, |value, name| match &value.kind {
        ValueKind::Table(table) => table.get(name),
        _ => None,
    })
}

fn collect_keys(value: &Value, key: &str, keys: &mut Vec<String>) {
    match &value.kind {
        ValueKind::Table(table) => {
            for (name, child) in table {
                collect_keys(child, &join(key, name), keys);
            }
        }
        _ => keys.push(key.to_owned()),
    }
}

fn join(key: &str, name: &str) -> String {
    if key.is_empty() { name.to_owned() } else { format!("{key}.{name}") }
}

fn list(text: &str) -> Option<Vec<Value>> {
    let text = text.trim();
    if text.starts_with('[') {
        let source = File::from_str(&format!("list = {text}"), FileFormat::Toml);
        return Config::builder().add_source(source).build().ok()?.get_array("list").ok();
    }
    let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    Some(entries.map(|entry| Value::new(None, entry)).collect())
}
