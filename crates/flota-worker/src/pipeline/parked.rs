//! Tasks that wait on the queue for their image's host.

use std::{collections::BTreeMap, time::Duration};

use flota_core::{TaskMessage, limits::MAX_MESSAGE_DELAY};
use url::Url;

/// Tasks of one message, those of one host together: they travel in one message, as late as the last of
/// them may.
#[derive(Default)]
pub(super) struct Parked(BTreeMap<String, (Vec<TaskMessage>, Duration)>);

impl Parked {
    pub(super) fn add(&mut self, task: TaskMessage, delay: Duration) {
        let (tasks, latest) = self.0.entry(host(&task.image)).or_default();
        tasks.push(task);
        *latest = delay.max(*latest).min(MAX_MESSAGE_DELAY);
    }

    /// The tasks of each host, and how long they wait.
    pub(super) fn into_groups(self) -> impl Iterator<Item = (Vec<TaskMessage>, Duration)> {
        self.0.into_values()
    }
}

/// The host of an address, or the bucket of an object; the address itself where it has none.
fn host(address: &str) -> String {
    let host = Url::parse(address).ok().and_then(|url| url.host_str().map(str::to_owned));
    host.unwrap_or_else(|| address.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::tests::fleet::pack;

    #[test]
    fn tasks_of_one_host_travel_together_and_no_later_than_a_message_may() {
        let images = ["https://a/1", "https://b/1", "https://a:8443/2", "s3://photos/1"];
        let mut parked = Parked::default();
        for (task, seconds) in pack(1, &images).tasks.into_iter().zip([1, 2, 3, 100_000]) {
            parked.add(task, Duration::from_secs(seconds));
        }
        let groups = parked.into_groups().map(|(tasks, delay)| {
            (tasks.iter().map(|task| task.n).collect::<Vec<_>>(), delay.as_secs())
        });
        assert_eq!(groups.collect::<Vec<_>>(), [(vec![0, 2], 3), (vec![1], 2), (vec![3], 900)]);
    }
}
