//! What an operator does to a deployment: create what a fleet needs on AWS (`flota provision`), and find what is
//! wrong with a set-up (`flota doctor`). The command `flota` alone links it.

pub mod doctor;
pub mod provision;
