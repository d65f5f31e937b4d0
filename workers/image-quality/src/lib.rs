//! What image-quality says beyond its network: advice for the person who took the photo, and that a tiny image
//! is one.

use std::collections::BTreeMap;

use flota_worker::{Cause, Hooks, ModelCode, NetworkAnswer, Output};
use serde::Deserialize;

/// The label of images that have few pixels.
const LOW_RESOLUTION: &str = "low_resolution";
/// The label that is lower the more is wrong.
const QUALITY: &str = "quality";
/// The quality from which on a photo is not flagged, as `model.yaml` has it. A tiny image has less, in proportion to
/// its longer side.
const TINY_QUALITY: f32 = 0.5;

/// The code of this model, for its own worker and for the command `flota`.
pub fn code() -> ModelCode {
    ModelCode::with_parameters(env!("CARGO_PKG_NAME"), 1, |parameters: Parameters, labels| {
        parameters.check(labels)?;
        Ok(Hooks::default().after(move |answer, output| {
            parameters.judge_size(answer, output);
            parameters.advise(output);
            Ok(())
        }))
    })
}

/// `code.parameters` in `model.yaml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameters {
    /// An image whose longer side has fewer pixels is tiny.
    min_side: u32,
    /// What to do about each fault.
    advice: BTreeMap<String, String>,
}

impl Parameters {
    fn check(&self, labels: &[String]) -> Result<(), Cause> {
        let advised = self.advice.keys().map(String::as_str);
        match advised
            .chain([LOW_RESOLUTION, QUALITY])
            .find(|name| !labels.iter().any(|l| l == name))
        {
            Some(unknown) => Err(format!("`{unknown}` is not among the labels").into()),
            None => Ok(()),
        }
    }

    /// A tiny image surely has a low resolution: its pixels are counted, not estimated. The network does not
    /// see it, because the photo is enlarged before.
    fn judge_size(&self, answer: &NetworkAnswer<'_>, output: &mut Output) {
        let side = answer.image.width.max(answer.image.height);
        if side >= self.min_side {
            return;
        }
        let max_quality = TINY_QUALITY * side as f32 / self.min_side as f32;
        for entry in output.scores_mut() {
            match entry.label.as_str() {
                LOW_RESOLUTION => answer.rescore(entry, 1.0),
                QUALITY => answer.rescore(entry, entry.score.min(max_quality)),
                _ => {}
            }
        }
    }

    fn advise(&self, output: &mut Output) {
        for entry in output.scores_mut().iter_mut().filter(|entry| entry.flagged == Some(true)) {
            entry.advice = self.advice.get(&entry.label).cloned();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use flota_worker::{Engines, Model, ModelFolder, predict};

    use super::*;

    async fn model() -> Model {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR"));
        let folder = ModelFolder::open(dir, dir).await.expect("nothing has to be fetched");
        folder.load(&Engines::tract().with_code([code()].into())).expect("it has its code")
    }

    /// A BMP of one colour.
    fn bmp(side: u8) -> Vec<u8> {
        let row = usize::from(side) * 3;
        let padding = (4 - row % 4) % 4;
        let mut file = b"BM\0\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0".to_vec();
        file.extend([side, 0, 0, 0, side, 0, 0, 0, 1, 0, 24, 0]);
        file.extend([0; 24]);
        for _ in 0..side {
            file.extend([120; 3].repeat(side.into()));
            file.extend(vec![0; padding]);
        }
        file
    }

    fn score_of<'o>(output: &'o Output, label: &str) -> &'o flota_worker::LabelScore {
        output.scores().iter().find(|entry| entry.label == label).expect("all labels are listed")
    }

    #[tokio::test]
    async fn every_flag_comes_with_advice() {
        let model = model().await;
        let manifest = model.manifest();
        let code = manifest.code.as_ref().expect("the manifest asks for the code");
        let Parameters { advice, .. } = code.read_parameters().expect("they fit");
        let advised = |label: &String| label == QUALITY || advice.contains_key(label);
        assert!(model.labels().iter().all(advised));
        assert!(advice.values().all(|text| text.ends_with('.') && text.len() < 120));
    }

    #[tokio::test]
    async fn a_flagged_photo_is_answered_with_what_to_do() {
        let model = model().await;
        let mut session = model.session(1).expect("tract has sessions");
        let noisy = include_bytes!("../golden/noisy.png");
        let output = predict(&model, session.as_mut(), noisy).expect("it is a photo");
        let advice = score_of(&output, "noisy").advice.as_deref();
        assert!(advice.is_some_and(|text| text.contains("light")), "{advice:?}");
        assert_eq!(score_of(&output, "blocky").advice, None);
        assert_eq!(score_of(&output, QUALITY).advice, None);
    }

    #[tokio::test]
    async fn a_tiny_image_is_flagged_by_its_pixels() {
        let model = model().await;
        let mut session = model.session(1).expect("tract has sessions");
        let mut look =
            |side| predict(&model, session.as_mut(), &bmp(side)).expect("it is an image");
        let tiny = look(28);
        let (resolution, quality) = (score_of(&tiny, LOW_RESOLUTION), score_of(&tiny, QUALITY));
        assert_eq!((resolution.score, resolution.flagged), (1.0, Some(true)));
        assert!(resolution.advice.is_some());
        assert!(quality.score <= 0.09 && quality.flagged == Some(true), "{quality:?}");
        let larger = look(160);
        assert!(score_of(&larger, LOW_RESOLUTION).score < 1.0, "the network judges it alone");
    }
}
