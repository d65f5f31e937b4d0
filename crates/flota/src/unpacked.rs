//! Which unpacked models are in use, so that those of other builds can be removed.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use flota_platform::create_private_dir;

/// Keeps a folder from being removed until it is dropped, or its process ends.
#[derive(Debug)]
pub(crate) struct InUse {
    /// None where the file system has no locks: there no folder is removed either.
    _lock: Option<File>,
}

impl InUse {
    /// Holds the folder `name` of `dir`, which may be absent; waits while it is removed.
    pub fn hold(dir: &Path, name: &str) -> Self {
        let lock = open_lock(dir, name).and_then(|file| {
            file.lock_shared()?;
            Ok(file)
        });
        if let Err(error) = &lock {
            tracing::debug!("cannot lock the unpacked model {name}: {error}");
        }
        Self { _lock: lock.ok() }
    }
}

/// Removes the folders of `dir` that are named by a hash of `digits` digits, but for `ours` and those that a
/// process [holds](InUse::hold).
pub(crate) fn remove_unused(dir: &Path, digits: usize, ours: &[String]) {
    let is_hash = |name: &str| {
        name.len() == digits && name.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    let Ok(entries) = fs::read_dir(dir) else { return };
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    for name in names.filter(|name| is_hash(name) && !ours.contains(name)) {
        if let Err(error) = remove(dir, &name) {
            tracing::debug!("cannot remove the unpacked model {name}: {error}");
        }
    }
}

/// Removes one that nobody holds. Its lock file stays: a process may be about to lock it.
fn remove(dir: &Path, name: &str) -> io::Result<()> {
    let lock = open_lock(dir, name)?;
    lock.try_lock()?;
    fs::remove_dir_all(dir.join(name))
}

fn open_lock(dir: &Path, name: &str) -> io::Result<File> {
    create_private_dir(dir)?;
    let path: PathBuf = dir.join(format!("{name}.lock"));
    File::options().read(true).write(true).create(true).truncate(false).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_in_use_or_ours_or_not_an_unpacked_model_stays() {
        let dir = tempfile::tempdir().unwrap();
        let names = ["0123456789abcdef", "1123456789abcdef", "2123456789abcdef", "my-model"];
        for name in names {
            fs::create_dir_all(dir.path().join(name).join("cat")).unwrap();
            fs::write(dir.path().join(name).join("cat/model.yaml"), "name: cat").unwrap();
        }
        let remove = || remove_unused(dir.path(), 16, &[names[0].to_owned()]);
        let left = || names.map(|name| dir.path().join(name).exists());
        let users = [(), ()].map(|()| InUse::hold(dir.path(), names[1]));
        remove();
        assert_eq!(left(), [true, true, false, true]);
        let [first, second] = users;
        drop(first);
        remove();
        assert_eq!(left(), [true, true, false, true], "another still uses it");
        drop(second);
        remove();
        assert_eq!(left(), [true, false, false, true]);
    }
}
