//! Everything that is proven through the real binaries, and what holds for the project as a whole.

mod harness;
mod journeys;
mod tidy;
mod walls;
