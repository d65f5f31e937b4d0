use std::io::Write;

use bytes::Bytes;
use flota_core::{
    Code, Sha256,
    ports::{StagedFile, UPLOADED_PREFIX},
};

use crate::fresh::{Factory, Fresh};

pub async fn every_promise(fresh: Factory) {
    an_uploaded_image_is_fetched_by_its_hash(fresh()).await;
    an_image_in_a_file_is_the_same_as_its_bytes(fresh()).await;
    uploads_of_one_image_at_once_agree(fresh()).await;
    bounds_and_absences_have_codes(fresh()).await;
}

async fn an_uploaded_image_is_fetched_by_its_hash(fresh: Fresh) {
    let images = &fresh.store.images;
    for bytes in [Bytes::new(), Bytes::from_static(b"\0\xff"), vec![7; 3_000_000].into()] {
        for _ in 0..2 {
            assert_eq!(images.put(bytes.clone()).await.unwrap(), Sha256::of(&bytes));
        }
        let address = format!("{UPLOADED_PREFIX}{}", Sha256::of(&bytes));
        assert_eq!(images.fetch(&address, bytes.len() as u64).await.unwrap(), bytes);
    }
}

async fn an_image_in_a_file_is_the_same_as_its_bytes(fresh: Fresh) {
    let images = &fresh.store.images;
    for bytes in [vec![3; 10], vec![4; 3_000_000]] {
        let sha256 = Sha256::of(&bytes);
        for _ in 0..2 {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&bytes).unwrap();
            let size_bytes = bytes.len() as u64;
            images.put_file(StagedFile { file, sha256, size_bytes }).await.unwrap();
        }
        let address = format!("{UPLOADED_PREFIX}{sha256}");
        assert_eq!(images.fetch(&address, bytes.len() as u64).await.unwrap(), bytes);
        assert_eq!(images.put(bytes.into()).await.unwrap(), sha256);
    }
}

async fn uploads_of_one_image_at_once_agree(fresh: Fresh) {
    let bytes = Bytes::from(vec![1; 100_000]);
    let uploads: Vec<_> = (0..8)
        .map(|_| {
            let (images, bytes) = (fresh.store.images.clone(), bytes.clone());
            tokio::spawn(async move { images.put(bytes).await.unwrap() })
        })
        .collect();
    for upload in uploads {
        assert_eq!(upload.await.unwrap(), Sha256::of(&bytes));
    }
}

async fn bounds_and_absences_have_codes(fresh: Fresh) {
    let images = &fresh.store.images;
    let sha256 = images.put(Bytes::from_static(b"four")).await.unwrap();
    let known = format!("{UPLOADED_PREFIX}{sha256}");
    let unknown = format!("{UPLOADED_PREFIX}{}", Sha256::of(b"never uploaded"));
    for (address, code) in [
        (known.as_str(), Code::ImageTooLarge),
        (unknown.as_str(), Code::FetchNotFound),
        ("flota://sha256/", Code::FetchNotFound),
        ("flota://sha256/../../etc/passwd", Code::FetchNotFound),
        ("file:///etc/passwd", Code::FetchForbiddenAddress),
    ] {
        let error = images.fetch(address, 3).await.unwrap_err();
        assert_eq!(error.code, code, "{address}: {error}");
    }
}
