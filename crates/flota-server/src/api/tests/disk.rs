//! A disk that is nearly full, and a queue that does not answer.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::http::StatusCode;
use flota_platform::{DiskReserve, DiskSpace};
use tokio::time::{self, Instant};

use crate::testing::{CountingQueue, Fixture, until};

const MIB: u64 = 1024 * 1024;
const SUBMISSION: &str = r#"{"images": [{"url": "https://a.example/1"}], "models": ["cat"]}"#;

/// A server whose disk has the free bytes of the number.
async fn on_disk() -> (Fixture, Arc<AtomicU64>) {
    let free = Arc::new(AtomicU64::new(10_000 * MIB));
    let read = free.clone();
    let read = move || {
        let free_bytes = read.load(Ordering::Relaxed);
        Ok(DiskSpace { free_bytes, total_bytes: 100_000 * MIB })
    };
    let disk = DiskReserve::new(Arc::new(read), 512 * MIB);
    (Fixture::on(&[], |platform| platform.disk = disk).await, free)
}

#[tokio::test(start_paused = true)]
async fn with_only_the_reserve_left_nothing_new_is_taken_and_what_was_accepted_finishes() {
    let (fixture, free) = on_disk().await;
    let accepted = fixture.submit(2, &["cat"], Some("client.example")).await;
    free.store(511 * MIB, Ordering::Relaxed);
    time::advance(Duration::from_secs(1)).await;
    for (path, body) in [("/v1/requests", SUBMISSION), ("/v1/images", "some bytes")] {
        let answer = fixture.post(path, body).await;
        assert_eq!(answer.status, StatusCode::INSUFFICIENT_STORAGE, "{path}: {}", answer.json);
        assert_eq!(answer.json["code"], "STORAGE_FULL");
        let detail = answer.json["detail"].as_str().unwrap();
        for part in ["511 MiB free", "512 MiB", "embedded.min_free_bytes"] {
            assert!(detail.contains(part), "{path}: {detail}");
        }
    }
    assert_eq!(fixture.take_tasks("cat").await.len(), 1, "nothing of the refused one was sent");
    let metrics = fixture.get("/metrics").await.json;
    let line = format!("flota_disk_free_bytes {}", 511 * MIB);
    assert!(metrics.as_str().unwrap().contains(&line), "{metrics}");

    let running = fixture.start();
    time::advance(fixture.settings.sweeper.resend).await;
    let path = format!("/v1/requests/{accepted}");
    until(async || {
        fixture.work("cat").await;
        fixture.get(&path).await.json["callbacks"][0]["state"] == "delivered"
    })
    .await;
    assert_eq!(fixture.get(&path).await.json["status"], "succeeded");
    assert_eq!(fixture.get("/readyz").await.status, StatusCode::OK, "what was accepted goes on");

    free.store(513 * MIB, Ordering::Relaxed);
    time::advance(Duration::from_secs(1)).await;
    assert_eq!(fixture.post("/v1/requests", SUBMISSION).await.status, StatusCode::ACCEPTED);
    assert_eq!(fixture.post("/v1/images", "some bytes").await.status, StatusCode::CREATED);
    fixture.stop.cancel();
    for role in running {
        role.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn an_acceptance_does_not_wait_for_a_slow_queue_and_the_sweeper_sends() {
    let fixture = Fixture::on(&[], |platform| {
        CountingQueue::over(platform).slow_sends.store(1, Ordering::Relaxed);
    })
    .await;
    let begun = Instant::now();
    fixture.submit(2, &["cat"], None).await;
    assert!(begun.elapsed() <= Duration::from_secs(2), "{:?}", begun.elapsed());
    assert!(fixture.take_tasks("cat").await.is_empty(), "nothing was sent yet");

    let sweeper = fixture.roles.lock().unwrap().take().expect("taken once").sweeper;
    time::sleep(fixture.settings.sweeper.accept_grace).await;
    assert_eq!(sweeper.sweep().await.unwrap(), 1);
    let sent = fixture.take_tasks("cat").await;
    assert_eq!(sent.iter().map(|message| message.tasks.len()).sum::<usize>(), 2);
    time::sleep(Duration::from_secs(120)).await;
    assert!(fixture.take_tasks("cat").await.is_empty(), "the slow send was given up");
}
