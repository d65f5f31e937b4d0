//! Uploaded images that no request names. A file is removed within the transaction that sees that nothing
//! names it, so that no request can begin to; and under its folder's lock, so that an upload of the same
//! bytes is noticed.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use flota_core::{PortError, PortResult, Sha256, ports::Deleted};
use jiff::Timestamp;
use rusqlite::Connection;
use tokio::task::spawn_blocking;

use super::super::{
    database::Database,
    error::Fault,
    images::{file_name, folder_name},
};

/// Most files that one transaction removes: each takes a fraction of a millisecond.
const MAX_FILES: usize = 50;
const LOOKING: &str = "looking for images to delete";

/// Deletes images of one folder that were last uploaded before `before`. A place is the hash of the last
/// image that was looked at, or the name of the folder before.
pub(super) async fn delete(
    database: &Database,
    images: &Path,
    before: Timestamp,
    after: Option<&str>,
) -> PortResult<Deleted> {
    let before = SystemTime::from(before);
    let after = after.unwrap_or_default().to_owned();
    let folder = match after.len() {
        0 => "00".to_owned(),
        2 => match following(&after) {
            Some(folder) => folder,
            None => return Ok(Deleted::default()),
        },
        _ => after.chars().take(2).collect(),
    };
    let (path, name) = (images.join(&folder), folder.clone());
    let look = move || old_files(&path, &name, &after, before);
    let old = match spawn_blocking(look).await {
        Ok(old) => old.map_err(|error| PortError::permanent(LOOKING, error))?,
        Err(panic) => return Err(PortError::permanent(LOOKING, panic)),
    };
    let next = match old.last() {
        Some(last) if old.len() == MAX_FILES => Some(last.to_string()),
        _ => following(&folder).map(|_| folder),
    };
    let mut deleted = Deleted { next, ..Deleted::default() };
    let read = move |connection: &Connection| {
        let mut unused = Vec::new();
        for sha256 in old {
            if !is_used(connection, &sha256)? {
                unused.push(sha256);
            }
        }
        Ok(unused)
    };
    let old = database.read(LOOKING, read).await?;
    if old.is_empty() {
        return Ok(deleted);
    }
    let images = images.to_owned();
    let write = move |connection: &Connection| {
        let (mut count, mut size_bytes) = (0, 0);
        for sha256 in &old {
            if let Some(bytes) = delete_one(connection, &images, sha256, before)? {
                count += 1;
                size_bytes += bytes;
            }
        }
        Ok((count, size_bytes))
    };
    (deleted.count, deleted.size_bytes) = database.write("deleting images", write).await?;
    Ok(deleted)
}

/// The folder after the one of this name; they are the numbers of one byte.
fn following(folder: &str) -> Option<String> {
    let number = u8::from_str_radix(folder, 16).ok()?;
    number.checked_add(1).map(|next| format!("{next:02x}"))
}

/// The first images of the folder after `after` that were last uploaded before `before`.
fn old_files(
    path: &Path,
    folder: &str,
    after: &str,
    before: SystemTime,
) -> io::Result<Vec<Sha256>> {
    let entries = match fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut names = Vec::new();
    for entry in entries {
        // Anything else is a file that is being written.
        let name = entry?.file_name();
        let hash = format!("{folder}{}", name.to_string_lossy());
        if let Ok(sha256) = hash.parse::<Sha256>()
            && hash.as_str() > after
        {
            names.push((hash, sha256));
        }
    }
    names.sort();
    let mut old = Vec::new();
    for (_, sha256) in names {
        if is_old(&path.join(file_name(&sha256)), before)?.is_some() {
            old.push(sha256);
            if old.len() == MAX_FILES {
                break;
            }
        }
    }
    Ok(old)
}

/// The size of a file that was last uploaded before `before`.
fn is_old(path: &Path, before: SystemTime) -> io::Result<Option<u64>> {
    match fs::metadata(path) {
        Ok(file) => Ok((file.modified()? < before).then_some(file.len())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether a stored request names an image.
fn is_used(connection: &Connection, sha256: &Sha256) -> Result<bool, Fault> {
    let mut used =
        connection.prepare_cached("SELECT EXISTS (SELECT 1 FROM image_uses WHERE sha256 = ?1)")?;
    Ok(used.query_row([sha256.as_bytes()], |row| row.get(0))?)
}

fn delete_one(
    connection: &Connection,
    images: &Path,
    sha256: &Sha256,
    before: SystemTime,
) -> Result<Option<u64>, Fault> {
    if is_used(connection, sha256)? {
        return Ok(None);
    }
    let folder: PathBuf = images.join(folder_name(sha256));
    let remove = || {
        let lock = File::open(&folder)?;
        // An upload holds it for a moment. This waits for nobody: others wait for this.
        if lock.try_lock().is_err() {
            return Ok(None);
        }
        let path = folder.join(file_name(sha256));
        let size_bytes = is_old(&path, before)?;
        if size_bytes.is_some() {
            fs::remove_file(path)?;
        }
        Ok::<_, io::Error>(size_bytes)
    };
    Ok(remove().map_err(|error| PortError::permanent("deleting an image", error))?)
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use flota_core::ports::{Clock, UPLOADED_PREFIX};
    use flota_memory::ManualClock;

    use super::*;
    use crate::embedded;

    #[tokio::test]
    async fn an_image_that_is_uploaded_or_named_after_it_was_found_old_stays() {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(1));
        let store = embedded::open(folder.path(), clock.clone()).unwrap();
        let images = folder.path().join("images");
        let records = Connection::open(folder.path().join("records.sqlite")).unwrap();
        let sha256 = store.images.put(b"image".as_slice().into()).await.unwrap();
        clock.advance(Duration::from_secs(60));
        let before = SystemTime::from(clock.now());
        let name = folder_name(&sha256);
        let old = || old_files(&images.join(&name), &name, "", before).unwrap();
        let delete = || delete_one(&records, &images, &sha256, before).unwrap();
        let address = format!("{UPLOADED_PREFIX}{sha256}");

        assert_eq!(old(), [sha256]);
        store.images.put(b"image".as_slice().into()).await.unwrap();
        assert_eq!((delete(), old()), (None, Vec::new()), "it was uploaded again");
        store.images.fetch(&address, 100).await.unwrap();

        let before = before + Duration::from_secs(60);
        let delete = || delete_one(&records, &images, &sha256, before).unwrap();
        let uses = "INSERT INTO image_uses (sha256, request) VALUES (?1, x'01')";
        records.execute(uses, [sha256.as_bytes()]).unwrap();
        assert_eq!(delete(), None, "a request names it");
        records.execute("DELETE FROM image_uses", []).unwrap();
        let uploading = File::open(images.join(&name)).unwrap();
        uploading.lock_shared().unwrap();
        assert_eq!(delete(), None, "somebody uploads to its folder");
        drop(uploading);
        assert_eq!(delete(), Some(5));
        assert!(store.images.fetch(&address, 100).await.is_err());
        store.images.put(b"image".as_slice().into()).await.unwrap();
        store.images.fetch(&address, 100).await.unwrap();
    }
}
