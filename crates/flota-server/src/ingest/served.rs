use std::sync::Arc;

use flota_core::{
    ModelName, PortError, PortResult,
    ports::{Clock, Models, Registration},
};

/// Which models are served, and by whom.
#[derive(Clone)]
pub(super) struct Served {
    pub(super) models: Arc<dyn Models>,
    pub(super) clock: Arc<dyn Clock>,
}

impl Served {
    /// The current version of `model`. One that is not known yet may be soon: until then its
    /// uploads wait on their queue.
    pub(super) async fn get(&self, model: &ModelName) -> PortResult<Registration> {
        let known = self.models.get(model, self.clock.now()).await?;
        known.map(|known| known.registration).ok_or_else(|| {
            let why = format!("a rule for uploads names `{model}`, which no worker has registered");
            PortError::transient("finding the worker of a model", why)
        })
    }
}
