//! The results of replayed tasks.

use std::collections::BTreeMap;

use flota_core::{
    DeadLetter, DeadLetterState, Ending, Evaluation, ModelVersion, Outcome, PortResult, RoundKey,
    Subject, TaskSource, ports::Requests,
};

/// The result of each of `letters` that has ended, by id. Those that are open or still run are left
/// out. A dead letter that was not replayed by `by` counts as skipped.
pub(super) async fn evaluate(
    requests: &dyn Requests,
    letters: &[DeadLetter],
    by: &str,
    to_version: Option<&ModelVersion>,
) -> PortResult<Vec<(String, Evaluation)>> {
    let mut evaluated = Vec::new();
    let mut by_round: BTreeMap<RoundKey, Vec<(&DeadLetter, u32)>> = BTreeMap::new();
    for letter in letters {
        let (round, succeeded) = match &letter.state {
            DeadLetterState::Open => continue,
            DeadLetterState::Replayed { round, by: whose, succeeded, .. } if whose == by => {
                (*round, *succeeded)
            }
            _ => {
                evaluated.push((letter.id.clone(), Evaluation::Skipped));
                continue;
            }
        };
        match &letter.subject {
            Subject::Task { task, .. } => match task.source {
                TaskSource::Request(request) => {
                    let key = RoundKey { request, round };
                    by_round.entry(key).or_default().push((letter, task.n));
                }
                TaskSource::Upload(_) => {
                    let evaluation = succeeded.map(|succeeded| match succeeded {
                        true => Evaluation::Succeeded,
                        false => Evaluation::Failed,
                    });
                    evaluated.extend(evaluation.map(|evaluation| (letter.id.clone(), evaluation)));
                }
            },
            Subject::Message { .. } => evaluated.push((letter.id.clone(), Evaluation::Resent)),
        }
    }
    for (round, letters) in by_round {
        let packs = requests.packs(round).await?;
        for (letter, n) in letters {
            let outcome = packs.iter().find_map(|(_, record)| record.outcomes.get(&n));
            let evaluation = outcome.map(|outcome| evaluation_of(outcome, to_version));
            evaluated.extend(evaluation.map(|evaluation| (letter.id.clone(), evaluation)));
        }
    }
    Ok(evaluated)
}

fn evaluation_of(outcome: &Outcome, to_version: Option<&ModelVersion>) -> Evaluation {
    match &outcome.ending {
        Ending::Succeeded { prediction, .. } => {
            match to_version.is_none_or(|wanted| prediction.version == *wanted) {
                true => Evaluation::Succeeded,
                false => Evaluation::Failed,
            }
        }
        Ending::Failed { .. } | Ending::Expired => Evaluation::Failed,
        Ending::Canceled => Evaluation::Skipped,
    }
}
