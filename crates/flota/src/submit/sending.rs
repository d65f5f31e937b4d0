//! Uploads the images of a part and submits it.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use anyhow::Context;
use flota_client::{Client, Error, Submission, SubmittedImage, patiently};
use flota_core::{
    ModelName, RequestId, Sha256, Sha256Hasher, limits::MAX_IMAGE_ID_BYTES, ports::UPLOADED_PREFIX,
};
use futures::{StreamExt, TryStreamExt, stream};
use tokio::sync::Semaphore;

use super::{
    input::{Input, UploadSource, path_of},
    parts::Part,
    progress::Progress,
    requesting::NamedImage,
    unfinished::Run,
};

/// Images uploaded at the same time unless somebody says otherwise: enough to keep the store's shared syncs busy.
pub(crate) const UPLOADS_AT_ONCE: u8 = 8;

/// Uploads files and gives each back as an image of a request, in their order.
///
/// # Errors
/// If one of them cannot be uploaded.
pub(crate) async fn upload_all(
    client: &Client,
    files: &[PathBuf],
    uploaded: impl Fn(),
) -> anyhow::Result<Vec<SubmittedImage>> {
    let upload = async |path: &PathBuf| {
        let image = upload(client, &UploadSource::File(path.clone()), |_| {}).await?;
        uploaded();
        anyhow::Ok(image)
    };
    stream::iter(files).map(upload).buffered(UPLOADS_AT_ONCE.into()).try_collect().await
}

/// Uploads an image and gives it back as one of a request.
async fn upload(
    client: &Client,
    source: &UploadSource,
    on_wait: impl FnOnce(&Error),
) -> anyhow::Result<SubmittedImage> {
    let upload = async || match source {
        UploadSource::File(path) => client.upload_file(path).await,
        UploadSource::Memory { bytes, .. } => client.upload(bytes.clone()).await,
    };
    match patiently(upload, on_wait).await {
        Ok(answer) => Ok(uploaded(answer.url, &path_of(source))),
        Err(error @ Error::File { .. }) => Err(error.into()),
        Err(error) => Err(error).with_context(|| format!("cannot upload {}", source.name())),
    }
}

/// The uploaded file at `path`, called by its path where that is short and plain.
fn uploaded(url: String, path: &Path) -> SubmittedImage {
    let name = path.to_string_lossy();
    // Escapes in JSON would make a request of a thousand images larger than its body may be.
    let is_plain = name.chars().all(|c| !c.is_control() && c != '"' && c != '\\');
    let id = (is_plain && name.len() <= MAX_IMAGE_ID_BYTES).then(|| name.into_owned());
    SubmittedImage { url, id }
}

/// What the parts of a submission share.
#[derive(Debug)]
pub(super) struct Sender {
    /// The fleet.
    pub client: Client,
    /// The models of every request.
    pub models: Vec<ModelName>,
    /// Who is called back.
    pub callback: Option<String>,
    /// What the server accepted before, and the keys.
    pub run: Run,
    /// How many images are uploaded at the same time, and their places, which all parts share.
    pub upload_count: usize,
    pub uploads: Semaphore,
    /// The one part whose images are uploaded, while others are hashed or submitted.
    pub uploading: Semaphore,
    /// What is shown.
    pub progress: Progress,
}

/// A request that the server has accepted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent {
    /// Its id.
    pub id: RequestId,
    /// How many images it has.
    pub image_count: usize,
}

impl Sender {
    /// Uploads the images of `part` and submits it; `None` where none of them can be had.
    ///
    /// # Errors
    /// If the server cannot be reached, or takes no images or no such request: then no other part fares
    /// better. What is wrong with one image is shown, and the others are submitted.
    pub async fn send(&self, part: Part) -> anyhow::Result<Option<Sent>> {
        self.progress.expect(part.inputs.len() as u64);
        if let Some(sent) = self.sent_before(&part).await? {
            return Ok(Some(sent));
        }
        // A part that shared its uploads with the next would be submitted with it, and not before.
        let turn = self.uploading.acquire().await.context("uploading has ended")?;
        let images = stream::iter(part.inputs).map(|input| self.image(input));
        let images: Vec<_> = images.buffered(self.upload_count).try_collect().await?;
        drop(turn);
        self.request(images.into_iter().flatten().collect()).await
    }

    /// Makes `call` again while it fails for a cause that passes, and says so once.
    ///
    /// # Errors
    /// As of [`patiently`].
    pub async fn patiently<T>(&self, call: impl AsyncFn() -> Result<T, Error>) -> Result<T, Error> {
        patiently(call, |error| self.waits(error)).await
    }

    fn waits(&self, error: &Error) {
        self.progress.waits(error, self.run.is_remembered());
    }

    /// The request of `images`.
    pub fn submission(&self, images: Vec<SubmittedImage>) -> Submission {
        let submission = Submission::new(images, &self.models);
        match &self.callback {
            Some(url) => submission.with_callback(url),
            None => submission,
        }
    }

    /// The request that a run before made of `part`, found without an upload.
    async fn sent_before(&self, part: &Part) -> anyhow::Result<Option<Sent>> {
        if self.run.accepted_count() == 0 {
            return Ok(None);
        }
        let inputs = part.inputs.clone();
        let hashed = tokio::task::spawn_blocking(move || {
            inputs.iter().map(hashed).collect::<Vec<Result<SubmittedImage, String>>>()
        });
        let (mut images, mut failed) = (Vec::new(), Vec::new());
        for image in hashed.await? {
            match image {
                Ok(image) => images.push(image),
                Err(why) => failed.push(why),
            }
        }
        let image_count = images.len();
        let key = self.run.key(&self.submission(images))?;
        let Some(id) = self.run.request(&key) else { return Ok(None) };
        self.progress.done(image_count as u64);
        for why in failed {
            self.progress.failed(&why);
        }
        Ok(Some(Sent { id, image_count }))
    }

    /// The image of a request; `None` for one that cannot be had.
    async fn image(&self, input: Input) -> anyhow::Result<Option<NamedImage>> {
        let source = match input {
            Input::Unreadable(why) => {
                self.progress.failed(&why);
                return Ok(None);
            }
            Input::Url { url, place } => {
                self.progress.done(1);
                let image = SubmittedImage::at(url.clone());
                let name = place.map_or(url.clone(), |place| format!("{url}, {place}"));
                return Ok(Some(NamedImage { image, name }));
            }
            Input::Image(source) => source,
        };
        let _place = self.uploads.acquire().await?;
        match upload(&self.client, &source, |error| self.waits(error)).await {
            Ok(image) => {
                self.progress.done(1);
                Ok(Some(NamedImage { image, name: source.name().into_owned() }))
            }
            Err(error) if is_of_image(&error) => {
                self.progress.failed(&format!("{error:#}"));
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

/// Whether an upload failed for its image: it cannot be read, or the server does not take it.
fn is_of_image(error: &anyhow::Error) -> bool {
    match error.downcast_ref() {
        Some(Error::File { .. }) => true,
        Some(Error::Refused(refusal)) => refusal.is_of_content(),
        _ => false,
    }
}

/// The image that an upload of `input` would give, or why there is none.
fn hashed(input: &Input) -> Result<SubmittedImage, String> {
    let source = match input {
        Input::Unreadable(why) => return Err(why.clone()),
        Input::Url { url, .. } => return Ok(SubmittedImage::at(url.clone())),
        Input::Image(source) => source,
    };
    let sha256 = match source {
        UploadSource::Memory { bytes, .. } => Ok(Sha256::of(bytes)),
        UploadSource::File(path) => File::open(path).and_then(hash),
    };
    let sha256 = sha256.map_err(|error| format!("cannot read {}: {error}", source.name()))?;
    Ok(uploaded(format!("{UPLOADED_PREFIX}{sha256}"), &path_of(source)))
}

fn hash(mut file: File) -> io::Result<Sha256> {
    let (mut hasher, mut chunk) = (Sha256Hasher::default(), vec![0; 64 * 1024]);
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(hasher.finish()),
            count => hasher.update(&chunk[..count]),
        }
    }
}
