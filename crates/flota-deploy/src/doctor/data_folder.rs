//! What is wrong with a data folder.

use std::path::Path;

use flota_platform::{
    DiskSpace,
    embedded::{DATABASES, DatabaseState, inspect},
};

use super::Check;

const MIB: u64 = 1024 * 1024;

/// Checks the folder, its room, of which `min_free_bytes` are reserved, and each database in it. It blocks, reads
/// every page, and changes nothing but a file that it makes and removes again.
pub(super) fn check(data_dir: &Path, min_free_bytes: u64) -> Vec<Check> {
    if !data_dir.exists() {
        let about = format!("data folder {}", data_dir.display());
        return vec![Check::ok(about, "not there yet: the first start makes it")];
    }
    let mut checks = vec![writable(data_dir), room(data_dir, min_free_bytes)];
    for name in DATABASES {
        let path = data_dir.join(name);
        let about = format!("database {}", path.display());
        checks.push(if !path.exists() {
            Check::ok(about, "not there yet: the first start makes it")
        } else {
            match inspect(data_dir, name) {
                Ok(state) => database(about, &state),
                Err(error) => Check::error(
                    about,
                    format!("it cannot be read: {error}"),
                    "stop the fleet and restore the file from a backup, or see who holds it",
                ),
            }
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

fn database(about: String, state: &DatabaseState) -> Check {
    let DatabaseState { version, known_version, damage, size_bytes, free_bytes, is_shrinking } =
        state;
    if version > known_version {
        let problem = format!("version {version}, and this program knows {known_version}");
        return Check::error(about, problem, "use the program that wrote it");
    }
    if let Some(damage) = damage {
        return Check::error(about, damage, "stop the fleet and restore the file from a backup");
    }
    let (size, free) = (size_bytes / MIB, free_bytes / MIB);
    if !is_shrinking {
        return Check::warning(
            about,
            format!(
                "an earlier version made it: {free} MiB of its {size} MiB are free, and it does not shrink"
            ),
            "stop the fleet and run `flota vacuum`, for about a minute for each few gigabytes",
        );
    }
    Check::ok(about, format!("whole, version {version}, {size} MiB, {free} MiB of them free"))
}

#[cfg(test)]
mod tests {
    use std::{fs, sync::Arc};

    use flota_platform::{SystemClock, embedded::open};

    use super::*;
    use crate::doctor::Verdict;

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
        assert!(wrong(check(&dir.path().join("none"), 0)).is_empty());
        let store = open(dir.path(), Arc::new(SystemClock)).unwrap();
        let checks = check(dir.path(), 0);
        assert!(checks.len() == 4 && wrong(checks.clone()).is_empty(), "{checks:?}");
        drop(store);
    }

    #[test]
    fn a_disk_with_only_the_reserve_left_is_wrong() {
        let dir = tempfile::tempdir().unwrap();
        let space = DiskSpace::of(dir.path()).unwrap();
        // What may be reserved is a tenth of the disk: this disk may have more free.
        let is_low = space.free_bytes < space.total_bytes / 10;
        let wrong = wrong(check(dir.path(), u64::MAX));
        assert_eq!(wrong.iter().any(|problem| problem.contains("507")), is_low, "{wrong:?}");
    }

    #[test]
    fn a_file_that_cannot_be_read_is_wrong() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("records.sqlite"), [0xff; 4096]).unwrap();
        let wrong = wrong(check(dir.path(), 0));
        assert!(matches!(&wrong[..], [one] if one.contains("records.sqlite")), "{wrong:?}");
    }

    #[test]
    fn what_is_found_in_a_database_decides() {
        let well = DatabaseState {
            version: 5,
            known_version: 5,
            damage: None,
            size_bytes: 100 * MIB,
            free_bytes: MIB,
            is_shrinking: true,
        };
        let verdict = |state: DatabaseState| database("a database".to_owned(), &state).verdict;
        assert!(matches!(verdict(well.clone()), Verdict::Ok { .. }));
        let older = DatabaseState { version: 4, ..well.clone() };
        assert!(matches!(verdict(older), Verdict::Ok { .. }), "the next start migrates it");
        let newer = DatabaseState { version: 1_000, ..well.clone() };
        assert!(
            matches!(verdict(newer), Verdict::Error { problem, .. } if problem.contains("version 1000"))
        );
        let damaged = DatabaseState { damage: Some("page 2 is lost".to_owned()), ..well.clone() };
        assert!(
            matches!(verdict(damaged), Verdict::Error { problem, .. } if problem.contains("page 2"))
        );
        let fixed_size = DatabaseState { is_shrinking: false, ..well };
        assert!(matches!(verdict(fixed_size), Verdict::Warning { .. }));
    }
}
