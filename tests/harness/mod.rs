//! What journeys stand on: processes of a fleet, a receiver of callbacks, a server of images, and an
//! emulator of AWS with a proxy before it that injects faults.

mod api;
mod cloud;
#[path = "../../crates/flota-platform/tests/emulator/mod.rs"]
mod emulator;
mod faults;
mod images;
mod places;
mod process;
mod proxy;
mod receiver;
mod wait;

pub use api::{Api, MODEL};
pub use cloud::{Cloud, PARTS};
pub use emulator::Emulator;
pub use faults::Fault;
pub use images::{ImageServer, image, image_of};
pub use places::{model_dir, project_dir};
pub use process::{Home, Process, free_port};
pub use proxy::Proxy;
pub use receiver::Receiver;
pub use wait::until;
