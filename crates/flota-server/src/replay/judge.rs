//! What came of tasks that were run again.

use std::collections::BTreeMap;

use flota_core::{
    DeadLetter, DeadLetterState, Ending, Judgement, ModelVersion, Outcome, PortResult, RoundKey,
    Subject, ports::Requests,
};

/// What came of each of `letters` that has ended, by its id; those that run still are left out.
/// They were decided about, on behalf of `by` if they are ours to judge.
pub(super) async fn judge(
    requests: &dyn Requests,
    letters: &[DeadLetter],
    by: &str,
    to_version: Option<&ModelVersion>,
) -> PortResult<Vec<(String, Judgement)>> {
    let mut judged = Vec::new();
    let mut by_round: BTreeMap<RoundKey, Vec<(&DeadLetter, u32)>> = BTreeMap::new();
    for letter in letters {
        let (round, succeeded) = match &letter.state {
            DeadLetterState::Open => continue,
            DeadLetterState::Replayed { round, by: whose, succeeded, .. } if whose == by => {
                (*round, *succeeded)
            }
            _ => {
                judged.push((letter.id.clone(), Judgement::Skipped));
                continue;
            }
        };
        match &letter.subject {
            Subject::Task { task, .. } => {
                let key = RoundKey { request: task.request, round };
                by_round.entry(key).or_default().push((letter, task.n));
            }
            Subject::Upload { .. } => {
                let judgement = succeeded.map(|succeeded| match succeeded {
                    true => Judgement::Succeeded,
                    false => Judgement::Failed,
                });
                judged.extend(judgement.map(|judgement| (letter.id.clone(), judgement)));
            }
            Subject::Message { .. } => judged.push((letter.id.clone(), Judgement::Resent)),
        }
    }
    for (round, letters) in by_round {
        let packs = requests.packs(round).await?;
        for (letter, n) in letters {
            let outcome = packs.iter().find_map(|(_, record)| record.outcomes.get(&n));
            let judgement = outcome.map(|outcome| judgement_of(outcome, to_version));
            judged.extend(judgement.map(|judgement| (letter.id.clone(), judgement)));
        }
    }
    Ok(judged)
}

fn judgement_of(outcome: &Outcome, to_version: Option<&ModelVersion>) -> Judgement {
    match &outcome.ending {
        Ending::Succeeded { prediction, .. } => {
            match to_version.is_none_or(|wanted| prediction.version == *wanted) {
                true => Judgement::Succeeded,
                false => Judgement::Failed,
            }
        }
        Ending::Failed { .. } | Ending::Expired => Judgement::Failed,
        Ending::Canceled => Judgement::Skipped,
    }
}
