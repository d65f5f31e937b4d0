//! Remembers a submission that was interrupted, so that the same command resumes it.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions, TryLockError},
    io::{Read, Seek, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Mutex,
};

use anyhow::Context;
use flota_client::Submission;
use flota_core::{RequestId, Sha256, ports::Clock};
use flota_platform::{SystemClock, create_private_dir};
use jiff::{SignedDuration, Timestamp};

use crate::print::note;

/// How long an interrupted submission can be resumed: a user who runs the command on another day wants
/// the models to run again.
const MAX_AGE: SignedDuration = SignedDuration::from_hours(24);
/// Most bytes of a file that are read: a part has a hundred, of a thousand images.
const MAX_FILE_BYTES: u64 = 64 * 1024 * 1024;

/// A submission under way: its parts have keys that the server knows again, and a file lists those that it
/// has accepted. The file is gone once the submission is finished.
#[derive(Debug)]
pub(super) struct Run {
    id: String,
    /// Parts that an earlier run submitted, whose images need no upload.
    accepted: BTreeMap<Sha256, RequestId>,
    started_at: Option<Timestamp>,
    file: Option<(PathBuf, Mutex<File>)>,
}

impl Run {
    /// Resumes the interrupted run of the command that hashes to `command`, or begins a new run. Where the
    /// file cannot be written, or another process holds it, the run cannot be resumed later.
    pub fn open(command: &Sha256, is_fresh: bool) -> Self {
        let folder = dirs::state_dir().or_else(dirs::cache_dir);
        folder.map_or_else(Self::forgotten, |folder| {
            Self::open_in(&folder.join("flota/submit"), command, is_fresh)
        })
    }

    fn open_in(folder: &Path, command: &Sha256, is_fresh: bool) -> Self {
        match Self::try_open(folder, command, is_fresh) {
            Ok(run) => run,
            Err(error) => {
                tracing::debug!("cannot store this run for resuming: {error:#}");
                Self::forgotten()
            }
        }
    }

    fn try_open(folder: &Path, command: &Sha256, is_fresh: bool) -> anyhow::Result<Self> {
        create_private_dir(folder)?;
        let path = folder.join(command.to_string());
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mut file = options.open(&path)?;
        file.try_lock().inspect_err(|error| {
            if matches!(error, TryLockError::WouldBlock) {
                note("another process runs the same command: images that both find are submitted twice");
            }
        })?;
        let mut text = String::new();
        (&mut file).take(MAX_FILE_BYTES).read_to_string(&mut text)?;
        let now = SystemClock.now();
        let known = read(&text).filter(|(_, at, _)| now.duration_since(*at).abs() < MAX_AGE);
        if let Some((id, at, accepted)) = known.filter(|_| !is_fresh) {
            let file = Some((path, Mutex::new(file)));
            return Ok(Self { id, accepted, started_at: Some(at), file });
        }
        let run = Self::forgotten();
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{} {now}", run.id)?;
        Ok(Self { file: Some((path, Mutex::new(file))), ..run })
    }

    /// One that is not kept.
    pub fn forgotten() -> Self {
        let id = SystemClock.uuid().simple().to_string();
        Self { id, accepted: BTreeMap::new(), started_at: None, file: None }
    }

    /// When the run began that this one resumes.
    pub fn started_at(&self) -> Option<Timestamp> {
        self.started_at
    }

    /// Whether the same command can resume it.
    pub fn is_remembered(&self) -> bool {
        self.file.is_some()
    }

    /// How many parts the server accepted before.
    pub fn accepted_count(&self) -> usize {
        self.accepted.len()
    }

    /// The `Idempotency-Key` of a part. Another run has others: the same images may be looked at again.
    pub fn key(&self, submission: &Submission) -> anyhow::Result<Sha256> {
        let body = serde_json::to_vec(submission).context("a submission is JSON")?;
        Ok(Sha256::of(&[self.id.as_bytes(), &body].concat()))
    }

    /// The request that the server made of the part with that key before.
    pub fn request(&self, key: &Sha256) -> Option<RequestId> {
        self.accepted.get(key).copied()
    }

    /// Remembers that the server accepted the part. Where that is lost, the part is sent again, and the
    /// server knows its key.
    pub fn record(&self, key: &Sha256, request: RequestId) {
        if let Some((_, file)) = &self.file {
            let mut file = file.lock().expect("nothing panics under this lock");
            if let Err(error) = file.write_all(format!("{key} {request}\n").as_bytes()) {
                tracing::debug!("cannot store an accepted request: {error}");
            }
        }
    }

    /// Forgets the run: there is nothing to resume.
    pub fn finish(self) {
        if let Some((path, file)) = self.file {
            // Empty first: another process may hold the file open and wait for nothing but its lock.
            let file = file.into_inner().expect("nothing panics under this lock");
            let emptied = file.set_len(0).and_then(|()| fs::remove_file(path));
            if let Err(error) = emptied {
                tracing::debug!("cannot delete the record of a finished run: {error}");
            }
        }
    }
}

/// The run in a file; a line that is cut off is one that was not recorded.
fn read(text: &str) -> Option<(String, Timestamp, BTreeMap<Sha256, RequestId>)> {
    let mut lines = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
    let (id, at) = lines.next()?.split_once(' ')?;
    let accepted = lines.filter_map(|line| {
        let (key, request) = line.split_once(' ')?;
        Some((key.parse().ok()?, request.parse().ok()?))
    });
    Some((id.to_owned(), at.parse().ok()?, accepted.collect()))
}

#[cfg(test)]
mod tests {
    use flota_client::SubmittedImage;

    use super::*;

    fn submission(url: &str) -> Submission {
        Submission::new(vec![SubmittedImage::at(url)], &["a".parse().unwrap()])
    }

    #[test]
    fn an_interrupted_run_is_resumed_and_a_finished_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let open = |is_fresh| Run::open_in(folder.path(), &Sha256::of(b"command"), is_fresh);
        let request = RequestId(SystemClock.uuid());
        let first = open(false);
        let key = first.key(&submission("https://a/1")).unwrap();
        assert_ne!(key, first.key(&submission("https://a/2")).unwrap());
        first.record(&key, request);
        drop(first);

        let second = open(false);
        assert_eq!((second.accepted_count(), second.request(&key)), (1, Some(request)));
        assert_eq!(second.key(&submission("https://a/1")).unwrap(), key);
        assert!(second.started_at().is_some());
        second.finish();

        let third = open(false);
        assert!(third.started_at().is_none() && third.accepted_count() == 0);
        assert_ne!(third.key(&submission("https://a/1")).unwrap(), key, "it is another submission");
        third.record(&key, request);
        drop(third);
        assert_eq!(open(true).accepted_count(), 0, "--fresh resumes nothing");
    }

    #[test]
    fn two_processes_with_the_same_command_have_runs_of_their_own() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Run::open_in(folder.path(), &Sha256::of(b"command"), false);
        let (first, second) = (open(), open());
        let image = submission("https://a/1");
        assert_ne!(first.key(&image).unwrap(), second.key(&image).unwrap());
        assert!(first.is_remembered() && !second.is_remembered());
    }

    #[test]
    fn a_file_of_another_day_or_a_torn_one_does_no_harm() {
        let request = RequestId(SystemClock.uuid());
        let key = Sha256::of(b"part");
        let text = format!("run 2026-11-21T10:00:00Z\n{key} {request}\n{key} req_0");
        let (id, _, accepted) = read(&text).unwrap();
        assert_eq!((id.as_str(), accepted.len()), ("run", 1));
        assert!(read("").is_none() && read("run 2026-11-2").is_none());

        let folder = tempfile::tempdir().unwrap();
        let command = Sha256::of(b"command");
        fs::write(folder.path().join(command.to_string()), "run 1999-11-21T10:00:00Z\n").unwrap();
        assert!(Run::open_in(folder.path(), &command, false).started_at().is_none());
        assert!(!Run::open_in(Path::new("/dev/null"), &command, false).is_remembered());
    }
}
