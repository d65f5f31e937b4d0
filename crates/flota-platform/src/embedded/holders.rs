//! What a supervisor does for a process that it saw end.

use std::path::Path;

use flota_core::PortResult;
use jiff::Timestamp;
use rusqlite::TransactionBehavior;

use super::{database::connect, error::Fault, messages};

/// Ends the leases on messages that the process `holder` of this machine took, so that what it had in
/// hand is received again at once, and not when the leases run out. Returns how many there were. It
/// blocks while others write.
///
/// # Errors
/// If the store cannot be written.
pub fn end_leases(data_dir: &Path, holder: u32) -> PortResult<usize> {
    let path = data_dir.join("queue.sqlite");
    if !path.exists() {
        return Ok(0);
    }
    let end = || {
        let mut connection = connect(&path)?;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let ended = messages::end_leases(&transaction, holder, Timestamp::now())?;
        transaction.commit()?;
        Ok::<_, Fault>(ended)
    };
    end().map_err(|fault| fault.into_port("ending the leases of a process that has ended"))
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use flota_core::{Priority, QueueNames, ports::NewMessage};

    use super::*;
    use crate::{SystemClock, embedded};

    #[tokio::test]
    async fn what_a_dead_process_had_in_hand_is_received_again_at_once() {
        const LEASE: Duration = Duration::from_secs(600);
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(end_leases(folder.path(), 1).unwrap(), 0, "there is no store yet");
        let queue = embedded::open(folder.path(), Arc::new(SystemClock)).unwrap().queue;
        let name = QueueNames::new("flota").tasks(&"cat".parse().unwrap(), Priority::Normal);
        let later = NewMessage { delay: LEASE, ..NewMessage::new("later", "") };
        queue.send(&name, &[NewMessage::new("a", ""), later]).await.unwrap();
        let receive = async || {
            let received = queue.receive(&name, 10, Duration::ZERO, LEASE).await.unwrap();
            received.into_iter().map(|it| (it.body, it.receive_count)).collect::<Vec<_>>()
        };
        assert_eq!(receive().await, [("a".to_owned(), 1)]);
        assert_eq!(end_leases(folder.path(), u32::MAX).unwrap(), 0, "nobody else has any");
        assert!(receive().await.is_empty());
        assert_eq!(end_leases(folder.path(), std::process::id()).unwrap(), 1);
        assert_eq!(receive().await, [("a".to_owned(), 2)], "and what is delayed stays so");
    }
}
