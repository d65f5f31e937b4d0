use flota_core::{Alias, ObjectIdentity, Sha256};

use crate::fresh::{Factory, Fresh};

pub async fn every_promise(fresh: Factory) {
    known_objects_are_found(fresh()).await;
    what_names_an_object_is_told_apart(fresh()).await;
    many_are_asked_and_kept_at_once(fresh()).await;
}

fn object(address: &str) -> ObjectIdentity {
    address.parse().unwrap()
}

fn alias(address: &str, content: &str) -> Alias {
    Alias { object: object(address), sha256: Sha256::of(content.as_bytes()) }
}

async fn known_objects_are_found(fresh: Fresh) {
    let aliases = &fresh.store.aliases;
    let kept = [alias("s3://photos/a?versionId=1", "a"), alias("s3://photos/b?etag=1", "b")];
    aliases.put(&kept).await.unwrap();
    aliases.put(&kept[..1]).await.unwrap();
    let unknown = object("s3://photos/a?versionId=2");
    let asked = [unknown.clone(), kept[0].object.clone(), kept[1].object.clone()];
    let mut found = aliases.get(&asked).await.unwrap();
    found.sort();
    assert_eq!(found, kept);
    assert!(aliases.get(&[unknown]).await.unwrap().is_empty());
    aliases.put(&[]).await.unwrap();
    assert!(aliases.get(&[]).await.unwrap().is_empty());
}

async fn what_names_an_object_is_told_apart(fresh: Fresh) {
    let aliases = &fresh.store.aliases;
    let odd = [
        "s3://photos/a?versionId=1",
        "s3://photos/a?etag=1",
        "s3://photos-2/a?versionId=1",
        "s3://photos/A?versionId=1",
        "s3://photos/a%3FversionId=1?versionId=1",
        "s3://photos/a%20b?versionId=1",
        "s3://photos/a%2Bb?versionId=1",
        "s3://photos/größe/%F0%9F%93%B7?versionId=1",
    ];
    let mut kept: Vec<Alias> = odd.iter().map(|address| alias(address, address)).collect();
    kept.sort();
    aliases.put(&kept).await.unwrap();
    let objects: Vec<ObjectIdentity> = kept.iter().map(|alias| alias.object.clone()).collect();
    let mut found = aliases.get(&objects).await.unwrap();
    found.sort();
    assert_eq!(found, kept);
}

async fn many_are_asked_and_kept_at_once(fresh: Fresh) {
    let aliases = &fresh.store.aliases;
    let address = |n: u32| format!("s3://photos/{}{n}?versionId={n}", "a/".repeat(400));
    // More than a store takes in one call.
    let kept: Vec<Alias> = (0..250).map(|n| alias(&address(n), &n.to_string())).collect();
    aliases.put(&kept).await.unwrap();
    let objects: Vec<ObjectIdentity> = kept.iter().map(|alias| alias.object.clone()).collect();
    assert_eq!(aliases.get(&objects).await.unwrap().len(), 250);
}
