//! What resizing costs with Pillow's arithmetic, which manifests of format 2 have, beside weights of
//! 16 bits, which those of format 1 keep.

use anyhow::Result;
use flota_core::{InputSpec, Manifest};
use flota_engine::{DecodedImage, ImageFormat, preprocess};

use crate::{Options, engine::per_image_ms, measure::Figure};

const SIZES: [(u32, u32); 3] = [(640, 480), (1280, 960), (2000, 1500)];
/// The usual preprocessing of torchvision and of timm.
const INPUTS: [(&str, &str); 2] = [
    ("bilinear", "resize: {shortest_edge: 256}"),
    ("bicubic", "resize: {shortest_edge: 235}, interpolation: bicubic"),
];

pub fn measure(options: &Options) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for (filter, input) in INPUTS {
        let specs = [spec(1, input)?, spec(2, input)?];
        for size in SIZES {
            let image = picture(size);
            let mut costs: [Vec<f64>; 2] = Default::default();
            for _ in 0..options.rounds {
                for (costs, spec) in costs.iter_mut().zip(&specs) {
                    costs.push(per_image_ms(&[Vec::new()], |_| {
                        std::hint::black_box(preprocess(&image, spec));
                        Ok(())
                    })?);
                }
            }
            let ratios: Vec<f64> =
                costs[1].iter().zip(&costs[0]).map(|(two, one)| two / one).collect();
            let name = |what| format!("{filter}, {} x {} pixels: {what}", size.0, size.1);
            let unit = "CPU ms/image";
            figures.push(Figure::new(name("format 1"), unit, "", &costs[0]));
            figures.push(Figure::new(name("format 2"), unit, "", &costs[1]));
            figures.push(Figure::new(name("format 2"), "times format 1", "<= 1.5", &ratios));
        }
    }
    Ok(figures)
}

fn spec(format: u32, input: &str) -> Result<InputSpec> {
    let text = format!(
        "{{format: {format}, name: a, version: '1', weights: {{file: a.onnx}}, output: {{kind: embedding}}, \
         input: {{width: 224, height: 224, layout: nhwc, dtype: u8, {input}}}}}"
    );
    Ok(Manifest::parse("model.yaml", &text)?.input)
}

fn picture((width, height): (u32, u32)) -> DecodedImage {
    let pixels = (0..width * height * 3).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8);
    DecodedImage::whole((width, height), pixels.collect(), ImageFormat::Bmp)
}
