use flota_core::ports::Clock;
use jiff::Timestamp;

/// The clock of the machine and the randomness of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn random(&self) -> u64 {
        rand::random()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_differ_and_carry_the_time() {
        let before = SystemClock.now().as_millisecond();
        let [first, second] = [SystemClock.uuid(), SystemClock.uuid()];
        assert_ne!(first, second);
        let (seconds, nanos) = first.get_timestamp().expect("a UUIDv7 has a time").to_unix();
        assert!(seconds as i64 * 1_000 + i64::from(nanos / 1_000_000) >= before);
    }
}
