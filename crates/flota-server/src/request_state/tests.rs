use std::sync::Arc;

use flota_core::{Code, RequestId};
use serde_json::Value;

use crate::testing::{Behaviour, CountingRequests, Fixture, failed, succeeded, until};

const HOST: &str = "client.example";

async fn fixture() -> (Fixture, Arc<CountingRequests>) {
    let mut counting = None;
    let fixture =
        Fixture::on(&[], |platform| counting = Some(CountingRequests::over(platform))).await;
    (fixture, counting.unwrap())
}

/// A request of a hundred tasks of `cat`, all of which have ended.
async fn finished(fixture: &Fixture, host: Option<&str>) -> RequestId {
    let id = fixture.submit(100, &["cat"], host).await;
    fixture.work("cat").await;
    let path = format!("/v1/requests/{id}?limit=1");
    until(async || fixture.get(&path).await.json["terminal"] == true).await;
    id
}

fn numbers(view: &Value) -> Vec<u64> {
    let outcomes = view["outcomes"].as_array().unwrap();
    outcomes.iter().map(|outcome| outcome["n"].as_u64().unwrap()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_page_reads_the_outcomes_that_it_gives_and_no_other() {
    let (fixture, counting) = fixture().await;
    fixture.start();
    let path = format!("/v1/requests/{}", finished(&fixture, None).await);
    counting.take();
    for (query, first, count, next) in [
        ("?limit=3", 0, 3, Some(2)),
        ("?limit=5&after=41", 42, 5, Some(46)),
        ("?limit=5&after=94", 95, 5, None),
        ("?limit=5&after=97", 98, 2, None),
        ("?limit=5&after=99", 100, 0, None),
        ("?limit=4&round=1", 0, 4, Some(3)),
    ] {
        let view = fixture.get(&format!("{path}{query}")).await.json;
        let wanted: Vec<u32> = (first..first + count).collect();
        assert_eq!(numbers(&view), wanted.iter().map(|n| u64::from(*n)).collect::<Vec<_>>());
        assert_eq!(view["next_after"].as_u64(), next, "{query}");
        assert_eq!(view["counts"]["succeeded"], 100);
        let reads = counting.take();
        assert_eq!((reads.outcomes, reads.packs), (wanted, 0), "{query}");
        assert_eq!((reads.requests, reads.rounds, reads.counts), (1, 1, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn where_tasks_are_open_a_page_reads_on_until_it_is_full() {
    let (fixture, counting) = fixture().await;
    fixture.start();
    let id = fixture.submit(60, &["cat", "dog"], None).await;
    let path = format!("/v1/requests/{id}");
    counting.take();
    let view = fixture.get(&format!("{path}?limit=5")).await.json;
    assert_eq!((numbers(&view).len(), counting.take().outcomes.len()), (0, 0));
    let last = fixture.take_tasks("cat").await.pop().unwrap();
    fixture.send_outcomes(succeeded(&last).encode().unwrap()).await;
    until(async || fixture.get(&path).await.json["counts"]["succeeded"] == 20).await;
    // The last twenty tasks of `cat` are every other of the last forty.
    let (mut after, mut all) = (String::new(), Vec::new());
    loop {
        let view = fixture.get(&format!("{path}?limit=5{after}")).await.json;
        assert!(numbers(&view).len() <= 5);
        all.extend(numbers(&view));
        match view["next_after"].as_u64() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    assert_eq!(all, (40..60).map(|image| image * 2).collect::<Vec<u64>>());
}

#[tokio::test(start_paused = true)]
async fn a_task_counts_once_by_the_last_round_that_runs_it() {
    let (fixture, counting) = fixture().await;
    fixture.start();
    let id = fixture.submit(3, &["cat"], None).await;
    let tasks = fixture.take_tasks("cat").await.remove(0);
    let crashed = crate::testing::crashed(&tasks);
    fixture.send_outcomes(crashed.encode().unwrap()).await;
    let path = format!("/v1/requests/{id}");
    until(async || fixture.get(&path).await.json["terminal"] == true).await;
    let letters = fixture.get("/v1/dead-letters").await.json;
    let letter = letters["dead_letters"][1]["id"].as_str().unwrap();
    let answer = fixture.post(&format!("/v1/dead-letters/{letter}/replay"), "").await;
    assert_eq!(answer.status, 200, "{}", answer.json);
    let view = fixture.get(&path).await.json;
    assert_eq!((&view["counts"]["failed"], &view["counts"]["open"]), (&2.into(), &1.into()));
    fixture.work("cat").await;
    until(async || fixture.get(&path).await.json["terminal"] == true).await;
    counting.take();
    let view = fixture.get(&path).await.json;
    assert_eq!(view["status"], "partially_failed");
    let counts = &view["counts"];
    assert_eq!(
        (&counts["total"], &counts["failed"], &counts["succeeded"], &counts["open"]),
        (&3.into(), &2.into(), &1.into(), &0.into())
    );
    assert_eq!(view["rounds"][0]["counts"]["failed"], 3);
    assert_eq!(view["rounds"][1]["counts"]["total"], 1);
    let rounds: Vec<u64> =
        view["outcomes"].as_array().unwrap().iter().map(|o| o["round"].as_u64().unwrap()).collect();
    assert_eq!(rounds.iter().sum::<u64>(), 4, "one ran in round 2: {rounds:?}");
    let of_first = fixture.get(&format!("{path}?round=1")).await.json;
    assert_eq!(numbers(&of_first), [0, 1, 2]);
    let of_second = fixture.get(&format!("{path}?round=2")).await.json;
    assert_eq!(numbers(&of_second).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_look_of_a_waiting_call_reads_the_progress_alone() {
    let (fixture, counting) = fixture().await;
    let id = fixture.submit(40, &["cat"], None).await;
    let tasks = fixture.take_tasks("cat").await.remove(0);
    fixture.start();
    fixture.send_outcomes(failed(&tasks, Code::DecodeCorrupt).encode().unwrap()).await;
    let path = format!("/v1/requests/{id}?limit=1");
    until(async || fixture.get(&path).await.json["counts"]["failed"] == 20).await;
    counting.take();
    fixture.get(&format!("{path}&wait=30")).await;
    let reads = counting.take();
    assert!(reads.rounds > 3, "it looked several times: {reads:?}");
    assert_eq!((reads.requests, reads.counts, reads.packs), (1, 1, 0));
    assert!(reads.outcomes.len() <= 2, "{reads:?}");
}

#[tokio::test(start_paused = true)]
async fn an_attempt_of_a_callback_reads_no_outcome_again() {
    let (fixture, counting) = fixture().await;
    fixture.receivers.behave(HOST, Behaviour::Answers(500, None));
    fixture.start();
    finished(&fixture, Some(HOST)).await;
    until(async || !fixture.receivers.of(HOST).is_empty()).await;
    counting.take();
    until(async || fixture.receivers.of(HOST).len() == 4).await;
    let reads = counting.take();
    assert_eq!((reads.requests, reads.outcomes.len()), (0, 0), "{reads:?}");
    let received = fixture.receivers.of(HOST);
    assert!(received.iter().all(|request| request.body == received[0].body));
}
