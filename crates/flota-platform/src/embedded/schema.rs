use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};
use tracing::info;

use super::OpenError;

/// The shape of one database file, as the steps that lead to it. A step that was released never
/// changes; a new one is added below it.
pub(super) struct Schema {
    steps: &'static [&'static str],
}

/// The shape of `queue.sqlite`.
pub(super) const QUEUE: Schema = Schema {
    steps: &[
        include_str!("schema/queue_1.sql"),
        include_str!("schema/queue_2.sql"),
        include_str!("schema/queue_3.sql"),
        include_str!("schema/queue_4.sql"),
        include_str!("schema/queue_5.sql"),
    ],
};
/// The shape of `records.sqlite`.
pub(super) const RECORDS: Schema = Schema {
    steps: &[
        include_str!("schema/records_1.sql"),
        include_str!("schema/records_2.sql"),
        include_str!("schema/records_3.sql"),
        include_str!("schema/records_4.sql"),
        include_str!("schema/records_5.sql"),
        include_str!("schema/records_6.sql"),
        include_str!("schema/records_7.sql"),
    ],
};

impl Schema {
    /// The latest version that this program knows.
    pub(super) fn version(&self) -> usize {
        self.steps.len()
    }

    /// Brings the file to this program's version, keeping what it holds.
    ///
    /// # Errors
    /// If a later program wrote it, or SQLite fails.
    pub(super) fn migrate(
        &self,
        path: &Path,
        connection: &mut Connection,
    ) -> Result<(), OpenError> {
        let fail = |source| OpenError::database(path, source);
        let transaction =
            connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(fail)?;
        let found: usize =
            transaction.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(fail)?;
        let Some(missing) = self.steps.get(found..) else {
            let known = self.steps.len();
            return Err(OpenError::Newer { path: path.to_owned(), found, known });
        };
        for (n, step) in (found..).zip(missing) {
            // A new file has nothing to move.
            if found > 0 {
                info!(path = %path.display(), from = n, to = n + 1, "bringing the database to this version");
            }
            transaction.execute_batch(step).map_err(fail)?;
        }
        if !missing.is_empty() {
            transaction.pragma_update(None, "user_version", self.steps.len()).map_err(fail)?;
        }
        transaction.commit().map_err(fail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_applied_once_and_a_newer_file_is_refused() {
        const FIRST: &str = "CREATE TABLE a (x INTEGER) STRICT;";
        const SECOND: &str = "CREATE TABLE b (x INTEGER) STRICT; INSERT INTO b SELECT x FROM a;";
        let old = Schema { steps: &[FIRST] };
        let new = Schema { steps: &[FIRST, SECOND] };
        let path = Path::new("some.sqlite");
        let mut connection = Connection::open_in_memory().unwrap();

        old.migrate(path, &mut connection).unwrap();
        connection.execute("INSERT INTO a VALUES (7)", []).unwrap();
        new.migrate(path, &mut connection).unwrap();
        new.migrate(path, &mut connection).unwrap();
        let kept: Vec<i64> = connection
            .prepare("SELECT x FROM b")
            .unwrap()
            .query_map([], |row| row.get(0))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        assert_eq!(kept, [7]);

        let refused = old.migrate(path, &mut connection).unwrap_err();
        assert!(refused.to_string().contains("version 2"), "{refused}");
    }

    #[test]
    fn tasks_in_messages_of_before_are_counted() {
        let mut connection = Connection::open_in_memory().unwrap();
        let path = Path::new("queue.sqlite");
        Schema { steps: &QUEUE.steps[..4] }.migrate(path, &mut connection).unwrap();
        let old = r#"
            INSERT INTO queues (name) VALUES ('tasks');
            INSERT INTO messages (queue, visible_at, receive_count) VALUES (1, 0, 0), (1, 0, 0);
            INSERT INTO bodies (message, sent_at, body) VALUES
                (1, 0, '{"v":1,"tasks":[{"n":0,"model":"cat"},{"n":1,"model":"dog"},{"n":2,"model":"cat"}]}'),
                (2, 0, 'nobody can read it');
        "#;
        connection.execute_batch(old).unwrap();
        QUEUE.migrate(path, &mut connection).unwrap();
        let mut select = connection.prepare("SELECT model, tasks FROM backlog").unwrap();
        let counts = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        let counts: Vec<(String, u32)> = counts.map(Result::unwrap).collect();
        assert_eq!(counts, [("cat".to_owned(), 2), ("dog".to_owned(), 1)]);
    }

    #[test]
    fn uploads_that_requests_of_before_name_are_known_as_used() {
        let before = Schema { steps: &RECORDS.steps[..5] };
        let mut connection = Connection::open_in_memory().unwrap();
        let path = Path::new("records.sqlite");
        before.migrate(path, &mut connection).unwrap();
        let upload = format!("flota://sha256/{}", "AB".repeat(32));
        let request = serde_json::json!({"images": [
            {"url": upload}, {"url": upload}, {"url": "https://a.example/1"}, {"url": "flota://sha256/x"},
        ]});
        let insert = "INSERT INTO requests (id, record) VALUES (x'01', ?1)";
        connection.execute(insert, [request.to_string()]).unwrap();
        RECORDS.migrate(path, &mut connection).unwrap();
        let used: Vec<(Vec<u8>, Vec<u8>)> = connection
            .prepare("SELECT sha256, request FROM image_uses")
            .unwrap()
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        assert_eq!(used, [(vec![0xab; 32], vec![1])]);
    }
}
