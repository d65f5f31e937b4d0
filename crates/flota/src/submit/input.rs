//! What is to be submitted, found bit by bit while the rest is under way.

use std::{
    borrow::Cow,
    fs::File,
    io::{self, BufRead, BufReader, IsTerminal, Read},
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow, bail};
use bytes::Bytes;
use tokio::sync::mpsc;

use crate::{
    image_files::{Entry, search},
    print::plain,
};

/// Stands for standard input.
pub(super) const STDIN: &str = "-";
/// So many images are found ahead of those that are under way.
const AHEAD: usize = 64;
/// Most bytes that standard input may have as one image: it is held in memory, to be sent again where a
/// connection is lost. No fleet takes as much by default.
const MAX_STDIN_BYTES: u64 = 256 * 1024 * 1024;
/// Most bytes of a line of a list: a URL has 2 KiB at most, a path 4 KiB.
const MAX_LINE_BYTES: u64 = 16 * 1024;

/// An image to upload.
#[derive(Debug, Clone)]
pub(super) enum UploadSource {
    /// The file there.
    File(PathBuf),
    /// These bytes.
    Memory {
        /// What people call it.
        name: String,
        /// The bytes.
        bytes: Bytes,
    },
}

impl UploadSource {
    /// Its name for people.
    pub fn name(&self) -> Cow<'_, str> {
        match self {
            Self::File(path) => plain(&path.to_string_lossy()).into_owned().into(),
            Self::Memory { name, .. } => plain(name),
        }
    }
}

/// One thing to submit, in the order in which it was given.
#[derive(Debug, Clone)]
pub(super) enum Input {
    /// An image that workers fetch.
    Url {
        /// Its URL.
        url: String,
        /// Which line of a list has it.
        place: Option<String>,
    },
    /// An image to upload.
    Image(UploadSource),
    /// Something that cannot be submitted, and why, in a sentence.
    Unreadable(String),
}

/// What else was found.
#[derive(Debug, Default)]
pub(super) struct Remarks {
    /// Files in folders whose names do not end like an image's.
    pub other_count: u64,
    /// Sentences for data folders of fleets, which are not searched.
    pub data_folders: Vec<String>,
}

/// Where images are named.
#[derive(Debug, Clone)]
pub(super) struct Given {
    /// Paths, URLs and `-`.
    pub images: Vec<String>,
    /// A file with a path or URL in each line; `-` is standard input.
    pub list: Option<String>,
}

impl Given {
    /// Finds everything on a thread of its own; the channel ends with it. Dropping the receiver stops it.
    pub fn find(self) -> (mpsc::Receiver<Input>, tokio::task::JoinHandle<Remarks>) {
        let (sender, receiver) = mpsc::channel(AHEAD);
        let finding = tokio::task::spawn_blocking(move || {
            let mut finder = Finder { sender, remarks: Remarks::default() };
            // An error only means that nobody receives any more.
            let _ = finder.all(&self);
            finder.remarks
        });
        (receiver, finding)
    }
}

struct Finder {
    sender: mpsc::Sender<Input>,
    remarks: Remarks,
}

/// The receiver is gone.
struct Gone;

impl Finder {
    fn all(&mut self, given: &Given) -> Result<(), Gone> {
        for text in &given.images {
            match text.as_str() {
                STDIN => {
                    let read = image_from(io::stdin().lock(), io::stdin().is_terminal());
                    self.send(read.map_or_else(unreadable, Input::Image))?;
                }
                text => self.one(text, None)?,
            }
        }
        match given.list.as_deref() {
            None => Ok(()),
            Some(STDIN) => self.lines(STDIN, io::stdin().lock()),
            Some(path) => match File::open(path) {
                Ok(file) => self.lines(path, BufReader::new(file)),
                Err(error) => self.send(unread(Path::new(path), &error)),
            },
        }
    }

    /// What a list names: a path or URL in each line, but for empty lines and those that begin with `#`.
    fn lines(&mut self, name: &str, mut list: impl BufRead) -> Result<(), Gone> {
        let shown = if name == STDIN { "standard input".into() } else { plain(name) };
        let (mut is_empty, mut number) = (true, 0_u64);
        loop {
            number += 1;
            let mut line = Vec::new();
            match (&mut list).take(MAX_LINE_BYTES).read_until(b'\n', &mut line) {
                Ok(0) if is_empty => {
                    let why = format!("no images in {shown}: it has no path or URL");
                    return self.send(Input::Unreadable(why));
                }
                Ok(0) => return Ok(()),
                Err(error) => return self.send(unread(Path::new(name), &error)),
                Ok(_) => {}
            }
            let is_whole = line.ends_with(b"\n") || (line.len() as u64) < MAX_LINE_BYTES;
            let text = match String::from_utf8(line) {
                Ok(text) if is_whole => text,
                Ok(_) | Err(_) => {
                    let why = "a line is longer than 16 KiB or not UTF-8: write one path or URL \
                        per line";
                    return self.send(unreadable(anyhow!("cannot read {}: {why}", plain(name))));
                }
            };
            let text = text.trim();
            if !text.is_empty() && !text.starts_with('#') {
                is_empty = false;
                self.one(text, Some(format!("line {number} of {shown}")))?;
            }
        }
    }

    /// An image, or a folder of images; `place` says which line of a list names it.
    fn one(&mut self, text: &str, place: Option<String>) -> Result<(), Gone> {
        if text.contains("://") {
            return self.send(Input::Url { url: text.to_owned(), place });
        }
        let path = Path::new(text);
        match path.metadata() {
            Ok(found) if found.is_dir() => self.folder(path),
            Ok(_) => self.send(Input::Image(UploadSource::File(path.to_owned()))),
            Err(error) => match (unread(path, &error), place) {
                (Input::Unreadable(why), Some(place)) => {
                    self.send(Input::Unreadable(format!("{why}, {place}")))
                }
                (input, _) => self.send(input),
            },
        }
    }

    fn folder(&mut self, folder: &Path) -> Result<(), Gone> {
        let mut is_empty = true;
        for entry in search(folder) {
            is_empty &= matches!(entry, Entry::Other | Entry::DataFolder(_));
            match entry {
                Entry::Image(path) => {
                    self.send(Input::Image(UploadSource::File(path)))?;
                }
                Entry::Other => self.remarks.other_count += 1,
                Entry::DataFolder(why) => self.remarks.data_folders.push(why),
                Entry::Unreadable(why) | Entry::Unsearchable(why) => {
                    self.send(Input::Unreadable(why))?;
                }
            }
        }
        match is_empty {
            true => {
                let shown = folder.to_string_lossy();
                self.send(Input::Unreadable(format!("no images in {}", plain(&shown))))
            }
            false => Ok(()),
        }
    }

    fn send(&self, input: Input) -> Result<(), Gone> {
        self.sender.blocking_send(input).map_err(|_| Gone)
    }
}

fn unread(path: &Path, error: &io::Error) -> Input {
    Input::Unreadable(format!("cannot read {}: {error}", plain(&path.to_string_lossy())))
}

fn unreadable(error: anyhow::Error) -> Input {
    Input::Unreadable(format!("{error:#}"))
}

/// The bytes of the one image that standard input is.
fn image_from(input: impl Read, is_terminal: bool) -> anyhow::Result<UploadSource> {
    if is_terminal {
        bail!("standard input is a terminal: pipe the bytes of an image into it");
    }
    let mut bytes = Vec::new();
    input
        .take(MAX_STDIN_BYTES + 1)
        .read_to_end(&mut bytes)
        .context("cannot read standard input")?;
    if bytes.len() as u64 > MAX_STDIN_BYTES {
        bail!("standard input has more than 256 MiB: no image is that large");
    }
    if bytes.is_empty() {
        bail!("standard input has no bytes: pipe the bytes of an image into it");
    }
    if str::from_utf8(&bytes).is_ok() {
        bail!("standard input is text, not an image; to read paths and URLs, use --from-file -");
    }
    Ok(UploadSource::Memory { name: STDIN.to_owned(), bytes: Bytes::from(bytes) })
}

/// The path of a file to upload.
pub(super) fn path_of(source: &UploadSource) -> PathBuf {
    match source {
        UploadSource::File(path) => path.clone(),
        UploadSource::Memory { name, .. } => name.into(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    async fn found(images: &[&str], list: Option<&str>) -> (Vec<String>, u64) {
        let images = images.iter().map(ToString::to_string).collect();
        let given = Given { images, list: list.map(ToOwned::to_owned) };
        let (mut receiver, finding) = given.find();
        let mut all = Vec::new();
        while let Some(input) = receiver.recv().await {
            all.push(match input {
                Input::Url { url, place: None } => url,
                Input::Url { url, place: Some(place) } => format!("{url}, {place}"),
                Input::Image(source) => path_of(&source).display().to_string(),
                Input::Unreadable(why) => format!("!{why}"),
            });
        }
        (all, finding.await.unwrap().other_count)
    }

    #[tokio::test]
    async fn everything_is_found_in_order_and_what_cannot_be_read_stops_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        fs::create_dir(at("empty")).unwrap();
        for name in ["b.png", "a.jpg", "notes.txt"] {
            fs::write(at(name), name).unwrap();
        }
        std::os::unix::fs::symlink("/nonexist", at("c.png")).unwrap();
        let list = at("list");
        fs::write(
            &list,
            format!("# photos\n{}\r\n\n \thttps://a/1.jpg \n{}", at("b.png"), at("gone")),
        )
        .unwrap();
        let given = [at("notes.txt"), folder.path().display().to_string(), at("empty")];
        let given: Vec<&str> = given.iter().map(String::as_str).collect();
        let (all, other_count) = found(&given, Some(&list)).await;
        assert_eq!(all[..3], [at("notes.txt"), at("a.jpg"), at("b.png")]);
        assert!(all[3].starts_with(&format!("!skipped {}: ", at("c.png"))), "{all:?}");
        assert!(all[4].starts_with("!no images in ") && all[4].ends_with("empty"), "{all:?}");
        assert_eq!(all[5..7], [at("b.png"), format!("https://a/1.jpg, line 4 of {list}")]);
        assert!(all[7].starts_with(&format!("!cannot read {}: ", at("gone"))), "{all:?}");
        assert!(all[7].ends_with(&format!(", line 5 of {list}")), "{all:?}");
        // The list itself has no ending either.
        assert_eq!((all.len(), other_count), (8, 2));
    }

    #[tokio::test]
    async fn a_list_that_names_nothing_is_like_a_folder_without_images() {
        let folder = tempfile::tempdir().unwrap();
        let list = folder.path().join("list").display().to_string();
        for text in ["", "\n \n# none today\n"] {
            fs::write(&list, text).unwrap();
            let (all, _) = found(&[], Some(&list)).await;
            assert!(all.len() == 1 && all[0].starts_with("!no images in "), "{all:?}");
        }
    }

    #[tokio::test]
    async fn a_list_without_lines_is_not_read_to_its_end() {
        let (all, _) = found(&[], Some("/dev/zero")).await;
        assert!(all.len() == 1 && all[0].contains("longer than 16 KiB"), "{all:?}");
    }

    #[test]
    fn standard_input_is_one_image_or_a_sentence() {
        let read = |bytes: &[u8]| image_from(bytes, false).map_err(|error| error.to_string());
        assert!(read(b"\xff\xd8\xff\xe0").is_ok());
        assert!(read(b"a.jpg\nb.jpg\n").unwrap_err().contains("--from-file -"));
        assert!(read(b"").unwrap_err().contains("no bytes"));
        assert!(image_from(io::empty(), true).unwrap_err().to_string().contains("terminal"));
    }
}
