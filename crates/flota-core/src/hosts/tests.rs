use std::time::Duration;

use jiff::Timestamp;

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const SLOW: Duration = Duration::from_secs(7);
const HOST: &str = "receiver.example";
/// The longest wait of a refused item.
const MAX_WAIT: Duration = Duration::from_secs(600);

fn limits() -> HostLimits {
    HostLimits {
        at_once: 64,
        per_host: 4,
        held: 1_024,
        held_per_slow_host: 16,
        held_per_quick_host: 256,
        ahead: SECOND,
        unknown_pace: SECOND / 16,
        breaker_failures: 5,
        breaker_open: 60 * SECOND,
        slow: 8 * SECOND,
    }
}

fn start() -> (HostQueue<usize>, Timestamp) {
    (HostQueue::new(limits()), "2026-01-01T00:00:00Z".parse().unwrap())
}

/// Offers `count` items to `host`. Returns when the refused ones should come again.
fn offer(queue: &mut HostQueue<usize>, host: &str, count: usize, now: Timestamp) -> Vec<Timestamp> {
    let offered = (0..count).map(|n| queue.admit(host, n, now, false));
    offered.filter_map(Result::err).map(|refused| refused.until).collect()
}

fn failed() -> Verdict {
    Verdict::Failed { retry_after: None, fault: None }
}

fn begin(queue: &mut HostQueue<usize>, now: Timestamp) -> Option<String> {
    queue.begin(now, |_| true).map(|(host, _)| host)
}

fn end(
    queue: &mut HostQueue<usize>,
    verdict: Verdict,
    took: Duration,
    now: Timestamp,
) -> Vec<(usize, Timestamp)> {
    let host = begin(queue, now).unwrap();
    queue.ended(&Ended { host, verdict, took }, now, |_| true)
}

/// Runs one call to `host`.
fn one(queue: &mut HostQueue<usize>, host: &str, verdict: Verdict, took: Duration, now: Timestamp) {
    queue.admit(host, 0, now, true).unwrap();
    assert_eq!(begin(queue, now).as_deref(), Some(host));
    queue.ended(&Ended { host: host.to_owned(), verdict, took }, now, |_| true);
}

#[test]
fn a_name_that_failed_once_is_not_kept_for_ever() {
    let (mut queue, now) = start();
    for n in 0..100 {
        one(&mut queue, &format!("{n}.example"), failed(), SECOND, now);
    }
    queue.forget_old_failures(now + 60 * SECOND);
    assert_eq!(queue.host_count(), 100, "failures in a row are counted");
    queue.forget_old_failures(now + 3600 * SECOND);
    assert_eq!(queue.host_count(), 0);
}

#[test]
fn quick_hosts_are_remembered_up_to_a_bound() {
    let (mut queue, now) = start();
    for n in 0..5_000 {
        one(&mut queue, &format!("{n}.example"), Verdict::Answered, SECOND / 100, now);
    }
    queue.forget_old_failures(now);
    assert_eq!(queue.host_count(), 0, "more than are worth it");
    one(&mut queue, HOST, Verdict::Answered, SECOND / 100, now);
    queue.forget_old_failures(now);
    assert_eq!(queue.host_count(), 1);
}

#[test]
fn a_deep_backlog_of_a_slow_host_comes_again_in_its_turn() {
    let (mut queue, now) = start();
    offer(&mut queue, HOST, 16, now);
    for _ in 0..8 {
        end(&mut queue, Verdict::Answered, 2 * SLOW, now);
    }
    let due = offer(&mut queue, HOST, 1000, now);
    assert_eq!(due.len(), 1000 - 8);
    assert!(due.is_sorted());
    let within = |wait: Duration| due.iter().filter(|at| **at <= now + wait).count();
    assert!(within(60 * SECOND) <= 60, "the backlog was to come again as a whole");
    assert_eq!(within(MAX_WAIT + SECOND), due.len());
}

#[test]
fn a_quick_host_is_held_more_for_and_a_failing_one_is_not_quick() {
    for (is_failing, most) in [(false, 256), (true, 16)] {
        let (mut queue, now) = start();
        for _ in 0..64 {
            one(&mut queue, HOST, Verdict::Answered, SECOND / 500, now);
        }
        // Too few failures to open the breaker.
        for _ in 0..4 * usize::from(is_failing) {
            one(&mut queue, HOST, failed(), 2 * SLOW, now);
        }
        offer(&mut queue, HOST, 1000, now);
        assert_eq!(queue.waiting_count(HOST), most);
    }
}

#[test]
fn a_breaker_gives_its_backlog_back_in_turn_and_not_before_it_ends() {
    let (mut queue, now) = start();
    offer(&mut queue, HOST, 20, now);
    let back: Vec<_> =
        (0..5).flat_map(|_| end(&mut queue, failed(), Duration::ZERO, now)).collect();
    let open_until = now + 60 * SECOND;
    let mut due: Vec<Timestamp> = back.into_iter().map(|(_, due_at)| due_at).collect();
    due.extend(offer(&mut queue, HOST, 1000, now));
    assert_eq!((queue.waiting_count(HOST), queue.held_count()), (0, 0));
    assert_eq!(due[0], open_until);
    assert!(due.is_sorted_by(|before, after| before < after), "all at once");
}

#[test]
fn after_its_breaker_one_call_at_a_time_is_tried_and_the_last_fault_is_said() {
    let (mut queue, now) = start();
    let fault = HostFault { code: Code::FetchTimeout, message: "no answer".to_owned() };
    for _ in 0..5 {
        let verdict = Verdict::Failed { retry_after: None, fault: Some(fault.clone()) };
        one(&mut queue, HOST, verdict, SECOND, now);
    }
    let refused = queue.admit(HOST, 7, now, false).unwrap_err();
    assert_eq!((refused.item, refused.why), (7, Refusal::Open(Some(fault))));
    let later = now + 61 * SECOND;
    offer(&mut queue, HOST, 3, later);
    assert!(begin(&mut queue, later).is_some());
    assert_eq!(begin(&mut queue, later), None, "two at a time");
    let answered = Ended { host: HOST.to_owned(), verdict: Verdict::Answered, took: SECOND };
    queue.ended(&answered, later, |_| true);
    assert!(begin(&mut queue, later).is_some() && begin(&mut queue, later).is_some());
}

#[test]
fn a_host_that_says_when_is_left_alone_until_then_at_its_first_failure() {
    let (mut queue, now) = start();
    for (asked, paused) in [(15, 15), (86_400, 60)] {
        let retry_after = Some(asked * SECOND);
        let verdict = Verdict::Failed { retry_after, fault: None };
        one(&mut queue, &asked.to_string(), verdict, SECOND, now);
        let until = queue.after_failure(&asked.to_string(), now);
        assert_eq!(until, Some(now + paused * SECOND), "one path must not silence a host for long");
    }
}

#[test]
fn slow_answers_count_in_part_and_leave_one_call_at_a_time() {
    let (mut queue, now) = start();
    for _ in 0..10 {
        assert!(queue.admit(HOST, 0, now, false).is_ok());
        assert!(end(&mut queue, Verdict::Answered, 9 * SECOND, now).is_empty());
    }
    offer(&mut queue, HOST, 3, now);
    assert!(begin(&mut queue, now).is_some(), "slow answers do not open the breaker");
    assert_eq!(begin(&mut queue, now), None, "two at a time");
    let quick = Ended { host: HOST.to_owned(), verdict: Verdict::Answered, took: SECOND };
    queue.ended(&quick, now, |_| true);
    assert!(begin(&mut queue, now).is_some() && begin(&mut queue, now).is_some());
}

#[test]
fn a_host_that_was_waited_for_in_vain_is_slow_until_it_answers() {
    let mut queue = HostQueue::new(HostLimits { unknown_pace: SECOND / 200, ..limits() });
    let now = start().1;
    offer(&mut queue, HOST, 100, now);
    assert_eq!(queue.waiting_count(HOST), 100, "nobody knows it yet");
    queue.overflow(HOST, now);
    assert_eq!(offer(&mut queue, HOST, 10, now).len(), 10, "it was waited for again");
}

#[test]
fn a_third_of_the_places_is_for_the_quick() {
    let (mut queue, now) = start();
    one(&mut queue, "quick.example", Verdict::Answered, SECOND / 10, now);
    for n in 0..100 {
        offer(&mut queue, &format!("unknown-{n}.example"), 10, now);
    }
    let mut taken = 0;
    while begin(&mut queue, now).is_some() {
        taken += 1;
    }
    assert_eq!(taken, 64 - 64 / 3, "hosts that nobody knows took too many");
    offer(&mut queue, "quick.example", 10, now);
    for _ in 0..4 {
        assert_eq!(begin(&mut queue, now).as_deref(), Some("quick.example"));
    }
    assert_eq!(begin(&mut queue, now), None);
}

#[test]
fn one_host_takes_its_share_alone_whatever_waits() {
    let (mut queue, now) = start();
    offer(&mut queue, HOST, 16, now);
    offer(&mut queue, "other.example", 1, now);
    let begun: Vec<String> = std::iter::from_fn(|| begin(&mut queue, now)).collect();
    assert_eq!(begun.iter().filter(|host| *host == HOST).count(), 4);
    assert_eq!(begun.iter().filter(|host| *host == "other.example").count(), 1);
}
