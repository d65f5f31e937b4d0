use std::{path::Path, process::ExitCode};

use flota_core::{ModelName, ModelVersion, Output};
use flota_worker::Engines;
use indicatif::ProgressIterator;
use serde::Serialize;

use crate::{
    built_in,
    cli::PredictArgs,
    image_files,
    print::{note, plain, print, print_json},
    show,
    table::{Table, terminal_width},
};

/// What `flota model predict --json` prints.
#[derive(Serialize)]
struct Answer {
    model: ModelName,
    version: ModelVersion,
    predictions: Vec<Line>,
}

/// What the model says of one image, or why it says nothing.
#[derive(Serialize)]
struct Line {
    image: String,
    #[serde(flatten)]
    seen: Seen,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Seen {
    Prediction(Prediction),
    Error(String),
}

/// What the model says, in the place where the API has it.
#[derive(Serialize)]
struct Prediction {
    output: Output,
}

/// Shows images to a model and prints what it says of each; exit code 1 where one cannot be read.
pub(crate) async fn predict(args: PredictArgs) -> anyhow::Result<ExitCode> {
    let settings = args.settings.load()?;
    let found = image_files::find(&args.paths)?;
    found.notes().iter().for_each(note);
    let (folder, _unpacked) = built_in::open(&args.folder, &settings).await?;
    let (name, version) = (folder.manifest().name.clone(), folder.manifest().version.clone());
    let max_bytes = folder.manifest().limits.max_bytes;
    let engines = Engines::open(&settings.engine)?.with_code(built_in::codes());
    let model = folder.load(&engines)?;
    let mut session = engines.session(&model, 1)?;
    let mut predict = |file: &Path| {
        flota_worker::predict(&model, &mut session, &image_files::read(file, max_bytes)?)
    };
    let predictions: Vec<_> =
        found.files.iter().progress().map(|file| look(&mut predict, file)).collect();
    let failed = predictions.iter().any(|line| matches!(line.seen, Seen::Error(_)));
    if args.json {
        print_json(&Answer { model: name, version, predictions })?;
    } else {
        print(table(&predictions).draw(terminal_width()))?;
        for (image, advice) in predictions.iter().flat_map(Line::advice) {
            print(format!("{}: {}", plain(image), plain(advice)))?;
        }
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

impl Line {
    /// The image, and what the model advises about it.
    fn advice(&self) -> impl Iterator<Item = (&str, &str)> {
        let output = match &self.seen {
            Seen::Prediction(prediction) => Some(&prediction.output),
            Seen::Error(_) => None,
        };
        output.into_iter().flat_map(show::advice).map(|advice| (self.image.as_str(), advice))
    }
}

fn look(predict: impl FnOnce(&Path) -> anyhow::Result<Output>, file: &Path) -> Line {
    let seen = match predict(file) {
        Ok(output) => Seen::Prediction(Prediction { output }),
        Err(error) => Seen::Error(format!("{error:#}")),
    };
    Line { image: file.display().to_string(), seen }
}

fn table(predictions: &[Line]) -> Table {
    let mut table = Table::new(&["image", "prediction"]);
    for line in predictions {
        let cell = match &line.seen {
            Seen::Prediction(prediction) => show::output(&prediction.output),
            Seen::Error(error) => error.clone(),
        };
        table.add([line.image.as_str(), &cell]);
    }
    table
}
