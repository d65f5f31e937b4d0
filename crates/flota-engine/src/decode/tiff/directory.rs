//! The directory of a TIFF, classic or BigTIFF: fields by their tags.

use std::slice::ChunksExact;

use crate::{Cause, DecodeError, ImageFormat};

/// Most fields of a directory: TIFF 6.0 knows fewer than a hundred.
const MAX_FIELDS: u64 = 4_096;
/// Most directories that are looked at to tell whether there is a second page.
const MAX_DIRECTORIES: usize = 8;
const NEW_SUBFILE_TYPE: u16 = 254;
/// Types of whole numbers without a sign.
const BYTE: u16 = 1;
const SHORT: u16 = 3;
const LONG: u16 = 4;
/// Of eight bytes, in BigTIFF alone.
const LONG8: u16 = 16;
/// The samples beside the colours: some writers say so that there are none.
pub(super) const EXTRA_SAMPLES: u16 = 338;
/// Bits of that field: a smaller copy of another page, a mask.
const IS_NO_PAGE: u64 = 0b101;

/// A file and the order of its bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct File<'a> {
    pub bytes: &'a [u8],
    pub is_big_endian: bool,
    /// Offsets of eight bytes.
    is_big_tiff: bool,
}

/// A directory of a file.
#[derive(Debug)]
pub(super) struct Directory<'a> {
    file: File<'a>,
    fields: Vec<Field<'a>>,
    /// Where the next one begins; 0 if there is none.
    next: u64,
}

#[derive(Debug)]
struct Field<'a> {
    tag: u16,
    kind: u16,
    /// `None` where they lie outside the file, or are of a type that TIFF does not know.
    values: Option<&'a [u8]>,
}

impl<'a> File<'a> {
    /// Reads the header of a file and its first directory.
    pub(super) fn open(bytes: &'a [u8]) -> Result<(Self, Directory<'a>), DecodeError> {
        let mut file = Self { bytes, is_big_endian: bytes.starts_with(b"MM"), is_big_tiff: false };
        let cut = || corrupt("the file ends within its header");
        file.is_big_tiff = file.number(2, 2).ok_or_else(cut)? == 43;
        let first = if file.is_big_tiff { file.number(8, 8) } else { file.number(4, 4) };
        let directory = file.directory(first.ok_or_else(cut)?)?;
        Ok((file, directory))
    }

    fn number(&self, at: u64, bytes: usize) -> Option<u64> {
        self.of(self.at(at, bytes as u64)?)
    }

    /// The whole number that `field`, of eight bytes at most, stands for.
    fn of(&self, field: &[u8]) -> Option<u64> {
        let shifted = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
        Some(match self.is_big_endian {
            true => field.iter().fold(0, shifted),
            false => field.iter().rev().fold(0, shifted),
        })
    }

    /// Bytes of the file; `None` where it ends before them.
    pub(super) fn at(&self, at: u64, length: u64) -> Option<&'a [u8]> {
        let start = usize::try_from(at).ok()?;
        self.bytes.get(start..start.checked_add(usize::try_from(length).ok()?)?)
    }

    fn directory(&self, at: u64) -> Result<Directory<'a>, DecodeError> {
        let damaged = || corrupt("a directory that lies outside the file");
        let (count_bytes, entry_bytes, offset_bytes) =
            if self.is_big_tiff { (8, 20, 8) } else { (2, 12, 4) };
        let count = self.number(at, count_bytes).ok_or_else(damaged)?;
        if count > MAX_FIELDS {
            return Err(corrupt("a directory of more fields than there can be"));
        }
        let entries_at = at + count_bytes as u64;
        let entries = self.at(entries_at, count * entry_bytes).ok_or_else(damaged)?;
        let fields = entries.chunks_exact(entry_bytes as usize).map(|entry| self.field(entry));
        let next = self.number(entries_at + count * entry_bytes, offset_bytes).unwrap_or_default();
        Ok(Directory { file: *self, fields: fields.collect(), next })
    }

    fn field(&self, entry: &'a [u8]) -> Field<'a> {
        let short = |at: usize| self.of(&entry[at..at + 2]).unwrap_or_default() as u16;
        let (tag, kind) = (short(0), short(2));
        let (count, value) = entry[4..].split_at((entry.len() - 4) / 2);
        let values = || {
            let length = self.of(count)?.checked_mul(kind_bytes(kind)? as u64)?;
            match value.get(..usize::try_from(length).ok()?) {
                Some(values) => Some(values),
                None => self.at(self.of(value)?, length),
            }
        };
        Field { tag, kind, values: values() }
    }
}

impl<'a> Directory<'a> {
    /// The first `at_most` whole numbers of a field; empty where it is absent or of another type. In
    /// memory each takes eight bytes, and in the file perhaps one: ask for no more than are needed.
    pub(super) fn numbers(&self, tag: u16, at_most: usize) -> Vec<u64> {
        self.whole_numbers(tag).take(at_most).collect()
    }

    /// The first whole number of a field.
    pub(super) fn number(&self, tag: u16) -> Option<u64> {
        self.whole_numbers(tag).next()
    }

    fn whole_numbers(&self, tag: u16) -> impl Iterator<Item = u64> {
        let values = self.field(tag).and_then(Field::whole_numbers);
        values.into_iter().flatten().filter_map(|value| self.file.of(value))
    }

    fn field(&self, tag: u16) -> Option<&Field<'a>> {
        self.fields.iter().find(|field| field.tag == tag)
    }

    /// The first field that is there and is not what TIFF 6.0 says: of `single`, one whole number without a sign, or
    /// of `several`, one or more. libtiff takes such a field for absent, which would show another image.
    pub(super) fn unreadable(&self, single: &[u16], several: &[u16]) -> Option<u16> {
        let is_read = |field: &Field<'_>| match (field.unsigned_count(self.file), field.tag) {
            (Some(_), EXTRA_SAMPLES) => true,
            (Some(count), tag) if single.contains(&tag) => count == 1,
            (Some(count), _) => count > 0,
            (None, _) => false,
        };
        let mut tags = single.iter().chain(several).copied();
        tags.find(|tag| self.field(*tag).is_some_and(|field| !is_read(field)))
    }

    /// The bytes of a field, whatever they stand for.
    pub(super) fn bytes(&self, tag: u16) -> Option<&'a [u8]> {
        self.field(tag).and_then(|field| field.values)
    }

    /// Bytes of the whole file.
    pub(super) fn file_bytes(&self) -> u64 {
        self.file.bytes.len() as u64
    }

    /// Whether there is such a field, even one that cannot be read.
    pub(super) fn is_there(&self, tag: u16) -> bool {
        self.field(tag).is_some()
    }

    pub(super) fn has(&self, tag: u16) -> bool {
        self.bytes(tag).is_some()
    }

    /// Whether another page follows: a directory that is no smaller copy and no mask.
    pub(super) fn has_second_page(&self) -> bool {
        let mut next = self.next;
        for _ in 0..MAX_DIRECTORIES {
            let Some(directory) = (next > 0).then(|| self.file.directory(next).ok()).flatten()
            else {
                return false;
            };
            let kind = directory.number(NEW_SUBFILE_TYPE).unwrap_or_default();
            if kind & IS_NO_PAGE == 0 && !directory.fields.is_empty() {
                return true;
            }
            next = directory.next;
        }
        false
    }
}

impl<'a> Field<'a> {
    /// How many whole numbers without a sign it has; `None` where it is of another type.
    fn unsigned_count(&self, file: File<'_>) -> Option<usize> {
        let is_unsigned = match self.kind {
            BYTE | SHORT | LONG => true,
            LONG8 => file.is_big_tiff,
            _ => false,
        };
        let values = self.whole_numbers().filter(|_| is_unsigned);
        values.map(|values| values.len())
    }

    /// The bytes of each value, where these are whole numbers.
    fn whole_numbers(&self) -> Option<ChunksExact<'a, u8>> {
        match (self.kind, kind_bytes(self.kind)) {
            (1 | 3 | 4 | 6 | 7 | 8 | 9 | 13 | 16..=18, Some(bytes)) => {
                self.values.map(|values| values.chunks_exact(bytes))
            }
            _ => None,
        }
    }
}

/// Bytes of a value of a type.
fn kind_bytes(kind: u16) -> Option<usize> {
    match kind {
        1 | 2 | 6 | 7 => Some(1),
        3 | 8 => Some(2),
        4 | 9 | 11 | 13 => Some(4),
        5 | 10 | 12 | 16..=18 => Some(8),
        _ => None,
    }
}

/// A TIFF that is cut off or damaged, and how that was seen.
pub(super) fn corrupt(cause: impl Into<Cause>) -> DecodeError {
    DecodeError::corrupt(ImageFormat::Tiff, cause)
}
