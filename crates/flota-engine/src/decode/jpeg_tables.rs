//! The Huffman tables that a JPEG may leave out, as frames of Motion JPEG do.

/// Which tables a baseline JPEG can have: class (0 DC, 1 AC) and number, as a DHT segment has them.
const NAMES: [u8; 4] = [0x00, 0x01, 0x10, 0x11];
/// Bytes that say how many codes of each length there are.
const COUNTS: usize = 16;
/// ITU-T T.81, tables K.3 to K.6, in the order of [`NAMES`]: the counts, then the values.
#[rustfmt::skip]
const STANDARD: [&[u8]; 4] = [
    &[
        0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11,
    ],
    &[
        0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11,
    ],
    &[
        0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 125, 1, 2, 3, 0, 4, 17, 5, 18, 33, 49, 65, 6,
        19, 81, 97, 7, 34, 113, 20, 50, 129, 145, 161, 8, 35, 66, 177, 193, 21, 82, 209, 240, 36,
        51, 98, 114, 130, 9, 10, 22, 23, 24, 25, 26, 37, 38, 39, 40, 41, 42, 52, 53, 54, 55, 56, 57,
        58, 67, 68, 69, 70, 71, 72, 73, 74, 83, 84, 85, 86, 87, 88, 89, 90, 99, 100, 101, 102, 103,
        104, 105, 106, 115, 116, 117, 118, 119, 120, 121, 122, 131, 132, 133, 134, 135, 136, 137,
        138, 146, 147, 148, 149, 150, 151, 152, 153, 154, 162, 163, 164, 165, 166, 167, 168, 169,
        170, 178, 179, 180, 181, 182, 183, 184, 185, 186, 194, 195, 196, 197, 198, 199, 200, 201,
        202, 210, 211, 212, 213, 214, 215, 216, 217, 218, 225, 226, 227, 228, 229, 230, 231, 232,
        233, 234, 241, 242, 243, 244, 245, 246, 247, 248, 249, 250,
    ],
    &[
        0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 119, 0, 1, 2, 3, 17, 4, 5, 33, 49, 6, 18, 65,
        81, 7, 97, 113, 19, 34, 50, 129, 8, 20, 66, 145, 161, 177, 193, 9, 35, 51, 82, 240, 21, 98,
        114, 209, 10, 22, 36, 52, 225, 37, 241, 23, 24, 25, 26, 38, 39, 40, 41, 42, 53, 54, 55, 56,
        57, 58, 67, 68, 69, 70, 71, 72, 73, 74, 83, 84, 85, 86, 87, 88, 89, 90, 99, 100, 101, 102,
        103, 104, 105, 106, 115, 116, 117, 118, 119, 120, 121, 122, 130, 131, 132, 133, 134, 135,
        136, 137, 138, 146, 147, 148, 149, 150, 151, 152, 153, 154, 162, 163, 164, 165, 166, 167,
        168, 169, 170, 178, 179, 180, 181, 182, 183, 184, 185, 186, 194, 195, 196, 197, 198, 199,
        200, 201, 202, 210, 211, 212, 213, 214, 215, 216, 217, 218, 226, 227, 228, 229, 230, 231,
        232, 233, 234, 242, 243, 244, 245, 246, 247, 248, 249, 250,
    ],
];

/// The tables of [`NAMES`] that a file has defined so far.
#[derive(Debug, Default)]
pub(super) struct HuffmanTables {
    is_defined: [bool; NAMES.len()],
}

impl HuffmanTables {
    /// Notes the tables that a DHT segment defines.
    pub(super) fn define(&mut self, mut payload: &[u8]) {
        while let Some((name, rest)) = payload.split_first() {
            let Some((counts, values)) = rest.split_at_checked(COUNTS) else { return };
            let value_count: usize = counts.iter().map(|count| usize::from(*count)).sum();
            let Some(rest) = values.get(value_count..) else { return };
            if let Some(index) = NAMES.iter().position(|known| known == name) {
                self.is_defined[index] = true;
            }
            payload = rest;
        }
    }

    /// The payloads of DHT segments with the standard table for each that is not defined, which are
    /// defined from then on.
    pub(super) fn missing(&mut self) -> Vec<Vec<u8>> {
        let missing = self.is_defined.iter_mut().zip(NAMES).zip(STANDARD);
        missing
            .filter_map(|((is_defined, name), table)| {
                let was_defined = std::mem::replace(is_defined, true);
                (!was_defined).then(|| [&[name], table].concat())
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_defined_is_not_missing() {
        let mut tables = HuffmanTables::default();
        tables.define(&[&[0x11][..], STANDARD[3], &[0x00], STANDARD[0]].concat());
        let missing = tables.missing();
        assert_eq!(missing.iter().map(|table| table[0]).collect::<Vec<_>>(), [0x01, 0x10]);
        assert!(tables.missing().is_empty());
        let mut read_back = HuffmanTables::default();
        read_back.define(&missing.concat());
        assert_eq!(read_back.is_defined, [false, true, true, false]);
    }
}
