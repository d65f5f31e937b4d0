use std::time::{Duration, SystemTime};

use jiff::Timestamp;

/// How long a server wants to be left alone: the value of `Retry-After` in seconds, or as a date of HTTP
/// (RFC 9110, 10.2.3). `None` where it is neither, or a date that has passed.
pub fn retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(value.trim()).ok()?;
    date.duration_since(SystemTime::from(now)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_dates_are_read() {
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        for (value, seconds) in [
            ("90", Some(90)),
            (" 0 ", Some(0)),
            ("Thu, 01 Jan 2026 00:02:00 GMT", Some(120)),
            ("Thursday, 01-Jan-26 00:02:00 GMT", Some(120)),
            ("Thu, 01 Jan 2015 00:02:00 GMT", None),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
        ] {
            assert_eq!(retry_after(value, now), seconds.map(Duration::from_secs), "{value}");
        }
    }
}
