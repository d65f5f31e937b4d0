use flota_client::{Ended, Failed, OutcomeView, PredictionView, Succeeded, Word};
use flota_core::{Code, LabelScore, ModelName, ModelVersion};
use serde::{Serialize, Serializer};

use super::receiver::Arrived;
use crate::{print::plain, show, table::Table};

/// What stands in place of values where there are none; a sentence under the tables says why.
const FAILED: &str = "failed";

/// What a demo came to; its JSON is the whole standard output of `flota demo --json`.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// How many images were submitted.
    pub images: usize,
    /// How many tasks they made.
    pub tasks: usize,
    /// How many have a prediction.
    pub succeeded: usize,
    /// How many have none.
    pub failed: usize,
    /// How many predictions were known before, so that nothing was computed.
    pub from_cache: usize,
    /// What of the callbacks arrived.
    pub callbacks: Callbacks,
    /// How each task ended.
    pub predictions: Vec<Line>,
    /// From the first upload to the last callback.
    pub seconds: f64,
}

/// What of the callbacks arrived.
#[derive(Debug, Serialize)]
pub(super) struct Callbacks {
    /// How many came.
    pub delivered: usize,
    /// How many of them are signed as they should be.
    pub verified: usize,
}

/// How a task ended. Its JSON has the names of the API, except that the image is called by its file.
#[derive(Debug)]
pub(super) struct Line {
    /// The image's file.
    pub image: String,
    /// What the API says.
    pub outcome: OutcomeView,
}

#[derive(Serialize)]
struct LineFields<'a> {
    image: &'a str,
    model: &'a ModelName,
    #[serde(flatten)]
    ending: EndingFields<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum EndingFields<'a> {
    Succeeded {
        outcome: Succeeded,
        version: &'a ModelVersion,
        cached: bool,
        prediction: Option<&'a PredictionView>,
    },
    Failed {
        outcome: Failed,
        code: &'a Word<Code>,
        message: &'a str,
    },
    Ended {
        outcome: Ended,
    },
}

impl Line {
    fn model(&self) -> &ModelName {
        &self.outcome.task().model
    }
}

impl Serialize for Line {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let ending = match &self.outcome {
            OutcomeView::Succeeded(succeeded) => EndingFields::Succeeded {
                outcome: succeeded.outcome,
                version: &succeeded.version,
                cached: succeeded.cached,
                prediction: succeeded.prediction.as_ref(),
            },
            OutcomeView::Failed(failed) => EndingFields::Failed {
                outcome: failed.outcome,
                code: &failed.code,
                message: &failed.message,
            },
            OutcomeView::Ended(ended) => EndingFields::Ended { outcome: ended.outcome },
        };
        LineFields { image: &self.image, model: self.model(), ending }.serialize(serializer)
    }
}

impl Report {
    /// Adds up what happened. `outcomes` stand beside the names of their images.
    pub fn new(
        images: usize,
        outcomes: Vec<(String, OutcomeView)>,
        arrived: &Arrived,
        seconds: f64,
    ) -> Self {
        let line = |(image, outcome): (String, OutcomeView)| Line { image, outcome };
        let predictions: Vec<_> = outcomes.into_iter().map(line).collect();
        let count = |counts: fn(&OutcomeView) -> bool| {
            predictions.iter().filter(|line| counts(&line.outcome)).count()
        };
        let succeeded = count(|outcome| matches!(outcome, OutcomeView::Succeeded(_)));
        let from_cache = count(OutcomeView::is_cached);
        Self {
            images,
            tasks: predictions.len(),
            succeeded,
            failed: predictions.len() - succeeded,
            from_cache,
            callbacks: Callbacks {
                delivered: arrived.delivered.len(),
                verified: arrived.verified.len(),
            },
            predictions,
            seconds,
        }
    }

    /// All of it for people, on a terminal of `width`.
    pub fn text(&self, width: Option<u16>) -> String {
        let mut parts: Vec<_> = self.tables(width).iter().map(|table| table.draw(width)).collect();
        parts.extend(self.failures());
        parts.push(self.summary());
        // A program takes what stands between empty lines for one table.
        parts.join(if width.is_some() { "\n" } else { "\n\n" })
    }

    /// A table for each model that measures several values, and one for all the others.
    fn tables(&self, width: Option<u16>) -> Vec<Table> {
        let mut models: Vec<&ModelName> = self.predictions.iter().map(Line::model).collect();
        models.sort();
        models.dedup();
        let (measuring, naming): (Vec<_>, Vec<_>) =
            models.into_iter().map(|model| (model, self.labels(model))).partition(is_measuring);
        let table_of = |(model, labels): &(&ModelName, Vec<String>)| {
            let table = self.table_of_values(model, labels);
            if table.fits(width) { table } else { self.table_of_flags(model) }
        };
        let mut tables: Vec<Table> = measuring.iter().map(table_of).collect();
        if !naming.is_empty() {
            tables.push(self.table_of_models(naming.into_iter().map(|(model, _)| model).collect()));
        }
        tables
    }

    /// What `model` measures; empty where it does something else.
    fn labels(&self, model: &ModelName) -> Vec<String> {
        let of_model = self.predictions.iter().filter(|line| line.model() == model);
        let values = of_model.filter_map(|line| show::values(&line.outcome)).next();
        values.into_iter().flatten().map(|score| score.label.to_string()).collect()
    }

    /// A row for each image with a column for each value.
    fn table_of_values(&self, model: &ModelName, labels: &[String]) -> Table {
        // A narrow terminal breaks headings at spaces.
        let headings = labels.iter().map(|label| label.replace('_', " "));
        let headings: Vec<String> = std::iter::once(model.to_string()).chain(headings).collect();
        let mut table = Table::new(&headings);
        for line in self.predictions.iter().filter(|line| line.model() == model) {
            let image = std::iter::once(self.short(&line.image).to_owned());
            match show::values(&line.outcome) {
                Some(values) => {
                    table.add(image.chain(values.iter().map(|score| cell(values, score))))
                }
                None => table.add(image.chain([FAILED.to_owned()])),
            }
        }
        table
    }

    /// A row for each image with what of its values is flagged: for a terminal that has no room
    /// for all of them.
    fn table_of_flags(&self, model: &ModelName) -> Table {
        let mut table = Table::new(&[model.as_str(), "flagged"]);
        for line in self.predictions.iter().filter(|line| line.model() == model) {
            let flagged = show::values(&line.outcome).map(show::flagged);
            table.add([self.short(&line.image), flagged.as_deref().unwrap_or(FAILED)]);
        }
        table
    }

    /// A sentence for each task without a prediction.
    fn failures(&self) -> Vec<String> {
        let has_none = |line: &&Line| !matches!(line.outcome, OutcomeView::Succeeded(_));
        let sentence = |line: &Line| {
            format!("{}, {}: {}", line.image, line.model(), show::outcome(&line.outcome))
        };
        let sentence = |line| plain(&sentence(line)).into_owned();
        self.predictions.iter().filter(has_none).map(sentence).collect()
    }

    /// An image's file without the folders that all images share.
    fn short<'a>(&self, image: &'a str) -> &'a str {
        let mut folder = image.rfind('/').map_or(0, |slash| slash + 1);
        while !self.predictions.iter().all(|line| line.image.starts_with(&image[..folder])) {
            folder = image[..folder - 1].rfind('/').map_or(0, |slash| slash + 1);
        }
        &image[folder..]
    }

    /// A row for each image with a column for each of `models`.
    fn table_of_models(&self, models: Vec<&ModelName>) -> Table {
        let headings = std::iter::once("image").chain(models.iter().map(|model| model.as_str()));
        let mut table = Table::new(&headings.collect::<Vec<_>>());
        // The lines of an image follow each other, and each model looks at it once.
        for lines in self.predictions.chunk_by(|a, b| a.image == b.image && a.model() < b.model()) {
            let cell = |model: &&ModelName| {
                let line = lines.iter().find(|line| line.model() == *model);
                line.map(|line| show::outcome(&line.outcome)).unwrap_or_default()
            };
            let image = lines.iter().map(|line| self.short(&line.image).to_owned()).take(1);
            table.add(image.chain(models.iter().map(cell)));
        }
        table
    }

    /// The sentences under the table.
    fn summary(&self) -> String {
        let Callbacks { delivered, verified } = self.callbacks;
        let signatures = match delivered == verified {
            true => "every signature verified".to_owned(),
            false => format!("only {verified} with a valid signature"),
        };
        let is_flagged = self.predictions.iter().any(|line| show::has_flag(&line.outcome));
        let legend = match is_flagged {
            true => "! marks scores beyond the threshold in the model's manifest\n",
            false => "",
        };
        format!(
            "{legend}{} in {:.1} s: {} succeeded, {} failed, {} from cache\n{} received, {signatures}",
            show::count(self.tasks, "task"),
            self.seconds,
            self.succeeded,
            self.failed,
            self.from_cache,
            show::count(delivered, "callback"),
        )
    }
}

/// A value in its own column.
fn cell(values: &[LabelScore], score: &LabelScore) -> String {
    match show::is_hidden(values, score) {
        true => "-".to_owned(),
        false => show::value(score),
    }
}

fn is_measuring((_, labels): &(&ModelName, Vec<String>)) -> bool {
    !labels.is_empty()
}

#[cfg(test)]
mod tests {
    use flota_core::Output;
    use serde_json::json;

    use super::*;

    fn report() -> Report {
        let names = ["blurred", "overexposed", "underexposed", "noisy", "compressed", "distorted"];
        let line = |image: &str, flagged: &str| {
            let score = |(index, name): (usize, &&str)| {
                let (score, flagged) = (0.5 + index as f32 / 100.0, **name == *flagged);
                json!({ "label": name, "index": index, "score": score, "flagged": flagged })
            };
            let scores: Vec<_> = names.iter().enumerate().map(score).collect();
            let output: Output =
                serde_json::from_value(json!({ "kind": "regression", "scores": scores })).unwrap();
            let facts = json!({ "format": "png", "width": 8, "height": 8, "size_bytes": 9 });
            let at = "2026-11-21T10:00:00Z";
            let line = json!({ "task": "task_1-0", "n": 0, "round": 1,
                "image": { "url": "https://a/b" }, "model": "quality", "attempts": 1, "timings": {},
                "ended_at": at, "outcome": "succeeded", "sha256": "0".repeat(64), "version": "1",
                "cached": false,
                "prediction": { "output": output, "image": facts, "computed_at": at } });
            (image.to_owned(), serde_json::from_value(line).unwrap())
        };
        let outcomes = vec![line("d/street.jpg", "noisy"), line("d/a\u{1b}[2J.jpg", "")];
        Report::new(2, outcomes, &Arrived::default(), 1.0)
    }

    #[test]
    fn values_have_columns_where_there_is_room_and_else_only_what_is_flagged_is_shown() {
        for width in [None, Some(120)] {
            let text = report().text(width);
            assert!(text.contains("0.53!") && text.contains("0.50"), "{text}");
            assert_eq!(text.contains('│'), width.is_some(), "{text}");
        }
        for width in [80, 60, 40] {
            let text = report().text(Some(width));
            assert!(text.contains("noisy 0.53!") && text.contains("nothing flagged"), "{text}");
            assert!(!text.contains("0.50"), "{text}");
        }
    }

    #[test]
    fn names_are_shown_without_what_would_steer_a_terminal() {
        let text = report().text(None);
        assert!(text.contains(r"a\u{1b}[2J.jpg") && !text.contains('\u{1b}'), "{text}");
    }
}
