//! Images that are made to see whether a network's answers make sense.

use crate::{DecodedImage, ImageFormat, InferError, Model, NamedTensors, Session, TensorData};

mod drawings;

/// How far beyond what any image becomes a tensor of [`Model::probe_beyond`] reaches.
const BEYOND: f32 = 100.0;

/// A made image and the network's numbers for it, before any softmax or sigmoid of ours.
#[derive(Debug, Clone, PartialEq)]
pub struct ProbeAnswer {
    /// What is on the image.
    pub picture: &'static str,
    /// What the network answers, in the order of the labels.
    pub numbers: Vec<f32>,
}

/// What the network answers to two images together, and to the first of them a second time.
#[derive(Debug, Clone, PartialEq)]
pub struct ProbeAgain {
    /// To the first image, alone.
    pub repeated: Vec<f32>,
    /// To both in one batch, where it takes them. An engine that runs a batch image by image answers as it
    /// does to each alone.
    pub together: Result<[Vec<f32>; 2], String>,
}

impl Model {
    /// What the network answers to generated images, run one after the other: ten that differ as widely as
    /// images can, and six with the colours, edges and textures of photos.
    ///
    /// # Errors
    /// If the network fails on one of them.
    pub fn probe(&self, session: &mut dyn Session) -> Result<Vec<ProbeAnswer>, InferError> {
        let images = drawings::IMAGES.iter();
        images
            .map(|&(picture, pixel)| {
                let numbers = self.run_alone(session, self.prepare(&drawn(pixel))?)?;
                Ok(ProbeAnswer { picture, numbers })
            })
            .collect()
    }

    /// What it answers when it is asked again, and of two images at once: the same, if it is fit to be served.
    /// They are the first two of [`Self::probe`].
    ///
    /// # Errors
    /// If it fails on an image alone.
    pub fn probe_again(&self, session: &mut dyn Session) -> Result<ProbeAgain, InferError> {
        let inputs = |index: usize| self.prepare(&drawn(drawings::IMAGES[index].1));
        let repeated = self.run_alone(session, inputs(0)?)?;
        let numbers = |outputs: &NamedTensors| self.numbers(outputs).map(<[f32]>::to_vec);
        let batch = [inputs(0)?, inputs(1)?];
        let ran = session.run(&batch);
        let ran = ran.and_then(|all| all.iter().map(numbers).collect::<Result<Vec<_>, _>>());
        let together = match ran {
            Ok(answers) => <[Vec<f32>; 2]>::try_from(answers)
                .map_err(|answers| format!("{} answers", answers.len())),
            Err(error) => Err(error.to_string()),
        };
        Ok(ProbeAgain { repeated, together })
    }

    /// What it answers to tensors far beyond those of any image: they show whether it heeds its input at
    /// all. Empty for an input of bytes, which images exhaust, and without those that it fails on.
    pub fn probe_beyond(&self, session: &mut dyn Session) -> Vec<Vec<f32>> {
        let mut answers = Vec::new();
        for &(_, pixel) in &drawings::IMAGES {
            for factor in [BEYOND, -BEYOND] {
                let Ok(mut inputs) = self.prepare(&drawn(pixel)) else { continue };
                let image = inputs.get_mut(self.input_name());
                let Some(TensorData::F32(numbers)) = image.map(|tensor| &mut tensor.data) else {
                    return Vec::new();
                };
                numbers.iter_mut().for_each(|number| *number *= factor);
                answers.extend(self.run_alone(session, inputs));
            }
        }
        answers
    }

    fn run_alone(
        &self,
        session: &mut dyn Session,
        inputs: NamedTensors,
    ) -> Result<Vec<f32>, InferError> {
        let answers = session.run(&[inputs])?;
        let outputs = answers.first().ok_or(InferError::WrongCount { found: 0, wanted: 1 })?;
        self.numbers(outputs).map(<[f32]>::to_vec)
    }
}

fn drawn(pixel: drawings::Pixel) -> DecodedImage {
    let (width, height) = drawings::SIZE;
    let places = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
    let pixels = places.flat_map(|(x, y)| pixel(x, y)).collect();
    DecodedImage::whole(drawings::SIZE, pixels, ImageFormat::Png)
}
