//! Settings against each other and against what the models allow themselves.

use std::time::Duration;

use flota_core::{Manifest, ports::Registration};
use flota_platform::settings::{Backend, Settings};

use super::Check;

/// What is to be said of `settings` before anything is asked: each model's longest batch must end
/// within the longest lease, and hosts that share a store must share what signs.
pub(super) fn check(settings: &Settings, found: &[Registration]) -> Vec<Check> {
    let mut checks = vec![leases(settings, found.iter().map(|model| &model.manifest))];
    if settings.backend == Backend::Aws {
        checks.extend([secrets(settings), public_url(settings)]);
    }
    checks
}

fn leases<'m>(settings: &Settings, mut models: impl Iterator<Item = &'m Manifest>) -> Check {
    let about = "settings: queue.max_lease_ms";
    let worker = &settings.worker;
    let needs = |model: &Manifest| {
        // The limit holds for the decode and for the batch, each by itself.
        let runs = 2 * Duration::from_secs(model.limits.max_seconds.into());
        worker.fetch_timeout.saturating_add(runs).saturating_add(model.batch.max_wait())
    };
    let short = models.find(|model| needs(model) >= settings.queue.max_lease);
    let most_ms = settings.queue.max_lease.as_millis();
    match short {
        None => Check::ok(about, format!("{most_ms} ms outlast a fetch, a decode and a batch")),
        Some(model) => Check::error(
            about,
            format!(
                "{most_ms} ms end before a fetch, a decode and a batch of {}, which may take {} ms: its \
                 message goes to another worker while it runs",
                model.name,
                needs(model).as_millis()
            ),
            "raise queue.max_lease_ms, or lower limits.max_seconds in the model's manifest",
        ),
    }
}

fn secrets(settings: &Settings) -> Check {
    let about = "settings: notifier.secrets";
    if settings.notifier.secrets.is_empty() {
        return Check::warning(
            about,
            "empty: every host makes a secret of its own and signs callbacks with it",
            "set notifier.secrets, the same for all notifiers, from a store of secrets",
        );
    }
    Check::ok(about, format!("{} set", settings.notifier.secrets.len()))
}

fn public_url(settings: &Settings) -> Check {
    let about = "settings: server.public_url";
    match &settings.server.public_url {
        Some(url) => Check::ok(about, url.as_str()),
        None => Check::warning(
            about,
            "not set: callbacks link to the address that their own process listens on",
            "set it to the address under which clients reach the API",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODEL: &str = "name: slow
version: '1'
weights: {file: w.onnx}
labels: [a]
input: {width: 8, height: 8, resize: {mode: exact}}
output: {kind: regression}
limits: {max_seconds: 300}";

    #[test]
    fn a_batch_longer_than_a_lease_is_wrong() {
        let models = [Manifest::parse("model.yaml", MODEL).unwrap()];
        let mut settings = Settings::default();
        assert!(!leases(&settings, models.iter()).is_error());
        settings.queue.max_lease = Duration::from_secs(600);
        let check = leases(&settings, models.iter());
        assert!(check.is_error(), "{check:?}");
        assert!(!leases(&settings, [].iter()).is_error());
    }

    #[test]
    fn hosts_that_sign_each_its_own_way_are_doubtful() {
        let settings = Settings { backend: Backend::Aws, ..Settings::default() };
        let doubts = check(&settings, &[]);
        assert!(doubts.iter().any(|check| check.about.ends_with("notifier.secrets")), "{doubts:?}");
        assert!(check(&Settings::default(), &[]).iter().all(|check| !check.is_error()));
    }
}
