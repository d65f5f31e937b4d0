use std::{collections::BTreeSet, time::Duration};

use async_trait::async_trait;
use flota_core::{
    Batcher, ModelName, ObjectAddress, PortError, PortResult, Priority, UploadError,
    consume::{Handled, Handler, Lease, Unreadable},
    ports::Delivery,
    uploads,
};
use flota_platform::settings::IngestRule;

use super::requests::Requester;
use crate::metrics::{self, UploadResult};

/// Most messages whose tasks are packed together.
pub(super) const MAX_PACKED: usize = 100;
/// How long an event waits for others. S3 sends a message per upload, and a message to a worker has
/// room for 20 tasks.
const PACK_LINGER: Duration = Duration::from_millis(100);

/// An uploaded object, and the models to run on it, for which no request is made.
pub(super) struct Wanted {
    pub(super) object: ObjectAddress,
    pub(super) models: BTreeSet<(Priority, ModelName)>,
}

/// Applies the rules to each upload.
pub(super) struct Ingest {
    pub(super) rules: Vec<IngestRule>,
    pub(super) requester: Requester,
    /// Sends the tasks of uploads in packs, together with those of other messages.
    pub(super) packer: Batcher<Vec<Wanted>, PortResult<()>>,
}

#[async_trait]
impl Handler for Ingest {
    /// The object of each record, or why a record names none.
    type Message = Vec<Result<ObjectAddress, UploadError>>;

    fn decode(&self, body: &str) -> Result<Self::Message, Unreadable> {
        let mut records = uploads(body);
        match records.pop() {
            Some(Err(error)) if records.is_empty() => Err(error.into()),
            last => Ok(records.into_iter().chain(last).collect()),
        }
    }

    fn weigh(&self, records: &Self::Message) -> usize {
        records.len()
    }

    async fn handle(
        &self,
        delivery: Delivery<Self::Message>,
        _lease: Lease,
    ) -> PortResult<Handled> {
        let (mut wanted, mut unreadable) = (Vec::new(), None);
        if delivery.body.is_empty() {
            metrics::uploads(UploadResult::Foreign, 1);
        }
        for record in delivery.body {
            match record {
                Ok(address) => wanted.extend(self.follow_rules(address).await?),
                Err(error) => unreadable = unreadable.or(Some(Unreadable::from(error))),
            }
        }
        if !wanted.is_empty() {
            let gone = || PortError::permanent("sending tasks of uploads", "nobody sends them");
            self.packer.add(wanted, PACK_LINGER).await.ok_or_else(gone)??;
        }
        Ok(unreadable.map_or(Handled::Ack, Handled::PartlyUnreadable))
    }
}

impl Ingest {
    /// Makes a request for each matching rule with a callback. Returns the models of the other
    /// matching rules.
    async fn follow_rules(&self, object: ObjectAddress) -> PortResult<Option<Wanted>> {
        let (mut models, mut is_met) = (BTreeSet::new(), false);
        for rule in self.rules.iter().filter(|rule| rule.matches(object.bucket(), object.key())) {
            is_met = true;
            match &rule.callback {
                Some(url) => self.requester.accept(rule, url.as_str(), &object).await?,
                None => {
                    models.extend(rule.models.iter().map(|model| (rule.priority, model.clone())))
                }
            }
        }
        let result = if is_met { UploadResult::Taken } else { UploadResult::Ignored };
        metrics::uploads(result, 1);
        Ok((!models.is_empty()).then_some(Wanted { object, models }))
    }
}
