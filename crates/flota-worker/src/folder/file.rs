//! Reads the files of a model: regular files of bounded size, and none outside of its folder.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read},
    iter,
    path::{Path, PathBuf},
    sync::Arc,
};

use flota_core::Sha256;
use sha2::Digest;
use thiserror::Error;

/// How large a file may be, and why no larger.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SizeLimit {
    pub(crate) bytes: u64,
    reason: &'static str,
}

impl SizeLimit {
    /// Of a manifest.
    pub(crate) const MANIFEST: Self = Self::new(1024 * 1024, "a manifest is a page of text");
    /// Of a file of labels.
    pub(crate) const LABELS: Self =
        Self::new(16 * 1024 * 1024, "half a million labels take no more");
    /// Of an ONNX file: what readers of protocol buffers take.
    pub(crate) const ONNX: Self =
        Self::new(i32::MAX as u64, "ONNX files have 2 GiB at most: save it with external data");
    /// Of all files of external data of a model together: beyond what a worker's memory holds.
    pub(crate) const DATA: Self =
        Self::new(16 * 1024 * 1024 * 1024, "the data of a model are read into memory");
    /// Of a model's golden examples.
    pub(crate) const EXAMPLES: Self = Self::new(16 * 1024 * 1024, "a model has a few examples");

    /// So many bytes, for `reason`.
    pub(crate) const fn new(bytes: u64, reason: &'static str) -> Self {
        Self { bytes, reason }
    }

    /// What is left of it when a file of `bytes` is read.
    pub(crate) fn less(self, bytes: u64) -> Self {
        Self { bytes: self.bytes.saturating_sub(bytes), ..self }
    }
}

/// A file that is not read.
#[derive(Debug, Error)]
pub enum FileError {
    /// The system does not let it be read, or it is not there.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It is a folder, a pipe, a device or a socket.
    #[error("{} is no regular file: put a file there", .0.display())]
    NotRegular(PathBuf),
    /// It is larger than any sensible one.
    #[error("{} has {size_bytes} bytes, more than the {limit_bytes} that are allowed: {reason}", path.display())]
    TooLarge {
        /// Which.
        path: PathBuf,
        /// Its size.
        size_bytes: u64,
        /// The limit.
        limit_bytes: u64,
        /// Why there is one.
        reason: &'static str,
    },
    /// A link leads out of the folder.
    #[error(
        "{} leads to {}, outside of the model's folder: put the file itself there",
        path.display(), target.display()
    )]
    Outside {
        /// The path in the folder.
        path: PathBuf,
        /// Where it leads.
        target: PathBuf,
    },
    /// It grew or shrank while it was read.
    #[error("{} changed while it was read: start again when it is whole", .0.display())]
    Changed(PathBuf),
}

impl FileError {
    /// The same error about the path by which the file was asked for.
    fn named(self, asked: &Path) -> Self {
        let path = asked.to_owned();
        match self {
            Self::Unreadable { source, .. } => Self::Unreadable { path, source },
            Self::NotRegular(_) => Self::NotRegular(path),
            Self::TooLarge { size_bytes, limit_bytes, reason, .. } => {
                Self::TooLarge { path, size_bytes, limit_bytes, reason }
            }
            Self::Outside { target, .. } => Self::Outside { path, target },
            Self::Changed(_) => Self::Changed(path),
        }
    }

    /// Whether there is no such file.
    pub(crate) fn is_missing(&self) -> bool {
        matches!(self, Self::Unreadable { source, .. }
            if matches!(source.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory))
    }
}

/// A regular file of bounded size, open for reading.
#[derive(Debug)]
pub(crate) struct RegularFile {
    file: File,
    path: PathBuf,
    size_bytes: u64,
}

impl RegularFile {
    /// Opens `name` in `folder`. Links that stay in the folder are followed.
    ///
    /// # Errors
    /// See [`FileError`].
    pub(crate) fn open_in(folder: &Path, name: &Path, limit: SizeLimit) -> Result<Self, FileError> {
        let path = folder.join(name);
        let inside = fs::canonicalize(folder).map_err(unreadable(folder))?;
        let target = fs::canonicalize(&path).map_err(unreadable(&path))?;
        if !target.starts_with(inside) {
            return Err(FileError::Outside { path, target });
        }
        // What was found to lie inside, and not what a link may lead to by now.
        let opened = Self::open_unlinked(&target, limit);
        opened.map_err(|error| error.named(&path))
    }

    /// Opens `path`, which is canonical: what has become a link since is refused.
    fn open_unlinked(path: &Path, limit: SizeLimit) -> Result<Self, FileError> {
        Self::open_with(path, limit, libc::O_NOFOLLOW)
    }

    /// Opens `path`, wherever it leads.
    ///
    /// # Errors
    /// See [`FileError`].
    pub(crate) fn open(path: &Path, limit: SizeLimit) -> Result<Self, FileError> {
        Self::open_with(path, limit, 0)
    }

    fn open_with(path: &Path, limit: SizeLimit, flags: i32) -> Result<Self, FileError> {
        // Looked at before it is opened, for opening a device may do something.
        let metadata = fs::metadata(path).map_err(unreadable(path))?;
        if !metadata.is_file() {
            return Err(FileError::NotRegular(path.to_owned()));
        }
        let mut options = OpenOptions::new();
        options.read(true);
        // Should it be a pipe by now, opening it must not wait for a writer.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NONBLOCK | flags);
        let file = options.open(path).map_err(unreadable(path))?;
        let metadata = file.metadata().map_err(unreadable(path))?;
        if !metadata.is_file() {
            return Err(FileError::NotRegular(path.to_owned()));
        }
        let size_bytes = metadata.len();
        if size_bytes > limit.bytes {
            let SizeLimit { bytes: limit_bytes, reason } = limit;
            let path = path.to_owned();
            return Err(FileError::TooLarge { path, size_bytes, limit_bytes, reason });
        }
        Ok(Self { file, path: path.to_owned(), size_bytes })
    }

    /// Bytes that it had when it was opened.
    pub(crate) fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Its content, of as many bytes as it had when it was opened.
    ///
    /// # Errors
    /// See [`FileError`].
    pub(crate) fn read(mut self) -> Result<Arc<[u8]>, FileError> {
        let size = usize::try_from(self.size_bytes)
            .map_err(|error| unreadable(&self.path)(io::Error::other(error)))?;
        // Read into its place at once: a file of weights must not be in memory twice.
        let mut content: Arc<[u8]> = iter::repeat_n(0, size).collect();
        let bytes = Arc::get_mut(&mut content).expect("nobody else has it yet");
        match self.file.read_exact(bytes) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(FileError::Changed(self.path));
            }
            read => read.map_err(unreadable(&self.path))?,
        }
        if self.file.read(&mut [0]).map_err(unreadable(&self.path))? > 0 {
            return Err(FileError::Changed(self.path));
        }
        Ok(content)
    }

    /// What its content hashes to, without having it in memory.
    ///
    /// # Errors
    /// See [`FileError`].
    pub(crate) fn hash(self) -> Result<Sha256, FileError> {
        let mut hasher = sha2::Sha256::new();
        let mut content = self.file.take(self.size_bytes);
        io::copy(&mut content, &mut hasher).map_err(unreadable(&self.path))?;
        Ok(Sha256::from(<[u8; 32]>::from(hasher.finalize())))
    }
}

fn unreadable(path: &Path) -> impl FnOnce(io::Error) -> FileError {
    let path = path.to_owned();
    move |source| FileError::Unreadable { path, source }
}

#[cfg(test)]
mod tests {
    use std::{os::unix::fs::symlink, process::Command};

    use super::*;

    const SMALL: SizeLimit = SizeLimit::new(8, "tests are small");

    #[track_caller]
    fn refused(folder: &Path, name: &str, wanted: &str) {
        let refusal = RegularFile::open_in(folder, Path::new(name), SMALL).unwrap_err().to_string();
        assert!(refusal.contains(wanted), "{name}: {refusal}");
    }

    #[test]
    fn a_regular_file_within_the_folder_is_read_and_hashed() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("sub")).unwrap();
        fs::write(folder.path().join("sub/file"), "content").unwrap();
        symlink("sub/file", folder.path().join("link")).unwrap();
        for name in ["sub/file", "link"] {
            let open = || RegularFile::open_in(folder.path(), Path::new(name), SMALL).unwrap();
            assert_eq!(&*open().read().unwrap(), b"content");
            assert_eq!(open().hash().unwrap(), Sha256::of(b"content"));
        }
    }

    #[test]
    fn everything_else_is_refused_at_once() {
        let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let here = |name: &str| folder.path().join(name);
        fs::write(here("large"), "more than 8").unwrap();
        fs::create_dir(here("folder")).unwrap();
        fs::write(other.path().join("file"), "content").unwrap();
        symlink(other.path().join("file"), here("out")).unwrap();
        symlink(other.path(), here("other")).unwrap();
        symlink("/dev/zero", here("zero")).unwrap();
        assert!(Command::new("mkfifo").arg(here("pipe")).status().unwrap().success());
        refused(folder.path(), "large", "has 11 bytes, more than the 8 that are allowed");
        refused(folder.path(), "folder", "is no regular file");
        refused(folder.path(), "pipe", "is no regular file");
        refused(folder.path(), "out", "outside of the model's folder");
        refused(folder.path(), "other/file", "outside of the model's folder");
        refused(folder.path(), "zero", "outside of the model's folder");
        let device = RegularFile::open(Path::new("/dev/zero"), SMALL).unwrap_err();
        assert!(matches!(device, FileError::NotRegular(_)), "{device}");
        let missing = RegularFile::open_in(folder.path(), Path::new("none"), SMALL).unwrap_err();
        assert!(missing.is_missing());
    }

    /// As one that was put there after the path was found to lie inside.
    #[test]
    fn a_link_in_place_of_a_file_that_was_found_inside_is_not_followed() {
        let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(other.path().join("file"), "content").unwrap();
        let link = folder.path().join("file");
        symlink(other.path().join("file"), &link).unwrap();
        assert!(RegularFile::open(&link, SMALL).is_ok());
        assert!(RegularFile::open_unlinked(&link, SMALL).is_err());
    }

    #[test]
    fn a_limit_of_several_files_is_what_the_others_leave() {
        assert_eq!(SMALL.less(3).bytes, 5);
        assert_eq!(SMALL.less(9).bytes, 0);
    }

    #[test]
    fn a_file_that_changes_while_it_is_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        for after in ["cont", "content!"] {
            fs::write(&path, "content").unwrap();
            let opened = RegularFile::open(&path, SMALL).unwrap();
            fs::write(&path, after).unwrap();
            assert!(matches!(opened.read(), Err(FileError::Changed(_))), "{after}");
        }
    }
}
