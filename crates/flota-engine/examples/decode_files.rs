//! Decodes the files that it is sent: the engine's side of the differential gate
//! (`tests/differential/gate.py`).
//!
//! Input: for each file its length as four bytes, the highest first, and its bytes. Output: a line
//! `ok WIDTH HEIGHT` and the pixels of three bytes, or a line `error CODE SENTENCE`.

use std::io::{self, BufWriter, ErrorKind, Read, Write};

use flota_core::Limits;
use flota_engine::decode;

fn main() -> io::Result<()> {
    let mut input = io::stdin().lock();
    let mut output = BufWriter::new(io::stdout().lock());
    loop {
        let mut length = [0; 4];
        match input.read_exact(&mut length) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return output.flush(),
            read => read?,
        }
        let mut bytes = vec![0; u32::from_be_bytes(length) as usize];
        input.read_exact(&mut bytes)?;
        match decode(&bytes, &Limits::default()) {
            Ok(image) => {
                writeln!(output, "ok {} {}", image.width, image.height)?;
                output.write_all(&image.pixels)?;
            }
            Err(error) => writeln!(output, "error {} {error}", error.code().as_str())?,
        }
        output.flush()?;
    }
}
