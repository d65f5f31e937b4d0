//! Names for what is sent in place of an image that is read.

/// Bytes at the start in which text tells what it is.
const TEXT_BYTES: usize = 1024;
/// Most brands of an ISO media file that are looked at.
const MAX_BRANDS: usize = 16;

/// Image formats that are not read and other files, by how they begin. Longer starts come first.
const STARTS: [(&[u8], &str); 34] = [
    (b"\0\0\0\x0cJXL \r\n\x87\n", "a JPEG XL image"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "a JPEG 2000 image"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 image"),
    (b"\xff\x0a", "a JPEG XL image"),
    (b"%PDF-", "a PDF document"),
    (b"8BPS", "a Photoshop document (PSD)"),
    (b"gimp xcf", "a GIMP document (XCF)"),
    (b"%!PS", "a PostScript document"),
    (b"\xc5\xd0\xd3\xc6", "a PostScript document"),
    (b"\0\0\x01\0", "an icon (ICO)"),
    (b"\0\0\x02\0", "a cursor (CUR)"),
    (b"qoif", "a QOI image"),
    (b"farbfeld", "a farbfeld image"),
    (b"DDS ", "a DDS texture"),
    (b"\x76\x2f\x31\x01", "an OpenEXR image"),
    (b"#?RADIANCE", "a Radiance HDR image"),
    (b"BPG\xfb", "a BPG image"),
    (b"FLIF", "a FLIF image"),
    (b"\x8aMNG", "an MNG animation"),
    (b"\xd7\xcd\xc6\x9a", "a Windows metafile (WMF)"),
    (b"AT&TFORM", "a DjVu document"),
    (b"FUJIFILMCCD-RAW", "a raw image of a camera"),
    (b"IIRO", "a raw image of a camera"),
    (b"IIU\0", "a raw image of a camera"),
    (b"\x1f\x8b", "gzip data, without a Content-Encoding that says so"),
    (b"\x28\xb5\x2f\xfd", "Zstandard data"),
    (b"PK\x03\x04", "a ZIP archive or an office document"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"\xd0\xcf\x11\xe0", "an office document"),
    (b"\x1a\x45\xdf\xa3", "a Matroska or WebM video"),
    (b"OggS", "an Ogg file"),
    (b"ID3", "an MP3 file"),
    (b"\x7fELF", "a program"),
];

/// Brands of ISO media files (ISO/IEC 14496-12), the more telling first.
const BRANDS: [(&[u8], &str); 16] = [
    (b"avif", "an AVIF image"),
    (b"avis", "an AVIF image"),
    (b"heic", "a HEIC image"),
    (b"heix", "a HEIC image"),
    (b"heim", "a HEIC image"),
    (b"heis", "a HEIC image"),
    (b"hevc", "a HEIC image"),
    (b"hevx", "a HEIC image"),
    (b"mif1", "a HEIF image"),
    (b"msf1", "a HEIF image"),
    (b"crx ", "a raw image of a camera"),
    (b"qt  ", "a QuickTime video"),
    (b"mp4", "an MP4 video"),
    (b"iso", "an MP4 video"),
    (b"M4V", "an MP4 video"),
    (b"3gp", "a 3GP video"),
];

/// What `bytes` are, with an article, if they are something known that is not read.
pub(super) fn name(bytes: &[u8]) -> Option<&'static str> {
    let by_start = STARTS.iter().find(|(start, _)| bytes.starts_with(start));
    if let Some((_, name)) = by_start {
        return Some(name);
    }
    let at = |at: usize, what: &[u8]| bytes.get(at..).is_some_and(|rest| rest.starts_with(what));
    if at(4, b"ftyp") {
        return Some(iso_media(bytes));
    }
    match () {
        () if at(0, b"RIFF") && at(8, b"AVI ") => Some("an AVI video"),
        () if at(0, b"RIFF") && at(8, b"WAVE") => Some("a WAVE file"),
        () if at(128, b"DICM") => Some("a DICOM file"),
        () if at(40, b" EMF") && at(0, b"\x01\0\0\0") => Some("a Windows metafile (EMF)"),
        () if is_netpbm(bytes) => Some("a Netpbm image"),
        () => text(bytes),
    }
}

/// An ISO media file by its brands, the major one and those that it says it is compatible with.
fn iso_media(bytes: &[u8]) -> &'static str {
    let length = bytes.first_chunk().map_or(0, |length| u32::from_be_bytes(*length) as usize);
    let header = &bytes[..length.min(bytes.len())];
    let (brands, _) = header.get(8..).unwrap_or_default().as_chunks::<4>();
    let has = |brand: &[u8]| {
        let mut brands = brands.iter().take(MAX_BRANDS).enumerate();
        // The second is a version.
        brands.any(|(place, found)| place != 1 && found.starts_with(brand))
    };
    let known = BRANDS.iter().find(|(brand, _)| has(brand));
    known.map_or("an ISO media file", |(_, name)| name)
}

fn is_netpbm(bytes: &[u8]) -> bool {
    matches!(bytes, [b'P', b'1'..=b'7', space, ..] if space.is_ascii_whitespace())
}

/// What a text is, if the bytes are text.
fn text(bytes: &[u8]) -> Option<&'static str> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let start = &bytes[..bytes.len().min(TEXT_BYTES)];
    let is_text = |byte: &u8| *byte >= b' ' || byte.is_ascii_whitespace();
    if start.is_empty() || !start.iter().all(is_text) {
        return None;
    }
    let text = String::from_utf8_lossy(start).to_ascii_lowercase();
    let text = text.trim_start();
    let begins = |starts: &[&str]| starts.iter().any(|start| text.starts_with(start));
    let is_markup = text.starts_with('<');
    match () {
        () if begins(&["<!doctype html", "<html", "<head", "<body", "<script", "<title"])
            || (is_markup && text.contains("<html")) =>
        {
            Some("an HTML page: the URL leads to a page, not to the image itself")
        }
        () if is_markup && text.contains("<svg") => Some("an SVG drawing"),
        () if is_markup => Some("an XML document: the image's server may have sent an error"),
        () if begins(&["{", "["]) => Some("JSON: the image's server may have sent an error"),
        () if begins(&["data:image/", "/9j/", "ivborw0kggo", "r0lgod"]) => {
            Some("the base64 text of an image: send the bytes themselves")
        }
        () if begins(&["version https://git-lfs"]) => Some("a pointer of Git LFS, not the file"),
        // Of bytes that are no UTF-8, or few, nothing is sure.
        () if std::str::from_utf8(start).is_ok() && start.len() >= 8 => Some("text"),
        () => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_in_place_of_an_image_is_named() {
        for (bytes, named) in [
            (&b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"[..], "a HEIC image"),
            (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heix", "a HEIC image"),
            (b"\0\0\0\x18ftypmif1\0\0\0\0mif1avif", "an AVIF image"),
            (b"\0\0\0\x18ftypmif1\0\0\0\0mif1miaf", "a HEIF image"),
            (b"\0\0\0\x14ftypisom\0\0\0\0mp41", "an MP4 video"),
            (b"\0\0\0\x0cJXL \r\n\x87\n\0\0", "a JPEG XL image"),
            (b"\xff\x0a\xfa\x1f", "a JPEG XL image"),
            (b"\0\0\0\x0cjP  \r\n\x87\n\0\0", "a JPEG 2000 image"),
            (b"<?xml version=\"1.0\"?>\n<!-- by hand --><svg xmlns=\"\">", "an SVG drawing"),
            (b"\xef\xbb\xbf  <svg>", "an SVG drawing"),
            (b"%PDF-1.7\n%\xe2\xe3", "a PDF document"),
            (b"8BPS\0\x01", "a Photoshop document (PSD)"),
            (b"\x1f\x8b\x08\0", "gzip data, without a Content-Encoding that says so"),
            (b"P6\n2 2\n255\n", "a Netpbm image"),
            (b"/9j/4AAQSkZJRg", "the base64 text of an image: send the bytes themselves"),
            (b"Not found.", "text"),
        ] {
            assert_eq!(name(bytes), Some(named), "{:?}", String::from_utf8_lossy(bytes));
        }
        for (bytes, named) in [
            (&b"<!DOCTYPE html><svg>"[..], "an HTML page"),
            (b"\n <HTML><body><svg></svg>", "an HTML page"),
            (b"<!-- by a proxy --><html>", "an HTML page"),
            (b"<?xml version=\"1.0\"?><Error><Code>AccessDenied", "an XML document"),
            (b" {\"error\": 404}", "JSON"),
        ] {
            let found = name(bytes).unwrap_or_default();
            assert!(found.starts_with(named), "{found}, wanted {named}");
        }
        for bytes in [&b""[..], b"\0\0\0\0", b"\xff\xd8\xff", b"P", b"\x89PNG", b"hi"] {
            assert_eq!(name(bytes), None, "{bytes:?}");
        }
    }
}
