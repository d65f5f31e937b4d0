//! Files that were made to harm decoders end in an image or a clean error, within bounds.

use std::{cell::Cell, io::Read as _, path::Path, sync::Once};

use flota_core::{Code, Limits};
use flota_engine::{DecodeError, DecodedImage, decode};

use crate::{data, memory};

/// What decoding one of them may take, by the allocator's own count.
const MAX_BYTES: usize = 256 * 1024 * 1024;
const HOSTILE_COUNT: usize = 43;

thread_local! {
    static PANIC_COUNT: Cell<usize> = const { Cell::new(0) };
}

/// Counts the panics of each thread, which `decode` would turn into errors.
fn count_panics() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            PANIC_COUNT.set(PANIC_COUNT.get() + 1);
            usual(panic);
        }));
    });
}

fn check(name: &str, bytes: &[u8]) -> Result<DecodedImage, DecodeError> {
    let (result, peak_bytes) = memory::peak_bytes(|| decode(bytes, &Limits::default()));
    assert!(peak_bytes < MAX_BYTES, "{name} took {peak_bytes} bytes");
    match &result {
        Ok(image) => {
            let wanted = image.width as usize * image.height as usize * 3;
            assert_eq!(image.pixels.len(), wanted, "{name}");
        }
        Err(error) => assert!(is_plain(&error.to_string()), "{name}: {error}"),
    }
    result
}

/// Whether a sentence is one of ours, with nothing of a decoder in it.
fn is_plain(sentence: &str) -> bool {
    let starts = ["the ", "this is ", "decoding the "];
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || " ,;:()/-.".contains(c);
    starts.iter().any(|start| sentence.starts_with(start)) && sentence.chars().all(is_allowed)
}

fn code(result: &Result<DecodedImage, DecodeError>) -> Option<Code> {
    result.as_ref().err().map(DecodeError::code)
}

#[test]
fn every_hostile_file_ends_in_an_image_or_a_clean_error() {
    let Some(folder) = data::folder(HOSTILE_COUNT, "hostile files") else { return };
    count_panics();
    let files = data::files(&folder.join("hostile"));
    assert_eq!(files.len(), HOSTILE_COUNT);
    for file in files {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let result = check(&name, &data::read(&file));
        println!(
            "{name}: {}",
            result.as_ref().map_or_else(ToString::to_string, |i| format!("{i:?}"))
        );
        match file.extension().unwrap().to_str().unwrap() {
            "ico" | "avif" => assert_eq!(code(&result), Some(Code::DecodeUnsupported), "{name}"),
            // A JPEG of four components inside, of a size that would be too large as well.
            "tif" if name.contains("5026894169374720") => {
                assert_eq!(code(&result), Some(Code::DecodeUnsupported), "{name}");
            }
            "bmp"
                if ["height", "reallybig", "width"]
                    .iter()
                    .any(|w| name.contains(&format!("Bad_{w}"))) =>
            {
                assert_eq!(code(&result), Some(Code::ImageTooLarge), "{name}");
            }
            _ => {}
        }
    }
    assert_eq!(PANIC_COUNT.get(), 0, "a decoder panicked");
}

#[test]
fn every_file_of_the_fuzzers_ends_in_an_image_or_a_clean_error() {
    let Some(folder) = data::folder(2, "fuzz archives") else { return };
    count_panics();
    for (archive, least) in [("go-fuzz-jpeg.tar.gz", 250), ("go-fuzz-png.tar.gz", 200)] {
        let count = check_archive(&folder.join("fuzz").join(archive));
        assert!(count >= least, "{archive} has only {count} files");
    }
    assert_eq!(PANIC_COUNT.get(), 0, "a decoder panicked");
}

fn check_archive(file: &Path) -> usize {
    let bytes = data::read(file);
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(bytes.as_slice()));
    let (mut file_count, mut image_count) = (0, 0);
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let name = entry.path().unwrap().display().to_string();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        file_count += 1;
        image_count += usize::from(check(&name, &bytes).is_ok());
    }
    println!("{}: {image_count} images in {file_count} files", file.display());
    file_count
}

#[test]
fn every_photo_is_refused_when_it_is_cut() {
    let Some(folder) = data::folder(20, "photos cut short") else { return };
    for file in data::files(&folder.join("photos")) {
        let bytes = data::read(&file);
        for permille in [100, 500, 900, 990] {
            let cut = &bytes[..bytes.len() * permille / 1000];
            let found = code(&check(&file.display().to_string(), cut));
            assert_eq!(found, Some(Code::DecodeCorrupt), "{} at {permille}", file.display());
        }
    }
}
