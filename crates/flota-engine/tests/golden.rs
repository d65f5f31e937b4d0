//! The engine on real data: photographs, networks and hostile files that nobody here has made.
//!
//! The data lie where `FLOTA_GOLDEN_DATA` says, or in `../shared/data` beside the workspace.
//! Tolerances: logits within 2e-3 and probabilities within 1e-4 where both sides begin with the
//! same pixels; probabilities within 0.02 where each decodes and resizes for itself.

#![allow(clippy::unwrap_used, reason = "a test that cannot read its data fails")]

#[path = "golden/contract.rs"]
mod contract;
#[path = "golden/data.rs"]
mod data;
#[path = "golden/hostile.rs"]
mod hostile;
#[path = "golden/installed.rs"]
mod installed;
#[path = "golden/memory.rs"]
mod memory;
#[path = "golden/networks.rs"]
mod networks;
#[path = "golden/nsfwjs.rs"]
mod nsfwjs;
#[path = "golden/orientation.rs"]
mod orientation;
#[path = "golden/probed.rs"]
mod probed;
#[path = "golden/reports.rs"]
mod reports;
#[path = "golden/scaled.rs"]
mod scaled;
#[path = "golden/squeezenet.rs"]
mod squeezenet;
#[path = "golden/tensors.rs"]
mod tensors;
#[path = "golden/tiff_memory.rs"]
mod tiff_memory;
#[path = "golden/transforms.rs"]
mod transforms;
