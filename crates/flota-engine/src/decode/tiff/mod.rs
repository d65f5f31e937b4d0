//! TIFF: the first page, strip by strip or tile by tile.
//!
//! Read here rather than by a crate, for what cameras, scanners and `sharp` write has to come out as
//! it does in libtiff and Pillow, or be refused by name. Chunks are decompressed by crates, and JPEG
//! by what decodes JPEG files.

mod chunks;
mod colors;
mod compression;
mod directory;
mod layout;
mod page;
mod samples;

pub(super) use self::page::decode;
