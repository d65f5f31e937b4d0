use std::{fs, path::Path, sync::Arc};

use axum::{
    Router,
    body::Body,
    extract::State,
    http::{HeaderMap, Response, StatusCode, header::RANGE},
    routing::get,
};
use flota_core::{ModelName, Sha256, WorkerName};
use futures::{StreamExt, stream};
use tempfile::TempDir;
use tokio::{net::TcpListener, sync::Mutex};

use super::{ModelFolder, look};
use crate::Engines;

const MEANS: &[u8] = include_bytes!("../../../flota-engine/tests/fixtures/means.onnx");
const EXTERNAL: &[u8] = include_bytes!("../../../flota-engine/tests/fixtures/external.onnx");
const DATA: &[u8] = include_bytes!("../../../flota-engine/tests/fixtures/external.onnx.data");
/// Bytes that are sent before a connection is cut.
const CUT_AT: usize = 64;

/// How a server of weights behaves.
#[derive(Clone, Copy, PartialEq)]
enum Server {
    Whole,
    /// Cuts the first answer off and goes on where it is asked to.
    Cuts,
    /// The same, but always begins again.
    CutsWithoutRanges,
    Broken,
    Missing,
}

/// The `Range` of each request that came.
type Asked = Arc<Mutex<Vec<Option<String>>>>;

async fn serve(server: Server) -> (String, Asked) {
    let asked: Asked = Arc::default();
    let router = Router::new().route("/w.onnx", get(answer)).with_state((server, asked.clone()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/w.onnx?token=secret", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, asked)
}

async fn answer(
    State((server, asked)): State<(Server, Asked)>,
    headers: HeaderMap,
) -> Response<Body> {
    let range = headers.get(RANGE).map(|range| range.to_str().unwrap().to_owned());
    let mut asked = asked.lock().await;
    asked.push(range.clone());
    let begin: usize = match (server, &range) {
        (Server::CutsWithoutRanges, _) | (_, None) => 0,
        (_, Some(range)) => range["bytes=".len()..].trim_end_matches('-').parse().unwrap(),
    };
    let response = Response::builder();
    let cuts = matches!(server, Server::Cuts | Server::CutsWithoutRanges) && asked.len() == 1;
    match server {
        Server::Missing => response.status(StatusCode::NOT_FOUND).body(Body::empty()).unwrap(),
        Server::Broken => response.status(StatusCode::BAD_GATEWAY).body(Body::empty()).unwrap(),
        _ if cuts => {
            let first = stream::once(async { Ok(&MEANS[..CUT_AT]) });
            let cut = stream::once(async {
                // What was sent so far is flushed when there is nothing more at once.
                tokio::task::yield_now().await;
                Err(std::io::Error::other("cut"))
            });
            response.body(Body::from_stream(first.chain(cut))).unwrap()
        }
        _ if begin > 0 => {
            let range = format!("bytes {begin}-{}/{}", MEANS.len() - 1, MEANS.len());
            let response = response.status(StatusCode::PARTIAL_CONTENT);
            response.header("content-range", range).body(Body::from(&MEANS[begin..])).unwrap()
        }
        _ => response.body(Body::from(MEANS)).unwrap(),
    }
}

struct Folders {
    model: TempDir,
    cache: TempDir,
}

impl Folders {
    fn new(weights: &str) -> Self {
        let folders =
            Self { model: tempfile::tempdir().unwrap(), cache: tempfile::tempdir().unwrap() };
        let manifest = format!(
            "name: means\nversion: '1'\nweights: {weights}\nlabels: [r, g, b]\n\
             input: {{width: 4, height: 4, scale: 1.0, resize: {{mode: exact}}}}\n\
             output: {{name: means, kind: regression}}\n"
        );
        folders.write("model.yaml", manifest);
        folders
    }

    fn fetched(url: &str, sha256: Sha256) -> Self {
        Self::new(&format!("{{url: '{url}', sha256: {sha256}}}"))
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.model.path().join(name), bytes).unwrap();
    }

    async fn open(&self) -> Result<ModelFolder, String> {
        let opened = ModelFolder::open(self.model.path(), self.cache.path()).await;
        opened.map_err(|error| error.to_string())
    }

    async fn refusal(&self) -> String {
        match self.open().await {
            Err(error) => error,
            Ok(folder) => {
                folder.load(&Engines::tract()).expect_err("the folder was taken").to_string()
            }
        }
    }

    /// Whether the cache holds the weights, and no part of anything.
    fn is_kept(&self) -> bool {
        let names: Vec<_> = fs::read_dir(self.cache.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names == [Sha256::of(MEANS).to_string()]
    }
}

fn contains_all(text: &str, wanted: &[&str]) {
    for part in wanted {
        assert!(text.contains(part), "{text:?} does not say {part:?}");
    }
}

#[tokio::test]
async fn a_folder_is_opened_and_its_digest_is_of_its_contents() {
    let folders = Folders::new("{file: means.onnx}");
    folders.write("means.onnx", MEANS);
    let folder = folders.open().await.unwrap();
    let wanted = folder.manifest().digest(&Sha256::of(MEANS), None);
    assert_eq!(folder.digest(), wanted);
    folder.load(&Engines::tract()).unwrap();
}

#[tokio::test]
async fn what_is_wrong_with_a_folder_is_said_with_line_and_cure() {
    let folders = Folders::new("{file: means.onnx}");
    contains_all(&folders.refusal().await, &["model.yaml:3: ", "not there", "correct the name"]);
    folders.write("means.onnx", b"not a network");
    contains_all(&folders.refusal().await, &["model.yaml:3: ", "not an ONNX file"]);

    let folders = Folders::new(&format!("{{file: means.onnx, sha256: {}}}", Sha256::of(b"")));
    folders.write("means.onnx", MEANS);
    contains_all(&folders.refusal().await, &["model.yaml:3: ", "hashes to", "`sha256`"]);

    let folders = Folders::new("{file: means.onnx}");
    folders.write("means.onnx", MEANS);
    let path = folders.model.path().join("model.yaml");
    let manifest = fs::read_to_string(&path).unwrap();
    fs::write(&path, manifest.replace("name: means, kind", "name: modes, kind")).unwrap();
    contains_all(&folders.refusal().await, &["model.yaml:6: ", "`modes`", "means", "doubles"]);
    fs::write(&path, manifest.replace("[r, g, b]", "[r, g]")).unwrap();
    contains_all(&folders.refusal().await, &["model.yaml:4: ", "2 labels for 3 outputs"]);
    fs::write(&path, manifest.replace("width", "widht")).unwrap();
    contains_all(&folders.refusal().await, &["model.yaml:5: ", "did you mean `width`?"]);
    fs::remove_file(&path).unwrap();
    contains_all(&folders.refusal().await, &["there is no ", "model.yaml"]);
}

/// A folder with a network whose weights are in a file beside it, both in `onnx/`.
fn with_data(weights: &str) -> Folders {
    let folders = Folders::new(weights);
    let path = folders.model.path().join("model.yaml");
    let manifest = fs::read_to_string(&path).unwrap().replace("name: means, kind", "kind");
    fs::write(path, manifest).unwrap();
    fs::create_dir(folders.model.path().join("onnx")).unwrap();
    folders.write("onnx/model.onnx", EXTERNAL);
    folders.write("onnx/external.onnx.data", DATA);
    folders
}

#[tokio::test]
async fn external_data_are_in_the_digest_and_what_runs() {
    let folders = with_data("{file: onnx/model.onnx, data: [onnx/external.onnx.data]}");
    let digest = folders.open().await.unwrap().digest();
    folders.open().await.unwrap().load(&Engines::tract()).unwrap();
    let worker_of = |name: &ModelName| WorkerName::from(name);
    let looked = look(folders.model.path(), worker_of, jiff::Timestamp::UNIX_EPOCH).unwrap();
    assert_eq!(looked.digest, digest);

    let opened = folders.open().await.unwrap();
    let mut changed = DATA.to_vec();
    changed[0] ^= 1;
    folders.write("onnx/external.onnx.data", &changed);
    assert_ne!(folders.open().await.unwrap().digest(), digest);
    folders.write("onnx/external.onnx.data", b"");
    opened.load(&Engines::tract()).expect("what was hashed is what is loaded");
    contains_all(&folders.refusal().await, &["model.yaml:3: ", "`external.onnx.data` has 0 bytes"]);
}

#[tokio::test]
async fn data_that_are_not_listed_or_not_used_are_refused_with_the_cure() {
    let folders = with_data("{file: onnx/model.onnx}");
    let cure = "add `data: [onnx/external.onnx.data]` to `weights`";
    contains_all(&folders.refusal().await, &["model.yaml:3: ", cure]);
    let listed = "{file: onnx/model.onnx, data: [onnx/external.onnx.data, onnx/other]}";
    let folders = with_data(listed);
    contains_all(&folders.refusal().await, &["model.yaml:3: ", "onnx/other, which is not there"]);
    folders.write("onnx/other", b"other");
    contains_all(&folders.refusal().await, &["model.yaml:3: ", "`other`", "take it off the list"]);
    let hash = Sha256::of(b"another");
    let folders = with_data(&format!(
        "{{file: onnx/model.onnx, data: [{{file: onnx/external.onnx.data, sha256: {hash}}}]}}"
    ));
    contains_all(&folders.refusal().await, &["model.yaml:3: ", "hashes to", "`sha256`"]);
}

#[tokio::test]
async fn external_data_are_fetched() {
    let (url, _) = serve(Server::Whole).await;
    let (means, data) = (Sha256::of(MEANS), format!("{{url: '{url}', sha256: "));
    let folders = with_data(&format!(
        "{{file: onnx/model.onnx, data: [{data}{means}, location: external.onnx.data}}]}}"
    ));
    contains_all(&folders.refusal().await, &["`external.onnx.data` has ", "is of another export"]);
    assert!(folders.is_kept());
}

#[cfg(unix)]
#[tokio::test]
async fn what_is_no_regular_file_of_sensible_size_is_refused_at_once() {
    use std::os::unix::fs::symlink;

    let folders = Folders::new("{file: means.onnx}");
    folders.write("means.onnx", MEANS);
    let here = |name: &str| folders.model.path().join(name);
    let labels = fs::read_to_string(here("model.yaml")).unwrap();
    fs::write(here("model.yaml"), labels.replace("[r, g, b]", "{file: labels.txt}")).unwrap();
    let made = std::process::Command::new("mkfifo").arg(here("labels.txt")).status().unwrap();
    assert!(made.success());
    contains_all(&folders.refusal().await, &["model.yaml:4: ", "is no regular file"]);
    let again = || fs::remove_file(here("labels.txt")).unwrap();
    again();
    symlink("/dev/zero", here("labels.txt")).unwrap();
    contains_all(&folders.refusal().await, &["model.yaml:4: ", "outside of the model's folder"]);
    again();
    fs::File::create(here("labels.txt")).unwrap().set_len(100 * 1024 * 1024).unwrap();
    contains_all(&folders.refusal().await, &["model.yaml:4: ", "has 104857600 bytes, more than"]);
    again();
    for many in ["a\n".repeat(500_001), format!("[{}\"a\"]", "\"a\",".repeat(500_000))] {
        folders.write("labels.txt", many);
        contains_all(&folders.refusal().await, &["model.yaml:4: ", "more than 500000 labels"]);
    }
    folders.write("labels.txt", "r\ng\nb\n");
    folders.open().await.unwrap().load(&Engines::tract()).unwrap();
    fs::File::create(here("means.onnx")).unwrap().set_len(3 << 30).unwrap();
    contains_all(&folders.refusal().await, &["model.yaml:3: ", "has 3221225472 bytes, more than"]);
}

/// Files of holes have a size and take no room.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_files_of_external_data_are_bounded_together() {
    const ALMOST_ALL: u64 = 16 * 1024 * 1024 * 1024 - 4;
    let folders = with_data("{file: onnx/model.onnx, data: [{file: onnx/a}, {file: onnx/b}]}");
    let here = |name: &str| folders.model.path().join("onnx").join(name);
    fs::write(here("a"), DATA).unwrap();
    fs::File::create(here("b")).unwrap().set_len(ALMOST_ALL).unwrap();
    let found = format!("has {ALMOST_ALL} bytes, more than");
    contains_all(&folders.refusal().await, &["model.yaml:3: ", &found, "data of a model"]);
}

#[tokio::test]
async fn weights_are_fetched_once() {
    let (url, asked) = serve(Server::Whole).await;
    let folders = Folders::fetched(&url, Sha256::of(MEANS));
    folders.open().await.unwrap().load(&Engines::tract()).unwrap();
    folders.open().await.unwrap();
    assert_eq!(*asked.lock().await, [None]);
    assert!(folders.is_kept());
}

#[tokio::test]
async fn a_broken_fetch_goes_on_where_it_broke_off() {
    let range = Some(format!("bytes={CUT_AT}-"));
    for server in [Server::Cuts, Server::CutsWithoutRanges] {
        let (url, asked) = serve(server).await;
        let folders = Folders::fetched(&url, Sha256::of(MEANS));
        folders.open().await.unwrap();
        assert_eq!(*asked.lock().await, [None, range.clone()]);
        assert!(folders.is_kept());
    }
}

#[tokio::test]
async fn what_an_earlier_process_fetched_is_gone_on_from_unless_it_is_of_another_file() {
    let part = |cache: &Path| cache.join(format!("{}.part", Sha256::of(MEANS)));
    for (earlier, requests) in [(&MEANS[..CUT_AT], 1), (&[0; CUT_AT], 2)] {
        let (url, asked) = serve(Server::Whole).await;
        let folders = Folders::fetched(&url, Sha256::of(MEANS));
        fs::write(part(folders.cache.path()), earlier).unwrap();
        folders.open().await.unwrap();
        assert_eq!(asked.lock().await.len(), requests);
        assert!(folders.is_kept());
    }
}

#[tokio::test]
async fn a_wrong_hash_is_refused_and_nothing_is_kept() {
    let (url, _) = serve(Server::Whole).await;
    let folders = Folders::fetched(&url, Sha256::of(b"another"));
    let refusal = folders.refusal().await;
    let found = Sha256::of(MEANS).to_string();
    contains_all(&refusal, &["model.yaml:3: ", "hashes to", &found, "`sha256`"]);
    assert!(!refusal.contains("secret"), "{refusal}");
    assert!(!folders.cache.path().join(Sha256::of(b"another").to_string()).exists());
}

#[tokio::test(start_paused = true)]
async fn a_server_without_the_file_is_named_and_a_failing_one_is_tried_again() {
    let (url, asked) = serve(Server::Missing).await;
    let folders = Folders::fetched(&url, Sha256::of(MEANS));
    contains_all(&folders.refusal().await, &["model.yaml:3: ", "w.onnx answered 404"]);
    assert_eq!(asked.lock().await.len(), 1);

    let (url, asked) = serve(Server::Broken).await;
    let folders = Folders::fetched(&url, Sha256::of(MEANS));
    contains_all(&folders.refusal().await, &["model.yaml:3: ", "5 tries", "502"]);
    assert_eq!(asked.lock().await.len(), 5);
}

#[tokio::test(start_paused = true)]
async fn what_nothing_came_of_leaves_nothing_and_says_where_the_file_is_put_by_hand() {
    let (url, _) = serve(Server::Broken).await;
    let folders = Folders::fetched(&url, Sha256::of(MEANS));
    let data = folders.cache.path().join("data");
    let cache = data.join("weights");
    let refused =
        ModelFolder::open_as(folders.model.path(), "(compiled in) means/model.yaml", &cache);
    let refusal = refused.await.unwrap_err().to_string();
    let kept = cache.join(Sha256::of(MEANS).to_string());
    let by_hand = format!("put the file there as {}", kept.display());
    contains_all(&refusal, &["(compiled in) means/model.yaml:3: ", "nothing came", &by_hand]);
    assert!(!data.exists(), "what was made for it is gone");
    fs::create_dir_all(&cache).unwrap();
    fs::write(&kept, MEANS).unwrap();
    ModelFolder::open(folders.model.path(), &cache).await.unwrap();
}

#[tokio::test]
async fn files_that_are_taken_for_onnx_are_named() {
    let folders = Folders::new("{file: means.onnx}");
    for (bytes, wanted) in [
        (&b"PK\x03\x04\x00\x00"[..], "a ZIP archive, as PyTorch's `.pt`"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00", "run `git lfs pull`"),
        (b"<!DOCTYPE html>", "a web page"),
    ] {
        folders.write("means.onnx", bytes);
        contains_all(&folders.refusal().await, &["model.yaml:3: ", "not an ONNX file", wanted]);
    }
}
