//! Runs a network on generated images and judges its answers.

use flota_worker::{Model, Session};

use super::{
    changes,
    evidence::{Answer, Evidence},
    finding::Finding,
    input, labels, output, steadiness,
};

/// What running a network showed.
pub(super) struct Examined {
    /// How many generated images it was run on.
    pub image_count: usize,
    /// How many numbers it answers.
    pub number_count: usize,
    pub findings: Vec<Finding>,
}

/// Runs `model` on generated images, in `session`.
///
/// # Errors
/// If it fails on one of them.
pub(super) fn examine(model: &Model, session: &mut dyn Session) -> anyhow::Result<Examined> {
    let manifest = model.manifest();
    let probed = model.probe(session)?.into_iter();
    let answers: Vec<Answer> = probed.map(|answer| (answer.picture, answer.numbers)).collect();
    let mut findings = Vec::new();
    findings.extend(input::scaled_twice(&manifest.input, model.structure()));
    findings.extend(labels::mistakes(model.labels(), manifest.labels.as_ref()));
    match output::not_finite(&answers) {
        Some(finding) => findings.push(finding),
        None => {
            let beyond = match changes::is_any_constant(&answers) {
                true => model.probe_beyond(session),
                false => Vec::new(),
            };
            let again = model.probe_again(session)?;
            let evidence = Evidence {
                input: &manifest.input,
                output: &manifest.output,
                labels: model.labels(),
                structure: model.structure(),
                answers: &answers,
                beyond: &beyond,
            };
            let mistakes = judge(
                &evidence,
                findings.iter().any(|finding| finding.code == input::SCALED_TWICE),
            );
            findings.extend(steadiness::mistakes(&answers, &again));
            findings.extend(mistakes);
        }
    }
    let number_count = answers.first().map_or(0, |(_, numbers)| numbers.len());
    Ok(Examined { image_count: answers.len(), number_count, findings })
}

/// What the answers show. Where one mistake explains another, the first is enough.
fn judge(evidence: &Evidence<'_>, is_scaled_twice: bool) -> Vec<Finding> {
    let unchanging = changes::mistakes(evidence).filter(|_| !is_scaled_twice);
    let is_constant = unchanging.as_ref().is_some_and(|finding| finding.code == changes::CONSTANT);
    let of_output = output::mistakes(evidence).filter(|_| !is_constant);
    // A softmax of probabilities is what keeps answers from changing.
    let unchanging =
        unchanging.filter(|finding| of_output.is_none() || finding.code == changes::DEAD_LABEL);
    of_output.into_iter().chain(unchanging).collect()
}
