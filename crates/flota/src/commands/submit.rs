use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use flota_core::{RequestId, limits::MAX_CLIENT_WAIT};
use futures::{StreamExt, TryStreamExt, stream};

use super::status::print_request;
use crate::{
    cli::SubmitArgs,
    client::{Client, RequestAnswer, Submission, SubmittedImage},
    image_files,
    print::{note, print, print_json},
};

/// Images uploaded at the same time: enough to keep the store's shared syncs busy.
const UPLOADS_AT_ONCE: usize = 8;

/// Submits images to a running fleet.
pub(crate) async fn submit(args: SubmitArgs) -> anyhow::Result<ExitCode> {
    let client = Client::new(args.server.url.clone());
    let images = images(&client, &args.images).await?;
    let callback = args.callback.as_ref().map(|url| url.as_str());
    let mut requests = Vec::new();
    for submission in Submission::cut(&images, &args.models, callback) {
        requests.push(client.submit(&submission).await?);
    }
    let mut exit = ExitCode::SUCCESS;
    for request in requests {
        let request = match args.wait {
            true => finished(&client, request.id).await?,
            false => request,
        };
        if args.json {
            print_json(&client.request_json(request.id).await?)?;
        } else if args.wait {
            print_request(&client, &request).await?;
        } else {
            print(format!("{}: see `flota status {}`", request.id, request.id))?;
        }
        if args.wait && request.counts.succeeded < request.counts.total {
            exit = ExitCode::FAILURE;
        }
    }
    Ok(exit)
}

/// Uploads files and gives each back as an image of a request, in their order.
pub(crate) async fn upload(
    client: &Client,
    files: &[PathBuf],
    uploaded: impl Fn(),
) -> anyhow::Result<Vec<SubmittedImage>> {
    let upload = async |path: &PathBuf| {
        let answer = client.upload(path).await?;
        uploaded();
        anyhow::Ok(SubmittedImage::uploaded(answer.url, path))
    };
    stream::iter(files).map(upload).buffered(UPLOADS_AT_ONCE).try_collect().await
}

async fn images(client: &Client, given: &[String]) -> anyhow::Result<Vec<SubmittedImage>> {
    let mut images = Vec::new();
    for text in given {
        if text.contains("://") {
            images.push(SubmittedImage::at(text));
        } else {
            let found = image_files::find(&[Path::new(text).to_owned()])?;
            found.notes().iter().for_each(note);
            images.extend(upload(client, &found.files, || ()).await?);
        }
    }
    Ok(images)
}

async fn finished(client: &Client, id: RequestId) -> anyhow::Result<RequestAnswer> {
    loop {
        let request = client.request(id, MAX_CLIENT_WAIT).await?;
        if request.terminal {
            return Ok(request);
        }
    }
}
