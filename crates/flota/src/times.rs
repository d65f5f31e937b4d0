//! Times as a table shows them.

use std::io::{self, IsTerminal};

use jiff::{
    SignedDuration, Timestamp,
    fmt::friendly::{Designator, Spacing, SpanPrinter},
};

/// `time` as people read it on a terminal, such as `3 mins ago`; elsewhere as RFC 3339.
pub(crate) fn shown(time: Timestamp) -> String {
    match io::stdout().is_terminal() {
        true => relative(time, Timestamp::now()),
        false => time.to_string(),
    }
}

/// How far `time` is from `now`, in its largest unit: `3 mins ago`, `in 2 hrs`.
pub(crate) fn relative(time: Timestamp, now: Timestamp) -> String {
    let away = now.duration_since(time);
    match (away.as_secs().abs(), away.is_negative()) {
        (0, _) => "now".to_owned(),
        (_, true) => format!("in {}", span(away)),
        (_, false) => format!("{} ago", span(away)),
    }
}

/// `seconds` as people read an age or a duration on a terminal, in the largest unit: `3 mins`.
pub(crate) fn length(seconds: f64) -> String {
    match SignedDuration::try_from_secs_f64(seconds) {
        Ok(length) if length.abs() < SignedDuration::from_secs(1) => "under 1 sec".to_owned(),
        Ok(length) => span(length),
        Err(_) => format!("{seconds:.0} secs"),
    }
}

/// The largest unit alone: an age is read at a glance.
fn span(away: SignedDuration) -> String {
    const MINUTE: i64 = 60;
    const HOUR: i64 = 60 * MINUTE;
    const DAY: i64 = 24 * HOUR;
    let seconds = away.as_secs().abs();
    let unit = [DAY, HOUR, MINUTE, 1].into_iter().find(|unit| seconds >= *unit).unwrap_or(1);
    let count = seconds / unit;
    let span = match unit {
        DAY => jiff::Span::new().try_days(count),
        HOUR => jiff::Span::new().try_hours(count),
        MINUTE => jiff::Span::new().try_minutes(count),
        _ => jiff::Span::new().try_seconds(count),
    };
    let printer = SpanPrinter::new()
        .designator(Designator::Short)
        .spacing(Spacing::BetweenUnitsAndDesignators);
    // Only times outside of what jiff knows, thousands of years away, have no span.
    span.map_or_else(|_| format!("{seconds} secs"), |span| printer.span_to_string(&span))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_read_at_a_glance() {
        let lengths = [0.0, 0.9, 1.9, 59.0, 61.0, 7_300.0, 400_000.0].map(length);
        let wanted = ["under 1 sec", "under 1 sec", "1 sec", "59 secs", "1 min", "2 hrs", "4 days"];
        assert_eq!(lengths, wanted);
        assert!(length(f64::MAX).ends_with(" secs"));
    }

    #[test]
    fn the_largest_unit_says_how_far_a_time_is() {
        let now: Timestamp = "2026-11-21T10:00:00Z".parse().unwrap();
        let at = |seconds: i64| relative(now + SignedDuration::from_secs(seconds), now);
        assert_eq!(at(0), "now");
        assert_eq!((at(-1), at(-59)), ("1 sec ago".to_owned(), "59 secs ago".to_owned()));
        assert_eq!((at(-60), at(-200)), ("1 min ago".to_owned(), "3 mins ago".to_owned()));
        assert_eq!((at(7_300), at(-3_600)), ("in 2 hrs".to_owned(), "1 hr ago".to_owned()));
        assert_eq!(
            (at(-86_400), at(-9_999_999)),
            ("1 day ago".to_owned(), "115 days ago".to_owned())
        );
    }
}
