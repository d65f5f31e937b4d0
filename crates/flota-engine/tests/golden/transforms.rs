//! SqueezeNet's answers on photographs as torchvision and timm prepare them. What they make of each photograph
//! stands in `fixtures/transforms/photos.csv`, written by the `make.py` beside it.

use flota_core::{InputSpec, Manifest};
use flota_engine::{TensorData, preprocess};

use crate::data;

const PHOTOS: &str = include_str!("../fixtures/transforms/photos.csv");
/// At least so many of a thousand first answers must be the same. From the same pixels all are: libjpeg-turbo
/// decodes as Pillow does, and zune-jpeg rounds otherwise where it interpolates colours.
const LEAST_EQUAL_PER_MILLE: usize = if cfg!(feature = "turbojpeg") { 995 } else { 990 };
/// How far the means over the cells of an image may differ, in levels of 255, on average over all
/// photographs: both sides decode for themselves, and the stored ones are rounded to a level.
const MAX_MEAN_DISTANCE: f64 = 0.6;
const WIDTH: usize = 224;
const GRID: usize = 4;

/// The preprocessing of a column: as it is written, and where its values are.
struct Way {
    name: &'static str,
    input: &'static str,
    column: usize,
}

const WAYS: [Way; 2] = [
    Way {
        name: "torchvision",
        input: "resize: {shortest_edge: 256}, jpeg: {min_scale: 0}",
        column: 3,
    },
    Way {
        name: "timm",
        input: "resize: {shortest_edge: 235}, interpolation: bicubic, jpeg: {min_scale: 0}",
        column: 6,
    },
];

const COLORS: &str = "mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225]";

#[test]
fn photos_are_seen_as_torchvision_and_timm_see_them() {
    let rows: Vec<Vec<&str>> =
        PHOTOS.lines().skip(1).map(|line| line.split(',').collect()).collect();
    let Some(folder) = data::folder(2 * rows.len(), "torchvision's and timm's transforms") else {
        return;
    };
    let labels: Vec<String> = (0..1_000).map(|index| index.to_string()).collect();
    for way in WAYS {
        let rest = format!(
            "format: 2\nlabels: {{file: labels.txt}}\noutput: {{kind: scores}}\n\
             input: {{width: 224, height: 224, {COLORS}, {}}}",
            way.input
        );
        let [_, model, _] = data::models(&folder, "squeezenet1.1-fp32.onnx", &labels, &rest);
        let mut session = model.session(1).unwrap();
        let bytes_of = InputSpec { mean: None, std: None, ..spec(&rest) };
        let mut other = Vec::new();
        let (mut sum, mut largest) = (0.0, 0.0_f64);
        for row in &rows {
            let image = data::picture(&folder.join(row[0]));
            let size = (image.original.0.to_string(), image.original.1.to_string());
            assert_eq!((size.0.as_str(), size.1.as_str()), (row[1], row[2]), "{}", row[0]);
            let logits = session.run(&[model.prepare(&image).unwrap()]).unwrap();
            let logits = model.numbers(&logits[0]).unwrap().to_vec();
            let top = (0..logits.len()).max_by(|a, b| logits[*a].total_cmp(&logits[*b])).unwrap();
            if top.to_string() != row[way.column] {
                other.push((row[0], row[way.column + 1]));
            }
            let TensorData::F32(numbers) = preprocess(&image, &bytes_of).data else { panic!() };
            let distance = distance(&means(&numbers), row[way.column + 2]);
            sum += distance;
            largest = largest.max(distance);
        }
        let mean = sum / rows.len() as f64;
        println!(
            "{}: {} of {} first answers equal; cells differ by {mean:.3} levels on average, at most \
             {largest:.3} in a photograph; others, and by how much the first lies before the second: {other:?}",
            way.name,
            rows.len() - other.len(),
            rows.len()
        );
        assert!(mean <= MAX_MEAN_DISTANCE, "{}: {mean}", way.name);
        let is_jpeg = |file: &str| file.ends_with(".jpg") || file.ends_with(".jpeg");
        assert!(other.iter().all(|(file, _)| is_jpeg(file)), "{}: {other:?}", way.name);
        let equal_count = rows.len() - other.len();
        assert!(
            equal_count * 1_000 >= rows.len() * LEAST_EQUAL_PER_MILLE,
            "{}: {other:?}",
            way.name
        );
    }
}

fn spec(rest: &str) -> InputSpec {
    let text = format!("name: a\nversion: '1'\nweights: {{file: a}}\n{rest}");
    Manifest::parse("model.yaml", &text).unwrap().input
}

/// The mean of each cell and channel, in levels of 255, of a plane per channel.
fn means(numbers: &[f32]) -> Vec<f64> {
    let cell = WIDTH / GRID;
    let mut means = vec![0.0; GRID * GRID * 3];
    for (index, number) in numbers.iter().enumerate() {
        let (channel, place) = (index / (WIDTH * WIDTH), index % (WIDTH * WIDTH));
        let (row, column) = (place / WIDTH / cell, place % WIDTH / cell);
        means[(row * GRID + column) * 3 + channel] += f64::from(*number) * 255.0;
    }
    means.iter().map(|sum| sum / (cell * cell) as f64).collect()
}

/// The mean distance to the bytes that `hex` writes.
fn distance(means: &[f64], hex: &str) -> f64 {
    assert_eq!(hex.len(), means.len() * 2);
    let byte = |n: usize| u8::from_str_radix(&hex[2 * n..2 * n + 2], 16).unwrap();
    let distances = means.iter().enumerate().map(|(n, mean)| (mean - f64::from(byte(n))).abs());
    distances.sum::<f64>() / means.len() as f64
}
