//! Batch sizes, and the limits on images.

use std::{fmt::Display, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, de::Error};

/// Largest batch that a manifest may ask for. A larger one only delays its images.
const MAX_BATCH_SIZE: u64 = 256;
/// Longest wait for a batch to fill that a manifest may ask for, in milliseconds.
const MAX_BATCH_WAIT_MS: u64 = 10_000;
/// Longest latency that a manifest may ask for, in milliseconds.
const MAX_LATENCY_MS: u64 = 3_600_000;
/// Largest file that a manifest may allow, in bytes. Files are held in memory whole.
const MAX_IMAGE_BYTES: u64 = 512 * 1024 * 1024;
/// Largest image that a manifest may allow, in pixels.
const MAX_IMAGE_PIXELS: u64 = 1_000_000_000;
/// Longest side that a manifest may allow, in pixels: the limit of JPEG.
const MAX_IMAGE_DIMENSION: u64 = 65_535;
/// Most memory that a manifest may allow one decode, in bytes.
const MAX_DECODE_BYTES: u64 = 16 * 1024 * 1024 * 1024;
/// Longest time that a manifest may allow one batch, in seconds.
const MAX_BATCH_SECONDS: u64 = 3_600;

/// How images are batched.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BatchSpec {
    /// Most images in a batch.
    #[serde(deserialize_with = "within::<1, MAX_BATCH_SIZE, _, _>")]
    pub max_size: u32,
    /// Longest time that the first image of a batch waits for others, in milliseconds.
    #[serde(deserialize_with = "within::<0, MAX_BATCH_WAIT_MS, _, _>")]
    pub max_wait_ms: u64,
    /// Longest time from a prepared to an inferred image if no other image is ahead of it, in
    /// milliseconds: the wait for other images and the run of a full batch. The worker chooses the
    /// layout with the highest throughput within this bound; without a bound, the one with the
    /// highest throughput.
    #[serde(deserialize_with = "some_latency")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_latency_ms: Option<u64>,
}

impl Default for BatchSpec {
    /// Eight images or ten milliseconds. Larger batches are no faster on a CPU.
    fn default() -> Self {
        Self { max_size: 8, max_wait_ms: 10, max_latency_ms: None }
    }
}

impl BatchSpec {
    /// The longest wait of the first image in a batch.
    pub fn max_wait(&self) -> Duration {
        Duration::from_millis(self.max_wait_ms)
    }
}

/// The limits on an image. One that exceeds them fails with `IMAGE_TOO_LARGE`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Largest file in bytes.
    #[serde(deserialize_with = "within::<1, MAX_IMAGE_BYTES, _, _>")]
    pub max_bytes: u64,
    /// Largest image in pixels.
    #[serde(deserialize_with = "within::<1, MAX_IMAGE_PIXELS, _, _>")]
    pub max_pixels: u64,
    /// Longest side in pixels.
    #[serde(deserialize_with = "within::<1, MAX_IMAGE_DIMENSION, _, _>")]
    pub max_dimension: u32,
    /// Most memory for decoding one image in bytes, as computed from its header.
    #[serde(deserialize_with = "within::<1, MAX_DECODE_BYTES, _, _>")]
    pub max_memory_bytes: u64,
    /// Longest run of one batch in seconds. A worker that takes longer is taken for hung.
    #[serde(deserialize_with = "within::<1, MAX_BATCH_SECONDS, _, _>")]
    pub max_seconds: u32,
}

impl Limits {
    /// The stricter of both, limit by limit.
    #[must_use]
    pub fn narrowest(&self, other: &Self) -> Self {
        Self {
            max_bytes: self.max_bytes.min(other.max_bytes),
            max_pixels: self.max_pixels.min(other.max_pixels),
            max_dimension: self.max_dimension.min(other.max_dimension),
            max_memory_bytes: self.max_memory_bytes.min(other.max_memory_bytes),
            max_seconds: self.max_seconds.min(other.max_seconds),
        }
    }
}

impl Default for Limits {
    /// 20 MiB and 40 million pixels. Turning an image upright takes six bytes a pixel, so that a
    /// camera's largest JPEG stays within 256 MiB.
    fn default() -> Self {
        Self {
            max_bytes: 20 * 1024 * 1024,
            max_pixels: 40_000_000,
            max_dimension: 20_000,
            max_memory_bytes: 256 * 1024 * 1024,
            max_seconds: 60,
        }
    }
}

fn some_latency<'de, D: Deserializer<'de>>(de: D) -> Result<Option<u64>, D::Error> {
    within::<1, MAX_LATENCY_MS, _, _>(de).map(Some)
}

/// Deserializes an integer from `MIN` to `MAX`.
pub(super) fn within<'de, const MIN: u64, const MAX: u64, T, D>(de: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<u64>,
    T::Error: Display,
{
    let number = u64::deserialize(de)?;
    if !(MIN..=MAX).contains(&number) {
        return Err(D::Error::custom(format!("{number} is not from {MIN} to {MAX}")));
    }
    T::try_from(number).map_err(D::Error::custom)
}
