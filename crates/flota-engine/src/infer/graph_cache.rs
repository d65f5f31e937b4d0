//! Graphs as ONNX Runtime has optimised them, kept on disk, each in a folder with its weights beside it.
//! A session of one is there sooner, and all of them share the weights, which are mapped into memory;
//! each session of an ONNX file has weights of its own.

use std::{
    fs::{self, File},
    hash::{BuildHasher, RandomState},
    io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use flota_core::Sha256;

/// A graph's file in its folder.
pub(super) const GRAPH_FILE: &str = "graph.onnx";
/// That of its weights, which the graph names.
pub(super) const WEIGHTS_FILE: &str = "weights.bin";
/// Most graphs that are kept; those that were taken longest ago go first,
const MAX_KEPT: usize = 16;
/// but none that was taken, and nothing that was begun, so short a time ago: it may be in use.
const IN_USE: Duration = Duration::from_secs(60 * 60);
/// How what is not whole yet ends.
const PART: &str = "part";

/// A folder of optimised graphs, all for one machine: they are made for its instructions.
#[derive(Debug, Clone)]
pub(super) struct KeptGraphs {
    dir: PathBuf,
}

impl KeptGraphs {
    pub(super) fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// The folder with the graph of the weights that hash to `sha256`, all their files included, as
    /// `build` of the engine has optimised it.
    /// One that is not kept yet, or is damaged, is made by `optimise`, which writes into a folder.
    pub(super) fn graph(
        &self,
        weights: Sha256,
        build: &str,
        optimise: impl FnOnce(&Path) -> io::Result<()>,
    ) -> io::Result<PathBuf> {
        let of = Sha256::of(format!("{weights} {build}").as_bytes());
        if let Some(kept) = self.find(of) {
            return Ok(kept);
        }
        // A name of its own: containers that share the folder may share process ids.
        let part = self.dir.join(format!("{of}.{:x}.{PART}", RandomState::new().hash_one(of)));
        fs::create_dir_all(&part)?;
        let made = optimise(&part).and_then(|()| self.keep(of, &part));
        if made.is_err() {
            let _ = fs::remove_dir_all(&part);
        }
        made
    }

    /// Its name says what an optimized-graph cache contains, so that one that was cut off is no graph.
    fn find(&self, of: Sha256) -> Option<PathBuf> {
        let beginning = format!("{of}-");
        let kept = self.kept().ok()?.into_iter().map(|(_, name)| name);
        for name in kept.filter(|name| name.starts_with(&beginning)) {
            let folder = self.dir.join(&name);
            match folder_name(of, &folder) {
                Ok(whole) if whole == name => {
                    let taken = File::open(&folder);
                    let _ = taken.and_then(|folder| folder.set_modified(SystemTime::now()));
                    return Some(folder);
                }
                Err(error) if error.kind() != io::ErrorKind::NotFound => {}
                _ => {
                    let _ = fs::remove_dir_all(folder);
                }
            }
        }
        None
    }

    fn keep(&self, of: Sha256, part: &Path) -> io::Result<PathBuf> {
        let folder = self.dir.join(folder_name(of, part)?);
        match fs::rename(part, &folder) {
            // Another process made the same.
            Err(_) if folder.is_dir() => fs::remove_dir_all(part)?,
            renamed => renamed?,
        }
        // Another process may be at it, too.
        let _ = self.make_room();
        Ok(folder)
    }

    fn make_room(&self) -> io::Result<()> {
        let (mut kept, parts) = (self.kept()?, self.folders(is_part)?);
        kept.sort();
        let surplus = kept.len().saturating_sub(MAX_KEPT);
        let unused = SystemTime::now() - IN_USE;
        for (taken_at, name) in kept.into_iter().take(surplus).chain(parts) {
            if taken_at < unused {
                fs::remove_dir_all(self.dir.join(name))?;
            }
        }
        Ok(())
    }

    /// When each graph was made or last taken, and its folder's name.
    fn kept(&self) -> io::Result<Vec<(SystemTime, String)>> {
        self.folders(|name| !is_part(name))
    }

    fn folders(&self, is_wanted: fn(&str) -> bool) -> io::Result<Vec<(SystemTime, String)>> {
        let mut folders = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if is_wanted(&name)
                && let Ok(metadata) = entry.metadata()
                && metadata.is_dir()
            {
                folders.push((metadata.modified()?, name));
            }
        }
        Ok(folders)
    }
}

fn is_part(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|ending| ending == PART)
}

/// Small graphs have no weights beside them.
fn folder_name(of: Sha256, folder: &Path) -> io::Result<String> {
    let graph = Sha256::of(&fs::read(folder.join(GRAPH_FILE))?);
    let weights = match fs::read(folder.join(WEIGHTS_FILE)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Sha256::of(b""),
        read => Sha256::of(&read?),
    };
    Ok(format!("{of}-{}", Sha256::of(format!("{graph} {weights}").as_bytes())))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn a_graph_is_made_once_for_each_file_and_build_and_again_where_it_is_damaged() {
        let dir = tempfile::tempdir().unwrap();
        let kept = KeptGraphs::new(dir.path().join("graphs"));
        let made_count = Cell::new(0);
        let graph = |weights: &[u8], build: &str| {
            let graph = kept.graph(Sha256::of(weights), build, |folder| {
                made_count.set(made_count.get() + 1);
                fs::write(folder.join(WEIGHTS_FILE), weights)?;
                fs::write(folder.join(GRAPH_FILE), build)
            });
            [WEIGHTS_FILE, GRAPH_FILE]
                .map(|file| fs::read_to_string(graph.as_ref().unwrap().join(file)).unwrap())
        };
        for (weights, build, count) in
            [("a", "1", 1), ("a", "1", 1), ("b", "1", 2), ("a", "2", 3), ("a", "1", 3)]
        {
            assert_eq!(graph(weights.as_bytes(), build), [weights, build]);
            assert_eq!(made_count.get(), count);
        }
        for (n, file) in [(1, GRAPH_FILE), (2, WEIGHTS_FILE)] {
            for (_, name) in kept.kept().unwrap() {
                fs::write(kept.dir.join(name).join(file), "cut off").unwrap();
            }
            assert_eq!((graph(b"a", "1"), made_count.get()), (["a".into(), "1".into()], 3 + n));
            assert_eq!(kept.kept().unwrap().len(), 3, "the damaged one is gone");
        }
    }

    #[test]
    fn no_more_are_kept_than_there_is_room_for() {
        let dir = tempfile::tempdir().unwrap();
        let kept = KeptGraphs::new(dir.path().to_owned());
        let made_count = Cell::new(0);
        let graph = |n: u8| {
            let made = kept.graph(Sha256::of(&[n]), "1", |folder| {
                made_count.set(made_count.get() + 1);
                fs::write(folder.join(GRAPH_FILE), [n])
            });
            made.unwrap()
        };
        let most = u8::try_from(MAX_KEPT).unwrap();
        let age = |name: &Path| {
            let long_ago = SystemTime::now() - 2 * IN_USE;
            File::open(name).unwrap().set_modified(long_ago).unwrap();
        };
        let unfinished = dir.path().join("unfinished.part");
        fs::create_dir(&unfinished).unwrap();
        for n in 0..=most {
            graph(n);
        }
        assert_eq!(kept.kept().unwrap().len(), MAX_KEPT + 1, "all of them may be in use");
        kept.kept().unwrap().iter().for_each(|(_, name)| age(&dir.path().join(name)));
        graph(0);
        age(&unfinished);
        graph(most + 1);
        assert_eq!((kept.kept().unwrap().len(), made_count.get()), (MAX_KEPT, most + 2));
        assert!(!unfinished.exists());
        graph(0);
        assert_eq!(made_count.get(), most + 2, "it was taken last");
        let failed = kept.graph(Sha256::of(b"x"), "1", |_| Err(io::Error::other("as asked")));
        assert_eq!(failed.unwrap_err().to_string(), "as asked");
    }
}
