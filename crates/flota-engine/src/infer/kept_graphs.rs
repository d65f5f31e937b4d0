//! Graphs as ONNX Runtime has optimised them, kept on disk. A session of one is there sooner, and all
//! of them share its weights, where each session of an ONNX file has weights of its own.

use std::{
    fs,
    hash::{BuildHasher, RandomState},
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use flota_core::Sha256;

/// How a kept graph's name ends: the format is ONNX Runtime's own.
const EXTENSION: &str = "ort";
/// Most graphs that are kept; those of earlier versions go first.
const MAX_KEPT: usize = 16;

/// A folder of optimised graphs, all for one machine: they are made for its instructions.
#[derive(Debug, Clone)]
pub(super) struct KeptGraphs {
    dir: PathBuf,
}

impl KeptGraphs {
    pub(super) fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// The graph of the ONNX file `weights` as `build` of the engine has optimised it. One that is not
    /// kept yet, or is damaged, is made by `optimise`, which writes it to a path.
    pub(super) fn graph(
        &self,
        weights: &[u8],
        build: &str,
        optimise: impl FnOnce(&Path) -> io::Result<()>,
    ) -> io::Result<Arc<Vec<u8>>> {
        let of = Sha256::of(format!("{} {build}", Sha256::of(weights)).as_bytes());
        if let Some(kept) = self.find(of) {
            return Ok(Arc::new(kept));
        }
        fs::create_dir_all(&self.dir)?;
        // A name of its own: containers that share the folder may share process ids.
        let part = self.dir.join(format!("{of}.{:x}.part", RandomState::new().hash_one(of)));
        let made = optimise(&part).and_then(|()| self.keep(of, &part));
        if made.is_err() {
            let _ = fs::remove_file(&part);
        }
        made.map(Arc::new)
    }

    /// Its name says what a kept graph contains, so that one that was cut off is no graph.
    fn find(&self, of: Sha256) -> Option<Vec<u8>> {
        let beginning = format!("{of}-");
        let names = self.names().ok()?.into_iter().map(|(_, name)| name);
        for name in names.filter(|name| name.starts_with(&beginning)) {
            let bytes = fs::read(self.dir.join(&name)).ok()?;
            if name == file_name(of, &bytes) {
                return Some(bytes);
            }
            let _ = fs::remove_file(self.dir.join(name));
        }
        None
    }

    fn keep(&self, of: Sha256, part: &Path) -> io::Result<Vec<u8>> {
        let bytes = fs::read(part)?;
        fs::rename(part, self.dir.join(file_name(of, &bytes)))?;
        // Another process may be at it, too.
        let mut names = self.names().unwrap_or_default();
        names.sort();
        let surplus = names.len().saturating_sub(MAX_KEPT);
        for (_, name) in names.into_iter().take(surplus) {
            let _ = fs::remove_file(self.dir.join(name));
        }
        Ok(bytes)
    }

    /// When each graph was made, and its file's name.
    fn names(&self) -> io::Result<Vec<(SystemTime, String)>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_graph = Path::new(&name).extension().is_some_and(|ending| ending == EXTENSION);
            if is_graph && let Ok(metadata) = entry.metadata() {
                names.push((metadata.modified()?, name));
            }
        }
        Ok(names)
    }
}

fn file_name(of: Sha256, bytes: &[u8]) -> String {
    format!("{of}-{}.{EXTENSION}", Sha256::of(bytes))
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
            let graph = kept.graph(weights, build, |path| {
                made_count.set(made_count.get() + 1);
                fs::write(path, [weights, build.as_bytes()].concat())
            });
            graph.unwrap().to_vec()
        };
        for (weights, build, count) in
            [("a", "1", 1), ("a", "1", 1), ("b", "1", 2), ("a", "2", 3), ("a", "1", 3)]
        {
            assert_eq!(graph(weights.as_bytes(), build), [weights, build].concat().as_bytes());
            assert_eq!(made_count.get(), count);
        }
        for (_, name) in kept.names().unwrap() {
            fs::write(kept.dir.join(name), "cut off").unwrap();
        }
        assert_eq!((graph(b"a", "1"), made_count.get()), (b"a1".to_vec(), 4));
        assert_eq!(kept.names().unwrap().len(), 3, "the damaged one is gone");
    }

    #[test]
    fn no_more_are_kept_than_there_is_room_for() {
        let dir = tempfile::tempdir().unwrap();
        let kept = KeptGraphs::new(dir.path().to_owned());
        for n in 0..=u8::try_from(MAX_KEPT).unwrap() {
            kept.graph(&[n], "1", |path| fs::write(path, [n])).unwrap();
        }
        assert_eq!(kept.names().unwrap().len(), MAX_KEPT);
        let failed = kept.graph(b"x", "1", |_| Err(io::Error::other("as asked")));
        assert_eq!(failed.unwrap_err().to_string(), "as asked");
    }
}
