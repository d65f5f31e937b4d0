//! What the loop decodes, and what becomes of what it cannot decode.

use flota_core::{Reason, Subject, ports::DeadLetterFilter};

use super::*;

#[tokio::test(start_paused = true)]
async fn each_delivery_is_decoded_once() {
    let bench = Bench::new();
    bench.send(&["a", "bb", "ccc", "!"]).await;
    let (stop, done) = bench.run(|delivery, _| async move {
        match (delivery.body.as_str(), delivery.receive_count) {
            ("a", 1) => Err(PortError::transient("testing", "told to fail")),
            _ => Ok(Handled::Ack),
        }
    });
    bench.until_empty().await;
    stop.cancel();
    done.await.unwrap();
    assert_eq!(bench.decode_count.load(Ordering::Relaxed), 5, "one message was delivered twice");
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_message_is_dead_lettered_and_the_loop_goes_on() {
    let bench = Bench::new();
    bench.send(&["!", "in part", "a"]).await;
    let handled = Arc::new(Mutex::new(Vec::new()));
    let seen = handled.clone();
    let (stop, done) = bench.run(move |delivery, _| {
        seen.lock().unwrap().push(delivery.body.clone());
        async move {
            Ok(match delivery.body.as_str() {
                "in part" => Handled::PartlyUnreadable(Unreadable::new("a word is missing")),
                _ => Handled::Ack,
            })
        }
    });
    bench.until_empty().await;
    stop.cancel();
    done.await.unwrap();
    assert_eq!(*handled.lock().unwrap(), ["in part", "a"]);
    let filter = DeadLetterFilter { limit: 10, ..DeadLetterFilter::default() };
    let letters = bench.dead_letters.list(&filter).await.unwrap().letters;
    let mut letters: Vec<_> = letters
        .into_iter()
        .map(|letter| {
            assert_eq!(letter.reason, Reason::Unreadable);
            let Subject::Message { body, .. } = letter.subject else { panic!("not of a message") };
            (body, letter.message)
        })
        .collect();
    letters.sort();
    let expected = [("!", "it shouts"), ("in part", "a word is missing")];
    assert_eq!(letters, expected.map(|(body, why)| (body.to_owned(), why.to_owned())));
}
