//! The bits of a JPEG's scan, and the Huffman codes in them.

use std::ops::Range;

use super::{DecodeError, jpeg_frame::corrupt};

/// Bits of the longest code.
const CODE_BITS: u32 = 16;
/// Bits that a refill leaves room for: one byte less than there are.
const FULL_BITS: u32 = 56;

/// The codes of a table, by the sixteen bits that begin with one: its length in the upper byte, 0 where no code
/// begins so, and its value in the lower.
pub(super) struct Codes {
    entries: Vec<u16>,
}

impl Codes {
    /// The codes that a DHT segment defines by how many there are of each length, and their values (T.81, C.2).
    ///
    /// # Errors
    /// `Corrupt` for more codes than there can be.
    pub(super) fn new(counts: &[u8], values: &[u8]) -> Result<Self, DecodeError> {
        let mut entries = Vec::with_capacity(1 << CODE_BITS);
        let mut values = values.iter();
        for (length, count) in (1..=CODE_BITS).zip(counts) {
            for value in values.by_ref().take(usize::from(*count)) {
                let entry = (length as u16) << 8 | u16::from(*value);
                entries.resize(entries.len() + (1 << (CODE_BITS - length)), entry);
            }
            if entries.len() > 1 << CODE_BITS {
                return Err(corrupt("a Huffman table of too many codes"));
            }
        }
        entries.resize(1 << CODE_BITS, 0);
        Ok(Self { entries })
    }
}

/// A scan's data, read bit by bit up to the next marker.
pub(super) struct Bits<'a> {
    data: &'a [u8],
    /// Where the next byte is that is not in `buffer`.
    at: usize,
    /// Bits that were not read yet, from the highest on.
    buffer: u64,
    /// How many these are.
    count: u32,
}

impl<'a> Bits<'a> {
    pub(super) fn new(data: &'a [u8]) -> Self {
        Self { data, at: 0, buffer: 0, count: 0 }
    }

    /// Reads the next code of `codes` and returns its value.
    ///
    /// # Errors
    /// `Corrupt` where the data end before the code does, or no code begins so; of the other methods alike.
    pub(super) fn code(&mut self, codes: &Codes) -> Result<u8, DecodeError> {
        if self.count < CODE_BITS {
            self.fill();
        }
        let entry = codes.entries[(self.buffer >> (u64::BITS - CODE_BITS)) as usize];
        let length = u32::from(entry >> 8);
        if length == 0 && self.count >= CODE_BITS {
            return Err(corrupt("a Huffman code that is not in the table"));
        }
        if length == 0 || length > self.count {
            return Err(ends_early());
        }
        self.consume(length);
        Ok(entry as u8)
    }

    /// Reads the next 15 bits or fewer as a number.
    pub(super) fn number(&mut self, bits: u8) -> Result<u32, DecodeError> {
        let bits = u32::from(bits);
        if bits == 0 {
            return Ok(0);
        }
        self.need(bits)?;
        let number = (self.buffer >> (u64::BITS - bits)) as u32;
        self.consume(bits);
        Ok(number)
    }

    /// Passes over the next bits.
    pub(super) fn skip(&mut self, mut bits: u64) -> Result<(), DecodeError> {
        while bits > 0 {
            let step = bits.min(u64::from(FULL_BITS));
            self.need(step as u32)?;
            self.consume(step as u32);
            bits -= step;
        }
        Ok(())
    }

    /// Goes on behind the next restart marker, and returns where the bytes are before it that were not read.
    pub(super) fn restart(&mut self) -> Result<Range<usize>, DecodeError> {
        let start = self.read_bytes();
        (self.buffer, self.count) = (0, 0);
        loop {
            self.at += memchr::memchr(0xff, &self.data[self.at..]).ok_or_else(ends_early)?;
            match self.data.get(self.at + 1) {
                Some(0xd0..=0xd7) => break,
                Some(0x00) => self.at += 2,
                Some(_) => self.at += 1,
                None => return Err(ends_early()),
            }
        }
        let surplus = start..self.at;
        self.at += 2;
        Ok(surplus)
    }

    /// How many bytes were read, a last one that was read in part included.
    pub(super) fn read_bytes(&self) -> usize {
        let mut at = self.at;
        for _ in 0..self.count / 8 {
            at -= if self.data[..at].ends_with(&[0xff, 0]) { 2 } else { 1 };
        }
        at
    }

    fn need(&mut self, bits: u32) -> Result<(), DecodeError> {
        if self.count < bits {
            self.fill();
        }
        if self.count < bits { Err(ends_early()) } else { Ok(()) }
    }

    fn consume(&mut self, bits: u32) {
        self.buffer <<= bits;
        self.count -= bits;
    }

    /// Fills the buffer, as far as there are bytes before the next marker.
    fn fill(&mut self) {
        while self.count <= FULL_BITS {
            let (byte, length) = match self.data[self.at..] {
                // A byte of 0xff has a zero behind it, and may have others of them before it.
                [0xff, 0x00, ..] => (0xff, 2),
                [0xff, 0xff, ..] => {
                    self.at += 1;
                    continue;
                }
                [0xff, ..] | [] => return,
                [byte, ..] => (byte, 1),
            };
            self.at += length;
            self.buffer |= u64::from(byte) << (FULL_BITS - self.count);
            self.count += 8;
        }
    }
}

fn ends_early() -> DecodeError {
    corrupt("the data of a scan end before its last block")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_numbers_are_read_up_to_a_marker() {
        // The codes 0, 10 and 110, with the values 7, 8 and 9.
        let mut counts = [0; 16];
        counts[..3].fill(1);
        let codes = Codes::new(&counts, &[7, 8, 9]).unwrap();
        let data = [0b0101_1011, 0xff, 0x00, 0b1000_0000, 0xff, 0xd0, 0b1011_1111, 0xff, 0xd9];
        let mut bits = Bits::new(&data);
        let values: Vec<u8> = (0..3).map(|_| bits.code(&codes).unwrap()).collect();
        assert_eq!((values, bits.read_bytes()), (vec![7, 8, 9], 1));
        assert_eq!(bits.number(11).unwrap(), 0b111_1111_1111);
        assert_eq!(bits.read_bytes(), 4);
        assert!(bits.skip(8).is_err(), "seven are left");
        assert_eq!(bits.restart().unwrap(), 4..4);
        assert_eq!((bits.code(&codes).unwrap(), bits.read_bytes()), (8, 7));
        assert!(bits.code(&codes).is_err() && bits.restart().is_err());
    }

    #[test]
    fn a_table_of_too_many_codes_is_refused() {
        assert!(Codes::new(&[3; 16], &[0; 48]).is_err());
        assert!(Codes::new(&[2; 1], &[0; 2]).is_ok());
    }
}
