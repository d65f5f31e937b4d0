//! The platform, opened as a process opens it.

#![allow(clippy::unwrap_used, reason = "all of it is tests, the functions they share too")]

use std::{fs, path::Path, sync::Arc};

use flota_core::{
    Code,
    ports::{Clock, Images},
};
use flota_memory::ManualClock;
use flota_platform::{OpenError, Platform, settings::Settings};

fn settings(data_dir: &Path) -> Settings {
    Settings { data_dir: data_dir.to_owned(), ..Settings::default() }
}

/// Sees that `images` keeps what is uploaded and leads other addresses past the policy.
async fn check_images(images: &dyn Images) {
    let sha256 = images.put("uploaded".into()).await.unwrap();
    let fetched = images.fetch(&format!("flota://sha256/{sha256}"), 100).await.unwrap();
    assert_eq!(fetched.as_ref(), b"uploaded");
    let forbidden = images.fetch("http://127.0.0.1:9/", 100).await.unwrap_err();
    assert_eq!(forbidden.code, Code::FetchForbiddenAddress);
}

#[tokio::test]
async fn the_embedded_platform_opens_its_data_folder_and_opens_it_again() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("made/by/opening");
    for _ in 0..2 {
        let platform = Platform::open(&settings(&data_dir)).await.unwrap();
        check_images(platform.images.as_ref()).await;
    }
}

#[tokio::test]
async fn a_data_folder_that_cannot_be_used_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let taken = dir.path().join("file");
    fs::write(&taken, "not a folder").unwrap();
    let Err(error) = Platform::open(&settings(&taken)).await else {
        panic!("a file was taken for a folder");
    };
    assert!(matches!(error, OpenError::Store(_)), "{error:?}");
    assert!(error.to_string().contains(taken.to_str().unwrap()), "{error}");
}

#[tokio::test]
async fn the_memory_platform_runs_on_the_clock_it_is_given() {
    let clock = Arc::new(ManualClock::new(1));
    let store = flota_memory::open(clock.clone());
    let platform = Platform::over(store, &Settings::default(), clock.clone()).unwrap();
    assert_eq!(platform.clock.now(), clock.now());
    check_images(platform.images.as_ref()).await;
}
