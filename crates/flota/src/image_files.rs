//! Which files are images, by their names, and what is in them.

use std::{
    ffi::OsStr,
    fs::{File, Metadata},
    io::Read,
    iter,
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow, bail};
use walkdir::WalkDir;

use crate::print::plain;

/// The extensions that a folder is searched for: what the engine decodes.
const EXTENSIONS: [&str; 9] = ["jpg", "jpeg", "jfif", "png", "gif", "webp", "bmp", "tif", "tiff"];
/// Most files of one call: beyond, it is probably the wrong folder.
const MAX_FILES: usize = 100_000;
/// Most entries that are named when they are skipped: more would hide what comes after.
const MAX_NAMED: usize = 10;

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// The images.
    pub files: Vec<PathBuf>,
    /// Sentences for what cannot be read.
    unreadable: Vec<String>,
    /// Sentences for data folders of fleets.
    data_folders: Vec<String>,
    /// How many files do not end like an image's.
    other_count: usize,
}

/// The files at `paths`: a file that is named is taken as it is, a folder is searched through for
/// names of images, in the order of the names. Hidden files and folders are passed over. What else
/// is passed over, such as the data folder of a fleet, stands in [`Found::notes`].
///
/// # Errors
/// If a path is not there or cannot be read, or if no file is found.
pub(crate) fn find(paths: &[PathBuf]) -> anyhow::Result<Found> {
    let mut found = Found::default();
    for path in paths {
        let kind = path
            .metadata()
            .with_context(|| format!("cannot read {}: name a file or a folder", shown(path)))?;
        match kind.is_dir() {
            true => found.search(path)?,
            false => found.files.push(path.clone()),
        }
    }
    if found.files.len() > MAX_FILES {
        let count = found.files.len();
        bail!("{count} images exceed the limit of {MAX_FILES}: submit them folder by folder");
    }
    if found.files.is_empty() {
        let searched: Vec<_> = paths.iter().map(|path| shown(path)).collect();
        let none =
            format!("no images in {}: name files or a folder with images", searched.join(", "));
        let notes = found.notes();
        return Err(match notes.is_empty() {
            true => anyhow!(none),
            false => anyhow!(notes.join("\n  ")).context(none),
        });
    }
    Ok(found)
}

/// The bytes of the image at `path`.
///
/// # Errors
/// If it cannot be read, is no regular file, or has more than `max_bytes`, of which no more are read.
pub(crate) fn read(path: &Path, max_bytes: u64) -> anyhow::Result<Vec<u8>> {
    let check = |found: &Metadata| match found.len() {
        _ if !found.is_file() => bail!("this is no regular file"),
        length if length > max_bytes => bail!(too_large(length, max_bytes)),
        _ => Ok(()),
    };
    // Looked at before it is opened, for a pipe waits for a writer, and opening a device may do something.
    check(&path.metadata().context("cannot be read")?)?;
    let file = File::open(path).context("cannot be read")?;
    let found = file.metadata().context("cannot be read")?;
    check(&found)?;
    let mut bytes = Vec::with_capacity(found.len() as usize);
    file.take(max_bytes.saturating_add(1)).read_to_end(&mut bytes).context("cannot be read")?;
    if bytes.len() as u64 > max_bytes {
        bail!(too_large(bytes.len() as u64, max_bytes));
    }
    Ok(bytes)
}

fn too_large(length: u64, max_bytes: u64) -> String {
    format!("the image has {length} bytes, and the limit is {max_bytes}")
}

impl Found {
    /// A sentence for each entry of a folder that was skipped, or for many of them together.
    pub fn notes(&self) -> Vec<String> {
        let mut notes: Vec<_> = self.unreadable.iter().take(MAX_NAMED).cloned().collect();
        let more = self.unreadable.len() - notes.len();
        if more > 0 {
            notes.push(format!("skipped {more} more unreadable files"));
        }
        notes.extend(self.data_folders.iter().take(MAX_NAMED).cloned());
        match self.other_count {
            0 => {}
            1 => notes.push("1 file skipped: its name has no image extension".to_owned()),
            n => notes.push(format!("{n} files skipped: their names have no image extension")),
        }
        notes
    }

    fn search(&mut self, folder: &Path) -> anyhow::Result<()> {
        for entry in search(folder) {
            match entry {
                Entry::Image(path) => self.files.push(path),
                Entry::Other => self.other_count += 1,
                Entry::DataFolder(why) => self.data_folders.push(why),
                Entry::Unreadable(why) => self.unreadable.push(why),
                Entry::Unsearchable(why) => bail!(why),
            }
        }
        Ok(())
    }
}

/// What a folder holds.
#[derive(Debug)]
pub(crate) enum Entry {
    /// A file that is named like an image.
    Image(PathBuf),
    /// A file that is not.
    Other,
    /// The data folder of a fleet, which is not searched, in a sentence.
    DataFolder(String),
    /// Something that cannot be read, in a sentence.
    Unreadable(String),
    /// The folder itself cannot be read, in a sentence.
    Unsearchable(String),
}

/// What `folder` and its folders hold, one after the other, in the order of the names. Hidden files and
/// folders are passed over, and so are data folders of fleets: what they hold is Flota's own.
pub(crate) fn search(folder: &Path) -> impl Iterator<Item = Entry> + use<> {
    let walk = WalkDir::new(folder).follow_links(true).sort_by_file_name().into_iter();
    let mut walk = walk.filter_entry(|entry| entry.depth() == 0 || !is_hidden(entry.path()));
    let folder = shown(folder);
    iter::from_fn(move || {
        loop {
            let found = match walk.next()? {
                Ok(entry) if entry.file_type().is_dir() && is_data_folder(entry.path()) => {
                    walk.skip_current_dir();
                    let path = shown(entry.path());
                    Some(Entry::DataFolder(format!("skipped {path}: it is Flota's data folder")))
                }
                Ok(entry) if !entry.file_type().is_file() => None,
                Ok(entry) if has_image_extension(entry.path()) => {
                    Some(Entry::Image(entry.into_path()))
                }
                Ok(_) => Some(Entry::Other),
                Err(error) if error.depth() == 0 => {
                    Some(Entry::Unsearchable(format!("cannot search {folder}: {error}")))
                }
                Err(error) => skipped(&error).map(Entry::Unreadable),
            };
            if found.is_some() {
                return found;
            }
        }
    })
}

/// Whether a fleet keeps its data in `folder`.
pub(crate) fn is_data_folder(folder: &Path) -> bool {
    folder.join("records.sqlite").is_file()
}

fn skipped(error: &walkdir::Error) -> Option<String> {
    let path = error.path().unwrap_or(Path::new(""));
    if is_hidden(path) {
        return None;
    }
    let why = match (error.io_error(), error.loop_ancestor()) {
        (Some(cause), _) => cause.to_string(),
        (None, Some(ancestor)) => format!("a link leads back to {}", shown(ancestor)),
        (None, None) => error.to_string(),
    };
    Some(format!("skipped {}: {why}", shown(path)))
}

/// A path as people read it.
fn shown(path: &Path) -> String {
    plain(&path.to_string_lossy()).into_owned()
}

fn is_hidden(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default();
    name.as_encoded_bytes().starts_with(b".")
}

fn has_image_extension(path: &Path) -> bool {
    let extension = path.extension().and_then(OsStr::to_str).unwrap_or_default();
    EXTENSIONS.iter().any(|known| known.eq_ignore_ascii_case(extension))
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    #[test]
    fn folders_are_searched_by_name_and_files_are_taken_as_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("a/.thumbs")).unwrap();
        for name in ["b.JPG", "a/c.png", "a/.thumbs/d.png", "notes.txt", ".e.gif"] {
            fs::write(at(name), name).unwrap();
        }
        let found = find(&[folder.path().into()]).unwrap();
        assert_eq!(found.files, [at("a/c.png"), at("b.JPG")]);
        assert_eq!(found.notes(), ["1 file skipped: its name has no image extension"]);
        let named = find(&[at("notes.txt")]).unwrap();
        assert_eq!((named.files.as_slice(), named.notes().len()), (&[at("notes.txt")][..], 0));
    }

    #[test]
    fn the_data_folder_of_a_fleet_is_skipped_and_said() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("flota-data/examples")).unwrap();
        for name in ["a.png", "flota-data/records.sqlite", "flota-data/examples/b.png", "z.png"] {
            fs::write(at(name), name).unwrap();
        }
        let found = find(&[folder.path().into()]).unwrap();
        assert_eq!(found.files, [at("a.png"), at("z.png")]);
        let said = format!("skipped {}: it is Flota's data folder", at("flota-data").display());
        assert_eq!(found.notes(), std::slice::from_ref(&said));

        let error = format!("{:#}", find(&[at("flota-data")]).unwrap_err());
        assert!(error.starts_with("no images in ") && error.contains(&said), "{error}");
        assert_eq!(find(&[at("flota-data/examples")]).unwrap().files.len(), 1, "it was named");
    }

    #[test]
    fn what_cannot_be_read_in_a_folder_is_skipped_and_said() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("a.png"), "a").unwrap();
        for name in ["dang\u{7}.jpg", ".#lock"] {
            symlink("/nonexist", at(name)).unwrap();
        }
        symlink(".", at("loop")).unwrap();
        let found = find(&[folder.path().into()]).unwrap();
        assert_eq!(found.files, [at("a.png")]);
        let notes = found.notes();
        assert_eq!(notes.len(), 2, "{notes:?}");
        let dangling = format!("skipped {}: ", folder.path().join(r"dang\u{7}.jpg").display());
        assert!(notes[0].starts_with(&dangling), "{notes:?}");
        let back = format!("a link leads back to {}", folder.path().display());
        assert!(notes[1].ends_with(&back), "{notes:?}");

        assert!(find(&[folder.path().into(), at("dang\u{7}.jpg")]).is_err());
        fs::remove_file(at("a.png")).unwrap();
        let error = format!("{:#}", find(&[folder.path().into()]).unwrap_err());
        assert!(error.starts_with("no images in ") && error.contains(&dangling), "{error}");
    }

    #[test]
    fn many_that_cannot_be_read_are_counted() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.png"), "a").unwrap();
        for n in 0..MAX_NAMED + 3 {
            symlink("/nonexist", folder.path().join(format!("{n}.png"))).unwrap();
        }
        let notes = find(&[folder.path().into()]).unwrap().notes();
        assert_eq!(notes.len(), MAX_NAMED + 1);
        assert_eq!(notes[MAX_NAMED], "skipped 3 more unreadable files");
    }

    #[test]
    fn no_more_is_read_of_an_image_than_the_limit() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("small.png"), "image").unwrap();
        File::create(at("huge.png")).unwrap().set_len(1 << 40).unwrap();
        let error = |path: &Path, max_bytes| format!("{:#}", read(path, max_bytes).unwrap_err());
        assert_eq!(read(&at("small.png"), 5).unwrap(), b"image");
        let sentence = "the image has 5 bytes, and the limit is 4";
        assert_eq!(error(&at("small.png"), 4), sentence);
        let sentence = "the image has 1099511627776 bytes, and the limit is 20";
        assert_eq!(error(&at("huge.png"), 20), sentence);
        for path in [folder.path(), Path::new("/dev/zero")] {
            assert_eq!(error(path, u64::MAX), "this is no regular file", "{path:?}");
        }
        assert!(error(&at("none.png"), 5).starts_with("cannot be read: "));
    }

    #[test]
    fn nothing_found_is_a_sentence() {
        let folder = tempfile::tempdir().unwrap();
        let error = find(&[folder.path().into()]).unwrap_err().to_string();
        assert!(error.starts_with("no images in "), "{error}");
        let error = find(&[folder.path().join("none")]).unwrap_err();
        assert!(format!("{error:#}").contains("name a file or a folder"), "{error:#}");
    }
}
