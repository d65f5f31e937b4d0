use std::{collections::BTreeSet, time::Duration};

use flota_core::{Lane, ModelName, ObjectAddress, PortError, PortResult};
use tokio::{
    sync::{mpsc, oneshot},
    time,
};

use super::packer::Packer;

/// Most messages whose tasks are packed together: their objects are looked up in one call.
const MAX_GATHERED: usize = 100;

/// An upload that models are to look at.
pub(super) struct Wanted {
    pub(super) object: ObjectAddress,
    pub(super) models: BTreeSet<(Lane, ModelName)>,
}

/// The uploads of one message, which is settled once their tasks are sent.
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
        tokio::spawn(gather(packer, wait, waiting));
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

async fn gather(packer: Packer, wait: Duration, mut waiting: mpsc::Receiver<Arrival>) {
    while let Some(first) = waiting.recv().await {
        let mut arrivals = vec![first];
        let _ = time::timeout(wait, fill(&mut arrivals, &mut waiting)).await;
        packer.send(arrivals).await;
    }
}

async fn fill(arrivals: &mut Vec<Arrival>, waiting: &mut mpsc::Receiver<Arrival>) {
    while arrivals.len() < MAX_GATHERED {
        match waiting.recv().await {
            Some(arrival) => arrivals.push(arrival),
            None => return,
        }
    }
}
