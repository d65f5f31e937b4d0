use std::process::ExitCode;

use flota_core::{Format, ModelName, ModelVersion};
use flota_worker::{Compared, EXAMPLES_FILE, Engines, Examples};
use serde::Serialize;

use super::{
    finding::{Finding, Level},
    input, network,
};
use crate::{
    built_in,
    cli::CheckArgs,
    print::{self, OutputError, plain, print, print_json},
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
    /// How many generated images the model was run on.
    #[serde(skip)]
    made_count: usize,
    /// How many numbers it answers.
    #[serde(skip)]
    number_count: usize,
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

/// What is printed as JSON where the check cannot be finished: the error is its only finding.
#[derive(Serialize)]
struct Unfinished {
    ok: bool,
    findings: [Finding; 1],
}

/// Checks a model folder; exit code 1 where something is wrong or a golden example comes out otherwise.
pub(crate) async fn check(args: CheckArgs) -> anyhow::Result<ExitCode> {
    let is_json = args.json;
    let report = match report(args).await {
        Err(error) if is_json && !error.is::<OutputError>() => {
            print_json(&Unfinished::by(&error))?;
            return Ok(ExitCode::FAILURE);
        }
        report => report?,
    };
    if is_json {
        print_json(&report)?;
        return Ok(if report.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    report.print()?;
    Ok(ExitCode::SUCCESS)
}

async fn report(args: CheckArgs) -> anyhow::Result<Report> {
    let settings = args.settings.load()?;
    let (folder, _unpacked) = built_in::open(&args.folder, &settings).await?;
    let dir = folder.dir().to_owned();
    let manifest = folder.manifest().clone();
    let digest = folder.digest().to_string();
    if !args.json {
        print(format!("manifest: {} {}", manifest.name, manifest.version))?;
    }
    let mut findings = input::mistakes(&manifest);
    let engines = Engines::open(&settings.engine)?.with_code(built_in::codes());
    let model = folder.load(&engines)?;
    let mut session = engines.session(&model, 1)?;
    let examined = network::examine(&model, &mut session)?;
    // Numbers on the wrong scale hardly change the answers: that is one mistake, not two.
    let scales = ["MEAN_SCALE", "STD_SCALE", "SCALED_TWICE"];
    let is_scale_wrong = findings.iter().any(|finding: &Finding| scales.contains(&finding.code));
    let is_news = |finding: &Finding| !is_scale_wrong || finding.code != "HARDLY_CHANGES";
    findings.extend(examined.findings.into_iter().filter(is_news));
    let mut report = Report {
        model: manifest.name,
        version: manifest.version,
        format: manifest.format,
        digest,
        engine: model.runtime().to_string(),
        label_count: model.labels().len(),
        made_count: examined.image_count,
        number_count: examined.number_count,
        ok: true,
        findings,
        golden_examples: Vec::new(),
        tolerance: None,
    };
    if let Some(examples) = Examples::read(&dir)? {
        report.tolerance = Some(examples.tolerance);
        for example in &examples.examples {
            let compared = examples.compare(example, &dir, &model, &mut session)?;
            report.golden_examples.push(GoldenResult::of(&example.image, compared));
        }
    }
    report.ok = report.error_count() == 0 && report.mismatch_count() == 0;
    Ok(report)
}

impl Unfinished {
    fn by(error: &anyhow::Error) -> Self {
        let message = print::with_causes(error).join(": ");
        Self { ok: false, findings: [Finding::error("CHECK_FAILED", message)] }
    }
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
        print(format!("weights and labels: found; digest {}", self.digest))?;
        let answered = match self.label_count {
            0 => show::count(self.number_count, "number"),
            labels => show::count(labels, "label"),
        };
        print(format!("network: input and output fit the manifest; {answered}"))?;
        for finding in &self.findings {
            print(finding)?;
        }
        print(made(self.made_count, self.findings.len()))?;
        for GoldenResult { image, difference, mismatch } in &self.golden_examples {
            let image = plain(image);
            match (difference, mismatch) {
                (Some(difference), _) => {
                    print(format!("golden {image}: ok, within {difference:.2e}"))?;
                }
                (None, mismatch) => {
                    print(format!("golden {image}: {}", mismatch.as_deref().unwrap_or_default()))?;
                }
            }
        }
        let count = show::count(self.golden_examples.len(), "golden example");
        match (self.tolerance, self.mismatch_count()) {
            (None, _) => {
                print(format!("golden examples: none, because there is no {}", EXAMPLES_FILE))?;
            }
            (Some(tolerance), 0) => print(format!("{count} within {tolerance:e}"))?,
            (Some(_), mismatch_count) => {
                anyhow::bail!("{mismatch_count} of {count} did not match");
            }
        }
        match self.error_count() {
            0 => Ok(print("ok")?),
            errors => {
                anyhow::bail!("the model check found {}", show::count(errors, "error"))
            }
        }
    }
}

/// What came of the generated images.
fn made(image_count: usize, finding_count: usize) -> String {
    let found = match finding_count {
        0 => "no mistake found".to_owned(),
        count => format!("{} found", show::count(count, "possible mistake")),
    };
    format!("generated images: {image_count}, {found}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_the_only_finding_of_a_check_that_is_not_finished() {
        let error = anyhow::anyhow!("there is none").context("cannot read x");
        let json = serde_json::to_value(Unfinished::by(&error)).unwrap();
        let finding = serde_json::json!({
            "level": "error", "code": "CHECK_FAILED", "message": "cannot read x: there is none"
        });
        assert_eq!(json, serde_json::json!({"ok": false, "findings": [finding]}));
    }

    #[test]
    fn made_images_without_a_mistake_are_said_to_be_fine() {
        assert_eq!(made(10, 0), "generated images: 10, no mistake found");
        assert_eq!(made(10, 2), "generated images: 10, 2 possible mistakes found");
    }
}
