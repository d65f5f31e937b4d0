//! A clock that was put back is noticed by the latest time at which a file was used, and what the file
//! holds for later is shifted: otherwise it would stand still until the clock is there again.

use std::time::Duration;

use flota_core::{limits::MAX_LEASE, ports::queue_bounds::CLOCK_TOLERANCE};
use rusqlite::{Connection, params};

use super::error::Fault;

/// The latest time of a file of queues is written so often at most, while they are used.
const QUEUE_STEP: Duration = Duration::from_secs(1);
/// That of the records, which are looked at each second, used or not.
const RECORDS_STEP: Duration = Duration::from_secs(60);

/// What a look at the latest time says.
#[derive(Debug, PartialEq, Eq)]
enum Jump {
    None,
    /// Time went on, and that is to be written.
    Forward,
    /// The clock was put back by so many nanoseconds.
    Back(i64),
}

/// Whether the clock stands before the time at which the file was used.
pub(super) fn is_back(connection: &Connection, now: i64) -> Result<bool, Fault> {
    Ok(matches!(look(connection, now, QUEUE_STEP)?, Jump::Back(_)))
}

/// Whether [`notice_in_records`] has anything to write.
pub(super) fn is_due_in_records(connection: &Connection, now: i64) -> Result<bool, Fault> {
    Ok(look(connection, now, RECORDS_STEP)? != Jump::None)
}

/// Notes the time at which queues are used. If the clock was put back, messages are shown as much
/// earlier; those that would then wait longer than any lease are shown at once.
pub(super) fn notice_in_queues(connection: &Connection, now: i64) -> Result<(), Fault> {
    let Some(back) = note(connection, now, QUEUE_STEP)? else { return Ok(()) };
    let longest = now.saturating_add(nanos(MAX_LEASE));
    let shifted = connection
        .prepare_cached(
            "UPDATE messages
             SET visible_at = CASE WHEN visible_at > ?3 THEN ?1 ELSE max(visible_at - ?2, ?1) END
             WHERE visible_at > ?1",
        )?
        .execute(params![now, back, longest])?;
    connection
        .prepare_cached("UPDATE bodies SET sent_at = sent_at - ?2 WHERE sent_at > ?1")?
        .execute([now, back])?;
    warn(back, shifted, "messages");
    Ok(())
}

/// Notes the time at which records are used. If the clock was put back, rounds and callbacks are due,
/// and workers are taken for dead, as much earlier.
pub(super) fn notice_in_records(connection: &Connection, now: i64) -> Result<(), Fault> {
    let Some(back) = note(connection, now, RECORDS_STEP)? else { return Ok(()) };
    let mut shifted = 0;
    for shift in [
        "UPDATE rounds SET due_at = due_at - ?2 WHERE due_at > ?1",
        "UPDATE callbacks SET due_at = due_at - ?2 WHERE due_at > ?1",
        "UPDATE replays SET claimed_until = claimed_until - ?2 WHERE claimed_until > ?1",
        "UPDATE workers SET until = until - ?2 WHERE until > ?1",
    ] {
        shifted += connection.prepare_cached(shift)?.execute([now, back])?;
    }
    warn(back, shifted, "rounds, callbacks, replays and workers");
    Ok(())
}

fn warn(back: i64, shifted_count: usize, of: &str) {
    let back_seconds = back / 1_000_000_000;
    tracing::warn!(
        back_seconds,
        shifted_count,
        "the clock was put back: the times of {of} that lay \
        ahead are shifted with it"
    );
}

fn note(connection: &Connection, now: i64, step: Duration) -> Result<Option<i64>, Fault> {
    let back = match look(connection, now, step)? {
        Jump::None => return Ok(None),
        Jump::Forward => None,
        Jump::Back(back) => Some(back),
    };
    connection.prepare_cached("UPDATE clock SET latest = ?1")?.execute([now])?;
    Ok(back)
}

fn look(connection: &Connection, now: i64, step: Duration) -> Result<Jump, Fault> {
    let mut select = connection.prepare_cached("SELECT latest FROM clock")?;
    let latest: i64 = select.query_row([], |row| row.get(0))?;
    Ok(match latest.saturating_sub(now) {
        back if back > nanos(CLOCK_TOLERANCE) => Jump::Back(back),
        back if back < -nanos(step) => Jump::Forward,
        _ => Jump::None,
    })
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}
