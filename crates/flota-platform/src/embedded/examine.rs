//! What is wrong with a data folder.

use std::{io, path::Path};

use rusqlite::{Connection, OpenFlags};
use rustix::fs::statvfs;

use super::schema::{QUEUE, RECORDS, Schema};
use crate::doctor::Check;

/// Least free space in bytes: SQLite's log may grow to 64 MiB twice while a day's outcomes and
/// uploads come in.
const MIN_FREE_BYTES: u64 = 1024 * 1024 * 1024;

/// Looks at the folder, its room, and each database in it. It blocks, reads every page, and changes
/// nothing but a file that it makes and removes again.
pub fn examine(data_dir: &Path) -> Vec<Check> {
    if !data_dir.exists() {
        let about = format!("data folder {}", data_dir.display());
        return vec![Check::good(about, "not there yet: the first start makes it")];
    }
    let mut checks = vec![writable(data_dir), room(data_dir)];
    for (file, schema) in [("queue.sqlite", &QUEUE), ("records.sqlite", &RECORDS)] {
        let path = data_dir.join(file);
        let about = format!("database {}", path.display());
        checks.push(match path.exists() {
            true => database(about, &path, schema),
            false => Check::good(about, "not there yet: the first start makes it"),
        });
    }
    checks
}

fn writable(data_dir: &Path) -> Check {
    let about = format!("data folder {}", data_dir.display());
    match tempfile::NamedTempFile::new_in(data_dir).and_then(|file| file.close()) {
        Ok(()) => Check::good(about, "writable"),
        Err(error) => Check::wrong(
            about,
            format!("no file can be made in it: {error}"),
            "make it writable for the user that runs Flota, or set data_dir to another folder",
        ),
    }
}

fn room(data_dir: &Path) -> Check {
    let about = format!("free space for {}", data_dir.display());
    let free_bytes = match statvfs(data_dir) {
        Ok(disk) => disk.f_bavail.saturating_mul(disk.f_frsize),
        Err(error) => {
            let problem = format!("it cannot be told: {}", io::Error::from(error));
            return Check::wrong(about, problem, "see that the disk is mounted");
        }
    };
    let free_mib = free_bytes / (1024 * 1024);
    match free_bytes >= MIN_FREE_BYTES {
        true => Check::good(about, format!("{free_mib} MiB")),
        false => Check::wrong(
            about,
            format!("{free_mib} MiB: soon nothing is accepted, recorded or uploaded any more"),
            format!("free {} MiB, or move the folder", MIN_FREE_BYTES / (1024 * 1024)),
        ),
    }
}

fn database(about: String, path: &Path, schema: &Schema) -> Check {
    let (version, damage) = match read(path) {
        Ok(read) => read,
        Err(error) => {
            let remedy = "stop the fleet and restore the file from a backup, or see who holds it";
            return Check::wrong(about, format!("it cannot be read: {error}"), remedy);
        }
    };
    if version > schema.version() {
        let problem = format!("version {version}, and this program knows {}", schema.version());
        return Check::wrong(about, problem, "use the program that wrote it");
    }
    match damage.as_str() {
        "ok" => Check::good(about, format!("whole, version {version}")),
        damage => Check::wrong(about, damage, "stop the fleet and restore the file from a backup"),
    }
}

/// The file's version and what SQLite says of its pages and indexes, `ok` where they are whole.
fn read(path: &Path) -> rusqlite::Result<(usize, String)> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let version = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let damage = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    Ok((version, damage))
}

#[cfg(test)]
mod tests {
    use std::{fs, sync::Arc};

    use super::*;
    use crate::{SystemClock, doctor::Verdict, embedded::open};

    fn wrong(checks: Vec<Check>) -> Vec<String> {
        let problem = |check: Check| match check.verdict {
            Verdict::Wrong { problem, .. } => Some(format!("{}: {problem}", check.about)),
            _ => None,
        };
        checks.into_iter().filter_map(problem).collect()
    }

    #[test]
    fn a_folder_that_was_opened_is_well() {
        let dir = tempfile::tempdir().unwrap();
        assert!(wrong(examine(&dir.path().join("none"))).is_empty());
        let store = open(dir.path(), Arc::new(SystemClock)).unwrap();
        let checks = examine(dir.path());
        assert!(checks.len() == 4 && wrong(checks.clone()).is_empty(), "{checks:?}");
        drop(store);
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
        let wrong = wrong(examine(dir.path()));
        assert!(matches!(&wrong[..], [one] if one.contains("records.sqlite")), "{wrong:?}");
    }

    #[test]
    fn a_file_of_a_later_program_is_wrong() {
        let dir = tempfile::tempdir().unwrap();
        let connection = Connection::open(dir.path().join("queue.sqlite")).unwrap();
        connection.pragma_update(None, "user_version", 1_000).unwrap();
        let wrong = wrong(examine(dir.path()));
        assert!(matches!(&wrong[..], [one] if one.contains("version 1000")), "{wrong:?}");
    }
}
