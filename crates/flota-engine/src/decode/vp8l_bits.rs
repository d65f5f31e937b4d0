//! The bits of a lossless WebP, and the prefix codes in them (RFC 9649, 3.7).

use super::{
    DecodeError,
    webp::{corrupt, unsupported},
};

/// Bits of the longest code.
const CODE_BITS: usize = 15;
/// Bits of the codes that are found by a table.
const TABLE_BITS: usize = 8;
/// The alphabet of lengths, in the order in which their own lengths are written.
const LENGTH_ORDER: [usize; 19] =
    [17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
/// The length that the first repetition repeats where none was written.
const FIRST_LENGTH: u8 = 8;

/// A stream, read from the lowest bit of each byte on.
pub(super) struct Bits<'a> {
    /// Bytes that are not in `buffer`.
    rest: &'a [u8],
    /// Bits that were not read yet, the next one lowest.
    buffer: u64,
    /// How many these are.
    count: u32,
}

impl<'a> Bits<'a> {
    pub(super) fn new(data: &'a [u8]) -> Self {
        Self { rest: data, buffer: 0, count: 0 }
    }

    /// Reads the next `bits`, 32 or fewer, as a number.
    ///
    /// # Errors
    /// `Corrupt` where the data end before; of the other methods alike.
    pub(super) fn number(&mut self, bits: u32) -> Result<usize, DecodeError> {
        self.fill();
        let number = self.buffer & ((1 << bits) - 1);
        self.consume(bits)?;
        Ok(number as usize)
    }

    /// Reads the next bit.
    pub(super) fn flag(&mut self) -> Result<bool, DecodeError> {
        Ok(self.number(1)? == 1)
    }

    fn fill(&mut self) {
        while self.count <= u64::BITS - 8 {
            let Some((byte, rest)) = self.rest.split_first() else { return };
            self.buffer |= u64::from(*byte) << self.count;
            self.count += 8;
            self.rest = rest;
        }
    }

    fn consume(&mut self, bits: u32) -> Result<(), DecodeError> {
        if bits > self.count {
            return Err(corrupt("the data end before the last pixel"));
        }
        self.buffer >>= bits;
        self.count -= bits;
        Ok(())
    }
}

/// A prefix code.
pub(super) enum Code {
    /// A single symbol, which takes no bits.
    Single(u16),
    Several {
        /// By the bits that begin with a code: its symbol and, in the lower four bits, its length; 0 where it is longer.
        table: Vec<u16>,
        /// How many codes there are of each length.
        counts: [u16; CODE_BITS + 1],
        /// The symbols in the order of their codes.
        symbols: Vec<u16>,
    },
}

impl Code {
    /// Reads a code of an alphabet of so many symbols.
    ///
    /// # Errors
    /// `Corrupt` for what is none, `Unsupported` for two symbols that are not in their order.
    pub(super) fn read(bits: &mut Bits<'_>, alphabet: usize) -> Result<Self, DecodeError> {
        if bits.flag()? {
            return Self::read_simple(bits, alphabet);
        }
        let mut lengths = [0; LENGTH_ORDER.len()];
        let count = 4 + bits.number(4)?;
        for at in LENGTH_ORDER.get(..count).unwrap_or(&LENGTH_ORDER) {
            lengths[*at] = bits.number(3)? as u8;
        }
        let lengths = read_lengths(bits, &Self::new(&lengths)?, alphabet)?;
        Self::new(&lengths)
    }

    fn read_simple(bits: &mut Bits<'_>, alphabet: usize) -> Result<Self, DecodeError> {
        let has_two = bits.flag()?;
        let first_bits = if bits.flag()? { 8 } else { 1 };
        let first = bits.number(first_bits)?;
        let second = if has_two { bits.number(8)? } else { first };
        if first.max(second) >= alphabet {
            return Err(corrupt("a symbol outside of its alphabet"));
        }
        if !has_two {
            return Ok(Self::Single(first as u16));
        }
        // libwebp gives the shorter code to the lower of them and takes two that are equal for one; the decoder here
        // goes by their order.
        if first >= second {
            return Err(unsupported("a code whose two symbols are not in their order"));
        }
        let mut lengths = vec![0; second + 1];
        (lengths[first], lengths[second]) = (1, 1);
        Self::new(&lengths)
    }

    /// The code whose symbols have these lengths, 0 where a symbol has none.
    fn new(lengths: &[u8]) -> Result<Self, DecodeError> {
        let mut counts = [0_u16; CODE_BITS + 1];
        for length in lengths {
            counts[usize::from(*length)] += 1;
        }
        counts[0] = 0;
        let mut symbols: Vec<u16> = (0..lengths.len() as u16).collect();
        symbols.retain(|symbol| lengths[usize::from(*symbol)] > 0);
        if let [symbol] = symbols[..] {
            return Ok(Self::Single(symbol));
        }
        symbols.sort_by_key(|symbol| lengths[usize::from(*symbol)]);
        let taken = |(length, count): (usize, &u16)| u32::from(*count) << (CODE_BITS - length);
        if counts.iter().enumerate().map(taken).sum::<u32>() != 1 << CODE_BITS {
            return Err(corrupt("a prefix code that is not complete"));
        }
        let mut table = vec![0; 1 << TABLE_BITS];
        let mut code = 0_usize;
        let mut at = symbols.iter();
        for (length, count) in (1..=TABLE_BITS).zip(&counts[1..]) {
            for symbol in at.by_ref().take(usize::from(*count)) {
                let start = code.reverse_bits() >> (usize::BITS as usize - length);
                for entry in table[start..].iter_mut().step_by(1 << length) {
                    *entry = symbol << 4 | length as u16;
                }
                code += 1;
            }
            code <<= 1;
        }
        Ok(Self::Several { table, counts, symbols })
    }

    /// Reads the next symbol.
    pub(super) fn symbol(&self, bits: &mut Bits<'_>) -> Result<usize, DecodeError> {
        let (table, counts, symbols) = match self {
            Self::Single(symbol) => return Ok(usize::from(*symbol)),
            Self::Several { table, counts, symbols } => (table, counts, symbols),
        };
        bits.fill();
        let entry = table[bits.buffer as usize % (1 << TABLE_BITS)];
        if entry > 0 {
            bits.consume(u32::from(entry & 15))?;
            return Ok(usize::from(entry >> 4));
        }
        let (mut code, mut first, mut before) = (0, 0, 0);
        for (length, count) in (1..).zip(&counts[1..]) {
            let count = usize::from(*count);
            code |= (bits.buffer >> (length - 1) & 1) as usize;
            if code < first + count {
                bits.consume(length)?;
                return Ok(usize::from(symbols[before + code - first]));
            }
            before += count;
            first = (first + count) << 1;
            code <<= 1;
        }
        Err(corrupt("a code that no symbol has"))
    }
}

/// The lengths of the codes of an alphabet, coded themselves by `code`.
fn read_lengths(bits: &mut Bits<'_>, code: &Code, alphabet: usize) -> Result<Vec<u8>, DecodeError> {
    let damaged = || corrupt("more lengths of codes than there are symbols");
    let mut left = alphabet;
    if bits.flag()? {
        let length_bits = 2 + 2 * bits.number(3)? as u32;
        left = 2 + bits.number(length_bits)?;
        if left > alphabet {
            return Err(damaged());
        }
    }
    let mut lengths = Vec::with_capacity(alphabet);
    let mut last = FIRST_LENGTH;
    while lengths.len() < alphabet && left > 0 {
        left -= 1;
        let (length, count) = match code.symbol(bits)? {
            16 => (last, 3 + bits.number(2)?),
            17 => (0, 3 + bits.number(3)?),
            18 => (0, 11 + bits.number(7)?),
            length => (length as u8, 1),
        };
        if lengths.len() + count > alphabet {
            return Err(damaged());
        }
        lengths.extend(std::iter::repeat_n(length, count));
        if length > 0 {
            last = length;
        }
    }
    lengths.resize(alphabet, 0);
    Ok(lengths)
}
