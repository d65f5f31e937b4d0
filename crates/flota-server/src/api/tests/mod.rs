mod bad_input;
mod bodies;
mod callers;
mod dead_letters;
mod json_bodies;
mod requests;
mod surface;
mod waits;
