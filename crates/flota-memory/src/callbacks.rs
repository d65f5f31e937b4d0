use async_trait::async_trait;
use flota_core::{
    Callback, CallbackAttempt, CallbackId, CallbackState, PortError, PortResult, RequestId,
    ports::Callbacks,
};
use jiff::Timestamp;

use super::requests::MemoryRequests;

#[async_trait]
impl Callbacks for MemoryRequests {
    async fn claim_due(
        &self,
        now: Timestamp,
        until: Timestamp,
        limit: usize,
    ) -> PortResult<Vec<Callback>> {
        let mut tables = self.tables();
        let mut due: Vec<&mut Callback> = tables
            .callbacks
            .values_mut()
            .filter(|callback| callback.due_at.is_some_and(|due_at| due_at <= now))
            .collect();
        due.sort_by_key(|callback| (callback.due_at, callback.id));
        let claim = |callback: &mut Callback| {
            callback.due_at = Some(until);
            callback.clone()
        };
        Ok(due.into_iter().take(limit).map(claim).collect())
    }

    async fn attempted(
        &self,
        id: CallbackId,
        claim: Timestamp,
        attempt: &CallbackAttempt,
        next: (CallbackState, Option<Timestamp>),
    ) -> PortResult<()> {
        let mut tables = self.tables();
        let callback = tables.callbacks.get_mut(&id).ok_or_else(|| {
            PortError::permanent("logging an attempt", format!("there is no callback {id}"))
        })?;
        callback.attempts.push(attempt.clone());
        if callback.due_at == Some(claim) {
            (callback.state, callback.due_at) = next;
        }
        Ok(())
    }

    async fn release(&self, id: CallbackId, claim: Timestamp, due_at: Timestamp) -> PortResult<()> {
        if let Some(callback) = self.tables().callbacks.get_mut(&id)
            && callback.state == CallbackState::Pending
            && callback.due_at == Some(claim)
        {
            callback.due_at = Some(due_at);
        }
        Ok(())
    }

    async fn pending_count(&self) -> PortResult<u64> {
        let tables = self.tables();
        Ok(tables.callbacks.values().filter(|callback| callback.due_at.is_some()).count() as u64)
    }

    async fn of_request(&self, request: RequestId) -> PortResult<Vec<Callback>> {
        let tables = self.tables();
        let (first, last) =
            (CallbackId { request, round: 0 }, CallbackId { request, round: u32::MAX });
        Ok(tables.callbacks.range(first..=last).map(|(_, callback)| callback.clone()).collect())
    }

    async fn redeliver(&self, id: CallbackId, now: Timestamp) -> PortResult<bool> {
        match self.tables().callbacks.get_mut(&id) {
            Some(callback) => {
                callback.state = CallbackState::Pending;
                callback.due_at = Some(now);
                Ok(true)
            }
            None => Ok(false),
        }
    }
}
