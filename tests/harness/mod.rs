//! What journeys stand on: processes of a fleet, a receiver of callbacks, a server of images.

mod api;
mod images;
mod places;
mod process;
mod receiver;
mod wait;

pub use api::{Api, MODEL};
pub use images::{ImageServer, image};
pub use places::{model_dir, project_dir};
pub use process::{Home, Process, free_port};
pub use receiver::Receiver;
pub use wait::until;
