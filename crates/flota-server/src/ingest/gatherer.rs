use std::{collections::BTreeSet, time::Duration};

use flota_core::{ModelName, ObjectAddress, PortError, PortResult, Priority, consume::gather};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use super::packer::Packer;

/// Most messages whose tasks are packed together: their objects are looked up in one call.
const MAX_GATHERED: usize = 100;

/// An upload that models are to look at.
pub(super) struct Wanted {
    pub(super) object: ObjectAddress,
    pub(super) models: BTreeSet<(Priority, ModelName)>,
}

/// The uploads of one message, which is acknowledged once their tasks are sent.
pub(super) struct Arrival {
    pub(super) wanted: Vec<Wanted>,
    pub(super) reply: oneshot::Sender<PortResult<()>>,
}

/// Gathers what arrives within a short time: S3 tells of each upload in a message of its own, and
/// tasks travel best by the pack.
pub(super) struct Gatherer {
    arrivals: mpsc::Sender<Arrival>,
}

impl Gatherer {
    /// Starts gathering; it ends with the last handle. Nobody waits longer than `wait` for others.
    pub(super) fn start(packer: Packer, wait: Duration) -> Self {
        let (arrivals, waiting) = mpsc::channel(MAX_GATHERED);
        tokio::spawn(pack_all(packer, wait, waiting));
        Self { arrivals }
    }

    /// Sends the tasks of `wanted`, in packs with others.
    pub(super) async fn send(&self, wanted: Vec<Wanted>) -> PortResult<()> {
        if wanted.is_empty() {
            return Ok(());
        }
        let gone = || PortError::permanent("sending tasks of uploads", "nobody sends them");
        let (reply, answer) = oneshot::channel();
        self.arrivals.send(Arrival { wanted, reply }).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

async fn pack_all(packer: Packer, wait: Duration, mut waiting: mpsc::Receiver<Arrival>) {
    loop {
        let arrivals = gather(&mut waiting, MAX_GATHERED, |_| Instant::now() + wait).await;
        if arrivals.is_empty() {
            return;
        }
        packer.send(arrivals).await;
    }
}
