use std::process::ExitCode;

use flota_core::{Format, ModelName, ModelVersion};
use flota_worker::{Compared, EXAMPLES_FILE, Engines, Examples, ModelFolder};
use serde::Serialize;

use super::{
    finding::{Finding, Level},
    input, output,
};
use crate::{
    built_in,
    cli::CheckArgs,
    print::{plain, print, print_json},
    show,
};

/// What was checked, and what came of it.
#[derive(Serialize)]
struct Report {
    model: ModelName,
    version: ModelVersion,
    format: Format,
    digest: String,
    engine: String,
    label_count: usize,
    /// How many made images the model was run on.
    #[serde(skip)]
    made_count: usize,
    /// Whether nothing is wrong.
    ok: bool,
    findings: Vec<Finding>,
    golden_examples: Vec<GoldenResult>,
    /// Absent where there are no golden examples.
    #[serde(skip_serializing_if = "Option::is_none")]
    tolerance: Option<f32>,
}

/// How a golden example came out: `difference` is the largest of a score, `mismatch` says what is otherwise.
#[derive(Serialize)]
struct GoldenResult {
    image: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    difference: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mismatch: Option<String>,
}

/// Checks a model folder; exit code 1 where something is wrong or a golden example comes out otherwise.
pub(crate) async fn check(args: CheckArgs) -> anyhow::Result<ExitCode> {
    let settings = args.settings.load()?;
    let (dir, _unpacked) = built_in::folder_of(&args.folder)?;
    let folder = ModelFolder::open(&dir, &settings.weights_dir()).await?;
    let manifest = folder.manifest().clone();
    let digest = folder.digest().to_string();
    if !args.json {
        print(format!("manifest: {} {}", manifest.name, manifest.version))?;
        print(format!("weights and labels: found; digest {digest}"))?;
    }
    let mut findings = input::mistakes(&manifest);
    let model = folder.load(&Engines::open(&settings.engine)?)?;
    let mut session = model.session(1)?;
    let probed = model.probe(session.as_mut())?;
    let answers: Vec<output::Answer> =
        probed.into_iter().map(|answer| (answer.picture, answer.numbers)).collect();
    findings.extend(output::mistakes(&manifest.output, &answers));
    let mut report = Report {
        model: manifest.name,
        version: manifest.version,
        format: manifest.format,
        digest,
        engine: model.runtime().to_string(),
        label_count: model.labels().len(),
        made_count: answers.len(),
        ok: true,
        findings,
        golden_examples: Vec::new(),
        tolerance: None,
    };
    if let Some(examples) = Examples::read(&dir)? {
        report.tolerance = Some(examples.tolerance);
        for example in &examples.examples {
            let compared = examples.compare(example, &dir, &model, session.as_mut())?;
            report.golden_examples.push(GoldenResult::of(&example.image, compared));
        }
    }
    report.ok = report.error_count() == 0 && report.mismatch_count() == 0;
    if args.json {
        print_json(&report)?;
        return Ok(if report.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    report.print()?;
    Ok(ExitCode::SUCCESS)
}

impl GoldenResult {
    fn of(image: &str, compared: Compared) -> Self {
        let image = image.to_owned();
        match compared {
            Compared::Equal { largest_difference } => {
                Self { image, difference: Some(largest_difference), mismatch: None }
            }
            Compared::Other(mismatch) => Self { image, difference: None, mismatch: Some(mismatch) },
        }
    }
}

impl Report {
    fn error_count(&self) -> usize {
        self.findings.iter().filter(|finding| finding.level == Level::Error).count()
    }

    fn mismatch_count(&self) -> usize {
        self.golden_examples.iter().filter(|example| example.mismatch.is_some()).count()
    }

    /// For people.
    ///
    /// # Errors
    /// If something is wrong, as a sentence that counts it.
    fn print(&self) -> anyhow::Result<()> {
        let labels = show::count(self.label_count, "label");
        print(format!("network: input and output fit the manifest; {labels}"))?;
        for finding in &self.findings {
            print(finding)?;
        }
        print(made(self.made_count, self.findings.len()))?;
        for GoldenResult { image, difference, mismatch } in &self.golden_examples {
            let image = plain(image);
            match (difference, mismatch) {
                (Some(difference), _) => {
                    print(format!("golden {image}: as wanted, within {difference:.2e}"))?;
                }
                (None, mismatch) => {
                    print(format!("golden {image}: {}", mismatch.as_deref().unwrap_or_default()))?;
                }
            }
        }
        let count = show::count(self.golden_examples.len(), "golden example");
        match (self.tolerance, self.mismatch_count()) {
            (None, _) => {
                print(format!("golden examples: none, for there is no {}", EXAMPLES_FILE))?;
            }
            (Some(tolerance), 0) => print(format!("{count} within {tolerance:e}"))?,
            (Some(_), mismatch_count) => {
                anyhow::bail!("{mismatch_count} of {count} came out otherwise than wanted");
            }
        }
        match self.error_count() {
            0 => Ok(print("ok")?),
            errors => {
                anyhow::bail!("the model's answers are wrong: {}", show::count(errors, "error"))
            }
        }
    }
}

/// What came of the made images.
fn made(image_count: usize, finding_count: usize) -> String {
    let found = match finding_count {
        0 => "no mistake found".to_owned(),
        count => format!("{} found", show::count(count, "possible mistake")),
    };
    format!("made images: {image_count}, {found}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_images_without_a_mistake_are_said_to_be_fine() {
        assert_eq!(made(10, 0), "made images: 10, no mistake found");
        assert_eq!(made(10, 2), "made images: 10, 2 possible mistakes found");
    }
}
