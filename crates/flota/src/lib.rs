//! The command `flota`: it starts the fleet, asks it, and checks models.

mod advice;
mod built_in;
mod check;
mod cli;
mod commands;
mod demo;
mod fleet;
mod image_files;
mod print;
mod run;
mod show;
mod submit;
mod table;
mod times;
mod unpacked;

pub use run::main;
