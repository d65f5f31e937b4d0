//! What is wrong with a data folder.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::{
    schema::{QUEUE, RECORDS, Schema},
    vacuum,
};
use crate::{DiskSpace, doctor::Check};

const MIB: u64 = 1024 * 1024;

/// Looks at the folder, its room, of which `min_free_bytes` are reserved, and each database in it. It blocks, reads every page, and changes
/// nothing but a file that it makes and removes again.
pub fn run_checks(data_dir: &Path, min_free_bytes: u64) -> Vec<Check> {
    if !data_dir.exists() {
        let about = format!("data folder {}", data_dir.display());
        return vec![Check::ok(about, "not there yet: the first start makes it")];
    }
    let mut checks = vec![writable(data_dir), room(data_dir, min_free_bytes)];
    for (file, schema) in [("queue.sqlite", &QUEUE), ("records.sqlite", &RECORDS)] {
        let path = data_dir.join(file);
        let about = format!("database {}", path.display());
        checks.push(match path.exists() {
            true => database(about, &path, schema),
            false => Check::ok(about, "not there yet: the first start makes it"),
        });
    }
    checks
}

fn writable(data_dir: &Path) -> Check {
    let about = format!("data folder {}", data_dir.display());
    match tempfile::NamedTempFile::new_in(data_dir).and_then(|file| file.close()) {
        Ok(()) => Check::ok(about, "writable"),
        Err(error) => Check::error(
            about,
            format!("no file can be made in it: {error}"),
            "make it writable for the user that runs Flota, or set data_dir to another folder",
        ),
    }
}

fn room(data_dir: &Path, min_free_bytes: u64) -> Check {
    let about = format!("free space for {}", data_dir.display());
    let space = match DiskSpace::of(data_dir) {
        Ok(space) => space,
        Err(error) => {
            let problem = format!("it cannot be told: {error}");
            return Check::error(about, problem, "see that the disk is mounted");
        }
    };
    let mib = |bytes: u64| bytes / MIB;
    let (free, reserved) = (space.free_bytes, space.reserved_bytes(min_free_bytes));
    let seen = format!("{} MiB, {} MiB of them reserved", mib(free), mib(reserved));
    if let Err(low) = space.check(min_free_bytes) {
        let problem = format!("new requests and uploads are answered 507: {low}");
        return Check::error(about, problem, "free some space, or move the folder");
    }
    if free < reserved.saturating_mul(2) {
        let problem = format!("{seen}: soon new requests and uploads are answered 507");
        return Check::warning(about, problem, "free some space, or move the folder");
    }
    Check::ok(about, seen)
}

fn database(about: String, path: &Path, schema: &Schema) -> Check {
    let (version, damage, (size_bytes, free_bytes, is_shrinking)) = match read(path) {
        Ok(read) => read,
        Err(error) => {
            let remedy = "stop the fleet and restore the file from a backup, or see who holds it";
            return Check::error(about, format!("it cannot be read: {error}"), remedy);
        }
    };
    if version > schema.version() {
        let problem = format!("version {version}, and this program knows {}", schema.version());
        return Check::error(about, problem, "use the program that wrote it");
    }
    match damage.as_str() {
        "ok" if !is_shrinking && !vacuum::is_rewritten_at_start(size_bytes) => Check::warning(
            about,
            format!(
                "an earlier version made it: {} MiB of its {} MiB are free, and it does not shrink",
                free_bytes / MIB,
                size_bytes / MIB
            ),
            "stop the fleet and run `flota vacuum`, for about a minute for each few gigabytes",
        ),
        "ok" => {
            let (size, free) = (size_bytes / MIB, free_bytes / MIB);
            Check::ok(
                about,
                format!("whole, version {version}, {size} MiB, {free} MiB of them free"),
            )
        }
        damage => Check::error(about, damage, "stop the fleet and restore the file from a backup"),
    }
}

/// What is known of a file: its version, what SQLite says of its pages and indexes (`ok` where they are
/// whole), and its sizes.
type Read = (usize, String, (u64, u64, bool));

fn read(path: &Path) -> rusqlite::Result<Read> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let version = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let damage = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    Ok((version, damage, vacuum::sizes(&connection)?))
}

#[cfg(test)]
mod tests {
    use std::{fs, sync::Arc};

    use super::*;
    use crate::{SystemClock, doctor::Verdict, embedded::open};

    fn wrong(checks: Vec<Check>) -> Vec<String> {
        let problem = |check: Check| match check.verdict {
            Verdict::Error { problem, .. } => Some(format!("{}: {problem}", check.about)),
            _ => None,
        };
        checks.into_iter().filter_map(problem).collect()
    }

    #[test]
    fn a_folder_that_was_opened_is_well() {
        let dir = tempfile::tempdir().unwrap();
        assert!(wrong(run_checks(&dir.path().join("none"), 0)).is_empty());
        let store = open(dir.path(), Arc::new(SystemClock)).unwrap();
        let checks = run_checks(dir.path(), 0);
        assert!(checks.len() == 4 && wrong(checks.clone()).is_empty(), "{checks:?}");
        drop(store);
    }

    #[test]
    fn a_disk_with_only_the_reserve_left_is_wrong() {
        let dir = tempfile::tempdir().unwrap();
        let space = DiskSpace::of(dir.path()).unwrap();
        // What may be reserved is a tenth of the disk: this disk may have more free.
        let is_low = space.free_bytes < space.total_bytes / 10;
        let wrong = wrong(run_checks(dir.path(), u64::MAX));
        assert_eq!(wrong.iter().any(|problem| problem.contains("507")), is_low, "{wrong:?}");
    }

    #[test]
    fn a_damaged_page_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("records.sqlite");
        let connection = Connection::open(&path).unwrap();
        connection.execute("CREATE TABLE a (x BLOB)", []).unwrap();
        connection.execute("INSERT INTO a VALUES (zeroblob(100000))", []).unwrap();
        drop(connection);
        let mut bytes = fs::read(&path).unwrap();
        // The second page is the table's.
        bytes[4096..8192].fill(0xff);
        fs::write(&path, bytes).unwrap();
        let wrong = wrong(run_checks(dir.path(), 0));
        assert!(matches!(&wrong[..], [one] if one.contains("records.sqlite")), "{wrong:?}");
    }

    #[test]
    fn a_file_of_a_later_program_is_wrong() {
        let dir = tempfile::tempdir().unwrap();
        let connection = Connection::open(dir.path().join("queue.sqlite")).unwrap();
        connection.pragma_update(None, "user_version", 1_000).unwrap();
        let wrong = wrong(run_checks(dir.path(), 0));
        assert!(matches!(&wrong[..], [one] if one.contains("version 1000")), "{wrong:?}");
    }
}
