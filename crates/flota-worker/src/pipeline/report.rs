//! What a worker tells the recorder.

use std::{collections::BTreeSet, sync::Arc};

use flota_core::{
    Alias, DeadLetter, ModelName, OutcomesMessage, Prediction, TaskOutcome, TasksMessage, WireError,
};

use super::in_hand::Computation;

/// The end of one task.
pub(crate) struct Report {
    /// Its model.
    pub(crate) model: ModelName,
    /// How it ended.
    pub(crate) outcome: TaskOutcome,
    /// The prediction that was computed for it.
    pub(crate) prediction: Option<Arc<Prediction>>,
    /// What its object was found to contain.
    pub(crate) alias: Option<Alias>,
    /// What is kept where its attempts ran out, or where nobody else keeps that it failed.
    pub(crate) dead_letter: Option<DeadLetter>,
    /// Held until the report is sent, so that an equal image meanwhile is not computed again.
    pub(crate) _held: Option<Computation>,
}

/// The bodies that tell `reports` of tasks of `tasks`: one where it fits, else more. Each carries
/// every prediction that its outcomes name, for they may be recorded in any order.
///
/// # Errors
/// If a single report does not fit a message, which the bounds on its parts rule out.
pub(crate) fn bodies(tasks: &TasksMessage, reports: &[Report]) -> Result<Vec<String>, WireError> {
    if reports.is_empty() {
        return Ok(Vec::new());
    }
    match message(tasks, reports).encode() {
        Ok(body) => Ok(vec![body]),
        Err(WireError::TooLarge(_)) if reports.len() > 1 => {
            let (first, rest) = reports.split_at(reports.len() / 2);
            let mut all = bodies(tasks, first)?;
            all.append(&mut bodies(tasks, rest)?);
            Ok(all)
        }
        Err(error) => Err(error),
    }
}

fn message(tasks: &TasksMessage, reports: &[Report]) -> OutcomesMessage {
    let mut seen = BTreeSet::new();
    let predictions = reports.iter().filter_map(|report| report.prediction.as_deref());
    let aliases: BTreeSet<&Alias> =
        reports.iter().filter_map(|report| report.alias.as_ref()).collect();
    OutcomesMessage {
        origin: tasks.origin,
        round: tasks.round,
        pack: tasks.pack,
        outcomes: reports.iter().map(|report| report.outcome.clone()).collect(),
        predictions: predictions.filter(|known| seen.insert(&known.key)).cloned().collect(),
        aliases: aliases.into_iter().cloned().collect(),
        dead_letters: reports.iter().filter_map(|report| report.dead_letter.clone()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use flota_core::{
        Embedding, Ending, ImageFacts, Outcome, Output, PredictionKey, Sha256, Timings,
        VectorEncoding, limits::MAX_MESSAGE_BYTES,
    };
    use jiff::Timestamp;

    use super::*;
    use crate::pipeline::tests::fleet::pack;

    fn report(n: u32, content: u32, vector_length: usize) -> Report {
        let key = PredictionKey {
            sha256: Sha256::of(&content.to_le_bytes()),
            model: "means".parse().unwrap(),
            version: flota_core::ModelVersion("1".to_owned()),
        };
        let prediction = Prediction {
            key: key.clone(),
            output: Output::Embedding(
                Embedding::new(vec![1.25; vector_length], VectorEncoding::Json).unwrap(),
            ),
            image: ImageFacts {
                width: 1,
                height: 1,
                format: "png".to_owned(),
                size_bytes: 1,
                flags: Vec::new(),
            },
            computed_at: Timestamp::UNIX_EPOCH,
        };
        let outcome = Outcome {
            ending: Ending::Succeeded { prediction: key, cached: false },
            attempts: 1,
            timings: Timings::default(),
            ended_at: Timestamp::UNIX_EPOCH,
        };
        Report {
            model: "means".parse().unwrap(),
            outcome: TaskOutcome { n, outcome },
            prediction: Some(Arc::new(prediction)),
            alias: None,
            dead_letter: None,
            _held: None,
        }
    }

    #[test]
    fn large_predictions_are_split_over_messages_that_each_stand_alone() {
        let tasks = pack(1, &["flota://sha256/"; 20]);
        // Three contents, in turn.
        let reports: Vec<Report> = (0..20).map(|n| report(n, n % 3, 5_000)).collect();
        let bodies = bodies(&tasks, &reports).unwrap();
        assert!(bodies.len() > 1);
        let mut told = Vec::new();
        for body in &bodies {
            assert!(body.len() <= MAX_MESSAGE_BYTES);
            let message = OutcomesMessage::decode(body).unwrap();
            let carried: BTreeSet<_> = message.predictions.iter().map(|p| &p.key).collect();
            assert_eq!(carried.len(), message.predictions.len());
            for task in &message.outcomes {
                let Ending::Succeeded { prediction, .. } = &task.outcome.ending else { panic!() };
                assert!(carried.contains(prediction));
                told.push(task.n);
            }
        }
        assert_eq!(told, (0..20).collect::<Vec<_>>());
    }

    #[test]
    fn a_pack_that_fits_is_one_message() {
        let reports: Vec<Report> = (0..20).map(|n| report(n, n, 8)).collect();
        assert_eq!(bodies(&pack(1, &["flota://sha256/"; 20]), &reports).unwrap().len(), 1);
        assert!(bodies(&pack(1, &[]), &[]).unwrap().is_empty());
    }
}
