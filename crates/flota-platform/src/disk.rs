//! The disk of the data folder: how much of it is free, and how much of that is kept for work that was
//! accepted before.

use std::{
    fs::DirBuilder,
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use flota_core::PortError;
use rustix::{fs::statvfs, io::Errno};
use thiserror::Error;
use tokio::{sync::Mutex, task::spawn_blocking, time::Instant};
use tracing::{error, info, warn};

/// How long a reading is believed: at some hundred megabytes a second the reserve outlasts it.
const MAX_AGE: Duration = Duration::from_secs(1);
/// The reserve is at most this part of the disk, so that a small disk can be used at all.
const LARGEST_PART: u64 = 10;
const MIB: u64 = 1024 * 1024;
/// What was being done where an image cannot be kept.
pub(crate) const KEEPING: &str = "keeping an image";

/// The size of a disk and what is free of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskSpace {
    /// What a user without special rights can still write, in bytes.
    pub free_bytes: u64,
    /// The whole disk, in bytes.
    pub total_bytes: u64,
}

/// How the space of a disk is read. It may block for a moment.
pub type ReadDiskSpace = Arc<dyn Fn() -> io::Result<DiskSpace> + Send + Sync>;

/// Free space that is kept for what was accepted before: below it nothing new is taken in.
#[derive(Clone, Default)]
pub struct DiskReserve {
    disk: Option<Arc<Disk>>,
}

struct Disk {
    read: ReadDiskSpace,
    min_free_bytes: u64,
    last: Mutex<Option<Reading>>,
}

#[derive(Clone, Copy)]
struct Reading {
    at: Instant,
    space: Option<DiskSpace>,
    is_low: bool,
}

/// Only the reserve is left of the disk's free space.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "the disk of the data folder has {} MiB free, and the last {} MiB are reserved for accepted requests: \
     free some space, or lower embedded.min_free_bytes",
    free_bytes / MIB, reserved_bytes.div_ceil(MIB)
)]
pub struct DiskLow {
    /// What is free, in bytes.
    pub free_bytes: u64,
    /// What is reserved, in bytes.
    pub reserved_bytes: u64,
}

impl From<DiskLow> for PortError {
    fn from(low: DiskLow) -> Self {
        Self::Full { what: low.to_string(), source: None }
    }
}

impl DiskSpace {
    /// The space of the disk that holds `folder`. It blocks.
    ///
    /// # Errors
    /// If the folder is not there or its disk does not answer.
    pub fn of(folder: &Path) -> io::Result<Self> {
        let disk = statvfs(folder)?;
        Ok(Self {
            free_bytes: disk.f_bavail.saturating_mul(disk.f_frsize),
            total_bytes: disk.f_blocks.saturating_mul(disk.f_frsize),
        })
    }

    /// How much is reserved where `min_free_bytes` are asked for.
    pub fn reserved_bytes(self, min_free_bytes: u64) -> u64 {
        min_free_bytes.min(self.total_bytes / LARGEST_PART)
    }

    /// Refuses where less is free than is reserved.
    ///
    /// # Errors
    /// If so.
    pub fn check(self, min_free_bytes: u64) -> Result<(), DiskLow> {
        let (free_bytes, reserved_bytes) = (self.free_bytes, self.reserved_bytes(min_free_bytes));
        if free_bytes < reserved_bytes {
            return Err(DiskLow { free_bytes, reserved_bytes });
        }
        Ok(())
    }
}

impl DiskReserve {
    /// A reserve of `min_free_bytes` on the disk that `read` tells of; 0: nothing is reserved.
    pub fn new(read: ReadDiskSpace, min_free_bytes: u64) -> Self {
        Self { disk: Some(Arc::new(Disk { read, min_free_bytes, last: Mutex::default() })) }
    }

    /// A reserve on the disk that holds `folder`.
    pub fn of(folder: PathBuf, min_free_bytes: u64) -> Self {
        Self::new(Arc::new(move || DiskSpace::of(&folder)), min_free_bytes)
    }

    /// What is left of the disk, at most a second ago; `None` where the data is on no disk of ours, or
    /// nothing can be read.
    pub async fn space(&self) -> Option<DiskSpace> {
        self.disk.as_ref()?.reading().await.space
    }

    /// Refuses new work where only the reserve is left.
    ///
    /// # Errors
    /// If so.
    pub async fn check(&self) -> Result<(), DiskLow> {
        let Some(disk) = &self.disk else { return Ok(()) };
        let space = disk.reading().await.space;
        space.map_or(Ok(()), |space| space.check(disk.min_free_bytes))
    }
}

impl Disk {
    /// One caller reads, the others wait for it.
    async fn reading(&self) -> Reading {
        let mut last = self.last.lock().await;
        if let Some(reading) = *last
            && reading.at.elapsed() < MAX_AGE
        {
            return reading;
        }
        let read = self.read.clone();
        let space = spawn_blocking(move || read()).await.expect("reading a disk does not panic");
        let was = last.map(|last| (last.space.is_some(), last.is_low));
        let (could_read, was_low) = was.unwrap_or((true, false));
        let space = match space {
            Ok(space) => Some(space),
            Err(error) => {
                if could_read {
                    warn!(%error, "the free space of the data folder cannot be read");
                }
                None
            }
        };
        let low = space.and_then(|space| space.check(self.min_free_bytes).err());
        match &low {
            Some(low) if !was_low => error!("new requests and uploads are refused: {low}"),
            None if was_low => info!("new requests and uploads are taken again"),
            _ => {}
        }
        let reading = Reading { at: Instant::now(), space, is_low: low.is_some() };
        *last = Some(reading);
        reading
    }
}

/// Makes a folder for its owner alone, with its parents; one that is there stays as it is.
///
/// # Errors
/// If it cannot be made.
pub fn create_private_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Why an image was not written: no room, too many files for the moment, or another fault.
pub(crate) fn not_kept(error: io::Error) -> PortError {
    let is = |errno: Errno| error.raw_os_error() == Some(errno.raw_os_error());
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            PortError::full(format!("{KEEPING}: the disk is full"), error)
        }
        io::ErrorKind::FileTooLarge => {
            let what =
                format!("{KEEPING}: the disk is full, for files may not be larger (ulimit -f)");
            PortError::full(what, error)
        }
        _ if is(Errno::MFILE) || is(Errno::NFILE) => PortError::transient(KEEPING, error),
        _ => PortError::permanent(KEEPING, error),
    }
}

/// Makes a write beyond the limit of file size (`ulimit -f`) fail with an error, which is handled as a full
/// disk is, where the signal would end the process. For the beginning of a process.
#[expect(unsafe_code, reason = "a call into C that takes two numbers")]
pub fn ignore_file_size_signal() {
    // SAFETY: signal(2) with SIG_IGN installs no handler, so that nothing of ours runs in one.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn below_the_reserve_nothing_is_taken_in_until_there_is_room_again() {
        let (free, reads) = (Arc::new(AtomicU64::new(600 * MIB)), Arc::new(AtomicU64::new(0)));
        let (disk, counted) = (free.clone(), reads.clone());
        let read = move || {
            counted.fetch_add(1, Ordering::Relaxed);
            let free_bytes = disk.load(Ordering::Relaxed);
            Ok(DiskSpace { free_bytes, total_bytes: 100_000 * MIB })
        };
        let reserve = DiskReserve::new(Arc::new(read), 512 * MIB);
        reserve.check().await.unwrap();
        free.store(511 * MIB, Ordering::Relaxed);
        reserve.check().await.expect("a reading is believed for a second");
        assert_eq!(reads.load(Ordering::Relaxed), 1);
        tokio::time::advance(MAX_AGE).await;
        let low = reserve.check().await.unwrap_err();
        assert_eq!((low.free_bytes, low.reserved_bytes), (511 * MIB, 512 * MIB));
        assert!(low.to_string().contains("embedded.min_free_bytes"), "{low}");
        free.store(512 * MIB, Ordering::Relaxed);
        tokio::time::advance(MAX_AGE).await;
        reserve.check().await.unwrap();
    }

    #[tokio::test]
    async fn a_small_disk_can_be_used_and_an_unknown_one_too() {
        let small = DiskSpace { free_bytes: 30 * MIB, total_bytes: 200 * MIB };
        assert_eq!(small.reserved_bytes(512 * MIB), 20 * MIB);
        small.check(512 * MIB).unwrap();
        assert!(DiskSpace { free_bytes: 19 * MIB, ..small }.check(512 * MIB).is_err());
        DiskSpace { free_bytes: 0, ..small }.check(0).unwrap();
        let unknown = DiskReserve::new(Arc::new(|| Err(io::Error::other("away"))), MIB);
        unknown.check().await.unwrap();
        assert_eq!(unknown.space().await, None);
        DiskReserve::default().check().await.unwrap();
        let here = DiskReserve::of(std::env::temp_dir(), 0).space().await.unwrap();
        assert!(0 < here.free_bytes && here.free_bytes <= here.total_bytes, "{here:?}");
    }

    #[test]
    fn a_full_disk_is_told_from_another_fault() {
        for (kind, is_full) in [
            (io::ErrorKind::StorageFull, true),
            (io::ErrorKind::QuotaExceeded, true),
            (io::ErrorKind::FileTooLarge, true),
            (io::ErrorKind::PermissionDenied, false),
        ] {
            let error = not_kept(kind.into());
            assert_eq!(matches!(error, PortError::Full { .. }), is_full, "{error}");
            assert_eq!(error.to_string().contains("full"), is_full, "{error}");
        }
        let files = io::Error::from_raw_os_error(Errno::MFILE.raw_os_error());
        assert!(not_kept(files).is_transient(), "others close theirs");
    }
}
