use jiff::Timestamp;
use uuid::{Builder, Uuid};

/// Time, randomness and ids, so that a whole fleet can run seeded in one process.
pub trait Clock: Send + Sync {
    /// The present time, which may jump.
    fn now(&self) -> Timestamp;

    /// Random bits.
    fn random(&self) -> u64;

    /// A UUIDv7 of the present millisecond.
    fn uuid(&self) -> Uuid {
        let millis = u64::try_from(self.now().as_millisecond()).unwrap_or(0);
        let mut random = [0; 10];
        random[..8].copy_from_slice(&self.random().to_le_bytes());
        random[8..].copy_from_slice(&self.random().to_le_bytes()[..2]);
        Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
    }
}
