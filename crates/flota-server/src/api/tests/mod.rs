mod bad_input;
mod callers;
mod dead_letters;
mod json_bodies;
mod requests;
mod surface;
