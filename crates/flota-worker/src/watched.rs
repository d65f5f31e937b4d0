//! Sessions of models that are not served yet: checked, tried out or measured. Nothing can stop an engine
//! that runs for ever, so each run is watched, and the process ends where one takes too long.

use std::time::Duration;

use anyhow::Context;
use flota_core::Output;
use flota_engine::{InferError, Model, NamedTensors, Session};

use crate::watchdog::{Watchdog, Watched};

/// A session whose runs may each take as long as the manifest allows a batch.
pub struct WatchedSession<'a> {
    model: &'a Model,
    session: Box<dyn Session>,
}

impl<'a> WatchedSession<'a> {
    /// Sets up a session of `model` in `threads` threads within `load_timeout`: see [`Model::session`].
    pub(crate) fn set_up(
        model: &'a Model,
        threads: usize,
        load_timeout: Duration,
    ) -> Result<Self, InferError> {
        let name = &model.manifest().name;
        let stage = "setting up the engine";
        let _watched = Watchdog::of_process().watch_model(stage, name, load_timeout);
        Ok(Self { model, session: model.session(threads)? })
    }

    /// Of which model it is.
    pub(crate) fn model(&self) -> &'a Model {
        self.model
    }

    /// The session alone, to be served: those who serve it watch it in their own way.
    pub(crate) fn into_inner(self) -> Box<dyn Session> {
        self.session
    }
}

impl Session for WatchedSession<'_> {
    fn run(&mut self, batch: &[NamedTensors]) -> Result<Vec<NamedTensors>, InferError> {
        let _watched = watched(self.model, "running the network");
        self.session.run(batch)
    }
}

/// What `model`, run by `session`, says of the image in `bytes`, without a queue: for checking a
/// model folder.
///
/// # Errors
/// If the image cannot be decoded, or the network cannot run on it.
pub fn predict(model: &Model, session: &mut dyn Session, bytes: &[u8]) -> anyhow::Result<Output> {
    let image = {
        let _watched = watched(model, "decoding an image");
        model.decode(bytes)?
    };
    let _watched = watched(model, "an image");
    let answers = session.run(&[model.prepare(&image)?])?;
    let outputs = answers.first().context("the network gave no answer")?;
    Ok(model.postprocess(outputs, &Model::facts(&image, bytes.len()))?)
}

fn watched(model: &Model, stage: &'static str) -> Watched {
    let manifest = model.manifest();
    let limit = Duration::from_secs(manifest.limits.max_seconds.into());
    Watchdog::of_process().watch_model(stage, &manifest.name, limit)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use flota_core::Manifest;
    use flota_engine::{Runtime, Tensor};

    use super::*;

    const MEANS: &[u8] = include_bytes!("../../flota-engine/tests/fixtures/means.onnx");

    /// Notes what of its model is watched while it runs, and for how long.
    struct Noting(Arc<Mutex<Vec<(&'static str, u64)>>>);

    impl Session for Noting {
        fn run(&mut self, batch: &[NamedTensors]) -> Result<Vec<NamedTensors>, InferError> {
            let running = Watchdog::of_process().running_of(&"noting".parse().unwrap());
            self.0.lock().unwrap().extend(running);
            let means = NamedTensors::one("means".into(), Tensor::row(vec![0.5; 3]));
            Ok(vec![means; batch.len()])
        }
    }

    #[test]
    fn every_run_of_a_model_that_is_not_served_is_watched() {
        let text = "{name: noting, version: '1', weights: {file: means.onnx}, labels: [r, g, b], \
            input: {width: 2, height: 2, resize: {mode: exact}}, \
            output: {name: means, kind: regression}, limits: {max_seconds: 7}}";
        let manifest = Manifest::parse("model.yaml", text).unwrap();
        let labels = ["r", "g", "b"].map(str::to_owned).to_vec();
        let model = Model::load(&Runtime::Tract, manifest, &MEANS.into(), labels).unwrap();
        let noted = Arc::default();
        let session = Box::new(Noting(Arc::clone(&noted)));
        let mut session = WatchedSession { model: &model, session };
        let taken = || std::mem::take(&mut *noted.lock().unwrap());
        session.run(&[model.black().unwrap()]).unwrap();
        assert_eq!(taken(), [("running the network", 7)]);
        assert_eq!(model.probe(&mut session).unwrap().len(), 16);
        assert_eq!(taken(), [("running the network", 7); 16], "each generated image by itself");
        let bmp = [
            b"BM\x3a\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\x01\0\0\0\x01\0\0\0\x01\0\x18\0",
            &[0; 28][..],
        ];
        predict(&model, &mut session, &bmp.concat()).unwrap();
        assert_eq!(taken().last(), Some(&("running the network", 7)));
        assert!(Watchdog::of_process().running_of(&model.manifest().name).is_empty());
    }
}
