mod bad_input;
mod dead_letters;
mod json_bodies;
mod requests;
mod surface;
