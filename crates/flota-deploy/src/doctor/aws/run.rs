use flota_core::{PortError, WorkerName, ports::Registration, with_causes};
use flota_platform::{
    aws::{Clients, is_denied},
    settings::Settings,
};

use super::{buckets, clock, permissions};
use crate::{
    doctor::Check,
    provision::{Action, Difference, Need, Resource, State, needs},
};

/// A poll that is shorter costs more than it is worth: each empty one is billed.
const MIN_POLL_WAIT_SECONDS: u64 = 10;

/// Looks at everything that the fleet of these models needs on AWS. Nothing is changed: what tries
/// out a permission is made so that AWS refuses it for another reason. The rights that are tried are
/// those of the roles in the settings, or else of `worker`.
pub async fn run_checks(
    clients: &Clients,
    settings: &Settings,
    found: &[Registration],
    worker: Option<&WorkerName>,
) -> Vec<Check> {
    let mut checks = vec![clock::check(clients, settings).await, poll_wait(settings)];
    if checks.iter().any(Check::is_error) {
        // Where nobody answers, every other question would only take its time to say so.
        return checks;
    }
    let workers: Vec<WorkerName> = found.iter().map(|model| model.worker.clone()).collect();
    for need in needs(settings, &workers) {
        let looked = need.provide(clients, Action::Look).await;
        checks.push(match looked {
            Ok(resource) => resource_check(&need, &resource),
            Err(error) => unseen(need.describe(), &error),
        });
    }
    checks.extend(buckets::check(clients, settings).await);
    checks.extend(permissions::check(clients, settings, &workers, worker).await);
    checks
}

fn resource_check(need: &Need<'_>, resource: &Resource) -> Check {
    let about = need.describe();
    let provision = "run `flota provision`";
    let problem = match &resource.state {
        State::Missing => "it is not there".to_owned(),
        State::Different { differences } => {
            let all: Vec<_> = differences.iter().map(Difference::to_string).collect();
            all.join("; ")
        }
        State::Ready | State::Made | State::Changed { .. } => {
            return Check::ok(about, "as it is to be");
        }
    };
    if resource.differences().iter().any(|difference| difference.is_fixed) {
        let remedy = "delete it if nobody needs what it holds, or set another prefix";
        return Check::error(about, problem, remedy);
    }
    match need {
        Need::Notification(_) => {
            let remedy = format!("{provision}, unless events come through SNS or EventBridge");
            Check::warning(about, problem, remedy)
        }
        Need::Queue(_) | Need::Table(_) | Need::Bucket(_) => {
            Check::error(about, problem, provision)
        }
    }
}

/// What could not be looked at. Few roles may look at everything: that one may not is no fault.
pub(super) fn unseen(about: impl Into<String>, error: &PortError) -> Check {
    if is_denied(error) {
        let problem = format!("not this role's to see: {error}");
        let remedy = "look at it with the rights of infra/iam/operator.json";
        return Check::warning(about, problem, remedy);
    }
    let remedy = "run this with the rights of infra/iam/operator.json, or see that AWS answers";
    Check::error(about, with_causes(error), remedy)
}

fn poll_wait(settings: &Settings) -> Check {
    let about = "settings: queue.poll_wait_ms";
    let wait = settings.queue.poll_wait;
    let polls_per_hour = 3_600_000 / wait.as_millis().max(1);
    let seen =
        format!("{} ms: {polls_per_hour} requests an hour on an idle queue", wait.as_millis());
    match wait.as_secs() >= MIN_POLL_WAIT_SECONDS {
        true => Check::ok(about, seen),
        false => Check::warning(
            about,
            format!("{seen}, for each process that polls it"),
            "set queue.poll_wait_ms to 20000, and leases to twice that or more",
        ),
    }
}
