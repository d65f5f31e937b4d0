//! Files that people take for ONNX files, by how they begin.

/// What `bytes` are where they are plainly no ONNX file, and how one comes of them.
pub(crate) fn named(bytes: &[u8]) -> Option<&'static str> {
    let begins = |with: &[u8]| bytes.starts_with(with);
    let holds = |at: usize, wanted: &[u8]| bytes.get(at..).is_some_and(|b| b.starts_with(wanted));
    let text = leading_text(bytes);
    let is_markup = text.is_some_and(|text| {
        let text = text.trim_start().to_ascii_lowercase();
        text.starts_with("<!doctype") || text.starts_with("<html")
    });
    Some(match text {
        _ if bytes.is_empty() => "the file is empty",
        Some(text) if text.starts_with("version https://git-lfs.") => {
            "it is the pointer that Git LFS leaves in place of a file: run `git lfs pull`"
        }
        _ if is_markup => "it is a web page: the server sent it in place of the file",
        Some(_) => "it is a text file",
        // PyTorch has written ZIP archives since 1.6, and pickles before.
        None if begins(b"PK\x03\x04") => {
            "it is a ZIP archive, as PyTorch's `.pt` and `.pth` and Keras's `.keras` are: export the model \
             to ONNX, with `torch.onnx.export` or tf2onnx"
        }
        None if begins(b"\x80") && holds(2, b"\x8a\x0al\xfc\x9c") => {
            "it is a pickle, as PyTorch's `.pth` was once: export the model with `torch.onnx.export`"
        }
        None if begins(b"\x89HDF") => {
            "it is an HDF5 file, as Keras's `.h5` is: convert the model with tf2onnx"
        }
        None if holds(4, b"TFL3") => "it is a TensorFlow Lite file: convert the model with tf2onnx",
        None if holds(4, b"ORTM") => {
            "it is in ONNX Runtime's own format (`.ort`): take the ONNX file that it was made of"
        }
        None if holds(8, b"{\"") => {
            "it is a safetensors file, which holds no graph: export the model with `torch.onnx.export` or \
             Optimum"
        }
        None if begins(b"GGUF") => "it is a GGUF file: take the ONNX export of the model",
        None if begins(b"\x1f\x8b") => "it is compressed with gzip: unpack it",
        None => return None,
    })
}

/// So much of a file tells whether it is text.
const LOOKED_AT: usize = 256;

/// The beginning of `bytes` where it is text: an ONNX file begins with a control character.
fn leading_text(bytes: &[u8]) -> Option<&str> {
    let beginning = &bytes[..bytes.len().min(LOOKED_AT)];
    let text = match std::str::from_utf8(beginning) {
        Ok(text) => text,
        // A character may be cut in the middle.
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&beginning[..error.valid_up_to()]).ok()?
        }
        Err(_) => return None,
    };
    let is_control = |c: char| c.is_control() && !c.is_ascii_whitespace();
    (!text.contains(is_control)).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_are_taken_for_onnx_are_named() {
        for (bytes, wanted) in [
            (&b""[..], "empty"),
            (b"PK\x03\x04\x00\x00\x08", "ZIP archive"),
            (b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.", "pickle"),
            (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a", "git lfs pull"),
            (b"\n<!DOCTYPE html><html>", "web page"),
            (b"weights go here\n", "text file"),
            (b"\x89HDF\r\n\x1a\n", "HDF5"),
            (b"\x1c\x00\x00\x00TFL3", "TensorFlow Lite"),
            (b"\x30\x00\x00\x00\x00\x00\x00\x00{\"a\":", "safetensors"),
            (b"\x1f\x8b\x08\x00", "gzip"),
        ] {
            let named = named(bytes).unwrap_or_default();
            assert!(named.contains(wanted), "{bytes:?}: {named}");
        }
    }

    #[test]
    fn an_onnx_file_is_none_of_them() {
        for onnx in [
            &include_bytes!("../../tests/fixtures/softmax.onnx")[..],
            include_bytes!("../../tests/fixtures/external.onnx"),
            include_bytes!("../../tests/fixtures/bytes.onnx"),
        ] {
            assert_eq!(named(onnx), None);
            assert_eq!(named(&onnx[..12]), None, "what is cut off is another error");
        }
    }
}
