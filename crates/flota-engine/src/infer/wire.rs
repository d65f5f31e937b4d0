//! The wire format of protocol buffers, as far as copying a message field by field needs it.

use super::LoadError;

/// A field of a message.
pub(super) struct Field<'a> {
    pub(super) number: u32,
    /// The whole of it, its key included.
    pub(super) encoded: &'a [u8],
    pub(super) value: Value<'a>,
}

/// What is in a field.
pub(super) enum Value<'a> {
    Varint(u64),
    /// A message, a text, bytes, or packed numbers.
    Bytes(&'a [u8]),
    /// A number of fixed width.
    Fixed,
}

/// The fields of `message`, in their order.
pub(super) fn fields(message: &[u8]) -> impl Iterator<Item = Result<Field<'_>, LoadError>> {
    let mut rest = message;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let field = next_field(&mut rest);
        if field.is_none() {
            rest = &[];
        }
        Some(field.ok_or_else(|| LoadError::NotOnnx("it is cut off or damaged".to_owned())))
    })
}

/// Appends a field of bytes to `message`.
pub(super) fn push_bytes(message: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    push_varint(message, u64::from(number) << 3 | BYTES);
    push_varint(message, bytes.len() as u64);
    message.extend_from_slice(bytes);
}

/// The integers in `bytes`, of a field that holds them packed.
pub(super) fn packed(mut bytes: &[u8]) -> Option<Vec<u64>> {
    let mut numbers = Vec::new();
    while !bytes.is_empty() {
        numbers.push(varint(&mut bytes)?);
    }
    Some(numbers)
}

const VARINT: u64 = 0;
const FIXED_64: u64 = 1;
const BYTES: u64 = 2;
const FIXED_32: u64 = 5;

fn next_field<'a>(rest: &mut &'a [u8]) -> Option<Field<'a>> {
    let message = *rest;
    let key = varint(rest)?;
    let number = u32::try_from(key >> 3).ok().filter(|number| *number > 0)?;
    let value = match key & 7 {
        VARINT => Value::Varint(varint(rest)?),
        FIXED_64 => take(rest, 8).map(|_| Value::Fixed)?,
        FIXED_32 => take(rest, 4).map(|_| Value::Fixed)?,
        BYTES => {
            let length = usize::try_from(varint(rest)?).ok()?;
            Value::Bytes(take(rest, length)?)
        }
        // Groups went out of use before ONNX began.
        _ => return None,
    };
    let encoded = &message[..message.len() - rest.len()];
    Some(Field { number, encoded, value })
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(taken)
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = take(rest, 1)?[0];
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

fn push_varint(message: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        message.push(number as u8 | 0x80);
        number >>= 7;
    }
    message.push(number as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_as_they_were_written() {
        let long = vec![7; 300];
        let mut message = vec![0x08, 0x96, 0x01, 0x15, 1, 2, 3, 4];
        push_bytes(&mut message, 70_000, &long);
        let fields: Vec<_> = fields(&message).map(Result::unwrap).collect();
        assert!(matches!(fields[0].value, Value::Varint(150)));
        assert!(matches!(fields[1].value, Value::Fixed));
        assert!(matches!(fields[2].value, Value::Bytes(bytes) if bytes == long));
        assert_eq!(fields.iter().map(|field| field.number).collect::<Vec<_>>(), [1, 2, 70_000]);
        assert_eq!(fields.iter().map(|field| field.encoded).collect::<Vec<_>>().concat(), message);
        assert_eq!(packed(&[1, 0x96, 0x01]), Some(vec![1, 150]));
    }

    #[test]
    fn what_is_cut_off_is_an_error_and_the_end() {
        for message in [&[0x08][..], &[0x0a, 5, 1], &[0x0b], &[0x00, 0], &[0xff; 11], &[0x0d, 1]] {
            let read: Vec<_> = fields(message).collect();
            assert_eq!(read.len(), 1);
            assert!(read[0].is_err());
        }
    }
}
