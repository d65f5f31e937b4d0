use jiff::Timestamp;
use uuid::{Builder, Uuid};

/// Time, randomness and ids. A test can run a whole fleet in one process with a seeded clock.
pub trait Clock: Send + Sync {
    /// The current time, which may jump.
    fn now(&self) -> Timestamp;

    /// 64 random bits.
    fn random(&self) -> u64;

    /// A UUIDv7 for the current millisecond.
    fn uuid(&self) -> Uuid {
        let millis = u64::try_from(self.now().as_millisecond()).unwrap_or(0);
        let mut random = [0; 10];
        random[..8].copy_from_slice(&self.random().to_le_bytes());
        random[8..].copy_from_slice(&self.random().to_le_bytes()[..2]);
        Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
    }
}
